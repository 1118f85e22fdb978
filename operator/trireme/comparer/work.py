"""The comparer's work on one copy after the other: bounded, counted, never repeated.

A difference counts only if the stable pods give their answer twice: a model that draws lots, or
tells the time, differs from itself, which says nothing of the canary.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from trireme.api import names
from trireme.comparer.compare import (
    Answer,
    Different,
    Failed,
    NotComparable,
    Rules,
    Same,
    Verdict,
    compare,
)
from trireme.comparer.decode import TooManyParts
from trireme.comparer.metrics import Metrics
from trireme.comparer.requests import Dropped, Request
from trireme.comparer.tensors import Outputs, Unreadable
from trireme.edge.pod_answers import LargeAnswer
from trireme.edge.tracks import NoPod, Track, Unanswered

logger = logging.getLogger(__name__)

T = TypeVar("T")

_READ_SECONDS = 10  # for a copy to arrive
_NOTE_SECONDS = 60  # between two lines about one output
_MOST_NOTED = 256  # outputs that have lines at all
_LONGEST_NAME = 128  # of a stranger's, in a line


@dataclass(frozen=True, slots=True)
class Copy:
    """A mirrored request that was read whole: what looks into it, what asks a track and returns
    what reads the answer. What looks and reads may take a while, so it is done in a thread.
    """

    look: Callable[[], Request]
    ask: Callable[[Track], Awaitable[Callable[[], Outputs]]]


class NotRead(Exception):
    """A copy could not be read whole."""

    def __init__(self, reason: Dropped) -> None:
        super().__init__(reason)
        self.reason = reason


class Comparer:
    """Compares copies in the background, at most `most_in_flight` at a time."""

    def __init__(
        self, stable: Track, canary: Track, rules: Rules, most_in_flight: int, metrics: Metrics
    ) -> None:
        self._stable, self._canary = stable, canary
        self._rules = rules
        self._free = most_in_flight
        self._metrics = metrics
        self._tasks: set[asyncio.Task[None]] = set()
        # One thread: of large answers only two are decoded at a time.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="compare")
        self._noted: dict[tuple[str, str], float] = {}

    async def take(self, read: Callable[[], Coroutine[Any, Any, Copy]]) -> bool:
        """Read a copy and leave it to be compared; False where there is no room, and nothing read.

        It counts as in flight from before it is read, so that its bytes are bounded, too.
        """
        if not self._free:
            self._metrics.dropped(Dropped.FULL)
            return False
        self._free -= 1
        copy = None
        try:
            async with asyncio.timeout(_READ_SECONDS):
                copy = await read()
        except NotRead as error:
            self._metrics.dropped(error.reason)
        except TimeoutError:
            self._metrics.dropped(Dropped.UNREADABLE)
        finally:
            if copy is None:
                self._free += 1
        if copy is not None:
            task = asyncio.create_task(self._work(copy))
            self._tasks.add(task)
            task.add_done_callback(self._ended)
        return True

    async def end(self, grace_seconds: float) -> None:
        """Take no more copies, and give those in flight this long."""
        self._free = 0
        if self._tasks:
            await asyncio.wait(tuple(self._tasks), timeout=grace_seconds)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._thread.shutdown()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._free += 1

    async def _work(self, copy: Copy) -> None:
        try:
            request = await self._in_thread(copy.look)
            reason = request.unfit or await self._compared(request.model, copy)
        except Exception as error:  # its text might hold a part of the request
            logger.error("a copy was not compared: %s", type(error).__name__)
            reason = Dropped.INTERNAL
        if reason is not None:
            self._metrics.dropped(reason)

    async def _compared(self, model: str, copy: Copy) -> Dropped | None:
        """Ask, compare and count; why not, where it could not be."""
        stable, canary = await asyncio.gather(
            self._answer(copy, self._stable), self._answer(copy, self._canary)
        )
        match await self._verdict(stable, canary):
            case Dropped() as reason:
                return reason
            case NotComparable(failed):
                for track in failed:
                    self._metrics.failed(track)
            case Same():
                self._metrics.compared(model, different=False)
            case Different() as difference:
                again = await self._answer(copy, self._stable)
                match await self._verdict(stable, again):
                    case Same():
                        self._metrics.compared(model, different=True)
                        self._note(model, difference)
                    case Dropped() as reason:
                        return reason
                    case NotComparable():
                        self._metrics.failed(names.TRACK_STABLE)
                    case Different():
                        return Dropped.UNSTEADY
        return None

    async def _answer(self, copy: Copy, track: Track) -> Answer | Dropped:
        try:
            return await self._in_thread(await copy.ask(track))
        except (Unanswered, Unreadable):
            return Failed.FAILED
        except NoPod:
            return Dropped.UNREACHABLE
        except (LargeAnswer, TooManyParts):
            return Dropped.TOO_LARGE

    async def _verdict(
        self, stable: Answer | Dropped, other: Answer | Dropped
    ) -> Verdict | Dropped:
        if isinstance(stable, Dropped):
            return stable
        if isinstance(other, Dropped):
            return other
        return await self._in_thread(lambda: compare(stable, other, self._rules))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _note(self, model: str, difference: Different) -> None:
        """A line about a difference, without what the answers hold; a few a minute at most."""
        now = asyncio.get_running_loop().time()
        key = (model, difference.output)
        last = self._noted.get(key)
        if now - (last or -_NOTE_SECONDS) < _NOTE_SECONDS:
            return
        if last is None and len(self._noted) >= _MOST_NOTED:
            return
        self._noted[key] = now
        largest = "" if difference.largest is None else f", by {difference.largest:.3g} at most"
        logger.warning(
            "model %.*s, output %.*r: the canary's answer differs in %s%s",
            _LONGEST_NAME,
            model,
            _LONGEST_NAME,
            difference.output,
            difference.aspect,
            largest,
        )
