"""What an archive holds, read by ranges before it is fetched. Pure: all reading is a Reader's.

A zip tells its list at its end, a tar's headers lie before each file, and either way a few
kilobytes are read of an archive of any size. Of a file that is packed as it is, any part can be
read; of a deflated one, only its beginning, since that must be unpacked. What would be refused
when it is unpacked is refused here, in the same words.
"""

import posixpath
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import IO, cast

from trireme.admission.inspection.archive import ZIP_TAG, ReaderFile
from trireme.admission.inspection.reader import BoundedReader, Budget, Limits, Reader
from trireme.api.fetch import FetchFailed, FetchReason
from trireme.api.sizes import shown
from trireme.errors import InspectionLimit, UnreadableModel
from trireme.fetcher import archive
from trireme.fetcher.members import TarMember, damage_is_told, tar_files, unsafe, zip_files
from trireme.fetcher.paths import refuse_clashes, safe

_LIMITS = Limits(fetches=2_048)
"""Of all that is read of one archive; at 50 ms a request, that is less than two minutes."""

_ANY = archive.Limits(bytes=2**63)  # what fits is for the pod to say, which has the volume
_MOST_INFLATED_BYTES = 32 * 1024 * 1024  # kept in memory, of a member
_PIECE_BYTES = 64 * 1024
_PACK_ANEW = "Pack the archive anew"

_LOCAL_HEADER = struct.Struct("<4s22xHH")  # its tag, and the lengths of what follows it
"""APPNOTE.TXT 4.3.7."""


def contents(reader: Reader, kind: str, limits: archive.Limits = _ANY) -> Mapping[str, Reader]:
    """Each file that an archive holds; `kind` is the name that tells the format.

    Raises FetchFailed where unpacking it would, and InspectionLimit where its list cannot be read
    by ranges, or takes too many.
    """
    read = _BY_ENDING.get(posixpath.splitext(kind.lower())[1])
    if read is None:
        raise InspectionLimit(f"{kind} is compressed as a whole, and only the pods unpack it")
    bounded = BoundedReader(reader, Budget(_LIMITS))
    try:
        with damage_is_told(kind):
            found = read(bounded, limits.entries)
    except UnreadableModel as error:
        raise FetchFailed(FetchReason.ARCHIVE_DAMAGED, f"{kind}: {error.message}") from error
    except InspectionLimit as error:
        raise InspectionLimit(f"{kind} is not looked into: {error}") from error
    paths = [path for path, _ in found]
    refuse_clashes(paths, FetchReason.ARCHIVE_UNSAFE)
    most_bytes = limits.bytes_of(reader.size)
    if sum(file.size for _, file in found) > most_bytes:
        raise limits.exceeded(most_bytes)
    return dict(found)


def _zip_contents(bounded: BoundedReader, most: int) -> list[tuple[str, Reader]]:
    with zipfile.ZipFile(ReaderFile(bounded)) as zipped:
        return [(path, _zip_member(bounded, info)) for path, info in zip_files(zipped, most)]


def _zip_member(bounded: BoundedReader, info: zipfile.ZipInfo) -> Reader:
    def start() -> int:
        """Where the content begins: only the member's own header tells."""
        if info.header_offset < 0:
            raise UnreadableModel("the archive's list names no place for it", _PACK_ANEW)
        header = bounded.read(info.header_offset, _LOCAL_HEADER.size)
        tag, name_length, extra_length = _LOCAL_HEADER.unpack(header)
        if tag != ZIP_TAG:
            raise UnreadableModel("it is not where the archive's list says", _PACK_ANEW)
        return int(info.header_offset + len(header) + name_length + extra_length)

    if info.compress_type == zipfile.ZIP_STORED:
        return _Stored(bounded, info.file_size, start)
    if info.compress_type == zipfile.ZIP_DEFLATED:
        return _Deflated(_Stored(bounded, info.compress_size, start), info.file_size)
    return _Unread(info.file_size, "it is compressed by an uncommon method")


def _tar_contents(bounded: BoundedReader, most: int) -> list[tuple[str, Reader]]:
    found: list[tuple[str, Reader]] = []
    files: dict[str, Reader] = {}
    links: list[tuple[str, str]] = []
    file = cast(IO[bytes], ReaderFile(bounded))  # only read, seek and tell are called
    with tarfile.open(fileobj=file, mode="r:", tarinfo=TarMember) as tar:
        for path, member in tar_files(tar, most):
            if member.issym():
                links.append((path, member.linkname))
                continue
            if member.islnk():
                source = files.get(safe(member.linkname, FetchReason.ARCHIVE_UNSAFE))
                if source is None:
                    raise unsafe(f"{path!a} links to {member.linkname!a}, which it does not hold")
                files[path] = source
            else:
                files[path] = _tar_member(bounded, member)
            found.append((path, files[path]))
    for path, target in links:
        end = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
        if end not in files:
            raise InspectionLimit("it holds links that lead to no file directly")
        found.append((path, files[end]))
    return found


def _tar_member(bounded: BoundedReader, member: tarfile.TarInfo) -> Reader:
    if member.issparse():
        return _Unread(member.size, "it is packed with holes")
    start = member.offset_data
    return _Stored(bounded, member.size, lambda: start)


_BY_ENDING: Mapping[str, Callable[[BoundedReader, int], list[tuple[str, Reader]]]] = {
    ".zip": _zip_contents,
    ".tar": _tar_contents,
}


class _Stored:
    """A member that is in the archive as it is; where it starts is looked up when it is read."""

    def __init__(self, archive: BoundedReader, size: int, start: Callable[[], int]) -> None:
        self.size = size
        self._archive, self._start = archive, cache(start)

    def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset` on."""
        length = min(length, self.size - offset)
        return self._archive.read(self._start() + offset, length) if length > 0 else b""


class _Deflated:
    """A compressed member, of which as much is unpacked, and kept, as is read."""

    def __init__(self, packed: _Stored, size: int) -> None:
        self.size = size
        self._packed, self._packed_at = packed, 0
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)  # a bare stream
        self._content = bytearray()

    def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset` on."""
        end = min(offset + length, self.size)
        if end > _MOST_INFLATED_BYTES:
            raise InspectionLimit(
                f"of what is compressed in an archive, the first {shown(_MOST_INFLATED_BYTES)} are "
                f"looked at, and it goes on behind them; zip -0 packs it as it is"
            )
        try:
            while len(self._content) < end and self._unpack_more():
                pass
        except zlib.error as error:
            raise UnreadableModel(f"it is damaged in the archive: {error}", _PACK_ANEW) from error
        return bytes(self._content[offset:end])

    def _unpack_more(self) -> bool:
        """Unpack a piece; False at the end of what there is."""
        packed = self._inflate.unconsumed_tail
        if not packed:
            packed = self._packed.read(self._packed_at, _PIECE_BYTES)
            self._packed_at += len(packed)
        self._content += self._inflate.decompress(packed, _PIECE_BYTES)
        return bool(packed) and not self._inflate.eof


@dataclass(frozen=True, slots=True)
class _Unread:
    """A member whose size alone is known."""

    size: int
    why: str

    def read(self, offset: int, length: int) -> bytes:
        """Never does."""
        raise InspectionLimit(self.why)
