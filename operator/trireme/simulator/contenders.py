"""The policies that can be compared, by name, each with the settings that its users give it.

Pure. A baseline that scales on a rate or on requests in flight is set to 70 % of what a pod
sustains: its user is taken to have measured that, which no baseline does by itself. Metrics come
through Prometheus, scraped every 15 s, so that a query finds what is 7.5 s old on average; the
window is 60 s with prometheus-adapter, and 30 s with KEDA. Rates are those of arrivals at an
ingress: better than the rate of answers, which is blind to what waits.

Trireme has learnt its curve long ago, as it has after some minutes of load, and exactly.

`multiple` is what a policy's own target is multiplied by: a sweep compares policies at the same
share of late requests.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from trireme.autoscaler.types.observation import LeadTime
from trireme.simulator import fluid, served
from trireme.simulator.baselines.aibrix import Aibrix
from trireme.simulator.baselines.hpa import ExternalMetric, HorizontalPodAutoscaler, TargetType
from trireme.simulator.baselines.keda import ScaledObject, Trigger
from trireme.simulator.baselines.kpa import KnativePodAutoscaler
from trireme.simulator.baselines.ray_serve import RayServe
from trireme.simulator.baselines.triton_sample import TARGET_MICROSECONDS, TritonSample
from trireme.simulator.baselines.wva import Queue, WorkloadVariantAutoscaler
from trireme.simulator.policy import Bounds, Metric, Observed, Policy, Reading
from trireme.simulator.scenario import Scenario
from trireme.simulator.simulation import WARM_UP_SECONDS
from trireme.simulator.trireme_policy import TriremePolicy

SCRAPE_LAG_SECONDS = 7.5
ADAPTER_SECONDS, KEDA_SECONDS = 60, 30
STARTS = 50  # that Trireme has measured

Make = Callable[[Scenario, float], Policy[Any]]
MemoryT = TypeVar("MemoryT")


@dataclass(frozen=True, slots=True)
class Edited(Generic[MemoryT]):
    """A policy whose bounds somebody edits when schedules say so, since it knows none itself."""

    policy: Policy[MemoryT]
    bounds_at: Callable[[float], Bounds]

    @property
    def name(self) -> str:
        """The policy's."""
        return self.policy.name

    @property
    def interval_seconds(self) -> float:
        """The policy's."""
        return self.policy.interval_seconds

    @property
    def readings(self) -> tuple[Reading, ...]:
        """The policy's."""
        return self.policy.readings

    def begin(self, now_seconds: float, replicas: int) -> MemoryT:
        """The policy's memory."""
        return self.policy.begin(now_seconds, replicas)

    def decide(self, observed: Observed, memory: MemoryT) -> tuple[int, MemoryT]:
        """What the policy decides, within the bounds of that time."""
        wanted, memory = self.policy.decide(observed, memory)
        return self.bounds_at(observed.now_seconds).clamp(wanted), memory


def contender(name: str, on: Scenario, multiple: float) -> Policy[Any]:
    """A policy by its name, with `multiple` of its own target."""
    made = CONTENDERS[name](on, multiple)
    return Edited(made, on.bounds_at) if on.hours.schedules and name != TRIREME else made


def first_size(name: str, on: Scenario, needed: int) -> int:
    """The pods that a policy's fleet begins with, where so many are needed at first."""
    size = on.bounds_at(-WARM_UP_SECONDS).clamp(needed)
    return size if name in TO_NONE else max(size, 1)


def measured(lead_time: fluid.LeadTime) -> LeadTime:
    """A lead time as Trireme has learnt it."""
    return LeadTime(lead_time.p95_seconds, lead_time.seconds, samples=STARTS)


def _trireme(on: Scenario, multiple: float) -> Policy[Any]:
    return TriremePolicy(
        on.asked,
        served.learnt(on.pod, multiple * on.sustained_per_second, on.objective.percentile),
        measured(on.lead_time),
        on.hours,
        on.room,
    )


def _with_a_pod(on: Scenario) -> Bounds:
    """The bounds of what does not scale to zero, as it is used or as it is simulated."""
    return Bounds(max(on.widest.least, 1), on.widest.most)


def _hpa_rps(on: Scenario, multiple: float) -> Policy[Any]:
    reading = Reading(Metric.ARRIVALS, ADAPTER_SECONDS, SCRAPE_LAG_SECONDS)
    metric = ExternalMetric(reading, multiple * on.common_rate)
    return HorizontalPodAutoscaler("hpa-rps", (metric,), _with_a_pod(on))


def _hpa_latency(on: Scenario, multiple: float) -> Policy[Any]:
    percentile = on.objective.percentile
    reading = Reading(Metric.LATENCY, ADAPTER_SECONDS, SCRAPE_LAG_SECONDS, percentile)
    target = multiple * on.objective.limit_seconds
    metric = ExternalMetric(reading, target, TargetType.VALUE)
    return HorizontalPodAutoscaler("hpa-p95", (metric,), _with_a_pod(on))


def _keda(on: Scenario, multiple: float) -> Policy[Any]:
    reading = Reading(Metric.ARRIVALS, KEDA_SECONDS, SCRAPE_LAG_SECONDS)
    return ScaledObject("keda", (Trigger(reading, multiple * on.common_rate),), on.widest)


def _kpa(on: Scenario, multiple: float) -> Policy[Any]:
    return KnativePodAutoscaler("kpa", _with_a_pod(on), target=multiple * on.common_in_flight)


def _kpa_rps(on: Scenario, multiple: float) -> Policy[Any]:
    target = multiple * on.common_rate
    return KnativePodAutoscaler("kpa-rps", _with_a_pod(on), Metric.ARRIVALS, target)


def _ray_serve(on: Scenario, multiple: float) -> Policy[Any]:
    target = multiple * on.common_in_flight
    return RayServe("ray-serve", _with_a_pod(on), target_ongoing_requests=target)


def _triton_sample(on: Scenario, multiple: float) -> Policy[Any]:
    return TritonSample(bounds=_with_a_pod(on), target_microseconds=multiple * TARGET_MICROSECONDS)


def _aibrix(on: Scenario, multiple: float) -> Policy[Any]:
    return Aibrix("aibrix", _with_a_pod(on), multiple * on.common_in_flight)


def _wva(on: Scenario, multiple: float) -> Policy[Any]:
    curve = on.pod.curve
    queue = Queue(curve.fixed_seconds, curve.per_request_seconds, curve.max_batch)
    return WorkloadVariantAutoscaler(
        "wva", _with_a_pod(on), queue, response_seconds=multiple * on.objective.limit_seconds
    )


TRIREME = "trireme"
CONTENDERS: Mapping[str, Make] = {
    TRIREME: _trireme,
    "hpa-rps": _hpa_rps,
    "hpa-p95": _hpa_latency,
    "keda": _keda,
    "kpa": _kpa,
    "kpa-rps": _kpa_rps,
    "ray-serve": _ray_serve,
    "aibrix": _aibrix,
    "wva": _wva,
    "triton-sample": _triton_sample,
}
"""What makes each policy, by its name."""
TO_NONE = frozenset({TRIREME, "keda"})
"""Those that go to no pod, and come back from it, where the bounds let them."""
OF_ONE_MODEL = frozenset({"wva", "triton-sample"})
"""Those that look at a model's queue, or plan by one: of a pipeline there are several."""
