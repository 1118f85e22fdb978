"""What the integration tests share: one real API server with the CRD in it."""

import gc
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.api_server import define_agents, running
from integration.asked_directly import AskedDirectly
from kube import Kube

_NUMBERS = itertools.count()


@pytest.fixture(scope="module", autouse=True)
def what_was_left_open_is_told_here() -> Iterator[None]:
    """Not in whichever later test Python happens to look for garbage."""
    yield
    gc.collect()


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AskedDirectly]:
    folder: Path = tmp_path_factory.mktemp("api")
    with running(folder) as server:
        define_agents(server)
        yield server


@pytest.fixture
def team(api_server: AskedDirectly) -> Kube:
    """A namespace of the test's own."""
    return api_server.in_new_namespace(f"team-{next(_NUMBERS)}")
