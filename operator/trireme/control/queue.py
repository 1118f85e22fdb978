"""A de-duplicating work queue: a key is worked on by one worker at a time, and never lost.

A key that is added while it waits is merged with itself; one that is added while it is being
worked on is worked on again afterwards. Failures come back with exponential delay.
"""

import asyncio
import heapq
import math
from collections.abc import Awaitable, Callable
from enum import Flag, auto
from typing import NamedTuple


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


_FIRST_DELAY_SECONDS = 1.0
_LONGEST_DELAY_SECONDS = 60.0


class WorkQueue:
    """Keys waiting to be worked on, some of them only after a delay."""

    def __init__(self) -> None:
        self._waiting: dict[Key, Work] = {}  # in order of arrival
        self._active: set[Key] = set()
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
            self._changed.notify_all()

    async def add_after(self, delay_seconds: float, key: Key, work: Work) -> None:
        """Ask for work on a key after a delay, or sooner where the same work is due sooner."""
        async with self._changed:
            due = asyncio.get_running_loop().time() + delay_seconds
            if due < self._delayed.get((key, work), math.inf):
                self._delayed[key, work] = due
                heapq.heappush(self._due, (due, key, work.value))
                self._changed.notify_all()

    async def add_failed(self, key: Key, work: Work) -> None:
        """Ask for the same work again, later each time: 1, 2, 4 ... 60 s."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = min(_LONGEST_DELAY_SECONDS, _FIRST_DELAY_SECONDS * 2 ** min(failures, 10))
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
                    self._active.discard(key)
                    self._changed.notify_all()

    def _put(self, key: Key, work: Work) -> None:
        self._waiting[key] = self._waiting.get(key, Work(0)) | work

    async def _take(self) -> tuple[Key, Work]:
        async with self._changed:
            while True:
                pause = self._release_due()
                for key in self._waiting:
                    if key not in self._active:
                        self._active.add(key)
                        return key, self._waiting.pop(key)
                try:
                    async with asyncio.timeout(pause):
                        await self._changed.wait()
                except TimeoutError:
                    continue

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
