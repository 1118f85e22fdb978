"""Pods as Triton serves from them, event by event: what became of each request.

A pod has one queue for its instances. An instance that is free takes what is queued, up to the
largest batch; with a queue delay it waits until the oldest request waited that long or the batch is
full. (Source: triton core, dynamic_batch_scheduler.cc, rate_limiter.cc, instance_queue.cc.)

Requests are given by their arrival times and answered by their latencies, in the same order. The
tight loops are plain Python over batches and events: 200,000 requests take about a second at most.
"""

import heapq
import itertools
import math
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from trireme.autoscaler.service_curve import ServiceCurve

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PodModel:
    """How a pod serves.

    `noise` is the coefficient of variation of a batch's time around the curve (lognormal).
    """

    curve: ServiceCurve
    instances: int = 1
    queue_delay_seconds: float = 0.0
    noise: float = 0.0


class Balancer(StrEnum):
    """How requests are spread over pods."""

    RANDOM = "random"  # kube-proxy
    ROUND_ROBIN = "round-robin"
    LEAST_OUTSTANDING = "least-outstanding"
    POWER_OF_TWO = "power-of-two"  # the less busy of two taken at random: Envoy's LEAST_REQUEST


@dataclass(frozen=True, slots=True)
class Served:
    """What became of the requests: `latency_seconds` and `wait_seconds` by request, the rest by
    batch.
    """

    latency_seconds: Floats
    wait_seconds: Floats
    batches: Ints
    batch_seconds: Floats

    def percentile_seconds(self, percentile: float) -> float:
        """A percentile of the latencies, of 0 to 100."""
        return float(np.percentile(self.latency_seconds, percentile))


def poisson_arrivals(
    rate_per_second: float, requests: int, generator: np.random.Generator
) -> Floats:
    """The arrival times of a Poisson stream."""
    return np.cumsum(generator.exponential(1 / rate_per_second, requests))


def serve(arrivals: Floats, pod: PodModel, generator: np.random.Generator) -> Served:
    """What one pod makes of requests that arrive at these times, the first one first."""
    times: list[float] = arrivals.tolist()
    seconds = _seconds_by_batch(pod.curve)
    noise = _noise(pod.noise, generator)
    most, delay = pod.curve.max_batch, pod.queue_delay_seconds
    free = [0.0] * pod.instances
    starts: list[float] = []
    ends: list[float] = []
    batches: list[int] = []
    first, count = 0, len(times)
    while first < count:
        oldest, full = times[first], first + most
        start = max(free[0], oldest)
        if delay:
            waited = oldest + delay
            start = max(start, min(waited, times[full - 1]) if full <= count else waited)
        after = bisect_right(times, start, first, min(full, count))
        end = start + seconds[after - first] * next(noise)
        heapq.heapreplace(free, end)
        starts.append(start)
        ends.append(end)
        batches.append(after - first)
        first = after
    return _served(arrivals, starts, ends, batches)


def serve_fleet(
    arrivals: Floats,
    pods: int,
    pod: PodModel,
    balancer: Balancer,
    generator: np.random.Generator,
) -> Served:
    """What a fleet makes of requests that arrive at these times, the first one first."""
    match balancer:
        case Balancer.RANDOM:
            chosen = generator.integers(pods, size=len(arrivals))
        case Balancer.ROUND_ROBIN:
            chosen = np.arange(len(arrivals)) % pods
        case Balancer.LEAST_OUTSTANDING | Balancer.POWER_OF_TWO:
            return _serve_by_outstanding(arrivals, pods, pod, balancer, generator)
    served = [serve(arrivals[chosen == each], pod, generator) for each in range(pods)]
    return _together(chosen, served)


def _together(chosen: Ints, served: Sequence[Served]) -> Served:
    """A fleet's requests, in the order of their arrival, from those of its pods."""
    latencies, waits = np.empty(len(chosen)), np.empty(len(chosen))
    for pod, each in enumerate(served):
        latencies[chosen == pod] = each.latency_seconds
        waits[chosen == pod] = each.wait_seconds
    return Served(
        latencies,
        waits,
        np.concatenate([each.batches for each in served]),
        np.concatenate([each.batch_seconds for each in served]),
    )


def _served(arrivals: Floats, starts: list[float], ends: list[float], batches: list[int]) -> Served:
    sizes = np.array(batches, np.int64)
    started, ended = np.array(starts), np.array(ends)
    return Served(
        latency_seconds=np.repeat(ended, sizes) - arrivals,
        wait_seconds=np.repeat(started, sizes) - arrivals,
        batches=sizes,
        batch_seconds=ended - started,
    )


# ------------------------------------------------------------------- balancers that look at pods


@dataclass(slots=True)
class _Pod:
    """A pod in the midst of serving."""

    idle: int
    waiting: deque[float] = field(default_factory=deque)
    timer: float = -1.0  # the arrival that a queue delay runs for
    arrivals: list[float] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)


def _serve_by_outstanding(
    arrivals: Floats,
    pods: int,
    model: PodModel,
    balancer: Balancer,
    generator: np.random.Generator,
) -> Served:
    seconds, noise = _seconds_by_batch(model.curve), _noise(model.noise, generator)
    most, delay = model.curve.max_batch, model.queue_delay_seconds
    fleet = [_Pod(model.instances) for _ in range(pods)]
    outstanding = [0] * pods
    events: list[tuple[float, int, int]] = []  # when, which pod, how many are done (0: a timer)

    def start(which: int, now: float) -> None:
        pod = fleet[which]
        waiting = pod.waiting
        while pod.idle and waiting:
            if len(waiting) < most and now < waiting[0] + delay:
                if pod.timer != waiting[0]:
                    pod.timer = waiting[0]
                    heapq.heappush(events, (waiting[0] + delay, which, 0))
                return
            batch = min(len(waiting), most)
            for _ in range(batch):
                waiting.popleft()
            end = now + seconds[batch] * next(noise)
            pod.idle -= 1
            pod.starts.append(now)
            pod.ends.append(end)
            pod.batches.append(batch)
            heapq.heappush(events, (end, which, batch))

    def run_until(now: float) -> None:
        while events and events[0][0] <= now:
            at, which, done = heapq.heappop(events)
            if done:
                outstanding[which] -= done
                fleet[which].idle += 1
            start(which, at)

    pick = _picks(balancer, outstanding, len(arrivals), generator)
    chosen = np.empty(len(arrivals), np.int64)
    for number, now in enumerate(arrivals.tolist()):
        run_until(now)
        which = pick(number)
        chosen[number] = which
        outstanding[which] += 1
        fleet[which].arrivals.append(now)
        fleet[which].waiting.append(now)
        start(which, now)
    run_until(math.inf)
    served = [_served(np.array(pod.arrivals), pod.starts, pod.ends, pod.batches) for pod in fleet]
    return _together(chosen, served)


def _picks(
    balancer: Balancer, outstanding: Sequence[int], requests: int, generator: np.random.Generator
) -> Callable[[int], int]:
    """What chooses a pod for a request; of equals one is chosen at random."""
    pods = len(outstanding)
    if balancer is Balancer.POWER_OF_TWO:
        pairs: list[tuple[int, int]] = generator.integers(pods, size=(requests, 2)).tolist()

        def less_busy_of_two(request: int) -> int:
            one, other = pairs[request]
            return one if outstanding[one] <= outstanding[other] else other

        return less_busy_of_two
    turns: list[float] = generator.random(requests).tolist()

    def least_busy(request: int) -> int:
        least = min(outstanding)
        equals = [pod for pod, count in enumerate(outstanding) if count == least]
        return equals[int(turns[request] * len(equals))]

    return least_busy


# ------------------------------------------------------------------------------------- batches


def _seconds_by_batch(curve: ServiceCurve) -> list[float]:
    return [0.0, *(curve.seconds(batch) for batch in range(1, curve.max_batch + 1))]


def _noise(variation: float, generator: np.random.Generator) -> Iterator[float]:
    """Factors of mean 1 for one batch after another, drawn by the thousand."""
    if variation == 0:
        return itertools.repeat(1.0)
    variance = math.log1p(variation**2)
    return itertools.chain.from_iterable(
        generator.lognormal(-variance / 2, math.sqrt(variance), 1000).tolist()
        for _ in itertools.count()
    )
