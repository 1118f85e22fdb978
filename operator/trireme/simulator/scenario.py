"""What policies are compared on: traffic, the pod that serves it, its objective, its lead time.

Pure.
"""

from dataclasses import dataclass, field

from trireme.autoscaler.queueing import PodShape, Unattainable, latencies, sustained_rate
from trireme.errors import UnattainableObjective
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


@dataclass(frozen=True, slots=True, eq=False)
class Scenario:
    """One comparison. `sustained_per_second` is the rate that a pod sustains in the objective."""

    traffic: Traffic
    pod: PodShape
    objective: Objective
    lead_time: LeadTime
    bounds: Bounds
    seed: int
    balancer: Balancer = Balancer.POWER_OF_TWO
    failures: Failures = NO_FAILURES
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
