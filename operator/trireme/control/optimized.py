"""What a Job that optimises a model came to, read from its pod's termination messages. Pure.

The artefact itself is never opened here. What the container that opened the model says is parsed
within bounds and told as its words; that the file it names was delivered, and with the digest
it names, is the word of another container, which never looked into the model.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from trireme.api import names
from trireme.api.optimization import Gain, TriedForm
from trireme.api.optimize import DeliveryResult, OptimizeResult
from trireme.api.scalars import format_ratio
from trireme.api.schema import ApiModel
from trireme.control import fetching
from trireme.control.jobs import is_over, is_too_late
from trireme.control.store import Object

T = TypeVar("T", bound=ApiModel)

_OUT_OF_MEMORY = "OOMKilled"  # the kubelet's reason; the program itself could say nothing
_TOO_LATE = (
    "the Job did not end before its deadline, the time for a node included. See that one can take "
    "its pod (spec.optimization.resources, server.placement), or raise spec.optimization.timeBudget"
)
_DELIVERING = (names.DESTINATION_CONTAINER, names.DELIVERY_CONTAINER)
_MEMORY = {
    names.OPTIMIZE_CONTAINER: "Raise spec.optimization.resources.memory",
    **dict.fromkeys(_DELIVERING, "Raise spec.download.memory"),
}


@dataclass(frozen=True, slots=True)
class Optimized:
    """A model that is cheaper: what it gives, where it is, and the digests of its files, of which
    `sha256` is the model's own.
    """

    gain: Gain
    uri: str
    files: Mapping[str, str]
    sha256: str


@dataclass(frozen=True, slots=True)
class Ended:
    """What a Job came to: a model, or nothing gained (`summary` says why), or a failure; and what
    was `tried` for it.
    """

    optimized: Optimized | None = None
    summary: str = ""
    failure: str | None = None
    tried: tuple[TriedForm, ...] = ()


def ended(job: Object, pods: Iterable[Object]) -> Ended | None:
    """What a Job came to; None while it may still come to something."""
    found = next(filter(None, (_of_pod(pod.get("status", {})) for pod in pods)), None)
    if is_too_late(job) and (found is None or found.failure is not None):
        return Ended(failure=_TOO_LATE)  # whatever its containers were killed with
    if found is not None:
        return found
    if is_over(job):
        return Ended(failure="the Job's pod went before its result was read")
    return None


def told_gain(gain: Gain) -> str:
    """What was gained, in one sentence, and which targets are missed by how much."""
    missed = "".join(f"; misses its target: {each}" for each in gain.missed)
    return (
        f"{' + '.join(gain.techniques)}: {gain.throughput_ratio:.2f} times the throughput, "
        f"{gain.latency_ratio:.2f} of the latency, {gain.size_ratio:.2f} of the size; score "
        f"{gain.score_before:.4g} before and {gain.score_after:.4g} after, lower by "
        f"{format_ratio(max(0.0, gain.most_drop))} at most by {gain.samples} held-out samples"
        f"{missed}"
    )


def _of_pod(status: Mapping[str, Any]) -> Ended | None:
    containers = {
        each["name"]: each
        for field in ("initContainerStatuses", "containerStatuses")
        for each in status.get(field, [])
    }
    over = {
        name: each["state"]["terminated"]
        for name, each in containers.items()
        if each.get("state", {}).get("terminated") is not None
    }
    ours = (names.FETCH_CONTAINER, names.OPTIMIZE_CONTAINER, *_DELIVERING)
    delivered = over.get(names.DELIVERY_CONTAINER)
    if delivered is not None and delivered.get("exitCode") == 0:
        return _result(over.get(names.OPTIMIZE_CONTAINER, {}), delivered)
    if status.get("phase") == "Failed" and status.get("reason"):  # as of an eviction
        words = f"{status['reason']} {status.get('message', '')}".strip()
        return Ended(failure=f"the Job's pod has failed: {words}")
    for name in ours:
        if name in over and over[name].get("exitCode") != 0:
            return Ended(failure=_failure(containers[name], over[name]))
    if status.get("phase") == "Failed":
        return Ended(failure="the Job's pod has failed")
    return None


def _result(optimized: Mapping[str, Any], delivered: Mapping[str, Any]) -> Ended:
    found = _parsed(OptimizeResult, optimized)
    delivery = _parsed(DeliveryResult, delivered)
    if found is None or delivery is None:
        return Ended(failure="the Job left no result that can be read")
    if found.gain is None and delivery.uri is None:
        return Ended(summary=_quoted(found.summary), tried=_tried(found))
    if found.gain is None or delivery.uri is None:
        return Ended(failure="what the Job delivered is not what it told of")
    sha256 = delivery.files.get(found.file or "")
    if sha256 is None or sha256 != found.sha256:
        return Ended(failure="the file that the Job delivered is not the one that it measured")
    made = Optimized(found.gain, delivery.uri, delivery.files, sha256)
    return Ended(made, tried=_tried(found))


def _tried(found: OptimizeResult) -> tuple[TriedForm, ...]:
    return tuple(
        each.model_copy(update={"refused": each.refused and _printable(each.refused)})
        for each in found.tried
    )


def _failure(container: Mapping[str, Any], over: Mapping[str, Any]) -> str:
    name = container["name"]
    if name == names.FETCH_CONTAINER and (told := fetching.failure(container)) is not None:
        return told[1]
    if over.get("reason") == _OUT_OF_MEMORY and name in _MEMORY:
        return f"{name}: it was killed at its memory limit. {_MEMORY[name]}"
    if name == names.OPTIMIZE_CONTAINER:
        optimized = _parsed(OptimizeResult, over)
        if optimized is not None and optimized.failure:
            return _quoted(optimized.failure)
    if name in _DELIVERING:
        delivery = _parsed(DeliveryResult, over)
        if delivery is not None and delivery.failure is not None:
            return f"{delivery.failure.message}. {delivery.failure.remedy}"
    return f"{name} ended with exit code {over.get('exitCode')}: {over.get('reason') or 'Error'}"


def _quoted(words: str) -> str:
    """What the container says that has opened the model, told as its own words."""
    return f"the model's container says: {_printable(words)}"


def _printable(words: str) -> str:
    """On one line, and with nothing that a terminal obeys."""
    return " ".join("".join(each if each.isprintable() else " " for each in words).split())


def _parsed(kind: type[T], over: Mapping[str, Any]) -> T | None:
    try:
        return kind.model_validate_json(over.get("message", ""))
    except ValidationError:
        return None
