"""Which proxy the environment names."""

import pytest

from trireme.edge.proxy import proxy_for

API = "https://10.96.0.1:443"
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.mark.parametrize(
    ("variables", "url", "proxy"),
    [
        pytest.param({}, API, None, id="none is named"),
        pytest.param({"HTTPS_PROXY": "http://p:1"}, API, "http://p:1", id="of its scheme"),
        pytest.param({"https_proxy": "http://p:1"}, API, "http://p:1", id="in small letters"),
        pytest.param({"HTTP_PROXY": "http://p:1"}, API, None, id="of another scheme"),
        pytest.param({"ALL_PROXY": "http://p:1"}, API, "http://p:1", id="of all"),
        pytest.param(
            {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "10.96.0.1"}, API, None, id="not of this host"
        ),
        pytest.param(
            {"HTTPS_PROXY": "http://p:1", "NO_PROXY": ".svc"},
            "https://api.default.svc:443",
            None,
            id="not of its domain",
        ),
        pytest.param({"HTTPS_PROXY": "http://p:1"}, "", None, id="no server"),
    ],
)
def test_the_proxy_of_a_server_is_the_environments(
    variables: dict[str, str], url: str, proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(url) == proxy
