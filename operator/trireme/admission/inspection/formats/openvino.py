"""OpenVINO IR: inputs and outputs, from the XML that describes the graph.

Pure. Entities and document types are refused: with them, a few bytes can grow without bound.
Source of the layout: OpenVINO's documentation, "OpenVINO IR format", and files it wrote.
"""

from typing import NoReturn
from xml.parsers import expat

from trireme.admission.inspection.model_file import (
    MOST_DIMS,
    MOST_TENSORS,
    FileTensor,
    Format,
    ModelFile,
    cut,
)
from trireme.admission.inspection.reader import BoundedReader
from trireme.api.tensors import DataType
from trireme.errors import InspectionLimit, UnreadableModel

_DATA_TYPES = {
    "boolean": DataType.BOOL,
    "u8": DataType.UINT8,
    "u16": DataType.UINT16,
    "u32": DataType.UINT32,
    "u64": DataType.UINT64,
    "i8": DataType.INT8,
    "i16": DataType.INT16,
    "i32": DataType.INT32,
    "i64": DataType.INT64,
    "f16": DataType.FP16,
    "f32": DataType.FP32,
    "BOOL": DataType.BOOL,
    "U8": DataType.UINT8,
    "U16": DataType.UINT16,
    "U32": DataType.UINT32,
    "U64": DataType.UINT64,
    "I8": DataType.INT8,
    "I16": DataType.INT16,
    "I32": DataType.INT32,
    "I64": DataType.INT64,
    "FP16": DataType.FP16,
    "FP32": DataType.FP32,
}
"""Element types that Triton's openvino backend takes, as `element_type` of a Parameter and as
`precision` of a port spell them.
"""

_CHUNK_BYTES = 64 * 1024
_LONGEST_PIECE_BYTES = 1024 * 1024
_DEEPEST = 64
_MOST_PORTS = 100_000
_EXPORT_AGAIN = "Export the model again (openvino.save_model), or name the right file"


def read_openvino(name: str, reader: BoundedReader) -> ModelFile:
    """What an IR's XML says; raises UnreadableModel where it is none."""
    graph = _Graph(reader)
    graph.read()
    return ModelFile(
        name=name,
        format=Format.OPENVINO,
        size_bytes=reader.size,
        producer=graph.producer,
        inputs=tuple(graph.inputs),
        outputs=tuple(graph.outputs),
    )


class _Graph:
    """Parameters and results, taken while the XML passes by.

    Names of outputs are those of the port that feeds a result; since 2023 the result repeats them.
    """

    def __init__(self, reader: BoundedReader) -> None:
        self.producer: str | None = None
        self.inputs: list[FileTensor] = []
        self.outputs: list[FileTensor] = []
        self._reader = reader
        self._path: list[str] = []
        self._layer: dict[str, str] = {}
        self._port: dict[str, str] = {}
        self._data: dict[str, str] = {}
        self._names: str | None = None
        self._dims: list[int] = []
        self._text: list[str] = []
        self._result_layers: dict[str, int] = {}  # to the place in outputs
        self._port_names: dict[tuple[str, str], str] = {}
        self._feeds: dict[str, tuple[str, str]] = {}
        self._parsed_bytes = 0
        self._event_bytes = 0

    def read(self) -> None:
        parser = expat.ParserCreate()
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.StartDoctypeDeclHandler = _refuse_document_type
        parser.EntityDeclHandler = _refuse_document_type
        try:
            while self._parsed_bytes < self._reader.size:
                length = min(_CHUNK_BYTES, self._reader.size - self._parsed_bytes)
                chunk = self._reader.read(self._parsed_bytes, length)
                self._parsed_bytes += length
                parser.Parse(chunk, self._parsed_bytes == self._reader.size)
                if self._parsed_bytes - self._event_bytes > _LONGEST_PIECE_BYTES:
                    raise InspectionLimit("its XML has a piece of over 1 MiB")
        except (expat.ExpatError, ValueError, LookupError) as error:  # the last two: its encoding
            raise UnreadableModel(
                f"its XML cannot be read: {cut(str(error))}", _EXPORT_AGAIN
            ) from error
        for layer, at in self._result_layers.items():
            if self.outputs[at].name is None and layer in self._feeds:
                name = _first(self._port_names.get(self._feeds[layer]))
                self.outputs[at] = self.outputs[at].model_copy(update={"name": name})

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._event_bytes = self._parsed_bytes
        self._reader.budget.step()
        if not self._path and tag != "net":
            raise UnreadableModel(
                f"it is XML, but no OpenVINO IR: it begins with <{cut(tag)}>", _EXPORT_AGAIN
            )
        self._path.append(tag)
        if len(self._path) > _DEEPEST:
            raise InspectionLimit("its XML is nested too deeply")
        match self._path:
            case ["net", "layers", "layer"]:
                self._layer, self._data, self._port = attributes, {}, {}
            case ["net", "layers", "layer", "data"]:
                self._data = attributes
            case ["net", "layers", "layer", "input" | "output", "port"]:
                self._port, self._dims = attributes, []
                if "names" in attributes and self._path[3] == "output":
                    key = (self._layer.get("id", ""), attributes.get("id", ""))
                    self._port_names[key] = attributes["names"]
                    if len(self._port_names) > _MOST_PORTS:
                        raise InspectionLimit(f"it has over {_MOST_PORTS} named ports")
            case ["net", "layers", "layer", _, "port", "dim"]:
                self._text = []
            case ["net", "edges", "edge"] if attributes.get("to-layer") in self._result_layers:
                source = (attributes.get("from-layer", ""), attributes.get("from-port", ""))
                self._feeds[attributes["to-layer"]] = source
            case ["net", "rt_info", "info"] if attributes.get("name") == "OpenVINO Runtime":
                self.producer = cut(f"OpenVINO {attributes.get('value', '')}")

    def _characters(self, text: str) -> None:
        self._event_bytes = self._parsed_bytes
        if self._path and self._path[-1] == "dim" and len(self._text) < MOST_DIMS:
            self._text.append(text)

    def _end(self, tag: str) -> None:
        self._event_bytes = self._parsed_bytes
        match self._path:
            case ["net", "layers", "layer", _, "port", "dim"]:
                self._dims.append(_size("".join(self._text)))
                if len(self._dims) > MOST_DIMS:
                    raise InspectionLimit(f"a tensor has over {MOST_DIMS} dimensions")
            case ["net", "layers", "layer"] if self._layer.get("type") == "Parameter":
                element = self._data.get("element_type") or self._port.get("precision", "")
                self.inputs.append(self._tensor(element, self._port.get("names")))
            case ["net", "layers", "layer"] if self._layer.get("type") == "Result":
                element = self._port.get("precision", "")
                self.outputs.append(self._tensor(element, self._layer.get("output_names")))
                self._result_layers[self._layer.get("id", "")] = len(self.outputs) - 1
        self._path.pop()
        if len(self.inputs) > MOST_TENSORS or len(self.outputs) > MOST_TENSORS:
            raise InspectionLimit(f"it has over {MOST_TENSORS} inputs or outputs")

    def _tensor(self, element: str, names: str | None) -> FileTensor:
        """A tensor of the layer that ends.

        Where there are no dimensions, their number is unknown, unless a Parameter's shape is empty.
        """
        data_type = _DATA_TYPES.get(element)
        is_known = bool(self._dims) or self._data.get("shape") == ""
        return FileTensor(
            name=_first(names),
            data_type=data_type,
            type_name=None if data_type or not element else cut(element),
            dims=tuple(self._dims) if is_known else None,
        )


def _refuse_document_type(*_: object) -> NoReturn:
    raise UnreadableModel("its XML declares a document type, as no IR does", _EXPORT_AGAIN)


def _first(names: str | None) -> str | None:
    """The first of a port's names, which are separated by commas; one in a name has a backslash."""
    if not names:
        return None
    return names.replace("\\,", "\0").split(",")[0].replace("\0", ",")[:512]


def _size(text: str) -> int:
    """-1 for anything but a number, a range such as `1..8` included."""
    text = text.strip()
    return int(text) if text.isdecimal() and len(text) < 19 else -1
