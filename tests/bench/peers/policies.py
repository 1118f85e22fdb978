"""What scales the agent: Trireme, or a HorizontalPodAutoscaler that KEDA feeds."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from bench.peers.runs import OBJECTIVE_MILLISECONDS, SUSTAINED_PER_SECOND
from kube import Kube, Object
from trireme.api import names

AGENT = "agent"
MIN, MAX = 1, 5

OURS = "Trireme"
_RATE = "KEDA, requests/s"
_LATENCY = "KEDA, p95"
_PROMETHEUS = "http://prometheus.monitoring:9090"
_CHOSEN = 'namespace="{namespace}",envoy_cluster_name=~"inference_(http|grpc)"'
_WINDOW = "30s"  # as Trireme's
BEHAVIOR = {
    "up": {
        "stabilizationWindow": "0s",
        "policies": [{"type": "Pods", "value": 2, "period": "15s"}],
    },
    "down": {
        "stabilizationWindow": "30s",
        "policies": [{"type": "Percent", "value": 100, "period": "15s"}],
    },
}
_HPA_BEHAVIOR = {
    "scaleUp": {
        "stabilizationWindowSeconds": 0,
        "policies": [{"type": "Pods", "value": 2, "periodSeconds": 15}],
    },
    "scaleDown": {
        "stabilizationWindowSeconds": 30,
        "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
    },
}


def triggers(kube: Kube) -> dict[str, Object]:
    """KEDA's, by the name of the policy, with the best threshold that is known of each."""
    chosen = _CHOSEN.format(namespace=kube.namespace)
    rate = f"sum(rate(envoy_cluster_upstream_rq_total{{{chosen}}}[{_WINDOW}]))"
    buckets = f"sum by (le) (rate(envoy_cluster_upstream_rq_time_bucket{{{chosen}}}[{_WINDOW}]))"
    p95 = f"histogram_quantile(0.95, {buckets})"
    return {
        _RATE: _trigger(rate, SUSTAINED_PER_SECOND, "AverageValue"),
        _LATENCY: _trigger(p95, OBJECTIVE_MILLISECONDS, "Value"),
    }


def _trigger(query: str, threshold: float, metric_type: str) -> Object:
    metadata = {"serverAddress": _PROMETHEUS, "query": query, "threshold": str(threshold)}
    return {"type": "prometheus", "metricType": metric_type, "metadata": metadata}


@contextmanager
def scaled_by(kube: Kube, trigger: Object) -> Iterator[None]:
    """A ScaledObject with this trigger, whose HorizontalPodAutoscaler has its metric."""
    target = {"apiVersion": names.API_VERSION, "kind": names.KIND, "name": AGENT}
    scaled_object = {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": AGENT},
        "spec": {
            "scaleTargetRef": target,
            "minReplicaCount": MIN,
            "maxReplicaCount": MAX,
            "pollingInterval": 5,
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": _HPA_BEHAVIOR}},
            "triggers": [trigger],
        },
    }
    kube.apply(scaled_object)
    kube.until("the HPA has its metric", lambda: _is_active(kube), 60, AGENT)
    yield
    kube.run("delete", "scaledobject", AGENT, "--wait")
    patch(kube, {"replicas": MIN})


def _is_active(kube: Kube) -> bool:
    conditions = [
        condition
        for autoscaler in kube.all("horizontalpodautoscalers")
        for condition in autoscaler.get("status", {}).get("conditions", [])
    ]
    return any(c["type"] == "ScalingActive" and c["status"] == "True" for c in conditions)


def patch(kube: Kube, spec: Object) -> None:
    """Change the agent's spec."""
    kube.run("patch", "agd", AGENT, "--type=merge", "--patch", json.dumps({"spec": spec}))
