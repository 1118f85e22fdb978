"""What the ConfigMap of the routes says of a canary's share, and since when."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agents import agent_of
from trireme.resources.routes import FOLLOWED, Share, config_map, share_of

NOW = datetime(2026, 11, 1, 3, 0, tzinfo=UTC)
BEFORE = NOW - timedelta(seconds=30)
AGENT = agent_of(rollout={"strategy": "Canary"})


@pytest.mark.parametrize(
    ("before", "weight", "after", "seconds"),
    [
        pytest.param(Share(), 0.05, Share(0.05), 0, id="the first canary is let in at once"),
        pytest.param(Share(0.05), 0.25, Share(0.25), 0, id="more is given at once"),
        pytest.param(Share(0.25), 0.0, Share(0.0, NOW), 120, id="less is waited for"),
        pytest.param(Share(0.5), 0.05, Share(0.05, NOW), 120, id="and so is a smaller share"),
        pytest.param(Share(0.0, BEFORE), 0.0, Share(0.0, BEFORE), 90, id="from when it became so"),
        pytest.param(Share(0.0, BEFORE), 0.05, Share(0.05, BEFORE), 90, id="whatever follows"),
        pytest.param(
            Share(0.0, NOW - FOLLOWED), 0.0, Share(0.0, NOW - FOLLOWED), 0, id="until it is over"
        ),
    ],
)
def test_a_smaller_share_takes_its_time(
    before: Share, weight: float, after: Share, seconds: int
) -> None:
    then = before.then(weight, NOW)

    assert then == after
    assert then.follows_in(NOW) == timedelta(seconds=seconds)


@pytest.mark.parametrize("share", [Share(), Share(0.05), Share(0.001, NOW)])
def test_a_share_is_read_as_it_was_written(share: Share) -> None:
    assert share_of(config_map(AGENT, share)) == share


@pytest.mark.parametrize(
    "config_map",
    [
        pytest.param(None, id="none"),
        pytest.param({"metadata": {}}, id="without annotations"),
        pytest.param(
            {"metadata": {"annotations": {"trireme.dev/canary-share": "much"}}}, id="no number"
        ),
    ],
)
def test_what_says_nothing_is_no_share(config_map: dict[str, Any] | None) -> None:
    assert share_of(config_map) == Share()


def test_only_requests_to_models_are_shared_out() -> None:
    routes = {
        name: json.loads(text) for name, text in config_map(AGENT, Share(0.25))["data"].items()
    }

    assert set(routes) == {"http.json", "grpc.json"}
    for file in routes.values():
        (resource,) = file["resources"]
        (host,) = resource["virtual_hosts"]
        found = {
            (c["name"], c["weight"])
            for route in host["routes"]
            for c in route.get("route", {}).get("weighted_clusters", {}).get("clusters", [])
        }
        suffix = resource["name"].removeprefix("client_")
        assert found == {
            (f"inference_{suffix}", 750_000),
            (f"inference_{suffix}_canary", 250_000),
            (f"stream_{suffix}", 750_000),
            (f"stream_{suffix}_canary", 250_000),
        }
