"""Trireme's own policy over pods of several node classes: the operator's decision, as
`trireme_policy` has it of one sort of pods. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from trireme.autoscaler.classes import counted, mean_capacities
from trireme.autoscaler.decision import decide
from trireme.autoscaler.demand import Demand
from trireme.autoscaler.memory import memory_from_status, record
from trireme.autoscaler.types import (
    Capacity,
    ClassPods,
    LeadTime,
    Observation,
    Policy,
    Signals,
)
from trireme.simulator.policy import Reading, moment
from trireme.simulator.trireme_policy import ROUND_SECONDS, Known, readings_for, signals_of


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
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class ClassesPolicy:
    """The operator's decision for an agent with one objective and node classes.

    Pre: `policy` has mode Automatic, one objective, a min of 1 or more, and a class for each of
    `learnt`, in their order.
    """

    policy: Policy
    learnt: tuple[Learnt, ...]
    interval_seconds: float = ROUND_SECONDS

    @property
    def readings(self) -> tuple[Reading, ...]:
        """What a round asks of the gateway."""
        (objective,) = self.policy.objectives
        return readings_for(objective)

    def begin(self, now_seconds: float, replicas: int) -> Known:
        """An operator that was just started, and finds no status."""
        now = moment(now_seconds)
        return Known(memory_from_status(None, now, replicas), Demand.unknown(now))

    def decide(self, seen: ClassesSeen, known: Known) -> tuple[tuple[int, ...], Known]:
        """One round: how many pods of each class are to be ordered."""
        (objective,) = self.policy.objectives
        of_classes = zip(self.policy.classes, self.learnt, seen.replicas, seen.ready, strict=True)
        classes = tuple(
            ClassPods(
                rule.name, replicas, ready, 0, {objective.model: each.capacity}, each.lead_time
            )
            for rule, each, replicas, ready in of_classes
        )
        ready = sum(seen.ready)
        observation = Observation(
            now=moment(seen.now_seconds),
            replicas=sum(seen.replicas),
            ready=ready,
            stuck=0,
            unschedulable=0,
            signals=signals_of(objective, seen.now_seconds, ready, seen.values),
            capacities=mean_capacities(classes),
            lead_time=max((each.lead_time for each in self.learnt), key=lambda t: t.p95_seconds),
            classes=classes,
        )
        demand = known.demand
        if isinstance(observation.signals, Signals):
            fleet = counted(observation, self.policy, objective.model)
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
        decision, memory = decide(observation, self.policy, known.memory)
        memory = record(memory, decision, carried_out=True)
        return tuple(each.replicas for each in decision.classes), Known(memory, demand)
