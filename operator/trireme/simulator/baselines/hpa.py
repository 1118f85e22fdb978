"""Kubernetes' HorizontalPodAutoscaler v2.

Pure. Sources: Kubernetes, pkg/controller/podautoscaler/replica_calculator.go (proposals) and
horizontal.go (what becomes of them), autoscaling/v2. Metric values are whole milli-units there, so
they are here: 1.5 requests is 1500, and 0.0004 seconds is 0.

Without `behavior` the controller goes its old path (the largest recommendation of 300 s, and growth
to at most twice the size or 4), with it the path of windows and rate policies, which is
`autoscaler.stabiliser`: Trireme has the same rules.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from trireme.api.scaling import Behavior
from trireme.autoscaler import stabiliser
from trireme.autoscaler.proposals import desired_replicas
from trireme.autoscaler.types.memory import Recommendation, ScaleChange
from trireme.simulator.policy import Bounds, Observed, Reading, moment

SYNC_SECONDS = 15  # --horizontal-pod-autoscaler-sync-period
TOLERANCE = 0.1  # --horizontal-pod-autoscaler-tolerance
DOWNSCALE_STABILISATION = timedelta(seconds=300)  # ...-downscale-stabilization
GROWTH_FACTOR, GROWTH_LEAST = 2, 4  # scaleUpLimitFactor and scaleUpLimitMinimum, per sync

# ------------------------------------------------------------------------------------- proposals


def within(ratio: float, tolerance: float) -> bool:
    """Whether a usage ratio is too near 1 to act; 1.1 is within 0.1, though 1.1 - 1 is not."""
    return 1 - tolerance <= ratio <= 1 + tolerance


def by_pods(
    samples: Sequence[int],
    target: int,
    *,
    replicas: int,
    missing: int = 0,
    unready: int = 0,
    tolerance: float = TOLERANCE,
) -> int | None:
    """A Pods metric of type AverageValue; None where no pod has a sample.

    `missing` pods run and have no sample, `unready` ones are Pending. Both are counted against the
    change that the samples ask for. The mean is cut to whole milli-units.
    """
    if not samples:
        return None
    ratio = _mean(samples) / target
    unready = unready if ratio > 1 else 0
    if not unready and not missing:
        return replicas if within(ratio, tolerance) else math.ceil(ratio * len(samples))
    filled = [*samples, *[target if ratio < 1 else 0] * missing, *[0] * unready]
    corrected = _mean(filled) / target
    if within(corrected, tolerance) or (ratio < 1 < corrected) or (corrected < 1 < ratio):
        return replicas
    proposal = math.ceil(corrected * len(filled))
    if (corrected < 1 and proposal > replicas) or (corrected > 1 and proposal < replicas):
        return replicas
    return proposal


def by_value(
    value: int, target: int, *, replicas: int, ready: int, tolerance: float = TOLERANCE
) -> int:
    """An External or Object metric of type Value.

    The ratio multiplies the ready pods, so while pods start it may propose fewer than there are.
    """
    ratio = value / target
    if replicas == 0:
        return math.ceil(ratio)
    return replicas if within(ratio, tolerance) else math.ceil(ratio * ready)


def largest(proposals: Sequence[int | None], replicas: int) -> int | None:
    """Of several metrics the largest proposal; None for no scaling.

    A metric that failed blocks shrinking, never growing.
    """
    known = [proposal for proposal in proposals if proposal is not None]
    if not known or (len(known) < len(proposals) and max(known) < replicas):
        return None
    return max(known)


def _mean(samples: Sequence[int]) -> int:
    return sum(samples) // len(samples)


# ---------------------------------------------------------------------------------------- metrics


class TargetType(StrEnum):
    """What the target of a metric is compared with."""

    VALUE = "Value"  # the metric itself
    AVERAGE_VALUE = "AverageValue"  # the metric per pod


@dataclass(frozen=True, slots=True)
class PodsMetric:
    """A metric of each pod, in the target's unit, whose mean is to be `target`."""

    reading: Reading
    target: float

    def propose(self, value: int | None, observed: Observed, tolerance: float) -> int | None:
        """The proposal where each ready pod reports `value` and no other pod does."""
        if value is None:
            return None
        return by_pods(
            [value] * observed.ready,
            round(self.target * 1000),
            replicas=observed.replicas,
            missing=observed.starting - observed.pending,
            unready=observed.pending,
            tolerance=tolerance,
        )


@dataclass(frozen=True, slots=True)
class ExternalMetric:
    """One figure of the whole fleet."""

    reading: Reading
    target: float
    type: TargetType = TargetType.AVERAGE_VALUE

    def propose(self, value: int | None, observed: Observed, tolerance: float) -> int | None:
        """The proposal for a figure in milli-units."""
        if value is None:
            return None
        target = round(self.target * 1000)
        if self.type is TargetType.AVERAGE_VALUE:
            # Of status.replicas, which counts the pods there are; within the tolerance, they stay.
            pods = observed.ready + observed.starting
            return desired_replicas(value, target, pods, tolerance)
        return by_value(
            value,
            target,
            replicas=observed.replicas,
            ready=observed.ready,
            tolerance=tolerance,
        )


def adapted(value: float | None) -> int | None:
    """What prometheus-adapter makes of an answer: cut to milli-units, and 0 for NaN.

    Source: prometheus-adapter, pkg/custom-provider/provider.go, metricFor.
    """
    if value is None:
        return None
    return 0 if math.isnan(value) else int(value * 1000)


# -------------------------------------------------------------------------------------- reconcile


@dataclass(frozen=True, slots=True)
class Memory:
    """What the controller keeps of one autoscaler."""

    recommendations: tuple[Recommendation, ...]
    changes: tuple[ScaleChange, ...] = ()


@dataclass(frozen=True, slots=True)
class HorizontalPodAutoscaler:
    """One HorizontalPodAutoscaler; `behavior` None is one whose spec has none."""

    name: str
    metrics: tuple[PodsMetric | ExternalMetric, ...]
    bounds: Bounds
    behavior: Behavior | None = None
    tolerance: float = TOLERANCE
    interval_seconds: float = SYNC_SECONDS

    @property
    def readings(self) -> tuple[Reading, ...]:
        """One for each metric."""
        return tuple(metric.reading for metric in self.metrics)

    def begin(self, now_seconds: float, replicas: int) -> Memory:
        """The size there is counts as a recommendation, so a new one does not shrink for 300 s."""
        return Memory((Recommendation(moment(now_seconds), replicas),))

    def decide(self, observed: Observed, memory: Memory) -> tuple[int, Memory]:
        """One sync, with the metrics as prometheus-adapter serves them."""
        return self.reconcile(observed, [adapted(value) for value in observed.values], memory)

    def reconcile(
        self, observed: Observed, values: Sequence[int | None], memory: Memory
    ) -> tuple[int, Memory]:
        """One sync, with a value in milli-units for each metric; None for one that failed."""
        current, bounds = observed.replicas, self.bounds
        if current == 0 and bounds.least > 0:
            return 0, memory  # somebody scaled it to zero: autoscaling is off
        if bounds.clamp(current) != current:
            return self._written(bounds.clamp(current), observed, memory)
        proposal = largest(
            [
                metric.propose(value, observed, self.tolerance)
                for metric, value in zip(self.metrics, values, strict=True)
            ],
            current,
        )
        if proposal is None:
            return current, memory
        if self.behavior is None:
            return self._by_the_old_path(proposal, observed, memory)
        return self._by_the_rules(proposal, self.behavior, observed, memory)

    def _by_the_old_path(
        self, proposal: int, observed: Observed, memory: Memory
    ) -> tuple[int, Memory]:
        now = moment(observed.now_seconds)
        # Here a recommendation of exactly 300 s ago still counts; by the rules it does not. What is
        # not above the present one is forgotten: it will never be the largest again.
        cutoff = now - DOWNSCALE_STABILISATION
        above = [r for r in memory.recommendations if r.replicas > proposal and r.at >= cutoff]
        recommendations = (*above, Recommendation(now, proposal))
        wanted = max(r.replicas for r in recommendations)
        limit = max(GROWTH_FACTOR * observed.replicas, GROWTH_LEAST)
        replicas = self.bounds.clamp(min(wanted, limit))
        return replicas, Memory(recommendations)

    def _by_the_rules(
        self, proposal: int, behavior: Behavior, observed: Observed, memory: Memory
    ) -> tuple[int, Memory]:
        now, current = moment(observed.now_seconds), observed.replicas
        windows = stabiliser.windows(behavior)
        recommendations = stabiliser.remember(memory.recommendations, proposal, windows, now)
        changes = stabiliser.recent_changes(memory.changes, behavior, now)
        wanted = stabiliser.stabilise(current, recommendations, windows, now)
        if wanted > current:
            limit = stabiliser.up_limit(current, changes, behavior.up, now)
            wanted = min(wanted, limit.replicas)
        elif wanted < current:
            limit = stabiliser.down_limit(current, changes, behavior.down, now)
            wanted = max(wanted, limit.replicas)
        return self._written(self.bounds.clamp(wanted), observed, Memory(recommendations, changes))

    def _written(self, replicas: int, observed: Observed, memory: Memory) -> tuple[int, Memory]:
        """The size, with its change remembered for the rate policies."""
        change = replicas - observed.replicas
        if change == 0 or self.behavior is None:
            return replicas, memory
        written = ScaleChange(moment(observed.now_seconds), change)
        return replicas, Memory(memory.recommendations, (*memory.changes, written))
