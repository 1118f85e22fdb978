"""What a real Triton says of its batches, and the curve that is learnt from it."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from agents import agent_of, model_of
from integration.stand_ins import write_model
from integration.triton_server import TritonServer, triton
from ports import LOOPBACK, free_port
from trireme.autoscaler.capacity import ModelStatistics, learn
from trireme.edge.triton import statistics
from trireme.errors import ServerError
from trireme.modelrepo.plan import plan
from trireme.modelrepo.render import config_text

FIXED, EACH, MAX_BATCH = 0.006, 0.002, 8
INTERVALS, REQUESTS = 3, 400
PROGRAM = f'''
import time

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """y = x, as slow as a curve says; it tells how long it slept."""

    def initialize(self, args):
        self.slept = open(f"{{args['model_repository']}}/slept", "a", buffering=1)

    def execute(self, requests):
        inputs = [pb_utils.get_input_tensor_by_name(each, "x").as_numpy() for each in requests]
        rows, began = sum(len(x) for x in inputs), time.perf_counter()
        time.sleep({FIXED} + {EACH} * rows)
        print(rows, time.perf_counter() - began, file=self.slept)
        return [pb_utils.InferenceResponse([pb_utils.Tensor("y", x)]) for x in inputs]
'''


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[TritonServer]:
    """A server of one instance that makes batches of what waits."""
    model = model_of(
        "sleeps", maxBatchSize=MAX_BATCH, batching={"dynamic": {}}, instances=[{"kind": "CPU"}]
    )
    objectives = [{"model": "sleeps", "latency": {"target": "100ms"}}]
    (config,) = plan(agent_of(models=[model], objectives=objectives).spec)
    config.ClearField("model_metrics")  # of 24.11 and later
    write_model(tmp_path / "models", "sleeps", config_text(config), program=PROGRAM)
    with triton(tmp_path / "models", tmp_path) as running:
        yield running


async def load(server: TritonServer, rows: int = 1) -> None:
    """Requests of so many rows, by groups of one to as many as a batch holds."""
    x = {"name": "x", "datatype": "FP32", "shape": [rows, 1], "data": [0] * rows}
    url = f"http://{server.address}/v2/models/sleeps/infer"

    async def request(session: aiohttp.ClientSession) -> None:
        async with session.post(url, json={"inputs": [x]}) as response:
            assert response.status == 200, await response.text()

    async with aiohttp.ClientSession() as session:
        sent = 0
        while sent < REQUESTS:
            together = 1 + sent % MAX_BATCH
            await asyncio.gather(*(request(session) for _ in range(together)))
            sent += together


def slept_seconds(file: Path) -> dict[int, float]:
    """The mean by batch size, as the model has measured it."""
    seconds = defaultdict[int, list[float]](list)
    for line in file.read_text().splitlines():
        rows, each = line.split()
        seconds[int(rows)].append(float(each))
    return {rows: sum(each) / len(each) for rows, each in seconds.items()}


async def look(server: TritonServer) -> ModelStatistics:
    return (await statistics(server.address))["sleeps"]


@pytest.mark.alone
async def test_the_curve_of_a_sleeping_model_is_learnt_from_differences(
    server: TritonServer, tmp_path: Path
) -> None:
    before, intervals = await look(server), list[ModelStatistics]()
    assert before == ModelStatistics(0, {})
    for _ in range(INTERVALS):
        await load(server)
        after = await look(server)
        interval = after.since(before)
        assert interval is not None
        intervals.append(interval)
        before = after

    learnt = learn(intervals, MAX_BATCH, None)
    assert learnt is not None
    assert learnt.executions == sum(t.executions for t in before.batches.values())
    assert learnt.curve.max_batch == MAX_BATCH
    slept = slept_seconds(tmp_path / "models" / "sleeps" / "slept")
    for batch in (1, MAX_BATCH):
        # What Triton adds is its own way to the model and back, longer on a busy machine.
        assert 0.8 * slept[batch] < learnt.curve.seconds(batch) < 2 * slept[batch]
    slope = (slept[MAX_BATCH] - slept[1]) / (MAX_BATCH - 1)
    assert learnt.curve.per_request_seconds == pytest.approx(slope, rel=0.5)


async def test_warming_up_is_counted_so_that_a_first_look_is_where_learning_begins(
    tmp_path: Path,
) -> None:
    instances, warmup = [{"kind": "CPU"}], [{"batchSize": MAX_BATCH}]
    inputs = [{"name": "x", "dataType": "FP32", "dims": [1]}]
    fields = {"maxBatchSize": MAX_BATCH, "instances": instances, "inputs": inputs}
    model = model_of("sleeps", **fields, warmup=warmup)
    (config,) = plan(agent_of(models=[model], objectives=[]).spec)
    write_model(tmp_path / "models", "sleeps", config_text(config), program=PROGRAM)
    with triton(tmp_path / "models", tmp_path) as running:
        first, again = await look(running), await look(running)
    assert (first.requests, sum(t.executions for t in first.batches.values())) == (MAX_BATCH, 1)
    assert again.since(first) == ModelStatistics(0, {})


async def test_nothing_is_learnt_from_requests_of_several_rows(server: TritonServer) -> None:
    before = await look(server)
    await load(server, rows=3)
    interval = (await look(server)).since(before)
    assert interval is not None
    assert interval.requests >= REQUESTS
    assert learn([interval], MAX_BATCH, None) is None


async def test_no_server_is_an_error() -> None:
    with pytest.raises(ServerError):
        await statistics(f"{LOOPBACK}:{free_port()}")
