"""What is said where a spec and its model file do not agree, and where they do."""

import pytest
from onnx import TensorProto, helper

from model_files import Shape, inspected, onnx_encoder, onnx_file, real
from trireme.admission.inspection.compare import Comparison, compare
from trireme.admission.inspection.directory import inspect
from trireme.admission.inspection.reader import BytesReader
from trireme.api.batching import Batching, SequenceBatching
from trireme.api.models import Model
from trireme.api.releases import Release
from trireme.api.tensors import DataType, ModelInput

PATH = "spec.models[0]"


def model(
    inputs: list[tuple[str, str, list[int]]] | None = None,
    outputs: list[tuple[str, str, list[int]]] | None = None,
    *,
    backend: str = "onnxruntime",
    max_batch_size: int = 0,
    parameters: dict[str, str] | None = None,
) -> Model:
    def tensors(listed: list[tuple[str, str, list[int]]] | None) -> list[dict[str, object]]:
        listed = listed or [("x", "FP32", [2])]
        return [{"name": name, "dataType": kind, "dims": dims} for name, kind, dims in listed]

    made = Model.model_validate(
        {
            "name": "encoder",
            "source": {"configMap": "encoder"},
            "backend": backend,
            "maxBatchSize": max_batch_size,
            "inputs": tensors(inputs),
            "outputs": tensors(outputs),
            "parameters": parameters or {},
        }
    )
    left_out = {"inputs": inputs, "outputs": outputs}
    return made.model_copy(update={key: [] for key, value in left_out.items() if value is None})


def compared(
    spec: Model, content: bytes, name: str = "model", release: Release | None = None
) -> Comparison:
    return compare(spec, inspected(content, spec.backend, name), PATH, release)


def one_tensor(shape: Shape | None, element: int = TensorProto.FLOAT) -> bytes:
    return onnx_file({"users": (element, shape)}, {})


def test_a_spec_that_agrees_has_nothing_said_of_it() -> None:
    spec = model(
        [("input_ids", "INT64", [-1]), ("attention_mask", "INT64", [-1])],
        [("embedding", "FP32", [384])],
        max_batch_size=32,
    )
    assert compared(spec, onnx_encoder()) == Comparison()
    without_batches = model(
        [("attention_mask", "INT64", [-1, -1]), ("input_ids", "INT64", [8, -1])],
        [("embedding", "FP32", [-1, 384])],
    )
    assert compared(without_batches, onnx_encoder()) == Comparison()


@pytest.mark.parametrize(
    "told",
    [
        pytest.param(ModelInput(name="users"), id="neither type nor dims"),
        pytest.param(ModelInput(name="users", data_type=DataType.FP32), id="no dims"),
        pytest.param(ModelInput(name="users", dims=[4, 2]), id="no type"),
        pytest.param(
            ModelInput(name="users", data_type=DataType.FP32, dims=[8], reshape=[4, 2]),
            id="the file's shape by reshape",
        ),
        pytest.param(
            ModelInput(name="users", data_type=DataType.FP32, dims=[-1], ragged=True),
            id="ragged: the backend sees another shape",
        ),
    ],
)
def test_what_an_input_leaves_out_or_reshapes_is_no_difference(told: ModelInput) -> None:
    spec = model(max_batch_size=8).model_copy(update={"inputs": [told]})
    assert compared(spec, one_tensor(["batch", 4, 2])) == Comparison()


def test_a_reshape_that_does_not_fit_is_told_where_it_stands() -> None:
    told = ModelInput(name="users", data_type=DataType.FP32, dims=[8], reshape=[2, 4])
    spec = model(max_batch_size=8).model_copy(update={"inputs": [told]})
    (fault,) = compared(spec, one_tensor(["batch", 4, 2])).faults
    assert (fault.path, fault.remedy) == (f"{PATH}.inputs[0].reshape", "Set reshape: [4, 2]")


def test_a_spec_that_leaves_tensors_out_is_not_told_of_them() -> None:
    assert compared(model(), onnx_encoder()) == Comparison()


@pytest.mark.parametrize(
    ("spec", "content", "place", "message", "remedy"),
    [
        pytest.param(
            model([("users", "FP32", [4])], max_batch_size=8),
            one_tensor(["batch", 4], TensorProto.INT64),
            "inputs[0].dataType",
            "input users: the model file says INT64, the spec says FP32",
            "Set dataType: INT64",
            id="type",
        ),
        pytest.param(
            model([("user", "FP32", [4]), ("users", "FP32", [4])]),
            one_tensor([4]),
            "inputs[0].name",
            "the model file model has no input user",
            "Did you mean users?",
            id="unknown name",
        ),
        pytest.param(
            model([("users", "FP32", [4])], [("307", "FP32", [1])]),
            onnx_file(
                {"users": (TensorProto.FLOAT, [4])}, {"scores": (TensorProto.FLOAT, ["n", 1])}
            ),
            "outputs[0].name",
            "the model file model has no output 307",
            "Its outputs are scores",
            id="unknown output",
        ),
        pytest.param(
            model([("input_ids", "INT64", [-1])], max_batch_size=8),
            onnx_encoder(),
            "inputs",
            "input attention_mask of the model file model is not in the spec",
            "Add {name: attention_mask, dataType: INT64, dims: [-1]}",
            id="missing input",
        ),
        pytest.param(
            model([("a", "FP32", [1])]),
            onnx_file({name: (TensorProto.FLOAT, [1]) for name in "abcdefghijkl"}, {}),
            "inputs",
            "inputs b, c, d, e, f, g, h, i and 3 more of the model file model are not in the spec",
            "Add {name: b, dataType: FP32, dims: [1]}, {name: c, dataType: FP32, dims: [1]}, "
            "{name: d, dataType: FP32, dims: [1]}, {name: e, dataType: FP32, dims: [1]} and 7 more",
            id="many missing inputs",
        ),
        pytest.param(
            model([("users", "FP32", [-1])], max_batch_size=8),
            one_tensor([1, -1]),
            "inputs[0].dims",
            "input users of the model file has a fixed batch of 1 (shape [1, -1]), and "
            "maxBatchSize is 8",
            "Set maxBatchSize: 0 and write dims: [1, -1], or export the model with a dynamic first "
            "axis",
            id="fixed batch",
        ),
        pytest.param(
            model([("users", "FP32", [-1, 4])], max_batch_size=8),
            one_tensor(["batch", 4]),
            "inputs[0].dims",
            "input users: dims [-1, 4] repeat the batch dimension, which maxBatchSize 8 adds",
            "Set dims: [4]",
            id="batch dimension repeated",
        ),
        pytest.param(
            model([("users", "FP32", [5])], max_batch_size=8),
            one_tensor(["batch", 4]),
            "inputs[0].dims",
            "input users: the model file says shape [-1, 4], the spec says [-1, 5] with the batch "
            "dimension that maxBatchSize 8 adds",
            "Set dims: [4]",
            id="another size",
        ),
        pytest.param(
            model([("users", "FP32", [-1])]),
            one_tensor([4]),
            "inputs[0].dims",
            "input users: the model file says shape [4], the spec says [-1]",
            "Set dims: [4]",
            id="variable where the file is fixed",
        ),
        pytest.param(
            model([("users", "FP32", [4])]),
            one_tensor(["batch", 4]),
            "inputs[0].dims",
            "input users: the model file says shape [-1, 4], the spec says [4]",
            "Set dims: [-1, 4], or set maxBatchSize, which adds the batch dimension",
            id="batch dimension left out",
        ),
        pytest.param(
            model([("users", "FP32", [1])], max_batch_size=8),
            one_tensor(["batch"]),
            "inputs[0].dims",
            "input users of the model file has no dimension but the batch (shape [-1]), and dims "
            "cannot be empty",
            "Set maxBatchSize: 0 and write dims: [-1], or export the model so that this has a "
            "second dimension",
            id="nothing but the batch",
        ),
        pytest.param(
            model([("users", "FP32", [1])]),
            one_tensor([]),
            "inputs[0].dims",
            "input users of the model file is a single number without a shape, which no dims can "
            "say",
            "Export the model so that it has at least one dimension",
            id="scalar",
        ),
        pytest.param(
            model([("users", "BF16", [4])]),
            one_tensor([4], TensorProto.BFLOAT16),
            "inputs[0].dataType",
            "input users: the model file says BFLOAT16, which backend onnxruntime does not take",
            "Export the model with another element type",
            id="a type that the backend lacks",
        ),
    ],
)
def test_a_difference_says_which_side_says_what(
    spec: Model, content: bytes, place: str, message: str, remedy: str
) -> None:
    faults = compared(spec, content).faults
    assert [(each.path, each.message, each.remedy) for each in faults] == [
        (f"{PATH}.{place}", message, remedy)
    ]


def test_inputs_that_triton_feeds_itself_are_not_missed() -> None:
    for spec, content in (
        (model([("input_ids", "INT64", [-1, -1])]), onnx_encoder()),
        (model([("x", "FP32", [3]), ("y", "FP32", [3])], backend="pytorch"), real("traced.pt")),
    ):
        assert len(compared(spec, content).faults) == 1
        fed = spec.model_copy(update={"batching": Batching(sequence=SequenceBatching())})
        assert compared(fed, content) == Comparison()


def test_an_unknown_rank_is_no_claim() -> None:
    assert compared(model([("users", "FP32", [7, 7])]), one_tensor(None)) == Comparison()


def test_openvino_sets_the_batch_itself_and_takes_variable_dims_where_it_is_batched() -> None:
    graph = real("openvino.xml").replace(b"<dim>-1</dim>", b"<dim>1</dim>")
    batched = model(
        [("features", "FP32", [-1])], [("best", "INT64", [1])], backend="openvino", max_batch_size=8
    )
    assert compared(batched, graph, "model.xml").faults == ()
    alone = model([("features", "FP32", [-1, 3])], backend="openvino")
    assert [each.message for each in compared(alone, graph, "model.xml").faults] == [
        "input features: the model file says shape [1, 3], the spec says [-1, 3]"
    ]


@pytest.mark.parametrize(
    ("release", "ir_version", "opset", "says"),
    [
        (None, 10, 21, []),
        (Release(26, 9), 99, 99, []),
        (Release(24, 1), 9, 20, []),
        (
            Release(24, 1),
            10,
            17,
            ["Export it with IR version 9, or use Triton 24.05 or later"],
        ),
        (Release(24, 4), 9, 21, ["Export it with opset 20, or use Triton 24.05 or later"]),
        (
            Release(25, 2),
            11,
            23,
            [
                "Export it with IR version 10, or use Triton 25.08 or later",
                "Export it with opset 21, or use Triton 25.08 or later",
            ],
        ),
        (Release(26, 8), 13, 26, []),
        (Release(26, 8), 14, 26, ["Export it with IR version 13"]),
    ],
)
def test_an_onnx_file_newer_than_the_release_names_the_first_that_reads_it(
    release: Release | None, ir_version: int, opset: int, says: list[str]
) -> None:
    content = onnx_encoder(ir_version=ir_version, opset=opset)
    assert [each.remedy for each in compared(model(), content, release=release).faults] == says


@pytest.mark.parametrize(
    ("version", "release", "refused"),
    [
        ((8, 6, 1, 6), Release(24, 4), False),
        ((8, 6, 1, 6), Release(24, 5), True),
        ((10, 3, 0, 26), Release(24, 4), True),
        ((10, 3, 0, 26), Release(26, 8), False),
        ((11, 0, 0, 1), Release(26, 8), False),
        ((8, 6, 1, 6), None, False),
    ],
)
def test_a_plan_of_another_major_version_is_refused(
    version: tuple[int, ...], release: Release | None, refused: bool
) -> None:
    plan = b"ftrt" + bytes(20) + bytes(version) + bytes(8)
    faults = compared(model(backend="tensorrt"), plan, release=release).faults
    assert bool(faults) is refused


def test_what_inspection_found_becomes_a_fault_of_the_source() -> None:
    result = compare(model(), inspected(b"<html>", "onnxruntime", "model.onnx"), PATH)
    assert [(each.path, each.message) for each in result.faults] == [
        (
            "spec.models[0].source",
            "model.onnx is not what backend onnxruntime loads: it is a web page, probably of an "
            "error or a login",
        )
    ]
    unparsable = inspect({"model.py": BytesReader(b"class TritonPythonModel\n")}, "python")
    result = compare(model(backend="python"), unparsable, PATH)
    assert result.faults == ()
    assert len(result.warnings) == 1


# ------------------------------------------------------------------------------------- pytorch


@pytest.mark.parametrize(
    ("inputs", "outputs", "says"),
    [
        pytest.param([("input", "FP32", [3])], [("output__0", "FP32", [2])], [], id="argument"),
        pytest.param([("x__0", "FP32", [3])], [("y__0", "FP32", [2])], [], id="index"),
        pytest.param([("x", "FP32", [3])], [("y", "FP32", [2])], [], id="order"),
        pytest.param(
            [("x__1", "FP32", [3])],
            [("y__1", "FP32", [2])],
            [
                "x__1 is input 1 of the model file, which counts 1 from 0",
                "y__1 is output 1 of the model file, which counts 1 from 0",
            ],
            id="index too large",
        ),
        pytest.param(
            [("input", "FP32", [3]), ("mask", "FP32", [3])],
            [("a", "FP32", [2]), ("b", "FP32", [2])],
            [
                "forward() of model takes 1 inputs (input), the spec has 2",
                "forward() of model returns 1 tensors, the spec has 2",
            ],
            id="too many",
        ),
    ],
)
def test_torch_script_is_held_against_its_forward(
    inputs: list[tuple[str, str, list[int]]],
    outputs: list[tuple[str, str, list[int]]],
    says: list[str],
) -> None:
    spec = model(inputs, outputs, backend="pytorch", max_batch_size=8)
    assert [each.message for each in compared(spec, real("traced.pt")).faults] == says


def test_torch_script_with_an_argument_that_is_no_tensor_is_refused() -> None:
    faults = compared(model(backend="pytorch"), real("scripted.pt")).faults
    assert [each.message for each in faults] == [
        "forward() of model takes scale of type float, and Triton passes tensors only (or a single "
        "Dict[str, Tensor])"
    ]


def test_torch_script_with_a_dictionary_takes_any_names() -> None:
    spec = model([("left", "FP32", [4]), ("right", "FP32", [4])], backend="pytorch")
    assert compared(spec, real("scripted_dict.pt")) == Comparison()


def test_an_exported_program_that_differs_is_a_warning() -> None:
    spec = model(
        [("features__0", "FP32", [3]), ("mask__1", "INT32", [7])],
        backend="pytorch",
        max_batch_size=8,
    )
    result = compared(spec, real("exported.pt2"))
    assert result.faults == ()
    assert [each.message for each in result.warnings] == [
        "input mask__1: the model file says INT64, the spec says INT32"
    ]


# -------------------------------------------------------------------------------------- others


def test_a_python_model_without_its_class_or_method_is_refused() -> None:
    for source, says in (
        (b"pass", "model.py has no class TritonPythonModel"),
        (
            b"class TritonPythonModel:\n    def initialize(self, args): ...",
            "TritonPythonModel in model.py has no method execute",
        ),
    ):
        result = compared(model(backend="python"), source, "model.py")
        assert [each.message for each in result.faults] == [says]
    inherited = b"class TritonPythonModel(Base): ..."
    assert compared(model(backend="python"), inherited, "model.py") == Comparison()


def test_what_a_python_model_declares_otherwise_is_a_warning() -> None:
    source = (
        b"class TritonPythonModel:\n"
        b"    def execute(self, requests): ...\n"
        b"    def auto_complete_config(config):\n"
        b"        config.add_input({'name': 'TEXT', 'data_type': 'TYPE_STRING', 'dims': [1]})\n"
    )
    spec = model([("TEXT", "INT64", [1])], backend="python", max_batch_size=8)
    result = compared(spec, source, "model.py")
    assert result.faults == ()
    assert [each.message for each in result.warnings] == [
        "input TEXT: the model file says STRING, the spec says INT64"
    ]


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        pytest.param(
            model(
                [("input__0", "FP32", [4])],
                [("output__0", "FP32", [3])],
                backend="fil",
                max_batch_size=8,
                parameters={"model_type": "xgboost_json"},
            ),
            [],
            id="agrees",
        ),
        pytest.param(
            model(
                [("features", "FP64", [5])],
                [("output__0", "FP32", [1])],
                backend="fil",
                max_batch_size=8,
            ),
            [
                "xgboost.json is XGBoost JSON, and model_type is xgboost",
                "the fil backend calls it input__0, the spec features",
                "the fil backend takes FP32, the spec says FP64",
                "input features: the model file has 4 features, the spec says 5",
            ],
            id="differs in all",
        ),
    ],
)
def test_a_forest_is_held_against_what_the_fil_backend_takes(spec: Model, says: list[str]) -> None:
    faults = compared(spec, real("xgboost.json"), "xgboost.json").faults
    assert [each.message for each in faults] == says


def test_a_sequence_or_map_is_no_tensor() -> None:
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["probabilities"])],
        "classifier",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [
            helper.make_tensor_sequence_value_info("probabilities", TensorProto.FLOAT, None),
        ],
    )
    content = bytes(helper.make_model(graph).SerializeToString())
    faults = compared(model(), content).faults
    assert [each.message for each in faults] == [
        "output probabilities of the model file model is a sequence, and Triton takes tensors only"
    ]
    assert "zipmap" in faults[0].remedy
