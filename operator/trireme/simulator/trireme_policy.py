"""Trireme's own policy in the simulator: the very decision that the operator takes.

Pure. What the simulator reads becomes the Signals that the operator's round would have assembled
from the gateway's figures; `autoscaler.decision.decide` and its memory are the operator's.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from trireme.api.conditions import Reason
from trireme.autoscaler import outside
from trireme.autoscaler.decision import decide
from trireme.autoscaler.demand import Demand
from trireme.autoscaler.memory import memory_from_status, record
from trireme.autoscaler.queries import window
from trireme.autoscaler.types.capacity import Capacity
from trireme.autoscaler.types.memory import Memory
from trireme.autoscaler.types.observation import Grant, LeadTime, Observation, Outside
from trireme.autoscaler.types.policy import ObjectivePolicy, Policy
from trireme.autoscaler.types.signals import Latency, LatencyKind, ModelSignals, NoSignals, Signals
from trireme.simulator.hours import Hours
from trireme.simulator.policy import Metric, Observed, Reading

ROUND_SECONDS = 5  # the operator's setting of this name, as it is by default
SCRAPE_SECONDS = 5  # of the PodMonitors that the chart makes, by default
WINDOW = window(timedelta(seconds=SCRAPE_SECONDS))
DEMAND_SECONDS = 60  # of the rate that a query in scaling.demand takes, as in docs/scaling.md
BUDGET = "the GPU budget"
_OF_GATEWAY = 6  # readings that are asked of any objective
AWAY = NoSignals(Reason.PROMETHEUS_UNREACHABLE, "Prometheus cannot be read")


@dataclass(frozen=True, slots=True)
class Known:
    """What an operator remembers between rounds."""

    memory: Memory
    demand: Demand


@dataclass(frozen=True, slots=True)
class TriremePolicy:
    """The operator's decision for an agent with one objective.

    `capacity` is what a pod is known to sustain and `lead_time` how long one takes to start, as if
    they had been learnt long ago; None leaves the rule of requests in flight, and the usual lead
    time. What `scaling.demand` would ask for is the rate at which requests come, as a source in
    front of the agent counts them. `room` is how many pods a GPU budget has room for: what there
    must be is there in any case.

    Pre: `policy` has mode Automatic and one objective.
    """

    policy: Policy
    capacity: Capacity | None = None
    lead_time: LeadTime | None = None
    hours: Hours = field(default_factory=Hours)
    room: int | None = None
    name: str = "trireme"
    interval_seconds: float = ROUND_SECONDS

    @property
    def readings(self) -> tuple[Reading, ...]:
        """What a round asks for."""
        return readings_for(self.policy)

    def begin(self, now_seconds: float, replicas: int) -> Known:
        """An operator that was just started, and finds no status."""
        now = self.hours.moment(now_seconds)
        return Known(memory_from_status(None, now, replicas), Demand.unknown(now))

    def decide(self, observed: Observed, known: Known) -> tuple[int, Known]:
        """One round."""
        (objective,) = self.policy.objectives
        now = self.hours.moment(observed.now_seconds)
        policy = self.hours.policy_at(self.policy, now, self.lead_time)
        observation = seen(
            Observation(
                now=now,
                replicas=observed.replicas,
                ready=observed.ready,
                stuck=0,
                unschedulable=0,
                signals=AWAY,
                capacities={} if self.capacity is None else {objective.model: self.capacity},
                lead_time=self.lead_time,
                grant=None
                if self.room is None
                else Grant(max(self.room, policy.min_replicas), BUDGET),
            ),
            policy,
            observed.values,
        )
        demand, signals = known.demand, observation.signals
        if isinstance(signals, Signals) and signals.models:
            demand, _, forecast = demand.seen(
                signals,
                objective,
                policy,
                known.memory,
                capacity=self.capacity,
                lead_time=self.lead_time,
                ready=observed.ready,
            )
            if forecast is not None:
                observation = replace(observation, forecasts={objective.model: forecast})
        decision, memory = decide(observation, policy, known.memory)
        memory = record(memory, decision, carried_out=True)
        return decision.replicas, Known(memory, demand)


def readings_for(policy: Policy) -> tuple[Reading, ...]:
    """What a round asks of the gateway, over the operator's own window, and what is asked outside
    the pods, where the spec has a query for it.
    """
    (objective,) = policy.objectives
    seconds, age = WINDOW.total_seconds(), SCRAPE_SECONDS / 2
    demand = (Reading(Metric.ARRIVALS, DEMAND_SECONDS, age),) if policy.demand else ()
    return (
        Reading(Metric.ARRIVALS, seconds, age),
        Reading(Metric.ANSWERS, seconds, age),
        Reading(Metric.IN_FLIGHT, seconds, age),
        Reading(Metric.LATENCY, seconds, age, objective.percentile),
        Reading(Metric.LATE_SHARE, seconds, age),
        Reading(Metric.FAILURE_SHARE, seconds, age),
        *demand,
    )


def seen(observation: Observation, policy: Policy, told: Sequence[float | None]) -> Observation:
    """The observation with what the round makes of the answers to `readings_for`."""
    (objective,) = policy.objectives
    of_gateway, asked = told[:_OF_GATEWAY], told[_OF_GATEWAY:]
    signals = _signals(objective, observation.now, observation.ready, of_gateway)
    observation = replace(observation, signals=signals)
    if not asked:
        return observation
    (rate,) = asked
    return outside.observed(observation, AWAY if rate is None else Outside(rate))


def _signals(
    objective: ObjectivePolicy, now: datetime, ready: int, told: Sequence[float | None]
) -> Signals | NoSignals:
    if not ready:
        return NoSignals(Reason.NO_PODS, "no pod is ready")
    values = [value for value in told if value is not None]
    if len(values) < len(told):
        return AWAY
    arrivals, answers, in_flight, latency, late, failures = values
    model = ModelSignals(
        model=objective.model,
        request_rate_per_second=max(arrivals, answers),
        in_flight=in_flight,
        latency=None
        if math.isnan(latency)
        else Latency(latency, LatencyKind.PERCENTILE, objective.percentile),
        failure_ratio=0.0 if math.isnan(failures) else failures,
        mean_latency_seconds=in_flight / answers if answers else None,
        queue_share=None,
        pending=None,
        late_share=None if math.isnan(late) else late,
    )
    return Signals(now, WINDOW, (model,))
