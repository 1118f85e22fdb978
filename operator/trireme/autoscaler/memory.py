"""What is kept between decisions, and its round trip through the status. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from trireme.api.types import ScalingStatus, TargetStatus
from trireme.autoscaler.types import Decision, Memory, Recommendation, ScaleChange, TargetMemory


def memory_from_status(status: ScalingStatus | None, started: datetime, current: int) -> Memory:
    """Begin again after a restart at `started` with `current` replicas.

    The present size counts as the first recommendation, so nothing shrinks before a full
    stabilisation window was seen. Learnt targets are restored; `targets.initial` fits them to the
    bounds of today's spec.
    """
    learnt = status.targets if status else []
    return Memory(
        started=started,
        recommendations=(Recommendation(started, current),),
        targets=tuple(TargetMemory(t.model, t.in_flight_per_pod, None, None) for t in learnt),
    )


def targets_status(memory: Memory) -> list[TargetStatus]:
    """The learnt targets as the status keeps them, to three decimals."""
    return [
        TargetStatus(model=t.model, in_flight_per_pod=round(t.in_flight_per_pod, 3))
        for t in memory.targets
    ]


def record(memory: Memory, decision: Decision, carried_out: bool) -> Memory:
    """Remember a change of size for the rate policies, if it was written."""
    change = decision.replicas - decision.current
    if not carried_out or change == 0:
        return memory
    return replace(memory, changes=(*memory.changes, ScaleChange(decision.at, change)))


def interrupted(memory: Memory, now: datetime) -> Memory:
    """After a round that could not be judged by its signals.

    The stabilisation windows stand still: recommendations age only while there are new ones, so
    that a fleet does not shrink on the first sight after an outage. As after a restart, a full
    window of signals must be seen again before anything shrinks, and no window of a target counts
    across the gap.
    """
    newest = max((r.at for r in memory.recommendations), default=now)
    kept = tuple(replace(r, at=r.at + (now - newest)) for r in memory.recommendations)
    return replace(memory, started=now, recommendations=kept, targets=unwatched(memory.targets))


def unwatched(targets: Sequence[TargetMemory]) -> tuple[TargetMemory, ...]:
    """The targets, with their observation windows to begin again."""
    return tuple(replace(t, window_since=None, within_since=None) for t in targets)
