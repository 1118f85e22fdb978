"""A folder or a file of a mounted volume."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trireme.api.fetch import FetchFailed, FetchReason
from trireme.edge.stores import failures
from trireme.edge.stores.types import CHUNK_BYTES, Listing, Object
from trireme.edge.stores.uri import Location


@dataclass(frozen=True, slots=True)
class FolderStore:
    """A path below `root`; a link that leads out of `root` is refused."""

    location: Location
    root: Path
    pinned: bool = False

    def list(self) -> Listing:
        """The file, or every file below the folder."""
        path = self.root / self.location.path
        try:
            if path.is_file():
                return Listing((self._object(path, path.name),), single=True)
            if not path.is_dir():
                missing = f"there is no {path.name!r}" if self.root.is_dir() else "is not mounted"
                raise FetchFailed(FetchReason.NOT_FOUND, f"{self.location.name}: {missing}")
            files = [
                Path(folder) / file for folder, _, names in os.walk(path) for file in sorted(names)
            ]
            objects = [self._object(file, file.relative_to(path).as_posix()) for file in files]
        except OSError as error:
            raise _failure(error, self.location.name) from error
        return Listing(tuple(sorted(objects, key=lambda each: each.path)), single=False)

    def _object(self, file: Path, path: str) -> Object:
        if not file.resolve().is_relative_to(self.root.resolve()):
            raise FetchFailed(
                FetchReason.UNSAFE_PATH, f"{self.location.name}: {path} leads out of it"
            )
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):
            raise FetchFailed(
                FetchReason.UNSAFE_PATH, f"{self.location.name}: {path} is no plain file"
            )
        return Object(path, str(file), status.st_size, _etag(status))

    def read(self, item: Object, offset: int, length: int) -> Iterator[bytes]:
        """A range of a file, if it still is the one that was listed."""
        try:
            with open(item.key, "rb") as file:  # noqa: PTH123  # a key of ours
                if _etag(os.fstat(file.fileno())) != item.etag:
                    raise failures.changed(self.location.name)
                file.seek(offset)
                left = length
                while left:
                    chunk = file.read(min(CHUNK_BYTES, left))
                    if not chunk:
                        raise failures.changed(self.location.name)
                    left -= len(chunk)
                    yield chunk
        except OSError as error:
            raise _failure(error, self.location.name) from error


def _etag(status: os.stat_result) -> str:
    return f"{status.st_mtime_ns}-{status.st_size}"


def _failure(error: OSError, name: str) -> FetchFailed:
    match error:
        case PermissionError():
            return FetchFailed(FetchReason.VOLUME_REFUSED, f"{name}: {error.strerror}")
        case FileNotFoundError():
            return failures.changed(name)
        case _:
            return FetchFailed(FetchReason.SERVER_ERROR, f"{name}: {error.strerror}")
