"""A folder of this machine as a tree of files."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path


@dataclass(frozen=True, slots=True)
class FileReader:
    """Random access to a file of this machine."""

    path: Path
    size: int

    def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset` on; fewer where the file ends. Raises OSError."""
        with self.path.open("rb") as file:
            file.seek(offset)
            return file.read(length)


class LocalTree:
    """Every file below a folder, links followed, each directory once."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def sizes(self) -> Mapping[str, int]:
        """The size of each file in bytes, by its path below the folder."""
        return self._walked[0]

    def directories(self) -> Sequence[str]:
        """Every directory, by its path below the folder."""
        return self._walked[1]

    def read(self, path: str) -> bytes:
        """A file's content."""
        return (self._root / path).read_bytes()

    def readers(self) -> Mapping[str, FileReader]:
        """Each file by its path below the folder, to be read in parts."""
        return {path: FileReader(self._root / path, size) for path, size in self.sizes().items()}

    @cached_property
    def _walked(self) -> tuple[dict[str, int], list[str]]:
        sizes: dict[str, int] = {}
        directories: list[str] = []
        seen: set[str] = set()
        for folder, inner, files in os.walk(self._root, followlinks=True):
            here = Path(folder)
            if (real := os.path.realpath(folder)) in seen:
                inner.clear()  # a link that leads back up
                continue
            seen.add(real)
            inner.sort()
            directories += [(here / each).relative_to(self._root).as_posix() for each in inner]
            for name in sorted(files):
                path = here / name
                if path.is_file():
                    sizes[path.relative_to(self._root).as_posix()] = path.stat().st_size
        return sizes, directories
