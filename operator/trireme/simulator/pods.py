"""Fleets of pods as Triton serves from them, event by event: what became of each request.

Requests are given by their arrival times and answered by their latencies, in the same order. What
one pod does is `autoscaler.batch_events`.
"""

import heapq
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from trireme.autoscaler.batch_events import (
    Floats,
    Ints,
    PodModel,
    Served,
    noise_factors,
    outcome,
    seconds_by_batch,
    serve,
)

_FREE = -1


class Balancer(StrEnum):
    """How requests are spread over pods."""

    RANDOM = "random"  # kube-proxy
    ROUND_ROBIN = "round-robin"
    LEAST_OUTSTANDING = "least-outstanding"
    POWER_OF_TWO = "power-of-two"  # the less busy of two taken at random: Envoy's LEAST_REQUEST


def serve_fleet(
    arrivals: Floats,
    pods: int,
    pod: PodModel,
    balancer: Balancer,
    generator: np.random.Generator,
    gateways: int = 1,
) -> Served:
    """What a fleet makes of requests that arrive at these times, the first one first.

    Of several gateways, each of which gets any request, each knows its own requests only.
    """
    match balancer:
        case Balancer.RANDOM:
            chosen = generator.integers(pods, size=len(arrivals))
        case Balancer.ROUND_ROBIN:
            chosen = np.arange(len(arrivals)) % pods
        case Balancer.LEAST_OUTSTANDING | Balancer.POWER_OF_TWO:
            return serve_mixed(arrivals, [pod] * pods, balancer, generator, gateways)
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


# ------------------------------------------------------------------- balancers that look at pods


@dataclass(slots=True)
class _Pod:
    """A pod in the midst of serving."""

    idle: int
    waiting: deque[float] = field(default_factory=deque)
    sent_by: deque[int] = field(default_factory=deque)  # the gateways of those that wait
    timer: float = -1.0  # the arrival that a queue delay runs for
    arrivals: list[float] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)


def serve_mixed(
    arrivals: Floats,
    models: Sequence[PodModel],
    balancer: Balancer,
    generator: np.random.Generator,
    gateways: int = 1,
) -> Served:
    """The same of pods that need not be alike, by a balancer that looks at what each has to do."""
    seconds = {model: seconds_by_batch(model.curve) for model in models}
    noise = {model: noise_factors(model.noise, generator) for model in dict.fromkeys(models)}
    fleet = [_Pod(model.instances) for model in models]
    outstanding = [[0] * len(models) for _ in range(gateways)]
    # When, which pod, how many are done (0: a timer, _FREE: an instance is, after its gap), and the
    # gateways that sent them.
    events: list[tuple[float, int, int, tuple[int, ...]]] = []

    def start(which: int, now: float) -> None:
        pod, model = fleet[which], models[which]
        most, delay = model.curve.max_batch, model.queue_delay_seconds
        waiting = pod.waiting
        while pod.idle and waiting:
            if len(waiting) < most and now < waiting[0] + delay:
                if pod.timer != waiting[0]:
                    pod.timer = waiting[0]
                    heapq.heappush(events, (waiting[0] + delay, which, 0, ()))
                return
            batch = min(len(waiting), most)
            for _ in range(batch):
                waiting.popleft()
            sent_by = tuple(pod.sent_by.popleft() for _ in range(batch))
            end = now + seconds[model][batch] * next(noise[model])
            pod.idle -= 1
            pod.starts.append(now)
            pod.ends.append(end)
            pod.batches.append(batch)
            heapq.heappush(events, (end, which, batch, sent_by))

    def run_until(now: float) -> None:
        while events and events[0][0] <= now:
            at, which, done, sent_by = heapq.heappop(events)
            if done > 0:
                for gateway in sent_by:
                    outstanding[gateway][which] -= 1
                if gap := models[which].curve.gap_seconds:
                    heapq.heappush(events, (at + gap, which, _FREE, ()))
                    continue
            if done:
                fleet[which].idle += 1
            start(which, at)

    pick = _picks(balancer, len(models), len(arrivals), generator)
    by = [0] * len(arrivals)
    if gateways > 1:
        by = generator.integers(gateways, size=len(arrivals)).tolist()
    chosen = np.empty(len(arrivals), np.int64)
    for number, now in enumerate(arrivals.tolist()):
        run_until(now)
        known = outstanding[by[number]]
        which = pick(number, known)
        chosen[number] = which
        known[which] += 1
        fleet[which].arrivals.append(now)
        fleet[which].waiting.append(now)
        fleet[which].sent_by.append(by[number])
        start(which, now)
    run_until(math.inf)
    served = [outcome(np.array(pod.arrivals), pod.starts, pod.ends, pod.batches) for pod in fleet]
    return _together(chosen, served)


def _picks(
    balancer: Balancer, pods: int, requests: int, generator: np.random.Generator
) -> Callable[[int, Sequence[int]], int]:
    """What chooses a pod for a request, by what each has to do that is known; of equals one is
    chosen at random.
    """
    if balancer is Balancer.POWER_OF_TWO:
        pairs: list[tuple[int, int]] = generator.integers(pods, size=(requests, 2)).tolist()

        def less_busy_of_two(request: int, outstanding: Sequence[int]) -> int:
            one, other = pairs[request]
            return one if outstanding[one] <= outstanding[other] else other

        return less_busy_of_two
    turns: list[float] = generator.random(requests).tolist()

    def least_busy(request: int, outstanding: Sequence[int]) -> int:
        least = min(outstanding)
        equals = [pod for pod, count in enumerate(outstanding) if count == least]
        return equals[int(turns[request] * len(equals))]

    return least_busy
