"""Requests offered to one Triton server as they come, whether or not it keeps up: open-loop load.

Bounded: for so long, so many at most in flight and each for so long, and no longer than until it is
known that the objective is broken. What cannot be offered in time is not blamed on the server: it
is told by LoadNotOffered. The event loop's clock is the only one used.
"""

import asyncio
import json
import math
import random
import resource
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import cycle
from statistics import median

import aiohttp
import numpy as np
from numpy.typing import NDArray
from tritonclient.http import InferenceServerClient, InferInput

from trireme.errors import LoadNotOffered, ServerError
from trireme.tuner.rate_search import Plan, Probe
from trireme.tuner.types import Objective

Tensors = Mapping[str, tuple[str, NDArray[np.generic]]]
"""By input, its Triton element type and its value."""

Send = Callable[[], Awaitable[None]]
"""Does one request, and raises where it failed."""

_SETTLED = 0.1  # of a probe's time, in which the queue fills, is not counted
_SPARE_FILES = 100  # that this process needs beside its connections
_LAG = 0.2  # of the objective's limit, that half of the requests may be sent late by


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a probe may take: as many requests as tell of a percentile, in a time that is bearable.

    A share of 5 % that is late strays by 0.7 % where it is of 1,000 requests. A queue that grows by
    5 % is as long as an objective allows after 20 times its limit: so long it is watched at least.
    """

    requests: int = 1000
    least_seconds: float = 3.0
    most_seconds: float = 15.0
    limits: float = 20.0
    in_flight: int = 1000
    request_seconds: float = 10.0

    def seconds(self, per_second: float, limit_seconds: float) -> float:
        """How long a rate is offered, where so much is an objective's limit."""
        seconds = min(max(self.requests / per_second, self.least_seconds), self.most_seconds)
        return max(seconds, self.limits * limit_seconds)

    def longest_seconds(self, per_second: float, limit_seconds: float) -> float:
        """The same until its last request is answered or given up."""
        return self.seconds(per_second, limit_seconds) + self.request_seconds

    def most_in_flight(self, per_second: float, limit_seconds: float) -> int:
        """As many as only a server that breaks the objective leaves waiting: twice those of one
        that answers all of them just within the limit.
        """
        return max(self.in_flight, math.ceil(2 * per_second * limit_seconds))


@asynccontextmanager
async def sender(
    address: str, model: str, requests: Sequence[Tensors], bounds: Bounds
) -> AsyncIterator[Send]:
    """What sends the requests to a model in turn, encoded beforehand. A POST is never repeated."""
    encoded = cycle([_encoded(tensors) for tensors in requests])
    url = f"http://{address}/v2/models/{model}/infer"
    connector = aiohttp.TCPConnector(limit=0)  # `offer` bounds them
    timeout = aiohttp.ClientTimeout(total=bounds.request_seconds)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

        async def send() -> None:
            body, headers = next(encoded)
            async with session.post(
                url, data=body, headers=headers, allow_redirects=False
            ) as answer:
                said = await answer.read()
                if answer.status != 200:
                    raise ServerError(f"{address}: {_words(said)}")

        yield send


def _encoded(tensors: Tensors) -> tuple[bytes, dict[str, str]]:
    inputs = []
    for name, (kind, value) in tensors.items():
        one = InferInput(name, list(value.shape), kind)
        one.set_data_from_numpy(value)
        inputs.append(one)
    body, header_length = InferenceServerClient.generate_request_body(inputs)
    return bytes(body), {"Inference-Header-Content-Length": str(header_length or len(body))}


def _words(said: bytes) -> str:
    try:
        return str(json.loads(said)["error"])
    except (ValueError, KeyError, TypeError):
        return said[:200].decode(errors="replace")


async def idle_seconds(send: Send, count: int = 10) -> float:
    """The median latency of requests that come one after the other.

    Raises ServerError where one fails: a load of such would tell nothing.
    """
    loop = asyncio.get_running_loop()
    taken = []
    for _ in range(count):
        start = loop.time()
        try:
            await send()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ServerError(f"a request failed: {error!r}") from error
        taken.append(loop.time() - start)
    return median(taken)


async def offer(
    send: Send, per_second: float, objective: Objective, bounds: Bounds, seed: int
) -> Probe:
    """Offer a Poisson stream of a rate, and tell how many requests took longer than the limit, from
    when they were due. It ends early where more were late than may be of all that were to come, and
    where more are in flight than may be, which then count as failed, however they end; all are
    awaited. Raises LoadNotOffered where this machine cannot.
    """
    loop = asyncio.get_running_loop()
    limit_seconds = objective.limit_seconds
    seconds = bounds.seconds(per_second, limit_seconds)
    arrivals = list(_arrivals(per_second, seconds, seed))
    allowed = objective.late_share * sum(after >= _SETTLED * seconds for after in arrivals)
    most = bounds.most_in_flight(per_second, limit_seconds)
    connections = max(resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _SPARE_FILES, 1)
    counted, late, failed, has_ended = 0, 0, 0, False
    lags: list[float] = []
    tasks: set[asyncio.Task[None]] = set()
    start = loop.time()

    async def one(due: float) -> None:
        nonlocal counted, late, failed
        lags.append(loop.time() - due)
        is_answered = True
        try:
            await send()
        except (aiohttp.ClientError, TimeoutError, ServerError):
            is_answered = False
        if due - start < _SETTLED * seconds and not has_ended:
            return
        counted += 1
        if has_ended or not is_answered:
            failed += 1
        elif loop.time() - due > limit_seconds:
            late += 1

    for after in arrivals:
        if (wait := start + after - loop.time()) > 0:
            await asyncio.sleep(wait)
        if late + failed > allowed:
            break
        if len(tasks) >= min(most, connections):
            has_ended = True
            break
        task = loop.create_task(one(start + after))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    if tasks:
        await asyncio.wait(tasks)
    if has_ended and connections < most:
        raise LoadNotOffered(
            f"{per_second:.0f} requests/s need up to {most} connections, of which this machine "
            f"allows {connections}: raise its limit of open files (ulimit -n)"
        )
    if lags and median(lags) > _LAG * limit_seconds:
        raise LoadNotOffered(
            f"{per_second:.0f} requests/s were sent {median(lags) * 1e3:.0f} ms late by this "
            "machine itself: measure from one that is less busy, or nearer to the server"
        )
    return Probe(per_second, counted, late, failed)


@dataclass(frozen=True, slots=True)
class Searched:
    """What was offered in search of a rate; `is_cut` where the time was spent before its end."""

    probes: tuple[Probe, ...]
    is_cut: bool


async def search(
    send: Send,
    plan: Plan,
    bounds: Bounds,
    seeds: Iterator[int],
    until: float,
    told: Callable[[Probe], None],
) -> Searched:
    """Offer the rates of a plan. None begins that may not have ended `until`, by the event loop's
    clock; each is `told`. Raises LoadNotOffered.
    """
    loop = asyncio.get_running_loop()
    probes: list[Probe] = []
    while (rate := plan.next_rate(probes)) is not None:
        if loop.time() + bounds.longest_seconds(rate, plan.objective.limit_seconds) > until:
            break
        probes.append(await offer(send, rate, plan.objective, bounds, next(seeds)))
        told(probes[-1])
    return Searched(tuple(probes), is_cut=rate is not None)


def _arrivals(per_second: float, seconds: float, seed: int) -> Iterator[float]:
    draw = random.Random(seed)  # noqa: S311  # arrivals are no secret
    at = draw.expovariate(per_second)
    while at < seconds:
        yield at
        at += draw.expovariate(per_second)
