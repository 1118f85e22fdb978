"""Values as JSON, and exactly back: the frozen dataclasses of a decision, whatever their fields.

Pure. What is written follows from the declared types, so that a field which is added to one of them
is written and read without a word here:

* a dataclass is an object of its fields; where a field may hold one of several dataclasses, `type`
  names which;
* a number declared as a float is one (7 becomes 7.0), in the shortest decimals that give the same
  float back; what JSON has no number for is text: "nan", "inf", "-inf";
* times are ISO 8601, durations seconds, enums their values, pydantic models their own JSON.

A field that is marked `WRITTEN_IF_SET` is left out at its default, so that what was written before
there was such a field is the same still. A field that is missing is left at its default, one that
is not known is refused: what a newer version has seen cannot be judged without it.
"""

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from functools import cache
from typing import Any

from pydantic import BaseModel, ValidationError

from trireme.autoscaler.wording import Words

_TAG = "type"
_IF_SET = "written if set"

WRITTEN_IF_SET: Mapping[str, bool] = types.MappingProxyType({_IF_SET: True})
"""Metadata of a dataclass's field."""


@dataclass(frozen=True, slots=True)
class Codec:
    """Both ways of one type. `read` raises ValueError where the JSON is no such value."""

    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


@cache
def codec(kind: Any) -> Codec:
    """The codec of a type. Raises TypeError for one that none is known for."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _union(arguments)
    if origin is tuple:
        return _items(arguments)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping(*arguments)
    if kind is float:
        return Codec(_write_float, _read_float)
    if kind is datetime:
        return Codec(datetime.isoformat, _checked(str, datetime.fromisoformat))
    if kind is timedelta:
        return Codec(
            lambda value: _write_float(value.total_seconds()),
            lambda value: timedelta(seconds=_read_float(value)),
        )
    if isinstance(kind, type):
        if dataclasses.is_dataclass(kind):
            return _dataclass(kind)
        if issubclass(kind, Enum):
            return Codec(lambda value: value.value, kind)
        if issubclass(kind, BaseModel):
            return _model(kind)
        if kind is Words:
            return Codec(str, _checked(str, Words))
        if kind in (bool, int, str):
            return Codec(lambda value: value, _checked(kind, lambda value: value))
        if kind is type(None):
            return Codec(lambda value: None, _checked(kind, lambda value: value))
    raise TypeError(f"no JSON is known for {kind}")


def _checked(kind: type, reader: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A reader of one type of JSON; true is no 1 here."""

    def read(value: Any) -> Any:
        if type(value) is not kind:
            raise ValueError(f"{value!r} is not of type {kind.__name__}")
        return reader(value)

    return read


def _write_float(value: float) -> float | str:
    number = float(value)
    return number if math.isfinite(number) else str(number)


def _read_float(value: Any) -> float:
    if isinstance(value, str) and value not in ("nan", "inf", "-inf"):
        raise ValueError(f"{value!r} is not a number")
    if isinstance(value, bool) or not isinstance(value, float | int | str):
        raise ValueError(f"{value!r} is not a number")
    return float(value)


def _items(arguments: tuple[Any, ...]) -> Codec:
    """Of tuple[T, ...], and of tuples of a fixed length."""
    repeated = len(arguments) == 2 and arguments[1] is Ellipsis
    of_items = [codec(each) for each in arguments if each is not Ellipsis]

    def paired(value: Any) -> list[tuple[Codec, Any]]:
        codecs = of_items * len(value) if repeated else of_items
        return list(zip(codecs, value, strict=True))

    def read(value: Any) -> tuple[Any, ...]:
        pairs = paired(_checked(list, list)(value))
        return tuple(_within(f"[{at}]", each.read, told) for at, (each, told) in enumerate(pairs))

    return Codec(lambda value: [each.write(item) for each, item in paired(value)], read)


def _mapping(key: Any, value: Any) -> Codec:
    """Of Mapping[str, T], in the order of the keys: equal mappings are written alike."""
    if key is not str:
        raise TypeError(f"no JSON is known for a mapping by {key}")
    of_value = codec(value)

    def read(told: Any) -> dict[str, Any]:
        entries = _checked(dict, dict)(told)
        return {name: _within(f".{name}", of_value.read, each) for name, each in entries.items()}

    return Codec(
        lambda told: {name: of_value.write(each) for name, each in sorted(told.items())}, read
    )


def _union(members: tuple[Any, ...]) -> Codec:
    """Of `T | None`, and of several dataclasses, with or without None."""
    present = [member for member in members if member is not type(None)]
    if len(present) == 1:
        of_value = codec(present[0])
    elif all(dataclasses.is_dataclass(member) for member in present):
        of_value = _tagged(present)
    else:
        raise TypeError(f"no JSON is known for one of {members}")
    if len(present) == len(members):
        return of_value
    return Codec(
        lambda value: None if value is None else of_value.write(value),
        lambda value: None if value is None else of_value.read(value),
    )


def _tagged(members: list[Any]) -> Codec:
    by_name = {member.__name__: member for member in members}

    def write(value: Any) -> dict[str, Any]:
        kind = by_name[type(value).__name__]
        return {_TAG: kind.__name__, **codec(kind).write(value)}

    def read(value: Any) -> Any:
        fields = _checked(dict, dict)(value)
        name = fields.pop(_TAG, None)
        if name not in by_name:
            raise ValueError(f"{_TAG} {name!r} is none of {', '.join(by_name)}")
        return codec(by_name[name]).read(fields)

    return Codec(write, read)


def _dataclass(kind: Any) -> Codec:
    hints = typing.get_type_hints(kind)
    fields = [each for each in dataclasses.fields(kind) if each.init]
    codecs = {each.name: codec(hints[each.name]) for each in fields}
    required = {
        each.name
        for each in fields
        if each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING
    }

    left_out = {each.name: each.default for each in fields if each.metadata.get(_IF_SET)}

    def write(value: Any) -> dict[str, Any]:
        present = ((name, getattr(value, name)) for name in codecs)
        return {
            name: codecs[name].write(each)
            for name, each in present
            if name not in left_out or each != left_out[name]
        }

    def read(value: Any) -> Any:
        told = _checked(dict, dict)(value)
        if unknown := sorted(told.keys() - codecs.keys()):
            raise ValueError(f"{kind.__name__} has no field {unknown[0]!r} in this version")
        if missing := sorted(required - told.keys()):
            raise ValueError(f"{kind.__name__} has no {missing[0]!r}")
        return kind(**{name: _within(f".{name}", codecs[name].read, told[name]) for name in told})

    return Codec(write, read)


def _model(kind: type[BaseModel]) -> Codec:
    def read(value: Any) -> BaseModel:
        try:
            return kind.model_validate(value, by_alias=True, by_name=False)
        except ValidationError as error:
            first = error.errors()[0]
            path = ".".join(str(part) for part in first["loc"])
            raise ValueError(f"{path}: {first['msg']}") from None

    return Codec(lambda value: value.model_dump(mode="json", by_alias=True), read)


def _within(where: str, read: Callable[[Any], Any], value: Any) -> Any:
    """Read a part; what is wrong with it is told with its path."""
    try:
        return read(value)
    except ValueError as error:
        path = getattr(error, "path", "")
        told = _Misplaced(f"{where}{path}", getattr(error, "words", str(error)))
        raise told from None


class _Misplaced(ValueError):
    """What is wrong, and where."""

    def __init__(self, path: str, words: str) -> None:
        super().__init__(f"{path.removeprefix('.')}: {words}")
        self.path = path
        self.words = words
