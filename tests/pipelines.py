"""Pipelines of a pod that are judged: steps in series, and what independent queues would say."""

import numpy as np

from pods import LIGHT, MEDIUM, NARROW, WIDE
from trireme.autoscaler.batch_events import PodModel
from trireme.autoscaler.pipeline import StepShape
from trireme.autoscaler.queueing import PodShape, latencies
from trireme.autoscaler.service_curve import ServiceCurve

SINGLE = ServiceCurve(0.0008, 0.0, 1)
SLOW = ServiceCurve(0.020, 0.001, 32)
LARGE = ServiceCurve(0.040, 0.0005, 64)

LINES: tuple[tuple[tuple[ServiceCurve, int], ...], ...] = (
    ((LIGHT, 1), (LIGHT, 1)),
    ((LIGHT, 1), (MEDIUM, 1)),
    ((MEDIUM, 1), (LIGHT, 1)),
    ((WIDE, 1), (NARROW, 1)),
    ((SLOW, 1), (SINGLE, 1)),
    ((LARGE, 1), (LARGE, 1)),
    ((SLOW, 1), (NARROW, 2)),
    ((LIGHT, 2), (LIGHT, 2)),
    ((MEDIUM, 1), (WIDE, 1), (LIGHT, 1)),
    ((MEDIUM, 1), (MEDIUM, 1), (MEDIUM, 1)),
)
"""By step in series, the curve and the instances."""

CELLS = 2000  # of the full batches' time together


def in_series(*steps: tuple[ServiceCurve, int]) -> tuple[StepShape, ...]:
    return tuple(
        StepShape(PodModel(curve, instances), after=(at - 1,) if at else ())
        for at, (curve, instances) in enumerate(steps)
    )


def convolved_seconds(
    line: tuple[tuple[ServiceCurve, int], ...], rate_per_second: float, percentile: float
) -> float:
    """The percentile where each step is a queue of random arrivals, independent of the others."""
    cell = sum(curve.full_batch_seconds for curve, _ in line) / CELLS
    together = np.ones(1)
    for curve, instances in line:
        step = latencies(PodShape(curve, instances), rate_per_second)
        cells = np.arange(int(step.percentile_seconds(99.999) / cell) + 2) * cell
        within = np.interp(cells, step.seconds, step.within, left=0.0, right=1.0)
        together = np.convolve(together, np.diff(within, prepend=0.0))
    return float(np.searchsorted(np.cumsum(together), percentile / 100) * cell)
