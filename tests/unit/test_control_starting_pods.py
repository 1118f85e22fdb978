"""Starting pods are asked for a moment, a few of them, whatever their nodes do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from aiohttp import web

from ports import own_address
from trireme.api import names
from trireme.control.observed import PodView
from trireme.control.starting_pods import Told, ask
from virtual_time import VirtualTimeLoop

NOW = datetime(2026, 11, 1, 3, 0, tzinfo=UTC)
ANSWERS, HANGS = own_address(1), own_address(2)


@dataclass
class Server:
    """What listens where Triton and the fetcher of a pod do: it answers, or never does."""

    hangs: bool = False
    asked: list[str] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        if self.hangs:
            await asyncio.Event().wait()
        return web.json_response([{"name": "double", "version": "1", "state": "READY"}])


@asynccontextmanager
async def listening(server: Server, address: str, *ports: int) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for port in ports:
            application = web.Application()
            application.router.add_route("*", "/{path:.*}", server.handle)
            runner = web.AppRunner(application, shutdown_timeout=1)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, address, port).start()
        yield


def pod(name: str, address: str, *, age: int = 0, fetching: bool = False) -> PodView:
    return PodView(
        name=name,
        address=address,
        ready_since=None,
        fetching=fetching,
        running=not fetching,
        started=False,
        ends_by=None,
        trouble=None,
        uid=f"uid-{name}",
        created=NOW - timedelta(minutes=age),
        template="t",
    )


def test_pods_on_lost_nodes_take_a_moment_together_and_are_then_left_alone() -> None:
    async def scenario() -> None:
        loop, silent = asyncio.get_running_loop(), dict[str, datetime]()
        well, lost = Server(), Server(hangs=True)
        stable = [
            pod("well", ANSWERS),
            *(pod(f"lost-{number}", HANGS, age=1 + number) for number in range(20)),
            pod("lost-fetcher", HANGS, fetching=True),
        ]
        canary = [pod("lost-canary", HANGS, age=60)]

        async def told(at: datetime) -> Told:
            return await ask(stable, canary, "key", silent, at)

        async with (
            listening(well, ANSWERS, names.HTTP_PORT),
            listening(lost, HANGS, names.HTTP_PORT, names.FETCH_PROGRESS_PORT),
        ):
            began = loop.time()
            first = await told(NOW)
            assert 1 < loop.time() - began < 2  # all of them together
            assert [*first.servers] == ["well"]
            assert first.fetches == ()
            assert len(lost.asked) == 7 + 1 + 1  # beside the one that is well, the youngest
            assert {f"uid-lost-{number}" for number in range(7)} < silent.keys()

            stable[8:21] = []  # those that were not asked
            lost.asked.clear()
            began = loop.time()
            again = await told(NOW + timedelta(seconds=5))
            assert loop.time() == began
            assert [*again.servers] == ["well"]
            assert lost.asked == []

            await told(NOW + timedelta(seconds=30))
            assert len(lost.asked) == 7 + 1 + 1

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(scenario())


def test_a_server_that_is_not_there_yet_is_asked_again_in_the_next_pass() -> None:
    async def scenario() -> None:
        silent = dict[str, datetime]()
        assert not (await ask([pod("new", ANSWERS)], (), "key", silent, NOW)).servers
        assert silent == {}

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(scenario())
