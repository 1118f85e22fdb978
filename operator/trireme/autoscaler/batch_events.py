"""One pod as Triton serves from it, batch by batch: what became of each request.

Pure: what is drawn comes from the generator that is given. A pod has one queue for its instances.
An instance that is free takes what is queued, up to the largest batch; with a queue delay it waits
until the oldest request waited that long or the batch is full. It is free again a gap after its
batch was answered. (Source: triton core,
dynamic_batch_scheduler.cc, rate_limiter.cc, instance_queue.cc.)

Requests are given by their arrival times and answered by their latencies, in the same order. The
tight loop is plain Python over batches: 200,000 requests take about a second at most.
"""

import heapq
import itertools
import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

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
    seconds = seconds_by_batch(pod.curve)
    noise = noise_factors(pod.noise, generator)
    most, delay = pod.curve.max_batch, pod.queue_delay_seconds
    gap = pod.curve.gap_seconds
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
        heapq.heapreplace(free, end + gap)
        starts.append(start)
        ends.append(end)
        batches.append(after - first)
        first = after
    return outcome(arrivals, starts, ends, batches)


def serve_by_priority(
    arrivals: Floats, levels: Ints, pod: PodModel, generator: np.random.Generator
) -> Served:
    """The same where requests have priorities, of which the smallest number goes first, as in
    Triton; those of one level go in order. Nobody who is being served is interrupted.

    Pre: the pod has no queue delay.
    """
    times: list[float] = arrivals.tolist()
    ranks: list[int] = levels.tolist()
    seconds = seconds_by_batch(pod.curve)
    noise = noise_factors(pod.noise, generator)
    most, count = pod.curve.max_batch, len(times)
    gap = pod.curve.gap_seconds
    free = [0.0] * pod.instances
    waiting: list[tuple[int, int]] = []
    starts, ends = np.empty(count), np.empty(count)
    batches: list[int] = []
    taken: list[float] = []
    come, start = 0, 0.0
    while come < count or waiting:
        start = max(free[0], start if waiting else times[come])
        after = bisect_right(times, start, come)
        for request in range(come, after):
            heapq.heappush(waiting, (ranks[request], request))
        come = after
        batch = [heapq.heappop(waiting)[1] for _ in range(min(most, len(waiting)))]
        end = start + seconds[len(batch)] * next(noise)
        heapq.heapreplace(free, end + gap)
        starts[batch], ends[batch] = start, end
        batches.append(len(batch))
        taken.append(end - start)
    return Served(ends - arrivals, starts - arrivals, np.array(batches, np.int64), np.array(taken))


def outcome(arrivals: Floats, starts: list[float], ends: list[float], batches: list[int]) -> Served:
    """What became of the requests, of one batch after another."""
    sizes = np.array(batches, np.int64)
    started, ended = np.array(starts), np.array(ends)
    return Served(
        latency_seconds=np.repeat(ended, sizes) - arrivals,
        wait_seconds=np.repeat(started, sizes) - arrivals,
        batches=sizes,
        batch_seconds=ended - started,
    )


def seconds_by_batch(curve: ServiceCurve) -> list[float]:
    """The seconds of a batch of 0, 1, 2, … requests."""
    return [0.0, *(curve.seconds(batch) for batch in range(1, curve.max_batch + 1))]


def noise_factors(variation: float, generator: np.random.Generator) -> Iterator[float]:
    """Factors of mean 1 for one batch after another, drawn by the thousand."""
    if variation == 0:
        return itertools.repeat(1.0)
    variance = math.log1p(variation**2)
    return itertools.chain.from_iterable(
        generator.lognormal(-variance / 2, math.sqrt(variance), 1000).tolist()
        for _ in itertools.count()
    )
