"""Prometheus and Trireme on the local cluster, installed as a user installs them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from demo.manifests import PROMETHEUS

import helm
from kube import Kube

OPERATOR_NAMESPACE = "trireme-system"
_VALUES = {
    "image": {"repository": "trireme/operator", "tag": "dev", "pullPolicy": "IfNotPresent"},
    "resources": {"requests": {"cpu": "20m"}},  # two cores bear little else
    "optimizer": {"image": {"tag": "dev"}},
    "gateway": {"image": "trireme/envoy:1.40"},
    "prometheus": {"url": "http://prometheus.monitoring:9090"},
}


def install(kubeconfig: Path, values: Mapping[str, Any] | None = None) -> Kube:
    """Install both, or bring them up to date; the operator's namespace."""
    monitoring = Kube(kubeconfig, "monitoring")
    monitoring.run("apply", "-f", str(PROMETHEUS))
    operator = Kube(kubeconfig, OPERATOR_NAMESPACE)
    values = {**_VALUES, **(values or {})}
    programs = ["deployment/trireme", *(["daemonset/trireme-node-cache"] * ("nodeCache" in values))]
    before = [program for program in programs if operator.find(*program.split("/")) is not None]
    helm.install(helm.CHART, "trireme", OPERATOR_NAMESPACE, values, kubeconfig)
    if before:  # by an image of the same tag, which never changes
        operator.run("rollout", "restart", *before)
    for program in programs:
        operator.run("rollout", "status", program, "--timeout=180s")
    monitoring.run("rollout", "status", "deployment", "prometheus", "--timeout=180s")
    return operator


def fresh_namespace(kubeconfig: Path, name: str) -> Kube:
    """An empty namespace in which only restricted pods are admitted."""
    kube = Kube(kubeconfig, name)
    kube.run("delete", "namespace", name, "--ignore-not-found", "--wait")
    kube.run("create", "namespace", name)
    kube.run("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    kube.until("what each namespace is given is there", lambda: _is_furnished(kube))
    return kube


def _is_furnished(kube: Kube) -> bool:
    given = (("serviceaccount", "default"), ("configmap", "kube-root-ca.crt"))
    return all(kube.find(*each) for each in given)
