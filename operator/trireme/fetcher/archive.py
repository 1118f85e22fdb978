"""Archives into a folder, none of whose names, kinds, sizes or numbers is trusted.

Only plain files, folders, and (of tar) links that stay inside are taken over; owners, times and
modes are not, but for the owner's right to execute. Links are made last, when no file can be
written through them any more. (tarfile's own `data_filter` is not asked: the Python 3.11.2 of
Debian 12, which the image has, is without it.)
"""

import gzip
import io
import lzma
import os
import stat
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdError, ZstdFile
else:
    from backports.zstd import ZstdError, ZstdFile

from trireme.api.fetch import FetchFailed, FetchReason
from trireme.api.sizes import shown
from trireme.fetcher import disk
from trireme.fetcher.paths import refuse_clashes, safe

_COPY_BYTES = 1024 * 1024
_LARGEST_TABLE_BYTES = 64 * 1024 * 1024  # of a zip's directory, which is read at once
_LARGEST_NAME_BYTES = 1024 * 1024  # of a tar's extended headers, which are read at once
_EXTENDED = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
_FINDER = ("__MACOSX", ".DS_Store")
_ENCRYPTED = 0x1  # general purpose bit 0 (APPNOTE.TXT 4.4.4)
_DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    ZstdError,
    EOFError,
    NotImplementedError,  # zipfile: a way of compression that it does not know
    UnicodeError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What an archive may come to: at most so many files, bytes, and times its own size.

    Weights hardly compress to half; a thousandfold is a bomb. Below `always_bytes` no ratio counts,
    since what is small does no harm.
    """

    bytes: int
    entries: int = 10_000
    ratio: int = 100
    always_bytes: int = 1024**3

    def bytes_of(self, archive: Path) -> int:
        """What one archive may come to."""
        return min(self.bytes, max(self.always_bytes, archive.stat().st_size * self.ratio))


def unpack(
    archive: Path, kind: str, folder: Path, limits: Limits, seen: Callable[[int], object]
) -> list[str]:
    """The archive's files below `folder`, which is new; answers their paths.

    `kind` is the name that tells the format, `seen` hears of every piece written. Raises
    FetchFailed: unsafe, damaged, too large, or no space left.
    """
    folder.mkdir(parents=True)
    writer = _Writer(folder, limits, limits.bytes_of(archive), seen)
    with _told(kind), disk.full_is_told("the model volume"):
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
    with _told(kind), _Bounded(archive) as file, zipfile.ZipFile(file) as zipped:
        return sum(info.file_size for info in zipped.infolist())


class _Writer:
    """Writes an archive's members, and keeps count."""

    def __init__(
        self, folder: Path, limits: Limits, most_bytes: int, seen: Callable[[int], object]
    ) -> None:
        self.paths: list[str] = []
        self._folder, self._limits, self._seen = folder, limits, seen
        self._most_bytes, self._bytes, self._entries = most_bytes, 0, 0
        self._links: list[tuple[str, str]] = []

    def count(self) -> None:
        """One member more, of whatever kind."""
        self._entries += 1
        if self._entries > self._limits.entries:
            raise _unsafe(f"it holds more than {self._limits.entries:,} entries")

    def file(self, name: str, content: IO[bytes], executable: bool) -> None:
        """A plain file."""
        path = self._new(name)
        target = self._folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as opened:
            while chunk := content.read(_COPY_BYTES):
                self._bytes += len(chunk)
                if self._bytes > self._most_bytes:
                    raise self._too_much()
                opened.write(chunk)
                self._seen(len(chunk))
        target.chmod(0o755 if executable else 0o644)

    def hard_link(self, name: str, target: str) -> None:
        """Another name of a file that came before."""
        path, source = self._new(name), safe(target, FetchReason.ARCHIVE_UNSAFE)
        if source not in self.paths:
            raise _unsafe(f"{name!a} links to {target!a}, which it does not hold")
        (self._folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self._folder / path).hardlink_to(self._folder / source)

    def symbolic_link(self, name: str, target: str) -> None:
        """A link, made when all files are there."""
        self._links.append((self._new(name), target))

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
                raise _unsafe(f"{path!a} links to {target!a}: nowhere") from None
            if not end.is_relative_to(inside) or not end.is_file():
                raise _unsafe(f"{path!a} links to {target!a}: no file of the archive")

    def _new(self, name: str) -> str:
        path = safe(name, FetchReason.ARCHIVE_UNSAFE)
        self.paths.append(path)
        return path

    def _too_much(self) -> FetchFailed:
        most = shown(self._most_bytes)
        if self._most_bytes < self._limits.bytes:
            return _unsafe(f"it grows beyond {most}, {self._limits.ratio} times its own size")
        return FetchFailed(FetchReason.TOO_LARGE, f"the archive comes to more than {most}")


def _untar(archive: Path, kind: str, writer: _Writer) -> None:
    with (
        _decompressed(archive, kind) as stream,
        tarfile.open(fileobj=stream, mode="r|", tarinfo=_Member) as tar,
    ):
        for member in tar:
            writer.count()
            if _of_finder(member.name):
                continue
            if member.isreg():
                content = tar.extractfile(member)
                assert content is not None  # noqa: S101  # it is a plain file
                writer.file(member.name, content, bool(member.mode & stat.S_IXUSR))
            elif member.islnk():
                writer.hard_link(member.name, member.linkname)
            elif member.issym():
                writer.symbolic_link(member.name, member.linkname)
            elif not member.isdir():
                raise _unsafe(f"{member.name!a} is no file, folder or link")


class _Member(tarfile.TarInfo):
    """A header that may not ask for any amount of memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        member = super().frombuf(buf, encoding, errors)
        if member.type in _EXTENDED and member.size > _LARGEST_NAME_BYTES:
            raise _unsafe(f"it holds an extended header of {shown(member.size)}")
        return member


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
        for info in zipped.infolist():
            writer.count()
            if _of_finder(info.filename):
                continue
            mode = info.external_attr >> 16
            if info.flag_bits & _ENCRYPTED:
                raise FetchFailed(FetchReason.ARCHIVE_DAMAGED, "the archive is encrypted")
            if info.is_dir():
                safe(info.filename, FetchReason.ARCHIVE_UNSAFE)
                continue
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                raise _unsafe(f"{info.filename!a} is no plain file or folder")
            with zipped.open(info) as content:
                writer.file(info.filename, content, bool(mode & stat.S_IXUSR))


def _of_finder(name: str) -> bool:
    """Whether macOS put this into the archive beside what it was told to pack."""
    return any(part in _FINDER or part.startswith("._") for part in name.split("/"))


class _Bounded(io.FileIO):
    """A file of which nobody reads too much at once, as zipfile does with a zip's directory."""

    def read(self, size: int | None = -1) -> bytes:
        left = os.fstat(self.fileno()).st_size - self.tell()
        wanted = left if size is None or size < 0 else min(size, left)
        if wanted > _LARGEST_TABLE_BYTES:
            raise _unsafe("its table of contents is too large")
        return super().read(wanted) or b""


@contextmanager
def _told(kind: str) -> Iterator[None]:
    try:
        yield
    except _DAMAGED as error:
        raise FetchFailed(
            FetchReason.ARCHIVE_DAMAGED,
            f"{kind} cannot be read as what its name says: {str(error)[:200] or 'it ends early'}",
        ) from error
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise _unsafe("a name is there twice, or is both a file's and a folder's") from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise FetchFailed(  # gzip.BadGzipFile is an OSError without a number
            FetchReason.ARCHIVE_DAMAGED, f"{kind} cannot be read as what its name says: {error}"
        ) from error


def _unsafe(problem: str) -> FetchFailed:
    return FetchFailed(FetchReason.ARCHIVE_UNSAFE, f"the archive is not unpacked: {problem}")
