"""A fleet, second by second: a fluid of requests, with the tail of the queueing chain.

Pure. What a pod holds, on average, follows its load: in a second r requests come, and as many leave
as a pod with that many in flight serves when the load is steady (`load_table`). So below its
capacity a pod is always nearly as the queueing chain has it, and above it the backlog grows by what
is too much; one number does for both (the pointwise stationary fluid flow approximation: W. Wang,
D. Tipper, S. Banerjee, INFOCOM 1996). The step is implicit, so that a second may be long beside a
batch, and it loses no request.

Each pod has its own queue. A pod that becomes ready takes nothing of what waits elsewhere, but a
balancer that looks at pods sends it more of what comes, until it has as much to do as the others.
Requests never give up. A pod that is to stop gets no more requests and stops when it has answered
what it has. A pod that dies takes with it what it holds, and another is ordered at once, as a
ReplicaSet does; where none is ready, what comes is lost. What is lost is late.

How many requests come in a second is drawn from the rate (Poisson), by the seed. Policies see what
was drawn. What becomes of the requests is computed of the rate: the chain already knows how they
scatter.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from trireme.simulator.balance import Alike, drained, joined_alike, shares
from trireme.simulator.load_table import Floats, LoadTable
from trireme.simulator.ordered_pods import OrderedPods
from trireme.simulator.pod_steps import PodSteps
from trireme.simulator.pods import Balancer
from trireme.simulator.policy import Metric, Reading
from trireme.simulator.traces import Traffic

CALM_LOAD = 0.85  # below it a pod forgets within a second what it held before
LOOK_AHEAD_SECONDS = 240
KEPT_SECONDS = 512  # more than any policy's window: 5 KB each
HISTORY_SECONDS = 600  # of steady traffic on a steady fleet, for what the first windows look at


@dataclass(frozen=True, slots=True)
class LeadTime:
    """What passes from the order of a pod to its first answer.

    `variation` is the coefficient of variation (lognormal); 0 is always the same.
    """

    seconds: float
    variation: float = 0.0

    @property
    def mean(self) -> "LeadTime":
        """The same without variation."""
        return LeadTime(self.seconds)

    @property
    def p95_seconds(self) -> float:
        """Of 95 in 100 pods no more passes; 1.645 is the normal distribution's."""
        if self.variation == 0:
            return self.seconds
        variance = math.log1p(self.variation**2)
        return self.seconds * math.exp(1.645 * math.sqrt(variance) - variance / 2)

    def draw(self, generator: np.random.Generator) -> int:
        """The whole seconds that one pod takes."""
        if self.variation == 0:
            return math.ceil(self.seconds)
        variance = math.log1p(self.variation**2)
        factor = generator.lognormal(-variance / 2, math.sqrt(variance))
        return math.ceil(self.seconds * factor)


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What became of the traffic, and what it cost.

    Of the `requests` that were expected, `late` take longer than the limit; whether one does is
    known when it comes. `lost` of them were in pods that died, or met none; `carried_in` were in
    flight before the first second. The arrays have a
    value for each second: the pods that were wanted and that were ready at its end, the requests
    that came in it, those of them that are late, those answered, and those in flight at its end.
    """

    policy: str
    pod_seconds: float
    requests: float
    late: float
    lost: float
    carried_in: float
    scale_ups: int
    scale_downs: int
    max_replicas: int
    wanted: npt.NDArray[np.int64]
    ready: npt.NDArray[np.int64]
    requests_by_second: Floats
    late_by_second: Floats
    answered_by_second: Floats
    in_flight_by_second: Floats

    @property
    def late_share(self) -> float:
        """The share of the requests that took longer than the limit."""
        return self.late / self.requests if self.requests else 0.0


class Fleet(OrderedPods):
    """The pods and their requests."""

    def __init__(
        self,
        traffic: Traffic,
        table: LoadTable,
        lead_time: LeadTime,
        replicas: int,
        seed: int,
        balancer: Balancer,
        warm_up_seconds: int,
        deaths: Sequence[tuple[int, int]] = (),
    ) -> None:
        self.table = table
        self.seconds = len(traffic.rate_per_second)
        self._loses = bool(deaths)
        self._balancer = balancer
        draws, delays = np.random.default_rng(seed).spawn(2)
        origin = HISTORY_SECONDS + warm_up_seconds
        steady = np.full(origin, traffic.rate_per_second[0])
        self._rate = np.concatenate((steady, traffic.rate_per_second))
        length = len(self._rate)
        super().__init__(replicas, partial(lead_time.draw, delays), deaths, origin, length)
        drawn = draws.poisson(self._rate).astype(np.float64)
        scatter = np.divide(drawn, self._rate, out=np.ones_like(drawn), where=self._rate > 0)
        self._scatter = scatter
        self._arrived: list[float] = [0.0, *np.cumsum(drawn).tolist()]
        self._late, self._answered, self._in_flight, self._held = np.zeros((4, length))
        self._lost = np.zeros(length)
        # Where in the table the requests of a second are: between two rows, and how many of them,
        # scattered, are taken for the one and for the other. All others are told one by one.
        self._rows, self._shares = np.zeros((2, length), np.int64), np.zeros((2, length))
        self._placed = np.zeros(length)
        self._others: dict[int, list[tuple[float, float, float]]] = defaultdict(list)
        self._read_last: tuple[slice, Floats, float] | None = None
        self._steps = PodSteps(table)
        self._ended: dict[int, tuple[Floats, float]] = {}
        self._alike = [Alike(replicas, 0.0)] if replicas else []
        self._draining: list[Alike] = []
        self._foreseen = 0  # up to where all is known, unless other pods are ready
        calm = int(np.searchsorted(table.loads, CALM_LOAD))
        self._calm_rate = CALM_LOAD * table.capacity_per_second
        self._calm_in_flight = float(table.in_flight[calm])
        self._run(HISTORY_SECONDS)

    @property
    def ready(self) -> int:
        """The pods that answer."""
        return sum([each.pods for each in self._alike])

    # --------------------------------------------------------------------------------------- size

    def _stop(self, pods: int) -> None:
        for each in self._alike:
            stopped = min(pods, each.pods)
            pods, each.pods = pods - stopped, each.pods - stopped
            if stopped:
                self._draining.append(Alike(stopped, each.in_flight))
                self._foreseen = self._now
        self._alike = [each for each in self._alike if each.pods]

    def _start(self, pods: int) -> None:
        self._alike.insert(0, Alike(pods, 0.0))
        self._foreseen = self._now

    def _lose(self, place: int) -> bool:
        for each in self._alike:
            if place < each.pods:
                each.pods -= 1
                self._lost[self._now - 1] += each.in_flight
                self._foreseen = self._now
                self._alike = [each for each in self._alike if each.pods]
                return True
            place -= each.pods
        return False

    # ------------------------------------------------------------------------------------ seconds

    def _evaluate(self, until: int) -> None:
        while self._now < until:
            if self._now == self._foreseen:
                self._foresee()
            if self._now < self._foreseen:
                self._now = min(until, self._foreseen)
                self._alike[0].in_flight = float(self._held[self._now - 1])
            else:
                self._second()
                self._foreseen = self._now

    def _foresee(self) -> None:
        """All seconds at once in which all pods are alike and have little to do: each is as its
        rate says. They are beyond what is asked for, so that who looks often looks them up.
        """
        if len(self._alike) != 1 or self._draining:
            return
        (each,) = self._alike
        if each.in_flight > self._calm_in_flight:
            return
        now, table = self._now, self.table
        rate = self._rate[now : now + LOOK_AHEAD_SECONDS]
        busy = rate > self._calm_rate * each.pods
        calm = int(busy.argmax())
        if busy[calm]:
            rate = rate[:calm]
        if not len(rate):
            return
        span = slice(now, now + len(rate))
        load = rate / (each.pods * table.capacity_per_second)
        held = np.interp(load, table.loads, table.in_flight)
        below, part = _placed(load, table.loads)
        placed = rate * self._scatter[span]
        self._rows[:, span] = below, below + 1
        self._shares[:, span] = placed * (1 - part), placed * part
        self._placed[span] = placed
        self._late[span] = rate * np.interp(load, table.loads, table.late)
        self._held[span] = held
        self._in_flight[span] = each.pods * held
        before = np.concatenate(([each.in_flight], held[:-1]))
        self._answered[span] = rate - each.pods * (held - before)
        self._foreseen = span.stop

    def _second(self) -> None:
        """One second of pods that differ, or whose queues grow or shrink."""
        now, steps = self._now, self._steps
        rate = float(self._rate[now])
        sent = shares(self._alike, rate, self._balancer) if self._alike else []
        late = answered = held = 0.0
        for index, (each, came) in enumerate(zip(self._alike, sent, strict=True)):
            before, each.in_flight = each.in_flight, steps.after(each.in_flight + came)
            answered += each.pods * (before + came - each.in_flight)
            held += each.pods * each.in_flight
            weight = each.pods * came
            load, wait, late_share = steps.met(before, each.in_flight)
            late += weight * late_share
            if index == 0 and wait == 0.0:
                below, part = steps.place(load)
                placed = weight * float(self._scatter[now])
                self._rows[:, now] = below, below + 1
                self._shares[:, now] = placed * (1 - part), placed * part
                self._placed[now] = placed
            else:
                if index == 0:
                    self._shares[:, now] = self._placed[now] = 0.0
                self._others[now + int(wait)].append((weight, load, wait))
        if not self._alike:
            self._loses = True
            self._lost[now] += rate
            self._shares[:, now] = self._placed[now] = 0.0
        if self._draining:
            self._draining, of_stopping, taken = drained(
                self._draining, self.table.capacity_per_second
            )
            answered += of_stopping
            self._pod_seconds += taken
            held += sum(each.pods * each.in_flight for each in self._draining)
        self._late[now], self._answered[now], self._in_flight[now] = late, answered, held
        if len(self._alike) > 1:
            self._alike = joined_alike(self._alike)
        self._now = now + 1

    # ----------------------------------------------------------------------------------- readings

    def read(self, reading: Reading, now: float) -> float:
        """What a query finds; NaN where there is nothing to measure."""
        begin, end = reading.window(self._origin + now)
        if reading.metric is Metric.ARRIVALS:
            return (_at(self._arrived, end) - _at(self._arrived, begin)) / (end - begin)
        self.advance(int(now))
        span = slice(int(begin), max(int(end), int(begin) + 1))
        match reading.metric:
            case Metric.ANSWERS:
                return self._mean(self._answered, span)
            case Metric.IN_FLIGHT:
                return self._mean(self._in_flight, span)
            case Metric.LATE_SHARE:
                within, total = self._distribution(span)
                in_time = float(within[self.table.limit_index])
                return 1 - in_time / total if total > 0 else math.nan
            case Metric.FAILURE_SHARE:
                answered = self._mean(self._answered, span)
                lost = self._mean(self._lost, span) if self._loses else 0.0
                return lost / (lost + answered) if lost + answered > 0 else math.nan
            case Metric.LATENCY:
                if reading.percentile is None:
                    raise ValueError("a latency is read with its percentile")
                return self._percentile(span, reading.percentile)
            case Metric.QUEUE_TIME:
                return self._queue_time(span) * 1e6

    def _mean(self, values: Floats, span: slice) -> float:
        """Over these seconds, scattered as what was drawn."""
        of_span = values[span]
        return float(of_span @ self._scatter[span]) / len(of_span)

    def _percentile(self, span: slice, percentile: float) -> float:
        within, total = self._distribution(span)
        if total <= 0:
            return math.nan
        return float(np.interp(percentile / 100 * total, within, self.table.seconds))

    def _distribution(self, span: slice) -> tuple[Floats, float]:
        """How many requests that ended took no longer than each of the table's seconds, and all.

        A round reads several figures of one window: its distribution is made once.
        """
        if self._read_last is not None and self._read_last[0] == span:
            return self._read_last[1:]
        table = self.table
        mixed, total = self._mixed(span)
        if total > 0:
            met = mixed.nonzero()[0]  # of 73 rows, most are not
            rows = slice(met[0], met[-1] + 1)
            within = mixed[rows] @ table.within[rows]
        else:
            within = np.zeros(len(table.seconds))
        for second in self._seconds_of_others(span):
            of_second, weight = self._ended_in(second)
            total += weight
            within += of_second
        self._read_last = span, within, total
        return within, total

    def _queue_time(self, span: slice) -> float:
        table = self.table
        mixed, total = self._mixed(span)
        waited = float(mixed @ table.wait_seconds)
        for second in self._seconds_of_others(span):
            for weight, load, wait in self._others[second]:
                total += weight
                waited += weight * (wait + float(np.interp(load, table.loads, table.wait_seconds)))
        return waited / total if total > 0 else math.nan

    def _mixed(self, span: slice) -> tuple[Floats, float]:
        """How many of the requests of these seconds are as each row of the table has it."""
        rows, shares = self._rows[:, span].ravel(), self._shares[:, span].ravel()
        mixed = np.asarray(np.bincount(rows, shares, len(self.table.loads)), np.float64)
        return mixed, float(np.add.reduce(self._placed[span]))

    def _seconds_of_others(self, span: slice) -> list[int]:
        """Those of these seconds in which requests end that are told one by one."""
        if not self._others:
            return []
        return [second for second in range(span.start, span.stop) if second in self._others]

    def _ended_in(self, second: int) -> tuple[Floats, float]:
        """How the requests of a second are distributed that are told one by one, and how many.

        Pre: the second is over. It is summed once: windows that overlap ask for it again.
        """
        known = self._ended.get(second)
        if known is not None:
            return known
        within, total = np.zeros(len(self.table.seconds)), 0.0
        for weight, load, wait in self._others[second]:
            total += weight
            within += weight * self._steps.within(load, wait)
        if len(self._ended) == KEPT_SECONDS:
            del self._ended[next(iter(self._ended))]
        self._ended[second] = within, total
        return within, total

    def outcome(self, name: str, ups: int, downs: int, most: int) -> Outcome:
        """What became of all."""
        span = slice(self._origin, None)
        rate = self._rate[span]
        late = self._late[span] + self._lost[span]
        return Outcome(
            policy=name,
            pod_seconds=self._pod_seconds,
            requests=float(rate.sum()),
            late=float(late.sum()),
            lost=float(self._lost[span].sum()),
            carried_in=float(self._in_flight[self._origin - 1]),
            scale_ups=ups,
            scale_downs=downs,
            max_replicas=most,
            wanted=self._wanted[span],
            ready=self._ready[span],
            requests_by_second=rate,
            late_by_second=late,
            answered_by_second=self._answered[span],
            in_flight_by_second=self._in_flight[span],
        )


def _placed(loads: Floats, rows: Floats) -> tuple[npt.NDArray[np.int64], Floats]:
    """For each load the row below, and how far it is to the next."""
    below = np.minimum(np.searchsorted(rows, loads, side="right") - 1, len(rows) - 2)
    return below, (loads - rows[below]) / (rows[below + 1] - rows[below])


def _at(cumulative: Sequence[float], second: float) -> float:
    """A running total at a moment between two seconds."""
    whole = int(second)
    if whole >= len(cumulative) - 1:
        return cumulative[-1]
    low, high = cumulative[whole], cumulative[whole + 1]
    return low + (second - whole) * (high - low)
