"""Recorded inference requests as samples: of each request, every row of its batch.

A .jsonl file has a record a line, a .json file one or a list. A record is the body of a request in
KServe's v2 protocol, as it is sent over HTTP; or a CloudEvent in JSON that holds one; or what
KServe's logger puts into a bucket, which has it in base64. Of the answers that loggers keep beside
them nothing is read. A .json file may also be what perf_analyzer takes as --input-data.

All requests must have the same inputs, of one type and shape, in however many files they are.
Files are a stranger's: what comes of all of them in memory is bounded, and what cannot be used is
told with its place.
"""

import base64
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from trireme.errors import TriremeError
from trireme.optimizer.samples import Array, Arrays, sort_of

LARGEST_TEXT = 64 * 2**20
"""Bytes of a line, or of a .json file: what Triton takes of a request unless told otherwise
(HTTP_DEFAULT_MAX_INPUT_SIZE in its src/common.h). In Python's objects it may be 25 times as much.
"""
LARGEST_SAMPLES = 2 * 2**30
"""Bytes of all samples as arrays, which are copied once: half of what a Job has by default."""
MOST_REQUESTS = 1_000_000
"""Of all files: a thousand times what a gate needs, and minutes of reading."""

_ARRAY_BYTES = 200  # about, of an array in a list beside its numbers
_LONGEST_NAME = 256
_MOST_DIMENSIONS = 32  # numpy has 64 at most, and no model has as many
_LONGEST_SHOWN = 80
_EVENT, _STORED = "specversion", "ReqType"  # what CloudEvents have; what KServe's logger stores
_ANSWER = ".response"  # the end of an answer's type: org.kubeflow.serving.inference.response

_TYPES = {
    "BOOL": "bool",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
}
_FORM = (
    'Write {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}'
)
_OUT = "Leave the request out"
_AS_ARRAYS = "Write the samples by numpy.savez as .npz"

Numbers = npt.NDArray[np.number[Any] | np.bool_]


class Unusable(TriremeError):
    """What recorded requests cannot be used: `message` says where in `file` and why, `remedy` what
    to do.
    """

    def __init__(self, message: str, remedy: str, file: Path | None = None) -> None:
        super().__init__(f"{message}. {remedy}")
        self.message = message
        self.remedy = remedy
        self.file = file


def read_requests(files: Sequence[Path]) -> Arrays:
    """The samples of .jsonl and .json files, one file after another. Raises Unusable."""
    rows = _Rows()
    for file in files:
        with _told_of(file):
            (_read_lines if file.suffix == ".jsonl" else _read_document)(file, rows)
    return rows.arrays()


def _read_lines(file: Path, rows: "_Rows") -> None:
    """Those of a .jsonl file; empty lines are left out."""
    with _readable(), file.open("rb") as opened:
        for number in count(1):
            if not (line := opened.readline(LARGEST_TEXT + 1)):
                break
            place = _Place(file, f"line {number}")
            with _told(place):
                if len(line) > LARGEST_TEXT:
                    raise Unusable("is longer than 64 MiB", _AS_ARRAYS)
                if line.strip():
                    rows.add_request(_decoded(line), place)


def _read_document(file: Path, rows: "_Rows") -> None:
    """Those of a .json file."""
    with _readable(), file.open("rb") as opened:
        text = opened.read(LARGEST_TEXT + 1)
    if len(text) > LARGEST_TEXT:
        raise Unusable("is larger than 64 MiB", f"Write a request a line, as .jsonl. {_AS_ARRAYS}")
    entries = _entries(_decoded(text))
    is_typed = any(isinstance(each, dict) and _is_record(each) for each in entries)
    for number, entry in enumerate(entries, 1):
        place = _Place(file, f"entry {number}")
        with _told(place):
            if is_typed:
                rows.add_request(entry, place)
            else:
                rows.add_sample(entry, place)


# ------------------------------------------------------------------------------------------ files


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unusable(f"cannot be read: {error.strerror}", "Give a file that is yours") from error


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a request is."""

    file: Path
    within: str


@contextmanager
def _told_of(file: Path) -> Iterator[None]:
    """What is wrong within is told of this file."""
    try:
        yield
    except Unusable as error:
        raise Unusable(error.message, error.remedy, error.file or file) from error


@contextmanager
def _told(place: _Place) -> Iterator[None]:
    """What is wrong within is told with its place."""
    try:
        yield
    except Unusable as error:
        raise Unusable(f"{place.within} {error.message}", error.remedy, place.file) from error
    except RecursionError as error:
        raise Unusable(f"{place.within} is nested too deep", _FORM, place.file) from error


def _decoded(text: bytes) -> object:
    try:
        return json.loads(text.decode("utf-8-sig"), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise Unusable(f"is no JSON: {_shown(str(error))}", "Write it by a JSON library") from error


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _entries(document: object) -> Sequence[object]:
    if isinstance(document, dict):
        of_perf_analyzer = None if _EVENT in document else document.get("data")
        return of_perf_analyzer if isinstance(of_perf_analyzer, list) else [document]
    if isinstance(document, list):
        return document
    raise Unusable("is no list of requests", _FORM)


# -------------------------------------------------------------------------------------- a request


def _is_record(entry: Mapping[str, object]) -> bool:
    return bool({"inputs", _EVENT, _STORED} & entry.keys())


def _body(record: object) -> Mapping[str, object] | None:
    """The body of a request; None of an answer."""
    if not isinstance(record, dict):
        raise Unusable("is no object", _FORM)
    if _EVENT in record:
        kind, content, encoded = record.get("type"), record.get("data"), record.get("data_base64")
    elif _STORED in record:
        kind, content, encoded = record[_STORED], None, record.get("Bytes")
    else:
        return record
    if isinstance(kind, str) and kind.endswith(_ANSWER):
        return None
    if isinstance(encoded, str):
        content = _decoded(_unpacked(encoded))
    elif isinstance(content, str):
        content = _decoded(content.encode("utf-8", "surrogatepass"))
    if not isinstance(content, dict):
        raise Unusable("holds no request", "Keep the body of each request, sent as JSON, in it")
    return content


def _unpacked(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except ValueError as error:
        raise Unusable(f"is no base64: {error}", "Write the body in base64") from error


def _tensors(body: Mapping[str, object]) -> Arrays:
    inputs = body.get("inputs")
    if not isinstance(inputs, list) or not inputs:
        raise Unusable("has no inputs", _FORM)
    found: dict[str, Array] = {}
    for each in inputs:
        name, array = _tensor(each)
        if name in found:
            raise Unusable(f"has the input {name} twice", "Leave one out")
        found[name] = array
    if len({len(array) for array in found.values()}) > 1:
        told = ", ".join(f"{name} {len(array)}" for name, array in found.items())
        raise Unusable(
            f"has batches of different sizes: {told}", "Make the first dimension of all the batch"
        )
    return found


def _tensor(given: object) -> tuple[str, Array]:
    if not isinstance(given, dict):
        raise Unusable("has an input that is no object", _FORM)
    name, data_type = _name(given.get("name")), given.get("datatype")
    if "data" not in given:
        raise Unusable(
            f"has no data in JSON for the input {name}: what is sent in binary, or in shared "
            "memory, is not in it",
            f"Record requests that are sent as JSON. {_AS_ARRAYS}",
        )
    if not isinstance(data_type, str) or data_type not in _TYPES:
        raise Unusable(
            f"has the input {name} of the type {_shown(data_type)}, and what can be optimised "
            f"takes numbers: {', '.join(_TYPES)}",
            "Optimise the model that gets numbers, behind the one that reads text",
        )
    shape = _shape(name, given.get("shape"))
    values = _values(name, given["data"])
    return name, _shaped(name, _as_type(name, values, data_type), shape)


def _name(given: object) -> str:
    """An input's name, of which messages tell: no other is printed."""
    if not isinstance(given, str) or not given.isprintable() or not 0 < len(given) <= _LONGEST_NAME:
        raise Unusable(f"has an input whose name is {_shown(given)}", "Name the model's input")
    return given


def _shape(name: str, given: object) -> list[int]:
    if (
        not isinstance(given, list)
        or not 0 < len(given) <= _MOST_DIMENSIONS
        or not all(type(each) is int and each > 0 for each in given)
    ):
        raise Unusable(
            f"has the input {name} with the shape {_shown(given)}",
            f"Write whole numbers above 0, {_MOST_DIMENSIONS} at most; the first is the batch",
        )
    return given


def _shaped(name: str, values: Numbers, shape: Sequence[int]) -> Array:
    if math.prod(shape) != values.size:
        raise Unusable(
            f"has {values.size} values for the input {name}, and its shape {_shown(shape)} has not",
            "Write as many as the product of the shape, in the order of rows",
        )
    return values.reshape(shape)


def _values(name: str, data: object) -> Numbers:
    """The numbers of a list, which may be nested as its shape is."""
    if not isinstance(data, list) or not data:
        raise Unusable(f"has no list as the data of the input {name}", _FORM)
    kinds = _kinds(data)
    if not kinds <= {bool, int, float}:
        raise Unusable(f"has something else than numbers in the input {name}", _FORM)
    try:
        found: Numbers = np.array(data)
        if found.dtype.kind == "f" and float not in kinds:  # for want of a type, and rounded
            found = np.array(data, np.uint64)
    except OverflowError as error:
        raise Unusable(f"has a number in the input {name} that no type holds", _OUT) from error
    except ValueError as error:
        raise Unusable(
            f"has rows of different lengths in the input {name}",
            "Write the data flat, or nested as the shape is",
        ) from error
    if found.dtype.kind not in "biuf":
        raise Unusable(f"has a number in the input {name} that no type holds", _OUT)
    if found.ndim > _MOST_DIMENSIONS:
        raise Unusable(
            f"has lists in lists, {found.ndim} deep, in the input {name}",
            f"Nest them up to {_MOST_DIMENSIONS} deep",
        )
    return found


def _kinds(data: list[object]) -> set[type]:
    """The types of what a nested list holds."""
    kinds: set[type] = set(map(type, data))
    if list in kinds:
        kinds.remove(list)
        for each in data:
            if isinstance(each, list):
                kinds |= _kinds(each)
    return kinds


def _as_type(name: str, values: Numbers, data_type: str) -> Numbers:
    wanted = np.dtype(_TYPES[data_type])
    with np.errstate(over="ignore", invalid="ignore"):  # what does not fit is found below
        found: Numbers = values.astype(wanted)
    is_whole = wanted.kind != "f"
    fits = np.array_equal(found, values) if is_whole else bool(np.isfinite(found).all())
    if not fits or (values.dtype.kind == "b" and wanted.kind != "b"):
        raise Unusable(
            f"has values in the input {name} that are not of its type {data_type}",
            "Write the type that the model takes, and numbers of it",
        )
    return found


# ------------------------------------------------------------------------------- of perf_analyzer


def _sample(entry: object) -> Arrays:
    """A sample by its inputs: lists, or objects with `content` and `shape`. Types are not told."""
    if not isinstance(entry, dict) or not entry:
        raise Unusable(
            "is no object of lists by input",
            'Write {"data": [{"x": [1, 2]}]}; streams, of sequences, are not read',
        )
    return {_name(name): _single(name, given) for name, given in entry.items()}


def _single(name: str, given: object) -> Array:
    match given:
        case {"content": list(content), "shape": shape}:
            return _shaped(name, _values(name, content), [1, *_shape(name, shape)])
        case {"content": list(content)}:
            return _values(name, content)[np.newaxis]
        case {"b64": _} | {"content": {"b64": _}}:
            raise Unusable(
                f"has the input {name} in base64, and nothing says of which type", _AS_ARRAYS
            )
        case _:
            return _values(name, given)[np.newaxis]


# ------------------------------------------------------------------------------------------- all


@dataclass
class _Rows:
    """What was read of all files so far: of each input the batches, all of one type and shape."""

    _parts: dict[str, list[Array]] = field(default_factory=dict)
    _untyped: list[tuple[Arrays, _Place]] = field(default_factory=list)
    _first: _Place | None = None
    _requests: int = 0
    _bytes: int = 0

    def add_request(self, record: object, place: _Place) -> None:
        """The rows of a record, if it is a request."""
        body = _body(record)
        if body is not None:
            request = _tensors(body)
            self._count(request)
            self._add(request, place)

    def add_sample(self, entry: object, place: _Place) -> None:
        """A sample without types, which are known at the end: where one has a fraction, all of its
        input are doubles.
        """
        sample = _sample(entry)
        self._count(sample)
        self._untyped.append((sample, place))

    def _count(self, request: Arrays) -> None:
        self._requests += 1
        if self._requests > MOST_REQUESTS:
            raise Unusable(
                f"is one more than the {MOST_REQUESTS:,} requests that are read",
                "Leave out it and what follows, in other files, too",
            )
        self._bytes += sum(array.nbytes + _ARRAY_BYTES for array in request.values())
        if self._bytes > LARGEST_SAMPLES:
            raise Unusable(
                "makes the samples larger than 2 GiB",
                "Leave out it and what follows, in other files, too",
            )

    def _add(self, request: Arrays, place: _Place) -> None:
        first = self._first = self._first or place
        if not self._parts:
            self._parts = {name: [] for name in request}
        is_same_file = place.file == first.file
        others = "those before it" if is_same_file else f"those of {_shown(first.file.name)}"
        if request.keys() != self._parts.keys():
            raise Unusable(
                f"has the inputs {', '.join(request)}, and {others} {', '.join(self._parts)}",
                "Leave it out: all must be requests to one model",
            )
        for name, array in request.items():
            parts, sort = self._parts[name], sort_of(array)
            if parts and sort != (before := sort_of(parts[0])):
                raise Unusable(
                    f"has the input {name} as {sort}, and {others} {before}",
                    "Pad the inputs to one shape and write one type before they are sent, or leave "
                    "it out",
                )
            parts.append(array)

    def arrays(self) -> Arrays:
        """All rows, by input."""
        doubles = {
            name
            for sample, _ in self._untyped
            for name, array in sample.items()
            if array.dtype.kind == "f"
        }
        for sample, place in self._untyped:
            with _told(place):
                self._add(
                    {
                        name: array.astype(np.float64) if name in doubles else array
                        for name, array in sample.items()
                    },
                    place,
                )
        self._untyped.clear()
        return {name: np.concatenate(parts) for name, parts in self._parts.items()}


def _shown(value: object) -> str:
    text = value if isinstance(value, str) and value.isprintable() else repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."
