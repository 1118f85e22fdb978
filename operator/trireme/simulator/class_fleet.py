"""Pods of several node classes, second by second. Pure.

What `fluid` has of one sort of pods, simpler: all pods of a class hold the same, also one that has
just become ready. What comes is shared out by the rate that a pod of each class
sustains. So all classes are at their objectives at once, as they are nearly behind a gateway that
sends a request to the least busy of many pods (docs/scaling.md has events beside it).
A pod that dies takes with it what it holds, and where none is ready, what comes is lost.
"""

import math
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from trireme.simulator.balance import Alike, drained
from trireme.simulator.fluid import HISTORY_SECONDS, LeadTime
from trireme.simulator.load_table import Floats, LoadTable, load_table
from trireme.simulator.pod_steps import PodSteps
from trireme.simulator.policy import Metric, Reading
from trireme.simulator.served import ServingPod
from trireme.simulator.traces import Traffic

_NOTHING = 1e-3  # of a request: what is left of the last one would fall for ever


@dataclass(frozen=True, slots=True)
class PodClass:
    """The pods on one class of nodes; `price` is for a pod and an hour. Of a mix there must and may
    be so many of them, None for any number; each has so many `gpus` of a
    budget.
    """

    name: str
    price: float
    pod: ServingPod
    lead_time: LeadTime
    least: int = 0
    most: int | None = None
    gpus: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class ClassOutcome:
    """What became of the traffic, and how long there were pods of each class: as `fluid.Outcome`
    has it. `ready` has a row for each class.
    """

    pod_seconds: tuple[float, ...]
    requests: float
    late: float
    scale_ups: int
    scale_downs: int
    max_replicas: int
    ready: npt.NDArray[np.int64]
    requests_by_second: Floats
    late_by_second: Floats

    @property
    def late_share(self) -> float:
        """The share of the requests that took longer than the limit."""
        return self.late / self.requests if self.requests else 0.0


@dataclass(slots=True)
class _Pods:
    """The pods of one class, each ready one with `held` requests in flight."""

    of: PodClass
    sustained: float
    capacity: float
    steps: PodSteps
    ready: int
    held: float = 0.0
    starting: list[int] = field(default_factory=list)
    draining: list[Alike] = field(default_factory=list)
    pod_seconds: float = 0.0

    @property
    def replicas(self) -> int:
        return self.ready + len(self.starting)

    def resize(self, replicas: int, second: int, generator: np.random.Generator) -> None:
        """Order pods, or stop some: first those that start, the last ordered first."""
        for _ in range(replicas - self.replicas):
            self.starting.append(second + self.of.lead_time.draw(generator))
        stop = max(self.replicas - replicas, 0)
        cancelled = min(stop, len(self.starting))
        del self.starting[len(self.starting) - cancelled :]
        if stop > cancelled:
            self.ready -= stop - cancelled
            self.draining.append(Alike(stop - cancelled, self.held))

    def join(self, second: int) -> None:
        """Let those serve that are ready by now."""
        still = [at for at in self.starting if at > second]
        if joined := len(self.starting) - len(still):
            self.held *= self.ready / (self.ready + joined)
            self.ready, self.starting = self.ready + joined, still


class ClassFleet:
    """The pods of all classes and their requests. Each of `deaths` is a second and the place of the
    ready pod, the first class's first, that is lost in it.
    """

    def __init__(
        self,
        traffic: Traffic,
        classes: Sequence[PodClass],
        sustained_per_second: Sequence[float],
        limit_seconds: float,
        pods: Sequence[int],
        seed: int,
        warm_up_seconds: int,
        deaths: Sequence[tuple[int, int]] = (),
    ) -> None:
        self._deaths = deque(deaths)
        draws, self._delays = np.random.default_rng(seed).spawn(2)
        self.seconds = len(traffic.rate_per_second)
        self._origin = HISTORY_SECONDS + warm_up_seconds
        steady = np.full(self._origin, traffic.rate_per_second[0])
        rate = np.concatenate((steady, traffic.rate_per_second))
        drawn = draws.poisson(rate).astype(np.float64)
        self._rate = rate
        self._scatter = np.divide(drawn, rate, out=np.ones_like(drawn), where=rate > 0)
        self._arrived = np.concatenate(([0.0], np.cumsum(drawn)))
        self._moments = np.arange(len(self._arrived), dtype=np.float64)
        self._late, self._answered, self._in_flight, self._lost = np.zeros((4, len(rate)))
        self._ready = np.zeros((len(classes), len(rate)), np.int64)
        self._ended: dict[int, list[tuple[float, PodSteps, float, float]]] = defaultdict(list)
        self._read_last: tuple[slice, Floats, float] | None = None
        tables = _on_one_grid([load_table(each.pod, limit_seconds) for each in classes])
        self._grid, self._limit_index = tables[0].seconds, tables[0].limit_index
        self._pods = [
            _Pods(each, rate_of_pod, table.capacity_per_second, PodSteps(table), ready)
            for each, rate_of_pod, table, ready in zip(
                classes, sustained_per_second, tables, pods, strict=True
            )
        ]
        self._now = 0
        self._run(HISTORY_SECONDS)

    @property
    def replicas(self) -> tuple[int, ...]:
        """The pods of each class that are ordered."""
        return tuple(each.replicas for each in self._pods)

    @property
    def ready(self) -> tuple[int, ...]:
        """The pods of each class that answer."""
        return tuple(each.ready for each in self._pods)

    def count_from_now(self) -> None:
        """Forget the cost of what was before second 0."""
        self.advance(0)
        for each in self._pods:
            each.pod_seconds = 0.0

    def resize(self, sizes: Sequence[int], second: int) -> None:
        """Have so many pods of each class ordered."""
        self.advance(second)
        for each, replicas in zip(self._pods, sizes, strict=True):
            each.resize(replicas, second, self._delays)

    def advance(self, second: int) -> None:
        """Evaluate what happened until the beginning of this second."""
        self._run(self._origin + second)
        for each in self._pods:
            each.join(second)

    def read(self, reading: Reading, now: float) -> float:
        """What a query finds; NaN where there is nothing to measure."""
        begin, end = reading.window(self._origin + now)
        span = slice(int(begin), max(int(end), int(begin) + 1))
        match reading.metric:
            case Metric.ARRIVALS:
                first, last = np.interp([begin, end], self._moments, self._arrived).tolist()
                return float(last - first) / (end - begin)
            case Metric.ANSWERS:
                return self._mean(self._answered, span)
            case Metric.IN_FLIGHT:
                return self._mean(self._in_flight, span)
            case Metric.FAILURE_SHARE:
                answered, lost = self._mean(self._answered, span), self._mean(self._lost, span)
                return lost / (lost + answered) if lost + answered > 0 else math.nan
            case Metric.LATE_SHARE:
                within, total = self._distribution(span)
                return 1 - float(within[self._limit_index]) / total if total > 0 else math.nan
            case Metric.LATENCY if reading.percentile is not None:
                within, total = self._distribution(span)
                if total <= 0:
                    return math.nan
                return float(np.interp(reading.percentile / 100 * total, within, self._grid))
            case _:
                raise ValueError(f"{reading} cannot be read of pods of several classes")

    def outcome(self, ups: int, downs: int, most: int) -> ClassOutcome:
        """What became of all."""
        span = slice(self._origin, None)
        return ClassOutcome(
            pod_seconds=tuple(each.pod_seconds for each in self._pods),
            requests=float(self._rate[span].sum()),
            late=float((self._late + self._lost)[span].sum()),
            scale_ups=ups,
            scale_downs=downs,
            max_replicas=most,
            ready=self._ready[:, span],
            requests_by_second=self._rate[span],
            late_by_second=(self._late + self._lost)[span],
        )

    def _run(self, until: int) -> None:
        while self._now < until:
            self._second()

    def _second(self) -> None:
        now, rate = self._now, float(self._rate[self._now])
        for each in self._pods:
            each.join(now - self._origin)
        while self._deaths and self._deaths[0][0] <= now - self._origin:
            self._die(*self._deaths.popleft())
        serving = sum(each.ready * each.sustained for each in self._pods)
        self._lost[now] += 0.0 if serving else rate
        late = answered = held = 0.0
        for each in self._pods:
            steps, came = each.steps, rate * each.sustained / serving if serving else 0.0
            before, each.held = each.held, steps.after(each.held + came)
            if not came and each.held < _NOTHING:
                each.held = 0.0
            weight = each.ready * came
            each.draining, of_stopping, taken = drained(each.draining, each.capacity)
            answered += each.ready * (before + came - each.held) + of_stopping
            held += each.ready * each.held + sum(d.pods * d.in_flight for d in each.draining)
            load, wait, late_share = steps.met(before, each.held)
            late += weight * late_share
            if weight:
                told = weight * float(self._scatter[now]), steps, load, wait
                self._ended[now + int(wait)].append(told)
            each.pod_seconds += each.replicas + taken
        self._ended.pop(now - HISTORY_SECONDS, None)  # no window looks further back
        self._late[now], self._answered[now], self._in_flight[now] = late, answered, held
        self._ready[:, now] = self.ready
        self._now = now + 1

    def _die(self, second: int, place: int) -> None:
        """Lose the ready pod in this place, if there is one, and start another of its class."""
        for each in self._pods:
            if place < each.ready:
                each.ready -= 1
                self._lost[self._now - 1] += each.held
                each.starting.append(second + each.of.lead_time.draw(self._delays))
                return
            place -= each.ready

    def _mean(self, values: Floats, span: slice) -> float:
        """Over these seconds, scattered as what was drawn."""
        return float(values[span] @ self._scatter[span]) / len(values[span])

    def _distribution(self, span: slice) -> tuple[Floats, float]:
        """How many requests that ended took no longer than each second of the grid, and all.

        A round reads several figures of one window: its distribution is made once.
        """
        if self._read_last is not None and self._read_last[0] == span:
            return self._read_last[1:]
        within, total = np.zeros(len(self._grid)), 0.0
        for second in range(span.start, span.stop):
            for weight, steps, load, wait in self._ended.get(second, ()):
                total += weight
                within += weight * steps.within(load, wait)
        self._read_last = span, within, total
        return within, total


def _on_one_grid(tables: Sequence[LoadTable]) -> list[LoadTable]:
    """The same tables with latencies in common, so that their distributions add."""
    grid = np.unique(np.concatenate([table.seconds for table in tables]))
    return [
        replace(
            table,
            seconds=grid,
            within=np.array([np.interp(grid, table.seconds, row) for row in table.within]),
            limit_index=int(np.searchsorted(grid, table.limit_seconds)),
        )
        for table in tables
    ]
