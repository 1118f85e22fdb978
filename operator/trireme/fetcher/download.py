"""Objects into files: several ranges at a time, resumed where the last run ended.

Memory is bounded by connections times one chunk, whatever the objects' sizes.
"""

import hashlib
import os
import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

from trireme.api.fetch import FetchFailed
from trireme.edge.stores.types import Object, Store
from trireme.fetcher import disk, ranges
from trireme.fetcher.progress import Tracker
from trireme.fetcher.retries import Backoff

_MOST_BREAKS = 100  # of one block, however far each attempt came


class _Stopped(Exception):
    """Another range failed for good, so this one is no longer wanted."""


@dataclass(frozen=True, slots=True)
class Download:
    """Objects of one store into a folder, one file each."""

    store: Store
    folder: Path
    tracker: Tracker
    connections: int = 8
    backoff: Backoff = field(default_factory=Backoff)
    _stop: threading.Event = field(default_factory=threading.Event)

    def file(self, item: Object) -> Path:
        """Where an object is written: never by a name that somebody else chose."""
        return self.folder / f"{hashlib.sha256(item.key.encode()).hexdigest()[:32]}.part"

    def bytes_on_disk(self, items: Sequence[Object]) -> int:
        """What the parts of an earlier run take up."""
        parts = filter(Path.is_file, map(self.file, items))
        return sum(part.stat().st_blocks * 512 for part in parts)  # in units of 512: stat(2)

    def prepare(self, items: Sequence[Object]) -> dict[Object, frozenset[int]]:
        """What of each object is there already; what is of another version is thrown away."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return {item: self._resume(item) for item in items}

    def run(self, there: dict[Object, frozenset[int]]) -> None:
        """Fetch what is not there.

        Raises FetchFailed: the first failure that trying again did not help; what was fetched by
        then stays.
        """
        work = [(item, span) for item in there for span in ranges.missing(item, there[item])]
        with ThreadPoolExecutor(self.connections, thread_name_prefix="range") as pool:
            futures: list[Future[None]] = [
                pool.submit(self._fetch, item, span) for item, span in work
            ]
            finished, pending = wait(futures, return_when=FIRST_EXCEPTION)
            if pending:
                self._stop.set()
                pool.shutdown(cancel_futures=True)
        failures = [e for future in finished if (e := future.exception())]
        for error in failures:
            if not isinstance(error, _Stopped):
                raise error

    def forget(self, item: Object) -> None:
        """Remove what was fetched of an object."""
        self._journal(item).unlink(missing_ok=True)
        self.file(item).unlink(missing_ok=True)

    def _journal(self, item: Object) -> Path:
        return self.file(item).with_suffix(".journal")

    def _resume(self, item: Object) -> frozenset[int]:
        file, journal = self.file(item), self._journal(item)
        done = None
        if file.is_file() and journal.is_file():
            done = ranges.there(journal.read_text(errors="replace"), item)
        if done is None:
            self.forget(item)
            file.touch()
            journal.write_text(ranges.header(item))
        return done or frozenset()

    def _fetch(self, item: Object, span: ranges.Span) -> None:
        """One block: all its bytes are on the disk before the journal says so."""
        with disk.full_is_told("the model volume"):
            handle = os.open(self.file(item), os.O_WRONLY)
            try:
                self._fill(handle, item, span)
                os.fdatasync(handle)
            finally:
                os.close(handle)
            with self._journal(item).open("a") as journal:
                journal.write(ranges.entry(span))  # one write, since it is shorter than the buffer

    def _fill(self, handle: int, item: Object, span: ranges.Span) -> None:
        done = failures = breaks = 0
        while done < span.length:
            before = done
            try:
                for chunk in self.store.read(item, span.offset + done, span.length - done):
                    if self._stop.is_set():
                        raise _Stopped
                    disk.write_at(handle, chunk, span.offset + done)
                    done += len(chunk)
                    self.tracker.add(len(chunk))
            except FetchFailed as failure:
                failures = 1 if done > before and item.ranged else failures + 1
                breaks += 1
                hopeless = failures >= self.backoff.attempts or breaks >= _MOST_BREAKS
                if hopeless or not failure.reason.transient:
                    raise
                if not item.ranged:
                    self.tracker.add(-done)
                    done = 0
                self._stop.wait(self.backoff.seconds(failures))
