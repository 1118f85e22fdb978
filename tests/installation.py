"""Prometheus and Trireme on the local cluster, installed as a user installs them."""

from pathlib import Path

from demo.manifests import PROMETHEUS

import helm
from kube import Kube

OPERATOR_NAMESPACE = "trireme-system"
_VALUES = {
    "image": {"repository": "trireme/operator", "tag": "dev", "pullPolicy": "IfNotPresent"},
    "gateway": {"image": "trireme/envoy:1.40"},
    "prometheus": {"url": "http://prometheus.monitoring:9090"},
}


def install(kubeconfig: Path) -> Kube:
    """Install both, or bring them up to date; the operator's namespace."""
    monitoring = Kube(kubeconfig, "monitoring")
    monitoring.run("apply", "-f", str(PROMETHEUS))
    operator = Kube(kubeconfig, OPERATOR_NAMESPACE)
    was_there = operator.find("deployment", "trireme") is not None
    helm.install(helm.CHART, "trireme", OPERATOR_NAMESPACE, _VALUES, kubeconfig)
    if was_there:  # by an image of the same tag, which never changes
        operator.run("rollout", "restart", "deployment", "trireme")
    operator.run("rollout", "status", "deployment", "trireme", "--timeout=180s")
    monitoring.run("rollout", "status", "deployment", "prometheus", "--timeout=180s")
    return operator


def fresh_namespace(kubeconfig: Path, name: str) -> Kube:
    """An empty namespace in which only restricted pods are admitted."""
    kube = Kube(kubeconfig, name)
    kube.run("delete", "namespace", name, "--ignore-not-found", "--wait")
    kube.run("create", "namespace", name)
    kube.run("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    return kube
