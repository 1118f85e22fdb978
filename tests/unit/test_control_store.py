"""What each watch event makes of the store, and the work it asks for."""

from typing import Any

import pytest

from agents import agent_of, repository_of
from trireme.api import names
from trireme.api.conditions import EventReason
from trireme.autoscaler.policy import policy_of
from trireme.control.agent_state import Accepted
from trireme.control.queue import Key, Work
from trireme.control.store import AgentView, Store, owner_of
from trireme.edge.recorder import Event

KEY = Key("team", "chat")


def agent(generation: int = 1, **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"namespace": "team", "name": "chat", "generation": generation, **metadata},
        "spec": {},
    }


def child(kind: str = "Deployment", **metadata: Any) -> dict[str, Any]:
    return {
        "kind": kind,
        "metadata": {
            "namespace": "team",
            "name": "chat",
            "labels": {names.OWNER: "chat"},
            **metadata,
        },
    }


@pytest.mark.parametrize(
    ("before", "after", "work"),
    [
        pytest.param(None, agent(), Work.APPLY, id="a new agent is applied"),
        pytest.param(agent(), agent(), Work(0), id="a change of its status alone is no work"),
        pytest.param(agent(), agent(2), Work.APPLY, id="a new generation is applied"),
        pytest.param(
            agent(),
            agent(annotations={names.COMMAND: "resume"}),
            Work.APPLY,
            id="a new annotation is applied",
        ),
    ],
)
def test_an_agent_event(before: dict[str, Any] | None, after: dict[str, Any], work: Work) -> None:
    store = Store()
    if before is not None:
        store.agent_event(before, deleted=False)
    assert store.agent_event(after, deleted=False) == work
    assert store.agents() == [KEY]


@pytest.mark.parametrize(
    ("before", "after", "deleted", "work"),
    [
        pytest.param(
            child(generation=1),
            child(generation=1, resourceVersion="9"),
            False,
            Work.OBSERVE,
            id="a Deployment's status is observed",
        ),
        pytest.param(
            child(generation=1),
            child(generation=2),
            False,
            Work.APPLY,
            id="an edited Deployment is drift",
        ),
        pytest.param(
            child("ConfigMap", resourceVersion="1"),
            child("ConfigMap", resourceVersion="2"),
            False,
            Work.APPLY,
            id="a kind without generations is compared by its version",
        ),
        pytest.param(
            child(generation=1),
            child(generation=1, annotations={"deployment.kubernetes.io/revision": "2"}),
            False,
            Work.OBSERVE,
            id="an annotation of somebody else's is not",
        ),
        pytest.param(
            child(generation=1, annotations={names.REPOSITORY_DIGEST: "a"}),
            child(generation=1, annotations={names.REPOSITORY_DIGEST: "b"}),
            False,
            Work.APPLY,
            id="one of Trireme's own is",
        ),
        pytest.param(
            child(generation=1),
            child(generation=1),
            True,
            Work.APPLY,
            id="a deleted child is drift",
        ),
    ],
)
def test_a_child_event(
    before: dict[str, Any], after: dict[str, Any], deleted: bool, work: Work
) -> None:
    store = Store()
    store.child_event(KEY, before, deleted=False)
    assert store.child_event(KEY, after, deleted=deleted) == work
    assert bool(store.view(KEY).children) is not deleted


def test_an_agent_that_went_takes_its_view_along_and_late_children_when_they_go() -> None:
    store = Store()
    store.agent_event(agent(), deleted=False)
    store.agent_event(agent(), deleted=True)
    store.child_event(KEY, child(), deleted=False)
    assert store.agents() == []
    view = store.view(KEY)
    store.child_event(KEY, child(), deleted=True)
    store.forget(KEY)
    assert store.view(KEY) is not view


def test_the_pods_of_an_agent_that_went_are_known_until_they_are_gone() -> None:
    store = Store()
    store.agent_event(agent(), deleted=False)
    store.pod_event(KEY, child("Pod", name="chat-1"), deleted=False)
    store.agent_event(agent(), deleted=True)
    store.forget(KEY)
    assert store.agents() == []
    assert list(store.view(KEY).pods) == ["chat-1"]
    store.pod_event(KEY, child("Pod", name="chat-1"), deleted=True)
    before = store.view(KEY)
    store.forget(KEY)
    assert store.view(KEY) is not before


def test_of_a_pods_annotations_only_trireme_s_own_are_kept() -> None:
    store = Store()
    annotations = {names.REPOSITORY_DIGEST: "a", "example.com/notes": "x" * 1_000}
    store.pod_event(KEY, child("Pod", annotations=annotations), deleted=False)
    (pod,) = store.view(KEY).pods.values()
    assert pod["metadata"]["annotations"] == {names.REPOSITORY_DIGEST: "a"}


def test_what_is_told_before_the_agent_itself_is_kept_for_it() -> None:
    """After a start the watches list each kind by itself, in any order, and tell of it once."""
    store = Store()
    store.child_event(KEY, child(), deleted=False)
    store.pod_event(KEY, child("Pod", name="chat-1"), deleted=False)
    store.forget(KEY)
    store.agent_event(agent(), deleted=False)
    assert list(store.view(KEY).pods) == ["chat-1"]
    assert list(store.view(KEY).children) == [("Deployment", "chat")]


def test_an_object_without_the_owner_label_belongs_to_nobody() -> None:
    assert owner_of(child()) == KEY
    assert owner_of(child(labels={})) is None


def test_what_an_accepted_spec_asks_of_scaling_is_read_once() -> None:
    accepted = Accepted(agent_of(), repository_of())
    assert accepted.policy is accepted.policy
    assert accepted.policy == policy_of(accepted.agent.spec)


def test_of_what_became_of_settings_the_latest_wait_for_a_decision_none_of_them_too_long() -> None:
    view = AgentView()
    view.note(Event(EventReason.SETTING_TRIED, f"{n} {'x' * 2000}", "Adopt") for n in range(12))
    assert [each.message.split()[0] for each in view.setting_news] == [str(n) for n in range(2, 12)]
    assert {len(each.message) for each in view.setting_news} == {1024}


def test_the_pods_of_every_deployment_are_counted() -> None:
    store = Store()
    deployments = ("chat", "chat-canary", "chat-gateway", "chat-comparer")
    for count, name in enumerate(deployments, start=1):
        counted = {"spec": {}, "status": {"replicas": count}}
        store.child_event(KEY, child(name=name) | counted, deleted=False)
    store.child_event(KEY, child("Service"), deleted=False)

    assert store.view(KEY).existing_pods == 10


FORMER = {"uid": "former", "creationTimestamp": "2026-11-01T03:00:00Z"}
PRESENT = {"uid": "present", "creationTimestamp": "2026-11-01T03:00:05Z"}


def test_what_is_told_late_of_an_agent_is_none_of_its_successor_s() -> None:
    """kopf tells of objects side by side, and these are two of one name."""
    store = Store()
    store.agent_event(agent(**FORMER), deleted=False)
    assert store.agent_event(agent(**PRESENT), deleted=False) == Work.APPLY
    view = store.view(KEY)
    assert store.agent_event(agent(2, **FORMER), deleted=False) == Work(0)
    assert store.agent_event(agent(2, **FORMER), deleted=True) == Work(0)
    assert store.view(KEY) is view
    assert store.agents() == [KEY]
    assert store.agent_event(agent(**PRESENT), deleted=True) == Work.APPLY
    assert store.agents() == []
