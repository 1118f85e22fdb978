"""(f), (g), (j): what breaks is made whole: children, the operator itself, its leader."""

import json
from collections.abc import Callable, Iterator

import pytest

from e2e.agents import slow_agent, start
from e2e.load import Load
from e2e.operators import Operators
from kube import Kube, Object, merged

_REVISION = "deployment.kubernetes.io/revision"
_GATE: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "gate"}}


@pytest.fixture(scope="module")
def operators(system: Kube) -> Iterator[Operators]:
    found = Operators(system)
    found.reach_processes()
    yield found
    found.leave_processes()


@pytest.mark.alone
def test_a_deployment_deleted_under_load_comes_back_at_its_size(
    kube: Kube, record_property: Callable[[str, object], None]
) -> None:
    """At five pods, which so little load asks for only because so little is wanted in each.

    All its pods go with it, so no gateway can help until it has resolved the first new one, each
    gateway at a moment of its own: what comes meanwhile is refused at once, in words, and nothing
    is lost before that or after it.
    """
    at_once = {"up": {"policies": [{"type": "Pods", "value": 4, "period": "15s"}]}}
    agent, files = slow_agent("agent", min=1, max=5, target={"inFlight": 0.1}, behavior=at_once)
    name = start(kube, agent, files)
    load = Load(kube, "load", name, "policy", "1800s@20")
    kube.until("five pods", lambda: kube.ready_pods(name) == 5, 300, name)
    uid = kube.get("deployment", name)["metadata"]["uid"]
    before = len(load.seconds())
    kube.run("delete", "deployment", name)

    def made_again() -> bool:
        found = kube.find("deployment", name)
        return found is not None and found["metadata"]["uid"] != uid

    def whole_again() -> bool:
        assert kube.replicas(name) == 5, kube.describe(name)
        return kube.ready_pods(name) == 5

    kube.until("made again", made_again, 180, name)
    kube.until("five pods again, and at no time fewer wanted", whole_again, 300, name)
    note = f"Deployment {name} was gone: made again with 5 replicas"
    assert ("DriftRepaired", note) in kube.events(name)
    whole = len(load.seconds())

    def is_answered() -> bool:
        last = load.seconds()[whole:][-3:]
        return len(last) == 3 and not any(second["failed"] for second in last)

    kube.until("each gateway has resolved a pod", is_answered, 60, name)
    known = len(load.seconds())
    kube.until("load goes on", lambda: len(load.seconds()) >= known + 10, 180, name)
    load.stop()
    summary = load.summary()
    refused = [e["count"] for e in summary["errors"] if "no healthy upstream" in e["text"]]
    assert summary["lost"] == sum(refused), summary
    record_property("requests refused while there was no pod", summary["lost"])
    failed = [second["second"] for second in load.seconds() if second["failed"]]
    assert all(before <= second < known for second in failed), (before, known, failed)


def test_hand_edits_are_repaired_but_a_hand_that_scales_is_respected(kube: Kube) -> None:
    agent, files = slow_agent("agent", min=1, max=3)
    name = start(kube, agent, files)
    containers = [{"name": "triton", "image": "example.com/other"}]
    patch = json.dumps({"spec": {"template": {"spec": {"containers": containers}}}})
    kube.run("patch", "deployment", name, "--type=strategic", "-p", patch)

    def image() -> str:
        (container,) = kube.get("deployment", name)["spec"]["template"]["spec"]["containers"]
        return str(container["image"])

    kube.until("repaired", lambda: image() == agent["spec"]["server"]["image"], 180, name)

    kube.run("scale", "deployment", name, "--replicas=2")
    kube.until("noticed", lambda: _active(kube, name) == "ForeignWriter", 180, name)
    assert kube.replicas(name) == 2
    kube.run("annotate", "agd", name, "trireme.dev/command=resume")
    kube.until("taken back", lambda: _active(kube, name) != "ForeignWriter", 180, name)


@pytest.mark.alone
def test_the_operator_killed_in_a_rollout_and_a_scale_up_ends_right(
    kube: Kube, operators: Operators
) -> None:
    """Its new pods mount what the test makes only once the operator was killed: until then neither
    can have ended.
    """
    agent, files = slow_agent("agent", min=1, max=3)
    name = start(kube, agent, files)
    calm = Load(kube, "calm", name, "policy", "1800s@10")
    kube.until("load is on", calm.started)
    gate = {"name": "gate", "configMap": {"name": _GATE["metadata"]["name"]}}
    template = {"spec": {"volumes": [gate]}}
    kube.apply(merged(agent, {"spec": {"server": {"podTemplate": template}}}))
    kube.until("a rollout is under way", lambda: _rolling(kube, name), 180, name)
    operators.crash_leader()
    assert _rolling(kube, name), kube.describe(name)
    kube.apply(_GATE)
    kube.until("the rollout ends", lambda: kube.is_ready(name), 300, name)

    kube.run("delete", "configmap", "gate")
    peak = Load(kube, "peak", name, "policy", "1800s@60")
    kube.until("a scale-up is under way", lambda: _growing(kube, name), 300, name)
    operators.crash_leader()
    assert _growing(kube, name), kube.describe(name)
    size = kube.replicas(name) or 0
    kube.apply(_GATE)

    def carried_on() -> bool:
        labels = {"namespace": kube.namespace, "agent": name}
        wanted = operators.metric(operators.leader(), "trireme_agent_desired_replicas", **labels)
        return wanted == kube.replicas(name) == kube.ready_pods(name)

    kube.until("what the new process wants is ready", carried_on, 300, name)
    assert size <= kube.ready_pods(name) <= 3, kube.describe(name)
    peak.stop()
    calm.stop()
    peak.all_answered()
    calm.all_answered()


@pytest.mark.alone
def test_a_second_replica_takes_over_when_the_leader_is_lost(
    kube: Kube, operators: Operators
) -> None:
    agent, files = slow_agent("agent", min=1, max=1)
    name = start(kube, agent, files)
    leader, standby = operators.leader(), operators.standby()
    assert operators.metric(leader, "trireme_leader") == 1
    assert operators.metric(leader, "trireme_reconciliations_total")
    assert operators.metric(standby, "trireme_leader") == 0
    assert not operators.metric(standby, "trireme_reconciliations_total")

    operators.lose_leader()
    kube.apply(merged(agent, {"spec": {"scaling": {"min": 2, "max": 2}}}))
    kube.until("the edit is carried out", lambda: kube.ready_pods(name) == 2, 180, name)
    assert operators.leader() != leader
    assert operators.metric(operators.leader(), "trireme_leader") == 1


def _rolling(kube: Kube, agent: str) -> bool:
    """Whether pods of a second template exist, and one of them is not ready."""
    sets = kube.all("rs", f"trireme.dev/agent={agent}")
    newest = max(sets, key=lambda s: int(s["metadata"]["annotations"][_REVISION]))
    pods = newest["status"]["replicas"]
    return len(sets) == 2 and newest["status"].get("readyReplicas", 0) < pods


def _growing(kube: Kube, agent: str) -> bool:
    """Whether the agent has been given a size that it has not reached."""
    return kube.ready_pods(agent) < (kube.replicas(agent) or 0)


def _active(kube: Kube, agent: str) -> str:
    return kube.conditions(agent).get("AutoscalingActive", ("", ""))[1]
