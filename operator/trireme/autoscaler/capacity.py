"""What one pod sustains within an objective, by what was learnt of it while it serves.

Pure. Triton's statistics are looked at now and then; what was executed in between, over a few
recent intervals, is fitted by a line (`service_curve`), and the chain of the queue behind it
(`queueing`) says at which rate a pod still keeps the objective.

A curve is learnt once 100 executions were seen, of batch sizes that are apart by a factor of 2, and
a line passes within a tenth of them. It is a line's word beyond the batches that were seen, so that
a pod counts as one that makes batches of up to twice the largest. Until a new one differs by more
than its own error, or what is seen contradicts it, the one before stands.

Where a server does not tell batch sizes apart, its sums say as much at loads that differ, if less
surely: the line may miss them by a fifth, and another curve is news only if it is off by more.

When a model's files or configuration change, its curve is used for a while, of which only a part is
counted on (`EARLIER_SHARE`), and no more instances than it was learnt of; what is learnt takes its
place. Where only the instances changed, and it is known what these cost each other (`contention`),
it is one of as many as there are.

A pipeline executes nothing itself: what it sustains follows from the curves of its steps' models
and from how often each is called for one of its requests (`pipeline`).

What a pod sustains is that of a pod alone, also where a gateway chooses between several
(`choice`). With the choice it is more, by a twelfth or so of two pods. But near the capacity, where
an objective ends and latencies rise steeply, the choice is computed up to 15 % too quick, and it is
not sure: pods that start or drain are none to choose, and clients may come past the gateway. Which
latency is due, by which pods are found quicker than was learnt of them, is of the fleet: else its
choice would pass for their speed.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from trireme.api.scaling_status import CurveSource
from trireme.autoscaler import pipeline as pipelines
from trireme.autoscaler.batch_events import PodModel
from trireme.autoscaler.choice import Fleet
from trireme.autoscaler.contention import LearntContention
from trireme.autoscaler.factor import EASE
from trireme.autoscaler.queueing import (
    PodShape,
    Sustained,
    Unattainable,
    percentile_seconds,
    sustained_rate,
)
from trireme.autoscaler.service_curve import (
    DISTINCT,
    BatchTotals,
    CounterWindow,
    Fitted,
    ServiceCurve,
    difference,
    fit,
    fit_from_counters,
)
from trireme.autoscaler.types.capacity import (
    BusiestStep,
    Capacity,
    EarlierCurve,
    Learnt,
    OutOfReach,
)
from trireme.autoscaler.types.policy import ObjectivePolicy
from trireme.autoscaler.types.serving import ServedPipeline, Serving

LEAST_EXECUTIONS = 100  # their mean strays by a tenth of what one does
APART = 2.0  # the largest batch seen over the smallest: of 7 and 8 no line follows
BEYOND = 2  # times the largest batch seen, as far as the line is believed
MOST_MISFIT = 0.1
COUNTERS_MISFIT = 0.2  # what E[b^2] is taken to be is off by as much (`fit_from_counters`)
COUNTERS_NEWS = 0.1  # other loads alone move the curve so far
EARLIER_SHARE = 0.8  # of what a pod sustains by it: a step of the factor, until something is learnt
COUNTERS_APART = 1.5  # the largest mean batch of a window over the smallest
SINGLE = 0.05  # of the requests, that may be more or fewer than what was executed
NEWS = 0.03  # of a batch's time: a curve that differs by less is the same, and need not be searched
NOISE_STEP = 0.05  # it moves p95 by 2 % at most (variation 0.1: 5 %), and makes searches rare
MOST_CALLS = 10.0  # of a model for each request to a pipeline
LEAST_REQUESTS = 100  # to a pipeline, of which its steps' calls are counted
OTHERS = 0.1  # of the calls of a step: a number that differs by less is the same
FLEETS = (2, 4, 8, 16)  # the numbers of pods of which it is said which latency is due
MOST_NOISE = 0.3  # beyond it intervals differ by more than chance; the factor sees to that


@dataclass(frozen=True, slots=True)
class ModelStatistics:
    """What a server counts of one model: requests answered, and executions by batch size; of a
    server that does not tell those apart, the sums. `elapsed_seconds` is how long an interval was.
    """

    requests: int
    batches: BatchTotals
    sums: CounterWindow | None = None
    elapsed_seconds: float | None = None

    def since(self, before: "ModelStatistics") -> "ModelStatistics | None":
        """What came after an earlier look; None where the counters began anew in between."""
        batches = difference(before.batches, self.batches)
        sums = self.sums and self.sums.since(before.sums or CounterWindow(0, 0, 0))
        if batches is None or self.requests < before.requests or (self.sums and not sums):
            return None
        return ModelStatistics(self.requests - before.requests, batches, sums)

    @property
    def executed(self) -> bool:
        """Whether anything was."""
        return bool(self.batches) or (self.sums is not None and self.sums.executions > 0)

    @property
    def inferences(self) -> int:
        """The rows that were executed."""
        if self.sums is not None:
            return self.sums.inferences
        return sum(batch * total.executions for batch, total in self.batches.items())

    @property
    def executing_seconds(self) -> float:
        """How long it executed, of all its instances together."""
        if self.sums is not None:
            return self.sums.compute_nanoseconds / 1e9
        return sum(total.nanoseconds for total in self.batches.values()) / 1e9

    def is_of_single_rows(self, max_batch: int) -> bool:
        """Whether each request is one inference; at both ends some are executed, not answered."""
        return _are_executed(self.requests, self.inferences, max_batch)


Statistics = Mapping[str, ModelStatistics]
"""By model, of one server."""


@dataclass(frozen=True, slots=True)
class _Limits:
    """When a curve may be used, and when another one is news."""

    misfit: float
    apart: float
    news: float


_LIMITS = {
    CurveSource.BATCHES: _Limits(MOST_MISFIT, APART, NEWS),
    CurveSource.COUNTERS: _Limits(COUNTERS_MISFIT, COUNTERS_APART, COUNTERS_NEWS),
    CurveSource.EARLIER: _Limits(COUNTERS_MISFIT, APART, NEWS),
}


@dataclass(frozen=True, slots=True)
class LearntCurve:
    """A curve that may be used, and how many executions it stands on.

    `noise` is the coefficient of variation of an execution's time, 0 where it is not known;
    `instances` is how many a pod had of them, None where that is not known, and `contention` what
    they are known to cost each other.
    """

    curve: ServiceCurve
    noise: float
    executions: int
    source: CurveSource = CurveSource.BATCHES
    instances: int | None = None
    contention: LearntContention | None = None

    @property
    def error(self) -> float:
        """How far its times may be off."""
        return _LIMITS[self.source].misfit

    @property
    def told(self) -> ServiceCurve | EarlierCurve:
        """What a capacity is told by."""
        return EarlierCurve(self.curve) if self.source is CurveSource.EARLIER else self.curve

    def of_instances(self, instances: int) -> "LearntCurve":
        """As it is expected of so many; itself where nothing tells of them."""
        known, before = self.contention, self.instances
        if known is None or before is None or not known.tells_of(max(before, instances)):
            return self
        # Of fewer instances batches are quicker only where all were busy, which a curve does not
        # tell: it may have been learnt where they hardly met.
        times = max(1.0, known.times(instances) / known.times(before))
        curve = self.curve.scaled(times)
        return replace(self, curve=curve, instances=instances)


def kept(
    intervals: Sequence[ModelStatistics], new: ModelStatistics, most: int
) -> tuple[ModelStatistics, ...]:
    """The intervals to learn from with a new one: the last ones; of sums the last of each load,
    since those of one load say nothing of the slope.
    """
    others = [each for each in intervals if not _are_of_one_load(each.sums, new.sums)]
    return (*others, new)[-most:]


def _are_of_one_load(one: CounterWindow | None, other: CounterWindow | None) -> bool:
    if one is None or other is None:
        return False
    low, high = sorted((one.mean_batch, other.mean_batch))
    return high < DISTINCT * low


def learn(
    intervals: Sequence[ModelStatistics],
    max_batch: int,
    before: LearntCurve | None,
    instances: int | None = None,
) -> LearntCurve | None:
    """The curve after the recent intervals, of so many instances; `before` was learnt earlier.

    None where nothing may be used: nothing is known yet, times are on no line, or requests are not
    what is executed (they hold several rows each, or are answered from a cache), so that a rate of
    requests is no rate of the curve's.
    """
    if not _requests_are_executed(intervals, max_batch):
        return None
    line = _line(intervals, max_batch)
    if line is None:
        return before
    found, source = line
    limits = _LIMITS[source]
    if found.misfit > limits.misfit:
        return None
    is_of_these = before is not None and before.source is not CurveSource.EARLIER
    curve = replace(
        found.curve,
        max_batch=min(max_batch, BEYOND * math.ceil(found.largest)),
        gap_seconds=before.curve.gap_seconds if before is not None and is_of_these else 0.0,
    )
    noise = min(found.noise or 0.0, MOST_NOISE)
    learnt = LearntCurve(curve, noise, found.executions, source, instances)
    if before is not None and _is_the_same(before, learnt, limits.news):
        return replace(before, executions=found.executions, instances=instances)
    return learnt


def is_bent(intervals: Sequence[ModelStatistics], max_batch: int, executions: int) -> bool:
    """Whether it is sure that the times of batches are on no line. So many `executions` show it of
    a misfit at the limit, and a quarter of them of twice that: means stray by the root of their
    number.
    """
    if not _requests_are_executed(intervals, max_batch):
        return False
    line = _line(intervals, max_batch)
    if line is None:
        return False
    found, source = line
    misses = found.misfit / _LIMITS[source].misfit
    return misses > 1 and found.executions * misses**2 >= executions


def _line(
    intervals: Sequence[ModelStatistics], max_batch: int
) -> tuple[Fitted, CurveSource] | None:
    """The line through what was executed, by what the server counts of it; None where that is too
    little, or of batches that are too near to each other.
    """
    windows = [interval.sums for interval in intervals if interval.sums is not None]
    source = CurveSource.COUNTERS if windows else CurveSource.BATCHES
    if windows:
        found = fit_from_counters(windows, max_batch)
    else:
        found = fit([interval.batches for interval in intervals], max_batch)
    if not isinstance(found, Fitted) or found.executions < LEAST_EXECUTIONS:
        return None
    if max_batch > 1 and found.largest < _LIMITS[source].apart * found.smallest:
        return None
    return found, source


def capacity(
    learnt: LearntCurve, serving: Serving, objective: ObjectivePolicy
) -> Capacity | OutOfReach | None:
    """What one pod sustains within an objective. A search: seconds of a processor.

    None where the objective is so near to an idle pod's latency that the curve, which may be off by
    as much, does not tell whether it can be kept.
    """
    if not serving.is_in_order:
        steps = (_step_shape(learnt, serving),)
        rate = _walked(steps, objective)
        walked = partial(pipelines.percentile_seconds, steps, percentile=objective.percentile)
        return _judged(rate, objective, learnt.told, (learnt,), walked)
    pod = pod_shape(learnt, serving)
    rate = sustained_rate(pod, objective.percentile, objective.latency_target_seconds)
    eased = partial(percentile_seconds, pod, percentile=objective.percentile)
    found = _judged(rate, objective, learnt.told, (learnt,), eased)
    if not isinstance(found, Capacity) or not objective.gateways:
        return found
    fleets = (Fleet(pods, objective.gateways) for pods in FLEETS)
    of_fleets = tuple((fleet.pods, eased(EASE * found.per_second, fleet=fleet)) for fleet in fleets)
    return replace(found, eased_of=of_fleets)


def pod_shape(learnt: LearntCurve, serving: Serving) -> PodShape:
    """What a pod's latencies follow from, by what was learnt."""
    return PodShape(_fitted(learnt, serving), _counted(learnt, serving), _stepped(learnt.noise))


def due_seconds(
    learnt: LearntCurve, objective: ObjectivePolicy, pods: int, per_second: float
) -> float | None:
    """The latency that is due at the objective's percentile where so many pods get so many requests
    a second together; None of what the queueing model alone does not tell.
    """
    serving = objective.serving
    if not isinstance(serving, Serving) or not serving.is_in_order or not pods or per_second <= 0:
        return None
    pod, fleet = pod_shape(learnt, serving), Fleet(pods, objective.gateways)
    return percentile_seconds(pod, per_second / pods, objective.percentile, fleet)


Calls = Mapping[str, float]
"""How often a model is called, by anybody, for each request to a pipeline; by model."""


def calls_per_request(
    intervals: Sequence[Mapping[str, int]], name: str, steps: ServedPipeline, before: Calls | None
) -> Calls:
    """The calls after the recent intervals, each the requests to the models and the pipeline.

    Each step calls its model once. What is seen beyond that, where the pipeline has requests, is
    others' and is taken to be in proportion. Fewer calls, where steps before failed or a cache
    answered for the whole, are no relief to count on.
    """
    own = Counter(step.model for step in steps.steps)
    seen = [interval for interval in intervals if interval.get(name)]
    requests = sum(interval[name] for interval in seen)
    found = {}
    for model, calls in own.items():
        known = before.get(model, calls) if before else calls
        if requests < LEAST_REQUESTS:
            found[model] = float(known)
            continue
        count = sum(interval.get(model, 0) for interval in seen) / requests
        count = calls if count <= (1 + SINGLE) * calls else count
        found[model] = float(known if abs(count - known) <= OTHERS * known else count)
    return found


def pipeline_capacity(
    curves: Mapping[str, LearntCurve],
    calls: Calls,
    served: ServedPipeline,
    objective: ObjectivePolicy,
) -> Capacity | OutOfReach | None:
    """What one pod sustains of a pipeline within an objective; None as for a model.

    None too where others call a model more than ten times as often: what a pod does then follows
    from them. Pre: there is a curve of each step's model.
    """
    if max(calls.values()) > MOST_CALLS:
        return None
    shapes = step_shapes(curves, calls, served)
    rate = _walked(shapes, objective)
    model = served.steps[pipelines.busiest(shapes)].model
    used = [curves[step.model] for step in served.steps]
    eased = partial(pipelines.percentile_seconds, shapes, percentile=objective.percentile)
    return _judged(rate, objective, BusiestStep(model, curves[model].told), used, eased)


def step_shapes(
    curves: Mapping[str, LearntCurve], calls: Calls, served: ServedPipeline
) -> list[pipelines.StepShape]:
    """What a pipeline's latencies follow from, by what was learnt. Pre: as `pipeline_capacity`."""
    return [
        _step_shape(curves[step.model], step.serving, calls[step.model], step.after)
        for step in served.steps
    ]


def _step_shape(
    learnt: LearntCurve, serving: Serving, calls: float = 1.0, after: tuple[int, ...] = ()
) -> pipelines.StepShape:
    noise = _stepped(learnt.noise)
    pod = PodModel(_fitted(learnt, serving), _counted(learnt, serving), noise=noise)
    return pipelines.StepShape(pod, calls, after, serving.timeout_seconds, serving.has_priorities)


def _walked(
    steps: Sequence[pipelines.StepShape], objective: ObjectivePolicy
) -> Sustained | Unattainable:
    return pipelines.sustained_rate(
        steps,
        objective.percentile,
        objective.latency_target_seconds,
        objective.max_failure_ratio,
    )


def _fitted(learnt: LearntCurve, serving: Serving) -> ServiceCurve:
    """The curve for the batches that are made: an earlier one may be of larger ones."""
    return replace(learnt.curve, max_batch=min(learnt.curve.max_batch, serving.max_batch))


def _counted(learnt: LearntCurve, serving: Serving) -> int:
    """The instances that are counted on. What more of them cost each other, an earlier curve of
    fewer does not tell.
    """
    known = learnt.instances if learnt.source is CurveSource.EARLIER else None
    return min(serving.instances, known or serving.instances)


def _stepped(noise: float) -> float:
    return round(noise / NOISE_STEP) * NOISE_STEP


def _judged(
    rate: Sustained | Unattainable,
    objective: ObjectivePolicy,
    learnt: Learnt,
    curves: Sequence[LearntCurve],
    eased_seconds: Callable[[float], float],
) -> Capacity | OutOfReach | None:
    is_earlier = any(curve.source is CurveSource.EARLIER for curve in curves)
    if isinstance(rate, Sustained):
        share = EARLIER_SHARE if is_earlier else 1.0
        per_second = share * rate.per_second
        return Capacity(per_second, learnt, eased_seconds(EASE * per_second))
    error = max(curve.error for curve in curves)
    if is_earlier or rate.least_seconds <= (1 + error) * objective.latency_target_seconds:
        return None
    return OutOfReach(rate.least_seconds, learnt)


def of_pod(pod: PodShape, per_second: float, percentile: float) -> Capacity:
    """The capacity of a pod that sustains so much, with the latency that is due at less."""
    eased = percentile_seconds(pod, EASE * per_second, percentile)
    return Capacity(per_second, pod.curve, eased)


def of_steps(
    steps: Sequence[pipelines.StepShape], busiest: str, per_second: float, percentile: float
) -> Capacity:
    """The same of a pod that serves a pipeline, whose busiest step is of that model."""
    learnt = BusiestStep(busiest, steps[pipelines.busiest(steps)].pod.curve)
    eased = pipelines.percentile_seconds(steps, EASE * per_second, percentile)
    return Capacity(per_second, learnt, eased)


def _requests_are_executed(intervals: Sequence[ModelStatistics], max_batch: int) -> bool:
    requests = sum(interval.requests for interval in intervals)
    inferences = sum(interval.inferences for interval in intervals)
    return _are_executed(requests, inferences, max_batch)


def _are_executed(requests: int, inferences: int, max_batch: int) -> bool:
    """Whether each request is one inference; at both ends some are executed and not answered."""
    return abs(requests - inferences) <= SINGLE * requests + max_batch


def _is_the_same(before: LearntCurve, after: LearntCurve, news: float) -> bool:
    one, other = before.curve, after.curve
    return (
        before.source is after.source
        and one.max_batch == other.max_batch
        and abs(before.noise - after.noise) <= NOISE_STEP
        and all(
            abs(other.seconds(batch) / one.seconds(batch) - 1) <= news
            for batch in (1, one.max_batch)
        )
    )
