"""The predicted p95 of pods behind the gateway's choice beside discrete events.

Needs no cluster: `python -m bench.choice`. The peers are the same fleets simulated event by event,
with Poisson arrivals; a prediction is judged by the share that its percentiles are off.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import product
from statistics import fmean

import numpy as np

from bench.chain import OTHERS
from bench.table import table
from pods import LIGHT, NARROW
from trireme.autoscaler.batch_events import PodModel, Served, poisson_arrivals
from trireme.autoscaler.choice import Fleet
from trireme.autoscaler.queueing import MOST_LOAD, PodShape, percentile_seconds
from trireme.autoscaler.service_curve import ServiceCurve
from trireme.simulator.pods import Balancer, serve_fleet

# Fixed shares and largest batches that are not in the table; the last is that of `bench.predict`.
CURVES = (*OTHERS, LIGHT, NARROW, ServiceCurve(0.0211, 0.00512, 8, 0.0008))
LOADS = (0.3, 0.45, 0.6, 0.75, 0.9)
PODS = (2, 3, 5, 8)
BUSY, BUSIER = 0.7, 0.85  # above them queues change slowly, so that more requests are needed
REQUESTS, REQUESTS_BUSY, REQUESTS_BUSIER = 100_000, 250_000, 600_000
PERCENTILES = (95, 99)
FEW = (OTHERS[0], OTHERS[1], OTHERS[2], LIGHT)
LIMITS = (1.2, 1.5, 2.0, 3.0)  # full batches


@dataclass(frozen=True, slots=True)
class Case:
    """A fleet at a load."""

    shape: PodShape
    fleet: Fleet
    load: float

    @property
    def rate_per_second(self) -> float:
        """Of each pod."""
        return self.load * self.shape.capacity_per_second


@dataclass(frozen=True, slots=True)
class Errors:
    """How far percentiles are off, relatively; `alone` is p95 as it is predicted of a pod alone."""

    case: Case
    by_percentile: tuple[float, ...]
    alone: float

    @property
    def p95(self) -> float:
        """Of the p95."""
        return self.by_percentile[PERCENTILES.index(95)]


def run() -> str:
    """Accuracy by pods, by load and of other fleets; then what it were worth."""
    found = [
        errors(Case(PodShape(curve), Fleet(pods, 1), load))
        for curve, pods, load in product(CURVES, PODS, LOADS)
    ]
    return "\n".join((_by_pods(found), _by_load(found), _others(), _worth()))


def errors(case: Case) -> Errors:
    """Predict and simulate a case."""
    seen = _seen(case)
    off = tuple(
        percentile_seconds(case.shape, case.rate_per_second, percentile, case.fleet)
        / seen.percentile_seconds(percentile)
        - 1
        for percentile in PERCENTILES
    )
    alone = percentile_seconds(case.shape, case.rate_per_second, 95)
    return Errors(case, off, alone / seen.percentile_seconds(95) - 1)


def _seen(case: Case) -> Served:
    requests = REQUESTS
    if case.load > BUSY:
        requests = REQUESTS_BUSIER if case.load > BUSIER else REQUESTS_BUSY
    rate, shape = case.fleet.pods * case.rate_per_second, case.shape
    generator = np.random.default_rng(1)
    arrivals = poisson_arrivals(rate, requests, generator)
    arrivals *= requests / rate / arrivals[-1]  # the mean rate exactly
    model = PodModel(shape.curve, shape.instances, noise=shape.noise)
    by = Balancer.POWER_OF_TWO
    return serve_fleet(arrivals, case.fleet.pods, model, by, generator, case.fleet.gateways)


def _by_pods(found: list[Errors]) -> str:
    rows = []
    for pods in PODS:
        those = [each for each in found if each.case.fleet.pods == pods]
        columns = zip(*(each.by_percentile for each in those), strict=True)
        rows.append((pods, *map(_spread, columns), _spread(each.alone for each in those)))
    p95, alone = _spread(e.p95 for e in found), _spread(e.alone for e in found)
    rows.append(("all", p95, "", alone))
    header = ("pods", *(f"p{percentile}" for percentile in PERCENTILES), "p95 of a pod alone")
    title = f"{len(found)} cases of one gateway: mean (range) error"
    return table(title, header, rows)


def _by_load(found: list[Errors]) -> str:
    rows = []
    for load in LOADS:
        those = [each for each in found if each.case.load == load]
        spreads = (_spread(e.p95 for e in those), _spread(e.alone for e in those))
        rows.append((f"{load:.0%}", *spreads))
    return table("By load", ("load", "p95", "p95 of a pod alone"), rows)


def _others() -> str:
    """Several gateways, and what the table was not made of: noise."""
    usual = Case(PodShape(LIGHT), Fleet(gateways=1), 0.5)
    sorts = {
        "2 gateways": replace(usual, fleet=Fleet(gateways=2)),
        "3 gateways": replace(usual, fleet=Fleet(gateways=3)),
        "times that vary by 20 %": replace(usual, shape=PodShape(LIGHT, noise=0.2)),
    }
    rows = []
    for words, sort in sorts.items():
        those = [
            errors(
                Case(replace(sort.shape, curve=curve), replace(sort.fleet, pods=pods), load),
            )
            for curve, pods, load in product(FEW, (2, 4), (0.3, 0.6, 0.8))
        ]
        spreads = (_spread(e.p95 for e in those), _spread(e.alone for e in those))
        rows.append((words, *spreads))
    title = "Other fleets, of 2 and 4 pods at loads of 30, 60 and 80 %"
    return table(title, ("", "p95", "p95 of a pod alone"), rows)


def _worth() -> str:
    """How much more than a pod alone each of a fleet would sustain by this, which is not used."""
    rows = []
    for limit in LIMITS:
        gains = []
        for pods, gateways in ((2, 1), (4, 1), (16, 1), (4, 2)):
            those = [
                _sustained(curve, Fleet(pods, gateways), limit) / _sustained(curve, Fleet(), limit)
                - 1
                for curve in CURVES
                if _sustained(curve, Fleet(), limit) > 0
            ]
            gains.append(f"{fmean(those):+.1%} (to {max(those):+.1%})")
        rows.append((limit, *gains))
    header = ("p95 within, full batches", "2 pods", "4 pods", "16 pods", "4 pods, 2 gateways")
    return table("What a pod would sustain more: mean (largest)", header, rows)


def _sustained(curve: ServiceCurve, fleet: Fleet, limit: float) -> float:
    """The load at which p95 is that many full batches; 0 where none is low enough."""
    shape, low, high = PodShape(curve), 0.0, MOST_LOAD
    while high - low > 1e-3:
        load = (low + high) / 2
        p95 = percentile_seconds(shape, load * shape.capacity_per_second, 95, fleet)
        low, high = (load, high) if p95 <= limit * curve.full_batch_seconds else (low, load)
    return low


def _spread(errors: Iterable[float]) -> str:
    found = list(errors)
    mean = fmean(abs(error) for error in found)
    return f"{mean:.1%} ({min(found):+.1%} to {max(found):+.1%})"


if __name__ == "__main__":
    print(run())
