"""An agent of several node classes against a real API server: its Deployments and their sizes.

There are no nodes here: a pod is what a test makes, and is ready where it says so.
"""

import json
from pathlib import Path
from typing import Any

from integration.operator_process import operator
from kube import Kube, merged, objects

EXAMPLES = Path(__file__).parents[2] / "examples"
SPOT = {"name": "spot", "price": 0.3, "max": 2, "placement": {"nodeSelector": {"sort": "spot"}}}
FIRM = {"name": "firm", "price": 0.9, "placement": {"nodeSelector": {"sort": "firm"}}}
NONE: dict[str, int] = {}


def echo(*classes: dict[str, Any], **spec: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    agent, files = objects(EXAMPLES / "echo.yaml")
    return merged(agent, {"spec": {"server": {"nodeClasses": [*classes]}, **spec}}), files


def sizes(kube: Kube) -> dict[str, int]:
    """The server Deployments of the agent, and what they are to have."""
    return {
        body["metadata"]["name"]: body["spec"]["replicas"]
        for body in kube.all("deploy", "trireme.dev/agent=echo")
    }


def make_ready(kube: Kube, deployment: str) -> None:
    """A pod of a Deployment, as if it were ready, at an address where nothing answers."""
    name = f"{deployment}-pod"
    metadata = kube.get("deployment", deployment)["spec"]["template"]["metadata"]
    container = {"name": "triton", "image": "example.com/triton"}
    kube.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {**metadata, "name": name},
            "spec": {"containers": [container]},
        }
    )
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-01T00:00:00Z"}
    status = {"phase": "Running", "podIP": "127.0.0.99", "conditions": [ready]}
    kube.set_status("pod", name, status)


def test_each_class_is_a_deployment_and_the_cheapest_pods_fill_the_bounds(
    team: Kube, tmp_path: Path
) -> None:
    agent, files = echo(SPOT, FIRM)
    with operator(team, tmp_path / "log"):
        team.apply(files, agent)
        made = {"echo-spot": 1, "echo-firm": 0}
        team.until("the cheapest pod", lambda: sizes(team) == made, 60, "echo")
        spot = team.get("deployment", "echo-spot")["spec"]
        assert spot["selector"]["matchLabels"] == {
            "trireme.dev/agent": "echo",
            "trireme.dev/track": "stable",
            "trireme.dev/node-class": "spot",
        }
        assert spot["template"]["spec"]["nodeSelector"] == {"sort": "spot"}

        team.apply(merged(agent, {"spec": {"scaling": {"min": 3}}}))
        filled = {"echo-spot": 2, "echo-firm": 1}
        team.until("the dearer where the cheap are used up", lambda: sizes(team) == filled, 60)

        def told() -> list[tuple[str, int]]:
            scaling = team.get("agd", "echo")["status"].get("scaling", {})
            classes = scaling.get("nodeClasses", [])
            return [(each["name"], each["desiredReplicas"]) for each in classes]

        team.until("so in the status", lambda: told() == [("spot", 2), ("firm", 1)], 90)

        def said() -> bool:
            return "2 spot and 1 firm" in dict(team.events("echo")).get("ScaledUp", "")

        team.until("said so", said, 60, "echo")

        team.run("delete", "deployment", "echo-spot")
        team.until("back at its size", lambda: sizes(team) == filled, 60, "echo")


def test_an_agent_that_ran_without_classes_keeps_its_pods_while_those_come(
    team: Kube, tmp_path: Path
) -> None:
    plain, files = echo(scaling={"min": 2})
    with operator(team, tmp_path / "log"):
        team.apply(files, plain)
        team.until("without classes", lambda: sizes(team) == {"echo": 2}, 60, "echo")
        classes, _ = echo(SPOT, FIRM, scaling={"min": 2})
        team.apply(classes)
        # Without signals nobody knows what the new pods would have to carry.
        both = {"echo": 2, "echo-spot": 0, "echo-firm": 0}
        team.until("beside each other", lambda: sizes(team) == both, 60, "echo")
        assert team.conditions("echo")["Ready"][0] == "False"


def test_the_pods_of_removed_classes_go_when_others_are_ready_and_so_do_their_deployments(
    team: Kube, tmp_path: Path
) -> None:
    agent, files = echo(SPOT, FIRM)
    with operator(team, tmp_path / "log"):
        team.apply(files, agent)
        team.until("made", lambda: sizes(team).get("echo-spot") == 1, 60, "echo")
        make_ready(team, "echo-spot")
        plain, _ = echo(replicas=1, scaling={"mode": "Fixed"})
        team.run("patch", "agd", "echo", "--type=merge", "-p", json.dumps({"spec": plain["spec"]}))
        beside = {"echo": 1, "echo-spot": 1}
        team.until("the others beside it", lambda: sizes(team) == beside, 60, "echo")
        make_ready(team, "echo")
        team.until("only the others", lambda: sizes(team) == {"echo": 1}, 60, "echo")


def test_a_copy_of_a_deployment_is_not_scaled_and_one_that_says_it_is_the_agents_goes(
    team: Kube, tmp_path: Path
) -> None:
    agent, files = echo()
    with operator(team, tmp_path / "log"):
        team.apply(files, agent)
        team.until("made", lambda: sizes(team) == {"echo": 1}, 60, "echo")
        own = team.get("deployment", "echo")
        labels, owners = own["metadata"]["labels"], own["metadata"]["ownerReferences"]
        foreign = {"name": "echo-test", "labels": labels}
        claimed = {"name": "echo-claimed", "labels": labels, "ownerReferences": owners}
        for metadata in (foreign, claimed):
            copy = {**own, "metadata": metadata, "spec": {**own["spec"], "replicas": 2}}
            team.apply({key: copy[key] for key in ("apiVersion", "kind", "metadata", "spec")})
        team.apply(merged(agent, {"spec": {"scaling": {"min": 3}}}))
        apart = {"echo": 3, "echo-test": 2}
        team.until("the agent's own alone", lambda: sizes(team) == apart, 60, "echo")

        def told() -> int:
            status = team.get("agd", "echo")["status"]
            return int(status.get("scaling", {}).get("desiredReplicas", 0))

        team.until("so in the status", lambda: told() == 3, 90)


def test_classes_where_somebody_else_decides_are_refused_with_the_remedy(
    team: Kube, tmp_path: Path
) -> None:
    agent, files = echo(SPOT, FIRM, replicas=1, scaling={"mode": "Fixed"})
    with operator(team, tmp_path / "log"):
        team.apply(files, agent)
        accepted = lambda: team.conditions("echo").get("Accepted", ("", "", ""))  # noqa: E731
        team.until("refused", lambda: accepted()[0] == "False", 60, "echo")
        assert "spec.scaling.mode: mode Fixed says how many pods there are" in accepted()[2]
        assert sizes(team) == NONE
