"""TensorFlow SavedModel: the tensors of its signature, by walking the protobuf past its functions.

Pure. Source of the field numbers: saved_model.proto, meta_graph.proto, tensor_shape.proto and
types.proto of TensorFlow.
"""

from collections.abc import Iterator

from trireme.admission.inspection.model_file import (
    MOST_DIMS,
    MOST_NAMES,
    MOST_TENSORS,
    FileTensor,
    Format,
    ModelFile,
    cut,
)
from trireme.admission.inspection.protobuf import Value, message
from trireme.admission.inspection.reader import BoundedReader
from trireme.api.tensors import DataType
from trireme.errors import InspectionLimit, UnreadableModel

_META_GRAPHS = 2  # of SavedModel
_META_INFO, _SIGNATURE_DEF = 1, 5  # of MetaGraphDef
_TENSORFLOW_VERSION = 5  # of MetaInfoDef
_KEY, _VALUE = 1, 2  # of a map's entry
_INPUTS, _OUTPUTS = 1, 2  # of SignatureDef
_DTYPE, _SHAPE = 2, 3  # of TensorInfo
_DIM, _UNKNOWN_RANK = 2, 3  # of TensorShapeProto
_SIZE = 1  # of a Dim

_DATA_TYPES = {
    1: DataType.FP32,
    2: DataType.FP64,
    3: DataType.INT32,
    4: DataType.UINT8,
    5: DataType.INT16,
    6: DataType.INT8,
    7: DataType.STRING,
    9: DataType.INT64,
    10: DataType.BOOL,
    14: DataType.BF16,
    17: DataType.UINT16,
    19: DataType.FP16,
    22: DataType.UINT32,
    23: DataType.UINT64,
}
"""DataType of types.proto, for those that Triton has."""

_SERVING = "serving_default"


def read_saved_model(name: str, reader: BoundedReader) -> ModelFile:
    """What a saved_model.pb says of its signature `serving_default`.

    Raises UnreadableModel where it is no SavedModel, or has no such signature.
    """
    signatures: dict[str, Value] = {}
    producer = None
    for graph in (value for field, value in message(reader).fields() if field == _META_GRAPHS):
        for field, value in graph.fields():
            if field == _META_INFO:
                versions = [each for key, each in value.fields() if key == _TENSORFLOW_VERSION]
                producer = f"TensorFlow {versions[-1].text()}" if versions else producer
            elif field == _SIGNATURE_DEF and len(signatures) < MOST_NAMES:
                key, signature = _entry(value)
                signatures[key] = signature
    if _SERVING not in signatures:
        found = ", ".join(cut(key) for key in sorted(signatures)) or "none"
        raise UnreadableModel(
            f"it has no signature {_SERVING}; its signatures are: {found}",
            f"Save it with signatures={{'{_SERVING}': ...}}",
        )
    inputs, outputs = _tensors(signatures[_SERVING])
    return ModelFile(
        name=name,
        format=Format.SAVED_MODEL,
        size_bytes=reader.size,
        producer=cut(producer) if producer else None,
        inputs=tuple(sorted(inputs, key=_name)),
        outputs=tuple(sorted(outputs, key=_name)),
    )


def _name(tensor: FileTensor) -> str:
    return tensor.name or ""


def _entry(entry: Value) -> tuple[str, Value]:
    """A map's entry: its key, and its message (an empty one where it has none)."""
    key, found = "", Value(entry.reader, entry.start, entry.start)
    for field, value in entry.fields():
        if field == _KEY:
            key = value.text()
        elif field == _VALUE:
            found = value
    return key, found


def _tensors(signature: Value) -> tuple[list[FileTensor], list[FileTensor]]:
    inputs: list[FileTensor] = []
    outputs: list[FileTensor] = []
    for field, value in signature.fields():
        if field in (_INPUTS, _OUTPUTS):
            (inputs if field == _INPUTS else outputs).append(_tensor(*_entry(value)))
        if len(inputs) + len(outputs) > MOST_TENSORS:
            raise InspectionLimit(f"its signature has over {MOST_TENSORS} tensors")
    return inputs, outputs


def _tensor(name: str, info: Value) -> FileTensor:
    data_type, type_name, dims = None, None, None
    for field, value in info.fields():
        if field == _DTYPE:
            data_type = _DATA_TYPES.get(value.unsigned)
            type_name = None if data_type else f"type {value.unsigned}"
        elif field == _SHAPE:
            dims = _dims(value)
    return FileTensor(name=name, data_type=data_type, type_name=type_name, dims=dims)


def _dims(shape: Value) -> tuple[int, ...] | None:
    """Sizes, -1 where a size is not known; None where even their number is not."""
    dims: list[int] = []
    for field, value in shape.fields():
        if field == _UNKNOWN_RANK and value.unsigned:
            return None
        if field == _DIM:
            dims.append(_size(value.fields()))
        if len(dims) > MOST_DIMS:
            raise InspectionLimit(f"a tensor has over {MOST_DIMS} dimensions")
    return tuple(dims)


def _size(dim: Iterator[tuple[int, Value]]) -> int:
    sizes = [value.signed for field, value in dim if field == _SIZE]
    return max(-1, sizes[-1]) if sizes else 0  # proto3 leaves out a 0
