"""What agents of a store may have of the GPU budgets that they name."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import pytest
from pydantic import ValidationError

from agents import agent_of, repository_of
from trireme.api import names
from trireme.api.conditions import Reason
from trireme.api.gpu_budgets import GpuBudget
from trireme.api.rollout import RolloutPhase
from trireme.api.scaling import Paused, ScalingMode
from trireme.autoscaler.records import Concluded, Inputs, conclude
from trireme.autoscaler.types.observation import ClassPods, Grant
from trireme.autoscaler.types.policy import NodeClass
from trireme.autoscaler.types.signals import NoSignals
from trireme.control.agent_state import Accepted, CanaryState
from trireme.control.held_gpus import OVERDUE
from trireme.control.queue import Key
from trireme.control.shares import Shares
from trireme.control.store import Store
from trireme.edge.metrics import Metrics
from trireme.settings import Settings
from unit.autoscaling import NOW, SETTLED, observed, policy, seconds, seen

OBJECTIVES = [{"model": "double", "latency": {"target": "100ms"}}]
STALE = NoSignals(Reason.STALE, "the newest sample is 95s old")
PROGRESSING, PROMOTED, TAKEN_BACK = RolloutPhase
FULL = "GPU budget team-a: 4 of 4 GPUs given"


@dataclass
class Cluster:
    """A store with agents, and a clock a minute after the operator's start."""

    store: Store = field(default_factory=Store)
    now: datetime = NOW
    inputs: dict[Key, Inputs] = field(default_factory=dict)
    budgets: tuple[GpuBudget, ...] = (GpuBudget(name="team-a", gpus=4),)

    def __post_init__(self) -> None:
        self.metrics = Metrics()
        self.shares = Shares(self.store, self.budgets, self.metrics, lambda: self.now)
        self.now += seconds(60)

    def add(
        self,
        name: str,
        replicas: int,
        made: Inputs | None,
        budget: dict[str, Any] | None = None,
        resource: str = "nvidia.com/gpu",
        gpus: int = 1,
        node_classes: Sequence[dict[str, Any]] = (),
    ) -> None:
        key = Key("team", name)
        body = {"metadata": {"namespace": "team", "name": name, "uid": name}}
        self.store.agent_event({**body, "spec": {}}, deleted=False)
        view = self.store.view(key)
        view.accepted = Accepted(
            agent_of(
                objectives=OBJECTIVES,
                server={
                    "image": "x:24.10-py3",
                    "gpus": {"count": gpus, "resource": resource},
                    "nodeClasses": [*node_classes],
                },
                scaling={"budget": budget or {"name": "team-a"}},
            ),
            repository_of(),
        )
        self.deploy(key, replicas)
        if made is not None:
            self.inputs[key] = made

    def deploy(self, key: Key, replicas: int, node_class: str = "") -> None:
        """So many pods, of a class."""
        name = f"{key.name}-{node_class}" if node_class else key.name
        labels = {"trireme.dev/owner": key.name, "trireme.dev/agent": key.name}
        if node_class:
            labels["trireme.dev/node-class"] = node_class
        metadata = {"name": name, "labels": labels, "ownerReferences": [{"uid": key.name}]}
        body = {"kind": "Deployment", "metadata": metadata, "spec": {"replicas": replicas}}
        self.store.view(key).children["Deployment", name] = body

    def pod(
        self,
        agent: str,
        name: str,
        *,
        gpus: int = 1,
        template: str = "new",
        ends_in: float | None = None,
        track: str = names.TRACK_STABLE,
    ) -> None:
        """A pod, as a watch tells of it; one that is told to end has so many seconds for it."""
        labels = {names.OWNER: agent, names.AGENT: agent, names.TRACK: track}
        metadata: dict[str, Any] = {
            "namespace": "team",
            "name": name,
            "uid": name,
            "creationTimestamp": NOW.isoformat(),
            "labels": {**labels, "pod-template-hash": template},
        }
        if ends_in is not None:
            metadata["deletionTimestamp"] = (self.now + seconds(ends_in)).isoformat()
        limits = {"memory": "1Gi", "nvidia.com/gpu": str(gpus)}
        containers = [{"name": names.SERVER_CONTAINER, "resources": {"limits": limits}}]
        body = {"kind": "Pod", "metadata": metadata, "spec": {"containers": containers}}
        self.store.pod_event(Key("team", agent), body, deleted=False)

    def grants(self) -> dict[str, Grant]:
        alone = {key: Concluded.by(inputs) for key, inputs in self.inputs.items()}
        return {key.name: grant for key, grant in self.shares.grants(alone).items()}


def wanting(pods: int, there_are: int, **rule: Any) -> Inputs:
    """Of a fleet whose load fills so many pods of eight requests in flight."""
    return Inputs(observed(there_are, seen(8.0 * pods, 0.05)), policy(**rule), SETTLED)


def test_who_is_not_scaled_now_keeps_what_it_has_and_it_counts() -> None:
    blind = Inputs(observed(2, STALE), policy(), SETTLED)
    cluster = Cluster()
    cluster.add("blind", 2, blind)
    cluster.add("busy", 1, wanting(6, 1), {"name": "team-a", "priority": 9})
    assert cluster.grants() == {"blind": Grant(2, FULL), "busy": Grant(2, FULL)}


@pytest.mark.parametrize(
    "kept",
    [
        pytest.param(None, id="nobody has looked at it yet"),
        pytest.param(
            Inputs(observed(3, seen(0.0)), policy(), SETTLED, foreign_writer="kubectl"),
            id="another writes its size",
        ),
        pytest.param(wanting(1, 3, paused=Paused.SCALE_IN), id="it may not shrink"),
        pytest.param(wanting(1, 3, mode=ScalingMode.SHADOW, replicas=3), id="it is only told of"),
        pytest.param(wanting(1, 2, mode=ScalingMode.FIXED, replicas=3), id="it is to have them"),
    ],
)
def test_nothing_is_taken_from_who_cannot_give(kept: Inputs | None) -> None:
    cluster = Cluster()
    cluster.add("kept", 3, kept)
    cluster.add("busy", 1, wanting(6, 1), {"name": "team-a", "priority": 9})
    assert cluster.grants() == {"kept": Grant(3, FULL), "busy": Grant(1, FULL)}


def test_pods_are_moved_at_most_once_a_minute() -> None:
    cluster = Cluster()
    cluster.add("calm", 3, wanting(3, 3))
    cluster.add("busy", 1, wanting(6, 1), {"name": "team-a", "priority": 9})
    taken = "GPU budget team-a: 2 of 4 GPUs given, 2 are held by pods of team/calm that end"
    assert cluster.grants() == {"calm": Grant(1, taken), "busy": Grant(1, taken)}
    cluster.now += seconds(59)
    assert cluster.grants() == {"calm": Grant(3, FULL), "busy": Grant(1, FULL)}
    cluster.now += seconds(1)
    assert cluster.grants()["calm"] == Grant(1, taken)
    cluster.deploy(Key("team", "calm"), 1)
    assert cluster.grants() == {"calm": Grant(1, FULL), "busy": Grant(3, FULL)}


@pytest.mark.parametrize(
    ("budget", "resource", "words"),
    [
        pytest.param(
            {"name": "team-z"},
            "nvidia.com/gpu",
            "GPU budget team-z, which the operator's gpuBudgets do not have",
            id="one that is not there",
        ),
        pytest.param(
            {"name": "team-b"},
            "nvidia.com/gpu",
            "GPU budget team-b, which is not for namespace team",
            id="one of other namespaces",
        ),
        pytest.param(
            {"name": "team-a"},
            "nvidia.com/mig-1g.10gb",
            "GPU budget team-a, which counts nvidia.com/gpu, not nvidia.com/mig-1g.10gb",
            id="one of other GPUs",
        ),
    ],
)
def test_a_budget_that_cannot_be_used_lets_nobody_grow(
    budget: dict[str, Any], resource: str, words: str
) -> None:
    others = GpuBudget(name="team-b", gpus=8, namespaces=("b", "c"))
    cluster = Cluster(budgets=(GpuBudget(name="team-a", gpus=4), others))
    cluster.add("lost", 2, wanting(6, 2), budget, resource)
    assert cluster.grants() == {"lost": Grant(2, words)}


def uncountable(name: str) -> GpuBudget:
    """A budget that no arithmetic works on: stands for whatever fails with one."""
    return GpuBudget.model_construct(name=name, gpus=None, resource="nvidia.com/gpu")


def test_a_budget_that_fails_lets_its_agents_keep_what_they_have_and_no_other_suffers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cluster = Cluster(budgets=(uncountable("team-0"), GpuBudget(name="team-a", gpus=4)))
    cluster.add("calm", 3, wanting(1, 3), {"name": "team-0"})
    cluster.add("small", 1, wanting(9, 1, bounds=(2, 9)), {"name": "team-0"})
    cluster.add("unseen", 2, None, {"name": "team-0"})
    cluster.add("busy", 1, wanting(6, 1))
    words = "GPU budget team-0, which could not be shared out: the operator's log says why"
    assert cluster.grants() == {
        "calm": Grant(3, words),
        "small": Grant(2, words),
        "busy": Grant(4, FULL),
    }
    assert "the GPU budget team-0 could not be shared out" in caplog.text


def test_nobody_grows_while_it_is_not_known_how_many_pods_one_of_them_has() -> None:
    cluster = Cluster()
    cluster.add("busy", 1, wanting(6, 1))
    cluster.add("odd", 3, None)
    cluster.store.view(Key("team", "odd")).children["Deployment", "odd"] = {"spec": {}}
    assert cluster.grants()["busy"].replicas == 1


def test_the_metrics_tell_what_there_is_what_is_given_and_what_is_wanted() -> None:
    cluster = Cluster()
    cluster.add("busy", 1, wanting(6, 1))
    cluster.pod("busy", "busy-1", ends_in=20)
    cluster.grants()
    told = cluster.metrics.registry.get_sample_value
    kinds = ("total", "given", "wanted", "held")
    labels = [{"budget": "team-a", "kind": kind} for kind in kinds]
    assert [told("trireme_gpu_budget_gpus", each) for each in labels] == [4, 3, 6, 1]


def test_two_budgets_of_one_name_are_refused() -> None:
    twice = [GpuBudget(name="team-a", gpus=4), GpuBudget(name="team-a", gpus=40)]
    with pytest.raises(ValidationError, match="team-a is there more than once: remove all but one"):
        Settings(gpu_budgets=twice)


def test_of_an_agent_with_node_classes_the_gpus_are_counted() -> None:
    rules = (NodeClass("duo", 1.0, 0, 10, gpus=2), NodeClass("one", 0.9, 0, 10, gpus=1))
    load = observed(1, seen(8.0 * 6, 0.05))
    load = replace(load, classes=(ClassPods("duo", 1, 1), ClassPods("one", 0, 0)))
    made = Inputs(load, replace(policy(), classes=rules), SETTLED)
    cluster = Cluster()
    classes = [
        {"name": "duo", "price": 1.0, "gpus": {"count": 2}},
        {"name": "one", "price": 0.9, "gpus": {"count": 1}},
    ]
    cluster.add("mixed", 1, made, node_classes=classes)

    grant = cluster.grants()["mixed"]
    decision, _ = conclude(replace(made, observation=replace(load, grant=grant)))

    assert grant == Grant(4, FULL)
    assert [each.replicas for each in decision.classes] == [1, 2], "2 and 2 GPUs of 4"
    assert "limited by GPU budget team-a" in str(decision.message)


@pytest.mark.parametrize("granted", range(1, 9))
@pytest.mark.parametrize(
    "made",
    [
        pytest.param(wanting(6, 3), id="it grows"),
        pytest.param(wanting(1, 3), id="it shrinks"),
        pytest.param(wanting(6, 3, paused=Paused.SCALE_OUT), id="it may not grow"),
        pytest.param(
            replace(wanting(6, 3), foreign_writer="kubectl"), id="another writes its size"
        ),
        pytest.param(Inputs(observed(3, STALE), policy(), SETTLED), id="it has no signals"),
    ],
)
def test_a_decision_with_a_grant_is_the_one_that_its_inputs_give(
    made: Inputs, granted: int
) -> None:
    found = Concluded.by(made).granted(Grant(granted, FULL))
    assert found == Concluded.by(found.inputs)
    assert found.inputs.observation.grant == Grant(granted, FULL)


def classes_of(made: Inputs, *pods: ClassPods, rules: Sequence[NodeClass]) -> Inputs:
    """The same of a fleet whose pods are of classes."""
    there = replace(made.observation, classes=pods)
    return replace(made, observation=there, policy=replace(made.policy, classes=tuple(rules)))


def test_while_pods_of_former_classes_are_there_all_is_counted_in_gpus() -> None:
    former = ClassPods("l4", 4, 4)
    made = classes_of(
        wanting(4, 4), former, ClassPods("", 0, 0), rules=[NodeClass("", 1.0, 0, 99, gpus=2)]
    )
    cluster = Cluster(budgets=(GpuBudget(name="team-a", gpus=8),))
    cluster.add("mixed", 0, made, gpus=2)
    cluster.deploy(Key("team", "mixed"), 4, "l4")

    grant = cluster.grants()["mixed"]
    decision, _ = conclude(replace(made, observation=replace(made.observation, grant=grant)))

    assert grant == Grant(8, "GPU budget team-a: 8 of 8 GPUs given")
    assert [each.replicas for each in decision.classes] == [4, 4], "all that take over can start"


@pytest.mark.parametrize(
    ("rule", "replicas"),
    [
        pytest.param({}, 3, id="since they stay until others serve"),
        pytest.param({"paused": Paused.SCALE_IN}, 3, id="since they may not go"),
    ],
)
def test_the_gpus_of_pods_from_before_the_classes_are_not_given_to_others(
    rule: dict[str, Any], replicas: int
) -> None:
    rules = [NodeClass("duo", 1.0, 0, 9, gpus=2), NodeClass("one", 0.9, 0, 9, gpus=1)]
    made = classes_of(
        wanting(1, replicas, **rule),
        ClassPods("duo", 0, 0),
        ClassPods("one", 0, 0),
        ClassPods("", replicas, replicas),
        rules=rules,
    )
    cluster = Cluster()
    classes = [{"name": r.name, "price": r.price, "gpus": {"count": r.gpus}} for r in rules]
    cluster.add("mixed", replicas, made, node_classes=classes)
    cluster.add("busy", 1, wanting(6, 1), {"name": "team-a", "priority": 9})
    assert {name: grant.replicas for name, grant in cluster.grants().items()} == {
        "mixed": 3,
        "busy": 1,
    }


def test_the_least_gpus_that_the_mins_need_are_kept_whatever_the_priorities() -> None:
    rules = [NodeClass("duo", 1.0, 1, 9, gpus=2), NodeClass("one", 0.9, 0, 9, gpus=1)]
    load = wanting(1, 2, bounds=(2, 9))
    made = classes_of(load, ClassPods("duo", 1, 1), ClassPods("one", 1, 1), rules=rules)
    cluster = Cluster()
    classes = [{"name": r.name, "price": r.price, "gpus": {"count": r.gpus}} for r in rules]
    cluster.add("mixed", 0, made, node_classes=classes)
    cluster.add("busy", 1, wanting(6, 1), {"name": "team-a", "priority": 9})
    assert {name: grant.replicas for name, grant in cluster.grants().items()} == {
        "mixed": 3,
        "busy": 1,
    }


def test_of_an_agent_with_node_classes_that_nobody_has_looked_at_the_gpus_count() -> None:
    cluster = Cluster(budgets=(GpuBudget(name="team-a", gpus=8),))
    classes = [{"name": "quad", "price": 1.0, "gpus": {"count": 4}}]
    cluster.add("unseen", 1, None, node_classes=classes)
    cluster.store.view(Key("team", "unseen")).children.clear()
    cluster.deploy(Key("team", "unseen"), 1, "quad")
    cluster.add("busy", 1, wanting(6, 1))
    assert cluster.grants()["busy"] == Grant(4, "GPU budget team-a: 8 of 8 GPUs given")


def test_pods_that_end_have_their_gpus_until_they_are_gone() -> None:
    cluster = Cluster()
    cluster.add("calm", 1, wanting(1, 1))
    cluster.add("busy", 1, wanting(6, 1))
    cluster.pod("calm", "calm-1")
    cluster.pod("calm", "calm-2", ends_in=30)
    held = "GPU budget team-a: 3 of 4 GPUs given, 1 is held by pods of team/calm that end"
    assert cluster.grants()["busy"] == Grant(2, held)
    body = cluster.store.view(Key("team", "calm")).pods["calm-2"]
    cluster.store.pod_event(Key("team", "calm"), body, deleted=True)
    assert cluster.grants()["busy"] == Grant(3, FULL)


def test_a_pod_that_never_ends_counts_until_a_minute_after_its_time() -> None:
    cluster = Cluster()
    cluster.add("calm", 1, wanting(1, 1))
    cluster.add("busy", 1, wanting(6, 1))
    cluster.pod("calm", "calm-2", ends_in=30)
    cluster.now += seconds(30) + OVERDUE - seconds(1)
    assert cluster.grants()["busy"].replicas == 2
    cluster.now += seconds(1)
    assert cluster.grants()["busy"] == Grant(3, FULL)


def test_pods_that_a_smaller_size_has_not_ended_yet_are_held() -> None:
    cluster = Cluster()
    cluster.add("calm", 1, wanting(1, 1))
    cluster.add("busy", 1, wanting(6, 1))
    for at in range(3):
        cluster.pod("calm", f"calm-{at}")
    held = "GPU budget team-a: 2 of 4 GPUs given, 2 are held by pods of team/calm that end"
    assert cluster.grants() == {"calm": Grant(1, held), "busy": Grant(1, held)}


def test_the_surge_of_a_rollout_takes_the_gpu_of_the_pod_that_is_last_in_rank() -> None:
    cluster = Cluster()
    cluster.add("rolls", 2, wanting(2, 2), {"name": "team-a", "priority": 9})
    cluster.add("calm", 2, wanting(2, 2))
    for name, template in (("rolls-0", "old"), ("rolls-1", "old"), ("rolls-2", "new")):
        cluster.pod("rolls", name, template=template)
    words = (
        "GPU budget team-a: 3 of 4 GPUs given, 1 is held by pods of team/calm that end, "
        "1 by the rollout of team/rolls"
    )
    assert cluster.grants() == {"calm": Grant(1, words), "rolls": Grant(2, words)}


def test_a_canary_has_its_gpus_from_when_it_is_to_have_pods() -> None:
    cluster = Cluster()
    cluster.add("tries", 2, wanting(3, 2))
    key = Key("team", "tries")
    metadata = {"name": "tries-canary", "labels": {}, "ownerReferences": []}
    body = {"kind": "Deployment", "metadata": metadata, "spec": {"replicas": 1}}
    cluster.store.view(key).children["Deployment", "tries-canary"] = body
    words = "GPU budget team-a: 3 of 4 GPUs given, 1 is held by the canary of team/tries"
    assert cluster.grants() == {"tries": Grant(3, words)}
    cluster.pod("tries", "tries-canary-0", track=names.TRACK_CANARY)
    assert cluster.grants() == {"tries": Grant(3, words)}, "the pod is the one that was to be"


@pytest.mark.parametrize(
    ("gpus", "left"),
    [
        pytest.param({"count": 2}, 2, id="more than the stable pods have"),
        pytest.param({"count": 0}, 4, id="none"),
        pytest.param({"count": 2, "resource": "amd.com/gpu"}, 4, id="others than are counted"),
    ],
)
def test_a_canary_has_the_gpus_of_its_candidate(gpus: dict[str, Any], left: int) -> None:
    cluster = Cluster()
    cluster.add("tries", 1, wanting(6, 1))
    view = cluster.store.view(Key("team", "tries"))
    tried = agent_of(server={"image": "x:24.10-py3", "gpus": gpus})
    view.canary = CanaryState(Accepted(tried, repository_of()), 2, "d1", NOW)
    metadata = {"name": "tries-canary", "labels": {}, "ownerReferences": []}
    body = {"kind": "Deployment", "metadata": metadata, "spec": {"replicas": 1}}
    view.children["Deployment", "tries-canary"] = body
    assert cluster.grants()["tries"].replicas == left


def trying(cluster: Cluster, size: int, needed: int, phase: RolloutPhase) -> CanaryState:
    """The agent `tries` has a canary of so many pods, which are to be `needed`."""
    view = cluster.store.view(Key("team", "tries"))
    assert view.accepted is not None
    canary = CanaryState(view.accepted, 2, "d1", NOW, phase=phase, needed=needed, replicas=size)
    metadata = {"name": "tries-canary", "labels": {}, "ownerReferences": []}
    body = {"kind": "Deployment", "metadata": metadata, "spec": {"replicas": size}}
    view.children["Deployment", "tries-canary"] = body
    view.canary = canary
    return canary


@pytest.mark.parametrize(
    ("size", "phase", "load", "grant"),
    [
        pytest.param(0, PROGRESSING, 2, Grant(2, ""), id="what is free for it"),
        pytest.param(
            0,
            PROGRESSING,
            3,
            Grant(0, "GPUs of budget team-a: needs 2, 1 is free"),
            id="nothing of what is too little",
        ),
        pytest.param(
            1,
            PROGRESSING,
            3,
            Grant(1, "GPUs of budget team-a: needs 1 more, 0 are free"),
            id="what it has, for its next step",
        ),
        pytest.param(1, PROMOTED, 3, Grant(1, ""), id="what it has, once it is promoted"),
        pytest.param(
            1,
            PROMOTED,
            4,
            Grant(0, "GPUs of budget team-a: needs 1, 0 are free"),
            id="nothing where pods are needed, promoted or not",
        ),
        pytest.param(1, TAKEN_BACK, 2, Grant(1, ""), id="it goes, once it is taken back"),
    ],
)
def test_a_canary_may_have_what_the_agents_leave(
    size: int, phase: RolloutPhase, load: int, grant: Grant
) -> None:
    cluster = Cluster()
    cluster.add("tries", 2, wanting(load, 2))
    canary = trying(cluster, size, 2, phase)
    cluster.grants()
    assert canary.grant == grant


@pytest.mark.parametrize("is_known", [True, False], ids=["known", "not looked at yet"])
def test_a_canary_of_a_node_class_has_the_gpus_of_its_pods(is_known: bool) -> None:
    cluster = Cluster(budgets=(GpuBudget(name="team-a", gpus=8),))
    duo = {"name": "duo", "price": 1.0, "gpus": {"count": 2}}
    cluster.add("tries", 0, None, node_classes=[duo])
    cluster.deploy(Key("team", "tries"), 2, "duo")
    canary = trying(cluster, 1, 1, PROGRESSING)
    canary.node_class = "duo"
    view = cluster.store.view(Key("team", "tries"))
    if not is_known:
        view.canary = None
        labels = {names.NODE_CLASS: "duo"}
        view.children["Deployment", "tries-canary"]["metadata"]["labels"] = labels
    cluster.add("busy", 1, wanting(2, 1))
    words = "GPU budget team-a: 6 of 8 GPUs given, 2 are held by the canary of team/tries"
    assert cluster.grants()["busy"] == Grant(2, words)


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        pytest.param("team-z", "the operator's gpuBudgets do not have", id="it is not there"),
        pytest.param("team-0", "which could not be shared out", id="it fails"),
    ],
)
def test_a_canary_waits_where_its_budget_cannot_be_used(budget: str, words: str) -> None:
    cluster = Cluster(budgets=(uncountable("team-0"),))
    cluster.add("tries", 2, wanting(2, 2), {"name": budget})
    canary = trying(cluster, 1, 2, PROGRESSING)
    cluster.grants()
    assert canary.grant is not None
    assert canary.grant.replicas == 1
    assert words in canary.grant.words
    canary = trying(cluster, 2, 2, PROGRESSING)
    cluster.grants()
    assert canary.grant == Grant(2, "")


def test_a_canary_of_an_agent_that_left_its_budget_is_bounded_by_none() -> None:
    cluster = Cluster()
    cluster.add("tries", 2, wanting(2, 2))
    canary = trying(cluster, 0, 2, PROGRESSING)
    cluster.grants()
    assert canary.grant is not None
    view = cluster.store.view(Key("team", "tries"))
    view.accepted = Accepted(agent_of(), repository_of())
    cluster.grants()
    assert canary.grant is None


def test_the_pods_of_an_agent_that_is_gone_have_their_gpus_until_they_are_gone_too() -> None:
    cluster = Cluster()
    cluster.add("old", 2, wanting(2, 2))
    cluster.add("busy", 1, wanting(6, 1))
    for name in ("old-0", "old-1"):
        cluster.pod("old", name)
    assert cluster.grants()["busy"] == Grant(2, FULL)
    key = Key("team", "old")
    cluster.store.agent_event({"metadata": {"namespace": "team", "name": "old"}}, deleted=True)
    del cluster.inputs[key]
    held = "GPU budget team-a: 2 of 4 GPUs given, 2 are held by pods of team/old that end"
    assert cluster.grants() == {"busy": Grant(2, held)}, "nobody has told them to end yet"
    cluster.pod("old", "old-0", ends_in=30)
    cluster.now += seconds(60)
    held = "GPU budget team-a: 3 of 4 GPUs given, 1 is held by pods of team/old that end"
    assert cluster.grants() == {"busy": Grant(3, held)}, "the other one was left for good"
    cluster.now += seconds(30)
    assert cluster.grants() == {"busy": Grant(4, FULL)}


def test_pods_of_an_agent_that_left_a_budget_are_not_counted() -> None:
    cluster = Cluster(budgets=(GpuBudget(name="team-a", gpus=4), GpuBudget(name="team-b", gpus=2)))
    cluster.add("moves", 2, wanting(2, 2))
    cluster.add("busy", 1, wanting(6, 1))
    cluster.pod("moves", "moves-0", ends_in=30)
    assert cluster.grants()["busy"].replicas == 1
    cluster.add("moves", 2, wanting(2, 2), {"name": "team-b"})
    assert cluster.grants()["busy"] == Grant(4, FULL)


@pytest.mark.parametrize(
    ("spec", "left"),
    [
        pytest.param({"scaling": {"budget": {"name": "team-a"}}}, 2, id="of the budget"),
        pytest.param({"scaling": {"budget": {"name": "team-z"}}}, 4, id="of another"),
        pytest.param({"scaling": {"budget": None}}, 4, id="of none"),
        pytest.param({"scaling": ["odd"]}, 4, id="of nothing that can be read"),
    ],
)
def test_the_pods_of_an_agent_that_nobody_has_looked_at_yet_count(
    spec: dict[str, Any], left: int
) -> None:
    cluster = Cluster()
    cluster.add("busy", 1, wanting(6, 1))
    metadata = {"namespace": "team", "name": "new", "uid": "new"}
    cluster.store.agent_event({"metadata": metadata, "spec": spec}, deleted=False)
    for name in ("new-0", "new-1"):
        cluster.pod("new", name)
    assert cluster.grants()["busy"].replicas == left
