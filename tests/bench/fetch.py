"""How fast the fetcher is beside plain obstore and loopback itself, and what memory it takes.

Needs no cluster: `python -m bench.fetch`. One server makes the bytes up and speaks as much of S3 as
a download needs; every reader is a process of its own, so that its memory is its own, too.
"""

import hashlib
import http.client
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import Process, get_context
from multiprocessing.connection import Connection
from pathlib import Path

from bench.table import table
from trireme.api.fetch import Fetch, FetchPlan, FetchResult

GB = 10**9
COMPARED_BYTES = 2 * GB
LARGE_BYTES = 10 * GB
CONNECTIONS = 8
BLOCK = random.Random(1).randbytes(1024 * 1024)  # what every object repeats
HOST = "127.0.0.1"


@dataclass(frozen=True)
class Spent:
    """What one reader took."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int


def run() -> str:
    """Both tables."""
    with _server() as port, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        compared = {
            "loopback itself: 8 connections, bytes thrown away": _loopback(port, COMPARED_BYTES),
            "obstore: one stream into a file": _obstore(port, folder, "written"),
            "the same, then synced and hashed": _obstore(port, folder, "synced"),
            "trireme fetch: synced, hashed, published": _fetch(port, folder, COMPARED_BYTES),
        }
        large = _fetch(port, folder, LARGE_BYTES)
    limit = COMPARED_BYTES / compared["loopback itself: 8 connections, bytes thrown away"].seconds
    rows = []
    for what, spent in compared.items():
        rate = COMPARED_BYTES / spent.seconds
        rows.append((what, *_row(spent, rate), f"{rate / limit:.2f}"))
    rate = LARGE_BYTES / large.seconds
    rows.append(("trireme fetch of 10 GB", *_row(large, rate), f"{rate / limit:.2f}"))
    header = ("reader", "MB/s", "processor s/GB", "peak memory MiB", "of loopback's rate")
    return table("One object of 2 GB over loopback", header, rows)


def _row(spent: Spent, rate: float) -> tuple[str, str, str]:
    read = rate * spent.seconds
    return (
        f"{rate / 1e6:.0f}",
        f"{spent.cpu_seconds / read * GB:.2f}",
        f"{spent.peak_bytes / 2**20:.0f}",
    )


def _fetch(port: int, folder: Path, size: int) -> Spent:
    root, plan, result = folder / "models", folder / "plan.json", folder / "result.json"
    root.mkdir()
    fetch = Fetch(model="m", version=1, uri=f"s3://b/{size}", endpoint=f"http://{HOST}:{port}")
    plan.write_text(
        FetchPlan(fetches=[fetch], connections=CONNECTIONS).model_dump_json(by_alias=True)
    )
    spent = _spent(
        str(Path(sys.executable).with_name("trireme")), "fetch", f"--plan={plan}",
        f"--root={root}", f"--result={result}", "--progress-port=0",
    )  # fmt: skip
    told = FetchResult.model_validate_json(result.read_text())
    digest = hashlib.sha256()
    for start in range(0, size, len(BLOCK)):
        digest.update(BLOCK[: size - start])
    manifest = hashlib.sha256(f"{digest.hexdigest()}  {size}\n".encode()).hexdigest()
    if told.models[0].digest != manifest:
        raise AssertionError(f"other bytes than were sent: {told}")
    subprocess.run(["rm", "-r", root], check=True)
    return spent


def _obstore(port: int, folder: Path, how: str) -> Spent:
    return _spent(sys.executable, "-c", _OBSTORE, f"http://{HOST}:{port}", str(folder / "o"), how)


_OBSTORE = f"""
import hashlib, os, sys
from obstore.store import S3Store
endpoint, file, how = sys.argv[1:]
store = S3Store("b", endpoint=endpoint, skip_signature=True, client_options={{"allow_http": True,
    "timeout": "1h"}})
with open(file, "wb") as out:
    for chunk in store.get("{COMPARED_BYTES}").stream(min_chunk_size=1 << 20):
        out.write(chunk)
    if how == "synced":
        out.flush()
        os.fsync(out.fileno())
        with open(file, "rb") as again:
            hashlib.file_digest(again, "sha256")
os.unlink(file)
"""


def _spent(*command: str) -> Spent:
    os.sync()
    began = time.monotonic()
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise AssertionError(f"{command} ended with {process.returncode}")
    cpu = usage.ru_utime + usage.ru_stime
    return Spent(time.monotonic() - began, cpu, usage.ru_maxrss * 1024)


def _loopback(port: int, size: int) -> Spent:
    """As many connections as the fetcher has, each reading its share into one buffer."""
    share = size // CONNECTIONS
    context = get_context("spawn")
    readings, writings = context.Pipe(duplex=False)
    process = context.Process(target=_throw_away, args=(port, size, share, writings))
    process.start()
    seconds, cpu, peak = readings.recv()
    process.join()
    return Spent(seconds, cpu, peak)


def _throw_away(port: int, size: int, share: int, told: Connection) -> None:
    import resource

    def read(offset: int) -> None:
        connection = http.client.HTTPConnection(HOST, port)
        headers = {"Range": f"bytes={offset}-{offset + share - 1}"}
        connection.request("GET", f"/b/{size}", headers=headers)
        answer, buffer = connection.getresponse(), bytearray(len(BLOCK))
        while answer.readinto(buffer):
            pass
        connection.close()

    began = time.monotonic()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(read, range(0, size, share)))
    usage = resource.getrusage(resource.RUSAGE_SELF)
    told.send((time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024))


# ------------------------------------------------------------------------------------- server


@contextmanager
def _server() -> Iterator[int]:
    context = get_context("spawn")
    readings, writings = context.Pipe(duplex=False)
    process: Process = context.Process(target=_serve, args=(writings,), daemon=True)  # type: ignore[assignment]
    process.start()
    yield readings.recv()
    process.kill()
    process.join()


def _serve(told: Connection) -> None:
    server = ThreadingHTTPServer((HOST, 0), _Handler)
    told.send(server.server_port)
    server.serve_forever()


class _Handler(BaseHTTPRequestHandler):
    """Objects /b/SIZE of so many bytes: BLOCK again and again."""

    protocol_version = "HTTP/1.1"
    wbufsize = 0

    def do_GET(self) -> None:
        size = int(self.path.rpartition("/")[2])
        start, end = 0, size
        if asked := self.headers.get("Range"):
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, end = int(first), min(int(last) + 1, size)
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        self.send_header("Content-Length", str(end - start))
        self.send_header("ETag", '"made-up"')
        self.send_header("Last-Modified", "Tue, 24 Nov 2026 12:00:00 GMT")
        self.end_headers()
        if self.command == "HEAD":
            return
        block = memoryview(BLOCK)
        while start < end:
            at = start % len(block)
            piece = block[at : at + end - start]
            self.connection.sendall(piece)
            start += len(piece)

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Quiet."""


if __name__ == "__main__":
    print(run())
