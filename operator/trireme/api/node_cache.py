"""What the cache of a node and the pods that use it agree on. Pure.

    GET    /v1/<namespace>                     how many bytes the cache may hold
    HEAD   /v1/<namespace>/<sort>/<digest>     the file's size
    GET    /v1/<namespace>/<sort>/<digest>     the file
    PUT    /v1/<namespace>/<sort>/<digest>     keep it
    DELETE /v1/<namespace>/<sort>/<digest>     it was found to be something else
    POST   /v1/<namespace>/leases/<digest>     held while the connection lasts; 409 while another's

Each request shows the namespace's token, and is a connection of its own.
"""

import hashlib
import hmac
from dataclasses import dataclass, field
from enum import StrEnum

ROOT = "/v1"
LEASES = "leases"


class Sort(StrEnum):
    """What a cache keeps, each by a digest in hexadecimal."""

    BLOB = "blobs"  # one file's content, by its own digest
    MANIFEST = "manifests"  # one folder's manifest, by its own digest
    MEMO = "memos"  # what a question was answered by; the digest is the question's

    @property
    def largest_bytes(self) -> int | None:
        """What one may have at most; None where only the cache's limit bounds it."""
        return _LARGEST_BYTES.get(self)


_LARGEST_BYTES = {Sort.MANIFEST: 16 * 1024 * 1024, Sort.MEMO: 4096}


@dataclass(frozen=True, slots=True)
class NodeCacheKey:
    """What the operator and the caches of the nodes share; its representation does not show it."""

    secret: bytes = field(repr=False)

    def token(self, namespace: str) -> str:
        """What shows that a pod is of this namespace: HMAC-SHA256, in hexadecimal digits."""
        return hmac.new(self.secret, f"node-cache/{namespace}".encode(), hashlib.sha256).hexdigest()
