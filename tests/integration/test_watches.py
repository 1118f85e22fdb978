"""What could end a watch: that it dies without a sign, and an object that Python would not read;
and what it tells of another agent.
"""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from integration.fleet import EXAMPLES
from integration.operator_process import operator
from integration.passes import Clock, started
from integration.silent_proxy import silent_proxy
from kube import Kube, merged, objects
from trireme.api import kinds, names


def test_watches_that_go_silent_are_opened_anew_and_nothing_is_missed(
    team: Kube, tmp_path: Path
) -> None:
    agent, files = objects(EXAMPLES / "echo.yaml")
    through = tmp_path / "kubeconfig"
    with (
        silent_proxy(team.kubeconfig, through) as proxy,
        operator(
            replace(team, kubeconfig=through),
            tmp_path / "log",
            TRIREME_WATCH_SILENCE_SECONDS="3",
            TRIREME_RESYNC_SECONDS="600",
        ),
    ):
        team.apply(files, agent)
        team.until("its Deployment", lambda: team.find("deployment", "echo"), 60, "echo")
        kinds_watched = 2 + len(kinds.CHILD_KINDS)  # agents and pods, too
        team.until("all are watched", lambda: proxy.watches >= kinds_watched, 60, "echo")
        proxy.silence()
        team.apply(merged(agent, {"metadata": {"name": "later"}}))
        team.run("delete", "deployment", "echo")
        team.until("a new agent is seen", lambda: team.find("deployment", "later"), 60, "later")
        team.until("a loss is seen", lambda: team.find("deployment", "echo"), 60, "echo")


@pytest.mark.parametrize(
    "owner", [pytest.param("other", id="another agent"), pytest.param("", id="empty")]
)
def test_a_child_whose_owner_label_was_changed_gets_it_back(
    team: Kube, tmp_path: Path, owner: str
) -> None:
    def owner_told() -> str:
        service = team.get("service", "echo")
        return str(service["metadata"]["labels"][names.OWNER])

    agent, files = objects(EXAMPLES / "echo.yaml")
    with operator(team, tmp_path / "log", TRIREME_RESYNC_SECONDS="3"):
        team.apply(files, agent, merged(agent, {"metadata": {"name": "other"}}))
        team.until("its Service", lambda: team.find("service", "echo"), 60, "echo")
        team.until("it is told", lambda: "Accepted" in team.conditions("echo"), 60, "echo")
        team.run("label", "--overwrite", "service", "echo", f"{names.OWNER}={owner}")
        team.until("it is back", lambda: owner_told() == "echo", 60, "echo")


async def test_a_deployment_that_went_unseen_is_made_again_with_its_size(team: Kube) -> None:
    agent, files = objects(EXAMPLES / "echo.yaml")
    team.apply(files, merged(agent, {"spec": {"scaling": {"min": 3, "max": 5}}}))
    async with started(team, "echo", Clock()) as operator:
        await operator.passes()
        team.run("delete", "deployment", "echo")
        await operator.once(looks=False)
        assert team.replicas("echo") == 3


def test_an_agent_that_is_nested_beyond_all_use_is_refused_and_hides_no_other(
    team: Kube, tmp_path: Path
) -> None:
    """Python's reader of JSON ends at a thousand levels, the API server's at ten thousand."""
    agent, files = objects(EXAMPLES / "echo.yaml")
    template = {"spec": {"server": {"podTemplate": {"metadata": "HERE"}}}}
    deep = json.dumps(merged(agent, {"metadata": {"name": "deep"}, **template}))
    nested = '{"a":' * 3_000 + "1" + "}" * 3_000
    team.run("create", "-f", "-", stdin=deep.replace('"HERE"', nested))

    def said() -> str:
        return team.run("get", "agd", "deep", "-o", "jsonpath={.status.conditions}")

    with operator(team, tmp_path / "log"):
        team.apply(files, agent)
        team.until("another agent is seen", lambda: team.find("deployment", "echo"), 60, "echo")
        team.until("it is refused", lambda: "nested more than 64 levels" in said(), 60, "echo")
