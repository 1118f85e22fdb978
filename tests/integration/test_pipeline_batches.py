"""What batches a real Triton makes of the answers of a pipeline's first step."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agents import agent_of, model_of
from integration.stand_ins import write_model
from integration.triton_server import TritonServer, triton
from trireme.autoscaler.capacity import ModelStatistics
from trireme.edge.triton import statistics
from trireme.modelrepo.plan import plan
from trireme.modelrepo.render import config_text

CLIENTS, EACH = 12, 30
PROGRAM = '''
import time

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """y = x, after some milliseconds."""

    def execute(self, requests):
        time.sleep({seconds})
        inputs = [pb_utils.get_input_tensor_by_name(each, "x") for each in requests]
        return [
            pb_utils.InferenceResponse([pb_utils.Tensor("y", x.as_numpy())]) for x in inputs
        ]
'''


def step(model: str, fed: str, made: str) -> dict[str, Any]:
    return {"model": model, "inputs": {"x": fed}, "outputs": {"y": made}}


def repository(folder: Path) -> Path:
    """A step that takes 20 ms, and one of 5 ms after it."""
    batching = {"maxBatchSize": 16, "batching": {"dynamic": {}}, "instances": [{"kind": "CPU"}]}
    tensor = {"dataType": "FP32", "dims": [1]}
    line = {
        "name": "line",
        "maxBatchSize": 16,
        "inputs": [{"name": "x", **tensor}],
        "outputs": [{"name": "y", **tensor}],
        "steps": [step("first", "x", "between"), step("second", "between", "y")],
    }
    models = [model_of(name, **batching) for name in ("first", "second")]
    spec = agent_of(models=models, pipelines=[line], objectives=[]).spec
    for config, program in zip(
        plan(spec), (PROGRAM.format(seconds=0.020), PROGRAM.format(seconds=0.005), ""), strict=True
    ):
        write_model(folder, config.name, config_text(config), program=program)
    return folder


async def load(server: TritonServer) -> None:
    x = {"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [0]}
    url = f"http://{server.address}/v2/models/line/infer"

    async def client(session: aiohttp.ClientSession) -> None:
        for _ in range(EACH):
            async with session.post(url, json={"inputs": [x]}) as response:
                assert response.status == 200, await response.text()

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(client(session) for _ in range(CLIENTS)))


async def counted(server: TritonServer) -> dict[str, ModelStatistics]:
    """What is told once every request is: Triton answers one, and then counts it."""
    async with asyncio.timeout(60):
        while True:
            seen = await statistics(server.address)
            if all(each.requests >= CLIENTS * EACH for each in seen.values()):
                return seen


@pytest.mark.alone
async def test_the_first_answer_of_a_batch_goes_on_alone(tmp_path: Path) -> None:
    with triton(repository(tmp_path / "models"), tmp_path) as server:
        await load(server)
        seen = await counted(server)
    assert {name: each.requests for name, each in seen.items()} == dict.fromkeys(
        ("line", "first", "second"), CLIENTS * EACH
    )
    before = {size: each.executions for size, each in seen["first"].batches.items()}
    alone = seen["second"].batches[1].executions
    assert sum(size * count for size, count in before.items()) > 2 * sum(before.values())
    # As many as came alone, if batches went on whole; a busy machine makes some go on together.
    came_alone = before.get(1, 0)
    split = (alone - came_alone) / (sum(before.values()) - came_alone)
    assert split > 0.03, "though the second step is idle when they come"
