"""What policies are compared on: traffic, the pod that serves it, its objective, its lead time.

Pure.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from trireme.api.scaling import Behavior, Paused, ScalingMode
from trireme.autoscaler.queueing import PodShape, Unattainable
from trireme.autoscaler.types import policy as autoscaler
from trireme.errors import UnattainableObjective
from trireme.simulator import fluid, served
from trireme.simulator.event_fleet import EventFleet
from trireme.simulator.failures import NO_FAILURES, Drawn, Failures
from trireme.simulator.fluid import LeadTime
from trireme.simulator.hours import Hours
from trireme.simulator.load_table import LoadTable, load_table
from trireme.simulator.pods import Balancer
from trireme.simulator.policy import Bounds
from trireme.simulator.served import ServingPod
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
    nothing, its defaults. `in_flight` of each pod is a target that was set by hand, `demand` what
    is asked outside the pods, without which the last one stays.
    """

    behavior: Behavior = field(default_factory=Behavior)
    tolerance: float | None = None
    max_failure_ratio: float = 0.001
    in_flight: float | None = None
    demand: autoscaler.DemandPolicy | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Scenario:
    """One comparison. `sustained_per_second` is the rate that a pod sustains in the objective.

    `bounds` hold where the schedules of `hours` say nothing; `room` is how many pods a GPU budget
    has room for. Policies are run over a fleet of discrete events where it is `by_events`, else
    over a fluid one.

    Pre: where it is, the pods serve one model.
    """

    traffic: Traffic
    pod: ServingPod
    objective: Objective
    lead_time: LeadTime
    bounds: Bounds
    seed: int
    balancer: Balancer = Balancer.POWER_OF_TWO
    failures: Failures = NO_FAILURES
    by_events: bool = False
    rules: Rules = field(default_factory=Rules)
    hours: Hours = field(default_factory=Hours)
    room: int | None = None
    sustained_per_second: float = field(init=False)

    def __post_init__(self) -> None:
        rate = sustained(self.pod, self.objective)
        object.__setattr__(self, "sustained_per_second", rate)

    @property
    def drawn_failures(self) -> Drawn:
        """What fails when, by the seed."""
        return self.failures.draw(len(self.traffic.rate_per_second), self.widest.most, self.seed)

    @property
    def asked(self) -> autoscaler.Policy:
        """What the agent's spec asks of Trireme, but for what it says of certain hours."""
        return trireme_rules(self.pod, self.objective, self.bounds, self.rules)

    @property
    def widest(self) -> Bounds:
        """From the fewest pods that there may be at some time to the most."""
        return _within(self.hours.widest(self.bounds), self.room)

    @property
    def bounds_by_second(self) -> npt.NDArray[np.int64]:
        """The fewest and the most pods that there may be in each second, two rows."""
        least, most = self.hours.by_second(self.asked, len(self.traffic.rate_per_second))
        if self.room is not None:
            most = np.maximum(least, np.minimum(most, self.room))
        return np.array([least, most])

    def bounds_at(self, seconds: float) -> Bounds:
        """The bounds in force in that second."""
        return _within(self.hours.bounds_at(self.asked, seconds), self.room)

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
            assert isinstance(self.pod, PodShape)  # noqa: S101  # the precondition
            return EventFleet(self.traffic, self.pod, self.objective.limit_seconds, *shared)
        return fluid.Fleet(self.traffic, self.table, *shared)

    @property
    def common_rate(self) -> float:
        """The requests per second of a pod at the common utilisation."""
        return UTILISATION * self.sustained_per_second

    @property
    def common_in_flight(self) -> float:
        """The requests in flight of a pod at that rate, by Little's law."""
        return self.common_rate * served.mean_seconds(self.pod, self.common_rate)


def _within(bounds: Bounds, room: int | None) -> Bounds:
    """No more than there is room for; what there must be is there in any case."""
    if room is None:
        return bounds
    return Bounds(bounds.least, max(bounds.least, min(bounds.most, room)))


def sustained(pod: ServingPod, objective: Objective) -> float:
    """The rate that a pod sustains. Raises UnattainableObjective where there is none."""
    found = served.sustained_rate(pod, objective.percentile, objective.limit_seconds)
    if isinstance(found, Unattainable):
        raise UnattainableObjective(found.least_seconds)
    return found.per_second


def with_peak(traffic: Traffic, pod: ServingPod, objective: Objective, replicas: int) -> Traffic:
    """The traffic scaled so that its highest rate is what so many pods sustain."""
    return scaled_to(traffic, replicas * sustained(pod, objective))


def trireme_rules(
    pod: ServingPod, objective: Objective, bounds: Bounds, rules: Rules
) -> autoscaler.Policy:
    """What an agent's spec asks of Trireme."""
    by_hand = rules.in_flight
    asked = autoscaler.ObjectivePolicy(
        model="model",
        percentile=objective.percentile,
        latency_target_seconds=objective.limit_seconds,
        max_failure_ratio=rules.max_failure_ratio,
        start_in_flight_per_pod=by_hand or float(pod.curve.max_batch * pod.instances),
        fixed_target=by_hand is not None,
    )
    return autoscaler.Policy(
        mode=ScalingMode.AUTOMATIC,
        replicas=None,
        min_replicas=bounds.least,
        max_replicas=bounds.most,
        tolerance=rules.tolerance,
        behavior=rules.behavior,
        paused=Paused.NONE,
        objectives=(asked,),
        demand=rules.demand,
    )
