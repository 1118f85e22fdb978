"""Trireme's own policy over pods of several node classes: the operator's decision, as
`trireme_policy` has it of one sort of pods. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from trireme.autoscaler.classes import counted, mean_capacities
from trireme.autoscaler.decision import decide
from trireme.autoscaler.demand import Demand
from trireme.autoscaler.memory import memory_from_status, record
from trireme.autoscaler.types.capacity import Capacity
from trireme.autoscaler.types.observation import ClassPods, Grant, LeadTime, Observation
from trireme.autoscaler.types.policy import Policy
from trireme.autoscaler.types.signals import Signals
from trireme.simulator.hours import Hours
from trireme.simulator.policy import Reading
from trireme.simulator.trireme_policy import AWAY, BUDGET, ROUND_SECONDS, Known, readings_for, seen


@dataclass(frozen=True, slots=True)
class Learnt:
    """What is known of the pods of a class, as if it had been learnt long ago."""

    capacity: Capacity
    lead_time: LeadTime


@dataclass(frozen=True, slots=True)
class ClassesSeen:
    """What the policy sees when it decides: of each class the pods that are ordered, and those that
    answer; and what its readings found.
    """

    now_seconds: float
    replicas: Sequence[int]
    ready: Sequence[int]
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class ClassesPolicy:
    """The operator's decision for an agent with one objective and node classes.

    Pre: `policy` has mode Automatic, one objective, and a class for each of `learnt`, in their
    order. `gpus` are those of a budget.
    """

    policy: Policy
    learnt: tuple[Learnt, ...]
    hours: Hours = field(default_factory=Hours)
    gpus: int | None = None
    interval_seconds: float = ROUND_SECONDS

    @property
    def readings(self) -> tuple[Reading, ...]:
        """What a round asks for."""
        return readings_for(self.policy)

    def begin(self, now_seconds: float, replicas: int) -> Known:
        """An operator that was just started, and finds no status."""
        now = self.hours.moment(now_seconds)
        return Known(memory_from_status(None, now, replicas), Demand.unknown(now))

    def decide(self, found: ClassesSeen, known: Known) -> tuple[tuple[int, ...], Known]:
        """One round: how many pods of each class are to be ordered."""
        (objective,) = self.policy.objectives
        of_classes = zip(self.policy.classes, self.learnt, found.replicas, found.ready, strict=True)
        classes = tuple(
            ClassPods(
                rule.name, replicas, ready, 0, {objective.model: each.capacity}, each.lead_time
            )
            for rule, each, replicas, ready in of_classes
        )
        now = self.hours.moment(found.now_seconds)
        lead = max((each.lead_time for each in self.learnt), key=lambda t: t.p95_seconds)
        policy = self.hours.policy_at(self.policy, now, lead)
        observation = seen(
            Observation(
                now=now,
                replicas=sum(found.replicas),
                ready=sum(found.ready),
                stuck=0,
                unschedulable=0,
                signals=AWAY,
                capacities=mean_capacities(classes),
                lead_time=lead,
                grant=None if self.gpus is None else Grant(self.gpus, BUDGET),
                classes=classes,
            ),
            policy,
            found.values,
        )
        demand = known.demand
        if isinstance(observation.signals, Signals) and observation.signals.models:
            fleet = counted(observation, policy, objective.model)
            demand, _, forecast = demand.seen(
                observation.signals,
                objective,
                fleet.policy,
                known.memory,
                capacity=fleet.capacity,
                lead_time=observation.lead_time,
                ready=fleet.ready,
            )
            if forecast is not None:
                observation = replace(observation, forecasts={objective.model: forecast})
        decision, memory = decide(observation, policy, known.memory)
        memory = record(memory, decision, carried_out=True)
        return tuple(each.replicas for each in decision.classes), Known(memory, demand)
