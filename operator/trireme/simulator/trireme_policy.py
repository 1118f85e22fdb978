"""Trireme's own policy in the simulator: the very decision that the operator takes.

Pure. What the simulator reads becomes the Signals that the operator's round would have assembled
from the gateway's figures; `autoscaler.decision.decide` and its memory are the operator's.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from trireme.api.conditions import Reason
from trireme.autoscaler.decision import decide
from trireme.autoscaler.demand import Demand
from trireme.autoscaler.memory import memory_from_status, record
from trireme.autoscaler.queries import window
from trireme.autoscaler.types import (
    Capacity,
    Latency,
    LatencyKind,
    LeadTime,
    Memory,
    ModelSignals,
    NoSignals,
    ObjectivePolicy,
    Observation,
    Policy,
    Signals,
)
from trireme.simulator.policy import Metric, Observed, Reading, moment

ROUND_SECONDS = 5  # the operator's setting of this name, as it is by default
SCRAPE_SECONDS = 5  # of the PodMonitors that the chart makes, by default
WINDOW = window(timedelta(seconds=SCRAPE_SECONDS))


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
    time.

    Pre: `policy` has mode Automatic, one objective, and a min of 1 or more: nothing outside
    the pods tells of requests here.
    """

    policy: Policy
    capacity: Capacity | None = None
    lead_time: LeadTime | None = None
    name: str = "trireme"
    interval_seconds: float = ROUND_SECONDS

    @property
    def readings(self) -> tuple[Reading, ...]:
        """What a round asks of the gateway, over the operator's own window."""
        (objective,) = self.policy.objectives
        return readings_for(objective)

    def begin(self, now_seconds: float, replicas: int) -> Known:
        """An operator that was just started, and finds no status."""
        now = moment(now_seconds)
        return Known(memory_from_status(None, now, replicas), Demand.unknown(now))

    def decide(self, observed: Observed, known: Known) -> tuple[int, Known]:
        """One round."""
        (objective,) = self.policy.objectives
        signals = signals_of(objective, observed.now_seconds, observed.ready, observed.values)
        demand, forecasts = known.demand, {}
        if isinstance(signals, Signals):
            demand, _, forecast = demand.seen(
                signals,
                objective,
                self.policy,
                known.memory,
                capacity=self.capacity,
                lead_time=self.lead_time,
                ready=observed.ready,
            )
            if forecast is not None:
                forecasts[objective.model] = forecast
        observation = Observation(
            now=moment(observed.now_seconds),
            replicas=observed.replicas,
            ready=observed.ready,
            stuck=0,
            unschedulable=0,
            signals=signals,
            capacities={} if self.capacity is None else {objective.model: self.capacity},
            forecasts=forecasts,
            lead_time=self.lead_time,
        )
        decision, memory = decide(observation, self.policy, known.memory)
        memory = record(memory, decision, carried_out=True)
        return decision.replicas, Known(memory, demand)


def readings_for(objective: ObjectivePolicy) -> tuple[Reading, ...]:
    """What a round asks of the gateway, over the operator's own window."""
    seconds, age = WINDOW.total_seconds(), SCRAPE_SECONDS / 2
    return (
        Reading(Metric.ARRIVALS, seconds, age),
        Reading(Metric.ANSWERS, seconds, age),
        Reading(Metric.IN_FLIGHT, seconds, age),
        Reading(Metric.LATENCY, seconds, age, objective.percentile),
        Reading(Metric.LATE_SHARE, seconds, age),
        Reading(Metric.FAILURE_SHARE, seconds, age),
    )


def signals_of(
    objective: ObjectivePolicy, now_seconds: float, ready: int, told: Sequence[float | None]
) -> Signals | NoSignals:
    """What the round makes of the answers to `readings_for`."""
    if not ready:
        return NoSignals(Reason.NO_PODS, "no pod is ready")
    values = [value for value in told if value is not None]
    if len(values) < len(told):
        return NoSignals(Reason.PROMETHEUS_UNREACHABLE, "Prometheus cannot be read")
    arrivals, answers, in_flight, latency, late, failures = values
    seen = ModelSignals(
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
    return Signals(moment(now_seconds), WINDOW, (seen,))
