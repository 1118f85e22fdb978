"""The in-flight target per pod: where it starts, and how it is corrected by what is seen.

Pure. A target starts at what the spec says of a pod and is multiplied by 0.8 after each full window
that breaks the objective with every pod ready, by 1.05 after ten minutes within it, and stays from
1 to twice its start. A target the user set is taken as it is.
"""

from datetime import datetime, timedelta

from trireme.autoscaler.types.memory import Memory, TargetMemory
from trireme.autoscaler.types.policy import ObjectivePolicy
from trireme.autoscaler.types.signals import ModelSignals
from trireme.autoscaler.values import frozen

AFTER_BREAK = 0.8
AFTER_CALM = 1.05
CALM = timedelta(minutes=10)
LOWEST = 1.0  # one request in flight per pod: nothing waits, so more pods cannot help
HIGHEST = 2.0  # times the start
PROOF = 0.5  # of the target: a fleet with less in flight keeps any objective and proves nothing


@frozen
class Breach:
    """Which parts of an objective the signals break."""

    latency: bool
    failures: bool

    def __bool__(self) -> bool:
        return self.latency or self.failures


def breach(objective: ObjectivePolicy, seen: ModelSignals) -> Breach:
    """What of the objective is broken; an unknown latency breaks nothing."""
    latency = seen.latency
    return Breach(
        latency is not None and latency.seconds > objective.latency_target_seconds,
        seen.failure_ratio > objective.max_failure_ratio,
    )


def initial(objective: ObjectivePolicy, memory: Memory) -> TargetMemory:
    """What is remembered of the objective, or its start, within the bounds of today's spec."""
    if not objective.fixed_target:
        for learnt in memory.targets:
            if learnt.model == objective.model:
                per_pod = _clamped(learnt.in_flight_per_pod, objective)
                return TargetMemory(learnt.model, per_pod, learnt.window_since, learnt.within_since)
    return TargetMemory(objective.model, objective.start_in_flight_per_pod, None, None)


@frozen
class Correction:
    """A target after one round, and whether a full broken window ended in it."""

    target: TargetMemory
    is_window_broken: bool = False


def correct(
    target: TargetMemory,
    objective: ObjectivePolicy,
    seen: ModelSignals,
    *,
    pods: int,
    settled: bool,
    learns: bool,
    window: timedelta,
    now: datetime,
) -> Correction:
    """Correct a target by one round's signals.

    `settled` says that all `pods` wanted are ready, and no others answer. Else no window may count:
    the signals would speak of another fleet than the one decided on. `learns` says that what is
    seen is of these pods alone; else windows count, and the target stays as it is.
    """
    model, per_pod = target.model, target.in_flight_per_pod
    if not settled or objective.fixed_target:
        return Correction(TargetMemory(model, per_pod, None, None))
    window_since = target.window_since or now
    if breach(objective, seen):
        if now - window_since < window:
            return Correction(TargetMemory(model, per_pod, window_since, None))
        lower = _clamped(per_pod * AFTER_BREAK, objective) if learns else per_pod
        return Correction(TargetMemory(model, lower, now, None), is_window_broken=True)
    if not learns or seen.latency is None or seen.in_flight < PROOF * per_pod * pods:
        return Correction(TargetMemory(model, per_pod, window_since, None))
    within_since = target.within_since or now
    if now - within_since >= CALM:
        within_since, per_pod = now, _clamped(per_pod * AFTER_CALM, objective)
    return Correction(TargetMemory(model, per_pod, window_since, within_since))


def _clamped(in_flight_per_pod: float, objective: ObjectivePolicy) -> float:
    highest = HIGHEST * objective.start_in_flight_per_pod
    return min(max(in_flight_per_pod, LOWEST), highest)
