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
from typing import Any

from trireme.api.types import Paused, ScalingMode
from trireme.autoscaler import types as autoscaler
from trireme.autoscaler.capacity import of_pod
from trireme.autoscaler.queueing import PodShape
from trireme.autoscaler.types import LeadTime
from trireme.simulator import fluid
from trireme.simulator.baselines.aibrix import Aibrix
from trireme.simulator.baselines.hpa import ExternalMetric, HorizontalPodAutoscaler, TargetType
from trireme.simulator.baselines.keda import ScaledObject, Trigger
from trireme.simulator.baselines.kpa import KnativePodAutoscaler
from trireme.simulator.baselines.ray_serve import RayServe
from trireme.simulator.baselines.triton_sample import TARGET_MICROSECONDS, TritonSample
from trireme.simulator.baselines.wva import Queue, WorkloadVariantAutoscaler
from trireme.simulator.policy import Bounds, Metric, Policy, Reading
from trireme.simulator.scenario import Objective, Rules, Scenario
from trireme.simulator.trireme_policy import TriremePolicy

SCRAPE_LAG_SECONDS = 7.5
ADAPTER_SECONDS, KEDA_SECONDS = 60, 30
STARTS = 50  # that Trireme has measured

Make = Callable[[Scenario, float], Policy[Any]]


def trireme_rules(
    pod: PodShape, objective: Objective, bounds: Bounds, rules: Rules
) -> autoscaler.Policy:
    """What an agent's spec asks of Trireme."""
    by_hand = rules.in_flight
    asked = autoscaler.ObjectivePolicy(
        model="model",
        percentile=objective.percentile,
        latency_target_seconds=objective.limit_seconds,
        max_failure_ratio=rules.max_failure_ratio,
        start_in_flight_per_pod=by_hand or float(pod.curve.max_batch * pod.instances),
        fixed_target=by_hand is not None,
    )
    return autoscaler.Policy(
        mode=ScalingMode.AUTOMATIC,
        replicas=None,
        min_replicas=bounds.least,
        max_replicas=bounds.most,
        tolerance=rules.tolerance,
        behavior=rules.behavior,
        paused=Paused.NONE,
        objectives=(asked,),
    )


def measured(lead_time: fluid.LeadTime) -> LeadTime:
    """A lead time as Trireme has learnt it."""
    return LeadTime(lead_time.p95_seconds, lead_time.seconds, samples=STARTS)


def _trireme(on: Scenario, multiple: float) -> Policy[Any]:
    return TriremePolicy(
        trireme_rules(on.pod, on.objective, on.bounds, on.rules),
        of_pod(on.pod, multiple * on.sustained_per_second, on.objective.percentile),
        measured(on.lead_time),
    )


def _hpa_rps(on: Scenario, multiple: float) -> Policy[Any]:
    reading = Reading(Metric.ARRIVALS, ADAPTER_SECONDS, SCRAPE_LAG_SECONDS)
    metric = ExternalMetric(reading, multiple * on.common_rate)
    return HorizontalPodAutoscaler("hpa-rps", (metric,), on.bounds)


def _hpa_latency(on: Scenario, multiple: float) -> Policy[Any]:
    percentile = on.objective.percentile
    reading = Reading(Metric.LATENCY, ADAPTER_SECONDS, SCRAPE_LAG_SECONDS, percentile)
    target = multiple * on.objective.limit_seconds
    metric = ExternalMetric(reading, target, TargetType.VALUE)
    return HorizontalPodAutoscaler("hpa-p95", (metric,), on.bounds)


def _keda(on: Scenario, multiple: float) -> Policy[Any]:
    reading = Reading(Metric.ARRIVALS, KEDA_SECONDS, SCRAPE_LAG_SECONDS)
    return ScaledObject("keda", (Trigger(reading, multiple * on.common_rate),), on.bounds)


def _kpa(on: Scenario, multiple: float) -> Policy[Any]:
    return KnativePodAutoscaler("kpa", on.bounds, target=multiple * on.common_in_flight)


def _kpa_rps(on: Scenario, multiple: float) -> Policy[Any]:
    target = multiple * on.common_rate
    return KnativePodAutoscaler("kpa-rps", on.bounds, Metric.ARRIVALS, target)


def _ray_serve(on: Scenario, multiple: float) -> Policy[Any]:
    target = multiple * on.common_in_flight
    return RayServe("ray-serve", on.bounds, target_ongoing_requests=target)


def _triton_sample(on: Scenario, multiple: float) -> Policy[Any]:
    return TritonSample(bounds=on.bounds, target_microseconds=multiple * TARGET_MICROSECONDS)


def _aibrix(on: Scenario, multiple: float) -> Policy[Any]:
    return Aibrix("aibrix", on.bounds, multiple * on.common_in_flight)


def _wva(on: Scenario, multiple: float) -> Policy[Any]:
    curve = on.pod.curve
    queue = Queue(curve.fixed_seconds, curve.per_request_seconds, curve.max_batch)
    return WorkloadVariantAutoscaler(
        "wva", on.bounds, queue, response_seconds=multiple * on.objective.limit_seconds
    )


CONTENDERS: Mapping[str, Make] = {
    "trireme": _trireme,
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
