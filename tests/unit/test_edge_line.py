"""A call that hangs is left behind, and how many may be."""

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from trireme.edge.line import MOST_HANGING, Line, TooManyHang

SOON, LATE = 0.01, 30.0


@dataclass
class Connection:
    """Waits until it is let go, or answers at once."""

    number: int
    released: threading.Event = field(default_factory=threading.Event)
    is_given_up: bool = False
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    def hang(self) -> int:
        self.released.wait()
        return self.number

    def answer(self) -> int:
        return self.number

    def fail(self) -> int:
        raise ConnectionResetError(f"{self.number}")

    def give_up(self) -> None:
        self.is_given_up = True

    def close(self) -> None:
        self.closed.set()


@dataclass
class Made:
    """A line, and the connections that it made."""

    connections: list[Connection] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.line = Line(self.connect)

    def connect(self) -> Connection:
        self.connections.append(Connection(len(self.connections)))
        return self.connections[-1]


@pytest.fixture
async def made() -> AsyncIterator[Made]:
    made = Made()
    yield made
    for connection in made.connections:
        connection.released.set()


async def test_calls_share_a_connection_and_what_fails_is_raised(made: Made) -> None:
    assert await made.line.call(Connection.answer, LATE) == 0
    with pytest.raises(ConnectionResetError, match="0"):
        await made.line.call(Connection.fail, LATE)
    assert await made.line.call(Connection.answer, LATE) == 0
    await made.line.close()
    assert made.connections[0].closed.is_set()


async def test_one_that_hangs_is_left_behind_with_its_connection(made: Made) -> None:
    with pytest.raises(TimeoutError):
        await made.line.call(Connection.hang, SOON)
    assert await made.line.call(Connection.answer, LATE) == 1
    (left, used) = made.connections
    assert (left.is_given_up, left.closed.is_set()) == (True, False)
    left.released.set()
    await left.closed.wait()
    assert await made.line.call(Connection.answer, LATE) == 1
    assert not used.closed.is_set()


async def test_one_that_is_called_off_is_left_behind(made: Made) -> None:
    called = asyncio.create_task(made.line.call(Connection.hang, LATE))
    await asyncio.sleep(0)
    called.cancel()
    await asyncio.gather(called, return_exceptions=True)
    assert await made.line.call(Connection.answer, LATE) == 1


async def test_no_more_hang_than_may_and_the_line_goes_on_once_one_has_ended(made: Made) -> None:
    for _ in range(MOST_HANGING):
        with pytest.raises(TimeoutError):
            await made.line.call(Connection.hang, SOON)
    with pytest.raises(TooManyHang, match=f"{MOST_HANGING} earlier requests hang"):
        await made.line.call(Connection.answer, LATE)
    assert len(made.connections) == MOST_HANGING
    made.connections[0].released.set()
    await made.connections[0].closed.wait()
    assert await made.line.call(Connection.answer, LATE) == MOST_HANGING
