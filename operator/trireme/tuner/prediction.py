"""What a configuration that was not tried will sustain, by those that were.

Pure. Batches' times (`batch_times`), several instances' (`contention`) and the queue (`queueing`)
make a rate; what was measured of that rate where it was tried corrects the rest.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from statistics import median

from trireme.autoscaler.queueing import (
    LEAST_LOAD,
    MOST_LOAD,
    PRECISION,
    PodShape,
    Sustained,
    mixture,
    sustained_rate,
)
from trireme.autoscaler.service_curve import BatchTotals, ServiceCurve
from trireme.tuner.batch_times import BatchTimes, Totals, merged
from trireme.tuner.contention import Contention, learnt
from trireme.tuner.types import Configuration, Measured, Objective, View

ALLOWANCE = {View.MOST: 1.03, View.EXPECTED: 1.0, View.LEAST: 0.97}  # the chain's own error
LEAST_EXECUTIONS = 5  # of a batch size, which fewer say little of
DELAY_STEP_SECONDS = 0.0001  # queue delays are proposed in steps of
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


@lru_cache(maxsize=1 << 12)
def _spaced_rate(pod: PodShape, objective: Objective) -> float:
    """What a pod would sustain whose instances start evenly spaced, so that a request waits for
    one of k for a k-th of a batch.
    """
    low, high = LEAST_LOAD, MOST_LOAD
    while high - low > PRECISION * high:
        load = (low + high) / 2
        found = mixture(pod, load * pod.capacity_per_second, 1 / pod.instances)
        late = found.late_share(objective.limit_seconds)
        low, high = (load, high) if late <= objective.late_share else (low, load)
    return 0.0 if low == LEAST_LOAD else low * pod.capacity_per_second


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

    def per_second(self, configuration: Configuration, view: View) -> float:
        """The rate that is sustained; 0 if none is. A search: up to seconds of a processor.

        What a queue delay gains is hoped, and not expected.
        """
        if configuration.queue_delay_seconds and view is View.MOST:
            return self.spaced.of(view) * self._spaced(configuration)
        return self.corrections.of(view) * self._uncorrected(configuration, view)

    def batches_within_limit(self, configuration: Configuration) -> float:
        """How many full batches one after the other the objective has room for."""
        curve = self.curve(configuration, View.EXPECTED)
        return self.objective.limit_seconds / curve.full_batch_seconds

    def delayed(self, configuration: Configuration) -> Configuration:
        """With the queue delay in which evenly spaced instances start one after the other."""
        seconds = self.curve(configuration, View.EXPECTED).full_batch_seconds
        delay = math.ceil(seconds / configuration.instances / DELAY_STEP_SECONDS)
        return replace(configuration, queue_delay_seconds=delay * DELAY_STEP_SECONDS)

    def bound(self, configuration: Configuration) -> float:
        """A rate that `per_second` does not exceed in any view, at no cost.

        The capacity, and what a fluid would be served at: batches grow until a request's own and
        nearly one before it take as long as the objective allows.
        """
        curve, count = self.curve(configuration, View.MOST), configuration.instances
        waits = 1 + self.objective.percentile / 100 / count
        seconds = self.objective.limit_seconds / waits
        highest = curve.capacity_per_second(count)
        if configuration.queue_delay_seconds:
            return self.spaced.of(View.MOST) * highest
        if curve.full_batch_seconds > seconds and curve.per_request_seconds > 0:
            batch = max(1.0, (seconds - curve.fixed_seconds) / curve.per_request_seconds)
            highest = min(highest, FLUID * count * batch / curve.seconds(batch))
        return self.corrections.of(View.MOST) * highest

    def curve(self, configuration: Configuration, view: View) -> ServiceCurve:
        """What a batch takes in a pod that is so configured."""
        times = self.contention.times(configuration.instances, view)
        return self.times.curve(configuration.max_batch, view, times)

    def corrected(self, measured: Sequence[Measured]) -> "Model":
        """With what was measured held against what is predicted of the same."""
        greedy, delayed = list[float](), list[float]()
        for one in measured:
            is_delayed = one.configuration.queue_delay_seconds > 0
            predicted = (
                self._spaced(one.configuration)
                if is_delayed
                else self._uncorrected(one.configuration, View.EXPECTED)
            )
            if predicted and (one.per_second or is_delayed):
                (delayed if is_delayed else greedy).append(one.per_second / predicted)
        return replace(
            self, corrections=Corrections(tuple(greedy)), spaced=Corrections(tuple(delayed))
        )

    def _spaced(self, configuration: Configuration) -> float:
        pod = PodShape(self.curve(configuration, View.MOST), configuration.instances, self.noise)
        room = self.objective.limit_seconds - configuration.queue_delay_seconds
        return _spaced_rate(pod, self.objective) if pod.curve.seconds(1) <= room else 0.0

    def _uncorrected(self, configuration: Configuration, view: View) -> float:
        pod = PodShape(self.curve(configuration, view), configuration.instances, self.noise)
        rate = sustained_rate(pod, self.objective.percentile, self.objective.limit_seconds)
        return rate.per_second if isinstance(rate, Sustained) else 0.0


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
    return Model(objective, times, contention).corrected(measured)


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
