"""`trireme tune --offline` against a real Triton, whose model is as slow as a curve says."""

import asyncio
import functools
import json
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

import pytest
from typer.testing import CliRunner, Result

from agents import agent_of, model_of
from integration.stand_ins import write_model
from integration.triton_server import TritonServer, triton
from trireme.cli import app
from trireme.cli.manifests import to_yaml
from trireme.edge import request_load
from trireme.edge.triton import served_config
from trireme.modelrepo.plan import plan
from trireme.modelrepo.render import config_text

PROGRAM = '''
import time

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """y = x after 3 ms + 2 ms for each row, in which it needs no processor."""

    def execute(self, requests):
        inputs = [pb_utils.get_input_tensor_by_name(each, "x").as_numpy() for each in requests]
        time.sleep(0.003 + 0.002 * sum(len(x) for x in inputs))
        return [pb_utils.InferenceResponse([pb_utils.Tensor("y", x)]) for x in inputs]
'''
MODEL = model_of(
    "sleeps", maxBatchSize=1, batching={"dynamic": {}}, instances=[{"kind": "CPU", "count": 1}]
)
OBJECTIVES = [{"model": "sleeps", "latency": {"target": "100ms"}}]
LIMITS = {"maxBatchSize": {"max": 4}, "instances": {"max": 1}}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[TritonServer]:
    (config,) = plan(agent_of(models=[MODEL], objectives=OBJECTIVES).spec)
    config.ClearField("model_metrics")  # of 24.11 and later
    write_model(tmp_path / "models", "sleeps", config_text(config), program=PROGRAM)
    with triton(tmp_path / "models", tmp_path) as running:
        yield running


def manifest(folder: Path) -> Path:
    agent = agent_of(models=[MODEL], objectives=OBJECTIVES).model_dump(
        mode="json", by_alias=True, include={"spec"}, exclude_unset=True
    )
    file = folder / "agent.yaml"
    body = {"apiVersion": "trireme.dev/v1alpha1", "kind": "AgentDeployment"}
    agent["spec"]["tuning"] = {"limits": LIMITS}
    file.write_text(to_yaml({**body, "metadata": {"name": "echo"}, **agent}))
    return file


def tune(file: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["tune", "-f", str(file), *arguments], env={"COLUMNS": "200"})


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rate is offered for two seconds, the least by the objective, in place of up to 15: how much
    a busy machine's server sustains is for benchmarks (tests/bench/tuner.py).
    """
    bounds = functools.partial(request_load.Bounds, least_seconds=1.0, most_seconds=1.0)
    monkeypatch.setattr(request_load, "Bounds", bounds)


@pytest.mark.alone
@pytest.mark.usefixtures("hasty")
def test_it_measures_larger_batches_and_the_best_again_and_leaves_the_server_as_it_was(
    server: TritonServer, tmp_path: Path
) -> None:
    before = asyncio.run(served_config(server.address, "sleeps"))
    done = tune(
        manifest(tmp_path),
        "--offline",
        "--server",
        server.address,
        "--measurements=3",
        "--output=json",
    )
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert [found["tried"][0][knob] for knob in ("maxBatchSize", "instances")] == [1, 1]
    tried, best = found["tried"], found["best"]
    assert (
        tried[2]["expectedPerSecond"] == max(each["sustainedPerSecond"] for each in tried[:2]) > 0
    )
    rates = [
        each["sustainedPerSecond"]
        for each in tried
        if (each["maxBatchSize"], each["instances"]) == (best["maxBatchSize"], best["instances"])
    ]
    assert best["measurements"] == len(rates) == 2
    assert (best["leastPerSecond"], best["mostPerSecond"]) == (min(rates), max(rates))
    assert best["sustainedPerSecond"] == pytest.approx(fmean(rates), rel=1e-3)
    sizes = {each["size"] for tried in found["tried"] for each in tried["batches"]}
    assert sizes >= {1, 4}
    assert asyncio.run(served_config(server.address, "sleeps")) == before


def test_a_server_that_does_not_answer_is_told(tmp_path: Path) -> None:
    done = tune(manifest(tmp_path), "--offline", "--server", "127.0.0.1:9")
    assert done.exit_code == 1
    assert "127.0.0.1:9" in done.stderr
