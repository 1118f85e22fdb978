"""One window of a simulated fleet, by the fluid model and by discrete events."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trireme.autoscaler.batch_events import PodModel
from trireme.autoscaler.queueing import PodShape
from trireme.simulator.events import replay
from trireme.simulator.fluid import Fleet, LeadTime
from trireme.simulator.pods import Balancer
from trireme.simulator.policy import Metric, Reading
from trireme.simulator.scenario import Scenario
from trireme.simulator.traces import Traffic

Rates = npt.NDArray[np.float64]
Pods = npt.NDArray[np.int64]

RUN_IN_SECONDS, WINDOW_SECONDS = 60, 300


@dataclass(frozen=True, slots=True)
class Measured:
    """p95 of what was answered in the window, and the share over the objective of what came."""

    p95_seconds: float
    late_share: float

    def p95_error(self, truth: "Measured") -> float:
        return abs(self.p95_seconds / truth.p95_seconds - 1)

    def late_error(self, truth: "Measured") -> float:
        return abs(self.late_share - truth.late_share)


def by_fluid(rate: Rates, ready: Pods, on: Scenario, seed: int) -> Measured:
    """From empty queues; the first minute is not counted."""
    rate, length = _from_empty(rate), len(rate)
    fleet = Fleet(
        Traffic("window", rate), on.table, LeadTime(0), int(ready[0]), seed, Balancer.RANDOM, 0
    )
    for second in np.flatnonzero(np.diff(ready)).tolist():
        fleet.resize(int(ready[second + 1]), second + 1)
        fleet.join(second + 1)
    fleet.advance(length)
    p95 = fleet.read(Reading(Metric.LATENCY, length - RUN_IN_SECONDS, 0.0, 95), float(length))
    late = fleet.outcome("", 0, 0, 0).late_by_second[RUN_IN_SECONDS:].sum()
    return Measured(p95, float(late / rate[RUN_IN_SECONDS:].sum()))


def by_events(rate: Rates, ready: Pods, on: Scenario, seed: int) -> Measured:
    """The same by discrete events."""
    assert isinstance(on.pod, PodShape), "windows are of one model"
    pod = PodModel(on.pod.curve, on.pod.instances, noise=on.pod.noise)
    served = replay(_from_empty(rate), ready, pod, np.random.default_rng(seed))
    ends = served.arrival_seconds + served.latency_seconds
    answered = served.latency_seconds[(ends >= RUN_IN_SECONDS) & (ends < len(rate))]
    came = served.latency_seconds[served.arrival_seconds >= RUN_IN_SECONDS]
    late = (came > on.objective.limit_seconds).mean()
    return Measured(float(np.percentile(answered, 95)), float(late))


def _from_empty(rate: Rates) -> Rates:
    return np.concatenate(([0.0], rate[1:]))
