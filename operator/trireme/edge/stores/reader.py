"""Random access to one object: what inspecting a file's header needs."""

from dataclasses import dataclass

from trireme.edge.stores.types import Object, Store


@dataclass(frozen=True, slots=True)
class Reader:
    """An object as bytes by offset; each read is one ranged request."""

    store: Store
    item: Object

    @property
    def size(self) -> int:
        """Bytes of the whole object."""
        return self.item.size

    def read(self, offset: int, length: int) -> bytes:
        """The bytes from `offset` on: `length` of them, or fewer at the end of the object.

        Raises FetchFailed where the store does not answer with them.
        """
        length = min(length, self.item.size - offset)
        return b"".join(self.store.read(self.item, offset, length)) if length > 0 else b""
