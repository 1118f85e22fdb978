"""The manifest of a folder: what `sha256sum` prints for its files. Pure.

    cd FOLDER && find . -type f -printf '%P\\0' | LC_ALL=C sort -z | xargs -0 sha256sum

One line a file, `<sha256>  <path>`, sorted by the path's bytes; the manifest's own sha256 is the
folder's digest. (sha256sum would escape backslashes and line ends, which no path here holds.)
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from trireme.fetcher.paths import refuse_clashes, safe

_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a folder and the digest of its content."""

    path: str
    sha256: str


def text(entries: Iterable[Entry]) -> str:
    """The manifest."""
    ordered = sorted(entries, key=lambda entry: entry.path.encode())
    return "".join(f"{entry.sha256}  {entry.path}\n" for entry in ordered)


def digest(entries: Iterable[Entry]) -> str:
    """The sha256 of the manifest, in hexadecimal."""
    return hashlib.sha256(text(entries).encode()).hexdigest()


def parse(written: str) -> tuple[Entry, ...]:
    """The entries of a manifest. Raises ValueError or FetchFailed where it is none of ours."""
    entries = []
    for line in written.removesuffix("\n").split("\n") if written else ():
        match = _LINE.fullmatch(line)
        if match is None or safe(match[2]) != match[2]:
            raise ValueError("a line of the manifest is not `<sha256>  <path>`")
        entries.append(Entry(match[2], match[1]))
    refuse_clashes([entry.path for entry in entries])
    if text(entries) != written:
        raise ValueError("the manifest is not sorted, or holds more than its lines")
    return tuple(entries)
