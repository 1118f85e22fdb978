"""A table with two columns, the API's fields and a protobuf's: written from either side. Pure.

Render and import are inverses because both read the same rows. A row names an attribute of an API
type and a field of a message; a dotted name goes inwards (`response_cache.enable`,
`batching.dynamic`). What stands there is found from the message's own descriptor: a scalar, a
message with a table of its own, a list or a map of either.

Absent stays absent. None, and an empty list or map, write nothing; any other value within an inner
message makes that message present, whatever the value. A field that the message does not have reads
as the API's default.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

Type = TypeVar("Type", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Spelling:
    """How one value is spelt on both sides."""

    to_proto: Callable[[Any], Any]
    from_proto: Callable[[Any], Any]


SAME = Spelling(lambda value: value, lambda value: value)

EMPTY_COUNTS = Spelling(lambda value: value, lambda value: value)
"""For a list that may be said to be empty: `reshape { }` is a scalar, no reshape is none."""

PRESENCE = Spelling(lambda value: value, lambda value: value)
"""For an empty message that counts by being there: true."""


def enumerated(numbers: Mapping[Any, int]) -> Spelling:
    """An enum's members and their numbers; a number without a member reads as None."""
    members = {number: member for member, number in numbers.items()}
    return Spelling(numbers.__getitem__, members.get)


@dataclass(frozen=True, slots=True)
class Row:
    """One attribute of an API type and one field of a message, by dotted names.

    `spelt` says how a scalar, each item of a list or each value of a map is spelt. For maps,
    `value` names the one field of its values that counts (`string_value` of Triton's parameters),
    and `key` the attribute that is the key where the API has a list instead.
    """

    attribute: str
    field: str
    spelt: "Spelling | Codec[Any]" = SAME
    value: str = ""
    key: str = ""

    @property
    def outermost(self) -> str:
        """The field of the whole message that the row is in."""
        return self.field.partition(".")[0]


class Codec(Generic[Type]):
    """The table of one API type and one kind of message."""

    def __init__(self, api_type: type[Type], *rows: Row) -> None:
        self.api_type = api_type
        self.rows = rows

    def write(self, value: Type, message: Any) -> None:
        """Write every attribute that the table names into a message."""
        for row in self.rows:
            _write(row, _attribute(value, row.attribute), message)

    def read(self, message: Any) -> Type:
        """The API's value of a message, of what the table names.

        Raises pydantic.ValidationError where the API does not take it.
        """
        return self.api_type.model_validate(self.values(message), by_name=True)

    def values(self, message: Any) -> dict[str, Any]:
        """The attributes that a message sets, those within others nested."""
        found: dict[str, Any] = {}
        for row in self.rows:
            value = _read(row, message)
            if value is not None and not self._says_nothing(row, value):
                *outer, last = row.attribute.split(".")
                place = found
                for name in outer:
                    place = place.setdefault(name, {})
                place[last] = value
        return found

    def _says_nothing(self, row: Row, value: Any) -> bool:
        """Whether a value is the protobuf's default for an attribute that may be absent instead."""
        attribute = self.api_type.model_fields.get(row.attribute)
        may_be_absent = attribute is not None and attribute.default is None
        return may_be_absent and "." not in row.field and value in (0, "", False)


def _attribute(value: Any, dotted: str) -> Any:
    for name in dotted.split("."):
        value = getattr(value, name) if value is not None else None
    return value


def _write(row: Row, value: Any, message: Any) -> None:
    if value is None:
        return
    *outer, last = row.field.split(".")
    is_unsaid = isinstance(value, list | dict) and not value and not _is_nullable(row)
    if is_unsaid:
        return
    for name in outer:
        message = getattr(message, name)
        message.SetInParent()
    field = message.DESCRIPTOR.fields_by_name[last]
    target = getattr(message, last)
    if row.key and isinstance(row.spelt, Codec):
        for each in value:
            row.spelt.write(each, target[getattr(each, row.key)])
    elif _is_map(field):
        for key, each in value.items():
            _write_map_value(row, each, target, key)
    elif isinstance(row.spelt, Codec):
        if field.is_repeated:
            for each in value:
                row.spelt.write(each, target.add())
        else:
            target.SetInParent()
            row.spelt.write(value, target)
    elif field.is_repeated:
        target.extend(row.spelt.to_proto(each) for each in value)
    elif row.spelt is PRESENCE:
        if value:
            target.SetInParent()
    else:
        setattr(message, last, row.spelt.to_proto(value))


def _write_map_value(row: Row, value: Any, target: Any, key: Any) -> None:
    if isinstance(row.spelt, Codec):
        row.spelt.write(value, target[key])
    elif row.value:
        inner = target[key]  # reading a key makes it
        if inner.DESCRIPTOR.fields_by_name[row.value].is_repeated:
            getattr(inner, row.value).extend(value)
        else:
            setattr(inner, row.value, value)
    else:
        target[key] = row.spelt.to_proto(value)


def _read(row: Row, message: Any) -> Any:
    *outer, last = row.field.split(".")
    for name in outer:
        if not message.HasField(name):
            return None
        message = getattr(message, name)
    field = message.DESCRIPTOR.fields_by_name[last]
    value = getattr(message, last)
    if row.key:
        return [{row.key: key, **_read_item(row, each)} for key, each in sorted(value.items())]
    if _is_map(field):
        return {key: _read_map_value(row, each) for key, each in sorted(value.items())} or None
    if field.is_repeated:
        items = [_read_item(row, each) for each in value]
        return items if items or _is_nullable(row) else None
    if field.has_presence and not message.HasField(last):
        return None
    return _read_item(row, value)


def _read_item(row: Row, value: Any) -> Any:
    if isinstance(row.spelt, Codec):
        return row.spelt.values(value)
    return True if row.spelt is PRESENCE else row.spelt.from_proto(value)


def _read_map_value(row: Row, value: Any) -> Any:
    if row.value:
        inner = getattr(value, row.value)
        is_list = value.DESCRIPTOR.fields_by_name[row.value].is_repeated
        return list(inner) if is_list else inner
    return _read_item(row, value)


def _is_map(field: Any) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _is_nullable(row: Row) -> bool:
    """Whether an empty list says something: the one in an inner message of its own does."""
    return row.spelt is EMPTY_COUNTS
