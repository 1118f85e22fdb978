"""`trireme validate`: every fault of a file, offline, with the exit status that scripts need."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from model_files import onnx_encoder
from refusals import REFUSALS, Refusal, agent
from trireme.cli import app

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))


def validate(*bodies: object, options: tuple[str, ...] = ()) -> Result:
    """`trireme validate -f -` with these documents on standard input."""
    text = yaml.safe_dump_all(bodies)
    return CliRunner().invoke(app, ["validate", "-f", "-", *options], input=text)


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


FILES = config_map(
    "m-model", **{"model.py": "class TritonPythonModel:\n    def execute(self, requests): ...\n"}
)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_has_no_fault(example: Path) -> None:
    result = CliRunner().invoke(app, ["validate", "-f", str(example)])
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")


def test_a_good_spec_is_answered_with_silence() -> None:
    result = validate(agent(), FILES)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.id)
def test_what_the_api_server_refuses_is_a_fault_here_too(refusal: Refusal) -> None:
    result = validate(refusal.body(), FILES)
    assert result.exit_code == 1, result.stderr
    assert result.stdout == ""
    assert result.stderr.strip()


def test_all_faults_are_reported_at_once_each_with_its_path() -> None:
    body = agent()
    body["spec"]["models"][0] |= {"backnd": "python", "maxBatchSize": -1}
    body["spec"]["scaling"] = {"paused": "Of"}
    lines = validate(body, FILES).stderr.splitlines()
    assert [line.partition(": ")[0] for line in lines] == [
        "spec.models[0].maxBatchSize",
        "spec.models[0].backnd",
        "spec.scaling.paused",
    ]


def test_json_gives_each_fault_as_an_object_on_standard_output() -> None:
    body = agent()
    body["spec"]["models"][0]["backend"] = "Python"
    result = validate(body, FILES, options=("-o", "json"))
    (fault,) = json.loads(result.stdout)
    assert result.exit_code == 1
    assert result.stderr == ""
    assert fault["path"] == "spec.models[0].backend"
    assert fault["value"] == "Python"
    assert (fault["agent"], fault["severity"]) == ("small", "error")
    assert "[a-z0-9_]" in fault["remedy"]


def test_json_of_a_good_spec_is_an_empty_list() -> None:
    result = validate(agent(), FILES, options=("-o", "json"))
    assert (result.exit_code, json.loads(result.stdout)) == (0, [])


def test_the_files_of_a_model_are_checked_where_they_are_at_hand() -> None:
    result = validate(agent(), config_map("m-model", **{"modell.py": ""}))
    assert result.exit_code == 1
    assert "spec.models[0].source.configMap" in result.stderr


def test_python_that_does_not_parse_is_warned_of_and_accepted() -> None:
    result = validate(agent(), config_map("m-model", **{"model.py": "def broken(:"}))
    assert result.exit_code == 0
    assert result.stderr.startswith("warning: spec.models[0].source.configMap: model.py is not")


def test_a_config_map_that_is_not_in_the_file_is_no_fault_but_is_said() -> None:
    result = validate(agent())
    assert result.exit_code == 0
    assert result.stderr == "small: the files of ConfigMap m-model were not checked\n"


def test_a_config_map_of_another_namespace_is_not_the_one() -> None:
    elsewhere = {**FILES, "metadata": {"name": "m-model", "namespace": "elsewhere"}}
    assert "were not checked" in validate(agent(), elsewhere).stderr


def test_of_several_agents_each_line_says_which() -> None:
    other = agent()
    other["metadata"]["name"] = "other"
    other["spec"]["rollot"] = {}
    result = validate(agent(), other, FILES)
    assert result.exit_code == 1
    assert result.stderr.startswith("other: spec.rollot: ")


def onnx_agent(**model: Any) -> dict[str, Any]:
    """An agent whose one model is fetched, and leaves its tensors out."""
    body = agent()
    source = {"uri": "s3://models/encoder/3/"}
    encoder = {"name": "encoder", "version": 3, "backend": "onnxruntime", "source": source}
    batches = {"maxBatchSize": 32, "batching": {"dynamic": {}}}
    body["spec"] |= {"models": [{**encoder, **batches, **model}]}
    body["spec"]["objectives"] = [{"model": "encoder", "latency": {"target": "100ms"}}]
    return body


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A model repository on disk."""
    folder = tmp_path / "encoder" / "3"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(onnx_encoder())
    return tmp_path


def test_files_of_a_folder_are_inspected_and_what_they_say_is_printed(models: Path) -> None:
    result = validate(onnx_agent(), options=("--models", str(models)))
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == (
        "small: encoder version 3: ONNX, IR 8, opset 17, 208 B: input_ids INT64[-1,-1], "
        "attention_mask INT64[-1,-1] → embedding FP32[-1,384]\n"
    )


def test_a_spec_that_contradicts_a_file_of_the_folder_is_refused(models: Path) -> None:
    body = onnx_agent(outputs=[{"name": "embeding", "dataType": "FP32", "dims": [384]}])
    result = validate(body, options=("--models", str(models), "-o", "json"))
    (fault,) = json.loads(result.stdout)
    assert result.exit_code == 1
    assert fault == {
        "agent": "small",
        "severity": "error",
        "path": "spec.models[0].outputs[0].name",
        "value": "embeding",
        "message": "the model file model.onnx has no output embeding",
        "remedy": "Did you mean embedding?",
    }


def test_a_folder_without_the_models_version_is_said(models: Path) -> None:
    result = validate(onnx_agent(version=4), options=("--models", str(models)))
    assert result.exit_code == 0
    assert f"encoder version 4: there is no folder {models}/encoder/4" in result.stderr


def test_a_huge_file_is_read_in_parts(models: Path) -> None:
    with (models / "encoder" / "3" / "model.onnx").open("r+b") as file:
        file.truncate(64 * 1024**3)  # sparse
    result = validate(onnx_agent(), options=("--models", str(models)))
    assert result.exit_code == 1
    assert "spec.models[0].source.uri: model.onnx is not what" in result.stderr


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("a: 1\na: 2", "line 2, column 1: the key a stands twice", id="a key twice"),
        pytest.param("kind: Pod", "there is no AgentDeployment in it", id="other kinds only"),
        pytest.param("", "there is no AgentDeployment in it", id="nothing at all"),
        pytest.param(
            "{kind: AgentDeployment, metadata: [a]}",
            "AgentDeployment: metadata must be a mapping",
            id="metadata that is a list",
        ),
        pytest.param(
            "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: {a: 1}}",
            "ConfigMap c: data.a must be text",
            id="a config map with a number",
        ),
        pytest.param(
            "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, binaryData: {a: abc}}",
            "ConfigMap c: binaryData is not base64",
            id="a config map with broken base64",
        ),
    ],
)
def test_a_file_that_cannot_be_read_says_why(text: str, says: str) -> None:
    result = CliRunner().invoke(app, ["validate", "-f", "-"], input=text)
    assert result.exit_code == 1
    assert says in result.stderr
    assert result.exception is None or isinstance(result.exception, SystemExit)


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["validate"], id="no file"),
        pytest.param(["validate", "-f", "/no/such/file.yaml"], id="a file that is not there"),
        pytest.param(["validate", "-f", "-", "-o", "xml"], id="an unknown output"),
        pytest.param(["valdate"], id="an unknown command"),
    ],
)
def test_wrong_usage_ends_with_2(arguments: list[str]) -> None:
    assert CliRunner().invoke(app, arguments).exit_code == 2
