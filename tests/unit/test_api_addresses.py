"""How a host and a port are written together."""

import pytest

from trireme.api import names
from trireme.api.addresses import host_port
from trireme.api.fetch import progress_url


@pytest.mark.parametrize(
    ("host", "written"),
    [
        pytest.param("10.0.0.7", "10.0.0.7:8000", id="an IPv4 address"),
        pytest.param("fd00::7", "[fd00::7]:8000", id="an IPv6 address, in brackets"),
        pytest.param("echo-pods.team.svc", "echo-pods.team.svc:8000", id="a name"),
    ],
)
def test_a_host_and_its_port(host: str, written: str) -> None:
    assert host_port(host, 8000) == written


def test_a_fetcher_of_an_ipv6_pod_is_asked_at_its_address() -> None:
    assert progress_url("fd00::7") == f"http://[fd00::7]:{names.FETCH_PROGRESS_PORT}/"
