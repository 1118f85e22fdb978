"""One window of a simulated fleet, by the fluid model and by discrete events."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trireme.simulator.events import replay
from trireme.simulator.fluid import Fleet, LeadTime
from trireme.simulator.pods import Balancer, PodModel
from trireme.simulator.policy import Metric, Reading
from trireme.simulator.scenario import Scenario
from trireme.simulator.traces import Traffic

RUN_IN_SECONDS, WINDOW_SECONDS = 60, 300


@dataclass(frozen=True, slots=True)
class Compared:
    """p95 of what was answered in the window, and the share over the objective of what came."""

    policy: str
    fluid_p95: float
    events_p95: float
    fluid_late: float
    events_late: float

    @property
    def p95_error(self) -> float:
        return self.fluid_p95 / self.events_p95 - 1

    @property
    def late_error(self) -> float:
        return self.fluid_late - self.events_late


def compared(
    policy: str,
    rate: npt.NDArray[np.float64],
    ready: npt.NDArray[np.int64],
    on: Scenario,
    seed: int,
) -> Compared:
    """Both models on these rates and these ready pods, from empty queues; the first minute is not
    counted.
    """
    rate = np.concatenate(([0.0], rate[1:]))
    length = len(rate)
    fleet = Fleet(
        Traffic("window", rate), on.table, LeadTime(0), int(ready[0]), seed, Balancer.RANDOM, 0
    )
    for second in np.flatnonzero(np.diff(ready)).tolist():
        fleet.resize(int(ready[second + 1]), second + 1)
        fleet.join(second + 1)
    fleet.advance(length)
    p95 = fleet.read(Reading(Metric.LATENCY, length - RUN_IN_SECONDS, 0.0, 95), float(length))
    outcome = fleet.outcome(policy, 0, 0, 0)
    late = outcome.late_by_second[RUN_IN_SECONDS:].sum() / rate[RUN_IN_SECONDS:].sum()
    pod = PodModel(on.pod.curve, on.pod.instances, noise=on.pod.noise)
    served = replay(rate, ready, pod, np.random.default_rng(seed))
    ends = served.arrival_seconds + served.latency_seconds
    answered = served.latency_seconds[(ends >= RUN_IN_SECONDS) & (ends < length)]
    came = served.latency_seconds[served.arrival_seconds >= RUN_IN_SECONDS]
    return Compared(
        policy,
        p95,
        float(np.percentile(answered, 95)),
        float(late),
        float((came > on.objective.limit_seconds).mean()),
    )
