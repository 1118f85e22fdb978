"""What the integration tests share: one real API server with the CRD in it."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.api_server import define_agents, running
from kube import Kube

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kube]:
    folder: Path = tmp_path_factory.mktemp("api")
    with running(folder) as server:
        define_agents(server)
        yield server


@pytest.fixture
def team(api_server: Kube) -> Kube:
    """A namespace of the test's own."""
    name = f"team-{next(_NUMBERS)}"
    api_server.run("create", "namespace", name)
    return Kube(api_server.kubeconfig, name, api_server.program)
