"""Pods that the tuner is judged on: what a batch takes in them, which the tuner has to find out,
and discrete events to measure a configuration by.
"""

from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np

from trireme.autoscaler.batch_events import PodModel, Served, poisson_arrivals, serve
from trireme.autoscaler.service_curve import BatchTotal, ServiceCurve
from trireme.tuner.rate_search import NEAR, Plan, Probe
from trireme.tuner.types import Configuration, Measured, Objective, Space

REQUESTS = 5000  # of a probe at least: the share of late ones, of 5 %, then strays by 0.3 %
LIMITS = 40  # the time of a probe at least: a queue that grows by 5 % needs 20 to be too long
MOST_REQUESTS = 30_000
DELAYS_SECONDS = (0.0, 0.001, 0.005)  # of the exhaustive grid


@dataclass(frozen=True, slots=True, kw_only=True)
class Kinked(ServiceCurve):
    """Beyond a batch size each request adds `steeper` times as much."""

    kink: int = 1_000_000
    steeper: float = 1.0

    def seconds(self, batch: float) -> float:
        beyond = max(0.0, batch - self.kink) * (self.steeper - 1)
        return self.fixed_seconds + self.per_request_seconds * (batch + beyond)


@dataclass(frozen=True, slots=True)
class Machine:
    """A model's batches, and what instances cost each other: `sigma` for each more, and in
    proportion once there are more than the machine has `places` for.
    """

    curve: Kinked
    sigma: float = 0.0
    places: int = 1_000_000
    noise: float = 0.0

    def pod(self, configuration: Configuration) -> PodModel:
        """A pod as it is configured."""
        count = configuration.instances
        times = max(1 + self.sigma * (count - 1), count / self.places)
        curve = replace(
            self.curve,
            fixed_seconds=self.curve.fixed_seconds * times,
            per_request_seconds=self.curve.per_request_seconds * times,
            max_batch=configuration.max_batch,
        )
        return PodModel(curve, count, configuration.queue_delay_seconds, self.noise)


@cache
def measured(machine: Machine, objective: Objective, configuration: Configuration) -> Measured:
    """What a configuration sustains, by a search of probes as it is made of a real server."""
    pod, probes = machine.pod(configuration), list[Probe]()
    batches: dict[int, BatchTotal] = {}
    capacity = pod.curve.capacity_per_second(pod.instances)
    plan = Plan(objective, 0.0, capacity / 2, step=NEAR, precision=0.02, most_probes=12)
    while (rate := plan.next_rate(probes)) is not None:
        draw = np.random.default_rng(1)
        requests = min(max(REQUESTS, round(LIMITS * objective.limit_seconds * rate)), MOST_REQUESTS)
        served = serve(poisson_arrivals(rate, requests, draw), pod, draw)
        late = int(np.sum(served.latency_seconds > objective.limit_seconds))
        probes.append(Probe(rate, requests, late))
        _add(batches, served)
    return Measured(configuration, plan.kept(probes), batches)


def _add(batches: dict[int, BatchTotal], served: Served) -> None:
    for size in np.unique(served.batches).tolist():
        these = served.batch_seconds[served.batches == size]
        before = batches.get(size, BatchTotal(0, 0))
        batches[size] = BatchTotal(
            before.executions + len(these), before.nanoseconds + round(float(these.sum()) * 1e9)
        )


@dataclass(frozen=True, slots=True)
class Grid:
    """All configurations of a space, with queue delays."""

    space: Space
    delays_seconds: tuple[float, ...] = DELAYS_SECONDS
    all: tuple[Configuration, ...] = field(init=False)

    def __post_init__(self) -> None:
        found = (
            replace(each, queue_delay_seconds=delay)
            for each in self.space.configurations()
            for delay in self.delays_seconds
        )
        object.__setattr__(self, "all", tuple(found))

    def best_per_second(self, machine: Machine, objective: Objective) -> float:
        """What the best of them sustains. Those whose capacity is below it need no measurement."""
        best = 0.0
        pods = {each: machine.pod(each) for each in self.all}
        capacities = {e: p.curve.capacity_per_second(p.instances) for e, p in pods.items()}
        for configuration in sorted(self.all, key=lambda each: -capacities[each]):
            if capacities[configuration] <= best:
                break
            best = max(best, measured(machine, objective, configuration).per_second)
        return best
