"""What policies are compared on: traffic, the pod that serves it, its objective, its lead time.

Pure.
"""

from dataclasses import dataclass, field

from trireme.api.types import Behavior
from trireme.autoscaler.queueing import PodShape, Unattainable, latencies, sustained_rate
from trireme.errors import UnattainableObjective
from trireme.simulator import fluid
from trireme.simulator.event_fleet import EventFleet
from trireme.simulator.failures import NO_FAILURES, Drawn, Failures
from trireme.simulator.fluid import LeadTime
from trireme.simulator.load_table import LoadTable, load_table
from trireme.simulator.pods import Balancer
from trireme.simulator.policy import Bounds
from trireme.simulator.traces import Traffic, scaled_to

UTILISATION = 0.7
"""The part of what a pod sustains that autoscalers without a model of it are commonly set to."""


@dataclass(frozen=True, slots=True)
class Objective:
    """So many percent of the requests within the limit."""

    percentile: int
    limit_seconds: float


@dataclass(frozen=True, slots=True)
class Rules:
    """What a spec asks of Trireme beside the objective's latency and the bounds; where it says
    nothing, its defaults. `in_flight` of each pod is a target that was set by hand.
    """

    behavior: Behavior = field(default_factory=Behavior)
    tolerance: float | None = None
    max_failure_ratio: float = 0.001
    in_flight: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Scenario:
    """One comparison. `sustained_per_second` is the rate that a pod sustains in the objective.

    Policies are run over a fleet of discrete events where it is `by_events`, else over a fluid one.
    """

    traffic: Traffic
    pod: PodShape
    objective: Objective
    lead_time: LeadTime
    bounds: Bounds
    seed: int
    balancer: Balancer = Balancer.POWER_OF_TWO
    failures: Failures = NO_FAILURES
    by_events: bool = False
    rules: Rules = field(default_factory=Rules)
    sustained_per_second: float = field(init=False)

    def __post_init__(self) -> None:
        rate = sustained(self.pod, self.objective)
        object.__setattr__(self, "sustained_per_second", rate)

    @property
    def drawn_failures(self) -> Drawn:
        """What fails when, by the seed."""
        return self.failures.draw(len(self.traffic.rate_per_second), self.bounds.most, self.seed)

    @property
    def table(self) -> LoadTable:
        """The pod at any load."""
        return load_table(self.pod, self.objective.limit_seconds)

    def fleet(self, replicas: int, warm_up_seconds: int) -> fluid.Fleet | EventFleet:
        """So many pods that are ready that long before the first second, at its rate."""
        deaths = self.drawn_failures.deaths
        shared = (
            self.lead_time,
            replicas,
            self.seed,
            self.balancer,
            warm_up_seconds,
            deaths,
        )
        if self.by_events:
            return EventFleet(self.traffic, self.pod, self.objective.limit_seconds, *shared)
        return fluid.Fleet(self.traffic, self.table, *shared)

    @property
    def common_rate(self) -> float:
        """The requests per second of a pod at the common utilisation."""
        return UTILISATION * self.sustained_per_second

    @property
    def common_in_flight(self) -> float:
        """The requests in flight of a pod at that rate, by Little's law."""
        return self.common_rate * latencies(self.pod, self.common_rate).mean_seconds


def sustained(pod: PodShape, objective: Objective) -> float:
    """The rate that a pod sustains. Raises UnattainableObjective where there is none."""
    found = sustained_rate(pod, objective.percentile, objective.limit_seconds)
    if isinstance(found, Unattainable):
        raise UnattainableObjective(found.least_seconds)
    return found.per_second


def with_peak(traffic: Traffic, pod: PodShape, objective: Objective, replicas: int) -> Traffic:
    """The traffic scaled so that its highest rate is what so many pods sustain."""
    return scaled_to(traffic, replicas * sustained(pod, objective))
