"""A cluster with Prometheus and Trireme in it, and a namespace for each test.

Run inside the cluster's network, with KUBECONFIG, once `python -m e2e` has installed them:
`python -m cluster exec -- pytest tests/e2e`. A cluster that is not there is an error, never a skip.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from installation import OPERATOR_NAMESPACE, fresh_namespace
from kube import Kube


@pytest.fixture(scope="session")
def kubeconfig() -> Path:
    return Path(os.environ["KUBECONFIG"])


@pytest.fixture(scope="session")
def system(kubeconfig: Path) -> Kube:
    """The operator's namespace."""
    system = Kube(kubeconfig, OPERATOR_NAMESPACE)
    assert system.find("deployment", "trireme"), "not installed: run python -m e2e"
    return system


@pytest.fixture
def kube(system: Kube, request: pytest.FixtureRequest) -> Iterator[Kube]:
    """A namespace of the test's own, in which only restricted pods are admitted."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[:40].strip("-")
    kube = fresh_namespace(system.kubeconfig, f"e2e-{name}")
    yield kube
    kube.run("delete", "namespace", kube.namespace, "--wait=false")
