"""Killed in the middle of every stage, the fetcher goes on from there the next time.

Kills are SIGKILLs: while a server holds back its bytes, and at every so-many-th line that the
fetcher's own code comes to.
"""

import functools
import io
import itertools
import json
import os
import shutil
import signal
import sys
import tarfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Protocol

import pytest

from integration.fetching import SECONDS, Pod, noise, sha256, until
from integration.file_server import FileServer, Request, file_server
from integration.trireme_process import TriremeProcess
from ports import free_port
from trireme.api.fetch import FetchPhase, FetchProgress, FetchSource
from trireme.fetcher.ranges import BLOCK_BYTES

MODEL = noise(4 * BLOCK_BYTES + 5)


class Tracing(Protocol):
    def __call__(self, frame: FrameType, event: str, _: object) -> "Tracing | None": ...


def kill(process: TriremeProcess, number: int = signal.SIGKILL) -> int:
    process.send_signal(number)
    return process.wait(SECONDS)


def finish(process: TriremeProcess) -> None:
    assert process.wait(SECONDS) == 0


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    (tmp_path / "pod").mkdir()
    return Pod(tmp_path / "pod", connections=2)


@contextmanager
def holding(block: int) -> Iterator[FileServer]:
    """A server that stops in the middle of one block, once."""

    def behave(request: Request) -> None:
        if request.headers.get("Range", "").startswith(f"bytes={block * BLOCK_BYTES}-"):
            held = any(each.hold_after for each in server.requests)
            request.hold_after = None if held else BLOCK_BYTES // 2

    with file_server({"/m.onnx": MODEL}) as server:
        server.behave = behave
        yield server


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_while_it_downloads_it_fetches_only_what_is_missing(pod: Pod, number: int) -> None:
    with holding(3) as server:
        first = pod.process(f"{server.url}/m.onnx", sha256=sha256(MODEL))
        assert server.held.wait(SECONDS)
        journal = pod.root / ".fetch/m/1/parts"
        until(
            "three blocks are there",
            lambda: any(
                {"0", "1", "2"} <= set(file.read_text().split("\n")[1:])
                for file in journal.glob("*.journal")
            ),
        )
        assert kill(first, number) in (-signal.SIGKILL, 128 + signal.SIGTERM)
        assert not pod.files()
        before = len(server.requests)
        server.released.set()
        finish(pod.process(f"{server.url}/m.onnx", sha256=sha256(MODEL)))
        again = [request.headers["Range"] for request in server.requests[before:]]
    assert pod.files() == {"m.onnx": MODEL}
    assert all(asked.startswith(("bytes=0-0", "bytes=5033", "bytes=6710")) for asked in again)


def test_terminated_the_fetcher_ends_at_once(pod: Pod) -> None:
    with holding(1) as server:
        process = pod.process(f"{server.url}/m.onnx")
        assert server.held.wait(SECONDS)
        began = time.monotonic()
        assert kill(process, signal.SIGTERM) == 128 + signal.SIGTERM
        assert time.monotonic() - began < pod.stall_seconds / 2  # it does not wait for the server


def test_progress_is_told_while_it_downloads(pod: Pod) -> None:
    port = free_port()
    with holding(3) as server:
        process = pod.process(f"{server.url}/m.onnx", port=port)
        assert server.held.wait(SECONDS)

        def progress() -> FetchProgress:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=SECONDS) as answer:
                return FetchProgress.model_validate(json.load(answer))

        most = len(MODEL) - BLOCK_BYTES // 2
        until("all but half a block is there", lambda: progress().models[0].bytes_done >= most)
        (model,) = progress().models
        kill(process)
    assert (model.phase, model.bytes_total) == (FetchPhase.DOWNLOADING, len(MODEL))


# ---------------------------------------------------------------------------- at any line


def killed_at(line: int, work: Callable[[], object]) -> bool:
    """Whether `work`, in a process of its own, came to the fetcher's n-th line, and died there."""
    child = os.fork()
    if child == 0:
        lines = itertools.count()

        def trace(frame: FrameType, event: str, _: object) -> Tracing | None:
            if "/trireme/fetcher/" not in frame.f_code.co_filename:
                return None
            if event == "line" and next(lines) == line:
                os.kill(os.getpid(), signal.SIGKILL)
            return trace

        threading.settrace(trace)
        sys.settrace(trace)
        try:
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def packed(folder: Path) -> dict[str, bytes]:
    """An archive as a source, and what is to be published of it."""
    files = {f"w{number}.bin": noise(100_000, seed=number) for number in range(2)}
    with tarfile.open(folder / "source.tar.gz", "w:gz") as tar:
        for name, content in {**files, "encoder.onnx": b"graph"}.items():
            member = tarfile.TarInfo(f"encoder/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return {**files, "model.onnx": b"graph"}


def plain(folder: Path) -> dict[str, bytes]:
    """A folder as a source, and what is to be published of it."""
    files = {"encoder.onnx": b"graph", "deep/weights.bin": noise(100_000)}
    for name, content in files.items():
        (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "source" / name).write_bytes(content)
    return {"model.onnx": b"graph", "deep/weights.bin": files["deep/weights.bin"]}


def cached(folder: Path) -> dict[str, bytes]:
    """The same, and the cache has it all."""
    wanted = plain(folder)
    Pod(folder / "earlier", cache=folder / "cache").fetch(f"file://{folder}/source")
    return wanted


EVERY = 23  # lines from one kill to the next: a prime, so that loops are met at all their lines


@pytest.mark.parametrize("source", [packed, plain, cached])
def test_killed_at_any_line_it_leaves_nothing_or_all_and_the_next_run_makes_it_whole(
    tmp_path: Path, source: Callable[[Path], dict[str, bytes]]
) -> None:
    kills = 0
    for line in itertools.count(3, EVERY):
        folder = tmp_path / str(line)
        folder.mkdir()
        wanted = source(folder)
        # The cache holds something old that has to go for what is new.
        pod = Pod(folder / "pod", cache=folder / "cache", cache_limit=250_000)
        old = folder / "cache" / "blobs" / sha256(noise(90_000))
        old.parent.mkdir(parents=True, exist_ok=True)
        old.write_bytes(noise(90_000))
        os.utime(old, (1, 1))
        (archive,) = (str(f) for f in folder.glob("source*"))
        fetch = functools.partial(pod.fetch, f"file://{archive}", file_name="model.onnx")
        killed = killed_at(line, fetch)
        kills += killed
        assert pod.files() in ({}, wanted)
        for blob in (folder / "cache" / "blobs").iterdir():
            assert sha256(blob.read_bytes()) == blob.name
        fetch()
        assert pod.files() == wanted
        assert not (pod.root / ".fetch" / "m" / "1").exists()
        assert not list((folder / "cache" / "temporary").iterdir())
        another = pod.another("another").fetch(f"file://{archive}", file_name="model.onnx")
        assert another.source is FetchSource.CACHE
        shutil.rmtree(folder)
        if not killed:
            break
    assert kills > 20
