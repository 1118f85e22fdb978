"""A web server on loopback that misbehaves as told: what downloads meet in the wild.

It serves real HTTP by ranges. Each request asks the server's `behave` first, which may answer by
itself, or cut, stall or hold the body; a test that waits for a moment waits for the server to reach
it, never for time.
"""

import hashlib
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

from certificates import certificate

_RANGE = re.compile(r"bytes=(\d+)-(\d+)")
PIECE_BYTES = 64 * 1024


@dataclass
class Request:
    """One request, and what `behave` makes of its answer."""

    method: str
    path: str
    headers: dict[str, str]
    number: int  # of the requests for this path, from 0 on

    status: int | None = None  # answered instead of the file
    body: bytes = b""
    extra: dict[str, str] = field(default_factory=dict)  # headers, set or replaced; "" removes
    cut_after: int | None = None  # bytes of the body, then the connection ends
    hold_after: int | None = None  # bytes of the body, then nothing until the server closes
    ignore_range: bool = False
    content: bytes | None = None  # instead of the file's own


@dataclass
class FileServer:
    """Files by path, and every request so far."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    behave: Callable[[Request], object] = lambda request: None
    requests: list[Request] = field(default_factory=list)
    held: threading.Event = field(default_factory=threading.Event)  # a body is being held
    released: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def bytes_requests(self) -> list[Request]:
        """Requests for content, beyond the first byte that tells a file's size."""
        return [r for r in self.requests if r.headers.get("Range") != "bytes=0-0"]


def etag(content: bytes) -> str:
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'


@contextmanager
def file_server(files: dict[str, bytes], tls: ssl.SSLContext | None = None) -> Iterator[FileServer]:
    server = FileServer(files=dict(files))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            with server.lock:
                number = sum(each.path == self.path for each in server.requests)
                request = Request(self.command, self.path, dict(self.headers), number)
                server.requests.append(request)
            server.behave(request)
            path = unquote(self.path.partition("?")[0])
            if request.status is None and path not in server.files:
                request.status, request.body = 404, b"no such file"
            if request.status is not None:
                self._head(request.status, len(request.body), request)
                self.wfile.write(b"" if self.command == "HEAD" else request.body)
                return
            content = server.files[path] if request.content is None else request.content
            tag = etag(content)
            if self.headers.get("If-Match", tag) != tag:
                self._head(412, 0, request)
                return
            body, status = content, 200
            found = _RANGE.fullmatch(self.headers.get("Range", ""))
            if found and not request.ignore_range:
                start, end = int(found[1]), min(int(found[2]) + 1, len(content))
                if start >= len(content):
                    self._head(416, 0, request)
                    return
                body, status = content[start:end], 206
                whole = f"bytes {start}-{end - 1}/{len(content)}"
                request.extra.setdefault("Content-Range", whole)
            request.extra.setdefault("ETag", tag)
            self._head(status, len(body), request)
            if self.command == "GET":
                self._send(body, request)

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.do_GET()

        def _head(self, status: int, length: int, request: Request) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(length), **request.extra}.items():
                if value:
                    self.send_header(name, value)
            self.end_headers()

        def _send(self, body: bytes, request: Request) -> None:
            stop = min(
                (n for n in (request.cut_after, request.hold_after) if n is not None),
                default=len(body),
            )
            for at in range(0, min(stop, len(body)), PIECE_BYTES):
                self.wfile.write(body[at : min(at + PIECE_BYTES, stop)])
            if request.cut_after is not None and request.cut_after < len(body):
                self.close_connection = True
            elif request.hold_after is not None and request.hold_after < len(body):
                self.wfile.flush()
                server.held.set()
                server.released.wait(60)
                self.wfile.write(body[stop:])

        def log_message(self, *_: object) -> None:
            """Quiet."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, request: object, client_address: object) -> None:
            """Clients that are killed or give up break connections: that is the point."""

    listening = Server(("127.0.0.1", 0), Handler)
    if tls:
        listening.socket = tls.wrap_socket(listening.socket, server_side=True)
    server.url = f"http{'s' if tls else ''}://127.0.0.1:{listening.server_port}"
    thread = threading.Thread(target=listening.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        listening.shutdown()
        listening.server_close()
        thread.join()


def authority(folder: Path) -> tuple[str, ssl.SSLContext]:
    """An authority's certificate in PEM, and the TLS of a loopback server that it vouches for."""
    made = certificate(folder, "IP:127.0.0.1", "DNS:localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)
    return made.authority.read_text(), context
