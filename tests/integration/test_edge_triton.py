"""A model is changed in a real Triton that serves: nothing is lost, a refusal changes nothing."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from agents import agent_of, model_of
from integration.triton_server import TritonServer, triton
from trireme.edge.triton import load_model, repository_index, served_config, serves
from trireme.errors import ServerRefused
from trireme.modelrepo.instances import runs
from trireme.modelrepo.plan import plan
from trireme.modelrepo.proto import ModelConfig
from trireme.modelrepo.render import config_text

KEY = "0" * 64
CLOSED = (
    f"--http-restricted-api=model-repository,shared-memory,logging,trace:trireme-control-key={KEY}"
)
LOAD_SECONDS = 60
CLIENTS = 4
MODEL = '''
import os

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """Answers y = 2x, and with the process that did."""

    def execute(self, requests):
        responses = []
        for request in requests:
            x = pb_utils.get_input_tensor_by_name(request, "x").as_numpy()
            y = pb_utils.Tensor("y", 2 * x)
            pid = pb_utils.Tensor("pid", np.full((len(x), 1), os.getpid(), dtype=np.int64))
            responses.append(pb_utils.InferenceResponse(output_tensors=[y, pid]))
        return responses
'''
OUTPUTS = [
    {"name": "y", "dataType": "FP32", "dims": [1]},
    {"name": "pid", "dataType": "INT64", "dims": [1]},
]


def config(count: int, **fields: object) -> ModelConfig:
    """A complete configuration, as Trireme plans it."""
    inputs = [{"name": "x", "dataType": "FP32", "dims": [1]}]
    groups = {"instances": [{"kind": "CPU", "count": count}]}
    model = model_of("double", inputs=inputs, outputs=OUTPUTS, maxBatchSize=1, **groups | fields)
    (planned,) = plan(agent_of(models=[model]).spec)
    return planned


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    """A server whose control interface is closed. Each test leaves one instance in it."""
    folder: Path = tmp_path_factory.mktemp("server")
    directory = folder / "models" / "double"
    (directory / "1").mkdir(parents=True)
    (directory / "1" / "model.py").write_text(MODEL)
    (directory / "config.pbtxt").write_text(config_text(config(1)))
    with triton(folder / "models", folder, CLOSED) as running:
        yield running


@dataclass
class Answers:
    """What became of the requests of some clients that never pause."""

    slowest_seconds: float = 0.0
    right: int = 0
    wrong: list[str] = field(default_factory=list)
    processes: set[int] = field(default_factory=set)
    more: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, count: int) -> None:
        """Wait for so many right ones."""
        async with asyncio.timeout(LOAD_SECONDS):
            while self.right < count:
                self.more.clear()
                await self.more.wait()


@asynccontextmanager
async def requests(server: TritonServer) -> AsyncIterator[Answers]:
    """Requests, one after the other from each client, as long as the context lasts."""
    answers, over = Answers(), asyncio.Event()

    async def client(session: aiohttp.ClientSession) -> None:
        while not over.is_set():
            began = time.monotonic()
            x = {"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [3]}
            url = f"http://{server.address}/v2/models/double/infer"
            async with session.post(url, json={"inputs": [x]}) as response:
                text = await response.text()
                outputs = (await response.json()).get("outputs", [])
            answers.more.set()
            answers.slowest_seconds = max(answers.slowest_seconds, time.monotonic() - began)
            doubled = [out["data"] for out in outputs if out["name"] == "y"]
            if response.status == 200 and doubled == [[6]]:
                answers.right += 1
                answers.processes |= {
                    p for out in outputs if out["name"] == "pid" for p in out["data"]
                }
            else:
                answers.wrong.append(f"{response.status}: {text}")

    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as clients:
        for _ in range(CLIENTS):
            clients.create_task(client(session))
        try:
            yield answers
        finally:
            over.set()


async def instances(server: TritonServer) -> int:
    served = await served_config(server.address, "double")
    return sum(group.count for group in served.instance_group)


async def test_instances_come_and_go_without_a_lost_request_and_those_that_stay_are_the_same(
    server: TritonServer, record_property: Callable[[str, object], None]
) -> None:
    for name, count in (("one to three", 3), ("three to one", 1)):
        async with requests(server) as before:
            await before.until(50)
        async with requests(server) as meanwhile:
            began = time.monotonic()
            await load_model(server.address, KEY, config(count), LOAD_SECONDS)
            record_property(f"{name}: seconds", round(time.monotonic() - began, 3))
        assert not meanwhile.wrong
        assert meanwhile.right
        record_property(f"{name}: slowest request", round(meanwhile.slowest_seconds, 3))
        served = await served_config(server.address, "double")
        assert runs(config(count), served)
        assert before.processes & meanwhile.processes, "the model was loaded anew"


async def test_what_is_asked_for_already_is_served_changes_nothing(server: TritonServer) -> None:
    async with requests(server) as answers:
        await load_model(server.address, KEY, config(1), LOAD_SECONDS)
    assert not answers.wrong
    assert len(answers.processes) == 1


async def test_a_version_policy_is_changed_in_place(server: TritonServer) -> None:
    latest = config(1, config={"version_policy": {"latest": {"num_versions": 1}}})
    async with requests(server) as answers:
        await load_model(server.address, KEY, latest, LOAD_SECONDS)
    assert not answers.wrong
    assert len(answers.processes) == 1
    assert await serves(server.address, "double")


@pytest.mark.parametrize(
    ("refused", "words"),
    [
        pytest.param({"backend": "nonesuch"}, "unable to find backend library", id="no backend"),
        pytest.param(
            {"config": {"version_policy": {"specific": {"versions": [7]}}}},
            "version 7 is specified|at least one version must be available",
            id="a version that is not there",
        ),
        pytest.param(
            {"instances": [], "config": {"instance_group": [{"kind": "KIND_CPU", "gpus": [0]}]}},
            "KIND_CPU but specifies one or more GPUs",
            id="GPUs for an instance on CPU",
        ),
    ],
)
async def test_a_refused_change_has_tritons_words_and_the_old_model_serves_on(
    server: TritonServer, refused: dict[str, object], words: str
) -> None:
    async with requests(server) as answers:
        with pytest.raises(ServerRefused, match=words):
            await load_model(server.address, KEY, config(1, **refused), LOAD_SECONDS)
    assert not answers.wrong
    assert await instances(server) == 1
    (model,) = await repository_index(server.address, KEY)
    assert model.ready


async def test_nobody_changes_a_model_without_the_key(server: TritonServer) -> None:
    with pytest.raises(ServerRefused, match="restricted"):
        await load_model(server.address, "1" * 64, config(3), LOAD_SECONDS)
    assert await instances(server) == 1


def project(directory: Path, text: str) -> None:
    """Fill a directory as the kubelet fills a volume: all of it anew, behind one link."""
    kept = directory / f"..{sum(1 for _ in directory.iterdir())}"
    (kept / "1").mkdir(parents=True)
    (kept / "1" / "model.py").write_text(MODEL)
    (kept / "1" / "__pycache__").touch()
    (kept / "config.pbtxt").write_text(text)
    (directory / "..new").symlink_to(kept.name)
    (directory / "..new").rename(directory / "..data")


async def test_a_volume_that_follows_its_config_map_would_have_the_model_loaded_anew(
    tmp_path: Path,
) -> None:
    """Why the pods' config.pbtxt is mounted by itself."""
    directory = tmp_path / "models" / "double"
    directory.mkdir(parents=True)
    project(directory, config_text(config(1)))
    for entry in ("1", "config.pbtxt"):
        (directory / entry).symlink_to(f"..data/{entry}")
    with triton(tmp_path / "models", tmp_path) as server:
        async with requests(server) as before:
            await before.until(1)
        project(directory, config_text(config(2)))
        async with requests(server) as meanwhile:
            await load_model(server.address, "", config(2), LOAD_SECONDS)
        async with requests(server) as after:
            await after.until(50)
    assert not meanwhile.wrong
    assert not before.processes & after.processes
