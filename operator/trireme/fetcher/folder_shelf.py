"""A folder that a cache keeps its files in, shared by processes that need not trust each other.

    <folder>/blobs/<sha256>       one file's content
    <folder>/manifests/<sha256>   one folder's manifest, whose name is its own digest
    <folder>/memos/<sha256>       which manifest a question of before was answered by
    <folder>/locks/<sha256>       held by the pod that fetches what was asked for
    <folder>/temporary/           what is being written; locked while its writer lives

Files come in by a rename, so each is there whole or not at all. Locks spare work, nothing more:
where the file system has none, two pods fetch the same and the later rename wins.
"""

import errno
import fcntl
import logging
import os
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from trireme.api.node_cache import Sort
from trireme.edge.stores.types import CHUNK_BYTES

logger = logging.getLogger(__name__)

_LOCKS, _TEMPORARY = "locks", "temporary"
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
_LEASE_POLL_SECONDS = 0.5
_LONGEST_LEASE_POLLS = (
    3600  # 30 minutes: whoever may write to the volume could hold a lock for ever
)


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
class FolderShelf:
    """Files in a folder. The limit is that of the blobs, and each counts for `least_bytes` or more.

    Its methods raise OSError where the volume does not do its part.
    """

    folder: Path
    limit_bytes: int
    least_bytes: int = 0

    def prepare(self) -> None:
        """Make the folders, and clear away what writers that died left behind."""
        for name in (*Sort, _LOCKS, _TEMPORARY):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        for file in (self.folder / _TEMPORARY).iterdir():
            with _opened(file) as opened:
                if opened and _locked(opened, fcntl.LOCK_EX):
                    file.unlink(missing_ok=True)

    def size(self, sort: Sort, name: str) -> int | None:
        """How large a file is; None where there is none."""
        try:
            status = self._path(sort, name).lstat()
        except FileNotFoundError:
            return None
        return status.st_size if stat.S_ISREG(status.st_mode) else None

    @contextmanager
    def read(self, sort: Sort, name: str) -> Iterator[Iterator[bytes] | None]:
        """The pieces of a file, None where there is none. It counts as used now, and is locked
        while it is read, so that nobody takes it for unused.
        """
        with _opened(self._path(sort, name)) as opened:
            if opened is None:
                yield None
                return
            _locked(opened, fcntl.LOCK_SH)
            _touch(opened)
            yield iter(lambda: opened.read(CHUNK_BYTES), b"")

    def insert(self, sort: Sort, name: str, pieces: Iterable[bytes], size: int) -> None:
        """Keep a file of these pieces. What they raise leaves nothing behind."""
        handle, temporary = tempfile.mkstemp(dir=self.folder / _TEMPORARY)
        try:
            with os.fdopen(handle, "wb") as opened:
                _locked(opened, fcntl.LOCK_EX)
                for piece in pieces:
                    opened.write(piece)
                opened.flush()
                os.fchmod(opened.fileno(), 0o644)
                os.fsync(opened.fileno())
                Path(temporary).rename(self._path(sort, name))
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def remove(self, sort: Sort, name: str) -> None:
        """Remove a file, where there is one."""
        self._path(sort, name).unlink(missing_ok=True)

    def make_room(self, incoming: int, wanted: AbstractSet[str]) -> bool:
        """Whether so many bytes more fit beside the blobs that are wanted: others that were not
        used for longest are removed for them. Those being read are left alone.
        """
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

    @contextmanager
    def lease(self, name: str, wait: Callable[[float], object]) -> Iterator[None]:
        """Held by one at a time. Whoever dies loses it; where there are no locks, nobody waits, and
        after half an hour nobody waits any longer.
        """
        file = self.folder / _LOCKS / name
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        with os.fdopen(handle, "rb+") as opened:
            for _ in range(_LONGEST_LEASE_POLLS):
                if _locked(opened, fcntl.LOCK_EX):
                    break
                wait(_LEASE_POLL_SECONDS)
            yield

    def _evict(self, blob: Blob) -> bool:
        path = self._path(Sort.BLOB, blob.digest)
        with _opened(path) as opened:
            if opened and not _locked(opened, fcntl.LOCK_EX):
                return False
            path.unlink(missing_ok=True)
        logger.info("cache: %s removed to make room", blob.digest)
        return True

    def _blobs(self) -> list[Blob]:
        blobs = []
        for file in os.scandir(self.folder / Sort.BLOB):
            try:
                status = file.stat(follow_symlinks=False)
            except FileNotFoundError:  # another pod made room, too
                continue
            size = max(status.st_size, self.least_bytes)
            blobs.append(Blob(file.name, size, status.st_mtime))
        return blobs

    def _path(self, sort: Sort, name: str) -> Path:
        return self.folder / sort / name


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


def _touch(opened: IO[bytes]) -> None:
    """Mark as used now; where the file is another user's, its age stays what it is."""
    try:
        os.utime(opened.fileno())
    except OSError as error:
        logger.debug("cache: %s", error)
