"""Which of an archive's members count, none of whose names, kinds, sizes or numbers is trusted.

Only plain files, folders, and (of tar) links are taken. What is refused while an archive is
unpacked is refused in the same words before it is fetched, where its list can be read by ranges.
"""

import lzma
import stat
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdError
else:
    from backports.zstd import ZstdError

from trireme.api.fetch import FetchFailed, FetchReason
from trireme.api.sizes import shown
from trireme.fetcher.paths import safe

MOST_ENTRIES = 10_000

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
    RecursionError,  # tarfile: extended headers of extended headers
    UnicodeError,
    ValueError,
)


def zip_files(
    zipped: zipfile.ZipFile, most: int = MOST_ENTRIES
) -> Iterator[tuple[str, zipfile.ZipInfo]]:
    """A zip's files, by the paths they get. Raises FetchFailed where one is not to be had."""
    for number, info in enumerate(zipped.infolist(), start=1):
        _refuse_too_many(number, most)
        if _of_finder(info.filename):
            continue
        if info.flag_bits & _ENCRYPTED:
            raise FetchFailed(FetchReason.ARCHIVE_DAMAGED, "the archive is encrypted")
        path = safe(info.filename, FetchReason.ARCHIVE_UNSAFE)
        if info.is_dir():
            continue
        if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
            raise unsafe(f"{info.filename!a} is no plain file or folder")
        yield path, info


def tar_files(
    tar: tarfile.TarFile, most: int = MOST_ENTRIES
) -> Iterator[tuple[str, tarfile.TarInfo]]:
    """A tar's files and links, by the paths they get. Raises FetchFailed as `zip_files` does.

    A member lives until the next one is asked for: tarfile itself would keep them all, with
    extended headers of any length.
    """
    for number, member in enumerate(tar, start=1):
        tar.members.clear()  # type: ignore[attr-defined]  # its stubs leave it out
        _refuse_too_many(number, most)
        if member.size < 0:
            raise unsafe(f"{member.name!a} has a size below zero")
        if _of_finder(member.name) or member.isdir():
            continue
        if not (member.isreg() or member.islnk() or member.issym()):
            raise unsafe(f"{member.name!a} is no file, folder or link")
        yield safe(member.name, FetchReason.ARCHIVE_UNSAFE), member


class TarMember(tarfile.TarInfo):
    """A header that may not ask for any amount of memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """As tarfile does it, but for headers of another size than such have."""
        member = super().frombuf(buf, encoding, errors)
        if member.size < 0:
            raise unsafe(f"{member.name!a} has a size below zero")
        if member.type in _EXTENDED and member.size > _LARGEST_NAME_BYTES:
            raise unsafe(f"it holds an extended header of {shown(member.size)}")
        return member


@contextmanager
def damage_is_told(kind: str) -> Iterator[None]:
    """What the libraries raise, as FetchFailed; `kind` is the name that tells the format."""
    try:
        yield
    except _DAMAGED as error:
        raise FetchFailed(
            FetchReason.ARCHIVE_DAMAGED,
            f"{kind} cannot be read as what its name says: {str(error)[:200] or 'it ends early'}",
        ) from error
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise unsafe("a name is there twice, or is both a file's and a folder's") from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise FetchFailed(  # gzip.BadGzipFile is an OSError without a number
            FetchReason.ARCHIVE_DAMAGED, f"{kind} cannot be read as what its name says: {error}"
        ) from error


def unsafe(problem: str) -> FetchFailed:
    """What is said of an archive that nobody should unpack."""
    return FetchFailed(FetchReason.ARCHIVE_UNSAFE, f"the archive is not unpacked: {problem}")


def _refuse_too_many(number: int, most: int) -> None:
    if number > most:
        raise unsafe(f"it holds more than {most:,} entries")


def _of_finder(name: str) -> bool:
    """Whether macOS put this into the archive beside what it was told to pack."""
    return any(part in _FINDER or part.startswith("._") for part in name.split("/"))
