"""Load that is offered in virtual time, and what it says of a server."""

import asyncio
import math
import resource
from collections.abc import Awaitable, Callable, Coroutine
from itertools import count
from typing import Any, TypeVar

import aiohttp
import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from trireme.edge.request_load import Bounds, Searched, idle_seconds, offer, search, sender
from trireme.errors import LoadNotOffered, ServerError
from trireme.tuner.rate_search import Plan, Probe
from trireme.tuner.types import Objective
from virtual_time import VirtualTimeLoop

T = TypeVar("T")
LIMIT = 0.1
P95 = Objective(95, LIMIT)


def run(main: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)


def one_after_the_other(seconds: float) -> Callable[[], Awaitable[None]]:
    """A server that answers one request at a time, each in so long."""
    busy = asyncio.Lock()

    async def send() -> None:
        async with busy:
            await asyncio.sleep(seconds)

    return send


def offered(per_second: float, seconds: float = 0.01, bounds: Bounds | None = None) -> Probe:
    bounds = bounds or Bounds()
    return run(offer(one_after_the_other(seconds), per_second, P95, bounds, seed=1))


def test_a_rate_that_is_sustained_has_few_late_requests() -> None:
    probe = offered(50)
    assert probe.requests == pytest.approx(675, abs=60)  # of 15 s; the first tenth fills the queue
    assert (probe.late, probe.failed) == (0, 0)


def test_a_rate_beyond_the_capacity_is_late_however_little() -> None:
    probe = offered(110)
    assert probe.late > 0.05 * probe.requests


def test_it_ends_once_more_are_late_than_may_be_of_all_that_were_to_come() -> None:
    probe = offered(150)  # for 6.7 s, and from 0.3 s on every request is late
    assert probe.late > 0.05 * 900
    assert probe.requests < 300


def test_a_server_that_does_not_keep_up_at_all_ends_it_early() -> None:
    probe = offered(1000, bounds=Bounds(in_flight=50))
    assert probe.requests == probe.failed == 200  # as many as 1,000/s leave in twice the limit


def test_a_process_that_may_not_open_so_many_connections_blames_itself() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (250, hard))
    try:
        with pytest.raises(LoadNotOffered, match="ulimit -n"):
            offered(1000)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_redirect_is_no_answer() -> None:
    async def elsewhere(_: web.Request) -> web.Response:
        raise web.HTTPTemporaryRedirect("/v2")

    async def well(_: web.Request) -> web.Response:
        return web.Response()

    application = web.Application()
    application.router.add_post("/v2/models/m/infer", elsewhere)
    application.router.add_route("*", "/v2", well)
    tensors = [{"x": ("FP32", np.zeros((1, 1), np.float32))}]
    async with (
        TestServer(application) as server,
        sender(f"127.0.0.1:{server.port}", "m", tensors, Bounds()) as send,
    ):
        with pytest.raises(ServerError):
            await send()


def test_requests_that_fail_are_counted_and_the_others_go_on() -> None:
    turns = iter(range(10_000))

    async def send() -> None:
        if next(turns) % 10 == 0:
            raise aiohttp.ClientPayloadError

    probe = run(offer(send, 100, Objective(80, LIMIT), Bounds(), seed=1))
    assert probe.failed == pytest.approx(probe.requests / 10, abs=1)


def test_a_machine_that_cannot_offer_in_time_blames_itself() -> None:
    async def main() -> Probe:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)

        async def send() -> None:
            loop.now += 0.02  # computing, in which nothing else has its turn

        return await offer(send, 100, P95, Bounds(), seed=1)

    with pytest.raises(LoadNotOffered, match="by this machine itself"):
        run(main())


@pytest.mark.parametrize(
    ("per_second", "limit", "seconds"),
    [
        pytest.param(10_000, LIMIT, 3, id="a moment at least"),
        pytest.param(100, LIMIT, 10, id="a thousand requests"),
        pytest.param(1, LIMIT, 15, id="not for ever"),
        pytest.param(100, 2.0, 40, id="until a queue that grows is seen"),
    ],
)
def test_a_probe_lasts_as_long_as_it_takes_to_tell(
    per_second: float, limit: float, seconds: float
) -> None:
    assert Bounds().seconds(per_second, limit) == seconds


def found(until: float) -> tuple[Searched, float]:
    """What a search for a rate of 100/s finds, and when it ends."""

    async def main() -> tuple[Searched, float]:
        told: list[Probe] = []
        plan = Plan(P95, 0.0, guess_per_second=50.0)
        server = one_after_the_other(0.01)
        searched = await search(server, plan, Bounds(), count(1), until, told.append)
        assert searched.probes == tuple(told)
        return searched, asyncio.get_running_loop().time()

    return run(main())


def test_a_search_goes_on_until_the_rate_is_found() -> None:
    searched, _ = found(math.inf)
    assert not searched.is_cut
    kept = max(probe.per_second for probe in searched.probes if probe.keeps(P95, 0.0))
    assert 75 <= kept <= 100


@pytest.mark.parametrize(("until", "probes"), [(24, 0), (26, 1), (36, 2)])
def test_no_probe_begins_that_may_not_have_ended_when_the_time_is_spent(
    until: float, probes: int
) -> None:
    searched, ended = found(until)  # the first one takes 15 s, and a request is given 10
    assert searched.is_cut
    assert len(searched.probes) == probes
    assert ended <= until


def test_an_idle_server_is_asked_one_request_after_the_other() -> None:
    async def main() -> float:
        return await idle_seconds(one_after_the_other(0.02))

    assert run(main()) == pytest.approx(0.02)


def test_a_request_that_no_server_answers_is_no_load() -> None:
    async def refused() -> None:
        raise aiohttp.ClientConnectionError("nobody listens")

    with pytest.raises(ServerError, match="nobody listens"):
        run(idle_seconds(refused))
