"""How far the fetcher is, for whoever asks on its port."""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer

from trireme.api.fetch import Fetch, FetchPhase, FetchProgress, ModelProgress

logger = logging.getLogger(__name__)

_SLOWEST_REQUEST_SECONDS = 2  # one client is answered at a time, and none holds up the others


@dataclass(slots=True)
class Tracker:
    """One model's progress; many threads add to it."""

    model: str
    version: int
    phase: FetchPhase = FetchPhase.WAITING
    done: int = 0
    total: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def enter(self, phase: FetchPhase) -> None:
        """The next phase has begun."""
        self.phase = phase
        logger.info("%s version %s: %s", self.model, self.version, phase)

    def expect(self, total: int, done: int = 0) -> None:
        """So many bytes are to be brought, of which some are there already."""
        with self._lock:
            self.total, self.done = total, done

    def add(self, count: int) -> None:
        """So many bytes more are there; less than none where they have to be fetched again."""
        with self._lock:
            self.done += count


class Progress:
    """Every model's tracker, in the plan's order."""

    def __init__(self, fetches: Sequence[Fetch]) -> None:
        self.trackers = tuple(Tracker(fetch.model, fetch.version) for fetch in fetches)

    def snapshot(self) -> FetchProgress:
        """The moment's values."""
        return FetchProgress(
            models=[
                ModelProgress(
                    model=tracker.model,
                    version=tracker.version,
                    phase=tracker.phase,
                    bytes_done=tracker.done,
                    bytes_total=tracker.total,
                )
                for tracker in self.trackers
            ]
        )


@contextmanager
def served(progress: Progress, port: int) -> Iterator[int]:
    """Answer every GET with the progress while the context lasts; yields the port (0 picks one).

    A port that is taken costs the progress, not the fetch.
    """

    class Handler(BaseHTTPRequestHandler):
        timeout = _SLOWEST_REQUEST_SECONDS

        def do_GET(self) -> None:
            body = progress.snapshot().model_dump_json(by_alias=True).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads these."""

    try:
        server = HTTPServer(("", port), Handler)
    except OSError as error:
        logger.warning("progress is not served on port %d: %s", port, error.strerror)
        yield 0
        return
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1})
    thread.daemon = True
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
