"""llm-d's workload-variant-autoscaler (WVA), its analytic model, for a batching server.

Pure. Sources: llm-d-incubation/workload-variant-autoscaler, pkg/analyzer/queueanalyzer.go and
mm1modelstatedependent.go (the queue), pkg/core/allocation.go (the replicas).

A replica is a birth-death queue: n requests in it are served together in T(n) = a + c n, so at the
rate n / T(n), up to the largest batch, with room for ten more batches. The largest rate whose mean
response is within the target is what one replica is given; the tail is not looked at (its margin
for a percentile is defined and unused). The number is a gauge that a HorizontalPodAutoscaler
follows. a and c are told, as by its offline fit.
"""

import math
from dataclasses import dataclass, field, replace
from datetime import timedelta

import numpy as np

from trireme.api.scaling import Behavior, ScalingRules
from trireme.simulator.baselines import hpa
from trireme.simulator.baselines.hpa import ExternalMetric, HorizontalPodAutoscaler
from trireme.simulator.policy import Bounds, Metric, Observed, Reading

LOOP_SECONDS = 60  # GLOBAL_OPT_INTERVAL
ROOM = 10  # batches that may wait: MaxQueueToBatchRatio
EDGE = 1e-3  # of the slowest and the fastest rate of service, where the search ends
STEPS = 50  # of the binary search
STABILISATION = timedelta(seconds=240)  # both ways, in its documentation's sample
RATE = Reading(Metric.ANSWERS, 60, 15)


@dataclass(frozen=True, slots=True)
class Queue:
    """One replica: T(n) = `fixed_seconds` + `per_request_seconds` n, up to `max_batch` together."""

    fixed_seconds: float
    per_request_seconds: float
    max_batch: int

    def at(self, arrivals_per_second: float) -> tuple[float, float]:
        """The throughput per second and the mean response in seconds at a rate of arrivals."""
        places = np.arange(1, self.max_batch * (1 + ROOM) + 1)
        served = np.minimum(places, self.max_batch)
        rates = served / (self.fixed_seconds + self.per_request_seconds * served)
        # In logarithms: at a low rate a full queue is less likely than the least float.
        logs = np.concatenate(([0.0], np.cumsum(np.log(arrivals_per_second / rates))))
        shares = np.exp(logs - logs.max())
        shares /= shares.sum()
        throughput = arrivals_per_second * (1 - shares[-1])
        return float(throughput), float(shares[1:] @ places) / float(throughput)

    def largest_throughput(self, response_seconds: float) -> float:
        """The throughput at the largest rate whose mean response is within the target."""
        least, most = (
            batch / (self.fixed_seconds + self.per_request_seconds * batch)
            for batch in (1, self.max_batch)
        )
        within, beyond = least * EDGE, most * (1 - EDGE)
        if self.at(beyond)[1] <= response_seconds:
            return self.at(beyond)[0]
        for _ in range(STEPS):
            middle = (within + beyond) / 2
            if self.at(middle)[1] <= response_seconds:
                within = middle
            else:
                beyond = middle
        return self.at(within)[0]


@dataclass(frozen=True, slots=True)
class Memory:
    """`wanted` is the gauge, and `computed` when it was set."""

    hpa: hpa.Memory
    computed: float | None = None
    wanted: int | None = None


@dataclass(frozen=True, slots=True)
class WorkloadVariantAutoscaler:
    """The optimiser's loop, and the HorizontalPodAutoscaler on its gauge."""

    name: str
    bounds: Bounds
    queue: Queue
    response_seconds: float
    interval_seconds: float = hpa.SYNC_SECONDS
    readings: tuple[Reading, ...] = (RATE,)
    per_replica_per_second: float = field(init=False)
    autoscaler: HorizontalPodAutoscaler = field(init=False)

    def __post_init__(self) -> None:
        rate = self.queue.largest_throughput(self.response_seconds)
        object.__setattr__(self, "per_replica_per_second", rate)
        gauge = ExternalMetric(RATE, 1)
        autoscaler = HorizontalPodAutoscaler(self.name, (gauge,), self.bounds, _behavior())
        object.__setattr__(self, "autoscaler", autoscaler)

    def begin(self, now_seconds: float, replicas: int) -> Memory:
        """No gauge yet."""
        return Memory(self.autoscaler.begin(now_seconds, replicas))

    def decide(self, observed: Observed, memory: Memory) -> tuple[int, Memory]:
        """One sync; before it the optimiser, when it is due."""
        (rate,) = observed.values
        now = observed.now_seconds
        is_due = memory.computed is None or now - memory.computed >= LOOP_SECONDS
        if is_due and rate is not None:
            wanted = max(self.bounds.least, math.ceil(rate / self.per_replica_per_second))
            memory = replace(memory, computed=now, wanted=wanted)
        gauge = hpa.adapted(memory.wanted)
        replicas, remembered = self.autoscaler.reconcile(observed, [gauge], memory.hpa)
        return replicas, replace(memory, hpa=remembered)


def _behavior() -> Behavior:
    """The default rate policies, with the documentation's windows."""
    up, down = Behavior().up.policies, Behavior().down.policies
    return Behavior(
        up=ScalingRules(stabilization_window=STABILISATION, policies=up),
        down=ScalingRules(stabilization_window=STABILISATION, policies=down),
    )
