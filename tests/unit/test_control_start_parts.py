"""What servers tell of their starts, asked while they start."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from aiohttp import web

from trireme.api import names
from trireme.autoscaler.lead_time import Part, parts
from trireme.control.queue import Key
from trireme.control.start_parts import StartParts
from trireme.control.starts import Watched, look
from trireme.control.store import Store
from trireme.edge.cluster import Cluster
from unit.autoscaling import NOW
from virtual_time import VirtualTimeLoop

KEY = Key("default", "echo")
HOST = f"127.74.{os.getpid() // 256 % 256}.{os.getpid() % 256}"  # a run beside has its own
WARM_UPS, WARM_UP_SECONDS = 8, 1.5
LOADED = 30  # seconds before the beginning, as the other stages are none
LONGEST_START = timedelta(minutes=2)


@dataclass
class Start:
    """An agent whose one pod starts, and the server in it. The pod is told of as the API server
    does.
    """

    loop: VirtualTimeLoop

    def __post_init__(self) -> None:
        self.requests = WARM_UPS
        self.asked = 0
        self.store = Store()
        metadata = {"namespace": KEY.namespace, "name": KEY.name, "uid": "echo", "generation": 1}
        self.store.agent_event({"metadata": metadata, "spec": {}}, deleted=False)
        self.watched = Watched(None, set())
        # No Events are asked for here.
        self.parts = StartParts(cluster=cast(Cluster, None), store=self.store, clock=self.clock)
        self.tell(ready=False)

    def clock(self) -> datetime:
        return NOW + timedelta(seconds=self.loop.time())

    def tell(
        self, *, ready: bool, deleted: bool = False, restarts: int = 0, is_pulled: bool = True
    ) -> None:
        """What the watch tells of the pod now, and of a second container's image."""
        status = "True" if ready else "False"
        made = (NOW - timedelta(seconds=LOADED)).isoformat()
        conditions = [
            {"type": "PodScheduled", "status": "True", "lastTransitionTime": made},
            {"type": "Ready", "status": status, "lastTransitionTime": self.clock().isoformat()},
        ]
        server = {
            "name": names.SERVER_CONTAINER,
            "restartCount": restarts,
            "state": {"running": {"startedAt": made}},
        }
        waiting = {"name": "own", "state": {"waiting": {"reason": "ImagePullBackOff"}}}
        containers = [server] if is_pulled else [server, waiting]
        body = {
            "metadata": {
                "name": "echo-1",
                "namespace": KEY.namespace,
                "uid": "echo-1",
                "creationTimestamp": made,
                "labels": {names.AGENT: KEY.name, "pod-template-hash": "one"},
            },
            "status": {"podIP": HOST, "conditions": conditions, "containerStatuses": containers},
        }
        self.store.pod_event(KEY, body, deleted=deleted)

    def round(self) -> None:
        """A round looks at the pod, and wants its server to be asked until it is ready."""
        pods = self.store.view(KEY).stable_pods
        look(self.watched, pods)
        starting = [(pod, self.watched) for pod in pods if pod.uid not in self.watched.over]
        self.parts.follow(KEY, starting, LONGEST_START)

    async def is_asked(self) -> bool:
        """Whether its server is asked any more, though the rounds go on."""
        asked = self.asked
        for _ in range(6):
            await asyncio.sleep(5)
            self.round()
        return self.asked > asked

    async def answer(self, _: web.Request) -> web.Response:
        """What the server counts, with its warm-ups, as Triton does (seen with 24.10)."""
        self.asked += 1
        infer = {"count": 1, "ns": round(WARM_UP_SECONDS * 1e9)}
        none = {"count": 0, "ns": 0}
        batch = {"batch_size": 8, "compute_input": none, "compute_output": none}
        entry = {
            "name": "double",
            "inference_stats": {"success": {"count": self.requests, "ns": 0}},
            "batch_stats": [{**batch, "compute_infer": infer}],
        }
        return web.json_response({"model_stats": [entry]})

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Its port is open."""
        application = web.Application()
        application.router.add_get("/v2/models/stats", self.answer)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, HOST, names.HTTP_PORT).start()
        try:
            yield
        finally:
            await runner.cleanup()

    @property
    def known(self) -> dict[Part, float]:
        return parts(self.watched.known) if self.watched.known else {}


Story = Callable[[Start], Coroutine[Any, Any, None]]


def played(story: Story) -> dict[Part, float]:
    """What is known in the end of a start that goes as the story does."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        start = Start(cast(VirtualTimeLoop, runner.get_loop()))

        async def play() -> None:
            asking = asyncio.create_task(start.parts.run())
            await story(start)
            asking.cancel()
            with suppress(asyncio.CancelledError):
                await asking

        runner.run(play())
    return start.known


async def under_traffic(start: Start) -> None:
    start.round()
    await asyncio.sleep(20)  # its port is not open yet
    async with start.serving():
        await asyncio.sleep(3)
        start.tell(ready=True)
        await asyncio.sleep(1.5)
        start.requests += 40
        await asyncio.sleep(2)
        start.round()
        start.requests += 40
        assert not await start.is_asked(), "what has told is asked no more"


async def with_a_late_first_request(start: Start) -> None:
    start.round()
    async with start.serving():
        await asyncio.sleep(3)
        start.tell(ready=True)
        await asyncio.sleep(1.5)
        start.round()
        assert start.known == {Part.WARM_UP: WARM_UP_SECONDS}
        start.requests += 40
        await asyncio.sleep(2)


@pytest.mark.parametrize(
    "story",
    [
        pytest.param(under_traffic, id="both before a round has looked at the start"),
        pytest.param(with_a_late_first_request, id="the request after that"),
    ],
)
def test_warm_ups_and_the_first_request_are_told_apart_of_a_templates_first_start(
    story: Story,
) -> None:
    known = played(story)
    assert known[Part.WARM_UP] == WARM_UP_SECONDS
    assert 1.5 <= known[Part.FIRST_REQUEST] <= 2.6


async def without_traffic(start: Start) -> None:
    start.round()
    async with start.serving():
        await asyncio.sleep(3)
        start.tell(ready=True)
        await asyncio.sleep(5)
        start.round()
        await asyncio.sleep(115)
        start.requests += 1
        await asyncio.sleep(30)


def test_a_request_that_nobody_sends_for_a_minute_tells_nothing() -> None:
    assert played(without_traffic) == {Part.WARM_UP: WARM_UP_SECONDS}


async def heard_too_late(start: Start) -> None:
    start.round()
    await asyncio.sleep(20)
    start.tell(ready=True)
    async with start.serving():
        start.requests += 40
        await asyncio.sleep(5)
        start.requests += 40
        await asyncio.sleep(30)
        start.round()


def test_a_server_that_was_not_heard_before_it_was_ready_tells_nothing() -> None:
    assert played(heard_too_late) == {}


async def gone(start: Start) -> None:
    start.round()
    async with start.serving():
        await asyncio.sleep(3)
        start.tell(ready=False, deleted=True)
        await asyncio.sleep(3)
        assert not await start.is_asked()


def test_a_pod_that_goes_is_asked_no_more() -> None:
    assert played(gone) == {}


async def gone_when_looked_at(start: Start) -> None:
    start.round()
    async with start.serving():
        await asyncio.sleep(3)
        start.tell(ready=True)
        await asyncio.sleep(1.5)
        start.tell(ready=True, deleted=True)
        start.round()
    assert not start.watched.early


def test_what_was_told_of_a_start_that_does_not_count_is_forgotten() -> None:
    assert played(gone_when_looked_at) == {}


async def restarted(start: Start) -> None:
    start.tell(ready=False, restarts=1)


async def in_trouble(start: Start) -> None:
    start.tell(ready=False, is_pulled=False)
    start.round()
    start.tell(ready=False)


async def taking_too_long(_: Start) -> None:
    await asyncio.sleep(LONGEST_START.total_seconds())


@pytest.mark.parametrize("happens", [restarted, in_trouble, taking_too_long])
def test_a_pod_that_cannot_have_a_start_that_counts_is_asked_no_more(happens: Story) -> None:
    async def story(start: Start) -> None:
        start.round()
        async with start.serving():
            assert await start.is_asked()
            await happens(start)
            await asyncio.sleep(3)
            assert not await start.is_asked()
            start.tell(ready=True)
            start.requests += 40
            await asyncio.sleep(3)

    assert played(story) == {}


async def wanted_in_every_round(start: Start) -> None:
    async with start.serving():
        for _ in range(6):
            start.round()
            await asyncio.sleep(5)
        assert start.asked <= 31, "once a second"


def test_a_server_that_is_wanted_again_and_again_is_asked_once_a_second() -> None:
    assert played(wanted_in_every_round) == {}
