"""A volume that keeps what was fetched, shared by pods that need not trust each other.

    <cache>/blobs/<sha256>       one file's content
    <cache>/manifests/<sha256>   one folder's manifest, whose name is its own digest
    <cache>/memos/<sha256>       which manifest a question of before was answered by
    <cache>/locks/<sha256>       held by the pod that fetches what was asked for
    <cache>/temporary/           what is being written; locked while its writer lives

Whoever may write to the volume may write anything into it, so every blob and manifest is checked by
its digest whenever it is read, and removed where it is something else. A memo cannot be checked:
what a plan gives a sha256 for is found without one.

Files come in by a rename, so each is there whole or not at all. Locks spare work, nothing more:
where the file system has none, two pods fetch the same and the later rename wins.
"""

import errno
import fcntl
import hashlib
import logging
import os
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trireme.api.fetch import FetchFailed
from trireme.edge.stores.types import CHUNK_BYTES
from trireme.fetcher import disk, manifest
from trireme.fetcher.manifest import Entry

logger = logging.getLogger(__name__)

_FOLDERS = ("blobs", "manifests", "memos", "locks", "temporary")
_LARGEST_MANIFEST_BYTES = 16 * 1024 * 1024
_LARGEST_MEMO_BYTES = 4096
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
_LEASE_POLL_SECONDS = 0.5
_LONGEST_LEASE_POLLS = (
    3600  # 30 minutes: whoever may write to the volume could hold a lock for ever
)


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
class Blob:
    """One kept file, for deciding which to remove."""

    digest: str
    size: int
    last_used: float


def victims(blobs: Sequence[Blob], limit: int, incoming: int) -> list[Blob]:
    """The blobs to remove, those unused longest first, so that `incoming` bytes fit. Pure.

    Blobs of 4, 3 and 2 bytes with a limit of 10 and 3 to come: 12 are 2 too many, so the oldest.
    """
    excess = sum(blob.size for blob in blobs) + incoming - limit
    chosen = []
    for blob in sorted(blobs, key=lambda each: (each.last_used, each.digest)):
        if excess <= 0:
            break
        chosen.append(blob)
        excess -= blob.size
    return chosen


@dataclass(frozen=True, slots=True)
class Cache:
    """The cache in a folder. Its methods raise OSError where the volume does not do its part."""

    folder: Path
    limit_bytes: int

    def prepare(self) -> None:
        """Make the folders, and clear away what writers that died left behind."""
        for name in _FOLDERS:
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        for file in (self.folder / "temporary").iterdir():
            with _opened(file) as opened:
                if opened and _locked(opened, fcntl.LOCK_EX):
                    file.unlink(missing_ok=True)

    # ------------------------------------------------------------------------------- reading

    def by_digest(self, sha256: str, file_name: str) -> Kept | None:
        """What has this digest: a folder's manifest, or one file, where its name is known."""
        if file_name and self._size(sha256) is not None:
            return self._complete((Entry(file_name, sha256),), single=True, revision=None)
        entries = self._manifest(sha256)
        return self._complete(entries, single=False, revision=None) if entries else None

    def by_memo(self, question: str) -> Kept | None:
        """What answered this question before."""
        try:
            memo = Memo.model_validate_json(
                _read(self._path("memos", _digest(question)), _LARGEST_MEMO_BYTES)
            )
        except (ValidationError, FileNotFoundError):
            return None
        entries = self._manifest(memo.manifest)
        return self._complete(entries, memo.single, memo.revision) if entries else None

    def copy(self, entry: Entry, target: Path, seen: Callable[[int], object]) -> bool:
        """A blob's content into a file, checked on the way.

        False where it is no longer there, or is something else, and then it is removed. While it
        is read it is locked, so that nobody takes it for unused.
        """
        path = self._path("blobs", entry.sha256)
        digest = hashlib.sha256()
        with _opened(path) as source:
            if source is None:
                return False
            _locked(source, fcntl.LOCK_SH)
            with disk.full_is_told("the model volume"), target.open("wb") as copy:
                while chunk := source.read(CHUNK_BYTES):
                    digest.update(chunk)
                    copy.write(chunk)
                    seen(len(chunk))
            if digest.hexdigest() == entry.sha256:
                _touch(path)
                return True
        logger.warning("cache: %s is not what its name says, and is removed", path.name)
        path.unlink(missing_ok=True)
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
        new = [(e, file) for e, file in files if self._size(e.sha256) != file.stat().st_size]
        incoming = sum(file.stat().st_size for _, file in new)
        if incoming > self.limit_bytes or not self._make_room(
            incoming, {e.sha256 for e, _ in files}
        ):
            return False
        for entry, file in new:
            with file.open("rb") as source:
                self._insert(self._path("blobs", entry.sha256), source)
        entries = [entry for entry, _ in files]
        text = manifest.text(entries)
        self._write(self._path("manifests", _digest(text)), text)
        memo = Memo(manifest=_digest(text), single=single, revision=revision)
        for question in questions:
            self._write(self._path("memos", _digest(question)), memo.model_dump_json())
        return True

    @contextmanager
    def lease(self, question: str, wait: Callable[[float], object]) -> Iterator[None]:
        """Only one pod fetches the answer to a question; the others wait for it to end.

        A pod that dies loses its lock. Where there are no locks, nobody waits, and after half an
        hour nobody waits any longer.
        """
        file = self._path("locks", _digest(question))
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        with os.fdopen(handle, "rb+") as opened:
            for _ in range(_LONGEST_LEASE_POLLS):
                if _locked(opened, fcntl.LOCK_EX):
                    break
                wait(_LEASE_POLL_SECONDS)
            yield

    def _make_room(self, incoming: int, wanted: set[str]) -> bool:
        """Remove blobs that were not used for longest; those being read are left alone."""
        if incoming > self.limit_bytes:
            return False
        blobs = [blob for blob in self._blobs() if blob.digest not in wanted]
        kept = sum(blob.size for blob in self._blobs() if blob.digest in wanted)
        limit = self.limit_bytes - kept
        while chosen := victims(blobs, limit, incoming):
            blobs = [blob for blob in blobs if blob not in chosen]
            for blob in chosen:
                if not self._evict(blob):
                    limit -= blob.size  # it stays, so it counts, and another has to go
        return sum(blob.size for blob in blobs) + incoming <= limit

    def _evict(self, blob: Blob) -> bool:
        path = self._path("blobs", blob.digest)
        with _opened(path) as opened:
            if opened and not _locked(opened, fcntl.LOCK_EX):
                return False
            path.unlink(missing_ok=True)
        logger.info("cache: %s removed to make room", blob.digest)
        return True

    def _blobs(self) -> list[Blob]:
        blobs = []
        for file in os.scandir(self.folder / "blobs"):
            try:
                status = file.stat(follow_symlinks=False)
            except FileNotFoundError:  # another pod made room, too
                continue
            blobs.append(Blob(file.name, status.st_size, status.st_mtime))
        return blobs

    def _insert(self, target: Path, source: IO[bytes]) -> None:
        handle, name = tempfile.mkstemp(dir=self.folder / "temporary")
        with os.fdopen(handle, "wb") as opened:
            _locked(opened, fcntl.LOCK_EX)
            while chunk := source.read(CHUNK_BYTES):
                opened.write(chunk)
            opened.flush()
            os.fchmod(opened.fileno(), 0o644)
            os.fsync(opened.fileno())
            Path(name).rename(target)

    def _write(self, target: Path, text: str) -> None:
        with tempfile.SpooledTemporaryFile() as source:
            source.write(text.encode())
            source.seek(0)
            self._insert(target, source)

    # ------------------------------------------------------------------------------- what is where

    def _path(self, folder: str, digest: str) -> Path:
        return self.folder / folder / digest

    def _manifest(self, sha256: str) -> tuple[Entry, ...] | None:
        path = self._path("manifests", sha256)
        try:
            content = _read(path, _LARGEST_MANIFEST_BYTES)
            if hashlib.sha256(content).hexdigest() == sha256:
                return manifest.parse(content.decode())
        except FileNotFoundError:
            return None
        except (ValueError, FetchFailed):
            pass
        path.unlink(missing_ok=True)
        return None

    def _size(self, sha256: str) -> int | None:
        try:
            status = self._path("blobs", sha256).lstat()
        except FileNotFoundError:
            return None
        return status.st_size if stat.S_ISREG(status.st_mode) else None

    def _complete(
        self, entries: tuple[Entry, ...], single: bool, revision: str | None
    ) -> Kept | None:
        sizes = [self._size(entry.sha256) for entry in entries]
        known = [size for size in sizes if size is not None]
        return Kept(entries, single, sum(known), revision) if len(known) == len(sizes) else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes] | None]:
    """A plain file for reading, None where there is none: no link, and no pipe to wait at."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        yield None
        return
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        yield None
        return
    with os.fdopen(handle, "rb", buffering=0) as opened:
        plain = stat.S_ISREG(os.fstat(opened.fileno()).st_mode)
        yield opened if plain else None


def _read(path: Path, most: int) -> bytes:
    """A small file whole. Raises FileNotFoundError where there is none, or one that is larger."""
    with _opened(path) as opened:
        content = b"" if opened is None else opened.read(most + 1)
        if opened is None or len(content) > most:
            raise FileNotFoundError(path)
        return content


def _locked(opened: IO[bytes], kind: int) -> bool:
    """Whether the lock was got, or the file system has none; it ends with the file."""
    try:
        fcntl.flock(opened, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True


def _touch(path: Path) -> None:
    """Mark as used now; where the file is another user's, its age stays what it is."""
    try:
        os.utime(path)
    except OSError as error:
        logger.debug("cache: %s", error)
