"""Archives into a folder, which nothing in them leads out of or fills without bound.

Owners, times and modes are not taken over, but for the owner's right to execute. Links are made
last, when no file can be written through them any more. (tarfile's own `data_filter` is not asked:
the Python 3.11.2 of Debian 12, which the image has, is without it.)
"""

import gzip
import io
import os
import stat
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdFile
else:
    from backports.zstd import ZstdFile

from trireme.api.fetch import FetchFailed, FetchReason
from trireme.api.sizes import shown
from trireme.fetcher import disk
from trireme.fetcher.members import (
    MOST_ENTRIES,
    TarMember,
    damage_is_told,
    tar_files,
    unsafe,
    zip_files,
)
from trireme.fetcher.paths import refuse_clashes, safe

_COPY_BYTES = 1024 * 1024
_LARGEST_TABLE_BYTES = 64 * 1024 * 1024  # of a zip's directory, which is read at once


@dataclass(frozen=True, slots=True)
class Limits:
    """What an archive may come to: at most so many files, bytes, and times its own size.

    Weights hardly compress to half; a thousandfold is a bomb. Below `always_bytes` no ratio counts,
    since what is small does no harm.
    """

    bytes: int
    entries: int = MOST_ENTRIES
    ratio: int = 100
    always_bytes: int = 1024**3

    def bytes_of(self, archive_bytes: int) -> int:
        """What one archive may come to."""
        return min(self.bytes, max(self.always_bytes, archive_bytes * self.ratio))

    def exceeded(self, most_bytes: int) -> FetchFailed:
        """What is said of an archive that comes to more than it may."""
        most = shown(most_bytes)
        if most_bytes < self.bytes:
            return unsafe(f"it grows beyond {most}, {self.ratio} times its own size")
        return FetchFailed(FetchReason.TOO_LARGE, f"the archive comes to more than {most}")


def unpack(
    archive: Path, kind: str, folder: Path, limits: Limits, seen: Callable[[int], object]
) -> list[str]:
    """The archive's files below `folder`, which is new; answers their paths.

    `kind` is the name that tells the format, `seen` hears of every piece written. Raises
    FetchFailed: unsafe, damaged, too large, or no space left.
    """
    folder.mkdir(parents=True)
    writer = _Writer(folder, limits, limits.bytes_of(archive.stat().st_size), seen)
    with damage_is_told(kind), disk.full_is_told("the model volume"):
        if kind.lower().endswith(".zip"):
            _unzip(archive, writer)
        else:
            _untar(archive, kind.lower(), writer)
        writer.link()
    return sorted(writer.paths)


def unpacked_size(archive: Path, kind: str) -> int | None:
    """What a zip says it comes to; None for tar, which tells only while it is read."""
    if not kind.lower().endswith(".zip"):
        return None
    with damage_is_told(kind), _Bounded(archive) as file, zipfile.ZipFile(file) as zipped:
        return sum(info.file_size for info in zipped.infolist())


class _Writer:
    """Writes an archive's members, and keeps count."""

    def __init__(
        self, folder: Path, limits: Limits, most_bytes: int, seen: Callable[[int], object]
    ) -> None:
        self.paths: list[str] = []
        self.limits = limits
        self._folder, self._seen = folder, seen
        self._most_bytes, self._bytes = most_bytes, 0
        self._links: list[tuple[str, str]] = []

    def file(self, path: str, content: IO[bytes], executable: bool) -> None:
        """A plain file."""
        self.paths.append(path)
        target = self._folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as opened:
            while chunk := content.read(_COPY_BYTES):
                self._bytes += len(chunk)
                if self._bytes > self._most_bytes:
                    raise self.limits.exceeded(self._most_bytes)
                opened.write(chunk)
                self._seen(len(chunk))
        target.chmod(0o755 if executable else 0o644)

    def hard_link(self, path: str, target: str) -> None:
        """Another name of a file that came before."""
        source = safe(target, FetchReason.ARCHIVE_UNSAFE)
        if source not in self.paths:
            raise unsafe(f"{path!a} links to {target!a}, which it does not hold")
        self.paths.append(path)
        (self._folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self._folder / path).hardlink_to(self._folder / source)

    def symbolic_link(self, path: str, target: str) -> None:
        """A link, made when all files are there."""
        self.paths.append(path)
        self._links.append((path, target))

    def link(self) -> None:
        """Make the links. Raises FetchFailed where one leads out, or nowhere."""
        refuse_clashes(self.paths, FetchReason.ARCHIVE_UNSAFE)
        for path, target in self._links:
            link = self._folder / path
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(target)
        inside = self._folder.resolve()
        for path, target in self._links:
            try:
                end = (self._folder / path).resolve(strict=True)
            except (OSError, RuntimeError):
                raise unsafe(f"{path!a} links to {target!a}: nowhere") from None
            if not end.is_relative_to(inside) or not end.is_file():
                raise unsafe(f"{path!a} links to {target!a}: no file of the archive")


def _untar(archive: Path, kind: str, writer: _Writer) -> None:
    with (
        _decompressed(archive, kind) as stream,
        tarfile.open(fileobj=stream, mode="r|", tarinfo=TarMember) as tar,
    ):
        for path, member in tar_files(tar, writer.limits.entries):
            if member.isreg():
                content = tar.extractfile(member)
                assert content is not None  # noqa: S101  # it is a plain file
                writer.file(path, content, bool(member.mode & stat.S_IXUSR))
            elif member.islnk():
                writer.hard_link(path, member.linkname)
            else:
                writer.symbolic_link(path, member.linkname)


@contextmanager
def _decompressed(archive: Path, kind: str) -> Iterator[io.BufferedIOBase]:
    if kind.endswith((".gz", ".tgz")):
        with gzip.open(archive) as stream:
            yield stream
    elif kind.endswith((".zst", ".tzst")):
        with ZstdFile(archive) as stream:
            yield stream
    else:
        with archive.open("rb") as stream:
            yield stream


def _unzip(archive: Path, writer: _Writer) -> None:
    with _Bounded(archive) as file, zipfile.ZipFile(file) as zipped:
        for path, info in zip_files(zipped, writer.limits.entries):
            with zipped.open(info) as content:
                writer.file(path, content, bool(info.external_attr >> 16 & stat.S_IXUSR))


class _Bounded(io.FileIO):
    """A file of which nobody reads too much at once, as zipfile does with a zip's directory."""

    def read(self, size: int | None = -1) -> bytes:
        left = os.fstat(self.fileno()).st_size - self.tell()
        wanted = left if size is None or size < 0 else min(size, left)
        if wanted > _LARGEST_TABLE_BYTES:
            raise unsafe("its table of contents is too large")
        return super().read(wanted) or b""
