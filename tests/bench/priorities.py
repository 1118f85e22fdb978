"""What a pod sustains where some requests go before others, beside a queue in order.

Needs no cluster: `python -m bench.priorities`.
"""

from collections.abc import Sequence

import numpy as np

from bench.table import table
from trireme.autoscaler.batch_events import PodModel, poisson_arrivals, serve_by_priority
from trireme.autoscaler.pipeline import StepShape, sustained_rate
from trireme.autoscaler.queueing import Sustained
from trireme.autoscaler.service_curve import ServiceCurve

CURVES = (
    ServiceCurve(0.006, 0.002, 16),
    ServiceCurve(0.004, 0.0005, 32),
    ServiceCurve(0.040, 0.010, 8),
    ServiceCurve(0.005, 0.005, 1),
)
FULL_BATCHES = (1.5, 2.5, 4)
FIRST = (0.05, 0.2, 0.5, 0.8, 0.95)
REQUESTS = 120_000


def run() -> str:
    """Rates as shares of the capacity, and who is late at the one with priorities."""
    rows = [_row(curve, times) for curve in CURVES for times in FULL_BATCHES]
    late = tuple(f"late, {share:.0%} first" for share in FIRST)
    header = ("pod", "p95 within, full batches", "in order", "with priorities", *late)
    return table("What a pod sustains with priorities, of its capacity", header, rows)


def _row(curve: ServiceCurve, times: float) -> Sequence[object]:
    limit, pod = times * curve.full_batch_seconds, PodModel(curve)
    capacity = curve.capacity_per_second()
    in_order, ranked = (
        sustained_rate((StepShape(pod, has_priorities=each),), 95, limit) for each in (False, True)
    )
    assert isinstance(in_order, Sustained)
    assert isinstance(ranked, Sustained)
    generator = np.random.default_rng(5)
    arrivals = poisson_arrivals(ranked.per_second, REQUESTS, generator)
    late = []
    for share in FIRST:
        levels = (generator.random(REQUESTS) > share).astype(np.int64)
        latency = serve_by_priority(arrivals, levels, pod, generator).latency_seconds
        late.append(f"{np.mean(latency > limit):.1%}")
    rates = (f"{rate.per_second / capacity:.3f}" for rate in (in_order, ranked))
    return (curve, times, *rates, *late)


if __name__ == "__main__":
    print(run())
