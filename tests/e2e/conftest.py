"""A cluster with Prometheus and Trireme in it, and a namespace for each test.

Run inside the cluster's network (`python -m cluster exec -- pytest tests/e2e`), with KUBECONFIG.
A cluster that is not there is an error, never a skip.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from installation import fresh_namespace, install
from kube import Kube

METRICS_SERVER = Path(__file__).with_name("metrics-server.yaml")
_VALUES = {
    "nodeCache": {
        "enabled": True,
        "size": "1Gi",
        "hostPath": "/var/local/trireme-node-cache",
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}},
    }
}


@pytest.fixture(scope="session")
def kubeconfig() -> Path:
    return Path(os.environ["KUBECONFIG"])


@pytest.fixture(scope="session")
def system(kubeconfig: Path) -> Kube:
    """Prometheus and Trireme, installed as a user installs them; the operator's namespace.

    Meanwhile the metrics server starts, which one of the tests waits for: it takes half a minute.
    """
    Kube(kubeconfig, "kube-system").run("apply", "-f", str(METRICS_SERVER))
    return install(kubeconfig, _VALUES)


@pytest.fixture
def kube(system: Kube, request: pytest.FixtureRequest) -> Iterator[Kube]:
    """A namespace of the test's own, in which only restricted pods are admitted."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[:40].strip("-")
    kube = fresh_namespace(system.kubeconfig, f"e2e-{name}")
    yield kube
    kube.run("delete", "namespace", kube.namespace, "--wait=false")
