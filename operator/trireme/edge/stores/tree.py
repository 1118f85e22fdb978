"""What a URI names as a tree of files: a model repository in object storage or on a hub."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from trireme.api.fetch import FetchFailed, FetchReason
from trireme.edge.stores.types import Object, Store


class StoredTree:
    """The files below a URI, listed once. Raises FetchFailed where that is no folder."""

    def __init__(self, store: Store) -> None:
        listing = store.list()
        if listing.single:
            raise FetchFailed(
                FetchReason.UNSUPPORTED,
                f"{store.location.name} is one file, and no folder of models",
            )
        self._store = store
        self._objects: dict[str, Object] = {each.path: each for each in listing.objects}

    def sizes(self) -> Mapping[str, int]:
        """The size of each file in bytes, by its path below the URI."""
        return {path: each.size for path, each in self._objects.items()}

    def directories(self) -> Sequence[str]:
        """Every directory with a file in it: object storage knows no others."""
        parents = (PurePosixPath(path).parents for path in self._objects)
        return sorted({str(each) for found in parents for each in found} - {"."})

    def read(self, path: str) -> bytes:
        """A file's whole content, for small ones. Raises FetchFailed."""
        item = self._objects[path]
        return b"".join(self._store.read(item, 0, item.size)) if item.size else b""
