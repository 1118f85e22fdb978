"""A de-duplicating work queue: a key is worked on by one worker at a time, and never lost.

A key that is added while it waits is merged with itself; one that is added while it is being
worked on is worked on again afterwards. Failures come back with exponential delay.

How many keys are worked on at a time may be bounded. One that takes long, as where what is written
waits for somebody's admission webhook that hangs, does nothing but wait: it is not counted, so that
a few such agents hold up no other. How many there can be of these the workers bound.
"""

import asyncio
import heapq
import math
from collections.abc import Awaitable, Callable
from enum import Flag, auto
from typing import NamedTuple

from trireme.api.backoff import doubled


class Key(NamedTuple):
    """Which agent."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class Work(Flag):
    """What is to be done for a key; several reasons are merged into one pass."""

    OBSERVE = auto()  # pods changed: the status may have to
    APPLY = auto()  # the spec or a child changed: apply everything, then observe


_LONG_SECONDS = 5.0  # a pass takes milliseconds, and a webhook by default up to 10 s
_FIRST_DELAY_SECONDS = 1.0
_LONGEST_DELAY_SECONDS = 60.0


class WorkQueue:
    """Keys waiting to be worked on, some of them only after a delay; at most `at_once` at a time,
    but for those that take long, or as many as there are workers.

    What changes wakes one idle worker, not all of them: whoever looks waits for as long as nothing
    is to be done, and whoever finds work has the next one look in its place.
    """

    def __init__(self, at_once: float = math.inf) -> None:
        self._at_once = at_once
        self._waiting: dict[Key, Work] = {}  # in order of arrival
        self._active: dict[Key, float] = {}  # since when
        # At most one appointment per key and work: a look in five seconds does not bring forward
        # the retry that a failure has put off for a minute.
        self._delayed: dict[tuple[Key, Work], float] = {}
        self._due: list[tuple[float, Key, int]] = []  # a heap; outdated ones are passed over
        self._failures: dict[Key, int] = {}
        self._changed = asyncio.Condition()

    def __len__(self) -> int:
        return len(self._waiting)

    async def add(self, key: Key, work: Work) -> None:
        """Ask for work on a key as soon as a worker is free."""
        async with self._changed:
            self._put(key, work)
            self._changed.notify()

    async def add_after(self, delay_seconds: float, key: Key, work: Work) -> None:
        """Ask for work on a key after a delay, or sooner where the same work is due sooner."""
        async with self._changed:
            due = asyncio.get_running_loop().time() + delay_seconds
            if due < self._delayed.get((key, work), math.inf):
                self._delayed[key, work] = due
                heapq.heappush(self._due, (due, key, work.value))
                self._changed.notify()

    async def add_failed(self, key: Key, work: Work) -> None:
        """Ask for the same work again, later each time: 1, 2, 4 ... 60 s."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        delay = doubled(_FIRST_DELAY_SECONDS, _LONGEST_DELAY_SECONDS, failures)
        await self.add_after(delay, key, work)

    def forgive(self, key: Key) -> None:
        """Work on the key succeeded: its next failure is its first."""
        self._failures.pop(key, None)

    async def work(self, handle: Callable[[Key, Work], Awaitable[None]]) -> None:
        """Be one worker: handle keys until cancelled. `handle` must not raise."""
        while True:
            key, work = await self._take()
            try:
                await handle(key, work)
            finally:
                async with self._changed:
                    del self._active[key]
                    self._changed.notify()

    def _put(self, key: Key, work: Work) -> None:
        self._waiting[key] = self._waiting.get(key, Work(0)) | work

    async def _take(self) -> tuple[Key, Work]:
        async with self._changed:
            while True:
                pause, room = self._release_due(), self._room_in()
                if room is None:
                    for key in self._waiting:
                        if key not in self._active:
                            self._active[key] = asyncio.get_running_loop().time()
                            self._changed.notify()
                            return key, self._waiting.pop(key)
                pauses = [each for each in (pause, room) if each is not None]
                try:
                    async with asyncio.timeout(min(pauses, default=None)):
                        await self._changed.wait()
                except TimeoutError:
                    continue

    def _room_in(self) -> float | None:
        """Seconds until one more key may be worked on, unless another is done before; None where it
        may be now.
        """
        now = asyncio.get_running_loop().time()
        counted = sorted(since for since in self._active.values() if since + _LONG_SECONDS > now)
        if len(counted) < self._at_once:
            return None
        return counted[len(counted) - int(self._at_once)] + _LONG_SECONDS - now

    def _release_due(self) -> float | None:
        """Move what is due to the waiting keys; seconds until the next one, None for none."""
        now = asyncio.get_running_loop().time()
        while self._due and self._due[0][0] <= now:
            due, key, value = heapq.heappop(self._due)
            work = Work(value)
            if self._delayed.get((key, work)) == due:
                del self._delayed[key, work]
                self._put(key, work)
        return self._due[0][0] - now if self._due else None
