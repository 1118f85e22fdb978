"""The pods of several node classes as one fleet: what they sustain and are asked for. Pure."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from trireme.autoscaler.class_plan import Carrier
from trireme.autoscaler.stabiliser import SHRINKING, Windows
from trireme.autoscaler.types.capacity import Capacity, ClassCapacity, MeanOfClasses, OutOfReach
from trireme.autoscaler.types.decision import ClassSize
from trireme.autoscaler.types.memory import Needed, Shortage
from trireme.autoscaler.types.observation import ClassPods, Observation
from trireme.autoscaler.types.policy import NodeClass, Policy
from trireme.autoscaler.values import frozen


@dataclass(frozen=True, slots=True)
class Asked:
    """What one objective asks of the pods: requests a second, or pods where what one sustains is
    not known. `beyond_seen` is what a broken objective, or the tolerance, asks for beyond the
    demand that is seen.
    """

    model: str
    amount: float
    in_pods: bool
    beyond_seen: float = 0.0

    @property
    def seen(self) -> float:
        """What the demand that is seen asks for."""
        return self.amount - self.beyond_seen


def mean_capacities(classes: Sequence[ClassPods]) -> dict[str, Capacity | OutOfReach]:
    """What a pod is known to sustain in the mean, by an objective's model; where no pod runs, what
    the least of the classes does.
    """
    models = {model for each in classes for model in each.capacities}
    found = {model: _mean(classes, model) for model in sorted(models)}
    return {model: capacity for model, capacity in found.items() if capacity is not None}


def _mean(classes: Sequence[ClassPods], model: str) -> Capacity | OutOfReach | None:
    known = [each.capacities[model] for each in classes if model in each.capacities]
    capacities = [each for each in known if isinstance(each, Capacity)]
    if not capacities:
        return known[0] if known else None
    least = min(each.per_second for each in capacities)
    running = [each for each in classes if each.replicas]
    rates = [sustained(each, model, least) for each in running]
    pods = sum(each.replicas for each in running)
    total = sum(each.replicas * rate for each, rate in zip(running, rates, strict=True))
    told = MeanOfClasses(
        tuple(
            ClassCapacity(
                each.name,
                each.replicas,
                None if model not in each.capacities else sustained(each, model, least),
            )
            for each in running or classes
        )
    )
    eased = [each.eased_seconds for each in capacities if each.eased_seconds is not None]
    slowest = max(eased) if len(eased) == len(capacities) else None
    return Capacity(total / pods if total else least, told, slowest)


def sustained(pods: ClassPods, model: str, unknown: float) -> float:
    """What a pod of a class sustains: nothing where no rate is low enough."""
    match pods.capacities.get(model):
        case Capacity(per_second):
            return per_second
        case OutOfReach():
            return 0.0
        case None:
            return unknown


@frozen
class Counted:
    """A fleet as forecasts of its demand are judged on it: what a pod is known to sustain, how many
    are ready, and the policy with the most that there may be.
    """

    capacity: Capacity | OutOfReach | None
    ready: int
    policy: Policy


def counted(observation: Observation, policy: Policy, model: str) -> Counted:
    """A fleet in pods of the class that sustains the least. The mean of all changes with the mix,
    and with it what was asked before would be worth another number of pods.
    """
    found = (each.capacities.get(model) for each in observation.classes)
    capacities = [each for each in found if isinstance(each, Capacity)]
    if not capacities:
        return Counted(observation.capacities.get(model), observation.ready, policy)
    least = min(capacities, key=lambda each: each.per_second)
    largest = max(each.per_second for each in capacities)
    unit = least.per_second
    ready = sum(each.ready * sustained(each, model, unit) for each in observation.classes) / unit
    most = math.ceil(policy.max_replicas * largest / unit)
    return Counted(least, round(ready), replace(policy, max_replicas=most))


def carriers(
    classes: Iterable[ClassPods],
    rules: Sequence[NodeClass],
    asked: Sequence[Asked],
    factor: Callable[[str], float],
) -> list[Carrier]:
    """The classes, each with how much of what is asked a pod of it carries."""
    by_name = {rule.name: rule for rule in rules}
    of_all = tuple(classes)
    least: dict[str, float] = {}
    for each in of_all:
        for model, capacity in each.capacities.items():
            if isinstance(capacity, Capacity):
                least[model] = min(capacity.per_second, least.get(model, capacity.per_second))
    found = []
    for each in of_all:
        carries = tuple(
            1.0
            if one.in_pods
            else factor(one.model) * sustained(each, one.model, least.get(one.model, 0.0))
            for one in asked
        )
        known = all(one.in_pods or one.model in each.capacities for one in asked)
        found.append(Carrier(each, by_name.get(each.name), carries, known))
    return found


def required(
    asked: Sequence[Asked],
    carriers: Sequence[Carrier],
    past: Sequence[Needed],
    windows: Windows,
    now: datetime,
) -> tuple[tuple[Needed, ...], tuple[float, ...]]:
    """What is to be carried, by the most cautious of what was asked in the windows: growing takes
    the least of the one, shrinking the most of the other. And what to remember.

    Of an objective that nothing is remembered of, what the pods carry now counts as the first.
    """
    remembered: list[Needed] = []
    amounts = []
    for j, one in enumerate(asked):
        present = sum(c.pods.replicas * c.carries[j] for c in carriers)
        mine = [n for n in past if (n.model, n.in_pods) == (one.model, one.in_pods)]
        mine = mine or [Needed(now, one.model, present, one.in_pods)]
        mine = _still_counting(
            [*mine, Needed(now, one.model, one.amount, one.in_pods)], windows, now
        )
        remembered += mine
        *before, last = mine
        upper = min([n.amount for n in before if n.at > now - windows.up] + [last.amount])
        lower = max([n.amount for n in before if n.at > now - windows.down] + [last.amount])
        amounts.append(upper if present < upper else min(present, lower))
    return tuple(remembered), tuple(amounts)


def _still_counting(all_of: list[Needed], windows: Windows, now: datetime) -> list[Needed]:
    """Without what is out of every window, and what a later one stands for: it is neither the most
    nor the least since.
    """
    oldest = now - max(windows.up, windows.down, SHRINKING)
    kept: list[Needed] = []
    least = most = all_of[-1].amount
    for each in reversed(all_of[:-1]):
        if each.at > oldest and not least <= each.amount <= most:
            kept.append(each)
            least, most = min(least, each.amount), max(most, each.amount)
    return [*reversed(kept), all_of[-1]]


def sizes(classes: Sequence[ClassPods], pods: Sequence[int]) -> tuple[ClassSize, ...]:
    """The sizes by class."""
    if not classes:
        return ()
    return tuple(
        ClassSize(each.name, each.replicas, n) for each, n in zip(classes, pods, strict=True)
    )


def clipped(
    current: Sequence[int], pods: Sequence[int], total: int, prices: Sequence[float]
) -> tuple[int, ...]:
    """As near to a mix as a bound on all pods together lets it be: of one that grows the cheapest
    classes go first, of one that shrinks the dearest.
    """
    found = list(current)
    left = total - sum(current)
    for k in sorted(range(len(found)), key=lambda k: prices[k] if left > 0 else -prices[k]):
        change = pods[k] - current[k]
        step = min(max(change, 0), left) if left > 0 else max(min(change, 0), left)
        found[k] += step
        left -= step
    return tuple(found)


def by_name(pods: Mapping[str, int]) -> str:
    """`2 a100 and 3 l4`."""
    told = [f"{n} {name or 'without a class'}" for name, n in pods.items() if n]
    return " and ".join(told) or "none"


def shortage_words(shortages: Iterable[Shortage]) -> str:
    """`no node takes more than 2 a100, so others take their place until 12:35 UTC`."""
    return "; ".join(
        f"{each.name} did not get its pods: no more than {each.most} of it are counted on until "
        f"{each.until:%H:%M} UTC"
        for each in shortages
        if each.until is not None
    )


def unchanged(sizes: Iterable[ClassSize]) -> tuple[ClassSize, ...]:
    """The sizes as they are."""
    return tuple(replace(size, replicas=size.current) for size in sizes)
