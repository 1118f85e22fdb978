"""Pipelines beside what independent queues would say of them, and what the search costs.

Needs no cluster: `python -m bench.pipeline`. The truth is 400,000 requests through the steps.
"""

import time
from collections.abc import Iterable

import numpy as np

from bench.table import table
from pipelines import LINES, convolved_seconds, in_series
from trireme.autoscaler import pipeline
from trireme.autoscaler.queueing import Sustained

LOADS = (0.1, 0.3, 0.5, 0.7, 0.85)
REQUESTS = 400_000
SEEDS = range(2, 10)
FULL_BATCHES = 1.5  # the limit, in full batches of all steps


def run() -> str:
    """Independent queues' errors, then the search's own and its cost."""
    return "\n".join((_independent(), _searched()))


def _name(line: Iterable[tuple[object, int]]) -> str:
    return ", then ".join(f"{curve} (x{k})" if k > 1 else str(curve) for curve, k in line)


def _independent() -> str:
    rows = []
    for line in LINES:
        steps = in_series(*line)
        capacity = steps[pipeline.busiest(steps)].capacity_per_second
        errors: dict[int, list[float]] = {95: [], 99: []}
        for load in LOADS:
            true = pipeline.latencies(steps, load * capacity, REQUESTS)
            for percentile, found in errors.items():
                convolved = convolved_seconds(line, load * capacity, percentile)
                found.append(convolved / float(np.percentile(true, percentile)) - 1)
        rows.append((_name(line), *(_range(found) for found in errors.values())))
    title = "Latencies of steps convolved as independent queues, loads of 10 to 85 %: error"
    return table(title, ("steps", "p95", "p99"), rows)


def _searched() -> str:
    rows = []
    for line in LINES:
        steps = in_series(*line)
        limit = FULL_BATCHES * sum(curve.full_batch_seconds for curve, _ in line)
        began = time.process_time()
        found = pipeline.sustained_rate(steps, 95, limit)
        took = time.process_time() - began
        assert isinstance(found, Sustained)
        late = [
            float(np.mean(pipeline.latencies(steps, found.per_second, seed=seed) > limit))
            for seed in SEEDS
        ]
        capacity = steps[pipeline.busiest(steps)].capacity_per_second
        rows.append(
            (
                _name(line),
                f"{found.per_second / capacity:.0%}",
                f"{min(late):.1%} to {max(late):.1%}",
                f"{took:.1f}",
            )
        )
    header = ("steps", "sustained, of the capacity", "late of other requests", "s of a processor")
    return table(f"The sustained rate within p95 of {FULL_BATCHES} full batches", header, rows)


def _range(errors: list[float]) -> str:
    return f"{min(errors):+.0%} to {max(errors):+.0%}"


if __name__ == "__main__":
    print(run())
