"""What was fetched before, kept on a shelf that pods share and need not trust.

A shelf is a volume (`folder_shelf`), or the cache of the node (`edge.node_shelf`). It keeps blobs
and manifests by their digests, and memos: which manifest a question of before was answered by.

Whoever may write to a volume may write anything into it, so every blob and manifest is checked by
its digest whenever it is read, and removed where it is something else. A memo cannot be checked:
what a plan gives a sha256 for is found without one.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trireme.api.fetch import FetchFailed
from trireme.api.node_cache import Sort
from trireme.fetcher import disk, manifest
from trireme.fetcher.manifest import Entry

logger = logging.getLogger(__name__)


class Shelf(Protocol):
    """Where files are kept. Its methods raise OSError where it does not do its part."""

    def prepare(self) -> None:
        """Make it ready for use, or find out that it is not."""

    def size(self, sort: Sort, name: str) -> int | None:
        """How large a file is; None where there is none."""

    def read(self, sort: Sort, name: str) -> AbstractContextManager[Iterator[bytes] | None]:
        """The pieces of a file, which nobody removes meanwhile; None where there is none."""

    def insert(self, sort: Sort, name: str, pieces: Iterator[bytes], size: int) -> None:
        """Keep a file of these pieces, which are so many bytes together."""

    def remove(self, sort: Sort, name: str) -> None:
        """Remove a file, where there is one."""

    def make_room(self, incoming: int, wanted: AbstractSet[str]) -> bool:
        """Whether so many bytes more fit beside the blobs that are wanted."""

    def lease(self, name: str, wait: Callable[[float], object]) -> AbstractContextManager[None]:
        """Held by one at a time, for as long as that one lives; the others wait."""


class Memo(BaseModel):
    """Which folder, or single file, a question was answered by."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    manifest: str = Field(pattern=r"^[0-9a-f]{64}$")  # a file's name, which others may have written
    single: bool
    revision: str | None = Field(None, pattern=r"^(sha256:)?[0-9a-f]{40,64}$")


@dataclass(frozen=True, slots=True)
class Kept:
    """What the cache says it holds; a blob is only checked when it is copied out."""

    entries: tuple[Entry, ...]
    single: bool
    size: int
    revision: str | None = None


@dataclass(frozen=True, slots=True)
class Cache:
    """What is on a shelf, as the answers to questions. Its methods raise the shelf's OSError."""

    shelf: Shelf

    # ------------------------------------------------------------------------------- reading

    def by_digest(self, sha256: str, file_name: str) -> Kept | None:
        """What has this digest: a folder's manifest, or one file, where its name is known."""
        if file_name and self.shelf.size(Sort.BLOB, sha256) is not None:
            return self._complete((Entry(file_name, sha256),), single=True, revision=None)
        entries = self._manifest(sha256)
        return self._complete(entries, single=False, revision=None) if entries else None

    def by_memo(self, question: str) -> Kept | None:
        """What answered this question before."""
        content = self._small(Sort.MEMO, _digest(question))
        try:
            memo = Memo.model_validate_json(content or b"")
        except ValidationError:
            return None
        entries = self._manifest(memo.manifest)
        return self._complete(entries, memo.single, memo.revision) if entries else None

    def copy(self, entry: Entry, target: Path, seen: Callable[[int], object]) -> bool:
        """A blob's content into a file, checked on the way.

        False where it is no longer there, or is something else, and then it is removed.
        """
        digest = hashlib.sha256()
        with self.shelf.read(Sort.BLOB, entry.sha256) as pieces:
            if pieces is None:
                return False
            with disk.full_is_told("the model volume"), target.open("wb") as copy:
                for piece in pieces:
                    digest.update(piece)
                    copy.write(piece)
                    seen(len(piece))
        if digest.hexdigest() == entry.sha256:
            return True
        logger.warning("cache: %s is not what its name says, and is removed", entry.sha256)
        self.shelf.remove(Sort.BLOB, entry.sha256)
        return False

    # ------------------------------------------------------------------------------- writing

    def keep(
        self,
        files: Sequence[tuple[Entry, Path]],
        single: bool,
        questions: Sequence[str],
        revision: str | None,
    ) -> bool:
        """Keep files, and remember which questions they answer. False where they do not fit."""
        sizes = [(entry.sha256, file, file.stat().st_size) for entry, file in files]
        new = [each for each in sizes if self.shelf.size(Sort.BLOB, each[0]) != each[2]]
        incoming = sum(size for _, _, size in new)
        if not self.shelf.make_room(incoming, {sha256 for sha256, _, _ in sizes}):
            return False
        for sha256, file, size in new:
            self.shelf.insert(Sort.BLOB, sha256, disk.pieces(file), size)
        text = manifest.text(entry for entry, _ in files)
        self._write(Sort.MANIFEST, _digest(text), text)
        memo = Memo(manifest=_digest(text), single=single, revision=revision)
        for question in questions:
            self._write(Sort.MEMO, _digest(question), memo.model_dump_json())
        return True

    def lease(self, question: str, wait: Callable[[float], object]) -> AbstractContextManager[None]:
        """Only one pod fetches the answer to a question; the others wait for it to end."""
        return self.shelf.lease(_digest(question), wait)

    def _write(self, sort: Sort, name: str, text: str) -> None:
        content = text.encode()
        self.shelf.insert(sort, name, iter([content]), len(content))

    # ------------------------------------------------------------------------------- what is where

    def _small(self, sort: Sort, name: str) -> bytes | None:
        """A small file whole; None where there is none, or one that is larger."""
        content = b""
        with self.shelf.read(sort, name) as pieces:
            for piece in pieces or ():
                content += piece
                if len(content) > (sort.largest_bytes or 0):
                    return None
        return content if pieces is not None else None

    def _manifest(self, sha256: str) -> tuple[Entry, ...] | None:
        content = self._small(Sort.MANIFEST, sha256)
        if content is None:
            return None
        try:
            if hashlib.sha256(content).hexdigest() == sha256:
                return manifest.parse(content.decode())
        except (ValueError, FetchFailed):
            pass
        self.shelf.remove(Sort.MANIFEST, sha256)
        return None

    def _complete(
        self, entries: tuple[Entry, ...], single: bool, revision: str | None
    ) -> Kept | None:
        sizes = [self.shelf.size(Sort.BLOB, entry.sha256) for entry in entries]
        known = [size for size in sizes if size is not None]
        return Kept(entries, single, sum(known), revision) if len(known) == len(sizes) else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
