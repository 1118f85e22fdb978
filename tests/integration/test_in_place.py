"""An operator changes real Triton servers in place, one after the other, and tells how it goes.

What becomes of a container that begins anew is in tests/e2e.
"""

import json
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from integration.fleet import HOSTS, Fleet, echo
from integration.operator_process import finish_rollout, live_configurations, operator
from integration.trireme_process import ran
from integration.triton_server import TritonServer
from kube import Kube, Object, merged
from trireme.api import names
from trireme.cli.manifests import to_yaml

FIELD = "models[double].instance_group"


@pytest.fixture
def fleet(team: Kube, tmp_path: Path) -> Iterator[Fleet]:
    """The agent with one instance on each of two pods; its operator is the test's to start."""
    agent, files = echo(1)
    team.apply(files, agent)
    with ExitStack() as servers:
        yield Fleet(team, tmp_path, servers)


def start(fleet: Fleet, second_key: str | None = None) -> tuple[TritonServer, TritonServer]:
    """Make the fleet whole: the Deployment's controller and the kubelet are not here."""
    fleet.kube.until("its Deployment", lambda: fleet.kube.replicas("echo") == 2, 60, "echo")
    finish_rollout(fleet.kube, "echo")
    servers = fleet.serve("one", 1), fleet.serve("two", 1, second_key)
    fleet.runs(1, 1)
    return servers


def told_by_diff(fleet: Fleet, agent: Object) -> tuple[int, str]:
    """What `trireme diff -f` says of an edit, its ConfigMap being in the cluster alone."""
    manifest = fleet.folder / "edit.yaml"
    manifest.write_text(to_yaml(agent))
    done = ran(
        *("diff", "-f", str(manifest), "-o", "json", "-n", fleet.kube.namespace),
        environment={"KUBECONFIG": str(fleet.kube.kubeconfig)},
        folder=fleet.folder,
    )
    (told,) = json.loads(done.output)
    return done.status, told["effect"]


def loads(server: TritonServer) -> int:
    return server.log.read_text().count("loading: double:1")


def test_an_edit_of_the_instances_changes_every_pod_and_replaces_none(
    fleet: Fleet, tmp_path: Path
) -> None:
    kube = fleet.kube
    with operator(kube, tmp_path / "log"):
        start(fleet)
        before, maps = kube.get("deployment", "echo"), live_configurations(kube)
        first = kube.get("agd", "echo")["status"]["liveDigest"]
        assert told_by_diff(fleet, echo(1)[0]) == (0, "None")
        assert told_by_diff(fleet, echo(3)[0]) == (1, "InPlace")
        assert told_by_diff(fleet, echo(3, maxBatchSize=16)[0]) == (1, "Rollout")
        kube.apply(echo(3)[0])
        fleet.runs(3, 3)
        note = f"{FIELD} changed: applied in place to 2 pods, no restart"
        kube.until("told", lambda: fleet.told("InPlaceUpdate") == [note], 60, "echo")
        assert (
            kube.get("deployment", "echo")["metadata"]["generation"]
            == (before["metadata"]["generation"])
        )
        assert live_configurations(kube) == maps
        (live,) = maps
        assert "count: 3" in kube.get("configmap", live)["data"]["double.pbtxt"]
        assert kube.get("agd", "echo")["status"]["liveDigest"] != first
        kube.apply(echo(1)[0])
        fleet.runs(1, 1)
        assert not fleet.told("RolloutStarted")


def test_a_server_that_refuses_is_told_in_its_words_and_the_rest_stays_until_it_is_corrected(
    fleet: Fleet, tmp_path: Path
) -> None:
    kube = fleet.kube
    with operator(kube, tmp_path / "log"):
        start(fleet, second_key="another key")
        kube.apply(echo(3)[0])
        stalled = lambda: kube.conditions("echo")["Stalled"][0] == "True"  # noqa: E731
        kube.until("Stalled", stalled, 60, "echo")
        _, reason, message = kube.conditions("echo")["Stalled"]
        assert reason == "InPlaceUpdateFailed"
        for part in (
            "pod two",
            "models[double]",
            "restricted",
            f"1 of 2 pods have the new {FIELD}",
        ):
            assert part in message
        assert fleet.counts() == [3, 1]
        assert kube.conditions("echo")["Available"][0] == "True"
        kube.until("told", lambda: fleet.told("InPlaceUpdateFailed") == [message], 60, "echo")
        kube.apply(echo(1)[0])
        fleet.runs(1, 1)
        assert kube.conditions("echo")["Stalled"][0] == "False"


def test_a_pod_that_began_with_the_file_of_before_is_brought_to_the_rest(
    fleet: Fleet, tmp_path: Path
) -> None:
    kube = fleet.kube
    with operator(kube, tmp_path / "log"):
        kube.until("its Deployment", lambda: kube.replicas("echo") == 2, 60, "echo")
        # Later it would wait for the second pod, which the Deployment counts.
        kube.until("its status", lambda: kube.conditions("echo"), 60, "echo")
        finish_rollout(kube, "echo")
        fleet.serve("one", 1)
        fleet.runs(1)
        kube.apply(echo(3)[0])
        fleet.runs(3)
        fleet.serve("two", 2)
        fleet.runs(3, 3)


def test_an_operator_that_was_gone_finishes_what_was_begun_and_asks_without_changing_anything(
    fleet: Fleet, tmp_path: Path
) -> None:
    kube = fleet.kube
    with operator(kube, tmp_path / "one"):
        servers = start(fleet)
    kube.apply(echo(3)[0])
    with operator(kube, tmp_path / "two"):
        fleet.runs(3, 3)
        note = f"{FIELD} changed: applied in place to 2 pods, no restart"
        kube.until("told", lambda: fleet.told("InPlaceUpdate") == [note], 60, "echo")
    assert [loads(server) for server in servers] == [2, 2]  # the first as they started
    with operator(kube, tmp_path / "three"):
        kube.apply(echo(2)[0])
        fleet.runs(2, 2)
    assert [loads(server) for server in servers] == [3, 3]


def test_while_a_rollout_is_on_the_pods_that_go_are_left_as_they_are(
    fleet: Fleet, tmp_path: Path
) -> None:
    kube = fleet.kube
    with operator(kube, tmp_path / "log"):
        start(fleet)
        image = {"server": {"image": "example.com/triton:24.11-py3", "release": "24.11"}}
        kube.apply(merged(echo(3)[0], {"spec": image}))
        rolling = lambda: kube.conditions("echo")["Reconciling"][1] == "RollingOut"  # noqa: E731
        kube.until("rolling out", rolling, 60, "echo")
        kube.until("told", lambda: fleet.told("RolloutStarted"), 60, "echo")
        (note,) = fleet.told("RolloutStarted")
        assert note.endswith("; changed: server.image")
        assert fleet.counts() == [1, 1]
        finish_rollout(kube, "echo")
        fleet.runs(3, 3)


def test_another_version_policy_is_applied_in_place_and_found_again_by_a_new_operator(
    fleet: Fleet, tmp_path: Path
) -> None:
    """Two versions of one ConfigMap: a server goes from the highest to both, and to the first."""
    kube = fleet.kube

    def served() -> set[str]:
        """Such as `1,2`, of each server."""
        found = set()
        for host in HOSTS.values():
            url = f"http://{host}:{names.HTTP_PORT}/v2/models/double"
            with urllib.request.urlopen(url, timeout=10) as answer:
                found.add(",".join(sorted(json.load(answer)["versions"])))
        return found

    def versions(policy: dict[str, Any] | None) -> tuple[Object, Object]:
        agent, files = echo(1)
        (model,) = agent["spec"]["models"]
        source = model.pop("source")
        model["versions"] = [{"version": each, "source": source} for each in (1, 2)]
        model.update({"versionPolicy": policy} if policy else {})
        return agent, files

    kube.apply(*versions(None))
    with operator(kube, tmp_path / "one"):
        kube.until("its Deployment", lambda: kube.replicas("echo") == 2, 60, "echo")
        finish_rollout(kube, "echo")
        for pod in HOSTS:
            fleet.serve_agent(pod, versions(None))
        kube.until("the highest", lambda: served() == {"2"}, 60, "echo")
        kube.until("Ready", lambda: kube.is_ready("echo"), 60, "echo")
        kube.apply(*versions({"all": True}))
        kube.until("both", lambda: served() == {"1,2"}, 60, "echo")
        note = "models[double].version_policy changed: applied in place to 2 pods, no restart"
        kube.until("told", lambda: fleet.told("InPlaceUpdate") == [note], 60, "echo")
    kube.apply(*versions({"specific": [1]}))
    with operator(kube, tmp_path / "two"):
        kube.until("the first", lambda: served() == {"1"}, 60, "echo")
        kube.until("Ready", lambda: kube.is_ready("echo"), 60, "echo")
