"""What a spec leaves out is filled from the model file, or is a fault that says what is missing."""

import pytest
from onnx import TensorProto

from model_files import inspected, onnx_encoder, onnx_file, real
from trireme.admission.inspection.compare import Comparison, compare
from trireme.admission.inspection.complete import complete
from trireme.admission.inspection.model_file import ModelFile
from trireme.api.models import Model
from trireme.api.tensors import DataType, ModelInput, ModelOutput

PATH = "spec.models[0]"


def model(backend: str = "onnxruntime", max_batch_size: int = 0, **fields: object) -> Model:
    """A model that leaves its tensors out."""
    tensor = {"name": "x", "dataType": "FP32", "dims": [1]}
    made = Model.model_validate(
        {
            "name": "encoder",
            "source": {"configMap": "encoder"},
            "backend": backend,
            "maxBatchSize": max_batch_size,
            "inputs": [tensor],
            "outputs": [tensor],
        }
    )
    return made.model_copy(update={"inputs": [], "outputs": [], **fields})


def file(content: bytes, backend: str = "onnxruntime", name: str = "model") -> ModelFile:
    result = inspected(content, backend, name)
    assert result.file is not None
    return result.file


def test_all_is_filled_without_the_batch_dimension() -> None:
    completed = complete(model(max_batch_size=8), file(onnx_encoder()), PATH)
    assert completed.inputs == (
        ModelInput(name="input_ids", data_type=DataType.INT64, dims=[-1]),
        ModelInput(name="attention_mask", data_type=DataType.INT64, dims=[-1]),
    )
    assert completed.outputs == (
        ModelOutput(name="embedding", data_type=DataType.FP32, dims=[384]),
    )
    assert completed.faults == ()


@pytest.mark.parametrize("max_batch_size", [0, 8])
def test_what_was_filled_agrees_with_the_file(max_batch_size: int) -> None:
    for content, backend, name in (
        (onnx_encoder(), "onnxruntime", "model.onnx"),
        (real("openvino.xml"), "openvino", "model.xml"),
    ):
        spec = model(backend, max_batch_size)
        completed = complete(spec, file(content, backend, name), PATH)
        assert completed.faults == ()
        whole = spec.model_copy(
            update={"inputs": list(completed.inputs), "outputs": list(completed.outputs)}
        )
        found = inspected(content, backend, name).model_copy(update={"findings": ()})
        assert compare(whole, found, PATH) == Comparison()


def test_what_the_spec_says_is_taken_as_it_is() -> None:
    mine = [ModelOutput(name="embedding", data_type=DataType.FP32, dims=[-1, 384])]
    completed = complete(model(outputs=mine), file(onnx_encoder()), PATH)
    assert completed.outputs == tuple(mine)
    assert [each.dims for each in completed.inputs] == [[-1, -1], [-1, -1]]


def test_outputs_of_an_exported_program_are_named_by_their_position() -> None:
    completed = complete(model("pytorch"), file(real("exported.pt2"), "pytorch"), PATH)
    assert [(each.name, each.dims) for each in completed.inputs] == [
        ("features__0", [-1, 3]),
        ("mask__1", [-1, 7]),
    ]
    assert [each.message for each in completed.faults] == [
        "output 1 of the model file model is a single number without a shape, which no dims can say"
    ]


@pytest.mark.parametrize(
    ("name", "parameters", "dims"),
    [
        ("xgboost.json", {"predict_proba": "true"}, [3]),
        ("xgboost.ubj", {"predict_proba": "true", "output_class": "true"}, [3]),
        ("lightgbm.txt", {"output_class": "true"}, [1]),
        ("xgboost_regression.json", {}, [1]),
    ],
)
def test_the_parameters_of_a_forest_decide_the_size_of_its_output(
    name: str, parameters: dict[str, str], dims: list[int]
) -> None:
    spec = model("fil", 8, parameters=parameters)
    completed = complete(spec, file(real(name), "fil", name), PATH)
    assert completed.faults == ()
    assert [(each.name, each.dims) for each in completed.inputs] == [("input__0", [4])]
    assert [(each.name, each.dims) for each in completed.outputs] == [("output__0", dims)]


def test_a_forest_whose_parameters_do_not_say_is_not_guessed() -> None:
    completed = complete(model("fil", 8), file(real("lightgbm.txt"), "fil"), PATH)
    assert [each.path for each in completed.faults] == [f"{PATH}.outputs"]


def test_optional_inputs_stay_optional() -> None:
    source = (
        b"class TritonPythonModel:\n"
        b"    def auto_complete_config(config):\n"
        b"        config.add_input({'name': 'A', 'data_type': 'TYPE_FP32', 'dims': [-1]})\n"
        b"        config.add_input({'name': 'B', 'data_type': 'TYPE_FP32', 'dims': [1],\n"
        b"                          'optional': True})\n"
    )
    completed = complete(model("python", 8), file(source, "python"), PATH)
    assert [(each.name, each.dims, each.optional) for each in completed.inputs] == [
        ("A", [-1], False),
        ("B", [1], True),
    ]
    assert [each.message for each in completed.faults] == [
        "the outputs are left out, and model does not say them"
    ]


def test_a_file_that_was_not_read_says_nothing() -> None:
    completed = complete(model(), None, PATH)
    assert [(each.path, each.message) for each in completed.faults] == [
        (f"{PATH}.inputs", "the inputs are left out, and no file was read that says them"),
        (f"{PATH}.outputs", "the outputs are left out, and no file was read that says them"),
    ]


def test_torch_script_says_names_and_nothing_else() -> None:
    completed = complete(model("pytorch"), file(real("traced.pt"), "pytorch"), PATH)
    assert [(each.message, each.remedy) for each in completed.faults] == [
        (
            "input input of the model file model has no data type there",
            "Write it with name, dataType and dims",
        ),
        (
            "output 0 of the model file model has no data type there",
            "Write it with name, dataType and dims",
        ),
    ]


@pytest.mark.parametrize(
    ("element", "shape", "message"),
    [
        pytest.param(
            TensorProto.FLOAT, [1, 4], "has a fixed batch of 1 (shape [1, 4])", id="fixed batch"
        ),
        pytest.param(TensorProto.FLOAT, None, "has no shape there", id="unknown rank"),
        pytest.param(TensorProto.BFLOAT16, ["n", 4], "is BFLOAT16, which backend", id="type"),
        pytest.param(
            TensorProto.FLOAT, ["n", 2**60], "is nothing that a spec can say", id="a huge size"
        ),
    ],
)
def test_what_cannot_be_filled_is_a_fault_of_the_list(
    element: int, shape: list[int | str | None] | None, message: str
) -> None:
    content = onnx_file({"x": (element, shape)}, {"y": (TensorProto.FLOAT, ["n", 1])})
    completed = complete(model(max_batch_size=8), file(content), PATH)
    assert completed.inputs == ()
    assert [each.path for each in completed.faults] == [f"{PATH}.inputs"]
    assert message in completed.faults[0].message
