"""A zip archive, read member by member within bounds: no bomb unpacks. Pure."""

import os
import struct
import zipfile
import zlib

from trireme.admission.inspection.model_file import cut
from trireme.admission.inspection.reader import CUT_SHORT, BoundedReader
from trireme.errors import InspectionLimit, UnreadableModel

ZIP_TAG = b"PK\x03\x04"

_LONGEST_DIRECTORY_BYTES = 2 * 1024 * 1024  # about 45,000 members at most
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others may ask for memory at will
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    OverflowError,
    NotImplementedError,
    RuntimeError,  # an encrypted member
)


class Archive:
    """The members of a zip file by name. Raises UnreadableModel where it is none, or broken."""

    def __init__(self, reader: BoundedReader) -> None:
        self._limit = reader.budget.limits.text_bytes
        try:
            self._zip = zipfile.ZipFile(ReaderFile(reader))
        except _BROKEN as error:
            raise UnreadableModel(
                f"it is a broken archive: {cut(str(error))}", CUT_SHORT
            ) from error
        self.names = frozenset(self._zip.namelist())

    def read(self, name: str) -> bytes:
        """A whole member, unpacked.

        Raises UnreadableModel where it is broken, InspectionLimit where it is too long.
        """
        content = self.head(name, self._limit + 1)
        if len(content) > self._limit:
            raise InspectionLimit(f"{cut(name)} in it is over {self._limit} bytes")
        return content

    def head(self, name: str, length: int) -> bytes:
        """The first `length` bytes of a member, or all of a shorter one."""
        if self._zip.getinfo(name).compress_type not in _METHODS:
            raise InspectionLimit(f"{cut(name)} in it is compressed by an uncommon method")
        try:
            with self._zip.open(name) as member:
                return member.read(length)
        except _BROKEN as error:
            raise UnreadableModel(
                f"{cut(name)} in it is broken: {cut(str(error))}", CUT_SHORT
            ) from error


class ReaderFile:
    """A reader as the file that zipfile and tarfile read: seek, tell, read."""

    def __init__(self, reader: BoundedReader) -> None:
        self._reader = reader
        self._at = 0

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """Where the next read begins."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move there; OSError before the beginning."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._reader.size}[whence]
        if start + offset < 0:
            raise OSError("a place before the beginning of the file")
        self._at = start + offset
        return self._at

    def read(self, length: int = -1) -> bytes:
        """At most `length` bytes, all that is left below 0; InspectionLimit where that is a lot."""
        rest = max(0, self._reader.size - self._at)
        length = rest if length < 0 else min(length, rest)
        if length > _LONGEST_DIRECTORY_BYTES:
            raise InspectionLimit(f"its directory is over {_LONGEST_DIRECTORY_BYTES} bytes")
        content = self._reader.read(self._at, length) if length else b""
        self._at += length
        return content
