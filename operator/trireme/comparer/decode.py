"""A stranger's JSON and protobuf are decoded only where what comes of it is bounded. Pure.

A body of a few megabytes may be millions of empty things, each an object of some hundred bytes
once it is decoded. So they are counted first, which takes no memory.
"""

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

from google.protobuf.descriptor import Descriptor

from trireme.errors import TriremeError

_MOST_MARKS = 2**18
"""Of JSON: brackets that open, and quotes, two to a string. An image of 224 x 224 x 3, nested as
its shape is, has 50,401; each comes to about 100 bytes, so that all are 25 MiB."""

_MOST_FIELDS = 2**16
"""Of a message and of those within it. An input has about six, all its numbers being one; each
comes to 500 bytes at most, so that all are 32 MiB."""


class TooManyParts(TriremeError):
    """A body that would be many times as large once it is decoded."""


def from_json(text: bytes) -> Any:
    """What JSON holds. ValueError where it is none, TooManyParts."""
    if sum(map(text.count, (b"{", b"[", b'"'))) > _MOST_MARKS:
        raise TooManyParts("JSON of too many parts")
    return json.loads(text)


def from_wire(kind: Any, body: bytes) -> Any:
    """A message of a `kind` that protoc made. ValueError or DecodeError where it is none,
    TooManyParts.
    """
    fields = islice(_fields(kind.DESCRIPTOR, memoryview(body)), _MOST_FIELDS + 1)
    if sum(1 for _ in fields) > _MOST_FIELDS:
        raise TooManyParts("a message of too many parts")
    return kind.FromString(body)


def _fields(kind: Descriptor, message: memoryview) -> Iterator[int]:
    """The numbers of all fields, of the messages within it too."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, wire_type = divmod(tag, 8)
        yield number
        match wire_type:
            case 0:
                _, at = _varint(message, at)
            case 1:
                at += 8
            case 2:
                size, at = _varint(message, at)
                field = kind.fields_by_number.get(number)
                if field is not None and field.message_type is not None:
                    yield from _fields(field.message_type, message[at : at + size])
                at += size
            case 5:
                at += 4
            case _:
                raise ValueError("a group, or no wire type")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """A number, and where it ends. ValueError where there is none."""
    value = 0
    for shift, byte in enumerate(message[at : at + 10]):
        value |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return value, at + shift + 1
    raise ValueError("a number that does not end")
