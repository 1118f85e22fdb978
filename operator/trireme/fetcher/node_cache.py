"""`trireme node-cache`: what was fetched on a node, for the next pod of the same namespace there.

`api.node_cache` is what it answers. Every file is on one shelf, by a digest of its namespace, its
sort and its own digest: knowing a digest is of no use to another namespace, and nothing that a
client sends ever becomes a path. All files count for the limit, manifests and memos too, and small
ones for more than they are, so that the limit bounds their number.

A client gets a bounded time, one piece's memory, and with its namespace a part of the connections.
A file that is not what its digest says is not kept.
"""

import errno
import hashlib
import hmac
import io
import logging
import re
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import socket
from types import FrameType
from typing import Any

from trireme.api import node_cache
from trireme.api.node_cache import LEASES, ROOT, NodeCacheKey, Sort
from trireme.fetcher.folder_shelf import FolderShelf

logger = logging.getLogger(__name__)

_PATH = re.compile(
    rf"{ROOT}/(?P<namespace>[a-z0-9](?:[-a-z0-9]{{0,61}}[a-z0-9])?)"
    rf"(?:/(?P<sort>{'|'.join(Sort)}|{LEASES})/(?P<digest>[0-9a-f]{{64}}))?"
)
_LENGTH = re.compile(r"[0-9]{1,18}")

_MOST_CONNECTIONS = 128
_MOST_OF_A_NAMESPACE = 48
_LEAST_BYTES = 1024 * 1024  # what a file counts for at least: 100 GiB are 100,000 files at most
_PIECE_BYTES = 256 * 1024
_HEAD_SECONDS = 10  # for a request's head, and for an answer's
_SLOWEST_BYTES_PER_SECOND = 1024 * 1024  # of a body
_LONGEST_STALL_SECONDS = 30  # of a body, however fast it came before
_LONGEST_LEASE_SECONDS = 1800


def run(folder: Path, limit_bytes: int, port: int, key: NodeCacheKey) -> None:
    """Serve until SIGTERM, which ends what is under way: pods then ask the source."""
    shelf = FolderShelf(folder, limit_bytes, _LEAST_BYTES)
    shelf.prepare()
    shelf.make_room(0, set())  # the limit may have been another one before
    signal.signal(signal.SIGTERM, _end)
    with NodeCacheServer(shelf, key, port) as server:
        logger.info("serving %s on port %d", folder, server.server_port)
        server.serve_forever()


def _end(number: int, _: FrameType | None) -> None:
    sys.exit(0)


@dataclass(slots=True)
class _Shared:
    """What the connections share, one at a time."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    connections: Counter[str] = field(default_factory=Counter)  # by namespace
    leases: set[str] = field(default_factory=set)
    arriving_bytes: int = 0


class NodeCacheServer(ThreadingHTTPServer):
    """A thread a connection, and a connection a request; one too many is closed unanswered."""

    daemon_threads = True
    request_queue_size = _MOST_CONNECTIONS

    def __init__(self, shelf: FolderShelf, key: NodeCacheKey, port: int) -> None:
        self.shelf, self.key = shelf, key
        self._shared = _Shared()
        self._free = threading.BoundedSemaphore(_MOST_CONNECTIONS)
        super().__init__(("", port), _Handler)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether a connection is answered."""
        return self._free.acquire(blocking=False)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer a connection, in a thread of its own."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went or was too slow is nothing to tell; all else is."""
        if not isinstance(sys.exception(), OSError):
            logger.exception("a request failed")

    @contextmanager
    def admitted(self, namespace: str) -> Iterator[bool]:
        """Whether a namespace may have one more connection, which this is."""
        with self._shared.lock:
            self._shared.connections[namespace] += 1
            few = self._shared.connections[namespace] <= _MOST_OF_A_NAMESPACE
        try:
            yield few
        finally:
            with self._shared.lock:
                self._shared.connections[namespace] -= 1
                self._shared.connections += Counter()  # without those that have none

    @contextmanager
    def room(self, size: int) -> Iterator[bool]:
        """Whether there is room for a file beside what else arrives; it is kept free meanwhile."""
        counted = max(size, self.shelf.least_bytes)
        with self._shared.lock:
            there = self.shelf.make_room(self._shared.arriving_bytes + counted, set())
            self._shared.arriving_bytes += counted if there else 0
        try:
            yield there
        finally:
            with self._shared.lock:
                self._shared.arriving_bytes -= counted if there else 0

    @contextmanager
    def lease(self, name: str) -> Iterator[bool]:
        """Whether a lease was free; it is held meanwhile."""
        with self._shared.lock:
            free = name not in self._shared.leases
            self._shared.leases.add(name)
        try:
            yield free
        finally:
            if free:
                with self._shared.lock:
                    self._shared.leases.remove(name)


class _Timely(io.RawIOBase):
    """What a client sends, until a deadline that it cannot move by sending a little."""

    def __init__(self, connection: socket) -> None:
        self._connection = connection
        self.deadline = 0.0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self.hurry()
        return self._connection.recv_into(buffer)

    def hurry(self) -> None:
        """Let the next operation take what is left. Raises TimeoutError where that is nothing."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)


class _Refused(Exception):
    """A request that is answered with a status alone."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status)
        self.status = status


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a request is about; `name` is the file's on the shelf."""

    sort: str
    digest: str
    name: str


class _Handler(BaseHTTPRequestHandler):
    server: NodeCacheServer

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        self._timely = _Timely(self.connection)
        self.rfile = io.BufferedReader(self._timely)
        self._allow(_HEAD_SECONDS)

    def do_GET(self) -> None:
        if self.path == "/healthz":
            self._end(HTTPStatus.OK)
        else:
            self._serve()

    def _serve(self) -> None:
        try:
            with self._admitted() as asked:
                self._answer(asked)
        except _Refused as refused:
            self._end(refused.status)

    do_HEAD = do_PUT = do_DELETE = do_POST = _serve  # noqa: N815  # http.server's names

    @contextmanager
    def _admitted(self) -> Iterator[_Asked]:
        """What is asked for, by whom it belongs to."""
        found = _PATH.fullmatch(self.path)
        if found is None:
            raise _Refused(HTTPStatus.BAD_REQUEST)
        namespace = found["namespace"]
        given, token = self.headers.get("Authorization", ""), self.server.key.token(namespace)
        if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
            raise _Refused(HTTPStatus.UNAUTHORIZED)
        with self.server.admitted(namespace) as few:
            if not few:
                raise _Refused(HTTPStatus.SERVICE_UNAVAILABLE)
            sort, digest = found["sort"] or "", found["digest"] or ""
            name = hashlib.sha256(f"{namespace}/{sort}/{digest}".encode()).hexdigest()
            yield _Asked(sort, digest, name)

    def _answer(self, asked: _Asked) -> None:
        match self.command, asked.sort:
            case "POST", node_cache.LEASES:
                self._lease(asked)
            case "GET", "":
                self._end(HTTPStatus.OK, str(self.server.shelf.limit_bytes).encode())
            case "GET" | "HEAD", _:
                self._file(asked)
            case "PUT", Sort.BLOB | Sort.MANIFEST | Sort.MEMO:
                self._keep(asked, Sort(asked.sort))
            case "DELETE", _:
                self.server.shelf.remove(Sort.BLOB, asked.name)
                self._end(HTTPStatus.NO_CONTENT)
            case _:
                raise _Refused(HTTPStatus.METHOD_NOT_ALLOWED)

    def _lease(self, asked: _Asked) -> None:
        with self.server.lease(asked.name) as free:
            if not free:
                raise _Refused(HTTPStatus.CONFLICT)
            self._allow(_LONGEST_LEASE_SECONDS)
            self._head(HTTPStatus.OK)
            self.rfile.read(1)  # until the holder goes, or its time is over

    def _file(self, asked: _Asked) -> None:
        shelf = self.server.shelf
        with shelf.read(Sort.BLOB, asked.name) as pieces:
            size = shelf.size(Sort.BLOB, asked.name)
            if pieces is None or size is None:
                raise _Refused(HTTPStatus.NOT_FOUND)
            self._head(HTTPStatus.OK, size)
            for piece in pieces if self.command == "GET" else ():
                self._allow_for(piece)
                self._send(piece)

    def _keep(self, asked: _Asked, sort: Sort) -> None:
        length = self.headers.get("Content-Length", "")
        if not _LENGTH.fullmatch(length) or "Transfer-Encoding" in self.headers:
            raise _Refused(HTTPStatus.LENGTH_REQUIRED)
        size = int(length)
        if size > (sort.largest_bytes or size):
            raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        body = self._body(size, None if sort is Sort.MEMO else asked.digest)
        with self.server.room(size) as there, _disk_full_is_refused():
            if not there:
                raise _Refused(HTTPStatus.INSUFFICIENT_STORAGE)
            self.server.shelf.insert(Sort.BLOB, asked.name, body, size)
        self._end(HTTPStatus.NO_CONTENT)

    def _body(self, size: int, digest: str | None) -> Iterator[bytes]:
        """The body in pieces. Refused where it is not whole, or not of this digest."""
        found = hashlib.sha256()
        left = size
        while left and (piece := self.rfile.read(min(left, _PIECE_BYTES))):
            self._allow_for(piece)
            found.update(piece)
            left -= len(piece)
            yield piece
        if left or digest not in (None, found.hexdigest()):
            raise _Refused(HTTPStatus.UNPROCESSABLE_ENTITY)

    # ---------------------------------------------------------------------------- answering

    def _allow(self, seconds: float) -> None:
        self._timely.deadline = time.monotonic() + seconds

    def _allow_for(self, piece: bytes) -> None:
        """A piece earns the time that it may take, and being ahead is worth only so much."""
        earned = self._timely.deadline + len(piece) / _SLOWEST_BYTES_PER_SECOND
        self._timely.deadline = min(earned, time.monotonic() + _LONGEST_STALL_SECONDS)

    def _send(self, content: bytes) -> None:
        self._timely.hurry()
        self.connection.sendall(content)  # of which the timeout is that of all together

    def _head(self, status: HTTPStatus, size: int | None = None) -> None:
        self.send_response_only(status)
        if size is not None:
            self.send_header("Content-Length", str(size))
        self._timely.hurry()
        self.end_headers()

    def _end(self, status: HTTPStatus, content: bytes = b"") -> None:
        self._allow(_HEAD_SECONDS)
        self._head(status, len(content))
        self._send(content)

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads these."""


@contextmanager
def _disk_full_is_refused() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        logger.warning("the node's disk is full: a file is not kept")
        raise _Refused(HTTPStatus.INSUFFICIENT_STORAGE) from error
