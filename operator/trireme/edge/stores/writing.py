"""Where files are written to: a folder of a mounted volume, or below a prefix in object storage."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from trireme.api.fetch import FetchFailed, FetchReason
from trireme.edge.stores.credentials import Credentials
from trireme.edge.stores.types import CHUNK_BYTES, Access
from trireme.edge.stores.uri import Location, parse


class Writer(Protocol):
    """A destination of files. Raises `FetchFailed` with the reason; nothing is tried again."""

    def write(self, path: str, content: BinaryIO) -> None:
        """Put all of an open file at a path below what the URI names, in place of what is there."""


def open_writer(uri: str, access: Access, credentials: Credentials) -> Writer:
    """What writes below a URI; nothing is asked of anybody yet. Raises FetchFailed where the URI,
    or what the Secret holds, cannot be used.
    """
    location = parse(uri)
    if location.scheme == "pvc":
        return FolderWriter(location, access.claims / location.place)
    from trireme.edge.stores import object_storage

    openers = {
        "s3": object_storage.open_s3,
        "gs": object_storage.open_gcs,
        "az": object_storage.open_azure,
    }
    if location.scheme not in openers:
        raise FetchFailed(
            FetchReason.UNSUPPORTED, f"{location.name} cannot be written to: name a claim or bucket"
        )
    return openers[location.scheme](location, access, credentials)


@dataclass(frozen=True, slots=True)
class FolderWriter:
    """A path below `root`; a file is there whole or not at all."""

    location: Location
    root: Path

    def write(self, path: str, content: BinaryIO) -> None:
        """Beside its place first, on the disk, then by its name."""
        target = self.root / self.location.path / path
        new = target.with_name(f".{target.name}.new")
        try:
            if not self.root.is_dir():
                raise FetchFailed(FetchReason.NOT_FOUND, f"{self.location.name} is not mounted")
            target.parent.mkdir(parents=True, exist_ok=True)
            content.seek(0)
            with new.open("wb") as opened:
                while chunk := content.read(CHUNK_BYTES):
                    opened.write(chunk)
                opened.flush()
                os.fsync(opened.fileno())
            new.rename(target)
        except PermissionError as error:
            words = f"{self.location.name} may not be written to: {error.strerror}"
            raise FetchFailed(FetchReason.VOLUME_REFUSED, words) from error
