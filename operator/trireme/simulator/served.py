"""What a simulated pod serves: a model, or a pipeline of several. Pure.

What a pipeline's pod does at a rate is walked, as the operator's own search of what one sustains
walks it (`autoscaler.pipeline`); a model's follows from the queueing chain.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from trireme.autoscaler import capacity, pipeline, queueing
from trireme.autoscaler.pipeline import StepShape
from trireme.autoscaler.queueing import PodShape, Sustained, Unattainable
from trireme.autoscaler.service_curve import ServiceCurve
from trireme.autoscaler.types.capacity import Capacity


@dataclass(frozen=True, slots=True)
class PipelinePod:
    """A pod each of whose requests makes these calls; `models` are their names."""

    steps: tuple[StepShape, ...]
    models: tuple[str, ...]

    @property
    def busiest(self) -> StepShape:
        """The step that is nearest to its capacity."""
        return self.steps[pipeline.busiest(self.steps)]

    @property
    def busiest_model(self) -> str:
        """Its model."""
        return self.models[pipeline.busiest(self.steps)]

    @property
    def curve(self) -> ServiceCurve:
        """The busiest step's."""
        return self.busiest.pod.curve

    @property
    def instances(self) -> int:
        """The busiest step's."""
        return self.busiest.pod.instances

    @property
    def capacity_per_second(self) -> float:
        """The rate of requests to the pipeline above which the busiest step's queue grows."""
        return self.busiest.capacity_per_second


ServingPod = PodShape | PipelinePod


@lru_cache(maxsize=64)  # a walk for every load that is tried, and asked for again and again
def sustained_rate(
    pod: ServingPod, percentile: int, limit_seconds: float
) -> Sustained | Unattainable:
    """The highest rate at which a pod keeps so many percent of the requests within the limit."""
    if isinstance(pod, PipelinePod):
        return pipeline.sustained_rate(pod.steps, percentile, limit_seconds)
    return queueing.sustained_rate(pod, percentile, limit_seconds)


def mean_seconds(pod: ServingPod, rate_per_second: float) -> float:
    """The mean latency at a rate."""
    if isinstance(pod, PipelinePod):
        return float(np.mean(pipeline.latencies(pod.steps, rate_per_second)))
    return queueing.latencies(pod, rate_per_second).mean_seconds


def learnt(pod: ServingPod, per_second: float, percentile: int) -> Capacity:
    """What the operator knows of a pod that sustains so much, once it has learnt it."""
    if isinstance(pod, PipelinePod):
        return capacity.of_steps(pod.steps, pod.busiest_model, per_second, percentile)
    return capacity.of_pod(pod, per_second, percentile)
