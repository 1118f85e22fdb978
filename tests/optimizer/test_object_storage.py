"""A TorchScript model, optimised from a bucket into a bucket, and served from there: what the Job's
containers do one after the other, by the plans that the operator writes, with a real S3 endpoint.
"""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from typer.testing import CliRunner

from agents import agent_of, model_of
from integration.fetching import Pod
from integration.s3_server import BUCKET, KEYS, S3Server, s3_server
from trireme.api.agent import AgentDeployment
from trireme.api.fetch import FetchPlan
from trireme.api.optimize import DeliveryResult, OptimizeResult
from trireme.api.schema import ApiModel
from trireme.api.sources import Source
from trireme.cli import app
from trireme.optimizer.forms import quiet
from trireme.resources.optimization_plans import optimization_plan, served_entry

FEATURES = 256


class Redundant(torch.nn.Module):
    """Multiplies its weights anew for each request: freezing the program does it once."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.wide = torch.nn.Parameter(torch.randn(FEATURES, FEATURES) / 16)
        self.last = torch.nn.Parameter(torch.randn(FEATURES, 8) / 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ (self.wide @ self.wide @ self.last)


def script() -> bytes:
    content = io.BytesIO()
    with quiet():
        torch.jit.save(torch.jit.script(Redundant()), content)
    return content.getvalue()


def recorded(rows: np.ndarray) -> bytes:
    """A request a row."""
    requests = [
        {
            "inputs": [
                {"name": "x", "shape": [1, FEATURES], "datatype": "FP32", "data": row.tolist()}
            ]
        }
        for row in rows
    ]
    return "\n".join(map(json.dumps, requests)).encode()


ROWS = np.random.default_rng(1).standard_normal((700, FEATURES)).astype(np.float32)


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with s3_server() as server:
        server.put("ranker/1/ranker.pt", script())
        server.put("samples/ranker.jsonl", recorded(ROWS))
        yield server


def agent(endpoint: str) -> AgentDeployment:
    place = {"endpoint": endpoint, "secretRef": {"name": "keys"}}
    source = {"uri": f"s3://{BUCKET}/ranker/1/ranker.pt", **place}
    model = model_of("ranker", source=source, backend="pytorch", maxBatchSize=4)
    optimization = {
        "maxAccuracyDrop": "2%",
        "timeBudget": "20s",
        "destination": {"uri": f"s3://{BUCKET}/optimised/", **place},
        "models": [
            {
                "model": "ranker",
                "samples": {"uri": f"s3://{BUCKET}/samples/ranker.jsonl", **place},
                "target": {"size": "10Mi"},
            }
        ],
    }
    return agent_of(model="ranker", models=[model], optimization=optimization)


class Job:
    """The folders of a Job's pod, in which its containers run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        secret = folder / "credentials" / "keys"
        secret.mkdir(parents=True)
        for name, value in KEYS.items():
            (secret / name).write_text(value, encoding="utf-8")
        for name in ("fetched", "made"):
            (folder / name).mkdir()

    def run(self, command: str, plan: ApiModel, **options: str) -> bytes:
        """The termination message of a container that ends well."""
        told, file = self.folder / f"{command}.told", self.folder / f"{command}.json"
        file.write_text(plan.model_dump_json(by_alias=True), encoding="utf-8")
        given = {"plan": str(file), "result": str(told), **options}
        arguments = [f"--{name}={value}" for name, value in given.items()]
        done = CliRunner().invoke(app, [command, *arguments])
        assert done.exit_code == 0, (done.output, told.read_text() if told.exists() else "")
        return told.read_bytes()


def answered(content: bytes, rows: np.ndarray) -> np.ndarray:
    with quiet(), torch.inference_mode():
        found: np.ndarray = torch.jit.load(io.BytesIO(content))(torch.from_numpy(rows)).numpy()
    return found


def test_a_torchscript_model_goes_from_a_bucket_into_a_bucket_and_into_a_pod(
    s3: S3Server, tmp_path: Path
) -> None:
    made = agent(s3.url)
    settings = made.spec.optimization
    assert settings is not None
    plan = optimization_plan(made, settings.models[0], {})
    job, secrets = Job(tmp_path), str(tmp_path / "credentials")
    fetched, result = tmp_path / "fetched", tmp_path / "made"

    fetches = FetchPlan(fetches=plan.fetches)
    common: dict[str, Any] = {"credentials": secrets, "claims": str(tmp_path / "claims")}
    job.run("fetch", fetches, root=str(fetched), **common, **{"progress-port": "0"})
    folders = {what: str(fetched / what / "1") for what in ("model", "samples")}
    told = job.run("optimize-job", plan.optimize, **folders, into=str(result))
    found = OptimizeResult.model_validate_json(told)
    assert found.gain is not None, found.summary
    assert found.gain.techniques == ["torchscript"]
    assert found.gain.missed == []
    delivered = DeliveryResult.model_validate_json(
        job.run("deliver", plan.deliver, **{"from": str(result)}, **common)
    )
    assert delivered.uri is not None
    assert delivered.uri.startswith(f"s3://{BUCKET}/optimised/ranker/")
    assert delivered.files == {"model.pt": found.sha256}

    entry = served_entry(settings.destination, "ranker", delivered.uri, delivered.files)
    source = Source.model_validate(yaml.safe_load(entry)["source"])
    assert source.uri is not None
    pod = Pod(tmp_path / "pod", secret=KEYS)
    pod.fetch(source.uri, endpoint=source.endpoint, sha256=source.sha256, file_name="model.pt")
    served = pod.files()["model.pt"]
    np.testing.assert_allclose(answered(served, ROWS), answered(script(), ROWS), atol=1e-4)
