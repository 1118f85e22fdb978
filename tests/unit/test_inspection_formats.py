"""What is read from real model files of each format, and what is said of files that are none."""

import numpy
import pytest
from onnx import TensorProto, helper, numpy_helper

from model_files import BACKENDS, CountingReader, inspected, onnx_encoder, onnx_file, real
from trireme.admission.inspection.directory import inspect
from trireme.admission.inspection.model_file import FileTensor, Format, Inspection, ModelFile
from trireme.admission.inspection.reader import BytesReader
from trireme.api.tensors import DataType


def read(content: bytes, backend: str, name: str = "model") -> ModelFile:
    result = inspected(content, backend, name)
    assert result.file is not None, result
    return result.file


def test_onnx_says_names_types_shapes_and_versions() -> None:
    file = read(onnx_encoder(), "onnxruntime")
    assert file.format is Format.ONNX
    assert file.producer == "pytorch 2.4.0"
    assert file.inputs == (
        FileTensor(name="input_ids", data_type=DataType.INT64, dims=(-1, -1)),
        FileTensor(name="attention_mask", data_type=DataType.INT64, dims=(-1, -1)),
    )
    assert file.outputs == (FileTensor(name="embedding", data_type=DataType.FP32, dims=(-1, 384)),)
    assert file.onnx is not None
    assert file.onnx.ir_version == 8
    assert file.onnx.opsets == {"ai.onnx": 17, "ai.onnx.ml": 3}


@pytest.mark.parametrize(
    ("shape", "dims"),
    [
        pytest.param([1, 3, 224, 224], (1, 3, 224, 224), id="fixed"),
        pytest.param(["batch", 3], (-1, 3), id="named"),
        pytest.param([None, 3], (-1, 3), id="without a name"),
        pytest.param([], (), id="a scalar"),
        pytest.param(None, None, id="unknown rank"),
    ],
)
def test_an_onnx_shape_is_what_the_file_says(
    shape: list[int | str | None] | None, dims: tuple[int, ...] | None
) -> None:
    file = read(onnx_file({"x": (TensorProto.FLOAT, shape)}, {}), "onnxruntime")
    assert file.inputs == (FileTensor(name="x", data_type=DataType.FP32, dims=dims),)


def test_onnx_names_a_type_that_triton_cannot_take() -> None:
    file = read(onnx_file({"x": (TensorProto.BFLOAT16, [2])}, {}), "onnxruntime")
    assert file.inputs == (FileTensor(name="x", type_name="BFLOAT16", dims=(2,)),)


def test_an_initializer_that_is_listed_as_an_input_is_none() -> None:
    weights = numpy_helper.from_array(numpy.zeros((2, 2), numpy.float32), "weights")
    tensors = {"x": (TensorProto.FLOAT, [2]), "weights": (TensorProto.FLOAT, [2, 2])}
    file = read(onnx_file(tensors, {}, ir_version=3, initializers=[weights]), "onnxruntime")
    assert file.inputs is not None
    assert [each.name for each in file.inputs] == ["x"]


def test_weights_are_skipped_and_not_read() -> None:
    weights = [
        numpy_helper.from_array(numpy.zeros(1_000_000, numpy.float32), f"weights{index}")
        for index in range(8)
    ]
    content = onnx_file({"x": (TensorProto.FLOAT, [2])}, {}, initializers=weights)
    reader = CountingReader(content)
    result = inspect({"model.onnx": reader}, "onnxruntime")
    assert result.file is not None
    assert reader.size > 32_000_000
    assert reader.bytes_read < 100_000
    assert reader.reads < 20


def test_files_with_external_data_must_be_beside_it() -> None:
    weights = helper.make_tensor("weights", TensorProto.FLOAT, [2], [0.0, 0.0])
    weights.ClearField("float_data")
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="./weights.bin")
    weights.external_data.add(key="offset", value="0")
    content = BytesReader(onnx_file({"x": (TensorProto.FLOAT, [2])}, {}, initializers=[weights]))
    missing = inspect({"model.onnx": content}, "onnxruntime")
    assert [finding.message for finding in missing.findings] == [
        "model.onnx keeps weights in ./weights.bin, not there beside it"
    ]
    beside = {"model.onnx": content, "weights.bin": BytesReader(b"")}
    assert inspect(beside, "onnxruntime").findings == ()
    folder = {"model.onnx/model.onnx": content, "model.onnx/weights.bin": BytesReader(b"")}
    assert inspect(folder, "onnxruntime").findings == ()


def test_torch_script_says_arguments_and_results_of_a_scripted_model() -> None:
    file = read(real("scripted.pt"), "pytorch")
    assert file.format is Format.TORCH_SCRIPT
    assert file.inputs == (
        FileTensor(name="input_ids"),
        FileTensor(name="scale", type_name="float", is_tensor=False, optional=True),
    )
    assert file.outputs == (FileTensor(), FileTensor())


def test_torch_script_says_arguments_and_results_of_a_traced_model() -> None:
    file = read(real("traced.pt"), "pytorch")
    assert file.inputs == (FileTensor(name="input"),)
    assert file.outputs == (FileTensor(),)


def test_results_in_a_dictionary_are_unknown() -> None:
    file = read(real("scripted_dict.pt"), "pytorch")
    assert file.inputs == (
        FileTensor(name="images", type_name="Dict[str, Tensor]", is_tensor=False),
    )
    assert file.outputs is None


@pytest.mark.parametrize(
    ("name", "producer"),
    [("exported.pt2", "torch 2.15"), ("exported_by_torch_2_5.pt2", "torch 2.5")],
)
def test_an_exported_program_says_types_and_symbolic_sizes(name: str, producer: str) -> None:
    file = read(real(name), "pytorch")
    assert file.format is Format.TORCH_EXPORT
    assert file.producer is not None
    assert file.producer.startswith(producer)
    assert file.inputs == (
        FileTensor(name="features", data_type=DataType.FP32, dims=(-1, 3)),
        FileTensor(name="mask", data_type=DataType.INT64, dims=(-1, 7)),
    )
    assert file.outputs == (
        FileTensor(data_type=DataType.FP32, dims=(-1, 2)),
        FileTensor(data_type=DataType.INT64, dims=()),
    )


def test_a_saved_model_says_its_signature() -> None:
    file = read(real("saved_model.pb"), "tensorflow")
    assert file.producer == "TensorFlow 2.21.0"
    assert file.inputs == (
        FileTensor(name="features", data_type=DataType.FP32, dims=(-1, 3)),
        FileTensor(name="labels", data_type=DataType.STRING, dims=(-1,)),
    )
    assert file.outputs == (
        FileTensor(name="labels", data_type=DataType.STRING, dims=(-1,)),
        FileTensor(name="scores", data_type=DataType.FP32, dims=(-1,)),
    )


def test_a_saved_model_is_found_in_its_folder() -> None:
    files = {"model.savedmodel/saved_model.pb": BytesReader(real("saved_model.pb"))}
    assert inspect(files, "tensorflow").file is not None


@pytest.mark.parametrize(
    ("name", "kind", "classes"),
    [
        ("xgboost.json", Format.XGBOOST_JSON, 3),
        ("xgboost.ubj", Format.XGBOOST_UBJSON, 3),
        ("xgboost_regression.json", Format.XGBOOST_JSON, 1),
        ("lightgbm.txt", Format.LIGHTGBM, 3),
    ],
)
def test_a_forest_says_its_features_and_classes(name: str, kind: Format, classes: int) -> None:
    file = read(real(name), "fil", name)
    assert file.format is kind
    assert file.forest is not None
    assert (file.forest.features, file.forest.classes) == (4, classes)
    assert file.inputs == (FileTensor(name="input__0", data_type=DataType.FP32, dims=(-1, 4)),)


def test_an_openvino_graph_says_inputs_and_outputs() -> None:
    file = read(real("openvino.xml"), "openvino", "model.xml")
    assert file.producer is not None
    assert file.producer.startswith("OpenVINO 2026.4.1")
    assert file.inputs == (FileTensor(name="features", data_type=DataType.FP32, dims=(-1, 3)),)
    assert file.outputs == (
        FileTensor(name="scores", data_type=DataType.FP32, dims=(-1, 2)),
        FileTensor(name="best", data_type=DataType.INT64, dims=(-1, 1)),
    )


def test_an_older_openvino_graph_names_its_outputs_at_the_port_that_feeds_them() -> None:
    older = real("openvino.xml").replace(b' output_names="scores"', b"")
    older = older.replace(b' output_names="best,class"', b"")
    file = read(older, "openvino", "model.xml")
    assert file.outputs is not None
    assert [each.name for each in file.outputs] == ["scores", "best"]


def test_openvino_weights_must_be_beside_the_graph() -> None:
    alone = inspected(real("openvino.xml"), "openvino", "model.xml")
    assert [finding.is_warning for finding in alone.findings] == [True]
    files = {"model.xml": BytesReader(real("openvino.xml")), "model.bin": BytesReader(b"")}
    assert inspect(files, "openvino").findings == ()


def test_a_plan_says_which_tensorrt_built_it() -> None:
    """The header as NVIDIA's own reader of it takes it; not a real plan, which needs a GPU."""
    header = b"ftrt" + bytes(20) + bytes([10, 3, 0, 26]) + b"engine"
    file = read(header, "tensorrt")
    assert file.plan is not None
    assert file.plan.version == "10.3.0.26"
    unknown = read(b"ftrt" + b"\1" + bytes(23) + b"engine", "tensorrt")
    assert unknown.plan is not None
    assert unknown.plan.version is None


PYTHON_MODEL = b"""
import numpy as np

class TritonPythonModel:
    @staticmethod
    def auto_complete_config(config):
        inputs = [
            {"name": "TEXT", "data_type": "TYPE_STRING", "dims": [1]},
            {"name": "LIMIT", "data_type": "TYPE_INT32", "dims": [1], "optional": True},
        ]
        for each in inputs:
            config.add_input(each)
        scores = {"name": "SCORES", "data_type": "TYPE_FP32", "dims": [-1]}
        config.add_output(scores)
        config.set_max_batch_size(8)
        return config

    def initialize(self, args):
        raise SystemExit("never run")

    async def execute(self, requests):
        return []
"""


def test_a_python_model_says_what_it_declares() -> None:
    file = read(PYTHON_MODEL, "python", "model.py")
    assert file.python is not None
    assert file.python.methods == ("auto_complete_config", "initialize", "execute")
    assert file.python.has_class
    assert file.inputs == (
        FileTensor(name="TEXT", data_type=DataType.STRING, dims=(1,)),
        FileTensor(name="LIMIT", data_type=DataType.INT32, dims=(1,), optional=True),
    )
    assert file.outputs == (FileTensor(name="SCORES", data_type=DataType.FP32, dims=(-1,)),)


def test_a_python_model_that_computes_what_it_declares_says_nothing_of_it() -> None:
    source = PYTHON_MODEL.replace(b'"dims": [-1]', b'"dims": shape()')
    file = read(source, "python", "model.py")
    assert file.inputs is not None
    assert file.outputs is None


def test_a_python_file_without_the_class_has_no_methods() -> None:
    file = read(b"print('hello')", "python", "model.py")
    assert file.python is not None
    assert not file.python.has_class


def test_a_class_that_is_imported_or_inherits_may_have_any_method() -> None:
    for source in (b"from base import *", b"class TritonPythonModel(Base): pass"):
        file = read(source, "python", "model.py")
        assert file.python is not None
        assert file.python.has_class
        assert file.python.methods is None


def test_python_that_does_not_parse_is_a_warning_since_the_server_may_be_newer() -> None:
    result = inspected(b"class TritonPythonModel\n", "python", "model.py")
    assert [finding.is_warning for finding in result.findings] == [True]
    assert "line 1" in result.findings[0].message


LFS_POINTER = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
)


@pytest.mark.parametrize("backend", sorted({*BACKENDS.values(), "onnxruntime", "tensorrt"}))
@pytest.mark.parametrize(
    ("content", "what"),
    [
        pytest.param(b"", "it is empty", id="empty"),
        pytest.param(LFS_POINTER, "it is a Git LFS pointer, not the model", id="LFS pointer"),
        pytest.param(b"\n<!DOCTYPE html><html>", "it is a web page", id="web page"),
        pytest.param(
            b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
            "it is an error message of an object store",
            id="error of an object store",
        ),
        pytest.param(b"\x1f\x8b\x08" + bytes(64), "it is a gzip archive", id="gzip"),
        pytest.param(b"GGUF\3\0\0\0", "it is a GGUF file", id="GGUF"),
        pytest.param(
            (2).to_bytes(8, "little") + b'{"a":{}}', "it is a safetensors file", id="safetensors"
        ),
        pytest.param(bytes(4096), "nothing but zeros", id="zeros"),
    ],
)
def test_what_is_no_model_is_called_by_its_name(content: bytes, what: str, backend: str) -> None:
    result = inspected(content, backend)
    assert result.file is None
    assert [what in finding.message for finding in result.findings] == [True]
    assert not result.findings[0].is_warning


@pytest.mark.parametrize(
    ("name", "what"),
    [
        pytest.param("weights.pt", "a pickle of weights (a state_dict), not a", id="weights"),
        pytest.param("legacy.pt", "a pickle of weights (a state_dict), not a", id="before 1.6"),
        pytest.param(
            "pickled_module.pt",
            "a pickled Python object (torch.nn.modules.linear.Linear), not a",
            id="a module",
        ),
    ],
)
def test_pickles_are_told_from_torch_script(name: str, what: str) -> None:
    result = inspected(real(name), "pytorch")
    assert what in result.findings[0].message
    assert "torch.jit.script" in result.findings[0].remedy


@pytest.mark.parametrize(
    ("name", "backend", "remedy"),
    [
        ("scripted.pt", "onnxruntime", "Set backend: pytorch, or name the right file"),
        ("scripted.pt", "tensorrt", "Set backend: pytorch, or name the right file"),
        ("openvino.xml", "onnxruntime", "Set backend: openvino, or name the right file"),
        ("lightgbm.txt", "pytorch", "Set backend: fil, or name the right file"),
    ],
)
def test_a_format_of_another_backend_names_it(name: str, backend: str, remedy: str) -> None:
    result = inspected(real(name), backend)
    assert [finding.remedy for finding in result.findings] == [remedy]


@pytest.mark.parametrize("backend", ["tensorrt", "pytorch", "tensorflow", "fil", "openvino"])
def test_an_onnx_file_for_another_backend_is_told(backend: str) -> None:
    result = inspected(onnx_encoder(), backend)
    assert [(finding.message, finding.remedy) for finding in result.findings] == [
        (
            f"model is not what backend {backend} loads: it is an ONNX model",
            "Set backend: onnxruntime, or name the right file",
        )
    ]


@pytest.mark.parametrize(
    ("names", "message", "remedy"),
    [
        pytest.param(
            ["yolox.onnx", "labels.txt"],
            "backend onnxruntime loads model.onnx, but the version directory holds labels.txt, "
            "yolox.onnx",
            "Name it model.onnx, or set config.default_model_filename: yolox.onnx",
            id="another name",
        ),
        pytest.param(
            ["1/model.onnx"],
            "backend onnxruntime loads model.onnx, but the version directory holds 1/model.onnx",
            "Name the version's own folder, 1, as the source",
            id="a folder too high",
        ),
        pytest.param(
            [],
            "backend onnxruntime loads model.onnx, but the version directory holds nothing",
            "Name the file model.onnx, or set config.default_model_filename",
            id="nothing",
        ),
    ],
)
def test_a_missing_file_is_told_by_what_is_there(
    names: list[str], message: str, remedy: str
) -> None:
    result = inspect({name: BytesReader(b"x") for name in names}, "onnxruntime")
    assert [(each.message, each.remedy) for each in result.findings] == [(message, remedy)]


def test_a_backend_of_unknown_format_is_not_inspected() -> None:
    result = inspect({"model.bin": BytesReader(b"12345")}, "vllm")
    assert result.not_inspected is not None
    assert result.findings == ()
    assert result.total_bytes == 5


def test_a_result_survives_json() -> None:
    for name, backend in BACKENDS.items():
        result = inspected(real(name), backend, name)
        assert Inspection.model_validate_json(result.model_dump_json(by_alias=True)) == result
