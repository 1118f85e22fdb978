"""ONNX: versions, inputs, outputs and external data, by walking the protobuf past its weights.

Pure. Source of the field numbers: onnx.proto of the ONNX project (ModelProto, GraphProto,
ValueInfoProto, TypeProto, TensorShapeProto, TensorProto), which never change.
"""

from collections.abc import Iterator

from trireme.admission.inspection.model_file import (
    MOST_DIMS,
    MOST_NAMES,
    MOST_TENSORS,
    FileTensor,
    Format,
    ModelFile,
    OnnxFacts,
    cut,
)
from trireme.admission.inspection.protobuf import Value, message
from trireme.admission.inspection.reader import BoundedReader
from trireme.api.tensors import DataType
from trireme.errors import InspectionLimit, UnreadableModel

_MODEL_IR_VERSION, _MODEL_PRODUCER, _MODEL_PRODUCER_VERSION = 1, 2, 3
_MODEL_GRAPH, _MODEL_OPSET_IMPORT = 7, 8
_OPSET_DOMAIN, _OPSET_VERSION = 1, 2
_GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT = 5, 11, 12
_TENSOR_NAME, _TENSOR_EXTERNAL_DATA = 8, 13
_ENTRY_KEY, _ENTRY_VALUE = 1, 2
_VALUE_NAME, _VALUE_TYPE = 1, 2
_TENSOR_TYPE, _ELEMENT_TYPE, _SHAPE = 1, 1, 2
_DIMENSION, _DIMENSION_VALUE = 1, 1
_OTHER_TYPES = {4: "a sequence", 5: "a map", 8: "a sparse tensor", 9: "an optional"}

_DATA_TYPES = {
    1: DataType.FP32,
    2: DataType.UINT8,
    3: DataType.INT8,
    4: DataType.UINT16,
    5: DataType.INT16,
    6: DataType.INT32,
    7: DataType.INT64,
    8: DataType.STRING,
    9: DataType.BOOL,
    10: DataType.FP16,
    11: DataType.FP64,
    12: DataType.UINT32,
    13: DataType.UINT64,
}
"""TensorProto.DataType, for those that Triton's onnxruntime backend takes."""

_OTHER_DATA_TYPES = {14: "COMPLEX64", 15: "COMPLEX128", 16: "BFLOAT16"}
_DEFAULT_DOMAIN = "ai.onnx"  # written as the empty text, too


def read_onnx(name: str, reader: BoundedReader) -> ModelFile:
    """What an ONNX file says; raises UnreadableModel where it is none."""
    ir_version = 0
    producer: dict[int, str] = {}
    opsets: dict[str, int] = {}
    graphs: list[Value] = []
    for field, value in message(reader).fields():
        if field == _MODEL_IR_VERSION:
            ir_version = value.unsigned
        elif field in (_MODEL_PRODUCER, _MODEL_PRODUCER_VERSION):
            producer[field] = value.text()
        elif field == _MODEL_OPSET_IMPORT and len(opsets) < MOST_NAMES:
            domain, version = _opset(value)
            opsets[domain] = version
        elif field == _MODEL_GRAPH:
            graphs.append(value)
    if not ir_version or len(graphs) != 1:
        raise UnreadableModel(
            "it is a protobuf, but no ONNX model: it has no graph or no version",
            "Export the model again, or name the right file",
        )
    graph = _Graph(graphs[0])
    return ModelFile(
        name=name,
        format=Format.ONNX,
        size_bytes=reader.size,
        producer=cut(" ".join(text for _, text in sorted(producer.items()))) or None,
        inputs=tuple(each for each in graph.inputs if each.name not in graph.initializers),
        outputs=tuple(graph.outputs),
        onnx=OnnxFacts(
            ir_version=ir_version, opsets=opsets, external_data=tuple(graph.external_data)
        ),
    )


class _Graph:
    """The parts of a GraphProto that matter.

    Up to IR version 3 each initializer is an input, too; it is a default, which ONNX Runtime does
    not count among the inputs.
    """

    def __init__(self, graph: Value) -> None:
        self.inputs: list[FileTensor] = []
        self.outputs: list[FileTensor] = []
        self.initializers: set[str] = set()
        self.external_data: dict[str, None] = {}
        for field, value in graph.fields():
            if field == _GRAPH_INPUT:
                self.inputs.append(_tensor(value))
            elif field == _GRAPH_OUTPUT:
                self.outputs.append(_tensor(value))
            elif field == _GRAPH_INITIALIZER:
                self._initializer(value)
            if len(self.inputs) > len(self.initializers) + MOST_TENSORS or (
                len(self.outputs) > MOST_TENSORS
            ):
                raise InspectionLimit(f"it has over {MOST_TENSORS} inputs or outputs")

    def _initializer(self, tensor: Value) -> None:
        for field, value in tensor.fields():
            if field == _TENSOR_NAME:
                self.initializers.add(value.text())
            elif field == _TENSOR_EXTERNAL_DATA and len(self.external_data) < MOST_NAMES:
                entry = {key: each.text() for key, each in value.fields()}
                if entry.get(_ENTRY_KEY) == "location":
                    self.external_data[entry.get(_ENTRY_VALUE, "")] = None


def _opset(entry: Value) -> tuple[str, int]:
    domain, version = "", 0
    for field, value in entry.fields():
        if field == _OPSET_DOMAIN:
            domain = value.text()
        elif field == _OPSET_VERSION:
            version = value.signed
    return domain or _DEFAULT_DOMAIN, version


def _tensor(info: Value) -> FileTensor:
    name, described = "", FileTensor()
    for field, value in info.fields():
        if field == _VALUE_NAME:
            name = value.text()
        elif field == _VALUE_TYPE:
            described = _type(value)
    return described.model_copy(update={"name": name})


def _type(described: Value) -> FileTensor:
    for field, value in described.fields():
        if field in _OTHER_TYPES:
            return FileTensor(type_name=_OTHER_TYPES[field], is_tensor=False)
        if field == _TENSOR_TYPE:
            return _tensor_type(value)
    return FileTensor()


def _tensor_type(described: Value) -> FileTensor:
    element, dims = 0, None
    for field, value in described.fields():
        if field == _ELEMENT_TYPE:
            element = value.unsigned
        elif field == _SHAPE:
            dims = tuple(_dims(value))
    data_type = _DATA_TYPES.get(element)
    type_name = None if data_type else _OTHER_DATA_TYPES.get(element, f"type {element}")
    return FileTensor(data_type=data_type, type_name=type_name, dims=dims)


def _dims(shape: Value) -> Iterator[int]:
    """Each dimension's size; -1 where the file has a name for it, or nothing."""
    count = 0
    for field, value in shape.fields():
        if field != _DIMENSION:
            continue
        count += 1
        if count > MOST_DIMS:
            raise InspectionLimit(f"a tensor has over {MOST_DIMS} dimensions")
        sizes = [each.signed for key, each in value.fields() if key == _DIMENSION_VALUE]
        yield max(-1, sizes[-1]) if sizes else -1
