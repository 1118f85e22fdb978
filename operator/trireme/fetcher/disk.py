"""Files written so that a crash loses nothing that was said to be there."""

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from trireme.api.fetch import FetchFailed, FetchReason
from trireme.api.sizes import shown
from trireme.edge.stores.types import CHUNK_BYTES

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def full_is_told(where: str) -> Iterator[None]:
    """A volume without space as a FetchFailed of its own."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise FetchFailed(FetchReason.DISK_FULL, f"{where} is full") from error


def refuse_what_does_not_fit(needed: int, folder: Path, what: str) -> None:
    """Raises FetchFailed where a volume has less space free than is needed."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise FetchFailed(
            FetchReason.DISK_FULL,
            f"{what} needs {shown(needed)}, and the volume has {shown(free)} free",
        )


def sync_folder(folder: Path) -> None:
    """The names in a folder are on the disk after this."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_file(file: Path) -> None:
    """The content of a file is on the disk after this."""
    handle = os.open(file, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_whole(file: Path, content: str) -> None:
    """The file holds this content, or what it held before: never a part of it."""
    new = file.with_name(f".{file.name}.new")
    with new.open("w", encoding="utf-8") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())
    new.rename(file)
    sync_folder(file.parent)


def write_at(handle: int, chunk: bytes, offset: int) -> None:
    """All of a chunk into an open file (a single pwrite may write less)."""
    view = memoryview(chunk)
    while view:
        written = os.pwrite(handle, view, offset)
        view, offset = view[written:], offset + written


def sha256(file: Path) -> str:
    """The digest of a file's content, read in pieces."""
    with file.open("rb") as opened:
        return digest(opened)


def digest(content: BufferedReader) -> str:
    """The sha256 of what is left of an open file."""
    return hashlib.file_digest(content, "sha256").hexdigest()


def pieces(file: Path) -> Iterator[bytes]:
    """A file's content, in pieces."""
    with file.open("rb") as opened:
        while piece := opened.read(CHUNK_BYTES):
            yield piece


def remove(folder: Path) -> None:
    """Remove a folder and all in it, where there is one."""
    shutil.rmtree(folder, ignore_errors=True)
