"""Conditions from what was seen, each case by what an SRE would read."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from agents import agent_of
from trireme.api.conditions import ConditionType, EventReason, Reason
from trireme.api.rollout import RolloutPhase, RolloutStatus
from trireme.api.status import AgentStatus
from trireme.control.events import Story, transitions
from trireme.control.observed import PodView, Trouble, deployment_view, server_pods
from trireme.control.status import (
    InPlaceProgress,
    Observed,
    Verdict,
    changes_unseen,
    dated,
    findings,
    may_be_empty,
    model_statuses,
    with_unlisted,
    written,
)
from trireme.edge.triton import ModelState
from trireme.resources.change import Change, Effect, Part

NOW = datetime(2026, 11, 1, 3, 0, tzinfo=UTC)
LATER = datetime(2026, 11, 1, 3, 5, tzinfo=UTC)
VALID = Verdict(True, Reason.VALID, "the spec has no faults")
REFUSED = Verdict(False, Reason.INVALID_SPEC, "spec.models[0].backend: no such backend")
AWAITED = Verdict(False, Reason.SOURCE_NOT_FOUND, "there is no ConfigMap files", heals=True)
UNPULLABLE = Trouble(Reason.IMAGE_PULL_FAILED, "envoy: ErrImagePull: 401")


def deployment(
    *, wanted: int, existing: int, updated: int, ready: int, reason: str = "ReplicaSetUpdated"
) -> dict[str, Any]:
    return {
        "metadata": {"generation": 3},
        "spec": {"replicas": wanted},
        "status": {
            "observedGeneration": 3,
            "replicas": existing,
            "updatedReplicas": updated,
            "readyReplicas": ready,
            "availableReplicas": ready,
            "conditions": [{"type": "Progressing", "reason": reason, "message": "told so"}],
        },
    }


SETTLED = deployment_view(deployment(wanted=2, existing=2, updated=2, ready=2))
ROLLING = deployment_view(deployment(wanted=2, existing=3, updated=1, ready=2))
GROWING = deployment_view(deployment(wanted=4, existing=4, updated=4, ready=2))
STUCK = deployment_view(
    deployment(wanted=2, existing=3, updated=1, ready=2, reason="ProgressDeadlineExceeded")
)


def pod(name: str, *, ready: bool, trouble: Trouble | None = None) -> PodView:
    return PodView(
        name,
        "10.0.0.1",
        NOW if ready else None,
        fetching=False,
        running=True,
        started=ready,
        ends_by=None,
        trouble=trouble,
        uid=name,
        created=NOW,
        template="one",
    )


SERVING = Observed(
    server=SETTLED,
    gateway=SETTLED,
    gateway_wanted=True,
    pods=(pod("a", ready=True), pod("b", ready=True)),
    gateway_pods=(pod("g", ready=True),),
    models={},
)
NONE_WANTED = replace(
    SERVING,
    server=deployment_view(deployment(wanted=0, existing=0, updated=0, ready=0)),
    pods=(replace(pod("a", ready=False), ends_by=NOW),),
    may_be_empty=True,
)
STARTING = replace(SERVING, server=ROLLING, pods=(pod("a", ready=False),))


def read(
    verdict: Verdict, observed: Observed, previous: AgentStatus | None = None
) -> dict[str, tuple[bool | None, str]]:
    found = findings(1, previous or AgentStatus(), verdict, observed)
    return {str(kind): (finding.status, str(finding.reason)) for kind, finding in found.items()}


@pytest.mark.parametrize(
    ("verdict", "observed", "expected"),
    [
        pytest.param(
            VALID,
            SERVING,
            {
                "Accepted": (True, "Valid"),
                "Available": (True, "PodsReady"),
                "Ready": (True, "PodsReady"),
                "Reconciling": (False, "RolledOut"),
                "Stalled": (False, "Valid"),
                "ModelsReady": (True, "Loaded"),
            },
            id="a settled agent is Ready",
        ),
        pytest.param(
            VALID,
            STARTING,
            {
                "Available": (False, "NoPodsReady"),
                "Ready": (False, "RollingOut"),
                "Reconciling": (True, "RollingOut"),
                "Stalled": (False, "Valid"),
                "ModelsReady": (False, "Loading"),
            },
            id="an agent that starts is Reconciling",
        ),
        pytest.param(
            REFUSED,
            SERVING,
            {
                "Accepted": (False, "InvalidSpec"),
                "Available": (True, "PodsReady"),
                "Ready": (False, "InvalidSpec"),
                "Reconciling": (False, "InvalidSpec"),
                "Stalled": (True, "InvalidSpec"),
                "ModelsReady": (True, "Loaded"),
            },
            id="a refused edit is Stalled while what runs stays Available",
        ),
        pytest.param(
            AWAITED,
            SERVING,
            {
                "Accepted": (False, "SourceNotFound"),
                "Ready": (False, "SourceNotFound"),
                "Reconciling": (True, "SourceNotFound"),
                "Stalled": (False, "Valid"),
            },
            id="a ConfigMap that is yet to come is waited for",
        ),
        pytest.param(
            VALID,
            replace(
                STARTING,
                models={"a": (ModelState("enc", False, "no module named nump"),)},
            ),
            {"Ready": (False, "ModelLoadFailed"), "Stalled": (True, "ModelLoadFailed")},
            id="a model that fails to load stalls",
        ),
        pytest.param(
            VALID,
            replace(
                STARTING,
                pods=(pod("a", ready=False, trouble=Trouble(Reason.UNSCHEDULABLE, "0/1 nodes")),),
            ),
            {"Available": (False, "Unschedulable"), "Ready": (False, "Unschedulable")},
            id="the scheduler's words reach the conditions",
        ),
        pytest.param(
            VALID,
            replace(SERVING, server=STUCK),
            {"Stalled": (True, "ProgressDeadlineExceeded"), "Available": (True, "PodsReady")},
            id="a rollout that does not advance is Stalled",
        ),
        pytest.param(
            VALID,
            replace(SERVING, gateway=None),
            {"Available": (False, "GatewayNotReady"), "Ready": (False, "RollingOut")},
            id="ready pods behind no gateway are not Available",
        ),
        pytest.param(
            VALID,
            replace(
                SERVING,
                gateway=ROLLING,
                gateway_pods=(pod("g", ready=False, trouble=UNPULLABLE),),
            ),
            {"Available": (True, "PodsReady"), "Reconciling": (True, "ImagePullFailed")},
            id="what keeps the gateway from starting is told in the kubelet's words",
        ),
        pytest.param(
            VALID,
            replace(SERVING, gateway=None, gateway_wanted=False),
            {"Available": (True, "PodsReady"), "Ready": (True, "PodsReady")},
            id="without a gateway the pods alone count",
        ),
        pytest.param(
            VALID,
            NONE_WANTED,
            {
                "Available": (False, "ScaledToZero"),
                "Ready": (True, "ScaledToZero"),
                "Reconciling": (False, "RolledOut"),
                "Stalled": (False, "Valid"),
                "ModelsReady": (None, "ScaledToZero"),
            },
            id="a fleet that is to have no pod now is Ready to have some",
        ),
        pytest.param(
            VALID,
            replace(NONE_WANTED, gateway=None, gateway_pods=()),
            {"Available": (False, "ScaledToZero"), "Ready": (False, "RollingOut")},
            id="not without its gateway",
        ),
        pytest.param(
            VALID,
            replace(NONE_WANTED, gateway=replace(SETTLED, ready=0)),
            {"Ready": (False, "GatewayNotReady")},
            id="nor with one that is not ready",
        ),
        pytest.param(
            VALID,
            replace(NONE_WANTED, may_be_empty=False),
            {"Available": (False, "NoPodsReady"), "Ready": (False, "NoPodsReady")},
            id="a fleet that somebody emptied is not Ready",
        ),
        pytest.param(
            VALID,
            replace(NONE_WANTED, server=SETTLED),
            {"Available": (False, "NoPodsReady"), "Ready": (False, "NoPodsReady")},
            id="nor is one whose pods are wanted and gone",
        ),
        pytest.param(
            VALID,
            replace(SERVING, apply_failure="spec.template: Invalid value", apply_final=True),
            {"Stalled": (True, "ApplyFailed"), "Ready": (False, "ApplyFailed")},
            id="an object the API refuses for good stalls",
        ),
        pytest.param(
            VALID,
            replace(SERVING, apply_failure="no answer", apply_final=False),
            {"Stalled": (False, "Valid"), "Reconciling": (True, "ApplyFailed")},
            id="an API server that does not answer is waited for",
        ),
    ],
)
def test_conditions(
    verdict: Verdict, observed: Observed, expected: dict[str, tuple[bool, str]]
) -> None:
    found = read(verdict, observed)
    assert {kind: found[kind] for kind in expected} == expected


SOME_DAYS = {"schedule": "0 22 * * *", "duration": "8h", "min": 0}
BY_DEMAND = {"demand": {"query": "vector(1)"}}


@pytest.mark.parametrize(
    ("spec", "may"),
    [
        pytest.param({}, False, id="a min of one"),
        pytest.param({"scaling": {"min": 0, **BY_DEMAND}}, True, id="a min of none"),
        pytest.param({"scaling": {"schedules": [SOME_DAYS], **BY_DEMAND}}, True, id="at night"),
        pytest.param({"replicas": 0, "scaling": {"mode": "Fixed"}}, True, id="told so"),
        pytest.param(
            {"replicas": 2, "scaling": {"mode": "Fixed", "min": 0, **BY_DEMAND}},
            False,
            id="told otherwise",
        ),
    ],
)
def test_which_agents_may_be_without_a_pod(spec: dict[str, Any], may: bool) -> None:
    objectives = [{"model": "double", "latency": {"target": "100ms"}}]
    assert may_be_empty(agent_of(objectives=objectives, **spec).spec) is may


def status_after(observed: Observed, previous: AgentStatus, now: datetime = NOW) -> AgentStatus:
    found = findings(1, previous, VALID, observed)
    conditions = dated(found, previous.conditions, 1, now)
    return AgentStatus(observed_generation=1, conditions=conditions, repository_digest="aaaa")


NO_PODS = replace(SERVING, server=None, pods=())


@pytest.mark.parametrize(
    ("verdict", "observed", "is_looked_at"),
    [
        pytest.param(VALID, SERVING, False, id="not while all is well"),
        pytest.param(VALID, STARTING, True, id="while a rollout is on"),
        pytest.param(VALID, replace(STARTING, server=SETTLED), True, id="while a pod loads"),
        pytest.param(REFUSED, STARTING, True, id="while a pod loads what was before an edit"),
        pytest.param(AWAITED, NO_PODS, True, id="while a ConfigMap may come"),
        pytest.param(REFUSED, NO_PODS, False, id="not while a spec that runs nowhere is refused"),
        pytest.param(VALID, NONE_WANTED, False, id="not while no pod is wanted"),
    ],
)
def test_when_an_agent_is_looked_at_again_though_no_watch_tells_of_it(
    verdict: Verdict, observed: Observed, is_looked_at: bool
) -> None:
    found = findings(1, AgentStatus(), verdict, observed)
    assert changes_unseen(found, observed.pods) is is_looked_at


def test_growing_does_not_undo_ready_but_a_rollout_does() -> None:
    settled = status_after(SERVING, AgentStatus())
    assert read(VALID, replace(SERVING, server=GROWING), settled)["Ready"][0] is True
    assert read(VALID, replace(SERVING, server=ROLLING), settled)["Ready"][0] is False


TRYING = replace(SERVING, trial="generation 1 is tried on a canary")
TAKEN_BACK = replace(SERVING, rolled_back="generation 1 was tried on a canary and taken back")


@pytest.mark.parametrize(
    ("observed", "ready", "reconciling", "stalled"),
    [
        pytest.param(
            TRYING,
            (False, "TryingCanary"),
            (True, "TryingCanary"),
            (False, "Valid"),
            id="while one is tried the generation is not rolled out",
        ),
        pytest.param(
            TAKEN_BACK,
            (False, "RolledBack"),
            (False, "RolledBack"),
            (True, "RolledBack"),
            id="one that was taken back waits for a change of the spec",
        ),
        pytest.param(
            replace(TRYING, server=ROLLING),
            (False, "RollingOut"),
            (True, "RollingOut"),
            (False, "Valid"),
            id="a rollout of the stable pods comes first",
        ),
        pytest.param(
            replace(TAKEN_BACK, server=STUCK),
            (False, "ProgressDeadlineExceeded"),
            (False, "ProgressDeadlineExceeded"),
            (True, "ProgressDeadlineExceeded"),
            id="and so does what is wrong with them",
        ),
    ],
)
def test_the_conditions_of_a_canary(
    observed: Observed,
    ready: tuple[bool, str],
    reconciling: tuple[bool, str],
    stalled: tuple[bool, str],
) -> None:
    found = findings(1, AgentStatus(), VALID, observed)

    told = {kind.value: (finding.status, finding.reason) for kind, finding in found.items()}
    assert told["Ready"] == ready
    assert told["Reconciling"] == reconciling
    assert told["Stalled"] == stalled
    assert told["Available"][0] is True


@pytest.mark.parametrize("observed", [TRYING, TAKEN_BACK])
def test_growing_undoes_neither_a_trial_nor_its_end(observed: Observed) -> None:
    before = status_after(observed, AgentStatus())
    after = status_after(replace(observed, server=GROWING), before)
    assert [(c.type, c.reason) for c in before.conditions if c.type == "Ready"] == [
        (c.type, c.reason) for c in after.conditions if c.type == "Ready"
    ]


def test_an_edit_back_is_no_rollout_that_ends() -> None:
    trying = status_after(TRYING, AgentStatus())
    serving = status_after(SERVING, trying)
    assert transitions(trying, serving.conditions, Story("aaaa")) == []


def test_what_the_canary_s_own_writer_tells_is_none_of_the_reconciler_s() -> None:
    told = RolloutStatus(
        phase=RolloutPhase.PROGRESSING, candidate="c", generation=1, start_time="2026-11-01"
    )
    status = status_after(TRYING, AgentStatus())
    assert written(status.model_copy(update={"rollout": told})) == written(status)


def test_an_autoscaler_that_writes_the_spec_does_not_undo_ready() -> None:
    settled = status_after(SERVING, AgentStatus())
    found = findings(2, settled, VALID, replace(SERVING, server=GROWING))
    assert found[ConditionType.READY].status is True
    assert found[ConditionType.RECONCILING].status is False


def test_progress_names_servers_and_gateway() -> None:
    found = findings(1, AgentStatus(), VALID, replace(SERVING, gateway=ROLLING))
    assert found[ConditionType.RECONCILING].message == (
        "2 of 2 pods ready, 2 of 2 gateway pods ready, some of an earlier template"
    )


def test_a_message_beyond_the_apis_limit_is_cut() -> None:
    endless = Verdict(False, Reason.INVALID_SPEC, "x" * 40_000)
    found = findings(1, AgentStatus(), endless, SERVING)
    assert {len(c.message) for c in dated(found, [], 1, NOW) if c.type == "Accepted"} == {32_768}


def test_the_time_of_a_condition_moves_only_with_its_status() -> None:
    first = status_after(STARTING, AgentStatus(), NOW)
    second = status_after(SERVING, first, LATER)
    times = {c.type: c.last_transition_time for c in second.conditions}
    assert times["Ready"] == "2026-11-01T03:05:00Z"
    assert times["Accepted"] == "2026-11-01T03:00:00Z"


def test_each_event_is_told_once() -> None:
    empty = AgentStatus()
    starting = status_after(STARTING, empty)
    serving = status_after(SERVING, starting)
    told = [
        [e.reason for e in transitions(before, after.conditions, Story("aaaa"))]
        for before, after in ((empty, starting), (starting, serving), (serving, serving))
    ]
    assert told == [[EventReason.ACCEPTED], [EventReason.ROLLOUT_FINISHED], []]


def test_a_new_repository_is_told_as_a_rollout_with_both_digests() -> None:
    serving = status_after(SERVING, AgentStatus())
    events = transitions(serving, serving.conditions, Story("bbbb"))
    assert [(e.reason, e.note) for e in events] == [
        (
            EventReason.ROLLOUT_STARTED,
            "rolling out generation 1: repository bbbb in place of aaaa",
        )
    ]


def test_a_new_template_of_the_same_repository_is_told_as_a_rollout_too() -> None:
    serving = status_after(SERVING, AgentStatus())
    rolling = replace(SERVING, server=ROLLING)
    after = dated(findings(2, serving, VALID, rolling), serving.conditions, 2, LATER)
    events = transitions(serving, after, Story("aaaa"))
    assert [(e.reason, e.note) for e in events] == [
        (EventReason.ROLLOUT_STARTED, "rolling out generation 2")
    ]


def test_a_warning_is_told_once_and_a_later_one_again() -> None:
    def verdict(words: str) -> AgentStatus:
        found = findings(1, AgentStatus(), replace(VALID, message=words), SERVING)
        return AgentStatus(conditions=dated(found, [], 1, NOW))

    plain, odd = verdict("no faults"), verdict("odd")
    told = [
        (e.reason, e.note) for e in transitions(plain, odd.conditions, Story("", warnings="odd"))
    ]
    assert told == [(EventReason.SPEC_WARNING, "odd")]
    assert transitions(odd, odd.conditions, Story("", warnings="odd")) == []


def test_model_statuses_count_ready_pods_and_keep_tritons_words() -> None:
    pods = (pod("a", ready=True), pod("b", ready=False))
    asked = {"b": (ModelState("enc", False, "out of memory"), ModelState("dec", True, ""))}
    statuses = model_statuses(["enc", "dec"], pods, asked)
    assert [(s.name, s.ready_pods, s.message) for s in statuses] == [
        ("enc", 1, "out of memory"),
        ("dec", 2, ""),
    ]


def test_a_model_that_the_index_leaves_out_stalls_the_agent_and_is_told_what_is_wrong() -> None:
    index = with_unlisted((ModelState("enc", True, "", 1),), ["enc", "dec"])
    observed = replace(STARTING, models={"a": index})
    found = findings(1, AgentStatus(), VALID, observed)
    assert found[ConditionType.MODELS_READY].reason == "ModelLoadFailed"
    assert found[ConditionType.STALLED].message.startswith("dec: Triton finds no version of it")
    enc, dec = model_statuses(["enc", "dec"], observed.pods, observed.models)
    assert (enc.ready_pods, enc.message, dec.ready_pods) == (1, "", 0)
    assert dec.message.startswith("Triton finds no version of it to serve")


def test_an_index_that_lists_every_model_stays_as_it_is() -> None:
    index = (ModelState("enc", True, "", 1), ModelState("dec", False, "out of memory"))
    assert with_unlisted(index, ["enc", "dec"]) == index


def raw_pod(**status: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "p",
            "uid": "p",
            "creationTimestamp": "2026-11-01T00:00:00Z",
            "labels": {"trireme.dev/agent": "chat"},
        },
        "status": status,
    }


@pytest.mark.parametrize(
    ("status", "reason", "message"),
    [
        pytest.param(
            {
                "containerStatuses": [
                    {
                        "name": "triton",
                        "state": {
                            "waiting": {"reason": "ImagePullBackOff", "message": "401 from nvcr.io"}
                        },
                    }
                ]
            },
            Reason.IMAGE_PULL_FAILED,
            "triton: ImagePullBackOff: 401 from nvcr.io",
            id="an image that cannot be pulled",
        ),
        pytest.param(
            {
                "containerStatuses": [
                    {
                        "name": "triton",
                        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
                        "lastState": {"terminated": {"exitCode": 137}},
                    }
                ]
            },
            Reason.CONTAINER_FAILED,
            "triton: CrashLoopBackOff: back-off; last exit code 137",
            id="a container that ends again and again",
        ),
    ],
)
def test_a_pods_trouble_is_told_in_the_kubelets_words(
    status: dict[str, Any], reason: Reason, message: str
) -> None:
    (view,) = server_pods([raw_pod(**status)])
    assert view.trouble == Trouble(reason, message)


def test_pods_that_have_ended_are_no_pods() -> None:
    assert (
        server_pods([raw_pod(phase="Failed", reason="Evicted"), raw_pod(phase="Succeeded")]) == ()
    )


@pytest.mark.parametrize(
    ("status", "stuck"),
    [
        pytest.param({}, False, id="one that is being scheduled is on its way"),
        pytest.param(
            {"containerStatuses": [{"name": "triton", "started": False}]},
            False,
            id="one that loads its models is on its way",
        ),
        pytest.param(
            {"containerStatuses": [{"name": "triton", "started": True}]},
            True,
            id="one that has started and is not ready is stuck",
        ),
        pytest.param(
            {
                "conditions": [
                    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
                ]
            },
            True,
            id="one that no node takes is stuck",
        ),
    ],
)
def test_which_pods_are_stuck(status: dict[str, Any], stuck: bool) -> None:
    (view,) = server_pods([raw_pod(**status)])
    assert view.stuck is stuck


FIELD = "models[double].instance_group"
INSTANCES = Change((Part(FIELD, Effect.IN_PLACE),))
REFUSAL = "pod b: models[double]: out of memory"


def in_place(changed: int, failure: str | None = None, *, refused: bool = False) -> Observed:
    return replace(SERVING, in_place=InPlaceProgress(2, changed, FIELD, failure, refused))


@pytest.mark.parametrize(
    ("observed", "expected", "message"),
    [
        pytest.param(
            in_place(1),
            {
                "Available": (True, "PodsReady"),
                "Ready": (False, "UpdatingInPlace"),
                "Reconciling": (True, "UpdatingInPlace"),
                "Stalled": (False, "Valid"),
            },
            "1 of 2 pods have the new models[double].instance_group",
            id="pods that are left are counted",
        ),
        pytest.param(
            in_place(2),
            {"Ready": (True, "PodsReady"), "Reconciling": (False, "RolledOut")},
            "every pod runs this generation",
            id="all pods have it",
        ),
        pytest.param(
            in_place(1, "pod b: no answer"),
            {"Ready": (False, "UpdatingInPlace"), "Stalled": (False, "Valid")},
            "1 of 2 pods have the new models[double].instance_group; tried again: pod b: no answer",
            id="a server that does not answer is waited for",
        ),
        pytest.param(
            replace(in_place(1), server=ROLLING),
            {"Ready": (False, "RollingOut"), "Reconciling": (True, "RollingOut")},
            "2 of 2 pods ready, some of an earlier template, 2 of 2 gateway pods ready",
            id="a rollout comes first",
        ),
    ],
)
def test_a_change_in_place_is_under_way_until_every_pod_has_it(
    observed: Observed, expected: dict[str, tuple[bool, str]], message: str
) -> None:
    found = read(VALID, observed)
    assert {kind: found[kind] for kind in expected} == expected
    told = findings(1, AgentStatus(), VALID, observed)[ConditionType.RECONCILING]
    assert told.message == message


@pytest.mark.parametrize("refused", [False, True], ids=["", "after a refusal"])
def test_a_pod_that_goes_down_is_named_while_the_others_wait_for_it(refused: bool) -> None:
    before = findings(1, AgentStatus(), VALID, in_place(1, REFUSAL, refused=refused))
    previous = AgentStatus(conditions=dated(before, [], 1, NOW))
    crashing = pod("a", ready=False, trouble=Trouble(Reason.CONTAINER_FAILED, "it ended"))
    fewer = deployment_view(deployment(wanted=2, existing=2, updated=2, ready=1))
    down = replace(SERVING, server=fewer, pods=(crashing, pod("b", ready=True)))
    waits = InPlaceProgress(1, 0, FIELD, "pod a: it ran and is not ready; the others wait")

    found = findings(1, previous, VALID, replace(down, in_place=waits))
    for kind in (ConditionType.READY, ConditionType.RECONCILING):
        assert found[kind].reason is Reason.UPDATING_IN_PLACE
        assert found[kind].message.endswith("pod a: it ran and is not ready; the others wait")

    none_waits = replace(down, in_place=InPlaceProgress(1, 1, FIELD))
    found = findings(1, previous, VALID, none_waits)
    assert found[ConditionType.READY].reason is Reason.CONTAINER_FAILED, "no Event of its end yet"


def test_a_refused_change_in_place_stalls_with_the_servers_words_and_what_to_do() -> None:
    observed = in_place(1, REFUSAL, refused=True)
    found = findings(1, AgentStatus(), VALID, observed)
    assert found[ConditionType.AVAILABLE].status
    assert found[ConditionType.READY].reason is Reason.IN_PLACE_UPDATE_FAILED
    stalled = found[ConditionType.STALLED]
    assert (stalled.status, stalled.reason) == (True, Reason.IN_PLACE_UPDATE_FAILED)
    assert stalled.message == (
        f"{REFUSAL}. 1 of 2 pods have the new {FIELD}, the others serve on by the old one, and it "
        "is tried again. Correct the spec, or take the edit back"
    )


def told_between(
    before: Observed, after: Observed, digests: tuple[str, str], change: Change | None
) -> list[tuple[str, str]]:
    """The Events from one state to the next, of one repository but for its live digests."""
    states = []
    for observed, live_digest in zip((before, after), digests, strict=True):
        found = findings(1, AgentStatus(), VALID, observed)
        conditions = dated(found, [], 1, NOW)
        states.append(
            AgentStatus(
                observed_generation=1,
                conditions=conditions,
                repository_digest="aaaa",
                live_digest=live_digest,
            )
        )
    story = Story("aaaa", digests[1], change, pods=2)
    return [(e.reason, e.note) for e in transitions(states[0], states[1].conditions, story)]


@pytest.mark.parametrize(
    ("before", "after", "digests", "change", "told"),
    [
        pytest.param(
            in_place(1),
            in_place(2),
            ("1", "2"),
            INSTANCES,
            [("InPlaceUpdate", f"{FIELD} changed: applied in place to 2 pods, no restart")],
            id="at its end",
        ),
        pytest.param(
            in_place(2),
            in_place(2),
            ("1", "2"),
            INSTANCES,
            [("InPlaceUpdate", f"{FIELD} changed: applied in place to 2 pods, no restart")],
            id="where it was done before anybody looked",
        ),
        pytest.param(in_place(0), in_place(1), ("1", "1"), INSTANCES, [], id="not pod by pod"),
        pytest.param(
            in_place(1, REFUSAL, refused=True),
            in_place(2),
            ("1", "1"),
            None,
            [("InPlaceUpdate", "the change in place is taken back in 2 pods, no restart")],
            id="a refused one that is taken back",
        ),
        pytest.param(
            in_place(2),
            in_place(2),
            ("", "1"),
            None,
            [],
            id="not what an earlier version of Trireme left unsaid",
        ),
        pytest.param(
            replace(in_place(2), server=ROLLING),
            in_place(2),
            ("1", "2"),
            Change((Part("server.image", Effect.ROLLOUT), *INSTANCES.parts)),
            [("RolloutFinished", "generation 1 is rolled out: 2 pods ready")],
            id="not as part of a rollout",
        ),
    ],
)
def test_a_change_in_place_is_told_once(
    before: Observed,
    after: Observed,
    digests: tuple[str, str],
    change: Change | None,
    told: list[tuple[str, str]],
) -> None:
    assert told_between(before, after, digests, change) == told


def test_a_rollout_says_which_parts_make_it_one() -> None:
    serving = AgentStatus(
        observed_generation=1,
        conditions=dated(findings(1, AgentStatus(), VALID, SERVING), [], 1, NOW),
        repository_digest="aaaa",
    )
    change = Change((Part("models[double].files", Effect.ROLLOUT), *INSTANCES.parts))
    (event,) = transitions(serving, serving.conditions, Story("bbbb", change=change))
    assert event.note.endswith("; changed: models[double].files")
