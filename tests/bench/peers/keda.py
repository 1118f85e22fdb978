"""A real KEDA on the local cluster, by its own published manifests; image `keda` must be loaded."""

import json
from itertools import groupby
from pathlib import Path

import yaml

from cluster import binaries
from kube import Kube, Object

_IMAGE = "trireme/keda:2.21"
_NAMESPACE = "keda"
_DEPLOYMENTS = ("keda-operator", "keda-metrics-apiserver")
_SERVICE = "v1beta1.external.metrics.k8s.io"


def install(kubeconfig: Path) -> None:
    """Operator and metrics adapter, and the API that a HorizontalPodAutoscaler asks."""
    kube = Kube(kubeconfig, _NAMESPACE)
    published = binaries.source(binaries.KEDA, "github.com/kedacore/keda/v2") / "config" / "minimal"
    objects = [
        _fitted(manifest) for manifest in yaml.safe_load_all(kube.run("kustomize", str(published)))
    ]
    by_namespace = groupby(sorted(objects, key=_namespace), key=_namespace)
    for namespace, those in by_namespace:
        # Server-side: the CRDs are larger than the annotation of a client's apply may be.
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(those)})
        apply = ("apply", "--server-side", "--force-conflicts", "-f", "-")
        Kube(kubeconfig, namespace or "default").run(*apply, stdin=text)
    for name in _DEPLOYMENTS:
        kube.run("rollout", "status", f"deployment/{name}", "--timeout=180s")
    kube.run("wait", "apiservice", _SERVICE, "--for=condition=Available", "--timeout=60s")


def remove(kubeconfig: Path) -> None:
    """What would go on running: the API last, since namespaces wait for one that is away."""
    kube = Kube(kubeconfig, _NAMESPACE)
    kube.run("delete", "apiservice", _SERVICE, "--ignore-not-found")
    kube.run("delete", "namespace", _NAMESPACE, "--ignore-not-found", "--wait")


def _namespace(manifest: Object) -> str:
    """Where an object goes; those of none go first, and the namespace with them."""
    return str(manifest["metadata"].get("namespace", ""))


def _fitted(manifest: Object) -> Object:
    """With the image that is on the node, and small requests, as two cores bear."""
    if manifest["kind"] == "Deployment":
        for container in manifest["spec"]["template"]["spec"]["containers"]:
            container["image"], container["imagePullPolicy"] = _IMAGE, "IfNotPresent"
            container["resources"]["requests"]["cpu"] = "10m"
    return manifest
