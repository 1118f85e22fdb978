"""What a model answered, in the three spellings of KServe's v2 protocol: JSON, JSON followed by
binary data, gRPC. Pure.

The answers are a stranger's: whatever cannot be read is Unreadable, whose text holds none of it,
and what would not fit once it is decoded is TooManyParts.
"""

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError
from tritonclient.grpc import service_pb2

from trireme.comparer.decode import from_json, from_wire
from trireme.errors import TriremeError

BYTES = "BYTES"
BF16 = "BF16"  # which numpy does not have: the upper half of a float32

_NUMBERS = {
    "BOOL": "|u1",
    "UINT8": "|u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "|i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}
_TYPED_CONTENTS = {
    "BOOL": "bool_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    BYTES: "bytes_contents",
}
_LENGTH = struct.Struct("<I")  # before each element of BYTES

Numbers = npt.NDArray[np.number[Any]]


class Unreadable(TriremeError):
    """An answer that is not of the protocol."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """`values` are in row-major order: a flat array of numbers, of BYTES a tuple."""

    data_type: str
    shape: tuple[int, ...]
    values: Numbers | tuple[bytes, ...]

    def __post_init__(self) -> None:
        if min(self.shape, default=0) < 0 or math.prod(self.shape) != len(self.values):
            raise Unreadable("an output has not as many values as its shape says")


Outputs = Mapping[str, Tensor]
"""An answer: its outputs by name."""


def of_http(body: bytes, header_length: str | None) -> Outputs:
    """The outputs of an HTTP answer; `header_length` is its Inference-Header-Content-Length, None
    where all of it is JSON.
    """
    try:
        header, binary = split(body, header_length)
        return dict(_http_outputs(from_json(header), memoryview(binary)))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError):
        raise Unreadable("an answer over HTTP is not of the protocol") from None


def of_grpc(body: bytes) -> Outputs:
    """The outputs of a ModelInferResponse."""
    try:
        answer = from_wire(service_pb2.ModelInferResponse, body)
        return dict(_grpc_outputs(answer))
    except (DecodeError, KeyError, TypeError, ValueError, OverflowError):
        raise Unreadable("an answer over gRPC is not of the protocol") from None


def split(body: bytes, header_length: str | None) -> tuple[bytes, bytes]:
    """The JSON of a body, and the binary data behind it. ValueError where there is no such place
    to split it at.
    """
    if header_length is None:
        return body, b""
    length = int(header_length)
    if not 0 <= length <= len(body):
        raise ValueError("a header that is longer than the body")
    return body[:length], body[length:]


def of_bytes(data_type: str, shape: Sequence[int], raw: bytes | memoryview) -> Tensor:
    """A tensor from its bytes as Triton has them in memory."""
    values: Numbers | tuple[bytes, ...]
    if data_type == BYTES:
        values = tuple(_elements(raw))
    elif data_type == BF16:
        values = (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4")
    else:
        values = np.frombuffer(raw, _NUMBERS[data_type])
    return Tensor(data_type, tuple(shape), values)


def _http_outputs(answer: Any, binary: memoryview) -> Iterator[tuple[str, Tensor]]:
    for output in answer["outputs"]:
        name, data_type, shape = str(output["name"]), output["datatype"], output["shape"]
        size = output.get("parameters", {}).get("binary_data_size")
        if size is None:
            yield name, _of_values(data_type, shape, output["data"])
        else:
            if not 0 <= size <= len(binary):
                raise ValueError("less binary data than there should be")
            yield name, of_bytes(data_type, shape, binary[:size])
            binary = binary[size:]


def _grpc_outputs(answer: Any) -> Iterator[tuple[str, Tensor]]:
    raw = answer.raw_output_contents
    if raw:
        for output, content in zip(answer.outputs, raw, strict=True):
            yield output.name, of_bytes(output.datatype, output.shape, content)
    else:
        for output in answer.outputs:
            values = getattr(output.contents, _TYPED_CONTENTS[output.datatype])
            yield output.name, _of_values(output.datatype, output.shape, list(values))


def _of_values(data_type: str, shape: Sequence[int], values: Any) -> Tensor:
    """A tensor from its values, which may be nested as its shape is."""
    if data_type == BYTES:
        flat = np.array(values, dtype=object).reshape(-1)
        return Tensor(data_type, tuple(shape), tuple(_encoded(each) for each in flat))
    with np.errstate(over="ignore"):  # beyond the type's largest number is infinity
        numbers = np.array(values, dtype="<f4" if data_type == BF16 else _NUMBERS[data_type])
    return Tensor(data_type, tuple(shape), numbers.reshape(-1))


def _encoded(value: Any) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")


def _elements(raw: bytes | memoryview) -> Iterator[bytes]:
    view, at = memoryview(raw), 0
    while at < len(view):
        if at + _LENGTH.size > len(view):
            raise ValueError("an element without its length")
        (size,) = _LENGTH.unpack_from(view, at)
        at += _LENGTH.size
        if at + size > len(view):
            raise ValueError("an element that is cut off")
        yield bytes(view[at : at + size])
        at += size
