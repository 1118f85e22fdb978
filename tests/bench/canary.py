"""Canaries in the simulator: how often an equal one is taken back, and how soon a worse one is.

Needs no cluster: `python -m bench.canary [RUNS]`, so many of each fleet and traffic. Both tracks
are fleets of the simulator's pods behind Envoy's balancing, of the sizes that the operator gives
them, and the analysis is the operator's own, round by round. A step begins with empty queues and a
run-in that nobody counts.
"""

import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from statistics import median

import numpy as np

from bench.table import table
from trireme.api.rollout import Canary, RolloutPhase
from trireme.autoscaler.batch_events import Floats, PodModel
from trireme.autoscaler.service_curve import ServiceCurve
from trireme.modelrepo.histogram import latency_edges_milliseconds
from trireme.rollout.evidence import Share
from trireme.rollout.plan import plan_of
from trireme.rollout.size import canary_pods
from trireme.rollout.steps import advance, begin
from trireme.rollout.types import Answers, Round, Verdict, Why
from trireme.simulator.pods import Balancer, serve_fleet

START = datetime(2026, 11, 1, 3, 0, tzinfo=UTC)
ROUND_SECONDS, RUN_IN_SECONDS, CHUNK_SECONDS = 5, 10, 60
PLAN = plan_of(Canary(), longest_start=timedelta(0))  # as the resource has it by default
FLEETS = (1, 2, 3, 4, 8, 19)  # of 3 and 19 a step's load is exactly that of some stable pods
LATE = ((0.14, 0.22), (0.14, 0.14), (0.05, 0.10), (0.05, 0.05))  # of the stable pods, the canary
RATES = (4, 20, 100)


@dataclass(frozen=True, slots=True)
class Traffic:
    """What comes, relative to what the stable pods can answer at most; of `burst` times the rate
    for ten seconds of each minute, at a moment that chance chooses.
    """

    name: str
    curve: ServiceCurve
    load: float
    noise: float
    burst: float = 1.0
    failing: float = 0.0
    wrong: float = 0.0  # requests that any pod refuses


BATCHING = ServiceCurve(0.060, 0.020, 4)
ONE_BY_ONE = ServiceCurve(0.0, 0.150, 1)
TRAFFICS = (
    Traffic("batches, half busy", BATCHING, 0.5, 0.1),
    Traffic("batches, busy, 0.3% fail", BATCHING, 0.8, 0.3, failing=0.003),
    Traffic("batches, very busy, 5% wrong", BATCHING, 0.9, 0.1, wrong=0.05),
    Traffic("batches, bursts of twice the rate", BATCHING, 0.55, 0.3, burst=2.0),
    Traffic("one by one, busy, very noisy", ONE_BY_ONE, 0.75, 1.0, failing=0.003),
    Traffic("one by one, bursts of twice the rate", ONE_BY_ONE, 0.5, 0.3, burst=2.0),
)


@dataclass(frozen=True, slots=True)
class Pods:
    """How the canary's pods differ from the stable ones."""

    name: str = "equal"
    slowness: float = 1.0
    failing: float = 0.0
    refusing: float = 0.0
    different: float = 0.0


WORSE = (
    Pods("1.3 times as slow", slowness=1.3),
    Pods("twice as slow", slowness=2.0),
    Pods("1% fail", failing=0.01),
    Pods("10% fail", failing=0.1),
    Pods("1% refused", refusing=0.01),
    Pods("all refused", refusing=1.0),
    Pods("5% of the answers are other ones", different=0.05),
)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a rollout ended, after how many of the canary's requests and seconds."""

    verdict: Verdict
    requests: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Fleet:
    """The stable pods under a traffic, with the edges that both tracks are judged by."""

    pods: int
    traffic: Traffic
    target: float
    usual: float
    size: Callable[[int, float], int] = canary_pods

    @property
    def rate(self) -> float:
        return self.traffic.load * self.pods * self.traffic.curve.capacity_per_second()


def fleet_of(pods: int, traffic: Traffic) -> Fleet:
    """The objective is what the pods just keep of the whole demand; the usual latency is read from
    the gateway's histogram.
    """
    generator = np.random.default_rng(pods)
    rate = traffic.load * pods * traffic.curve.capacity_per_second()
    rates = _rates(rate, traffic, 600, generator)
    latencies, _ = _served(rates, pods, PodModel(traffic.curve, noise=traffic.noise), generator)
    target = round(float(np.percentile(latencies, 95)), 2)
    edges = latency_edges_milliseconds([timedelta(seconds=target)])
    middle = float(np.median(latencies)) * 1e3
    usual = next((edge for edge in edges if edge >= middle), edges[-1])
    return Fleet(pods, traffic, target, usual / 1e3)


def rolled_out(fleet: Fleet, canary: Pods, seed: int) -> Ended:
    """One rollout, to its end."""
    generator = np.random.default_rng(seed)
    memory, at, requests = begin(START), START, 0
    while True:
        step = memory.step
        for mine, others in _rounds(fleet, canary, PLAN.steps[step].weight, generator):
            at += timedelta(seconds=ROUND_SECONDS)
            compared = min(20, mine.requests) if canary.different else 0
            seen = Round(at, True, mine, others, _compared(compared, canary, generator))
            requests += mine.requests
            verdict, memory = advance(PLAN, memory, seen)
            if verdict.phase is not RolloutPhase.PROGRESSING:
                return Ended(verdict, requests, (at - START).total_seconds())
            if memory.step != step:
                break


def _rounds(
    fleet: Fleet, canary: Pods, weight: float, generator: np.random.Generator
) -> Iterator[tuple[Answers, Answers]]:
    """What both tracks answer in each round of a chunk at a weight."""
    traffic, curve = fleet.traffic, fleet.traffic.curve
    seconds = RUN_IN_SECONDS + CHUNK_SECONDS
    rates = _rates(fleet.rate, traffic, seconds, generator)
    slower = replace(
        curve,
        fixed_seconds=curve.fixed_seconds * canary.slowness,
        per_request_seconds=curve.per_request_seconds * canary.slowness,
    )
    tracks = (
        (
            weight,
            fleet.size(fleet.pods, weight),
            slower,
            max(traffic.failing, canary.failing),
            max(traffic.wrong, canary.refusing),
        ),
        (1 - weight, fleet.pods, curve, traffic.failing, traffic.wrong),
    )
    answered = [
        _answers(
            fleet,
            *_served(
                rates * share * (1 - refusing), pods, PodModel(own, noise=traffic.noise), generator
            ),
            failing,
            _refused(rates * share * refusing, generator),
            generator,
        )
        for share, pods, own, failing, refusing in tracks
    ]
    yield from zip(*answered, strict=True)


def _answers(
    fleet: Fleet,
    latencies: Floats,
    ends: Floats,
    failing: float,
    refused: list[int],
    generator: np.random.Generator,
) -> list[Answers]:
    """A track's answers by round, in the order of their ends. What is refused is so at once."""
    failed = generator.random(len(ends)) < failing
    kinds = (np.ones(len(ends), bool), failed, failed | (latencies > fleet.target))
    edges = np.arange(RUN_IN_SECONDS, RUN_IN_SECONDS + CHUNK_SECONDS + 1, ROUND_SECONDS)
    counts = [
        np.histogram(ends[kind], edges)[0].tolist()
        for kind in (*kinds, failed | (latencies > fleet.usual))
    ]
    return [
        Answers(served + wrong, failures, late, slow, refused=wrong)
        for served, failures, late, slow, wrong in zip(*counts, refused, strict=True)
    ]


def _refused(rates: Floats, generator: np.random.Generator) -> list[int]:
    """Requests of each round that come at these rates, second by second, and are refused."""
    of_chunk = rates[RUN_IN_SECONDS:].reshape(-1, ROUND_SECONDS).sum(axis=1)
    refused: list[int] = generator.poisson(of_chunk).tolist()
    return refused


def _served(
    rates: Floats, pods: int, pod: PodModel, generator: np.random.Generator
) -> tuple[Floats, Floats]:
    """The latencies and the ends of requests that come at these rates, second by second."""
    counts = generator.poisson(rates)
    arrivals = np.sort(np.repeat(np.arange(len(rates)), counts) + generator.random(counts.sum()))
    if not len(arrivals):
        return np.empty(0), np.empty(0)
    latencies = serve_fleet(arrivals, pods, pod, Balancer.POWER_OF_TWO, generator).latency_seconds
    return latencies, arrivals + latencies


def _rates(rate: float, traffic: Traffic, seconds: int, generator: np.random.Generator) -> Floats:
    rates = np.full(seconds, rate)
    for minute in range(0, seconds, 60):
        begins = minute + int(generator.integers(50))
        rates[begins : begins + 10] *= traffic.burst
    return rates


def _compared(requests: int, canary: Pods, generator: np.random.Generator) -> Share:
    return Share(int(generator.binomial(requests, canary.different)), requests)


# -------------------------------------------------------------------------------------- reports


def false_alarms(runs: int) -> str:
    """Equal canaries by traffic and fleet."""
    rows, every = [], list[Ended]()
    for traffic in TRAFFICS:
        ended = [
            [rolled_out(fleet, Pods(), seed) for seed in range(runs)]
            for fleet in (fleet_of(pods, traffic) for pods in FLEETS)
        ]
        alarms = [_count(each, lambda one: one.verdict.why is Why.HARM) for each in ended]
        undecided = [_count(each, lambda one: one.verdict.why is Why.UNDECIDED) for each in ended]
        flat = [one for each in ended for one in each]
        rows.append(
            (
                traffic.name,
                len(flat),
                " ".join(map(str, alarms)),
                " ".join(map(str, undecided)),
                f"{median(one.seconds for one in flat):.0f}",
            )
        )
        every += flat
    harm = _count(every, lambda one: one.verdict.why is Why.HARM)
    undecided_of_all = _count(every, lambda one: one.verdict.why is Why.UNDECIDED)
    rows.append(
        (
            "all",
            len(every),
            f"{harm} ({harm / len(every):.1%})",
            f"{undecided_of_all} ({undecided_of_all / len(every):.1%})",
            f"{median(one.seconds for one in every):.0f}",
        )
    )
    fleets = ", ".join(map(str, FLEETS))
    header = (
        "traffic",
        "rollouts",
        f"taken back as worse, of fleets of {fleets} pods",
        "undecided",
        "median seconds",
    )
    title = f"Equal canaries; the stated rate of false alarms is {PLAN.false_alarm_rate:.0%}"
    return table(title, header, rows)


def as_busy(stable_pods: int, weight: float) -> int:
    """Canary pods that each carry what a stable one does at most, with nothing to spare."""
    return max(1, math.ceil(weight / (1 - weight) * stable_pods - 1e-9))


def without_spare(runs: int) -> str:
    """Equal canaries whose pods are as busy as the stable ones, where traffic is dense."""
    rows = []
    for traffic in TRAFFICS[1:4]:
        for size, name in ((as_busy, "as busy"), (canary_pods, "as the operator has it")):
            ended = [
                rolled_out(replace(fleet_of(19, traffic), size=size), Pods(), seed)
                for seed in range(runs)
            ]
            harm = _count(ended, lambda one: one.verdict.why is Why.HARM)
            rows.append((traffic.name, name, size(19, 0.05), f"{harm} of {runs}"))
    header = ("traffic", "size", "pods for 5%", "taken back as worse")
    return table("Equal canaries beside 19 pods, by their size", header, rows)


def detection(runs: int) -> str:
    """Worse canaries beside 4 pods."""
    rows = []
    for traffic in (TRAFFICS[0], TRAFFICS[4]):
        fleet = fleet_of(4, traffic)
        for canary in WORSE:
            ended = [rolled_out(fleet, canary, seed) for seed in range(runs)]
            back = [one for one in ended if one.verdict.phase is RolloutPhase.ROLLED_BACK]
            rows.append(
                (
                    traffic.name,
                    canary.name,
                    f"{len(back)} of {runs}",
                    _count(back, lambda one: one.verdict.why is Why.UNDECIDED),
                    f"{median(one.requests for one in back):.0f}" if back else "",
                    f"{max(one.requests for one in back)}" if back else "",
                    f"{median(one.seconds for one in back):.0f}" if back else "",
                )
            )
    header = (
        "traffic",
        "canary",
        "taken back",
        "undecided",
        "of its requests, median",
        "most",
        "median seconds",
    )
    return table("Worse canaries beside 4 pods", header, rows)


def power(runs: int) -> str:
    """Canaries that are late more often, by the resource's defaults: each request by itself, or all
    tracks' in clumps of their own, with a chance that another round has another of.
    """
    rows = [
        (
            f"{canary:.0%} beside {stable:.0%}",
            rate,
            "in clumps" if clumped else "by itself",
            f"{_percent(ended, lambda one: one.verdict.phase is RolloutPhase.PROMOTED)}",
            f"{_percent(ended, lambda one: one.verdict.why is Why.UNDECIDED)}",
            f"{median(one.requests for one in ended):.0f}",
            f"{median(one.seconds for one in ended):.0f}",
        )
        for stable, canary in LATE
        for rate in RATES
        for clumped in (False, True)
        for ended in [[_drawn(stable, canary, rate, clumped, seed) for seed in range(runs)]]
    ]
    header = (
        "late",
        "requests/s of the agent",
        "a request is late",
        "promoted",
        "undecided",
        "of its requests, median",
        "median seconds",
    )
    return table("Canaries that are late more often", header, rows)


def _drawn(stable: float, canary: float, rate: float, clumped: bool, seed: int) -> Ended:
    """One rollout of tracks whose requests are late with these chances."""
    generator = np.random.default_rng(seed)
    memory, at, requests = begin(START), START, 0
    while True:
        at += timedelta(seconds=ROUND_SECONDS)
        weight = PLAN.steps[memory.step].weight
        mine, others = (
            _late(generator, rate * ROUND_SECONDS * share, chance, clumped)
            for share, chance in ((weight, canary), (1 - weight, stable))
        )
        requests += mine.requests
        verdict, memory = advance(PLAN, memory, Round(at, True, mine, others))
        if verdict.phase is not RolloutPhase.PROGRESSING:
            return Ended(verdict, requests, (at - START).total_seconds())


def _late(generator: np.random.Generator, mean: float, chance: float, clumped: bool) -> Answers:
    requests = int(generator.poisson(mean))
    chance = min(1.0, chance * generator.exponential()) if clumped else chance
    late = int(generator.binomial(requests, chance))
    return Answers(requests, 0, late, late + int(generator.binomial(requests - late, 0.4)))


def _percent(ended: list[Ended], is_so: Callable[[Ended], bool]) -> str:
    return f"{_count(ended, is_so) / len(ended):.0%}"


def _count(ended: list[Ended], is_so: Callable[[Ended], bool]) -> int:
    return sum(map(is_so, ended))


if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    print(false_alarms(wanted), flush=True)
    print(without_spare(wanted), flush=True)
    print(detection(wanted), flush=True)
    print(power(10 * wanted))
