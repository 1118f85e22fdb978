"""An operator changes real Triton servers in place, one after the other, and tells how it goes.

There are no nodes here: the servers listen on addresses of loopback, and pods that nobody runs have
these addresses. What becomes of a container that begins anew is in tests/e2e.
"""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from integration.operator_process import (
    OPERATOR_KEY,
    finish_rollout,
    live_configurations,
    operator,
)
from integration.triton_server import TritonServer, triton
from kube import Kube, Object, merged, objects
from ports import own_address
from trireme.api import names
from trireme.cli import app
from trireme.cli.manifests import to_yaml
from trireme.resources.control import OperatorKey

EXAMPLES = Path(__file__).parents[2] / "examples"
HOSTS = {"one": own_address(1), "two": own_address(2)}
FIELD = "models[double].instance_group"


def echo(count: int, **more: Any) -> tuple[Object, Object]:
    """The example with so many instances, on two pods and without a gateway."""
    agent, files = objects(EXAMPLES / "echo.yaml")
    (model,) = agent["spec"]["models"]
    models = [merged(model, {"instances": [{"kind": "CPU", "count": count}], **more})]
    spec = {"models": models, "gateway": {"enabled": False}, "scaling": {"min": 2}}
    return merged(agent, {"spec": spec}), files


@dataclass(frozen=True)
class Fleet:
    """The agent `echo`, and servers in the place of its pods."""

    kube: Kube
    folder: Path
    servers: ExitStack

    def serve(self, pod: str, count: int, key: str | None = None) -> TritonServer:
        """Start a server with the repository of so many instances, and a pod that has it."""
        return self.serve_agent(pod, echo(count), key)

    def serve_agent(
        self, pod: str, manifests: tuple[Object, ...], key: str | None = None
    ) -> TritonServer:
        """Start a server with the repository of an agent, and a pod that has it."""
        folder = self.folder / f"server-{pod}"
        folder.mkdir()
        manifest = folder / "agent.yaml"
        manifest.write_text(to_yaml(*manifests))
        command = ["render", "-f", str(manifest), "--repository", str(folder / "models")]
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 0, result.output
        uid = self.kube.get("agd", "echo")["metadata"]["uid"]
        own = OperatorKey(OPERATOR_KEY).of_agent(uid)
        closed = f"--http-restricted-api=model-repository:{names.CONTROL_HEADER}={key or own}"
        server = self.servers.enter_context(
            triton(folder / "models", folder, closed, host=HOSTS[pod], http_port=names.HTTP_PORT)
        )
        self._make_pod(pod)
        return server

    def _make_pod(self, name: str) -> None:
        metadata = self.kube.get("deployment", "echo")["spec"]["template"]["metadata"]
        container = {"name": names.SERVER_CONTAINER, "image": "example.com/triton"}
        self.kube.apply(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {**metadata, "name": name},
                "spec": {"containers": [container]},
            }
        )
        status = {
            "phase": "Running",
            "podIP": HOSTS[name],
            "podIPs": [{"ip": HOSTS[name]}],
            "conditions": [
                {"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-01T00:00:00Z"}
            ],
            "containerStatuses": [
                {
                    **container,
                    "imageID": "",
                    "ready": True,
                    "started": True,
                    "restartCount": 0,
                    "containerID": f"test://{name}",
                    "state": {"running": {"startedAt": "2026-11-01T00:00:00Z"}},
                }
            ],
        }
        patch = json.dumps({"status": status})
        self.kube.run("patch", "pod", name, "--subresource=status", "--type=merge", "-p", patch)

    def counts(self) -> list[int]:
        """How many instances each server runs."""
        return [self._count(host) for pod, host in HOSTS.items() if self.kube.find("pod", pod)]

    def _count(self, host: str) -> int:
        url = f"http://{host}:{names.HTTP_PORT}/v2/models/double/config"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return sum(group["count"] for group in json.load(answer)["instance_group"])

    def runs(self, *counts: int) -> None:
        """Wait until the servers run so many, and all is said to be well."""
        self.kube.until(f"{counts} are run", lambda: self.counts() == [*counts], 60, "echo")
        self.kube.until("Ready", lambda: self.kube.is_ready("echo"), 60, "echo")

    def told(self, reason: str) -> list[str]:
        return [note for told, note in self.kube.events("echo") if told == reason]


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
    trireme = str(Path(sys.executable).with_name("trireme"))
    done = subprocess.run(
        [trireme, "diff", "-f", "-", "-o", "json", "-n", fleet.kube.namespace],
        env={"KUBECONFIG": str(fleet.kube.kubeconfig)},
        input=to_yaml(agent),
        capture_output=True,
        text=True,
        check=False,
    )
    (told,) = json.loads(done.stdout)
    return done.returncode, told["effect"]


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
