"""(l) A change of the instances alone: no pod is replaced, and one that starts is no different."""

import json
from collections.abc import Callable

from e2e.agents import server_pods, slow_agent, start
from e2e.load import Load
from kube import Kube, KubectlError, Object, merged

FIELD = "models[policy].instance_group"


def test_instances_change_in_place_under_load_and_no_request_fails(
    kube: Kube, record_property: Callable[[str, object], None]
) -> None:
    agent, files = slow_agent("agent", min=2, max=2)
    agent = merged(agent, {"spec": {"server": {"resources": {"memory": "1Gi"}}}})
    name = start(kube, agent, files)
    before = _uids(kube, name)
    generation = kube.get("deployment", name)["metadata"]["generation"]
    load = Load(kube, "load", name, "policy", "1800s@10")
    kube.until("load is on", load.started)

    for count in (3, 2):
        _change(kube, agent, load, count)
    load.stop()
    summary = load.all_answered()
    record_property("latency in milliseconds", summary["latency_ms"])

    note = f"{FIELD} changed: applied in place to 2 pods, no restart"
    assert ("InPlaceUpdate", note) in kube.events(name)
    assert "RolloutStarted" not in [reason for reason, _ in kube.events(name)]
    assert _uids(kube, name) == before
    assert kube.get("deployment", name)["metadata"]["generation"] == generation

    deleted, restarted = sorted(before)
    # The container may end before kubectl has heard that the command did.
    kube.run("exec", restarted, "--", "sh", "-c", "kill 1", check=False)
    kube.run("delete", "pod", deleted, "--wait=false")
    kube.until("its container began anew", lambda: _restarts(kube, restarted) == 1, 180, name)
    kube.until("another pod", lambda: deleted not in _uids(kube, name), 300, name)
    kube.until("both are ready", lambda: kube.ready_pods(name) == 2, 300, name)
    assert set(_counts(kube, name).values()) == {2}


def _change(kube: Kube, agent: Object, load: Load, count: int) -> None:
    """Edit the instances under load, and wait until every pod has as many and all is said to be
    well.
    """
    before = len(load.seconds())
    (model,) = agent["spec"]["models"]
    models = [merged(model, {"instances": [{"kind": "CPU", "count": count}]})]
    name = agent["metadata"]["name"]
    kube.apply(merged(agent, {"spec": {"models": models}}))
    kube.until(
        f"{count} instances", lambda: set(_counts(kube, name).values()) == {count}, 180, name
    )
    kube.until("Ready", lambda: kube.is_ready(name), 180, name)
    kube.until("requests were sent beside it", lambda: len(load.seconds()) > before, 180, name)


def _counts(kube: Kube, agent: str) -> dict[str, int]:
    """How many instances each pod runs, as its server answers; none where it does not."""
    counts = {}
    for pod in _uids(kube, agent):
        path = f"/api/v1/namespaces/{kube.namespace}/pods/{pod}:8000/proxy/v2/models/policy/config"
        try:
            groups = json.loads(kube.run("get", "--raw", path))["instance_group"]
        except KubectlError:
            counts[pod] = 0
        else:
            counts[pod] = sum(group["count"] for group in groups)
    return counts


def _uids(kube: Kube, agent: str) -> dict[str, str]:
    return {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in server_pods(kube, agent)}


def _restarts(kube: Kube, pod: str) -> int:
    (container,) = kube.get("pod", pod)["status"]["containerStatuses"]
    return int(container["restartCount"])
