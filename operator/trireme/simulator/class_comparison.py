"""The cheapest mix of several node classes beside fleets of one class each, in price units.

Pure. The mix is Trireme's; on each class alone every policy is run. `least_cost` pays, minute by
minute, for the cheapest mix that is found for what the objective needs on average, and for no
start. It is no bound: of many classes the search may end before the best (`autoscaler.mix`).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from trireme.autoscaler.mix import Limits, Offer, nearest
from trireme.autoscaler.types.policy import NodeClass
from trireme.autoscaler.types.policy import Policy as Asked
from trireme.simulator import served
from trireme.simulator.clairvoyant import MEAN_SECONDS
from trireme.simulator.class_fleet import ClassFleet, ClassOutcome, PodClass
from trireme.simulator.class_policy import ClassesPolicy, ClassesSeen, Learnt
from trireme.simulator.comparison import HOUR, Progress
from trireme.simulator.contenders import contender, first_size, measured
from trireme.simulator.failures import NO_FAILURES, Drawn, Failures
from trireme.simulator.fluid import Outcome
from trireme.simulator.hours import Hours
from trireme.simulator.policy import Bounds
from trireme.simulator.scenario import Objective, Rules, Scenario, sustained, trireme_rules
from trireme.simulator.simulation import WARM_UP_SECONDS, simulate
from trireme.simulator.traces import Traffic

_RATES = 200  # that the cheapest mix is sought for: each is taken for up to half a percent less


@dataclass(frozen=True, slots=True, eq=False)
class ClassScenario:
    """One comparison. `bounds` hold for all classes together, where the schedules of `hours` say
    nothing, and `gpus` are those of a budget; the pods of each class sustain `sustained_per_second`
    in the objective.
    """

    traffic: Traffic
    classes: tuple[PodClass, ...]
    objective: Objective
    bounds: Bounds
    seed: int
    rules: Rules = field(default_factory=Rules)
    failures: Failures = NO_FAILURES
    hours: Hours = field(default_factory=Hours)
    gpus: int | None = None
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
            failures=self.failures,
            rules=self.rules,
            hours=self.hours,
            room=None if self.gpus is None or not of.gpus else self.gpus // of.gpus,
        )

    @property
    def asked(self) -> Asked:
        """What the agent's spec asks of Trireme, but for what it says of certain hours."""
        rules = trireme_rules(self.classes[0].pod, self.objective, self.bounds, self.rules)
        return replace(
            rules,
            classes=tuple(
                NodeClass(c.name, c.price, c.least, self.most(c), c.gpus) for c in self.classes
            ),
        )

    @property
    def bounds_by_second(self) -> npt.NDArray[np.int64]:
        """The fewest and the most pods that there may be in each second, two rows."""
        return self.hours.by_second(self.asked, len(self.traffic.rate_per_second))

    @property
    def drawn_failures(self) -> Drawn:
        """What fails when, by the seed."""
        places = self.hours.widest(self.bounds).most
        return self.failures.draw(len(self.traffic.rate_per_second), places, self.seed)

    def most(self, of: PodClass) -> int:
        """How many pods of one class there may be in a mix."""
        most = self.hours.widest(self.bounds).most
        return most if of.most is None else min(of.most, most)

    def cheapest(self, rate_per_second: float, bounds: Bounds) -> tuple[int, ...]:
        """The pods of each class that sustain a rate at the lowest price that is found."""
        offers = [
            Offer(each.price, (rate,), 0, each.least, self.most(each), each.gpus)
            for each, rate in zip(self.classes, self.sustained_per_second, strict=True)
        ]
        limits = Limits(bounds.least, bounds.most, self.gpus)
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
    def ratio(self) -> float | None:
        """The cost over the least; None where no pod is needed."""
        return self.cost / self.least_cost if self.least_cost else None


def least_cost(on: ClassScenario) -> float:
    """What the cheapest mix that is found costs at each moment, without any start."""
    rate = on.traffic.rate_per_second
    step = float(rate.max()) / _RATES or 1.0  # without any request whatever
    prices: dict[tuple[int, Bounds], float] = {}
    total, second = 0.0, 0
    for minute in np.array_split(rate, max(len(rate) // MEAN_SECONDS, 1)):
        bounds = on.hours.bounds_at(on.asked, second)
        at = math.floor(float(minute.mean()) / step)
        if (at, bounds) not in prices:
            mix = zip(on.classes, on.cheapest(at * step, bounds), strict=True)
            prices[at, bounds] = sum(each.price * pods for each, pods in mix)
        total += prices[at, bounds] * len(minute) / HOUR
        second += len(minute)
    return total


def compare(on: ClassScenario, policies: Sequence[str], progress: Progress) -> Iterator[ClassScore]:
    """Trireme's mix of all classes, then each policy on each class alone, where the budget has room
    for a fleet of it.
    """
    least, seconds = least_cost(on), len(on.traffic.rate_per_second)

    def telling(what: str) -> Callable[[int], None]:
        return lambda second: progress(what, max(second, 0) / seconds)

    yield ClassScore("trireme", on.classes, of_mix(on, telling("mix")), least)
    for each in on.classes:
        alone = on.alone(each)
        if alone.room is not None and alone.room < max(alone.hours.widest(alone.bounds).least, 1):
            continue
        needed = math.ceil(float(on.traffic.rate_per_second[0]) / alone.sustained_per_second)
        for policy in policies:
            found = simulate(
                contender(policy, alone, 1.0),
                alone.fleet(first_size(policy, alone, needed), WARM_UP_SECONDS),
                failures=alone.drawn_failures,
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
    policy, failures = _trireme(on), on.drawn_failures
    bounds = on.hours.bounds_at(on.asked, -WARM_UP_SECONDS)
    first = on.cheapest(float(on.traffic.rate_per_second[0]), bounds)
    fleet = ClassFleet(
        on.traffic,
        on.classes,
        on.sustained_per_second,
        on.objective.limit_seconds,
        first,
        on.seed,
        WARM_UP_SECONDS,
        failures.deaths,
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
        values: list[float | None] = [None] * len(policy.readings)
        if not failures.is_blind(now):
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
    return ClassesPolicy(
        on.asked,
        tuple(
            Learnt(served.learnt(each.pod, rate, on.objective.percentile), measured(each.lead_time))
            for each, rate in zip(on.classes, on.sustained_per_second, strict=True)
        ),
        on.hours,
        on.gpus,
    )
