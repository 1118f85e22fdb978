"""Walks protobuf's wire format by offset, so that gigabytes of weights are skipped, not read.

Pure. Source of the format: protobuf's documentation, "Encoding". A library would parse, and so
hold, the whole message.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from trireme.admission.inspection.reader import CUT_SHORT, BoundedReader
from trireme.errors import UnreadableModel

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_LONGEST_VARINT = 10
_MALFORMED = "Export the model again, or name the right file"


@dataclass(frozen=True, slots=True)
class Value:
    """One field's value: the bytes from `start` to `end`, or, where `number` is there, a number."""

    reader: BoundedReader
    start: int
    end: int
    number: int | None = None

    @property
    def signed(self) -> int:
        """The number as an int64; raises UnreadableModel where the field holds bytes."""
        number = self.unsigned
        return number - (1 << 64) if number >= 1 << 63 else number

    @property
    def unsigned(self) -> int:
        """The number; raises UnreadableModel where the field holds bytes."""
        if self.number is None:
            raise _malformed(self.start)
        return self.number

    @property
    def content(self) -> bytes:
        """The bytes; raises UnreadableModel where the field is a number."""
        if self.number is not None:
            raise _malformed(self.start)
        return self.reader.read(self.start, self.end - self.start)

    def text(self, longest: int = 512) -> str:
        """The bytes as text, without what is over `longest` bytes of it."""
        if self.number is not None:
            raise _malformed(self.start)
        length = min(longest, self.end - self.start)
        return self.reader.read(self.start, length).decode("utf-8", "replace")

    def fields(self) -> Iterator[tuple[int, "Value"]]:
        """The field numbers and values of a message, in the order of the file.

        Raises UnreadableModel where the bytes are no message.
        """
        if self.number is not None:
            raise _malformed(self.start)
        offset = self.start
        while offset < self.end:
            key, offset = _varint(self.reader, offset, self.end)
            field, wire = key >> 3, key & 7
            if field == 0:
                raise _malformed(offset)
            if wire == _VARINT:
                number, after = _varint(self.reader, offset, self.end)
                yield field, Value(self.reader, offset, after, number)
                offset = after
                continue
            if wire == _BYTES:
                length, offset = _varint(self.reader, offset, self.end)
            elif wire in (_FIXED32, _FIXED64):
                length = 4 if wire == _FIXED32 else 8
            else:
                raise _malformed(offset)
            after = offset + length
            if after > self.end:
                raise UnreadableModel(
                    f"it is cut short: a part at byte {offset} says that it is {length} bytes "
                    f"long, and {self.end - offset} are there",
                    CUT_SHORT,
                )
            yield field, Value(self.reader, offset, after)
            offset = after


def message(reader: BoundedReader) -> Value:
    """A file that is one message."""
    return Value(reader, 0, reader.size)


def _varint(reader: BoundedReader, offset: int, end: int) -> tuple[int, int]:
    """A number of 7 bits a byte, least first, and the offset after it."""
    content = reader.read(offset, min(_LONGEST_VARINT, end - offset))
    number = 0
    for index, byte in enumerate(content):
        number |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return number & 0xFFFF_FFFF_FFFF_FFFF, offset + index + 1
    if len(content) < _LONGEST_VARINT:
        raise UnreadableModel(f"it is cut short: it ends within a number at byte {end}", CUT_SHORT)
    raise _malformed(offset)


def _malformed(offset: int) -> UnreadableModel:
    return UnreadableModel(f"the bytes at {offset} are no protobuf", _MALFORMED)
