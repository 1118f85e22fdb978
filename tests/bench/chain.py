"""The queueing model beside discrete events, and what it costs.

Needs no cluster: `python -m bench.chain`. The peers are the same pods simulated event by event,
with Poisson arrivals; a model is judged by the share that its percentiles are off.
"""

import time
from collections.abc import Iterable, Sequence
from statistics import fmean

from bench.table import table
from pods import PROFILES, simulated
from trireme.autoscaler.queueing import PodShape, latencies, mixture, sustained_rate
from trireme.autoscaler.service_curve import ServiceCurve

# Fixed shares, batches and loads that are not in the table of several instances.
OTHERS = tuple(
    ServiceCurve(0.02 * share, 0.02 * (1 - share) / batch, batch)
    for share, batch in ((0.4, 24), (0.15, 12), (0.8, 48), (0.05, 6), (0.35, 2))
)
OTHER_LOADS = (0.2, 0.4, 0.6, 0.75, 0.88, 0.93)
LOADS = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95)
BUSY = 0.65  # above it queues change slowly, so that more requests are needed
REQUESTS, REQUESTS_BUSY = 200_000, 3_000_000
PERCENTILES = (50, 95, 99)
NOISES = (0.1, 0.2, 0.3, 0.5)
AGENTS = 50


def run() -> str:
    """Accuracy by profile, by instances and by noise; then the cost."""
    return "\n".join((_one_instance(), _instances(), _noise(), _cost()))


def _errors(shape: PodShape, load: float, requests: int | None = None) -> list[float]:
    """How far each percentile is off, relatively."""
    seen = simulated(shape, load, requests or (REQUESTS_BUSY if load > BUSY else REQUESTS))
    found = latencies(shape, load * shape.capacity_per_second)
    return [found.percentile_seconds(p) / seen.percentile_seconds(p) - 1 for p in PERCENTILES]


def _one_instance() -> str:
    rows = []
    for curve in PROFILES:
        errors = [_errors(PodShape(curve), load) for load in LOADS]
        rows.append((str(curve), *(_spread(column) for column in zip(*errors, strict=True))))
    header = ("pod", *(f"p{percentile}" for percentile in PERCENTILES))
    return table("One instance, loads of 10 to 95 %: mean (largest) error", header, rows)


def _instances() -> str:
    """Beside it the chain at 1/k of the rate, as which several instances could be taken, too."""
    rows = []
    for pods, curves, loads in (("above", PROFILES, LOADS), ("others", OTHERS, OTHER_LOADS)):
        for instances in (2, 3, 4, 6):
            own: list[float] = []
            plain: list[float] = []
            for curve in curves:
                shape = PodShape(curve, instances)
                for load in loads:
                    requests = 3 * REQUESTS if load > BUSY else REQUESTS
                    seen = simulated(shape, load, requests).percentile_seconds(95)
                    rate = load * shape.capacity_per_second
                    own.append(latencies(shape, rate).percentile_seconds(95) / seen - 1)
                    alone = mixture(PodShape(curve), rate / instances, 1.0)
                    plain.append(alone.percentile_seconds(95) / seen - 1)
            rows.append((pods, instances, _spread(own), _spread(plain)))
    header = ("pods", "instances", "p95", "p95 of one instance at its part of the rate")
    return table("Several instances: mean (range) error", header, rows)


def _noise() -> str:
    rows = []
    for noise in NOISES:
        errors = [
            _errors(PodShape(curve, noise=noise), load, REQUESTS_BUSY // 3)
            for curve in PROFILES
            for load in (0.3, 0.7)
        ]
        rows.append((noise, *(_spread(column) for column in zip(*errors, strict=True))))
    header = ("coefficient of variation", *(f"p{percentile}" for percentile in PERCENTILES))
    return table("Noise in service times, loads of 30 and 70 %", header, rows)


def _cost() -> str:
    rows = []
    for curve in PROFILES:
        shapes = [
            PodShape(ServiceCurve(curve.fixed_seconds * (1 + i / AGENTS), *_rest(curve)))
            for i in range(AGENTS)
        ]
        began = time.process_time()
        for shape in shapes:
            latencies(shape, 0.8 * shape.capacity_per_second)
        solved = time.process_time()
        for shape in shapes:
            sustained_rate(shape, 95, 2 * shape.curve.full_batch_seconds)
        sought = time.process_time()
        for shape in shapes:
            sustained_rate(shape, 95, 2 * shape.curve.full_batch_seconds)
        again = time.process_time()
        rows.append(
            (
                str(curve),
                f"{(solved - began) / AGENTS * 1e3:.1f}",
                f"{(sought - solved) / AGENTS * 1e3:.1f}",
                f"{(again - sought) / AGENTS * 1e3:.3f}",
            )
        )
    header = ("pod", "latencies at a rate", "sustained rate", "the same again")
    return table(f"Milliseconds of the processor, mean of {AGENTS} curves", header, rows)


def _rest(curve: ServiceCurve) -> tuple[float, int]:
    return curve.per_request_seconds, curve.max_batch


def _spread(errors: Iterable[float] | Sequence[float]) -> str:
    found = list(errors)
    mean = fmean(abs(error) for error in found)
    return f"{mean:.1%} ({min(found):+.1%} to {max(found):+.1%})"


if __name__ == "__main__":
    print(run())
