"""The files of models: there, small enough, and what the backend loads."""

from typing import Any

import pytest

from model_files import onnx_encoder
from specs import REMOVED, valid_body
from trireme.admission.examine import examine
from trireme.admission.parse import parse_agent
from trireme.admission.sources import CONFIG_MAP_LIMIT_BYTES, check_sources

PYTHON = {"model.py": b"class TritonPythonModel:\n    def execute(self, requests): ...\n"}
PATH = "spec.models[0].source.configMap"


def faults(
    encoder: dict[str, bytes] | None,
    edits: dict[str, Any] | None = None,
) -> list[tuple[str, str]]:
    """Path and message of each fault, the other model's files being well."""
    spec = parse_agent(valid_body(edits)).spec
    found = examine(spec, {"encoder-files": encoder, "scorer-files": PYTHON})
    return [(fault.path, fault.message) for fault in found.faults]


def test_files_that_are_well_have_no_faults() -> None:
    assert faults(PYTHON) == []


def test_faults_of_the_spec_and_of_the_files_are_told_together() -> None:
    both = faults(None, {"spec.objectives.0.model": "nobody"})
    assert [path for path, _ in both] == ["spec.objectives[0].model", PATH]


def test_a_config_map_that_does_not_exist_is_named() -> None:
    assert faults(None) == [(PATH, "there is no ConfigMap encoder-files in this namespace")]


def test_a_config_map_without_files_is_a_fault() -> None:
    assert faults({}) == [(PATH, "ConfigMap encoder-files holds no files")]


def test_a_claim_is_not_looked_into() -> None:
    assert faults(None, {"spec.models.0.source": {"uri": "pvc://models"}}) == []


@pytest.mark.parametrize(
    ("backend", "wanted"),
    [
        ("python", "model.py"),
        ("onnxruntime", "model.onnx"),
        ("pytorch", "model.pt"),
        ("tensorrt", "model.plan"),
        ("openvino", "model.xml"),
    ],
)
def test_a_misnamed_file_is_listed_beside_what_the_backend_loads(backend: str, wanted: str) -> None:
    edits = {"spec.models.0.backend": backend, "spec.server.gpus.count": 1}
    assert faults({"b.bin": b"", "a.bin": b""}, edits) == [
        (PATH, f"backend {backend} loads {wanted}, but the version directory holds a.bin, b.bin")
    ]


def test_a_backend_whose_files_are_not_known_takes_any() -> None:
    assert faults({"anything": b""}, {"spec.models.0.backend": "vllm"}) == []


def test_a_default_model_filename_takes_the_place_of_the_usual_one() -> None:
    named = {"spec.models.0.config": {"default_model_filename": "agent.py"}}
    assert faults({"agent.py": PYTHON["model.py"]}, named) == []
    assert faults(PYTHON, named) == [
        (PATH, "backend python loads agent.py, but the version directory holds model.py")
    ]


@pytest.mark.parametrize(
    "backend",
    [
        pytest.param(None, id="the file's name says it"),
        pytest.param("onnxruntime", id="the spec says it too"),
    ],
)
def test_a_backend_need_not_be_said_twice(backend: str | None) -> None:
    edits = {
        "spec.models.0.backend": backend or REMOVED,
        "spec.models.0.inputs": [],
        "spec.models.0.outputs": [],
        "spec.pipelines": [],
        "spec.objectives.0.model": "encoder",
    }
    assert faults({"model.onnx": onnx_encoder()}, edits) == []


def test_files_by_which_no_backend_is_known_are_listed() -> None:
    assert faults({"b.bin": b"", "a.onnx": b""}, {"spec.models.0.backend": REMOVED}) == [
        (
            "spec.models[0].backend",
            "it is required: nothing says what executes model encoder, and Triton knows no backend "
            "by a.onnx, b.bin",
        )
    ]


def test_the_small_files_beside_versions_are_there() -> None:
    edits = {
        "spec.models.0.files": [{"path": "a", "configMap": "encoder-files", "key": "model.py"}],
        "spec.pipelines.0.files": [{"path": "a", "configMap": "scorer-files", "key": "modl.py"}],
        "spec.models.1.files": [{"path": "a", "configMap": "labels", "key": "a"}],
    }
    assert faults(PYTHON, edits) == [
        ("spec.pipelines[0].files[0].key", "ConfigMap scorer-files has no key modl.py")
    ]
    spec = parse_agent(valid_body(edits)).spec
    missing = check_sources(spec, {"labels": None})
    assert [str(each) for each in missing] == [
        "spec.models[1].files[0].configMap: there is no ConfigMap labels in this namespace. Create "
        "it: kubectl create configmap labels --from-file=FOLDER"
    ]


def told(source: bytes) -> tuple[list[str], list[str]]:
    """What is said of a model.py: faults and warnings, all of them at the ConfigMap."""
    spec = parse_agent(valid_body()).spec
    found = examine(spec, {"encoder-files": {"model.py": source}, "scorer-files": PYTHON})
    assert {each.path for each in (*found.faults, *found.warnings)} <= {PATH}
    return [each.message for each in found.faults], [each.message for each in found.warnings]


def test_python_that_does_not_parse_is_warned_of_with_its_line() -> None:
    faults, (message,) = told(b"import numpy\ndef execute(:\n")
    assert faults == []
    assert "cannot read it: line 2: invalid syntax" in message


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(b'print(f"{d["a"]}")', id="3.12: quotes within an f-string"),
        pytest.param(b"type A = int", id="3.12: a type statement"),
        pytest.param(b"def f[T](x: T) -> T: ...", id="3.12: type parameters"),
        pytest.param(b"-" * 10_000 + b"1", id="nested deeper than the parser goes"),
    ],
)
def test_python_of_another_release_is_warned_of_at_most(source: bytes) -> None:
    faults, warnings = told(PYTHON["model.py"] + source)
    assert (faults, len(warnings) <= 1) == ([], True)


def test_a_model_is_never_run() -> None:
    assert told(PYTHON["model.py"] + b"raise SystemExit('run')\n") == ([], [])


def test_files_that_are_not_at_hand_are_not_spoken_of() -> None:
    found = examine(parse_agent(valid_body()).spec, {})
    assert (found.faults, found.warnings) == ((), ())


def test_exactly_1_mib_of_files_fits_and_a_byte_more_does_not() -> None:
    rest = CONFIG_MAP_LIMIT_BYTES - len(PYTHON["model.py"])
    assert faults({**PYTHON, "weights": bytes(rest)}) == []
    assert faults({**PYTHON, "weights": bytes(rest + 1)}) == [
        (PATH, "the files of model encoder are 1.01 MiB, a ConfigMap holds 1 MiB")
    ]


def test_configurations_over_1_mib_together_are_a_fault() -> None:
    long = "x" * 60_000
    edits: dict[str, Any] = {
        f"spec.models.{model}.parameters": {f"key{index}": long for index in range(9)}
        for model in (0, 1)
    }
    assert faults(PYTHON, edits) == [
        ("spec.models", "the configurations of all models are 1.04 MiB, a ConfigMap holds 1 MiB")
    ]


def _of_two_versions(**more: Any) -> dict[str, Any]:
    versions = [{"version": n, "source": {"configMap": "encoder-files"}} for n in (1, 2)]
    return {"spec.models.0.source": None, "spec.models.0.versions": versions, **more}


def test_the_files_of_all_versions_of_a_model_fit_into_1_mib_together() -> None:
    half = CONFIG_MAP_LIMIT_BYTES // 2 - len(PYTHON["model.py"])
    assert faults({**PYTHON, "weights": bytes(half)}, _of_two_versions()) == []
    assert faults({**PYTHON, "weights": bytes(half + 1)}, _of_two_versions()) == [
        (
            "spec.models[0].versions[1].source.configMap",
            "the files of model encoder are 1.01 MiB, a ConfigMap holds 1 MiB",
        )
    ]


def test_a_file_beside_the_versions_counts_too() -> None:
    rest = CONFIG_MAP_LIMIT_BYTES - len(PYTHON["model.py"])
    labels = {"path": "labels.txt", "configMap": "scorer-files", "key": "model.py"}
    assert faults({**PYTHON, "weights": bytes(rest)}, {"spec.models.0.files": [labels]}) == [
        (
            "spec.models[0].files[0].configMap",
            "the files of model encoder are 1.01 MiB, a ConfigMap holds 1 MiB",
        )
    ]


def test_the_files_of_one_agent_are_bounded_since_the_operator_keeps_them() -> None:
    model = valid_body()["spec"]["models"][0]
    edits: dict[str, Any] = {
        f"spec.models.{index}": {**model, "name": f"encoder-{index}"} for index in range(2, 20)
    }
    files = {**PYTHON, "weights": bytes(CONFIG_MAP_LIMIT_BYTES - len(PYTHON["model.py"]))}
    assert faults(files, edits) == [
        (
            "spec.models",
            "the files from ConfigMaps are 19.01 MiB, and those of an agent may be 16 MiB",
        )
    ]
