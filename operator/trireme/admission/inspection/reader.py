"""Random access to a file that may be in memory, on a disk or behind ranged requests. Pure.

Formats read through a `BoundedReader`, which fetches little, counts what it fetches, and ends an
inspection that would read too much.
"""

from dataclasses import dataclass
from typing import Protocol

from trireme.errors import InspectionLimit, UnreadableModel

CUT_SHORT = "Copy the file again: it was cut short, or is not complete yet"

_SMALLEST_FETCH_BYTES = 4 * 1024
_LARGEST_FETCH_BYTES = 64 * 1024


class Reader(Protocol):
    """A file: its size, and any part of it."""

    @property
    def size(self) -> int:
        """Bytes in the file."""
        ...

    def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset` on; fewer only where the file ends."""
        ...


@dataclass(frozen=True, slots=True)
class BytesReader:
    """A file that is in memory already."""

    content: bytes

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return len(self.content)

    def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset` on."""
        return self.content[offset : offset + length]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one inspection may cost.

    `fetched_bytes` and `fetches` are what the file's storage is asked for; `steps` is how many
    pieces are looked at, which bounds the time (a million take about 1 s); `text_bytes` is the
    longest piece, such as a text, that is held in memory at once.
    """

    fetched_bytes: int = 32 * 1024 * 1024
    fetches: int = 8_192
    steps: int = 1_000_000
    text_bytes: int = 8 * 1024 * 1024


class Budget:
    """What is left of the limits of one inspection."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.fetched_bytes = 0
        self.fetches = 0
        self.steps = 0

    def fetch(self, length: int) -> None:
        """Pay for a fetch; raises InspectionLimit before what is too much is fetched."""
        self.fetched_bytes += length
        self.fetches += 1
        if self.fetched_bytes > self.limits.fetched_bytes or self.fetches > self.limits.fetches:
            raise InspectionLimit(
                f"its structure takes over {self.limits.fetched_bytes} bytes or "
                f"{self.limits.fetches} reads to read"
            )

    def step(self) -> None:
        """Pay for a look at one piece; raises InspectionLimit."""
        self.steps += 1
        if self.steps > self.limits.steps:
            raise InspectionLimit(f"its structure has over {self.limits.steps} pieces")


class BoundedReader:
    """Reads exactly what is asked for, through one window of the file and within a budget.

    The window is small after a jump (weights are skipped by offset) and doubles, up to 64 KiB,
    while reading goes on where the last one ended.
    """

    def __init__(self, reader: Reader, budget: Budget) -> None:
        self.size = reader.size
        self.budget = budget
        self._reader = reader
        self._start = 0
        self._window = b""
        self._next_fetch = _SMALLEST_FETCH_BYTES

    def read(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from `offset` on.

        Raises UnreadableModel where the file ends before, InspectionLimit over the budget.
        """
        self.budget.step()
        end = offset + length
        if end > self.size:
            raise UnreadableModel(
                f"it ends at byte {self.size}, before the {length} bytes that it promises from "
                f"byte {offset} on",
                CUT_SHORT,
            )
        if length > self.budget.limits.text_bytes:
            raise InspectionLimit(f"a part of it of {length} bytes is too long")
        if length > _LARGEST_FETCH_BYTES:
            return self._fetch(offset, length)
        if not (self._start <= offset and end <= self._start + len(self._window)):
            self._move(offset, length)
        at = offset - self._start
        return self._window[at : at + length]

    def head(self, length: int) -> bytes:
        """The first `length` bytes, or all of a shorter file."""
        return self.read(0, min(length, self.size))

    def tail(self, length: int) -> bytes:
        """The last `length` bytes, or all of a shorter file."""
        length = min(length, self.size)
        return self.read(self.size - length, length)

    def _move(self, offset: int, length: int) -> None:
        window_end = self._start + len(self._window)
        is_sequential = self._start <= offset <= window_end + _SMALLEST_FETCH_BYTES
        self._next_fetch = (
            min(2 * self._next_fetch, _LARGEST_FETCH_BYTES)
            if is_sequential
            else _SMALLEST_FETCH_BYTES
        )
        size = min(max(length, self._next_fetch), self.size - offset)
        self._window = self._fetch(offset, size)
        self._start = offset

    def _fetch(self, offset: int, length: int) -> bytes:
        self.budget.fetch(length)
        content = self._reader.read(offset, length)
        if len(content) != length:
            raise UnreadableModel(
                f"only {len(content)} of {length} bytes could be read at byte {offset}", CUT_SHORT
            )
        return content
