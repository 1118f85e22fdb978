"""The work queue: nothing is lost, nothing is worked on twice at a time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from trireme.control.queue import Key, Work, WorkQueue
from virtual_time import VirtualTimeLoop

A = Key("default", "a")
B = Key("default", "b")


class Handler:
    """Handles keys when it is told to, and remembers them."""

    def __init__(self) -> None:
        self.seen: list[tuple[Key, Work]] = []
        self.allowed = asyncio.Semaphore(0)
        self.active = 0
        self.most_active_per_key: dict[Key, int] = {}
        self._now: dict[Key, int] = {}

    async def __call__(self, key: Key, work: Work) -> None:
        self._now[key] = self._now.get(key, 0) + 1
        self.most_active_per_key[key] = max(self.most_active_per_key.get(key, 0), self._now[key])
        self.seen.append((key, work))
        await self.allowed.acquire()
        self._now[key] -= 1


@asynccontextmanager
async def workers(queue: WorkQueue, handler: Handler, count: int = 2) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(queue.work(handler)) for _ in range(count)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def settle() -> None:
    """Let every task run until all of them wait."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_reasons_for_a_waiting_key_are_merged_into_one_pass() -> None:
    queue, handler = WorkQueue(), Handler()
    await queue.add(A, Work.OBSERVE)
    await queue.add(A, Work.APPLY)
    await queue.add(A, Work.OBSERVE)
    async with workers(queue, handler):
        await settle()
        assert handler.seen == [(A, Work.OBSERVE | Work.APPLY)]


async def test_a_key_added_while_it_is_worked_on_is_worked_on_again_afterwards() -> None:
    queue, handler = WorkQueue(), Handler()
    async with workers(queue, handler):
        await queue.add(A, Work.APPLY)
        await settle()
        await queue.add(A, Work.OBSERVE)
        await settle()
        assert handler.seen == [(A, Work.APPLY)]
        handler.allowed.release()
        await settle()
        assert handler.seen == [(A, Work.APPLY), (A, Work.OBSERVE)]
        assert handler.most_active_per_key[A] == 1


async def test_a_key_that_is_worked_on_does_not_keep_another_from_its_turn() -> None:
    queue, handler = WorkQueue(), Handler()
    async with workers(queue, handler):
        await queue.add(A, Work.APPLY)
        await settle()
        await queue.add(A, Work.APPLY)
        await queue.add(B, Work.APPLY)
        await settle()
        assert [key for key, _ in handler.seen] == [A, B]


async def test_failures_come_back_later_each_time_until_one_pass_succeeds() -> None:
    queue = WorkQueue()
    loop = asyncio.get_running_loop()
    delays = []
    for forgiven in (False, False, True, False):
        if forgiven:
            queue.forgive(A)
        began = loop.time()
        await queue.add_failed(A, Work.APPLY)
        delays.append(round(queue._delayed.pop((A, Work.APPLY)) - began))
    assert delays == [1, 2, 1, 2]


async def test_delayed_work_is_due_after_its_delay_and_not_before() -> None:
    queue, handler = WorkQueue(), Handler()
    async with workers(queue, handler):
        await queue.add_after(60, A, Work.OBSERVE)
        await queue.add_after(0, B, Work.OBSERVE)
        await settle()
        assert handler.seen == [(B, Work.OBSERVE)]


async def test_appointments_for_the_same_work_are_merged_into_the_earliest() -> None:
    queue, handler = WorkQueue(), Handler()
    for delay in (60, 0, 30):
        await queue.add_after(delay, A, Work.OBSERVE)
    async with workers(queue, handler):
        await settle()
        assert handler.seen == [(A, Work.OBSERVE)]
        handler.allowed.release()
        await settle()
        assert len(queue._delayed) == 0


async def test_a_look_that_is_due_does_not_bring_a_failed_application_forward() -> None:
    queue, handler = WorkQueue(), Handler()
    await queue.add_failed(A, Work.APPLY)
    await queue.add_after(0, A, Work.OBSERVE)
    async with workers(queue, handler):
        await settle()
        assert handler.seen == [(A, Work.OBSERVE)]
        assert list(queue._delayed) == [(A, Work.APPLY)]


def test_what_takes_long_is_not_counted_and_holds_up_no_other_key() -> None:
    stuck, fine = [Key("stuck", str(n)) for n in range(9)], Key("fine", "a")
    begun: dict[Key, float] = {}

    async def handle(key: Key, _: Work) -> None:
        begun[key] = asyncio.get_running_loop().time()
        await asyncio.sleep(30 if key in stuck else 0.01)

    async def play() -> None:
        queue = WorkQueue(at_once=2)
        for key in (*stuck, fine):
            await queue.add(key, Work.APPLY)
        tasks = [asyncio.create_task(queue.work(handle)) for _ in range(16)]
        await asyncio.sleep(26)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(play())
    assert [begun[key] for key in stuck] == [0, 0, 5, 5, 10, 10, 15, 15, 20]
    assert begun[fine] == 20, "two at a time, and none of them for more than 5 s"


def test_among_many_workers_every_key_begins_when_it_is_due_or_when_there_is_room() -> None:
    due = {Key("later", str(n)): 1 + n % 40 / 4 for n in range(120)}
    begun: dict[Key, float] = {}

    async def handle(key: Key, _: Work) -> None:
        begun[key] = asyncio.get_running_loop().time()
        await asyncio.sleep(0.05)

    async def play() -> None:
        queue = WorkQueue(at_once=3)
        tasks = [asyncio.create_task(queue.work(handle)) for _ in range(32)]
        await asyncio.sleep(0.5)
        for key, at in due.items():
            await queue.add_after(at - 0.5, key, Work.OBSERVE)
        for n in range(50):
            await asyncio.sleep(0.1)
            at_once = Key("now", str(n))
            due[at_once] = asyncio.get_running_loop().time()
            await queue.add(at_once, Work.APPLY)
        await asyncio.sleep(20)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(play())
    assert begun.keys() == due.keys()
    late = {key: begun[key] - at for key, at in due.items()}
    assert min(late.values()) > -1e-6
    assert max(late.values()) < 0.11, "three at a time: three and one of others may be before it"


class CountingLoop(VirtualTimeLoop):
    """Counts what is called: each step of a task is one."""

    calls = 0

    def call_soon(self, *args: Any, **kwargs: Any) -> asyncio.Handle:
        self.calls += 1
        return super().call_soon(*args, **kwargs)


def test_an_added_key_does_not_wake_every_idle_worker() -> None:
    async def handle(_: Key, __: Work) -> None:
        pass

    async def play() -> int:
        loop = cast(CountingLoop, asyncio.get_running_loop())
        queue = WorkQueue()
        tasks = [asyncio.create_task(queue.work(handle)) for _ in range(100)]
        await asyncio.sleep(1)
        before = loop.calls
        await queue.add(A, Work.OBSERVE)
        await asyncio.sleep(1)
        calls = loop.calls - before
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return calls

    with asyncio.Runner(loop_factory=CountingLoop) as runner:
        assert runner.run(play()) < 50


async def test_no_more_keys_are_worked_on_at_a_time_than_may_be() -> None:
    queue, handler = WorkQueue(at_once=1), Handler()
    async with workers(queue, handler, 4):
        await queue.add(A, Work.APPLY)
        await queue.add(B, Work.APPLY)
        await settle()
        assert handler.seen == [(A, Work.APPLY)]
        handler.allowed.release()
        await settle()
        assert handler.seen == [(A, Work.APPLY), (B, Work.APPLY)]
