"""Which bytes of an object are fetched at a time, and the journal of those that are there. Pure.

A journal's first line says of which object; every further line is the number of a block whose bytes
are on the disk. It is only ever appended to, so a crash can at worst leave half a last line, which
does not count.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from trireme.edge.stores.types import Object

BLOCK_BYTES = 16 * 1024 * 1024
"""One request's worth: large enough that its round trip does not show at 1 GB/s and 10 ms, small
enough that what a crash loses is fetched again in a blink."""


@dataclass(frozen=True, slots=True)
class Span:
    """One block of an object."""

    index: int
    offset: int
    length: int


def spans(item: Object, block: int = BLOCK_BYTES) -> tuple[Span, ...]:
    """An object's blocks: 40 MiB by 16 are 16, 16 and 8; all of it where it has no ranges."""
    if not item.ranged:
        block = max(item.size, 1)
    starts = range(0, item.size, block)
    return tuple(
        Span(index, start, min(block, item.size - start)) for index, start in enumerate(starts)
    )


def header(item: Object, block: int = BLOCK_BYTES) -> str:
    """A journal's first line: another version of the object has another one."""
    facts = {"key": item.key, "etag": item.etag, "size": item.size, "block": block}
    return json.dumps(facts, sort_keys=True) + "\n"


def entry(span: Span) -> str:
    """The line that says a block is there."""
    return f"{span.index}\n"


def there(journal: str, item: Object, block: int = BLOCK_BYTES) -> frozenset[int] | None:
    """The blocks that a journal says are there; None where it is of another version, or unreadable.

    An object without a version of its own cannot be told from another, so nothing of it is kept.
    """
    first = header(item, block)
    if not journal.startswith(first) or not (item.etag or item.sha256):
        return None
    lines = journal[len(first) :].split("\n")[:-1]
    known = {str(span.index) for span in spans(item, block)}
    return frozenset(int(line) for line in lines if line in known)


def missing(item: Object, done: Iterable[int], block: int = BLOCK_BYTES) -> tuple[Span, ...]:
    """The blocks that are still to be fetched, in order."""
    have = frozenset(done)
    return tuple(span for span in spans(item, block) if span.index not in have)
