"""What `trireme tune` refuses before it asks any server."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from agents import agent_of, model_of
from trireme.cli import app
from trireme.cli.manifests import to_yaml

NOBODY = "127.0.0.1:9"


def manifest(folder: Path, target: str) -> Path:
    agent = agent_of(
        models=[model_of("m")], objectives=[{"model": "m", "latency": {"target": target}}]
    )
    spec = agent.spec.model_dump(mode="json", by_alias=True, exclude_unset=True)
    body = {"apiVersion": "trireme.dev/v1alpha1", "kind": "AgentDeployment"}
    file = folder / "agent.yaml"
    file.write_text(to_yaml({**body, "metadata": {"name": "echo"}, "spec": spec}))
    return file


def refused(folder: Path, budget: str, target: str = "100ms") -> str:
    """What is said, on one line and without its frame."""
    arguments = ["tune", "-f", str(manifest(folder, target)), "--offline", f"--server={NOBODY}"]
    result = CliRunner().invoke(app, [*arguments, f"--budget={budget}"])
    assert result.exit_code == 2
    return " ".join(result.stderr.replace("\u2502", " ").split())


@pytest.mark.parametrize(
    ("budget", "target", "least", "enough"),
    [
        pytest.param("18s", "100ms", "19s", "3m", id="six probes of 3 s, and a request's end"),
        pytest.param("2m", "1s", "2m10s", "5m", id="a slow model is watched for longer"),
    ],
)
def test_a_budget_that_holds_no_measurement_is_refused(
    tmp_path: Path, budget: str, target: str, least: str, enough: str
) -> None:
    said = refused(tmp_path, budget, target)
    assert "--budget" in said
    assert f"{budget} holds no measurement" in said
    assert f"one takes {least} at least" in said
    assert f"Give {enough}" in said


def test_a_budget_without_a_unit_is_refused(tmp_path: Path) -> None:
    assert "write it with a unit" in refused(tmp_path, "30")
