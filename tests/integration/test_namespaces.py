"""An operator of some namespaces goes on where it has lost its rights in one of them."""

import json
from dataclasses import replace
from pathlib import Path

import yaml

from integration.asked_directly import AskedDirectly
from integration.fleet import EXAMPLES
from integration.operator_process import operator, started
from kube import Kube, objects


def test_a_namespace_without_rights_ends_nothing_in_others_and_is_watched_once_it_has_them(
    api_server: AskedDirectly, team: Kube, tmp_path: Path
) -> None:
    other = api_server.in_new_namespace(f"{team.namespace}-other")
    team.run("create", "serviceaccount", "operator")
    allow(team, team.namespace)
    log, of_account = tmp_path / "log", as_account(team, tmp_path / "kubeconfig")
    settings = {
        "TRIREME_NAMESPACES": json.dumps([other.namespace, team.namespace]),
        "TRIREME_LEADER_ELECTION": "false",
    }
    agent, files = objects(EXAMPLES / "echo.yaml")
    with started(of_account, log, **settings) as process:
        team.apply(files, agent)
        team.until("its Deployment", lambda: team.find("deployment", "echo"), 60, "echo")
        assert f"namespace {other.namespace} is not watched" in log.read_text()
        allow(other, team.namespace)
        assert process.wait(60) == 0, "to be begun anew"
    with operator(of_account, log, **settings):
        other.apply(files, agent)
        other.until("its Deployment", lambda: other.find("deployment", "echo"), 60, "echo")


def allow(kube: Kube, home: str) -> None:
    """The operator's account, which is in the namespace `home`, may do all in this one."""
    account = f"--serviceaccount={home}:operator"
    kube.run("create", "rolebinding", "operator", "--clusterrole=cluster-admin", account)


def as_account(kube: Kube, into: Path) -> Kube:
    """The cluster as the operator's account is let in."""
    content = yaml.safe_load(kube.kubeconfig.read_text())
    content["users"][0]["user"] = {"token": kube.run("create", "token", "operator").strip()}
    into.write_text(yaml.safe_dump(content))
    return replace(kube, kubeconfig=into)
