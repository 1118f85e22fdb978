"""The real Triton that tests run on loopback serves what `trireme render` writes."""

import json
import urllib.request
from pathlib import Path

import pytest
from typer.testing import CliRunner

from integration.triton_server import TritonServer, triton
from trireme.cli import app
from trireme.edge.triton import repository_index

ECHO = Path(__file__).parents[2] / "examples" / "echo.yaml"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    command = ["render", "-f", str(ECHO), "--repository", str(tmp_path / "models")]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    return tmp_path / "models"


def infer(server: TritonServer) -> list[float]:
    x = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}
    request = urllib.request.Request(
        f"http://{server.address}/v2/models/double/infer",
        json.dumps({"inputs": [x]}).encode(),
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  # loopback
        doubled: list[float] = json.load(answer)["outputs"][0]["data"]
        return doubled


def test_a_model_of_an_example_answers_and_its_server_ends_with_the_test(
    repository: Path, tmp_path: Path
) -> None:
    with triton(repository, tmp_path, "--exit-timeout-secs=60") as server:
        assert infer(server) == [2, 4]
        with urllib.request.urlopen(f"http://{server.metrics_address}/metrics", timeout=10) as page:
            assert b'nv_inference_request_success{model="double"' in page.read()
    assert server.process.returncode == 0, server.log.read_text()


async def test_a_model_that_fails_to_load_is_in_the_index_with_its_reason(
    repository: Path, tmp_path: Path
) -> None:
    (repository / "double" / "1" / "model.py").write_text("raise ValueError('no weights')\n")
    with triton(repository, tmp_path) as server:
        (model,) = await repository_index(server.address, "")
    assert not model.ready
    assert "ValueError: no weights" in model.reason
