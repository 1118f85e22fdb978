"""What a configuration that was not tried will sustain, by those that were.

Pure. Batches' times (`batch_times`), several instances' (`contention`) and the queue (`queueing`)
make a rate; what was measured of that rate where it was tried corrects the rest. Where less was
sustained than batches' times allow, a gap between batches may explain it (the hand-over from one to
the next, which is in no batch's time): larger ones then gain more than these times say.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median, pstdev

from trireme.autoscaler.queueing import PodShape, Sustained, sustained_rate
from trireme.autoscaler.service_curve import BatchTotals, ServiceCurve
from trireme.tuner.batch_times import BatchTimes, Totals, merged
from trireme.tuner.contention import Contention, learnt
from trireme.tuner.types import Configuration, Measured, Objective, View

ALLOWANCE = {View.MOST: 1.03, View.EXPECTED: 1.0, View.LEAST: 0.97}  # the chain's own error
LEAST_EXECUTIONS = 5  # of a batch size, which fewer say little of
DELAY_STEP_SECONDS = 0.0001  # queue delays are proposed in steps of
GAP_PRECISION = 0.02  # of a full batch, to which a gap is found
MOST_CORRECTION = 1.2  # upwards: a queue does no better than the chain by more
# The fluid's p95 of the 84 cases of tests/bench/chain.py is at most 8 % too high, and far too low
# in most: the rate by it is above the true one, where it is taken a quarter higher yet.
FLUID = 1.25


@dataclass(frozen=True, slots=True)
class Corrections:
    """What was measured over what was predicted, of the configurations that were tried."""

    ratios: tuple[float, ...] = ()

    def of(self, view: View) -> float:
        """What a prediction is multiplied by."""
        if not self.ratios:
            return ALLOWANCE[view]
        ratio = {
            View.MOST: max(self.ratios),
            View.EXPECTED: median(self.ratios),
            View.LEAST: min(self.ratios),
        }[view]
        return ALLOWANCE[view] * min(ratio, MOST_CORRECTION)

    @property
    def spread(self) -> float:
        """How much they differ: 0 where one factor explains all that was measured."""
        return pstdev(map(math.log, self.ratios))


@dataclass(frozen=True, slots=True)
class Model:
    """What is known of a model's batches in one pod; `noise` is the variation of their times, where
    it is known, and else a part of the corrections.
    """

    objective: Objective
    times: BatchTimes
    contention: Contention
    corrections: Corrections = Corrections()
    spaced: Corrections = Corrections()  # of configurations with a queue delay
    noise: float = 0.0
    gap_seconds: float = 0.0  # from the end of a batch to when an instance can begin the next
    without_gap: "Model | None" = None  # as it was before a gap was found, for the hopeful view

    def per_second(self, configuration: Configuration, view: View) -> float:
        """The rate that is sustained; 0 if none is. A search: up to seconds of a processor.

        What a queue delay gains is hoped, and not expected.
        """
        if configuration.queue_delay_seconds and view is View.MOST:
            return self.spaced.of(view) * self._spaced(configuration)
        found = self.corrections.of(view) * self._uncorrected(configuration, view)
        if view is View.MOST and self.without_gap is not None:
            return max(found, self.without_gap.per_second(configuration, view))
        return found

    def batches_within_limit(self, configuration: Configuration) -> float:
        """How many full batches one after the other the objective has room for."""
        curve = self.curve(configuration, View.EXPECTED)
        return self.objective.limit_seconds / curve.full_batch_seconds

    def delayed(self, configuration: Configuration) -> Configuration | None:
        """With the queue delay in which evenly spaced instances start one after the other: from the
        first request of a batch it is shorter than from one start to the next. None where there is
        no room for one that a lone request is in time with.
        """
        curve = self.curve(configuration, View.EXPECTED)
        batch = self._spaced_batch(curve, configuration.instances)
        between = curve.seconds(batch) / configuration.instances
        room = self.objective.limit_seconds - curve.seconds(1)
        steps = math.floor(min(between * (1 - 1 / batch), room) / DELAY_STEP_SECONDS)
        if steps < 1:
            return None
        return replace(configuration, queue_delay_seconds=steps * DELAY_STEP_SECONDS)

    def bound(self, configuration: Configuration) -> float:
        """A rate that `per_second` does not exceed in any view, at no cost.

        The capacity, and what a fluid would be served at: batches grow until a request's own and
        nearly one before it take as long as the objective allows.
        """
        if configuration.queue_delay_seconds:
            return self.per_second(configuration, View.MOST)
        curve, count = self.curve(configuration, View.MOST), configuration.instances
        seconds = self.objective.limit_seconds / self._waits(count)
        highest = curve.capacity_per_second(count)
        if curve.full_batch_seconds > seconds and curve.per_request_seconds > 0:
            batch = max(1.0, (seconds - curve.fixed_seconds) / curve.per_request_seconds)
            cycle = curve.seconds(batch) + curve.gap_seconds
            highest = min(highest, FLUID * count * batch / cycle)
        highest *= self.corrections.of(View.MOST)
        return max(highest, self.without_gap.bound(configuration) if self.without_gap else 0.0)

    def curve(self, configuration: Configuration, view: View) -> ServiceCurve:
        """What a batch takes in a pod that is so configured."""
        times = self.contention.times(configuration.instances, view)
        curve = self.times.curve(configuration.max_batch, view, times)
        return replace(curve, gap_seconds=self.gap_seconds)

    def corrected(self, measured: Sequence[Measured]) -> "Model":
        """With what was measured held against what is predicted of the same."""
        greedy = [self._ratio(one) for one in measured if _is_greedy(one)]
        delayed = [
            one.per_second / predicted
            for one in measured
            if one.configuration.queue_delay_seconds
            and (predicted := self._spaced(one.configuration))
        ]
        known = tuple(ratio for ratio in greedy if math.isfinite(ratio))
        return replace(self, corrections=Corrections(known), spaced=Corrections(tuple(delayed)))

    def with_gap(self, measured: Sequence[Measured]) -> "Model":
        """With the gap that explains the least that was measured of what is predicted, where it
        explains the rest as well. Pre: it is corrected.
        """
        if not self.corrections.ratios or min(self.corrections.ratios) >= ALLOWANCE[View.LEAST]:
            return self
        lowest = min(filter(_is_greedy, measured), key=self._ratio)
        gap = self._gap(lowest)
        found = replace(self, gap_seconds=gap, without_gap=self).corrected(measured)
        return found if found.corrections.spread <= self.corrections.spread else self

    def _ratio(self, one: Measured) -> float:
        """What was measured over what is predicted; infinite where nothing is."""
        predicted = self._uncorrected(one.configuration, View.EXPECTED)
        return one.per_second / predicted if predicted else math.inf

    def _gap(self, one: Measured) -> float:
        """The gap with which as much is predicted as was measured, which is less than without."""
        configuration = one.configuration
        full = self.curve(configuration, View.EXPECTED).full_batch_seconds
        low = 0.0
        high = configuration.instances * configuration.max_batch / one.per_second - full
        while high - low > GAP_PRECISION * full:
            gap = (low + high) / 2
            predicted = replace(self, gap_seconds=gap)._uncorrected(configuration, View.EXPECTED)
            low, high = (gap, high) if predicted > one.per_second else (low, gap)
        return low

    def _spaced(self, configuration: Configuration) -> float:
        """What instances would sustain that start evenly spaced, one batch right after another."""
        curve, count = self.curve(configuration, View.MOST), configuration.instances
        batch = self._spaced_batch(curve, count)
        return count * batch / curve.seconds(batch)

    def _spaced_batch(self, curve: ServiceCurve, count: int) -> float:
        """The largest batch that is in time if one starts as soon as another of so many instances
        did its part; 1 where none is.
        """
        seconds = self.objective.limit_seconds / self._waits(count)
        if curve.full_batch_seconds <= seconds:
            return curve.max_batch
        if not curve.per_request_seconds:
            return 1.0
        return max((seconds - curve.fixed_seconds) / curve.per_request_seconds, 1.0)

    def _waits(self, count: int) -> float:
        """How many batches' times a request takes of those that start evenly spaced, with its own:
        a request waits for up to a `count`-th of one.
        """
        return 1 + self.objective.percentile / 100 / count

    def _uncorrected(self, configuration: Configuration, view: View) -> float:
        pod = PodShape(self.curve(configuration, view), configuration.instances, self.noise)
        rate = sustained_rate(pod, self.objective.percentile, self.objective.limit_seconds)
        return rate.per_second if isinstance(rate, Sustained) else 0.0


def _is_greedy(one: Measured) -> bool:
    """Whether it kept the objective at some rate, without a queue delay."""
    return one.per_second > 0 and not one.configuration.queue_delay_seconds


def model_of(objective: Objective, measured: Sequence[Measured]) -> Model | None:
    """What follows from what was measured; None where nothing was executed yet."""
    by_instances: dict[int, Totals] = {}
    for one in measured:
        if totals := _totals(one.batches):
            count = one.configuration.instances
            by_instances[count] = merged(by_instances.get(count, {}), totals)
    if not by_instances:
        return None
    times, contention = learnt(by_instances)
    return Model(objective, times, contention).corrected(measured).with_gap(measured)


def _totals(batches: BatchTotals) -> dict[int, tuple[int, float]]:
    """The sizes that were executed often enough; of few executions, all of them."""
    executed = {size: total for size, total in batches.items() if total.executions > 0}
    often = {
        size: total for size, total in executed.items() if total.executions >= LEAST_EXECUTIONS
    }
    return {
        size: (total.executions, total.mean_seconds)
        for size, total in (often or executed).items()
        if total.nanoseconds > 0
    }
