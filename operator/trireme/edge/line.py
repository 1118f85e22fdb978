"""Calls that block, each in a thread and within a time; what hangs is left behind.

A client that blocks has time limits of its own, and they do not cover everything: a name is looked
up without one, and an answer may come byte by byte, each of them in time. So a call that has not
ended is not waited for: it keeps its thread and its connection, and the next one gets others. That
few may hang at once, lest whatever hangs for ever takes all that the process has. Their threads do
not keep it from ending.
"""

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from threading import Thread
from typing import Generic, Protocol, TypeVar

MOST_HANGING = 3


class Connection(Protocol):
    """What is used by one thread at a time."""

    def give_up(self) -> None:
        """End what is under way, from another thread, as far as that can be done."""
        ...

    def close(self) -> None:
        """Give everything back."""
        ...


C = TypeVar("C", bound=Connection)
T = TypeVar("T")


class TooManyHang(Exception):
    """As many earlier calls hang as may: no other is made before one of them has ended."""

    def __init__(self) -> None:
        super().__init__(f"{MOST_HANGING} earlier requests hang")


class Line(Generic[C]):
    """One connection, for one call after the other; another in its place where a call hangs."""

    def __init__(self, connect: Callable[[], C]) -> None:
        self._connect = connect
        self._connection: C | None = None
        self._hanging = 0
        self._turn = asyncio.Lock()

    async def call(self, work: Callable[[C], T], seconds: float) -> T:
        """What `work` makes of the connection, in a thread; whatever it raises is raised.

        Raises TimeoutError where that takes longer, and TooManyHang where earlier ones still do.
        """
        async with self._turn:
            if self._hanging >= MOST_HANGING:
                raise TooManyHang
            connection, self._connection = self._connection or self._connect(), None
            answer = self._begin(connection, work)
            try:
                async with asyncio.timeout(seconds):
                    return await answer
            finally:
                if answer.cancelled():
                    self._hanging += 1
                    connection.give_up()

    async def close(self) -> None:
        """Give the connection back, after the call under way."""
        async with self._turn:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _begin(self, connection: C, work: Callable[[C], T]) -> asyncio.Future[T]:
        """Start a call; its answer is cancelled where nobody waits for it any more."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def run() -> None:
            tell: Callable[[], None]
            try:
                tell = partial(answer.set_result, work(connection))
            except Exception as error:
                tell = partial(answer.set_exception, error)
            with contextlib.suppress(RuntimeError):  # the loop has ended, and so did the process
                loop.call_soon_threadsafe(ended, tell)

        def ended(tell: Callable[[], None]) -> None:
            if answer.cancelled():
                self._hanging -= 1
                connection.close()
            else:
                self._connection = connection
                tell()

        Thread(target=run, name="line", daemon=True).start()
        return answer
