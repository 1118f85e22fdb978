"""A spec and the files it names, judged together; what it leaves out is taken from the files."""

from typing import Any

import pytest

from model_files import onnx_encoder
from specs import valid_body
from trireme.admission.examine import Examined, examine
from trireme.admission.inspection.model_file import Format, Inspection, ModelFile
from trireme.admission.parse import parse_agent
from trireme.api.tensors import DataType
from trireme.modelrepo.render import render

PYTHON = {"model.py": b"class TritonPythonModel:\n    def execute(self, requests): ...\n"}
ONNX: dict[str, Any] = {
    "spec.models.0.backend": "onnxruntime",
    "spec.models.0.maxBatchSize": 32,
    "spec.models.0.warmup": [],
    "spec.pipelines": [],
    "spec.objectives.0.model": "encoder",
}
LEFT_OUT = {
    **ONNX,
    "spec.models.0.batching": {"dynamic": {}},
    "spec.models.0.inputs": [],
    "spec.models.0.outputs": [],
}


def examined(edits: dict[str, Any], files: dict[str, bytes], **options: Any) -> Examined:
    spec = parse_agent(valid_body(edits)).spec
    return examine(spec, {"encoder-files": files, "scorer-files": PYTHON}, **options)


def test_what_the_spec_leaves_out_is_in_what_is_rendered() -> None:
    files = {"model.onnx": onnx_encoder()}
    found = examined(LEFT_OUT, files)
    assert (found.faults, found.warnings) == ((), ())
    sources = {"encoder-files": files, "scorer-files": PYTHON}
    config = render(found.spec, sources).models[0].config
    assert [(each.name, list(each.dims)) for each in config.input] == [
        ("input_ids", [-1]),
        ("attention_mask", [-1]),
    ]
    assert [(each.name, list(each.dims)) for each in config.output] == [("embedding", [384])]


def test_the_users_spec_is_left_as_it_is_and_a_completed_one_is_complete() -> None:
    spec = parse_agent(valid_body(LEFT_OUT)).spec
    sources = {"encoder-files": {"model.onnx": onnx_encoder()}, "scorer-files": PYTHON}
    once = examine(spec, sources)
    assert spec.models[0].inputs == []
    assert examine(once.spec, sources).spec == once.spec


def test_without_the_files_nothing_is_filled_and_nothing_refused() -> None:
    spec = parse_agent(valid_body(LEFT_OUT)).spec
    found = examine(spec, {"scorer-files": PYTHON})
    assert (found.spec, found.faults) == (spec, ())


def test_the_type_and_dims_that_one_tensor_leaves_out_are_filled() -> None:
    edits = {**LEFT_OUT, "spec.models.0.outputs": [{"name": "embedding"}]}
    (output,) = examined(edits, {"model.onnx": onnx_encoder()}).spec.models[0].outputs
    assert (output.data_type, output.dims) == (DataType.FP32, [384])


def test_a_difference_says_what_the_file_and_what_the_spec_says() -> None:
    inputs = [
        {"name": "input_ids", "dataType": "INT32", "dims": [-1]},
        {"name": "attention_mask", "dataType": "INT64", "dims": [-1]},
    ]
    found = examined({**LEFT_OUT, "spec.models.0.inputs": inputs}, {"model.onnx": onnx_encoder()})
    assert [(each.path, each.message) for each in found.faults] == [
        (
            "spec.models[0].inputs[0].dataType",
            "input input_ids: the model file says INT64, the spec says INT32",
        )
    ]


def test_a_pipeline_is_checked_against_what_the_file_says() -> None:
    steps = [{"model": "encoder", "inputs": {"ids": "A"}, "outputs": {"embedding": "B"}}]
    edits = {**LEFT_OUT, "spec.pipelines": [{"name": "agent", "steps": steps}]}
    told = [str(each) for each in examined(edits, {"model.onnx": onnx_encoder()}).faults]
    assert (
        "spec.pipelines[0].steps[0].inputs.ids: encoder has no input ids. Its inputs are "
        "input_ids, attention_mask"
    ) in told


@pytest.mark.parametrize(
    "files",
    [
        pytest.param({"model.graphdef": b"\x0a\x00"}, id="a format that says nothing"),
        pytest.param({"model.py": b"from agent import TritonPythonModel\n"}, id="an import"),
    ],
)
def test_a_file_that_says_little_is_no_fault(files: dict[str, bytes]) -> None:
    backend = "python" if "model.py" in files else "tensorflow"
    edits = {**LEFT_OUT, "spec.models.0.backend": backend, "spec.server.release": "24.10"}
    found = examined(edits, files)
    assert found.faults == ()
    assert any("Triton will complete" in each.message for each in found.warnings)


def test_a_mistake_in_one_of_several_versions_is_told_at_its_source() -> None:
    versions = [
        {"version": 1, "source": {"configMap": "encoder-files"}},
        {"version": 2, "source": {"uri": "s3://models/encoder/2/model.onnx"}},
    ]
    edits = {**LEFT_OUT, "spec.models.0.source": None, "spec.models.0.versions": versions}
    broken = Inspection(findings=({"message": "it is a web page", "remedy": "Correct it"},))
    found = examined(edits, {"model.onnx": onnx_encoder()}, inspections={("encoder", 2): broken})
    assert [each.path for each in found.faults] == ["spec.models[0].versions[1].source.uri"]


def test_a_file_chosen_by_the_gpus_capability_is_not_sought() -> None:
    edits = {**ONNX, "spec.models.0.config": {"cc_model_filenames": {"7.5": "turing.onnx"}}}
    assert examined(edits, {"turing.onnx": b"?"}).faults == ()


def test_weights_that_no_pod_can_hold_are_a_fault_of_its_memory() -> None:
    size = 3 * 1024**3
    large = ModelFile(name="model.onnx", format=Format.ONNX, size_bytes=size)
    edits = {**ONNX, "spec.models.0.source": {"uri": "s3://models/encoder/model.onnx"}}
    found = examined(
        edits, {}, inspections={("encoder", 1): Inspection(file=large, total_bytes=size)}
    )
    assert [each.path for each in found.faults] == ["spec.server.resources.memory"]
