"""The figures of a round, from what was read from the pods themselves instead of from Prometheus.

Pure. Each pod's samples of the last window are kept as short series, and the very expressions that
PromQL is written from are evaluated over them, with the arithmetic of `points`. What comes out is
what a round's index holds of an agent, so that `signals` judges both alike: coverage, age, what is
missing.

While less than a window has been read, figures are of that time: a rate needs two samples, and
nothing is told of the time before the first.
"""

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise

from trireme.autoscaler import points
from trireme.autoscaler.expressions import (
    Both,
    Each,
    Expression,
    Function,
    Largest,
    PodKind,
    Quantiles,
    ShareOver,
    Total,
    Where,
)
from trireme.autoscaler.points import Point
from trireme.autoscaler.queries import FIGURES, PRESENCE, Labels, Query
from trireme.autoscaler.samples import AgentSamples, Vector, read_labels
from trireme.autoscaler.types.policy import ObjectivePolicy
from trireme.autoscaler.types.signals import Source

MOST_SERIES = 20_000
"""Of one pod: 500 models with histograms have fewer, by some 35 of each that are read."""

LabelSet = tuple[tuple[str, str], ...]
"""The labels of a series, sorted."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One line of a pod's metrics."""

    metric: str
    labels: LabelSet
    value: float


@dataclass(slots=True)
class PodHistory:
    """What one pod told of itself: when, and its series by metric and labels.

    Of a pod that tells more than MOST_SERIES nothing is kept: `excess` is how many they were, and
    `exceeded` when that was.
    """

    kind: PodKind
    times: list[float] = field(default_factory=list)
    series: dict[str, dict[LabelSet, list[Point]]] = field(default_factory=dict)
    excess: int = 0
    exceeded: float = -math.inf

    def add(self, at: datetime, samples: Iterable[Sample]) -> None:
        """Take what was read at `at`: of a series that is told several times the first one, as
        Prometheus does. A clock that was set back makes what is older meaningless.
        """
        time = at.timestamp()
        if self.times and time <= self.times[-1]:
            self.times.clear()
            self.series.clear()
        self.times.append(time)
        for sample in samples:
            of_metric = self.series.setdefault(sample.metric, {})
            told = of_metric.setdefault(sample.labels, [])
            if not told or told[-1][0] < time:
                told.append((time, sample.value))
        count = sum(map(len, self.series.values()))
        if count > MOST_SERIES:
            self.times, self.excess, self.exceeded = [time], count, time
            self.series.clear()

    def forget(self, before: datetime) -> None:
        """Drop what is older than a time, but for the newest of it: a window begins between two."""
        limit = before.timestamp()
        kept = [time for time in self.times if time >= limit]
        older = len(self.times) - len(kept)
        if older > 1:
            limit = self.times[older - 1]
            self.times = self.times[older - 1 :]
        for metric, of_metric in [*self.series.items()]:
            for labels, told in [*of_metric.items()]:
                if told[-1][0] < limit:
                    del of_metric[labels]
                elif told[0][0] < limit:
                    of_metric[labels] = [point for point in told if point[0] >= limit]
            if not of_metric:
                del self.series[metric]

    @property
    def interval(self) -> float | None:
        """The usual time between readings, in seconds; one that is missed changes nothing."""
        if len(self.times) < 2:
            return None
        return statistics.median(after - before for before, after in pairwise(self.times))


def metrics_of(kind: PodKind) -> frozenset[str]:
    """Every metric that some figure needs of one kind of pods."""
    needed = [PRESENCE[kind], *(each for figure in FIGURES.values() for each in parts(figure))]
    return frozenset(each.metric for each in needed if each.kind is kind)


def forget(pods: dict[str, PodHistory], before: datetime) -> None:
    """Drop what is older than a time, and pods that told nothing since."""
    for name, pod in [*pods.items()]:
        if pod.times[-1] < before.timestamp():
            del pods[name]
        else:
            pod.forget(before)


def agent_samples(
    pods: Mapping[str, PodHistory],
    labels: Labels,
    *,
    now: datetime,
    window: timedelta,
    objectives: Iterable[ObjectivePolicy],
) -> AgentSamples:
    """What a round holds of one agent, by what its pods told in the `window` that ends at `now`.

    Pods that are gone count until they have left the window: their requests were demand.
    """
    end = now.timestamp()
    first = min((pod.times[0] for pod in pods.values() if pod.times), default=end)
    start = max(end - window.total_seconds(), min(first, end))
    asked = {(objective.percentile, objective.latency_target_seconds) for objective in objectives}
    percentiles = tuple(sorted({percentile for percentile, _ in asked}))
    edges = tuple(sorted({seconds * 1e3 for _, seconds in asked}))
    reader = _Reader(pods, labels, start, end, percentiles, edges)
    answers = {
        Query.SAMPLE_TIME: reader.presence(lambda told: told[-1][0]),
        Query.SAMPLE_COUNT: reader.presence(lambda told: float(len(told))),
        Query.SCRAPE_INTERVAL: reader.intervals(),
        **{query: reader.answer(figure) for query, figure in FIGURES.items()},
    }
    return AgentSamples(
        labels,
        {
            query: Vector.of((read_labels(dict(t), labels), value) for t, value in told.items())
            for query, told in answers.items()
        },
        "",
        Source.PODS,
        {
            name: f"tells {pod.excess} series of the metrics that scaling needs, and at most "
            f"{MOST_SERIES} are read"
            for name, pod in pods.items()
            if pod.exceeded >= end - window.total_seconds()
        },
    )


Values = Mapping[LabelSet, float]


@dataclass(frozen=True, slots=True)
class _Reader:
    """Evaluates expressions over the samples from `start` to `end`; `edges` are milliseconds."""

    pods: Mapping[str, PodHistory]
    labels: Labels
    start: float
    end: float
    percentiles: tuple[int, ...]
    edges: tuple[float, ...]

    def answer(self, expression: Expression) -> Values:
        match expression:
            case Total(of, by, per):
                return {named: value / per for named, value in self._sum(of, *by).items()}
            case Both(one, other):
                of_one, of_other = self.answer(one), self.answer(other)
                return {n: value + of_other[n] for n, value in of_one.items() if n in of_other}
            case Largest(of, by, per):
                largest: dict[LabelSet, float] = {}
                for named, value in self._each(of, *by):
                    key = _only(named, (self.labels.pod, *by))
                    largest[key] = _larger(largest.get(key), value / per)
                return largest
            case Quantiles(buckets, by, per):
                return self._quantiles(buckets, by, per)
            case ShareOver(buckets, by):
                return self._share_over(buckets, by)

    def presence(self, of: Callable[[Sequence[Point]], float]) -> Values:
        """Of each pod, by the series that it always has."""
        values: dict[LabelSet, float] = {}
        for each in PRESENCE.values():
            for pod, _, told in self._series(each):
                key = ((self.labels.pod, pod),)
                values[key] = max(values.get(key, -math.inf), of(told))
        return values

    def intervals(self) -> Values:
        """Of each kind, that of its best read pod."""
        known: dict[LabelSet, float] = {}
        for pod in self.pods.values():
            if (interval := pod.interval) is not None:
                key = (("kind", pod.kind.name),)
                known[key] = min(known.get(key, math.inf), interval)
        return known

    def _series(self, each: Each) -> Iterator[tuple[str, LabelSet, Sequence[Point]]]:
        """The pods' own series that an expression is about, with their samples in the window."""
        for name, pod in self.pods.items():
            if pod.kind is not each.kind:
                continue
            for labels, told in pod.series.get(each.metric, {}).items():
                if all(fits(labels, where) for where in each.where):
                    within = [point for point in told if self.start <= point[0] <= self.end]
                    if within:
                        yield name, labels, within

    def _each(self, each: Each, *also: str) -> Iterator[tuple[LabelSet, float]]:
        """The function of each pod's own series, once; `also` are labels beyond its own."""
        once: dict[LabelSet, float] = {}
        for pod, labels, told in self._series(each):
            value = self._apply(each.function, told)
            if value is None:
                continue
            own = _only(labels, (*each.kind.own, *also))
            key = (*own, (self.labels.pod, pod), *((("part", each.part),) if each.part else ()))
            once[key] = _larger(once.get(key), value)
        yield from once.items()

    def _apply(self, function: Function, told: Sequence[Point]) -> float | None:
        match function:
            case Function.RATE:
                return points.rate(told, self.start, self.end)
            case Function.GROWTH:
                return points.delta(told, self.start, self.end)
            case Function.MEAN:
                return points.mean(told)
            case Function.LAST:
                return told[-1][1]

    def _sum(self, of: Sequence[Each], *by: str) -> dict[LabelSet, float]:
        sums: dict[LabelSet, float] = defaultdict(float)
        for each in of:
            for named, value in self._each(each, *by):
                sums[_only(named, by)] += value
        return sums

    def _quantiles(self, buckets: Each, by: tuple[str, ...], per: float) -> Values:
        histograms: dict[LabelSet, list[tuple[float, float]]] = defaultdict(list)
        for named, value in self._sum((buckets,), *by, "le").items():
            if (edge := upper_edge(named)) is not None:
                histograms[_only(named, by)].append((edge, value))
        return {
            (*named, ("quantile", f"{percentile / 100:g}")): points.quantile(percentile / 100, told)
            / per
            for named, told in histograms.items()
            for percentile in self.percentiles
        }

    def _share_over(self, buckets: Each, by: tuple[str, ...]) -> Values:
        own = (self.labels.pod, *buckets.kind.own)
        within: dict[LabelSet, dict[float, float]] = defaultdict(dict)
        for named, value in self._each(buckets, "le"):
            if (edge := upper_edge(named)) is not None:
                within[_only(named, own)][edge] = value
        shares: dict[LabelSet, float] = {}
        for edge in self.edges:
            sums: dict[LabelSet, list[float]] = defaultdict(lambda: [0.0, 0.0])
            for named, told in within.items():
                at_edge = next((e for e in told if math.isclose(e, edge)), None)
                if at_edge is not None and math.inf in told:
                    both = sums[_only(named, by)]
                    both[0] += told[at_edge]
                    both[1] += told[math.inf]
            for key, (good, every) in sums.items():
                shares[*key, ("le", f"{edge:.15g}")] = 1 - good / every if every else math.nan
        return shares


def parts(expression: Expression) -> tuple[Each, ...]:
    """The series that a figure is made of."""
    match expression:
        case Total(of):
            return of
        case Both(one, other):
            return one.of + other.of
        case Largest(of):
            return (of,)
        case Quantiles(buckets) | ShareOver(buckets):
            return (buckets,)


def _only(labels: LabelSet, names: Collection[str]) -> LabelSet:
    return tuple(pair for pair in labels if pair[0] in names)


def fits(labels: LabelSet, where: Where) -> bool:
    """Whether a series is one that an expression is about."""
    value = next((value for name, value in labels if name == where.label), "")
    return (value in where.values) is not where.other


def upper_edge(labels: LabelSet) -> float | None:
    """The upper edge of a bucket; None of what is none, which PromQL passes over, too."""
    try:
        return float(next(value for name, value in labels if name == "le"))
    except (StopIteration, ValueError):
        return None


def _larger(before: float | None, value: float) -> float:
    """The larger of two values; what is not a number gives way, as in PromQL's max."""
    if before is None or math.isnan(before):
        return value
    return before if math.isnan(value) else max(before, value)
