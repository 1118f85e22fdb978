"""`trireme explain`, `replay` and `top` against a running operator, through a real API server.

The records come by port-forward: a real API server asks who is there and what they may, and hands
the connection on to a stand-in for the kubelet.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from integration.asked_directly import AskedDirectly
from integration.fleet import EXAMPLES
from integration.kubelet import node
from integration.operator_process import operator
from kube import Kube, merged, objects
from ports import free_port
from trireme.cli import app

READER = "reader"


@dataclass
class Installed:
    """An operator that scales the agent `echo`, whose log is `log`."""

    team: Kube
    log: Path


@pytest.fixture(scope="module")
def installed(
    api_server: AskedDirectly, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Installed, int]]:
    """The agent has grown from one pod to two, since its minimum was raised."""
    folder = tmp_path_factory.mktemp("explain")
    team = api_server.in_new_namespace("explained")
    default = replace(api_server, namespace="default")
    agent, files = objects(EXAMPLES / "echo.yaml")
    port = free_port()
    with (
        node(default, folder),
        operator(team, folder / "log", TRIREME_DECISIONS_PORT=str(port)),
    ):
        pod = {"nodeName": "node", "containers": [{"name": "operator", "image": "trireme"}]}
        default.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}, "spec": pod})
        team.apply(files, agent)
        team.until("its Deployment", lambda: team.replicas("echo") == 1, 60, "echo")
        team.until("a decision", lambda: decisions(team) is not None, 60, "echo")
        team.apply(merged(agent, {"spec": {"scaling": {"min": 2}}}))
        team.until("two pods", lambda: bool(decisions(team)), 60, "echo")
        yield Installed(team, folder / "log"), port


def decisions(team: Kube) -> list[dict[str, Any]] | None:
    scaling = team.get("agd", "echo").get("status", {}).get("scaling")
    return None if scaling is None else scaling.get("decisions", [])


@pytest.fixture
def agent(
    installed: tuple[Installed, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Installed:
    """What the commands ask, with the rights of an administrator."""
    told, port = installed
    monkeypatch.setenv("TRIREME_OPERATOR_NAMESPACE", "default")
    monkeypatch.setenv("TRIREME_DECISIONS_PORT", str(port))
    use(told.team.kubeconfig, monkeypatch)
    return told


def use(kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "kubernetes.aio.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION"
    monkeypatch.setattr(name, str(kubeconfig))


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, [*arguments], input=stdin, env={"COLUMNS": "80"})


def told(*arguments: str) -> dict[str, Any]:
    result = run("explain", "echo", "-n", "explained", "-o", "json", *arguments)
    assert result.exit_code == 0, result.output
    figures: dict[str, Any] = json.loads(result.stdout)
    return figures


def explained() -> str:
    """The explanation as one line."""
    return " ".join(run("explain", "echo", "-n", "explained").stdout.split())


def test_the_latest_decision_is_explained(agent: Installed) -> None:
    # Of the round after the one that added a pod.
    agent.team.until("two pods are held", lambda: told()["replicas"] == 2, 30, "echo")
    figures = told()
    assert (figures["source"], figures["reason"]) == ("Record", "NoSignals")
    assert figures["decidedAt"] is not None
    result = run("explain", "echo", "-n", "explained")
    headline = "explained/echo: 2 pods, 0 ready, mode Automatic, from 2 to 3\n\n"
    assert result.stdout.startswith(f"{headline}Why      Signals are missing")
    assert "1 pod, fewer than scaling.min 2: 1 → 2." in explained()


def test_the_digest_in_the_status_is_that_of_a_record_in_the_log_and_in_the_operator(
    agent: Installed,
) -> None:
    (scaled,) = [d for d in decisions(agent.team) or () if d["reason"] == "ScaledUp"]
    lines = agent.log.read_text().split("\n")[:-1]  # the last one is being written
    records = [json.loads(line) for line in lines if '"trireme.dev/decision"' in line]
    (logged,) = [r for r in records if r["inputDigest"] == scaled["inputDigest"]]
    assert logged["decision"]["message"] == scaled["message"]
    assert (logged["namespace"], logged["agent"]) == ("explained", "echo")
    result = run("replay", "echo", "-n", "explained")
    assert result.exit_code == 0, result.output
    line = f"  explained/echo  1 → 2  ScaledUp  {scaled['inputDigest']}  agreed\n"
    assert line in result.stdout
    assert "DIFFERS" not in result.stdout


def test_a_whole_log_is_replayed(agent: Installed) -> None:
    for source, stdin in ((str(agent.log), None), ("-", agent.log.read_text())):
        result = run("replay", source, stdin=stdin)
        assert result.exit_code == 0, result.output
        assert "explained/echo  1 → 2  ScaledUp  " in result.stdout
        assert " agreed, 0 differed, " in result.stderr
        assert result.stderr.endswith(" lines are no records\n")


def test_who_may_not_forward_ports_is_told_of_the_status_alone_and_what_is_missing(
    agent: Installed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    default = replace(agent.team, namespace="default")
    account = f"--serviceaccount=default:{READER}"
    default.run("create", "serviceaccount", READER)
    agents = ["--verb=get,list", "--resource=agentdeployments.trireme.dev"]
    default.run("create", "clusterrole", READER, *agents)
    default.run("create", "clusterrolebinding", READER, f"--clusterrole={READER}", account)
    config = yaml.safe_load(agent.team.kubeconfig.read_text())
    config["users"][0]["user"]["token"] = default.run("create", "token", READER).strip()
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(config))
    use(kubeconfig, monkeypatch)
    missing = "get leases, and get and create pods/portforward, in default"
    assert told()["source"] == "Status"
    assert missing in explained()
    refused = run("replay", "echo", "-n", "explained")
    assert refused.exit_code == 2
    assert missing in refused.stderr

    def grant(name: str, *rights: str) -> None:
        default.run("create", "role", name, *rights)
        default.run("create", "rolebinding", name, f"--role={name}", account)

    grant("lease", "--verb=get", "--resource=leases.coordination.k8s.io")
    assert told()["source"] == "Status"
    assert missing in explained()
    grant("forward", "--verb=get,create", "--resource=pods/portforward")
    assert told()["source"] == "Record"


def test_an_agent_that_is_not_there_is_said(agent: Installed) -> None:
    for command in ("explain", "replay"):
        result = run(command, "none", "-n", "explained")
        assert result.exit_code in (1, 2)
        assert result.stderr == "there is no AgentDeployment explained/none\n"


def test_an_operator_that_does_not_answer_is_said(
    agent: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIREME_DECISIONS_PORT", str(free_port()))
    assert told()["source"] == "Status"
    assert "the port-forward to pod default/one failed" in explained()
    monkeypatch.setenv("TRIREME_OPERATOR_NAMESPACE", "elsewhere")
    assert "no operator leads in namespace elsewhere" in explained()


def test_while_an_edit_is_refused_the_spec_that_runs_is_told(
    agent: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIREME_DECISIONS_PORT", str(free_port()))
    before = agent.team.get("agd", "echo")["spec"]["objectives"]

    def objectives(told: object) -> None:
        patch = json.dumps({"spec": {"objectives": told}})
        agent.team.run("patch", "agd", "echo", "--type=merge", "-p", patch)

    def is_accepted() -> bool:
        return agent.team.conditions("echo")["Accepted"][0] == "True"

    objectives([{"model": "duble", "latency": {"target": "100ms"}}])
    agent.team.until("refused", lambda: not is_accepted(), 60, "echo")
    assert "2 pods, 0 ready, mode Automatic, from 2 to 3" in explained()
    objectives(before)
    agent.team.until("accepted again", is_accepted, 60, "echo")


def test_the_table_of_all_agents_is_printed_once_into_a_pipe(agent: Installed) -> None:
    result = run("top", "-A")
    assert result.exit_code == 0, result.output
    head, *rows = result.stdout.splitlines()
    assert head.split() == [
        "NAMESPACE", "AGENT", "MODE", "PODS", "REQ/S", "LATENCY", "A", "POD", "FACTOR", "LAST",
    ]  # fmt: skip
    (row,) = [row.split() for row in rows if row.startswith("explained")]
    assert row[:8] == ["explained", "echo", "Auto", "0/2", "-", "-", "-", "-"]
    assert row[8] in ("ScaledUp", "NoSignals")
    assert run("top", "-n", "explained").stdout.splitlines()[0].startswith("AGENT ")
