"""A fleet, request by request, under a policy: what the fluid one is held against, and slower.

Pure. Each request comes at a moment of its own, goes to the pod that the balancer chooses then, and
is served in a batch as `autoscaler.batch_events` has it of one pod. A policy reads the figures that
`fluid.Fleet` answers, here of the requests that really ended; pods come, go and die as there, at
the same seconds, and of one seed as many requests come in each second. So two runs differ by how
requests are served, and by what the policy makes of that.

A million requests take some seconds. Metrics of the last ten minutes are kept.
"""

import heapq
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from trireme.autoscaler.batch_events import noise_factors, seconds_by_batch
from trireme.autoscaler.queueing import PodShape
from trireme.simulator.fluid import HISTORY_SECONDS, LeadTime, Outcome
from trireme.simulator.load_table import Floats
from trireme.simulator.ordered_pods import OrderedPods
from trireme.simulator.pods import Balancer
from trireme.simulator.policy import Metric, Reading
from trireme.simulator.traces import Traffic


@dataclass(slots=True, eq=False)
class _Pod:
    """A pod, by the arrival times of the requests that wait in it; `outstanding` are all it has.
    `stopped_at` is when it was told to stop: it gets no more requests, and ends with its last.
    """

    idle: int
    waiting: deque[float] = field(default_factory=deque)
    outstanding: int = 0
    stopped_at: float | None = None
    is_dead: bool = False


Batch = tuple[float, ...]
"""The arrival times of the requests of one batch."""


class EventFleet(OrderedPods):
    """The pods and their requests. Moments are seconds from the beginning of the history on."""

    def __init__(
        self,
        traffic: Traffic,
        pod: PodShape,
        limit_seconds: float,
        lead_time: LeadTime,
        replicas: int,
        seed: int,
        balancer: Balancer,
        warm_up_seconds: int,
        deaths: Sequence[tuple[int, int]] = (),
    ) -> None:
        self.seconds = len(traffic.rate_per_second)
        self._limit = limit_seconds
        # The first two as the fluid fleet has them, so that as many requests come.
        draws, delays, self._moments, self._choices, noise = np.random.default_rng(seed).spawn(5)
        origin = HISTORY_SECONDS + warm_up_seconds
        steady = np.full(origin, traffic.rate_per_second[0])
        drawn = draws.poisson(np.concatenate((steady, traffic.rate_per_second)))
        length = len(drawn)
        super().__init__(replicas, partial(lead_time.draw, delays), deaths, origin, length)
        self._came: list[int] = drawn.tolist()
        self._arrived = np.concatenate(([0.0], np.cumsum(drawn)))  # until each moment
        self._at = np.arange(len(self._arrived), dtype=np.float64)
        self._batch_seconds = seconds_by_batch(pod.curve)
        self._gap = pod.curve.gap_seconds
        self._instances = pod.instances
        self._noise = noise_factors(pod.noise, noise)
        self._pods = [_Pod(pod.instances) for _ in range(replicas)]  # those that are ready
        self._draining: list[_Pod] = []
        self._pick = _picks(balancer)
        # What ends next: when, which in turn, in which pod, the batch, and when that began; of a
        # gap between batches there is none.
        self._events: list[tuple[float, int, _Pod, Batch, float]] = []
        self._turn = 0
        self._late, self._lost = np.zeros((2, length), np.int64)
        self._answered = np.zeros(length, np.int64)
        self._in_flight, self._mean_in_flight = np.zeros((2, length))  # of a second: at its end
        self._until, self._mean_now = 0, 0.0
        self._waited = np.zeros(length)  # of what ended in a second
        self._ended: dict[int, Floats] = {}  # the latencies of it
        self._ending, self._ending_waited = list[float](), 0.0
        self._read_last: tuple[slice, Floats] | None = None
        self._counted_from = 0.0
        self._run(HISTORY_SECONDS)

    @property
    def ready(self) -> int:
        """The pods that get requests."""
        return len(self._pods)

    def count_from_now(self) -> None:
        """Forget the cost of what was before second 0."""
        super().count_from_now()
        self._counted_from = float(self._now)

    # --------------------------------------------------------------------------------------- size

    def _stop(self, pods: int) -> None:
        for pod in sorted(self._pods, key=lambda pod: pod.outstanding)[:pods]:
            self._pods.remove(pod)
            if pod.outstanding:
                pod.stopped_at = float(self._now)
                self._draining.append(pod)

    def _start(self, pods: int) -> None:
        self._pods.extend(_Pod(self._instances) for _ in range(pods))

    def _lose(self, place: int) -> bool:
        if place >= len(self._pods):
            return False
        pod = self._pods.pop(place)
        pod.is_dead = True
        self._lost[self._now - 1] += pod.outstanding
        return True

    # ------------------------------------------------------------------------------------- events

    def _evaluate(self, until: int) -> None:
        while self._now < until:
            self._second()

    def _second(self) -> None:
        now, pods = self._now, self._pods
        came = self._came[now]
        self._until = now + 1
        # In the mean of the second: what is there at its beginning is there for all of it, what
        # comes for the rest, and what is answered is not there for what is left then.
        self._mean_now = float(self._outstanding())
        if came and pods:
            moments: list[float] = (now + np.sort(self._moments.random(came))).tolist()
            chances: list[list[float]] = self._choices.random((came, 2)).tolist()
            self._mean_now += came * self._until - sum(moments)
            for moment, (one, other) in zip(moments, chances, strict=True):
                self._serve_until(moment)
                pod = self._pick(pods, one, other)
                pod.outstanding += 1
                pod.waiting.append(moment)
                if pod.idle:
                    self._begin(pod, moment)
        elif came:
            self._lost[now] += came
        self._now = now + 1
        self._serve_until(self._now)
        self._ended[now], self._waited[now] = np.array(self._ending), self._ending_waited
        self._ending, self._ending_waited = [], 0.0
        self._ended.pop(now - HISTORY_SECONDS, None)
        self._answered[now] = len(self._ended[now])
        self._in_flight[now], self._mean_in_flight[now] = self._outstanding(), self._mean_now

    def _outstanding(self) -> int:
        return sum([pod.outstanding for pod in (*self._pods, *self._draining)])

    def _serve_until(self, moment: float) -> None:
        """Let batches end, and others begin in their place."""
        events = self._events
        while events and events[0][0] <= moment:
            at, _, pod, batch, began = heapq.heappop(events)
            if pod.is_dead:
                continue
            if batch:
                self._answer(pod, batch, began, at)
                if self._gap:
                    self._push(at + self._gap, pod, (), at)
                    continue
            pod.idle += 1
            if pod.waiting:
                self._begin(pod, at)

    def _begin(self, pod: _Pod, at: float) -> None:
        """Give an idle instance what waits, up to the largest batch."""
        waiting = pod.waiting
        size = min(len(waiting), len(self._batch_seconds) - 1)
        batch = tuple([waiting.popleft() for _ in range(size)])
        pod.idle -= 1
        self._push(at + self._batch_seconds[size] * next(self._noise), pod, batch, at)

    def _push(self, at: float, pod: _Pod, batch: Batch, began: float) -> None:
        self._turn += 1
        heapq.heappush(self._events, (at, self._turn, pod, batch, began))

    def _answer(self, pod: _Pod, batch: Batch, began: float, at: float) -> None:
        limit, late = self._limit, self._late
        self._ending_waited += began * len(batch) - sum(batch)
        self._mean_now -= len(batch) * (self._until - at)
        for arrival in batch:
            latency = at - arrival
            self._ending.append(latency)
            if latency > limit:
                late[int(arrival)] += 1
        pod.outstanding -= len(batch)
        if pod.stopped_at is not None and not pod.outstanding:
            self._draining.remove(pod)
            self._pod_seconds += at - max(pod.stopped_at, self._counted_from)

    # ----------------------------------------------------------------------------------- readings

    def read(self, reading: Reading, now: float) -> float:
        """What a query finds; NaN where there is nothing to measure."""
        begin, end = reading.window(self._origin + now)
        if reading.metric is Metric.ARRIVALS:
            first, last = np.interp([begin, end], self._at, self._arrived).tolist()
            return float(last - first) / (end - begin)
        self.advance(int(now))
        span = slice(int(begin), max(int(end), int(begin) + 1))
        answered, lost = int(self._answered[span].sum()), int(self._lost[span].sum())
        match reading.metric:
            case Metric.ANSWERS:
                return answered / (span.stop - span.start)
            case Metric.IN_FLIGHT:
                return float(self._mean_in_flight[span].mean())
            case Metric.FAILURE_SHARE:
                return lost / (lost + answered) if lost + answered else math.nan
            case _ if not answered:
                return math.nan
            case Metric.LATE_SHARE:
                return float((self._latencies(span) > self._limit).mean())
            case Metric.QUEUE_TIME:
                return float(self._waited[span].sum()) / answered * 1e6
            case Metric.LATENCY:
                if reading.percentile is None:
                    raise ValueError("a latency is read with its percentile")
                return float(np.percentile(self._latencies(span), reading.percentile))

    def _latencies(self, span: slice) -> Floats:
        """Of what ended in these seconds. A round reads several figures of one window."""
        if self._read_last is None or self._read_last[0] != span:
            seconds = range(span.start, span.stop)
            told = [self._ended[second] for second in seconds if second in self._ended]
            self._read_last = span, np.concatenate(told)
        return self._read_last[1]

    def outcome(self, name: str, ups: int, downs: int, most: int) -> Outcome:
        """What became of all; what is in flight at the end is served to know whether it is late."""
        for pod in self._draining:
            self._pod_seconds += self._now - max(pod.stopped_at or 0.0, self._counted_from)
            pod.stopped_at = None  # what it takes beyond the end is not paid
        self._serve_until(math.inf)
        span = slice(self._origin, None)
        requests = np.array(self._came[span], np.float64)
        lost = self._lost[span].astype(np.float64)
        late = self._late[span] + lost
        return Outcome(
            policy=name,
            pod_seconds=self._pod_seconds,
            requests=float(requests.sum()),
            late=float(late.sum()),
            lost=float(lost.sum()),
            carried_in=float(self._in_flight[self._origin - 1]),
            scale_ups=ups,
            scale_downs=downs,
            max_replicas=most,
            wanted=self._wanted[span],
            ready=self._ready[span],
            requests_by_second=requests,
            late_by_second=late,
            answered_by_second=self._answered[span].astype(np.float64),
            in_flight_by_second=self._in_flight[span].astype(np.float64),
        )


# ---------------------------------------------------------------------------------------- choosing


def _picks(balancer: Balancer) -> Callable[[Sequence[_Pod], float, float], _Pod]:
    """What chooses a pod for a request, by two numbers from 0 to 1 that were drawn for it."""
    match balancer:
        case Balancer.RANDOM:
            return lambda pods, one, other: pods[int(one * len(pods))]
        case Balancer.ROUND_ROBIN:
            return _in_turn()
        case Balancer.POWER_OF_TWO:
            return _less_busy_of_two
        case Balancer.LEAST_OUTSTANDING:
            return _least_busy


def _in_turn() -> Callable[[Sequence[_Pod], float, float], _Pod]:
    turn = -1

    def pick(pods: Sequence[_Pod], one: float, other: float) -> _Pod:
        nonlocal turn
        turn += 1
        return pods[turn % len(pods)]

    return pick


def _less_busy_of_two(pods: Sequence[_Pod], one: float, other: float) -> _Pod:
    first, second = pods[int(one * len(pods))], pods[int(other * len(pods))]
    return first if first.outstanding <= second.outstanding else second


def _least_busy(pods: Sequence[_Pod], one: float, other: float) -> _Pod:
    least = min([pod.outstanding for pod in pods])
    equals = [pod for pod in pods if pod.outstanding == least]
    return equals[int(one * len(equals))]
