"""Pods that the tuner is judged on: what a batch takes in them, which the tuner has to find out,
and discrete events to measure a configuration by.
"""

import math
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import repeat

import numpy as np

from trireme.autoscaler.batch_events import PodModel, Served, poisson_arrivals, serve
from trireme.autoscaler.service_curve import BatchTotal, ServiceCurve
from trireme.tuner.rate_search import FAR, NEAR, Plan, Probe
from trireme.tuner.search import Done, next_step
from trireme.tuner.types import Configuration, Measured, Objective, Range, Space

REQUESTS = 5000  # of a probe at least: the share of late ones, of 5 %, then strays by 0.3 %
LIMITS = 20  # the time of a probe at least, in which a queue that grows by 5 % grows too long
MOST_REQUESTS = 30_000
START_LOAD, BELOW_EXPECTED = 0.5, 0.9  # of what a rate is first guessed, as on a real server
SHORT_REQUESTS, FAR_OFF = 1000, 3.0  # so many times the late ones that may be tell enough
BELOW = (1.0, 0.9, 0.7, 0.4, 0.1, 0.01)
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

    def at(self, speed: float) -> "Machine":
        """While something else slows it down, or nothing does."""
        curve = replace(
            self.curve,
            fixed_seconds=self.curve.fixed_seconds / speed,
            per_request_seconds=self.curve.per_request_seconds / speed,
            gap_seconds=self.curve.gap_seconds / speed,
        )
        return replace(self, curve=curve)


def drawn(seed: int) -> tuple[Machine, Objective]:
    """Any machine, and an objective from hardly more than a batch takes to 15 times that."""
    draw = random.Random(seed)
    fixed = _log_uniform(draw, 0.0005, 0.02)
    curve = Kinked(
        fixed,
        fixed * draw.choice([0.01, 0.03, 0.1, 0.3, 1.0, 3.0]),
        1,
        gap_seconds=draw.choice([0.0, _log_uniform(draw, 0.0001, 0.003)]),
        kink=draw.choice([1_000_000, 1_000_000, 4, 6, 12, 16, 24, 40]),
        steeper=draw.uniform(1.5, 20),
    )
    machine = Machine(
        curve,
        sigma=draw.choice([0.0, draw.uniform(0.02, 1.5)]),
        places=draw.choice([1_000_000, 1_000_000, 1, 2, 3, 5]),
        noise=draw.choice([0.0, draw.uniform(0.05, 0.4)]),
    )
    slack = _log_uniform(draw, 1.05, 15)
    return machine, Objective(95, slack * curve.seconds(draw.choice([1, 4, 16])))


def _log_uniform(draw: random.Random, least: float, most: float) -> float:
    return math.exp(draw.uniform(math.log(least), math.log(most)))


def measured(
    machine: Machine,
    objective: Objective,
    configuration: Configuration,
    expected: float | None = None,
) -> Measured:
    """What a configuration sustains, by a search of probes as it is made of a real server."""
    pod, probes = machine.pod(configuration), list[Probe]()
    batches: dict[int, BatchTotal] = {}
    guess = BELOW_EXPECTED * expected if expected else START_LOAD / machine.curve.seconds(1)
    step = NEAR if expected else FAR
    plan = Plan(objective, 0.0, guess, step, precision=0.02, most_probes=12)
    while (rate := plan.next_rate(probes)) is not None:
        probe, served = _offered(pod, objective, rate, _requests(objective, rate))
        probes.append(probe)
        _add(batches, served)
    return Measured(configuration, plan.kept(probes), batches)


def _add(batches: dict[int, BatchTotal], served: Served) -> None:
    for size in np.unique(served.batches).tolist():
        these = served.batch_seconds[served.batches == size]
        before = batches.get(size, BatchTotal(0, 0))
        batches[size] = BatchTotal(
            before.executions + len(these), before.nanoseconds + round(float(these.sum()) * 1e9)
        )


def _requests(objective: Objective, rate: float) -> int:
    return min(max(REQUESTS, round(LIMITS * objective.limit_seconds * rate)), MOST_REQUESTS)


def _offered(
    pod: PodModel, objective: Objective, rate: float, requests: int
) -> tuple[Probe, Served]:
    draw = np.random.default_rng(1)
    served = serve(poisson_arrivals(rate, requests, draw), pod, draw)
    late = int(np.sum(served.latency_seconds > objective.limit_seconds))
    return Probe(rate, requests, late), served


def _keeps(pod: PodModel, objective: Objective, rate: float) -> bool:
    probe, _ = _offered(pod, objective, rate, _requests(objective, rate))
    return probe.keeps(objective, 0.0)


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

    def sustaining(
        self, machine: Machine, objective: Objective, per_second: float
    ) -> Iterator[Configuration]:
        """Those that keep the objective at a rate: a probe each, and a short one where it is far
        from kept. With a queue delay also below it: one that is longer than the objective has room
        for is seldom waited for under load, but a pod has quiet minutes.
        """
        for configuration in self.all:
            pod = machine.pod(configuration)
            if pod.curve.capacity_per_second(pod.instances) <= per_second:
                continue
            short, _ = _offered(pod, objective, per_second, SHORT_REQUESTS)
            if short.late > FAR_OFF * objective.late_share * short.requests:
                continue
            shares = BELOW if configuration.queue_delay_seconds else BELOW[:1]
            if all(_keeps(pod, objective, share * per_second) for share in shares):
                yield configuration


SPACE = Space(Range(1, 64), Range(1, 8))
GRID = Grid(SPACE)
TENTH = len(GRID.all) // 10
START = Configuration(1, 1)
LEAST_SHARE = 0.95  # of what the best of the grid sustains
LEAST_LOAD = 0.01  # of what one after the other make: a rate that is kept if any is


def searched(
    machine: Machine,
    objective: Objective,
    space: Space = SPACE,
    start: Configuration = START,
    most: int = TENTH,
    speeds: Iterable[float] = repeat(1.0),
) -> tuple[list[Measured], Done]:
    """Measure what the tuner asks for, until it is done; each at another speed of the machine."""
    found: list[Measured] = []
    for speed in speeds:
        step = next_step(space, objective, found, start=start, most_measurements=most)
        if isinstance(step, Done):
            return found, step
        expected = step.expected_per_second
        found.append(measured(machine.at(speed), objective, step.configuration, expected))
    raise AssertionError("there are speeds for more measurements than are allowed")


@dataclass(frozen=True, slots=True)
class Outcome:
    """A search, and all of the grid that sustain more than it may miss."""

    tried: tuple[Measured, ...]
    done: Done
    better: tuple[Measured, ...]

    @property
    def share(self) -> float:
        """Of what the best of the grid sustains, where it is less than may be missed."""
        found = self.done.best.per_second
        best = max([found, *(each.per_second for each in self.better)])
        return found / best if best else 1.0


def outcome(machine: Machine, objective: Objective, start: Configuration = START) -> Outcome:
    """What a tenth of the grid's measurements find."""
    tried, done = searched(machine, objective, start=start)
    least = LEAST_LOAD / machine.curve.seconds(1)
    bar = max(done.best.per_second / LEAST_SHARE, least)
    better = [
        measured(machine, objective, each, bar) for each in GRID.sustaining(machine, objective, bar)
    ]
    return Outcome(tuple(tried), done, tuple(better))
