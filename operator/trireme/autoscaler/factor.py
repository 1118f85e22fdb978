"""How far a pod is from what its curve says of it: the factor of what it sustains.

Pure. What a pod sustains is computed for requests that come at random to servers that do nothing
else; balancers, neighbours and networks make it more or less. So it is multiplied by a factor that
what is seen corrects, as a target in flight is (`targets`), with the same steps and calm.

An objective that breaks though the pods should sustain the load with ease raises a doubt; near what
they sustain chance breaks it, too, since there the percentile is at its target. If the break lasts,
the factor is lowered. If the load goes beyond what raised the doubt, it was only just rising, and
the doubt is off. A break that has another explanation, a larger load or pods that were starting,
says nothing of the factor until it has ended, since a backlog stays when its cause is gone. The
factor is raised after ten minutes without a round in which busy pods were not quick.

While a canary answers a part of the requests nothing is learnt: the pods have less to do than is
asked, and what is late or fails may be the canary's.
"""

from datetime import datetime, timedelta

from trireme.autoscaler.targets import AFTER_BREAK, AFTER_CALM, CALM
from trireme.autoscaler.types.memory import Doubt, FactorMemory, Memory
from trireme.autoscaler.values import frozen

LOWEST, HIGHEST = 0.25, 2.0
EASE = 0.9  # of what the pods sustain: a break with less load is theirs, and more load proves them
LASTING = timedelta(seconds=90)  # a window, in which what broke is still seen, and a minute
ROOM = 0.8  # of the latency that is due with that load: pods that are so quick sustain more


@frozen
class Load:
    """What the pods had to sustain in one round, and how they did.

    What they sustain is that of all pods, with the factor. `slow` is the latency over the one that
    is due at nine tenths of it, None where no request ended or that is not known.
    """

    rate_per_second: float
    sustained_per_second: float
    slow: float | None
    broken: bool
    settled: bool


def initial(model: str, memory: Memory) -> FactorMemory:
    """What is remembered of the factor, or its start."""
    for known in memory.factors:  # a generator takes as long as all the rest
        if known.model == model:
            return known
    return FactorMemory(model)


def correct(before: FactorMemory, load: Load, now: datetime) -> FactorMemory:
    """Correct a factor by one round."""
    with_ease = EASE * load.sustained_per_second
    if load.broken:
        return _doubted(before, load, with_ease, now)
    if not load.settled or load.rate_per_second < with_ease:
        return FactorMemory(before.model, before.factor, calm_since=before.calm_since)
    if load.slow is None or load.slow > ROOM:
        return FactorMemory(before.model, before.factor)
    calm_since, factor = before.calm_since or now, before.factor
    if now - calm_since >= CALM:
        calm_since, factor = now, min(factor * AFTER_CALM, HIGHEST)
    return FactorMemory(before.model, factor, calm_since=calm_since)


def beside_canary(before: FactorMemory) -> FactorMemory:
    """After a round in which a canary answered some of the requests."""
    return FactorMemory(before.model, before.factor, explained=True)


def _doubted(before: FactorMemory, load: Load, with_ease: float, now: datetime) -> FactorMemory:
    """A round in which the objective is broken."""
    doubt = before.doubt
    if doubt is None:
        is_explained = before.explained or load.rate_per_second > with_ease or not load.settled
        doubt = None if is_explained else Doubt(now, with_ease)
        return FactorMemory(before.model, before.factor, doubt, is_explained)
    if load.rate_per_second > doubt.sustained_per_second:
        return FactorMemory(before.model, before.factor, explained=True)
    if now - doubt.since < LASTING:
        return FactorMemory(before.model, before.factor, doubt)
    return FactorMemory(before.model, max(before.factor * AFTER_BREAK, LOWEST))
