"""NVIDIA's own sample of an autoscaled Triton: a HorizontalPodAutoscaler on time in the queue.

Pure. Source: triton-inference-server/server, deploy/k8s-onprem: values.yaml (target 50, from 1 to 3
replicas) and templates/hpa.yaml. Its adapter's query is, per pod,
`avg(delta(nv_inference_queue_duration_us[30s]) / (1 + delta(nv_inference_request_success[30s])))`.
A batching server reaches 50 us at less than 1 % of its capacity, so this stays at its largest size.
"""

from dataclasses import dataclass

from trireme.simulator.baselines.hpa import (
    SYNC_SECONDS,
    HorizontalPodAutoscaler,
    Memory,
    PodsMetric,
    adapted,
)
from trireme.simulator.policy import Bounds, Metric, Observed, Reading

TARGET_MICROSECONDS = 50
WINDOW_SECONDS = 30
SCRAPE_LAG_SECONDS = (
    15  # Prometheus' scrape interval in the sample's chart, 15 s, and the adapter's
)
BOUNDS = Bounds(1, 3)


@dataclass(frozen=True, slots=True)
class TritonSample:
    """The sample as it is shipped; larger `bounds` are what its users set."""

    name: str = "triton-sample"
    bounds: Bounds = BOUNDS
    target_microseconds: float = TARGET_MICROSECONDS
    interval_seconds: float = SYNC_SECONDS
    readings: tuple[Reading, ...] = (
        Reading(Metric.QUEUE_TIME, WINDOW_SECONDS, SCRAPE_LAG_SECONDS),
        Reading(Metric.ANSWERS, WINDOW_SECONDS, SCRAPE_LAG_SECONDS),
    )

    def begin(self, now_seconds: float, replicas: int) -> Memory:
        """As any HorizontalPodAutoscaler begins."""
        return self._autoscaler.begin(now_seconds, replicas)

    def decide(self, observed: Observed, memory: Memory) -> tuple[int, Memory]:
        """One sync."""
        queue_time, answers = observed.values
        value = None
        if queue_time is not None and answers is not None and observed.ready:
            requests = answers * WINDOW_SECONDS / observed.ready
            # In an idle window there is no queue time, and the query's `1 +` makes it 0.
            value = queue_time * requests / (1 + requests) if requests else 0.0
        return self._autoscaler.reconcile(observed, [adapted(value)], memory)

    @property
    def _autoscaler(self) -> HorizontalPodAutoscaler:
        metric = PodsMetric(self.readings[0], self.target_microseconds)
        return HorizontalPodAutoscaler(self.name, (metric,), self.bounds)
