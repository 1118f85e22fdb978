"""The time that an instance loses between two batches, learnt from how large batches come out.

Pure. Triton's statistics tell how long batches take, and nothing of the hand-over from one to the
next. But those who come in it join the next batch, so that batches are larger than the curve alone
makes them at that rate; the gap is the one by which the model's mean batch is what was counted.
For one instance the model is the chain (`batch_chain`). For several, of whose queue no exact
solution is known, a pod is simulated with the same arrivals for every gap (`batch_events`), and the
answer strays by that sample, too. Simulating costs some 40 ms a gap, so that it is of few loads,
and only where the chain's slope does not say already that they tell too little.

What an interval's batches took is scaled to what was counted, so that neither a curve that misses
its points nor a machine that was slower for a minute passes for a gap.

Arrivals in bursts make batches larger, too, and would pass for one. So a gap is at most what an
instance was not busy between its batches, in the interval that leaves least, and at most a tenth of
a full batch (MOST_SHARE), whereby a pod's capacity is never reckoned more than a tenth too low.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from trireme.api.scaling_status import CurveSource
from trireme.autoscaler.batch_chain import mean_batch, waiting_at_ends
from trireme.autoscaler.batch_events import PodModel, poisson_arrivals, serve
from trireme.autoscaler.capacity import LearntCurve, ModelStatistics, pod_shape
from trireme.autoscaler.queueing import MOST_COUNTED, MOST_LOAD, PodShape, service_factors
from trireme.autoscaler.service_curve import NANOSECOND, ServiceCurve
from trireme.autoscaler.types.serving import Serving
from trireme.autoscaler.wording import rounded

LEAST_BATCH = 1.2  # the mean: of single requests a gap changes next to nothing
MOST_FULL = 0.85  # of the largest batch, as the mean: beyond it queues may grow, and batches do not
MOST_SHARE = 0.1  # of a full batch. With a sleeping model on Triton 24.10 it is 0.01 to 0.02
ALIKE = 0.05  # rates that differ by less are one load: between them the mean batch is as a line
SURE = 0.015  # of a full batch: a standard error with which p95 at 80 % load strays by about 3 %
NEWS = 0.004  # of a full batch: moves p95 at 80 % load by less than 1 %, and is worth no search
PRECISION = 0.0005  # of a full batch, to which the gap is found
MOST_LOADS = 3  # that are looked at: the others add cost, and little to what most requests say
# The simulated mean batch rises with the gap at most 1.19 times as steeply as the chain's of one
# instance: so in 48 cases of 2, 4 and 8 instances at 20 to 75 % load, batches up to 4 and 16.
STEEPER = 1.2
REQUESTS, SEED = 40_000, 1  # of the simulated pod, whose mean batch strays by half a percent
SMOOTHING = 0.5  # of a difference from what is known is taken


@dataclass(frozen=True, slots=True)
class Estimate:
    """A gap, and its standard error."""

    seconds: float
    error_seconds: float


@dataclass(frozen=True, slots=True)
class _Load:
    """What one server executed at about one rate. `squares` are those of the batch sizes, summed
    over executions; `expected_seconds` are what the batches would take by the curve.
    """

    seconds: float
    inferences: int
    executions: int
    squares: int
    busy_seconds: float
    expected_seconds: float

    @property
    def rate(self) -> float:
        return self.inferences / self.seconds

    @property
    def batch(self) -> float:
        return self.inferences / self.executions

    @property
    def variance(self) -> float:
        return self.squares / self.executions - self.batch**2

    @property
    def slower(self) -> float:
        return self.busy_seconds / self.expected_seconds

    def with_(self, more: "_Load") -> "_Load":
        return _Load(
            self.seconds + more.seconds,
            self.inferences + more.inferences,
            self.executions + more.executions,
            self.squares + more.squares,
            self.busy_seconds + more.busy_seconds,
            self.expected_seconds + more.expected_seconds,
        )


def estimate(
    intervals: Sequence[ModelStatistics], learnt: LearntCurve, serving: Serving
) -> Estimate | None:
    """The gap by the recent intervals of one server.

    None where they do not tell it: batch sizes are not told apart or are not made by the load
    alone, batches are so large that a gap is little of them, too little was executed, or at loads
    where a gap makes no difference.
    """
    if learnt.source is not CurveSource.BATCHES or serving.is_delayed:
        return None
    if not 1 < serving.max_batch <= MOST_COUNTED:
        return None
    known = pod_shape(learnt, serving)
    pod = replace(known, curve=replace(known.curve, max_batch=serving.max_batch, gap_seconds=0.0))
    seen = [each for each in (_load(each, pod.curve) for each in intervals) if each]
    most = MOST_FULL * serving.max_batch
    loads = _of_one_rate(each for each in seen if LEAST_BATCH <= each.batch <= most)
    if not loads:
        return None
    loads = sorted(loads, key=lambda load: load.executions)[-MOST_LOADS:]
    bound = min(_bound(seen, pod), *(_sustained_gap(pod, each) for each in loads))
    if bound < NEWS * pod.curve.full_batch_seconds or not _may_tell(pod, loads, bound):
        return None
    return _solved(pod, loads, bound)


def taken(learnt: LearntCurve, found: Estimate) -> LearntCurve:
    """The curve with its gap moved towards a new estimate, where that says anything new."""
    known, full = learnt.curve.gap_seconds, learnt.curve.full_batch_seconds
    off = found.seconds - known
    if abs(off) <= max(NEWS * full, found.error_seconds):
        return learnt
    gap = known + SMOOTHING * off if known else found.seconds
    return replace(learnt, curve=replace(learnt.curve, gap_seconds=rounded(gap)))


def _load(interval: ModelStatistics, curve: ServiceCurve) -> _Load | None:
    """What an interval says; None where requests hold several rows or are answered from a cache."""
    if (
        interval.elapsed_seconds is None
        or not interval.batches
        or not interval.is_of_single_rows(curve.max_batch)
    ):
        return None
    totals = interval.batches.items()
    return _Load(
        seconds=interval.elapsed_seconds,
        inferences=interval.inferences,
        executions=sum(total.executions for _, total in totals),
        squares=sum(batch**2 * total.executions for batch, total in totals),
        busy_seconds=sum(total.nanoseconds for _, total in totals) * NANOSECOND,
        expected_seconds=sum(total.executions * curve.seconds(batch) for batch, total in totals),
    )


def _of_one_rate(loads: Iterable[_Load]) -> list[_Load]:
    """Loads of about one rate together."""
    found: list[_Load] = []
    for each in sorted(loads, key=lambda load: load.rate):
        if found and each.rate <= (1 + ALIKE) * found[-1].rate:
            found[-1] = found[-1].with_(each)
        else:
            found.append(each)
    return found


def _bound(seen: Sequence[_Load], pod: PodShape) -> float:
    """The longest gap that leaves the batches time; one may reach over either end."""
    full = pod.curve.full_batch_seconds
    between = (
        (pod.instances * (each.seconds + full) - each.busy_seconds) / each.executions
        for each in seen
    )
    return min(MOST_SHARE * full, *between)


def _sustained_gap(pod: PodShape, load: _Load) -> float:
    """The longest gap with which the pod sustains a load without end."""
    full = pod.curve.full_batch_seconds * load.slower
    return MOST_LOAD * pod.instances * pod.curve.max_batch / load.rate - full


def _may_tell(pod: PodShape, loads: Sequence[_Load], bound: float) -> bool:
    """Whether a gap may be sure, by the chain of one instance with its part of each load."""
    count = pod.instances
    rises = (
        load.executions
        * (
            _chain_batch(pod, load, load.rate / count, bound)
            - _chain_batch(pod, load, load.rate / count, 0.0)
        )
        for load in loads
    )
    slope = STEEPER * sum(rises) / bound
    return slope > 0 and _error(pod, loads) / slope <= SURE * pod.curve.full_batch_seconds


def _solved(pod: PodShape, loads: Sequence[_Load], bound: float) -> Estimate | None:
    """The gap with which the mean batches are in all what was counted; they rise with it."""

    def excess(gap: float) -> float:
        return sum(load.executions * (_mean_batch(pod, load, gap) - load.batch) for load in loads)

    at_none, at_bound = excess(0.0), excess(bound)
    slope = (at_bound - at_none) / bound
    if slope <= 0:
        return None
    error = _error(pod, loads) / slope
    full = pod.curve.full_batch_seconds
    if error > SURE * full:
        return None
    if at_none >= 0:
        return Estimate(0.0, error)
    if at_bound <= 0:
        return Estimate(bound, error)
    return Estimate(_root(excess, (0.0, at_none), (bound, at_bound), PRECISION * full), error)


def _root(
    excess: Callable[[float], float],
    low: tuple[float, float],
    high: tuple[float, float],
    precision: float,
) -> float:
    """Where a rising, nearly straight function is 0, between two points of it, by secants."""
    gap = before = math.inf
    while True:
        gap = low[0] - low[1] * (high[0] - low[0]) / (high[1] - low[1])
        if abs(gap - before) <= precision:
            return gap
        before, value = gap, excess(gap)
        low, high = ((gap, value), high) if value < 0 else (low, (gap, value))


def _error(pod: PodShape, loads: Sequence[_Load]) -> float:
    """The standard error of the requests that all executions hold."""
    return math.sqrt(sum(_square_error(pod, load) for load in loads))


def _square_error(pod: PodShape, load: _Load) -> float:
    """The variance of the requests that so many executions hold, by chance.

    A batch is the larger, the longer the one before it took. How alike they are is at most the load
    (what a request adds to a batch's time brings as many more), so that they say as much as
    (1 - load) / (1 + load) of them would if each were drawn by itself.
    """
    alike = min(load.rate / pod.capacity_per_second, MOST_LOAD)
    return load.executions * load.variance * (1 + alike) / (1 - alike)


def _mean_batch(pod: PodShape, load: _Load, gap: float) -> float:
    """What the model makes of a load with a gap."""
    curve, slower = pod.curve, load.slower
    if pod.instances == 1:
        return _chain_batch(pod, load, load.rate, gap)
    scaled = ServiceCurve(
        slower * curve.fixed_seconds, slower * curve.per_request_seconds, curve.max_batch, gap
    )
    generator = np.random.default_rng(SEED)
    arrivals = poisson_arrivals(load.rate, REQUESTS, generator)
    arrivals *= REQUESTS / load.rate / arrivals[-1]  # the mean rate exactly
    served = serve(arrivals, PodModel(scaled, pod.instances, noise=pod.noise), generator)
    return float(served.batches.mean())


def _chain_batch(pod: PodShape, load: _Load, rate: float, gap: float) -> float:
    """What the chain makes of one instance that is asked at a rate."""
    curve = pod.curve
    sizes = np.arange(1, curve.max_batch + 1, dtype=np.float64)
    seconds = load.slower * (curve.fixed_seconds + curve.per_request_seconds * sizes)
    factors = service_factors(pod.noise)
    return mean_batch(waiting_at_ends(rate, seconds, factors, gap), curve.max_batch)
