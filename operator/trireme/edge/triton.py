"""A Triton server's own account of its models, and the change of one, through tritonclient.

A server is named by its address, host:port. Every function raises ServerError where it does not
answer, or answers what no Triton does (`pod_answers`), and ServerRefused, with its own words, where
it will not, ServerForbade where that is for the control key.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from tritonclient.http.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from trireme.api import names
from trireme.api.texts import cut
from trireme.autoscaler.capacity import ModelStatistics, Statistics
from trireme.autoscaler.service_curve import BatchTotal, CounterWindow
from trireme.edge.pod_answers import LargeAnswer, WarySession
from trireme.errors import ServerError, ServerForbade, ServerRefused
from trireme.modelrepo.proto import ModelConfig, json_format

logger = logging.getLogger(__name__)

_TIMEOUT_SECONDS = 5
_FORBIDDEN = "403"
_LONGEST_WORDS = 4096  # characters of a server's own: a condition has room for several models'
_MISSHAPEN = (AttributeError, KeyError, OverflowError, TypeError, ValueError)
"""What reading an answer of another shape raises."""


@dataclass(frozen=True, slots=True)
class ModelState:
    """One version of a model in the repository index; `reason` is Triton's own words where it is
    not ready, and `version` None of a model that has none.
    """

    name: str
    ready: bool
    reason: str
    version: int | None = None

    @property
    def is_let_go(self) -> bool:
        """Whether it was served before, and is no more by the model's version policy."""
        return not self.ready and self.reason == "unloaded"


async def repository_index(address: str, control_key: str) -> tuple[ModelState, ...]:
    """The models of a server, which asks for its control key. It does not answer before its first
    loads ended.
    """
    async with _client(address, _TIMEOUT_SECONDS) as client:
        index = await client.get_model_repository_index({names.CONTROL_HEADER: control_key})
    try:
        return tuple(_model_state(entry) for entry in index)
    except _MISSHAPEN as error:
        raise ServerError(f"{address}: an index that cannot be read: {_told(error)}") from error


async def served_config(address: str, model: str) -> ModelConfig:
    """The configuration that a model is served by, complete with what Triton filled in."""
    async with _client(address, _TIMEOUT_SECONDS) as client:
        answer = await client.get_model_config(model)
    try:
        # A later Triton may answer with fields of its own.
        return json_format.ParseDict(answer, ModelConfig(), ignore_unknown_fields=True)
    except (json_format.ParseError, *_MISSHAPEN) as error:
        words = cut(str(error), _LONGEST_WORDS)
        raise ServerError(f"{address}: the configuration of {model}: {words}") from error


async def serves(address: str, model: str) -> bool:
    """Whether a model answers requests."""
    async with _client(address, _TIMEOUT_SECONDS) as client:
        return bool(await client.is_model_ready(model))


async def statistics(address: str) -> Statistics:
    """What a server counts of each model since its start; it is open to everybody."""
    async with _client(address, _TIMEOUT_SECONDS) as client:
        answer = await client.get_inference_statistics()
    by_model: dict[str, list[Mapping[str, Any]]] = {}
    try:
        for entry in answer["model_stats"]:
            by_model.setdefault(entry["name"], []).append(entry)
        return {model: _model_statistics(versions) for model, versions in by_model.items()}
    except _MISSHAPEN as error:
        raise ServerError(f"{address}: statistics that cannot be read: {_told(error)}") from error


async def load_model(
    address: str, control_key: str, config: ModelConfig, timeout_seconds: float
) -> None:
    """Have a server serve a model by another configuration, which must be complete: Triton takes
    it in place of all of the old one. Returns once it is served, and raises ServerRefused where
    it cannot be: the old one then is, as before.
    """
    text = json_format.MessageToJson(config, preserving_proto_field_name=True, indent=None)
    async with _client(address, timeout_seconds) as client:
        headers = {names.CONTROL_HEADER: control_key}
        await client.load_model(config.name, headers=headers, config=text)


@asynccontextmanager
async def _client(address: str, timeout_seconds: float) -> AsyncIterator[InferenceServerClient]:
    """A client for one request, whose errors are ours."""
    try:
        async with InferenceServerClient(address, conn_limit=1, conn_timeout=timeout_seconds) as c:
            c._stub = WarySession(c._stub)  # it takes no session of ours
            async with asyncio.timeout(timeout_seconds):
                yield c
    except InferenceServerException as error:
        words = f"{address}: [{error.status()}] {cut(str(error.message()), _LONGEST_WORDS)}"
        if error.status() == _FORBIDDEN:
            logger.warning(
                "%s refuses its control key: the agent's Secret was made with another operator key",
                address,
            )
            raise ServerForbade(words) from error
        raise ServerRefused(words) from error
    except LargeAnswer as error:
        raise ServerError(f"{address}: {error}") from error
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError, RecursionError) as error:
        raise ServerError(f"{address}: {_told(error)}") from error


def _model_statistics(versions: Iterable[Mapping[str, Any]]) -> ModelStatistics:
    """One model's, all of its versions together. `batch_stats` is absent before the first
    execution, and of a server that does not have it.
    """
    requests, batches, sums = 0, dict[int, BatchTotal](), CounterWindow(0, 0, 0)
    for version in versions:
        sums = _with(sums, version)
        requests += int(version["inference_stats"]["success"]["count"])
        for each in version.get("batch_stats", []):
            size = int(each["batch_size"])
            before = batches.get(size, BatchTotal(0, 0))
            parts = (each["compute_input"], each["compute_infer"], each["compute_output"])
            batches[size] = BatchTotal(
                before.executions + int(each["compute_infer"]["count"]),
                before.nanoseconds + sum(int(part["ns"]) for part in parts),
            )
    return ModelStatistics(requests, batches, sums if sums.executions and not batches else None)


def _with(sums: CounterWindow, version: Mapping[str, Any]) -> CounterWindow:
    """The sums with those of one more version."""
    stats = version["inference_stats"]
    parts = (stats.get(f"compute_{part}", {}) for part in ("input", "infer", "output"))
    return CounterWindow(
        sums.inferences + int(version.get("inference_count", 0)),
        sums.executions + int(version.get("execution_count", 0)),
        sums.compute_nanoseconds + sum(int(part.get("ns", 0)) for part in parts),
    )


def _told(error: Exception) -> str:
    return cut(repr(error), _LONGEST_WORDS)  # a part of the answer may be in it


def _model_state(entry: Mapping[str, Any]) -> ModelState:
    """One entry; a model whose configuration Triton refuses is listed without state or reason."""
    state = entry.get("state", "")
    unexplained = "" if state else "Triton refuses its configuration; the reason is in its log"
    version = entry.get("version", "")
    return ModelState(
        str(entry["name"]),
        state == "READY",
        cut(str(entry.get("reason", unexplained)), _LONGEST_WORDS),
        int(version) if version.isdecimal() else None,
    )
