"""`trireme render`: the objects, or the model repository, that a file becomes."""

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from kubernetes_schemas import validate
from refusals import agent
from trireme.cli import app

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
ECHO = EXAMPLES[[path.stem for path in EXAMPLES].index("echo")]
PIPELINE = EXAMPLES[[path.stem for path in EXAMPLES].index("pipeline")]


def render(*arguments: str, text: str | None = None) -> Result:
    return CliRunner().invoke(app, ["render", *arguments], input=text)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_becomes_objects_that_kubernetes_knows(example: Path) -> None:
    result = render("-f", str(example))
    bodies = list(yaml.load_all(result.stdout, yaml.CSafeLoader))
    assert (result.exit_code, result.stderr) == (0, "")
    assert "Deployment" in {body["kind"] for body in bodies}
    for body in bodies:
        validate(body)


def test_the_secret_with_the_control_key_is_left_out_and_said_to_be() -> None:
    rendered = render("-f", str(ECHO)).stdout
    assert "Secret" not in {body["kind"] for body in yaml.load_all(rendered, yaml.CSafeLoader)}
    assert rendered.startswith("# Not shown: the Secret")


def test_the_same_file_renders_the_same_twice() -> None:
    assert render("-f", str(PIPELINE)).stdout == render("-f", str(PIPELINE)).stdout


def test_the_namespace_is_that_of_objects_that_name_none() -> None:
    result = render("-f", str(ECHO), "--namespace", "agents")
    bodies = list(yaml.load_all(result.stdout, yaml.CSafeLoader))
    assert {body["metadata"]["namespace"] for body in bodies} == {"agents"}


def test_settings_of_the_operator_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIREME_GATEWAY_IMAGE", "registry.example/envoy:1")
    assert "image: registry.example/envoy:1" in render("-f", str(ECHO)).stdout


def test_the_repository_is_written_as_triton_reads_it(tmp_path: Path) -> None:
    result = render("-f", str(PIPELINE), "--repository", str(tmp_path / "models"))
    files = {str(p.relative_to(tmp_path / "models")) for p in tmp_path.rglob("*") if p.is_file()}
    assert (result.exit_code, result.stdout) == (0, "")
    assert files == {
        "agent/1/.keep",
        "agent/config.pbtxt",
        "scorer/1/model.py",
        "scorer/config.pbtxt",
        "tokenizer/1/model.py",
        "tokenizer/config.pbtxt",
    }


def test_repositories_of_several_agents_are_kept_apart(tmp_path: Path) -> None:
    text = "\n---\n".join(path.read_text(encoding="utf-8") for path in (ECHO, PIPELINE))
    result = render("-f", "-", "--repository", str(tmp_path), text=text)
    assert result.exit_code == 0
    assert (tmp_path / "echo" / "double" / "1" / "model.py").is_file()
    assert {path.name for path in tmp_path.iterdir()} == {"echo", "pipeline"}


def test_what_lies_on_a_claim_is_said_to_be_there(tmp_path: Path) -> None:
    example = ECHO.with_name("gpu-onnx.yaml")
    result = render("-f", str(example), "--repository", str(tmp_path / "m"))
    assert "its files are on claim models:/encoder/3" in result.stderr
    assert list((tmp_path / "m" / "encoder" / "3").iterdir()) == []


def test_a_directory_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    result = render("-f", str(ECHO), "--repository", str(tmp_path))
    assert result.exit_code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_a_config_map_that_is_not_in_the_file_stops_the_rendering() -> None:
    result = render("-f", "-", text=yaml.safe_dump(agent()))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "small: ConfigMap m-model must be in the same file\n"


def test_a_fault_stops_the_rendering() -> None:
    body = agent()
    body["spec"]["models"][0]["backnd"] = "python"
    result = render("-f", "-", text=yaml.safe_dump(body))
    assert (result.exit_code, result.stdout) == (1, "")
    assert "spec.models[0].backnd" in result.stderr
