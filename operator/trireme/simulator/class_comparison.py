"""The cheapest mix of several node classes beside fleets of one class each, in price units.

Pure. The mix is Trireme's; on each class alone every policy is run. `least_cost` pays, minute by
minute, for the cheapest mix that is found for what the objective needs on average, and for no
start. It is no bound: of many classes the search may end before the best (`autoscaler.mix`).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from trireme.autoscaler.capacity import of_pod
from trireme.autoscaler.mix import Limits, Offer, nearest
from trireme.autoscaler.types import NodeClass
from trireme.simulator.clairvoyant import MEAN_SECONDS
from trireme.simulator.class_fleet import ClassFleet, ClassOutcome, PodClass
from trireme.simulator.class_policy import ClassesPolicy, ClassesSeen, Learnt
from trireme.simulator.comparison import HOUR, Progress
from trireme.simulator.contenders import CONTENDERS, measured, trireme_rules
from trireme.simulator.fluid import Outcome
from trireme.simulator.policy import Bounds
from trireme.simulator.scenario import Objective, Rules, Scenario, sustained
from trireme.simulator.simulation import WARM_UP_SECONDS, simulate
from trireme.simulator.traces import Traffic

_RATES = 200  # that the cheapest mix is sought for: each is taken for up to half a percent less


@dataclass(frozen=True, slots=True, eq=False)
class ClassScenario:
    """One comparison. `bounds` hold for all classes together; the pods of each class sustain
    `sustained_per_second` in the objective.
    """

    traffic: Traffic
    classes: tuple[PodClass, ...]
    objective: Objective
    bounds: Bounds
    seed: int
    rules: Rules = field(default_factory=Rules)
    sustained_per_second: tuple[float, ...] = field(init=False)

    def __post_init__(self) -> None:
        rates = tuple(sustained(each.pod, self.objective) for each in self.classes)
        object.__setattr__(self, "sustained_per_second", rates)

    def alone(self, of: PodClass) -> Scenario:
        """The same on one class of nodes."""
        return Scenario(
            self.traffic,
            of.pod,
            self.objective,
            of.lead_time,
            self.bounds,
            self.seed,
            rules=self.rules,
        )

    def most(self, of: PodClass) -> int:
        """How many pods of one class there may be in a mix."""
        return self.bounds.most if of.most is None else min(of.most, self.bounds.most)

    def cheapest(self, rate_per_second: float) -> tuple[int, ...]:
        """The pods of each class that sustain a rate at the lowest price that is found."""
        offers = [
            Offer(each.price, (rate,), current=0, least=each.least, most=self.most(each))
            for each, rate in zip(self.classes, self.sustained_per_second, strict=True)
        ]
        limits = Limits(self.bounds.least, self.bounds.most)
        return nearest(offers, (rate_per_second,), limits).pods


@dataclass(frozen=True, slots=True, eq=False)
class ClassScore:
    """One fleet: its policy, its classes, and what became of the requests. `least_cost` is that of
    the scenario.
    """

    policy: str
    classes: tuple[PodClass, ...]
    outcome: ClassOutcome
    least_cost: float

    @property
    def cost(self) -> float:
        """In the unit of the prices."""
        spent = zip(self.classes, self.outcome.pod_seconds, strict=True)
        return sum(each.price * seconds / HOUR for each, seconds in spent)

    @property
    def ratio(self) -> float:
        """The cost over the least."""
        return self.cost / self.least_cost


def least_cost(on: ClassScenario) -> float:
    """What the cheapest mix that is found costs at each moment, without any start."""
    rate = on.traffic.rate_per_second
    step = float(rate.max()) / _RATES or 1.0  # without any request whatever
    prices: dict[int, float] = {}
    total = 0.0
    for minute in np.array_split(rate, max(len(rate) // MEAN_SECONDS, 1)):
        at = math.floor(float(minute.mean()) / step)
        if at not in prices:
            mix = zip(on.classes, on.cheapest(at * step), strict=True)
            prices[at] = sum(each.price * pods for each, pods in mix)
        total += prices[at] * len(minute) / HOUR
    return total


def compare(on: ClassScenario, policies: Sequence[str], progress: Progress) -> Iterator[ClassScore]:
    """Trireme's mix of all classes, then each policy on each class alone."""
    least, seconds = least_cost(on), len(on.traffic.rate_per_second)

    def telling(what: str) -> Callable[[int], None]:
        return lambda second: progress(what, max(second, 0) / seconds)

    yield ClassScore("trireme", on.classes, of_mix(on, telling("mix")), least)
    for each in on.classes:
        alone = on.alone(each)
        first = float(on.traffic.rate_per_second[0]) / alone.sustained_per_second
        for policy in policies:
            found = simulate(
                CONTENDERS[policy](alone, 1.0),
                alone.fleet(on.bounds.clamp(math.ceil(first)), WARM_UP_SECONDS),
                progress=telling(f"{policy} {each.name}"),
            )
            yield ClassScore(policy, (each,), _of_one_class(found), least)


def _of_one_class(found: Outcome) -> ClassOutcome:
    return ClassOutcome(
        pod_seconds=(found.pod_seconds,),
        requests=found.requests,
        late=found.late,
        scale_ups=found.scale_ups,
        scale_downs=found.scale_downs,
        max_replicas=found.max_replicas,
        ready=found.ready[np.newaxis],
        requests_by_second=found.requests_by_second,
        late_by_second=found.late_by_second,
    )


def of_mix(on: ClassScenario, progress: Callable[[int], None]) -> ClassOutcome:
    """Trireme's mix, from the cheapest for the first second's rate on, as `simulation.simulate`
    has it of one class.
    """
    policy = _trireme(on)
    first = on.cheapest(float(on.traffic.rate_per_second[0]))
    fleet = ClassFleet(
        on.traffic,
        on.classes,
        on.sustained_per_second,
        on.objective.limit_seconds,
        first,
        on.seed,
        WARM_UP_SECONDS,
    )
    round_number = -int(WARM_UP_SECONDS // policy.interval_seconds)
    memory = policy.begin(round_number * policy.interval_seconds, sum(first))
    ups = downs = most = 0
    while (now := round_number * policy.interval_seconds) < fleet.seconds:
        second = int(now)
        if round_number == 0:
            fleet.count_from_now()
            ups, downs, most = 0, 0, sum(fleet.replicas)
        round_number += 1
        fleet.advance(second)
        before = fleet.replicas
        values = [fleet.read(reading, now) for reading in policy.readings]
        sizes, memory = policy.decide(ClassesSeen(now, before, fleet.ready, values), memory)
        if sizes != before:
            ups += any(n > m for n, m in zip(sizes, before, strict=True))
            downs += any(n < m for n, m in zip(sizes, before, strict=True))
            most = max(most, sum(sizes))
            fleet.resize(sizes, second)
        progress(second)
    fleet.advance(fleet.seconds)
    return fleet.outcome(ups, downs, most)


def _trireme(on: ClassScenario) -> ClassesPolicy:
    rules = trireme_rules(on.classes[0].pod, on.objective, on.bounds, on.rules)
    classes = tuple(NodeClass(c.name, c.price, c.least, on.most(c)) for c in on.classes)
    return ClassesPolicy(
        replace(rules, classes=classes),
        tuple(
            Learnt(of_pod(each.pod, rate, on.objective.percentile), measured(each.lead_time))
            for each, rate in zip(on.classes, on.sustained_per_second, strict=True)
        ),
    )
