"""How long requests take through a pipeline's steps in a pod, and which rate it sustains.

Pure. The queueing model is of one queue that requests come to at random. A step's requests come as
the step before ends its batches, many at once, and how long one waits there tells how long it waits
next. Taken as independent queues of random arrivals (the latencies convolved), steps come out up to
29 % too quick and 21 % too slow (docs/benchmarks.md). So requests are drawn, always the same
ones, and walk through the steps batch by batch (`batch_events`): branches, several instances and
noise are as they are.

The answers of a batch come one by one, a moment apart, and an idle instance takes the first at once
and alone: so a real Triton does (tests/integration/test_pipeline_batches.py).

Requests that others send to a step's model, or another step of the same model, are drawn besides:
at random times, at a rate that is in proportion to the pipeline's.

A model whose queue rejects what waited for too long, or whose requests have priorities, is walked
through, too, as a pipeline of one step: the queueing model knows latencies in order only. Which
request has which priority is in no statistics: two levels that are as frequent are next to the
worst case, at most 5 % below a queue in order (docs/benchmarks.md).

A curve that was learnt while the other steps ran holds what they cost each other on a shared GPU or
CPU, at the load of then.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trireme.autoscaler.batch_events import (
    Floats,
    PodModel,
    Served,
    poisson_arrivals,
    serve,
    serve_by_priority,
)
from trireme.autoscaler.queueing import LEAST_LOAD, MOST_LOAD, Sustained, Unattainable

REQUESTS = 60_000  # other ones move the sustained rate by up to 2 %: tests/bench/pipeline.py
SEED = 1
FEWEST = 5_000  # requests that tell a p99, whose share is then off by a tenth
APART_SECONDS = 1e-7  # the answers of a batch: shorter than anything that a step takes
DIGITS = 9  # of a second, to which a batch's answers are at once but for rounding
WARM_UP = 0.05  # of the requests: a pod that begins idle is quicker
PRECISION = 0.01  # of the sustained rate, to which it is found; never above it


@dataclass(frozen=True, slots=True)
class StepShape:
    """A call of a model that serves so, after the calls at these places.

    `calls` is how often the model is called, by anybody, for each request to the pipeline. A
    request that waits for longer than `timeout_seconds` is rejected; with priorities half
    of the requests wait for the other half.
    """

    pod: PodModel
    calls: float = 1.0
    after: tuple[int, ...] = ()
    timeout_seconds: float = math.inf
    has_priorities: bool = False

    @property
    def capacity_per_second(self) -> float:
        """The rate of the pipeline above which the model's queue grows without end."""
        return self.pod.curve.capacity_per_second(self.pod.instances) / self.calls

    def serve(self, arrivals: Floats, generator: np.random.Generator) -> Served:
        """What becomes of the calls that arrive at these times."""
        if self.has_priorities:
            levels = generator.integers(2, size=len(arrivals))
            return serve_by_priority(arrivals, levels, self.pod, generator)
        return serve(arrivals, self.pod, generator)


def busiest(steps: Sequence[StepShape]) -> int:
    """The place of the step that is nearest to its capacity."""
    return min(range(len(steps)), key=lambda at: steps[at].capacity_per_second)


def latencies(
    steps: Sequence[StepShape], rate_per_second: float, requests: int = REQUESTS, seed: int = SEED
) -> Floats:
    """The latencies of requests, from first to last, that come as a Poisson stream; those of the
    rejected are infinite. They go on to the next step here, so that it has no less to do.

    As many calls are walked as there are requests without others' traffic: with ten calls for each
    request a tenth of the requests. Pre: the rate is below each step's capacity.
    """
    requests = max(FEWEST, round(requests / max(step.calls for step in steps)))
    generator = np.random.default_rng(seed)
    arrivals = poisson_arrivals(rate_per_second, requests, generator)
    arrivals *= requests / rate_per_second / arrivals[-1]  # the mean rate is exactly what was asked
    ends, rejected = list[Floats](), np.zeros(requests, bool)
    for step in steps:
        begins = np.maximum.reduce([ends[at] for at in step.after]) if step.after else arrivals
        others = generator.uniform(0, arrivals[-1], round((step.calls - 1) * requests))
        comes = np.round(np.concatenate((begins, others)), DIGITS)
        order = np.argsort(comes, kind="stable")
        at = comes[order]
        at += APART_SECONDS * (np.arange(len(at)) - np.searchsorted(at, at))  # of those at once
        left = np.empty_like(at)
        waited = np.empty_like(at)
        served = step.serve(at, generator)
        left[order], waited[order] = at + served.latency_seconds, served.wait_seconds
        ends.append(left[:requests])
        rejected |= waited[:requests] > step.timeout_seconds
    through: Floats = np.where(rejected, math.inf, np.maximum.reduce(ends) - arrivals)
    return through[round(WARM_UP * requests) :]


def percentile_seconds(
    steps: Sequence[StepShape], rate_per_second: float, percentile: float
) -> float:
    """The latency that so many in a hundred requests do not exceed at a rate; without end where
    they are rejected.
    """
    return float(np.percentile(latencies(steps, rate_per_second), percentile, method="higher"))


def sustained_rate(
    steps: Sequence[StepShape],
    percentile: float,
    limit_seconds: float,
    most_rejected: float = 1.0,
) -> Sustained | Unattainable:
    """The highest rate at which the percentile of the latencies is within the limit, and at most a
    share of the requests is rejected. A rejected one is late, however soon it is told so.
    """
    capacity = steps[busiest(steps)].capacity_per_second
    budget = 1 - percentile / 100

    def keeps(found: Floats) -> bool:
        late, rejected = np.mean(found > limit_seconds), np.mean(np.isinf(found))
        return bool(late <= budget and rejected <= most_rejected)

    low, high = LEAST_LOAD, MOST_LOAD
    idle = latencies(steps, low * capacity)
    if not keeps(idle):
        return Unattainable(float(np.percentile(idle, percentile, method="higher")))
    while high - low > PRECISION * high:
        load = (low + high) / 2
        low, high = (load, high) if keeps(latencies(steps, load * capacity)) else (low, load)
    return Sustained(low * capacity)
