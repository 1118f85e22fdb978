"""The cache of a pod's node over HTTP, as `api.node_cache` says: a shelf to the fetcher.

It is beside the pod or nowhere, so it answers at once or not at all. After the first failure it is
not asked again: what it costs is bounded, whatever it does.
"""

import errno
import re
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

from trireme.api.node_cache import LEASES, Sort
from trireme.edge.stores.types import CHUNK_BYTES

_CONNECT_SECONDS = 2  # where the node has none, nothing refuses: kube-proxy drops what is sent
_STALL_SECONDS = 120  # the last byte of a large file is answered once it is on the disk
_LEASE_POLL_SECONDS = 0.5
_LONGEST_LEASE_POLLS = 3600  # 30 minutes, as long as a lease may be held
_TOKEN = re.compile(r"[0-9a-f]{64}")
_GOOD, _NONE, _TAKEN = (200, 204), 404, 409


class NodeShelf:
    """One namespace's part of the cache. Its methods raise OSError where it does not do its part.

    No proxy is asked: HTTP's own module of the standard library knows none.
    """

    def __init__(self, url: str, token_file: Path) -> None:
        """`url` ends with the namespace, the file holds its token; OSError where it does not."""
        parts = urlsplit(url)
        self._host, self._port, self._path = parts.hostname or "", parts.port, parts.path
        self._token = token_file.read_text(encoding="ascii", errors="replace")
        if not _TOKEN.fullmatch(self._token):
            raise OSError(errno.EINVAL, "its token is none")
        self._limit_bytes = 0
        self._failure: OSError | None = None

    def prepare(self) -> None:
        """Ask whether it is there, takes the token, and how much it holds."""
        with self._ask("GET", "") as answer, self._blamed():
            self._limit_bytes = int(answer.read(20))

    def size(self, sort: Sort, name: str) -> int | None:
        """How large a file is; None where there is none."""
        with self._ask("HEAD", f"/{sort}/{name}") as answer, self._blamed():
            return None if answer.status == _NONE else int(answer.headers["Content-Length"] or "")

    @contextmanager
    def read(self, sort: Sort, name: str) -> Iterator[Iterator[bytes] | None]:
        """The pieces of a file; None where there is none."""
        with self._ask("GET", f"/{sort}/{name}") as answer:
            yield None if answer.status == _NONE else self._pieces(answer)

    def insert(self, sort: Sort, name: str, pieces: Iterator[bytes], size: int) -> None:
        """Have a file kept."""
        with self._ask("PUT", f"/{sort}/{name}", pieces, size):
            pass

    def remove(self, sort: Sort, name: str) -> None:
        """Have a file removed."""
        with self._ask("DELETE", f"/{sort}/{name}"):
            pass

    def make_room(self, incoming: int, wanted: AbstractSet[str]) -> bool:
        """Whether so many bytes can fit; room is made for each file when it comes, and the blobs
        that are wanted were asked for just now, so that they are not among the oldest.
        """
        return incoming <= self._limit_bytes

    @contextmanager
    def lease(self, name: str, wait: Callable[[float], object]) -> Iterator[None]:
        """Held as long as a connection is; whoever dies loses it."""
        with ExitStack() as held:
            for _ in range(_LONGEST_LEASE_POLLS):
                answer = held.enter_context(self._ask("POST", f"/{LEASES}/{name}"))
                if answer.status != _TAKEN:
                    break
                held.close()
                wait(_LEASE_POLL_SECONDS)
            yield

    @contextmanager
    def _ask(
        self, method: str, path: str, body: Iterator[bytes] | None = None, size: int | None = None
    ) -> Iterator[HTTPResponse]:
        """The answer to a request, whose connection lasts as long as this does."""
        if self._failure is not None:
            raise self._failure
        headers = {"Authorization": f"Bearer {self._token}"}
        if size is not None:
            headers["Content-Length"] = str(size)
        connection = HTTPConnection(self._host, self._port, timeout=_CONNECT_SECONDS)
        with closing(connection), ExitStack() as stack:
            with self._blamed():
                connection.connect()
                connection.sock.settimeout(_STALL_SECONDS)
                connection.request(method, f"{self._path}{path}", body, headers)
                answer = stack.enter_context(closing(connection.getresponse()))
                if answer.status not in (*_GOOD, _NONE, _TAKEN):
                    raise HTTPException(f"{answer.status} {answer.reason}")
            yield answer

    def _pieces(self, answer: HTTPResponse) -> Iterator[bytes]:
        with self._blamed():
            while piece := answer.read(CHUNK_BYTES):
                yield piece
            if answer.length:
                raise HTTPException("the connection ended early")

    @contextmanager
    def _blamed(self) -> Iterator[None]:
        """What goes wrong here is the cache's failure, and the last one."""
        try:
            yield
        except (OSError, HTTPException, ValueError) as error:
            words = getattr(error, "strerror", None) or str(error)
            self._failure = OSError(errno.EIO, f"the node's does not do its part ({words})")
            raise self._failure from error
