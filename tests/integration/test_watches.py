"""A watch that dies without a sign: the operator notices, and learns what it has missed."""

from dataclasses import replace
from pathlib import Path

from integration.fleet import EXAMPLES
from integration.operator_process import operator
from integration.silent_proxy import silent_proxy
from kube import Kube, merged, objects


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
        team.until("its Deployment", lambda: team.find("deployment", "echo"), 30, "echo")
        assert proxy.silence() > 5  # agents, and each kind of their children
        team.apply(merged(agent, {"metadata": {"name": "later"}}))
        team.run("delete", "deployment", "echo")
        team.until("a new agent is seen", lambda: team.find("deployment", "later"), 30, "later")
        team.until("a loss is seen", lambda: team.find("deployment", "echo"), 30, "echo")
