"""What every store offers: a list of objects, and any range of one of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

CHUNK_BYTES = 1024 * 1024
"""How much of a range is held in memory at a time."""


@dataclass(frozen=True, slots=True)
class Object:
    """One file of a source.

    `path` is relative to what the URI names, `key` is what the store reads it by. `etag` changes
    whenever the bytes do, and is empty where the store tells nothing of the kind. `sha256` is the
    store's own word for the content, if it has one. A store that is not `ranged` can only send the
    object whole.
    """

    path: str
    key: str
    size: int
    etag: str = ""
    sha256: str | None = None
    ranged: bool = True


@dataclass(frozen=True, slots=True)
class Listing:
    """What a URI names now.

    `single` tells a URI that names one file from one that names a folder or prefix, even of one
    file. `revision` is what a branch or tag stands for: a commit, a digest.
    """

    objects: tuple[Object, ...]
    single: bool
    revision: str | None = None

    @property
    def size(self) -> int:
        """Bytes of all objects."""
        return sum(each.size for each in self.objects)


class Named(Protocol):
    """What a URI names, in its own words."""

    @property
    def name(self) -> str:
        """The URI as messages may show it: without anything secret."""

    @property
    def file_name(self) -> str:
        """The URI's last part; empty where only the source itself tells the file's name."""


class Store(Protocol):
    """A source of files. Every method raises `FetchFailed` with the reason; none tries again."""

    @property
    def location(self) -> Named:
        """What the URI says."""

    @property
    def pinned(self) -> bool:
        """Whether the URI can only ever name these bytes: it holds a commit or a digest."""

    def list(self) -> Listing:
        """What the URI names now."""

    def read(self, item: Object, offset: int, length: int) -> Iterator[bytes]:
        """Exactly `length` bytes from `offset`, in pieces; the object must be as it was listed."""


@dataclass(frozen=True, slots=True)
class Access:
    """How a source is reached, beside its URI.

    `claims` is the folder where each PersistentVolumeClaim is mounted by its name.
    """

    endpoint: str | None = None
    region: str | None = None
    claims: Path = Path("/claims")
    connect_seconds: float = 10
    stall_seconds: float = 60
    connections: int = 8
