"""How far a pod is from what its curve says of it: the factor of what it sustains.

Pure. What a pod sustains is computed for requests that come at random to servers that do nothing
else; balancers, neighbours and networks make it more or less. So it is multiplied by a factor that
what is seen corrects, as a target in flight is (`targets`), with the same steps and calm.

An objective that breaks though the pods should sustain the load raises a doubt, with the rate that
was to be sustained. A load that was only just rising goes beyond that rate within the window that
follows, and the doubt is off; else the factor is lowered. A break that has another explanation, a
larger load or pods that were starting, says nothing until it has ended, since a backlog stays when
its cause is gone: nothing of the factor, while the size grows as ever.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from trireme.autoscaler.targets import AFTER_BREAK, AFTER_CALM, CALM
from trireme.autoscaler.types import Doubt, FactorMemory, Memory

LOWEST, HIGHEST = 0.25, 2.0
PROOF = 0.8  # of what the pods sustain: with less load, any pod keeps its objective
ROOM = 0.8  # of the latency's target: above it the pods sustain what is said of them, and no more


@dataclass(frozen=True, slots=True)
class Load:
    """What the pods had to sustain in one round, and how they did.

    What they sustain is that of all pods, with the factor. `late` is the latency over its target,
    None where no request ended.
    """

    rate_per_second: float
    sustained_per_second: float
    late: float | None
    broken: bool
    settled: bool


def initial(model: str, memory: Memory) -> FactorMemory:
    """What is remembered of the factor, or its start."""
    return next((f for f in memory.factors if f.model == model), FactorMemory(model))


def correct(before: FactorMemory, load: Load, window: timedelta, now: datetime) -> FactorMemory:
    """Correct a factor by one round."""
    doubt, explained = before.doubt, before.explained and load.broken
    if doubt is not None and load.rate_per_second > doubt.sustained_per_second:
        doubt, explained = None, load.broken
    if doubt is not None and now - doubt.since >= window:
        return FactorMemory(before.model, max(before.factor * AFTER_BREAK, LOWEST))
    if load.broken and doubt is None and not explained:
        explained = load.rate_per_second > load.sustained_per_second or not load.settled
        doubt = None if explained else Doubt(now, load.sustained_per_second)
    if load.broken or not load.settled or not _proves_more(load):
        return FactorMemory(before.model, before.factor, doubt, explained)
    calm_since, factor = before.calm_since or now, before.factor
    if now - calm_since >= CALM:
        calm_since, factor = now, min(factor * AFTER_CALM, HIGHEST)
    return FactorMemory(before.model, factor, doubt, calm_since=calm_since)


def _proves_more(load: Load) -> bool:
    busy = load.rate_per_second >= PROOF * load.sustained_per_second
    return busy and load.late is not None and load.late <= ROOM
