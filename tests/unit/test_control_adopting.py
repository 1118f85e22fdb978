"""Trireme's own settings as a pass sees them: when one is tried, and what becomes of it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, Never, cast

import pytest

from agents import agent_of, model_of
from trireme.api import names
from trireme.api.adoption import AdoptionPhase
from trireme.api.agent import AgentDeployment
from trireme.api.conditions import Reason
from trireme.api.fetch import FetchReason
from trireme.api.optimization import (
    Gain,
    ModelOptimizationStatus,
    OptimizationPhase,
    OptimizationStatus,
)
from trireme.api.scaling_status import CurveSource
from trireme.api.tuning import Confidence, Knob, TuningStatus
from trireme.autoscaler.capacity import LearntCurve, ModelStatistics, capacity, learn
from trireme.autoscaler.contention import LearntContention
from trireme.autoscaler.policy import policy_of
from trireme.autoscaler.service_curve import BatchTotal, ServiceCurve
from trireme.autoscaler.types.capacity import BusiestStep, Capacity, EarlierCurve, OutOfReach
from trireme.autoscaler.types.serving import Serving
from trireme.control import adopting, advising, learning
from trireme.control.adopting import Adopting
from trireme.control.agent_state import (
    Accepted,
    CanaryState,
    Failing,
    Refused,
    RolledBack,
    Searched,
)
from trireme.control.canary_course import Course
from trireme.control.store import AgentView
from trireme.edge.cluster import Cluster
from trireme.errors import ClusterError, InvalidSpec, ServerError, ServerForbade, ServerRefused
from trireme.modelrepo.render import render
from trireme.resources.canary import candidate_digest
from trireme.rollout import adoption
from trireme.rollout.adoption import Learnt
from trireme.tuner.standing import as_status
from unit.autoscaling import NOW

TRIED, KEPT, REFUSED, UNDECIDED, POSTPONED = AdoptionPhase
CURVE = ServiceCurve(0.040, 0.010, 4)
WIDE = replace(CURVE, max_batch=8)  # once batches of 4 were seen with the setting
ADVICE = TuningStatus(
    model="m",
    knob=Knob.MAX_BATCH_SIZE,
    from_="4",
    to="8",
    gain_percent=30,
    least_gain_percent=10,
    most_gain_percent=50,
    confidence=Confidence.HIGH,
    evidence="learnt from 500 batches",
    since="2026-01-01T11:00:00Z",
)
MORE = ADVICE.model_copy(
    update={"knob": Knob.INSTANCES, "from_": "1", "to": "2", "replicas_spared": 1}
)
MODEL = model_of("m", maxBatchSize=4, batching={"dynamic": {}})
ROLLOUT = {"strategy": "Canary"}
AGENT = agent_of(model="m", models=[MODEL], tuning={"mode": "Apply"}, rollout=ROLLOUT)
ACCEPTED = Accepted(AGENT, render(AGENT.spec, {"files": {"model.py": b""}}))
BODY = {
    "kind": names.KIND,
    "metadata": {"name": "echo", "namespace": "default", "uid": "0f5e", "generation": 7},
}


def deployment(name: str = "echo", ready: int = 2, **status: Any) -> dict[str, Any]:
    owner = {names.OWNER: "echo", names.AGENT: "echo"}
    return {
        "kind": "Deployment",
        "metadata": {
            "name": name,
            "namespace": "default",
            "generation": 1,
            "labels": owner,
            "ownerReferences": [{"uid": "0f5e"}],
        },
        "spec": {"replicas": 2},
        "status": {
            "observedGeneration": 1,
            "replicas": 2,
            "updatedReplicas": 2,
            "readyReplicas": ready,
            "availableReplicas": ready,
            **status,
        },
    }


def told_ready(status: str = "True", generation: int = 7) -> dict[str, Any]:
    """What the reconciler last wrote."""
    condition = {
        "type": "Ready",
        "status": status,
        "reason": "PodsReady",
        "lastTransitionTime": "2026-01-01T11:00:00Z",
    }
    return {"observedGeneration": generation, "conditions": [condition]}


def calm(**fields: Any) -> AgentView:
    """An agent whose spec is in force, while nothing changes, and a knob is recommended."""
    return AgentView(
        **{
            "body": BODY,
            "children": {("Deployment", "echo"): deployment()},
            "judged": 7,
            "accepted": ACCEPTED,
            "asked": AGENT,
            "written": told_ready(),
            "tuning": ADVICE,
            "calm_at": NOW,
            **fields,
        }
    )


class Api(Cluster):
    """The Kubernetes API as far as it is asked here: keeps what it is given."""

    def __init__(self) -> None:
        self.statuses: list[Any] = []
        self.failing = False

    async def apply_status(self, *arguments: Any) -> dict[str, Any]:
        if self.failing:
            raise ClusterError(0, "no answer")
        assert arguments[-1] == names.ADOPTION_STATUS_MANAGER
        self.statuses.append(arguments[-2])
        return {}


API = Api()
ADOPTING = Adopting(API, lambda: NOW)


def phases(view: AgentView) -> list[AdoptionPhase]:
    return [each.phase for each in view.adoption.present]


def looked(view: AgentView) -> AgentView:
    adopting.recall(view, cast(Any, view.body))
    ADOPTING.look(view, cast(Any, view.body), AGENT, may_begin=True)
    return view


def trying(**fields: Any) -> AgentView:
    """An agent of which a setting is tried."""
    view = looked(calm())
    for name, value in fields.items():
        setattr(view, name, value)
    return view


def keeping() -> AgentView:
    view = trying()
    ADOPTING.settle(view, Course(ACCEPTED))
    assert phases(view) == [KEPT]
    return view


def kept_at(sustained: float | None, **fields: Any) -> AgentView:
    """An agent that keeps a setting, before which a pod sustained so much."""
    view = keeping()
    (kept,) = view.adoption.present
    view.adoption.present = (kept.model_copy(update={"sustained_before": sustained}),)
    agent = adopting.with_settings(AGENT, view.adoption.present)
    view.accepted = Accepted(agent, render(agent.spec, {"files": {"model.py": b""}}))
    for name, value in fields.items():
        setattr(view, name, value)
    return view


def learnt(view: AgentView, known: LearntCurve, found: Capacity | OutOfReach) -> AgentView:
    """The same once a curve was learnt of its pods."""
    assert view.accepted is not None
    (pods,) = view.accepted.pod_sets
    of_pods = learning.known(view, pods)
    of_pods.curves["m"], of_pods.capacities["m"] = known, found
    view.learning[pods.name] = of_pods
    return view


CANARY = CanaryState(ACCEPTED, 7, candidate_digest(AGENT, ACCEPTED.repository), NOW)
BACK = RolledBack("d", 7, "worse")


# ---------------------------------------------------------------------------------- when one begins


def test_one_begins_while_all_is_calm() -> None:
    (found,) = looked(calm()).adoption.present
    assert (found.phase, found.entry, found.replaced) == (
        TRIED,
        "maxBatchSize: 8\n",
        "maxBatchSize: 4\n",
    )
    assert found.message.startswith("set maxBatchSize of m from 4 to 8: a pod is expected")


def test_batching_is_switched_on_and_a_request_may_hold_what_it_could() -> None:
    alone = agent_of(
        model="m", models=[model_of("m", maxBatchSize=8)], tuning={"mode": "Apply"}, rollout=ROLLOUT
    )
    accepted = Accepted(alone, render(alone.spec, {"files": {"model.py": b""}}))
    advice = ADVICE.model_copy(update={"knob": Knob.BATCHING, "from_": "1"})
    view = calm(accepted=accepted, asked=alone, tuning=advice)
    adopting.recall(view, BODY)
    ADOPTING.look(view, BODY, alone, may_begin=True)
    (found,) = view.adoption.present
    assert (found.summary, found.entry, found.replaced) == (
        "batches of up to 8 in place of single requests",
        "batching:\n  dynamic: {}\nmaxBatchSize: 8\n",
        "maxBatchSize: 8\n",
    )


def test_instances_are_tried_and_what_else_is_kept_of_the_model_stays() -> None:
    (found,) = looked(calm(tuning=MORE)).adoption.present
    assert (found.phase, found.entry, found.replaced, found.summary) == (
        TRIED,
        "instances:\n- count: 2\n",
        "{}\n",
        "instances 2 in place of 1",
    )
    view = learnt(kept_at(50.0, tuning=MORE), curve(), Capacity(60.0, WIDE))
    looked(view)
    _, new = looked(view).adoption.present
    assert (new.phase, new.entry) == (TRIED, "instances:\n- count: 2\nmaxBatchSize: 8\n")


@pytest.mark.parametrize(
    ("sigma", "allowed", "tried"),
    [
        pytest.param(0.2, {}, ["instances 2 in place of 1"], id="known, and they gain"),
        pytest.param(0.95, {"max": 4}, [], id="known, and they do not"),
        pytest.param(None, {}, [], id="not known"),
        pytest.param(None, {"max": 4}, ["instances 2 in place of 1"], id="not known, but allowed"),
    ],
)
def test_what_instances_cost_each_other_decides_whether_more_are_tried(
    sigma: float | None, allowed: dict[str, int], tried: list[str]
) -> None:
    limits = {"maxBatchSize": {"max": 4}, "instances": allowed}
    of = agent_of(
        model="m", models=[MODEL], tuning={"mode": "Apply", "limits": limits}, rollout=ROLLOUT
    )
    accepted = Accepted(of, render(of.spec, {"files": {"model.py": b""}}))
    contention = None if sigma is None else LearntContention("d", sigma, 1, 2, 4000)
    quick = replace(curve(of=ServiceCurve(0.004, 0.001, 4)), contention=contention)
    view = learnt(calm(accepted=accepted, asked=of), quick, Capacity(300.0, quick.curve))
    (objective,) = policy_of(of.spec).objectives
    asked = advising.asked(view.learning["echo"], of.spec, objective, of.spec)
    advice = asked.sought() if asked is not None else None
    view.tuning = as_status(advice, ADVICE.since) if advice is not None else None
    adopting.recall(view, BODY)
    ADOPTING.look(view, BODY, of, may_begin=True)
    assert [each.summary for each in view.adoption.present] == tried


class Measuring(Cluster):
    """The metrics API, of pods that take so much; it counts how often it is asked."""

    def __init__(self, used: str) -> None:
        self.used, self.asked = used, 0

    async def list(self, *_: Any) -> list[dict[str, Any]]:
        self.asked += 1
        return [{"containers": [{"name": "triton", "usage": {"memory": self.used}}]}]


@pytest.mark.parametrize(
    ("advice", "used", "phase", "asked"),
    [
        pytest.param(MORE, "1024Mi", TRIED, 1, id="there is room for more"),
        pytest.param(MORE, "1025Mi", POSTPONED, 1, id="there is none"),
        pytest.param(ADVICE, "1025Mi", TRIED, 0, id="no more are asked for"),
    ],
)
async def test_more_instances_are_tried_where_the_pods_have_memory_for_them(
    advice: TuningStatus, used: str, phase: AdoptionPhase, asked: int
) -> None:
    cluster, view = Measuring(used), calm(tuning=advice)
    adopter = Adopting(cluster, lambda: NOW)
    adopting.recall(view, BODY)
    for _ in range(2):  # the second time nothing is to be tried any more
        await adopter.measure(view, BODY, AGENT)
        adopter.look(view, BODY, AGENT, may_begin=True)
    (found,) = view.adoption.present
    assert (found.phase, cluster.asked) == (phase, asked)
    if phase is POSTPONED:
        assert found.message == (
            "2 may take 2.01 GiB of a pod's 2.00 GiB: with 1 it is measured to "
            "take 1.01 GiB, which may all be theirs. Say in spec.tuning.limits.instanceMemory what "
            "one takes, or raise spec.server.resources.memory"
        )


async def test_what_has_no_memory_is_looked_at_again_once_the_spec_is_edited() -> None:
    view, adopter = calm(tuning=MORE), Adopting(Measuring("1025Mi"), lambda: NOW)

    async def after_a_look(body: dict[str, Any], agent: AgentDeployment) -> list[AdoptionPhase]:
        await adopter.measure(view, body, agent)
        adopter.look(view, body, agent, may_begin=True)
        return phases(view)

    adopting.recall(view, BODY)
    assert await after_a_look(BODY, AGENT) == [POSTPONED]
    assert await after_a_look(BODY, AGENT) == [POSTPONED], "nothing is new"
    tuning = {"mode": "Apply", "limits": {"instanceMemory": "512Mi"}}
    edited = agent_of(model="m", models=[MODEL], tuning=tuning, rollout=ROLLOUT)
    body = {**BODY, "metadata": {**cast(Any, BODY["metadata"]), "generation": 8}}
    assert await after_a_look(body, edited) == [], "while the edit is not in force"
    view.accepted = replace(ACCEPTED, agent=edited)
    view.judged, view.written = 8, told_ready(generation=8)
    assert await after_a_look(body, edited) == [TRIED]


@pytest.mark.parametrize(
    ("gpus", "used", "remedy"),
    [
        pytest.param(0, "1Gi", None, id="said, and there is room"),
        pytest.param(0, "1537Mi", "and one is said to take 0.50 GiB. Raise", id="there is none"),
        pytest.param(1, "1Gi", None, id="said of the GPU's, there is room for a share"),
        pytest.param(1, "1537Mi", "which may all be theirs. Raise", id="there is none for one"),
    ],
)
async def test_what_an_instance_is_said_to_take_is_of_the_gpu_where_there_is_one(
    gpus: int, used: str, remedy: str | None
) -> None:
    said, on_gpu = ("512Mi", {}) if not gpus else ("8Gi", {"memory": "24Gi"})
    of = agent_of(
        model="m",
        models=[MODEL],
        server={
            "image": "registry.example/triton:24.10-py3",
            "gpus": {"count": gpus},
            "resources": {"cpu": "1", "memory": "2Gi"},
        },
        tuning={"mode": "Apply", "limits": {"instanceMemory": said, **on_gpu}},
        rollout=ROLLOUT,
    )
    accepted = Accepted(of, render(of.spec, {"files": {"model.py": b""}}))
    view = calm(accepted=accepted, asked=of, tuning=MORE)
    adopter = Adopting(Measuring(used), lambda: NOW)
    adopting.recall(view, BODY)
    await adopter.measure(view, BODY, of)
    adopter.look(view, BODY, of, may_begin=True)
    (found,) = view.adoption.present
    assert found.phase is (TRIED if remedy is None else POSTPONED)
    if remedy is not None:
        assert f"{remedy} spec.server.resources.memory" in found.message


@pytest.mark.parametrize("mode", ["Recommend", "Disabled"])
async def test_nothing_is_looked_for_where_nothing_is_set(mode: str) -> None:
    def clock() -> Never:
        raise AssertionError("looked at what may be tried now")

    of, view = agent_of(model="m", models=[MODEL], tuning={"mode": mode}), calm(tuning=MORE)
    view.adoption.used_bytes = 1
    await Adopting(API, clock).measure(view, BODY, of)
    assert view.adoption.used_bytes is None


async def test_fewer_instances_need_no_memory() -> None:
    two = agent_of(
        model="m",
        models=[model_of("m", instances=[{"count": 2}])],
        tuning={"mode": "Apply"},
        rollout=ROLLOUT,
    )
    accepted = Accepted(two, render(two.spec, {"files": {"model.py": b""}}))
    fewer = MORE.model_copy(update={"from_": "2", "to": "1"})
    cluster, view = Measuring("2Gi"), calm(accepted=accepted, asked=two, tuning=fewer)
    adopting.recall(view, BODY)
    await Adopting(cluster, lambda: NOW).measure(view, BODY, two)
    ADOPTING.look(view, BODY, two, may_begin=True)
    assert (phases(view), cluster.asked) == ([TRIED], 0)


def test_none_begins_again_in_the_pass_that_ended_one() -> None:
    view = calm()
    ADOPTING.look(view, BODY, AGENT, may_begin=False)
    assert phases(view) == []


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"tuning": None}, id="nothing is recommended"),
        pytest.param({"tuning": ADVICE.model_copy(update={"from_": "2"})}, id="of another setting"),
        pytest.param({"tuning": ADVICE.model_copy(update={"model": "n"})}, id="of another model"),
        pytest.param({"judged": 6}, id="an edit was not looked into"),
        pytest.param({"written": None}, id="nothing is known of what was before"),
        pytest.param({"written": told_ready(status="False")}, id="the agent is not Ready"),
        pytest.param({"written": told_ready(generation=6)}, id="an edit was not told of yet"),
        pytest.param({"canary": CANARY}, id="a canary is on"),
        pytest.param({"calm_at": None}, id="it scales, or an objective is broken"),
        pytest.param({"calm_at": NOW - timedelta(minutes=1)}, id="nothing was decided lately"),
        pytest.param({"children": {}}, id="there are no pods"),
        pytest.param(
            {"children": {("Deployment", "echo"): deployment(ready=1)}}, id="a pod is not ready"
        ),
        pytest.param(
            {"children": {("Deployment", "echo"): deployment(updatedReplicas=1)}},
            id="a rollout is on",
        ),
    ],
)
def test_none_begins(fields: dict[str, Any]) -> None:
    assert phases(looked(calm(**fields))) == []


def test_where_trireme_does_not_decide_the_pods_alone_say_whether_it_is_calm() -> None:
    fixed = agent_of(
        model="m",
        models=[MODEL],
        tuning={"mode": "Apply"},
        rollout=ROLLOUT,
        scaling={"mode": "Fixed"},
        replicas=2,
    )
    accepted = replace(ACCEPTED, agent=fixed)
    assert phases(looked(calm(accepted=accepted, calm_at=None))) == [TRIED]


GAIN = Gain(
    techniques=["fp16"],
    throughput_ratio=2,
    latency_ratio=0.5,
    size_ratio=0.5,
    score_before=0.97,
    score_after=0.968,
    most_drop=0.004,
    samples=900,
)


OPTIMIZED = agent_of(
    model="m",
    models=[MODEL],
    tuning={"mode": "Apply"},
    rollout=ROLLOUT,
    optimization={
        "mode": "Apply",
        "destination": {"uri": "pvc://results/"},
        "models": [{"model": "m", "samples": {"uri": "pvc://samples/"}}],
    },
)


def optimization(phase: str = "Optimized", made_from: str | None = None) -> OptimizationStatus:
    entry = "name: m\nsource: {uri: 'pvc://results/m/1/'}\n"
    fields = {"model": "m", "digest": "d", "phase": phase, "gain": GAIN, "entry": entry}
    told = ModelOptimizationStatus.model_validate({**fields, "madeFrom": made_from})
    return OptimizationStatus(models=[told])


@pytest.mark.parametrize(
    ("phase", "found"),
    [
        pytest.param("Optimized", ["Optimization"], id="before a knob"),
        pytest.param("Running", ["Tuning"], id="once it is done"),
    ],
)
def test_a_model_that_was_optimised_is_tried_first(phase: str, found: list[str]) -> None:
    view = calm()
    view.optimization.told = optimization(phase)
    ADOPTING.look(view, BODY, OPTIMIZED, may_begin=True)
    assert [each.origin.value for each in view.adoption.present] == found


@pytest.mark.parametrize(
    ("asked", "told", "is_bound"),
    [
        pytest.param(OPTIMIZED, optimization(made_from="a"), True, id="once its Job is known"),
        pytest.param(OPTIMIZED, None, False, id="before this process has looked at Jobs"),
        pytest.param(AGENT, optimization(made_from="a"), False, id="in the pass of an edit"),
        pytest.param(OPTIMIZED, optimization("Running"), False, id="while it is made anew"),
    ],
)
def test_an_older_operator_s_setting_stands_and_is_bound_to_what_it_was_made_from(
    asked: AgentDeployment, told: OptimizationStatus | None, is_bound: bool
) -> None:
    view = calm()
    view.optimization.told = optimization(made_from="a")
    ADOPTING.look(view, BODY, OPTIMIZED, may_begin=True)
    (now,) = (each.model_copy(update={"phase": KEPT}) for each in view.adoption.present)
    older = now.model_copy(update={"judged_by": None, "made_from": None})
    view.adoption.present = (older,)
    view.asked, view.optimization.told = asked, told
    ADOPTING.look(view, BODY, OPTIMIZED, may_begin=False)
    assert view.adoption.present == (now if is_bound else older,)


@pytest.mark.parametrize(
    ("throughput_ratio", "before"),
    [
        pytest.param(1.2, 50.0, id="it is cheaper"),
        pytest.param(0.9, None, id="it costs more, for a wish"),
    ],
)
def test_only_what_is_to_be_cheaper_is_held_to_what_pods_sustained(
    throughput_ratio: float, before: float | None
) -> None:
    gain = GAIN.model_copy(update={"throughput_ratio": throughput_ratio})
    told = ModelOptimizationStatus(
        model="m", digest="d", phase=OptimizationPhase.OPTIMIZED, gain=gain, entry="source: {}\n"
    )
    proposal = adopting._optimized(told, 50.0)
    assert proposal is not None
    assert proposal.sustained == before


@pytest.mark.parametrize("is_applied", [True, False])
def test_a_rollout_that_fails_is_held_against_what_it_is_of(is_applied: bool) -> None:
    view = kept_at(None)
    failed = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    view.children = {("Deployment", "echo"): deployment(conditions=[failed])}
    view.applied = view.accepted if is_applied else ACCEPTED
    assert phases(looked(view)) == [REFUSED if is_applied else KEPT]


def applied() -> AgentView:
    """An agent whose pods are to have what is kept."""
    view = kept_at(None)
    view.children = {("Deployment", "echo"): deployment()}
    view.applied = view.accepted
    return view


def failing(error: ServerError, *, lasts: bool, was_told: bool = True) -> AgentView:
    view = applied()
    view.in_place.failing = Failing(error, NOW, lasts, was_told)
    return view


def crashing(since: str) -> AgentView:
    """An agent that keeps a setting from noon on, and a pod that is down since then."""
    view = applied()
    assert view.applied is not None
    waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
    metadata = {
        "name": "one",
        "uid": "1",
        "creationTimestamp": "2026-01-01T11:00:00Z",
        "labels": {names.AGENT: "echo"},
        "annotations": {names.REPOSITORY_DIGEST: view.applied.repository.digest},
    }
    server = {"name": names.SERVER_CONTAINER, "restartCount": 2, "state": waiting}
    ready = {"type": "Ready", "status": "False", "lastTransitionTime": since}
    status = {"conditions": [ready], "containerStatuses": [server]}
    view.pods = {"one": {"metadata": metadata, "status": status}}
    return view


OUT_OF_MEMORY = ServerRefused("pod one: models[m]: out of memory")
SILENT = ServerError("pod one: models[m]: no answer")


@pytest.mark.parametrize(
    ("view", "words"),
    [
        pytest.param(
            failing(OUT_OF_MEMORY, lasts=True),
            f"a server does not take it on: {OUT_OF_MEMORY}",
            id="one refuses it",
        ),
        pytest.param(
            failing(SILENT, lasts=True),
            f"a server does not take it on: {SILENT}",
            id="one does not answer for as long as a start may take",
        ),
        pytest.param(failing(SILENT, lasts=False), "", id="one does not answer for a moment"),
        pytest.param(
            failing(SILENT, lasts=True, was_told=False),
            "",
            id="nor one that is only asked what it runs, for however long",
        ),
        pytest.param(
            failing(ServerForbade("pod one: restricted"), lasts=True),
            "",
            id="but not where one forbids whatever is asked of it",
        ),
        pytest.param(
            crashing("2026-01-01T12:00:01Z"),
            "the pods do not come up with it: pod one: triton: CrashLoopBackOff",
            id="one ends again and again",
        ),
        pytest.param(
            crashing("2026-01-01T11:59:59Z"), "", id="but not where it did so before it was kept"
        ),
    ],
)
def test_what_servers_do_not_take_on_is_taken_back(view: AgentView, words: str) -> None:
    (found,) = looked(view).adoption.present
    assert found.phase is (REFUSED if words else KEPT)
    assert not words or found.message == words


@pytest.mark.parametrize(
    ("edit", "phase"),
    [
        pytest.param({"scaling": {"min": 2, "max": 9}}, REFUSED, id="of the scaling"),
        pytest.param(
            {"tuning": {"mode": "Apply", "limits": {"instances": {"max": 2}}}},
            REFUSED,
            id="of limits that it is within",
        ),
        pytest.param({"gateway": {"enabled": False}}, KEPT, id="of what may be of the pods"),
        pytest.param(
            {"objectives": [{"model": "m", "latency": {"target": "200ms"}}]},
            KEPT,
            id="of the objective",
        ),
    ],
)
def test_after_an_edit_it_is_taken_back_unless_that_may_be_the_cause(
    edit: dict[str, Any], phase: AdoptionPhase
) -> None:
    view = failing(OUT_OF_MEMORY, lasts=True)
    metadata = AGENT.metadata.model_copy(update={"generation": 7})
    view.asked = AGENT.model_copy(update={"metadata": metadata})
    edited = agent_of(
        **{"model": "m", "models": [MODEL], "tuning": {"mode": "Apply"}, "rollout": ROLLOUT, **edit}
    )
    body = {**BODY, "metadata": {**BODY["metadata"], "generation": 8}}
    ADOPTING.look(view, body, edited, may_begin=True)
    assert phases(view) == [phase]


# ------------------------------------------------------------------------------- what becomes of it


@pytest.mark.parametrize(
    ("course", "phase", "again"),
    [
        pytest.param(Course(ACCEPTED, CANARY), [TRIED], False, id="it is on a canary"),
        pytest.param(Course(ACCEPTED), [KEPT], False, id="all pods have it"),
        pytest.param(Course(ACCEPTED, None, BACK), [REFUSED], True, id="it is worse"),
        pytest.param(
            Course(ACCEPTED, None, replace(BACK, is_undecided=True)),
            [UNDECIDED],
            True,
            id="too little was seen",
        ),
        pytest.param(
            Course(ACCEPTED, untried="no pod is ready"), [], True, id="it cannot be tried"
        ),
    ],
)
def test_what_becomes_of_it_follows_from_its_canary(
    course: Course, phase: list[AdoptionPhase], again: bool
) -> None:
    view = trying()
    assert ADOPTING.settle(view, course) is again
    assert phases(view) == phase


def test_a_quota_that_keeps_its_pods_away_says_nothing_of_it() -> None:
    failure = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}
    refused = deployment("echo-canary", replicas=0, conditions=[failure])
    children = {("Deployment", "echo"): deployment(), ("Deployment", "echo-canary"): refused}
    view = trying(children=children)
    ADOPTING.settle(view, Course(ACCEPTED, None, BACK))
    assert phases(view) == [UNDECIDED]


def test_nothing_becomes_of_what_is_not_tried() -> None:
    view = keeping()
    assert not ADOPTING.settle(view, Course(ACCEPTED, None, BACK))
    assert phases(view) == [KEPT]


def test_a_trial_ends_with_the_last_ready_pod_that_it_could_be_compared_with() -> None:
    none_ready = {("Deployment", "echo"): deployment(ready=0)}
    assert phases(looked(trying(children=none_ready))) == []
    assert phases(looked(trying(children=none_ready, canary=CANARY))) == [TRIED]


# -------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("reason", "after"),
    [
        pytest.param(Reason.INVALID_SPEC, [[REFUSED]], id="it has faults"),
        pytest.param(Reason.INSPECTING, [[TRIED]], id="its files are inspected"),
        pytest.param(FetchReason.STALLED, [[TRIED]], id="its files may come yet"),
        pytest.param(FetchReason.CHECKSUM, [[REFUSED]], id="its files are others"),
    ],
)
def test_the_spec_goes_without_what_it_is_refused_for(
    reason: Reason | FetchReason, after: list[list[AdoptionPhase]]
) -> None:
    view = trying()
    found = list(ADOPTING.fallbacks(view, Refused(reason, "no")))
    assert [[each.phase for each in then] for _, then in found] == after
    assert [without for without, _ in found] == [()]


@pytest.mark.parametrize(
    ("later", "canary", "after"),
    [
        pytest.param(timedelta(hours=23), None, TRIED, id="for a day"),
        pytest.param(timedelta(days=1), None, UNDECIDED, id="and no longer"),
        pytest.param(timedelta(days=1), CANARY, TRIED, id="but with files that its canary has"),
    ],
)
def test_what_is_tried_waits_for_its_files(
    later: timedelta, canary: CanaryState | None, after: AdoptionPhase
) -> None:
    view = trying(canary=canary)
    found = Adopting(API, lambda: NOW + later).fallbacks(view, Refused(FetchReason.STALLED, "no"))
    assert [(without, [each.phase for each in then]) for without, then in found] == [((), [after])]


def test_what_is_kept_goes_last_and_only_for_faults() -> None:
    view = keeping()
    (kept,) = view.adoption.present
    more = kept.model_copy(update={"phase": TRIED, "entry": "maxBatchSize: 16\n"})
    view.adoption.present = (kept, more)

    found = list(ADOPTING.fallbacks(view, Refused(Reason.INVALID_SPEC, "no")))

    assert [without for without, _ in found] == [(kept,), ()]
    assert [[each.phase for each in then] for _, then in found] == [
        [KEPT, REFUSED],
        [REFUSED, REFUSED],
    ]
    waits = ADOPTING.fallbacks(keeping(), Refused(Reason.INSPECTING, "wait"))
    assert list(waits) == []


def test_a_setting_that_is_no_part_of_an_entry_is_a_fault_of_the_spec() -> None:
    view = trying()
    (found,) = view.adoption.present
    odd = found.model_copy(update={"entry": "maxBatchSize: many\n"})
    with pytest.raises(InvalidSpec, match=r"spec\.models\[0\]\.maxBatchSize"):
        adopting.with_settings(AGENT, (odd,))


def test_the_agent_is_the_same_where_nothing_is_set() -> None:
    assert adopting.with_settings(AGENT, ()) is AGENT
    (model,) = adopting.with_settings(AGENT, trying().adoption.present).spec.models
    assert model.max_batch_size == 8


def test_what_the_user_wrote_is_what_pods_run_where_nothing_is_set() -> None:
    set_so = keeping().adoption
    other = replace(ACCEPTED, agent=agent_of(models=[MODEL]))
    assert adopting.last_asked(calm(applied=other, adoption=set_so)) is AGENT
    assert adopting.last_asked(calm(applied=ACCEPTED, asked=None)) is AGENT
    assert adopting.last_asked(calm(applied=ACCEPTED, asked=None, adoption=set_so)) is None
    canary = CanaryState(ACCEPTED, 7, "digest", NOW)
    assert adopting.last_asked(calm(applied=ACCEPTED, asked=None, canary=canary)) is None
    assert adopting.last_asked(calm()) is None


# --------------------------------------------------------------------------------- what is learnt


def curve(
    executions: int = 4000,
    source: CurveSource = CurveSource.BATCHES,
    of: ServiceCurve = WIDE,
) -> LearntCurve:
    return LearntCurve(of, 0.0, executions, source)


@pytest.mark.parametrize(
    ("known", "found", "phase"),
    [
        pytest.param(curve(), Capacity(60.0, WIDE), KEPT, id="a gain"),
        pytest.param(curve(), Capacity(40.0, WIDE), REFUSED, id="a loss"),
        pytest.param(curve(), OutOfReach(0.2, WIDE), REFUSED, id="the objective is out of reach"),
        pytest.param(curve(999), Capacity(40.0, WIDE), KEPT, id="few batches were seen"),
        pytest.param(
            curve(source=CurveSource.EARLIER), Capacity(40.0, WIDE), KEPT, id="of before it"
        ),
        pytest.param(curve(of=CURVE), Capacity(40.0, CURVE), KEPT, id="no large batch was seen"),
        pytest.param(
            curve(of=CURVE), OutOfReach(0.2, CURVE), REFUSED, id="out of reach whatever the batch"
        ),
        pytest.param(
            curve(), Capacity(40.0, CURVE), KEPT, id="what follows from the curve is not found yet"
        ),
        pytest.param(
            curve(),
            Capacity(40.0, EarlierCurve(WIDE)),
            KEPT,
            id="nor from the first one that is of now",
        ),
    ],
)
def test_what_is_kept_is_judged_by_what_is_learnt_with_it(
    known: LearntCurve, found: Capacity | OutOfReach, phase: AdoptionPhase
) -> None:
    assert phases(looked(learnt(kept_at(50.0), known, found))) == [phase]


def test_what_makes_fewer_batches_is_judged_by_all_that_is_ever_learnt_from() -> None:
    view = learnt(kept_at(50.0), curve(400), Capacity(40.0, WIDE))
    (of_pods,) = view.learning.values()
    one = ModelStatistics(40, {4: BatchTotal(40, 2_000_000)})
    of_pods.intervals["m"] = (one,) * 9
    assert phases(looked(view)) == [KEPT]
    of_pods.intervals["m"] = (one,) * 10
    assert phases(looked(view)) == [REFUSED]


NIGHT, DAY = {1: 700, 2: 400}, {1: 100, 2: 100, 4: 300, 6: 300, 8: 300}


def sustains(known: LearntCurve, max_batch: int) -> Capacity | OutOfReach | None:
    (objective,) = policy_of(AGENT.spec).objectives
    return capacity(known, Serving(1, max_batch), objective)


def seen(view: AgentView, batches: dict[int, int], seconds: Callable[[int], float]) -> AgentView:
    """The same once the pods have executed these batches, which took so long."""
    assert view.accepted is not None
    (pods,) = view.accepted.pod_sets
    of_pods = learning.known(view, pods)
    totals = {
        size: BatchTotal(count, round(count * seconds(size) * 1e9))
        for size, count in batches.items()
    }
    requests = sum(size * count for size, count in batches.items())
    of_pods.intervals["m"] = (ModelStatistics(requests, totals),)
    view.learning[pods.name] = of_pods
    found = learn(of_pods.intervals["m"], 8, of_pods.curves.pop("m", None))
    of_pods.capacities.pop("m", None)
    if found is not None and (sustained := sustains(found, 8)) is not None:
        of_pods.curves["m"], of_pods.capacities["m"] = found, sustained
    return view


@pytest.mark.parametrize(
    ("by_day", "phase"),
    [
        pytest.param(lambda size: 0.040 + 0.010 * size, KEPT, id="large batches are as foreseen"),
        pytest.param(lambda size: 0.040 + 0.030 * size, REFUSED, id="they are slower"),
        pytest.param(
            lambda size: 0.040 + 0.010 * size if size <= 4 else 0.250,
            REFUSED,
            id="they are on no line",
        ),
    ],
)
def test_what_is_kept_at_night_is_judged_by_day(
    by_day: Callable[[int], float], phase: AdoptionPhase
) -> None:
    before = sustains(LearntCurve(CURVE, 0.0, 4000), 4)
    assert isinstance(before, Capacity)
    view = looked(seen(kept_at(before.per_second), NIGHT, CURVE.seconds))
    (kept,) = view.adoption.present
    assert (kept.phase, kept.sustained_after) == (KEPT, None)
    (after,) = looked(seen(view, DAY, by_day)).adoption.present
    assert after.phase is phase


@pytest.mark.parametrize(
    ("each", "phase"), [(25, REFUSED), (24, KEPT)], ids=["enough were seen", "too few"]
)
def test_what_is_kept_is_taken_back_where_batches_are_on_no_line_with_it(
    each: int, phase: AdoptionPhase
) -> None:
    stairs = {1: 0.01, 2: 0.01, 3: 0.04, 4: 0.04}
    view = seen(kept_at(None), dict.fromkeys(stairs, each), stairs.__getitem__)
    assert phases(looked(view)) == [phase]


# What is recommended while the setting that is kept serves.
NEXT = ADVICE.model_copy(update={"from_": "8", "to": "16"})


@pytest.mark.parametrize(
    ("executions", "per_second", "after"),
    [
        pytest.param(4000, 40.0, [REFUSED], id="in the pass that takes back"),
        pytest.param(999, 40.0, [KEPT], id="before it was compared"),
        pytest.param(4000, 60.0, [KEPT], id="in the pass that compares"),
    ],
)
def test_the_next_one_does_not_begin_on_top_of_what_may_lose(
    executions: int, per_second: float, after: list[AdoptionPhase]
) -> None:
    view = learnt(kept_at(50.0, tuning=NEXT), curve(executions), Capacity(per_second, WIDE))
    assert phases(looked(view)) == after


def test_the_next_one_begins_once_the_one_before_was_compared() -> None:
    view = learnt(kept_at(50.0, tuning=NEXT), curve(), Capacity(60.0, WIDE))
    looked(view)
    _, new = looked(view).adoption.present
    assert (new.phase, new.entry, new.sustained_before) == (TRIED, "maxBatchSize: 16\n", 60.0)


def test_of_knobs_that_would_spare_replicas_one_goes_before_an_optimised_model() -> None:
    next_one = NEXT.model_copy(update={"replicas_spared": 1})
    view = learnt(kept_at(50.0, tuning=next_one), curve(), Capacity(60.0, WIDE))
    view.optimization.told = optimization()
    for _ in range(2):
        ADOPTING.look(view, BODY, OPTIMIZED, may_begin=True)
    assert [(each.origin.value, each.phase) for each in view.adoption.present] == [
        ("Tuning", KEPT),
        ("Optimization", TRIED),
    ]


@pytest.mark.parametrize(
    ("known", "after"),
    [
        pytest.param(curve(999, of=CURVE), [], id="while batches are counted"),
        pytest.param(
            curve(source=CurveSource.EARLIER, of=CURVE), [], id="while the curve is of before"
        ),
        pytest.param(curve(), [], id="while what follows from the curve is sought"),
        pytest.param(curve(of=CURVE), [TRIED], id="once there are enough"),
        pytest.param(
            curve(999, CurveSource.COUNTERS, CURVE), [TRIED], id="where there may never be"
        ),
    ],
)
def test_one_begins_once_what_it_gains_can_be_told(
    known: LearntCurve, after: list[AdoptionPhase]
) -> None:
    view = learnt(calm(), known, Capacity(50.0, CURVE))
    assert phases(looked(view)) == after
    enough = known.executions >= 1000
    assert all(
        each.sustained_before == (50.0 if enough else None) for each in view.adoption.present
    )


def test_what_is_kept_is_undone_once_the_spec_is_known_to_be_better() -> None:
    """As a guess of more instances is by what they are learnt to cost each other."""
    back = ADVICE.model_copy(update={"from_": "8", "to": "4"})
    view = looked(learnt(kept_at(50.0, tuning=back), curve(), Capacity(60.0, WIDE)))
    assert phases(view) == [KEPT], "in the pass that compares it"
    (found,) = looked(view).adoption.present
    assert (found.phase, found.summary) == (REFUSED, "maxBatchSize 8 in place of 4")
    assert found.message.startswith("the spec's own is better: set maxBatchSize of m from 8 to 4")
    assert adopting.with_settings(AGENT, view.adoption.present) is AGENT


def test_what_was_taken_back_is_not_recommended_any_more() -> None:
    view = trying()
    assert not adopting.was_refused(view, ADVICE)
    ADOPTING.settle(view, Course(ACCEPTED, None, BACK))
    assert adopting.was_refused(view, ADVICE)
    assert not adopting.was_refused(view, ADVICE.model_copy(update={"to": "16"}))


# ---------------------------------------------------------------------------------- what is told


SETTING = "maxBatchSize 8 in place of 4 (model m)"


def dropped(view: AgentView) -> None:
    view.adoption.present = ()


def postponed(view: AgentView) -> None:
    view.adoption.present = adoption.postponed(view.adoption.present, ADVICE.since, "no memory")


def taken_back(view: AgentView) -> None:
    view.adoption.present = tuple(
        each.model_copy(update={"phase": REFUSED, "message": "worse"})
        for each in view.adoption.present
    )


@pytest.mark.parametrize(
    ("before", "change", "told"),
    [
        pytest.param(
            calm,
            looked,
            [f"SettingTried: {SETTING} is tried on a canary: set maxBatchSize of m"],
            id="begun",
        ),
        pytest.param(
            trying,
            lambda view: ADOPTING.settle(view, Course(ACCEPTED)),
            [f"SettingKept: {SETTING} is kept, and the spec stays as it is: see status.adopted"],
            id="kept",
        ),
        pytest.param(
            trying,
            lambda view: ADOPTING.settle(view, Course(ACCEPTED, None, BACK)),
            [f"SettingRefused: {SETTING} is taken back, and not tried again: worse"],
            id="refused",
        ),
        pytest.param(
            trying,
            lambda view: ADOPTING.settle(
                view, Course(ACCEPTED, None, replace(BACK, is_undecided=True))
            ),
            [f"SettingUndecided: {SETTING} is taken back, and tried again after a day: worse"],
            id="undecided",
        ),
        pytest.param(
            trying,
            postponed,
            [f"SettingPostponed: {SETTING} is not begun, and looked at again after a day or an"],
            id="postponed",
        ),
        pytest.param(
            keeping,
            dropped,
            [f"SettingDropped: {SETTING} is dropped: the spec holds again"],
            id="dropped",
        ),
        pytest.param(
            keeping,
            taken_back,
            [f"SettingRefused: {SETTING} is taken back, and not tried again: worse"],
            id="taken back after all",
        ),
        pytest.param(
            trying, dropped, [], id="a trial that an edit ends: its canary's Event says so"
        ),
    ],
)
async def test_each_change_is_written_and_told_once(
    before: Callable[[], AgentView], change: Callable[[AgentView], object], told: list[str]
) -> None:
    api, view = Api(), before()
    view.adoption.told = view.adoption.present
    change(view)
    events = await Adopting(api, lambda: NOW).write(view, cast(Any, view.body))
    found = [f"{event.reason}: {event.note}" for event in events]
    assert len(found) == len(told)
    assert all(note.startswith(words) for note, words in zip(found, told, strict=True))
    assert len(api.statuses) == 1
    assert await Adopting(api, lambda: NOW).write(view, cast(Any, view.body)) == []
    assert len(api.statuses) == 1


async def test_what_could_not_be_written_is_told_later() -> None:
    api, view = Api(), looked(calm())
    adopter = Adopting(api, lambda: NOW)
    api.failing = True
    with pytest.raises(ClusterError):
        await adopter.write(view, cast(Any, view.body))
    api.failing = False
    assert len(await adopter.write(view, cast(Any, view.body))) == 1


async def test_a_new_process_goes_on_with_what_the_status_tells() -> None:
    api, view = Api(), looked(calm())
    await Adopting(api, lambda: NOW).write(view, cast(Any, view.body))
    fresh = AgentView(body={**BODY, "status": api.statuses[-1]})
    adopting.recall(fresh, cast(Any, fresh.body))
    assert fresh.adoption.present == view.adoption.present
    assert adoption.tries(fresh.adoption.present) == SETTING


# ------------------------------------------------------------------------------ steps of pipelines

TENSOR = {"dataType": "FP32", "dims": [-1]}
LINE = {
    "name": "line",
    "inputs": [{"name": "t0", **TENSOR}],
    "outputs": [{"name": "t2", **TENSOR}],
    "steps": [
        {"model": "m", "inputs": {"x": "t0"}, "outputs": {"y": "t1"}},
        {"model": "n", "inputs": {"x": "t1"}, "outputs": {"y": "t2"}},
    ],
}
OF_A_LINE = agent_of(
    model="line",
    models=[MODEL, model_of("n", maxBatchSize=8, batching={"dynamic": {}})],
    pipelines=[LINE],
    tuning={"mode": "Apply"},
    rollout=ROLLOUT,
)


def learnt_line(executions: int = 1000, searched: ServiceCurve = CURVE) -> AgentView:
    """Of a pipeline's steps curves are learnt, and by those that were searched what it sustains."""
    accepted = Accepted(OF_A_LINE, render(OF_A_LINE.spec, {"files": {"model.py": b""}}))
    view = AgentView(body=BODY, accepted=accepted)
    (pods,) = accepted.pod_sets
    known = learning.known(view, pods)
    curves = {each: LearntCurve(CURVE, 0.0, executions) for each in ("m", "n")}
    stood_on = dict.fromkeys(curves, (searched, 0.0, CurveSource.BATCHES))
    known.curves.update(curves)
    known.capacities["line"] = Capacity(40.0, BusiestStep("m", CURVE))
    (objective,) = policy_of(OF_A_LINE.spec).objectives
    known.searched["line"] = Searched(stood_on, {"m": 1.0, "n": 1.0}, objective)
    view.learning[pods.name] = known
    return view


def test_what_a_step_sustains_is_what_its_pipeline_does() -> None:
    """Of the second one batches of half of the largest were not seen."""
    assert adopting._sustained(learnt_line()) == {"m": Learnt(40.0), "n": Learnt(40.0, True)}


@pytest.mark.parametrize(
    "view",
    [
        pytest.param(learnt_line(executions=999), id="a step is not measured yet"),
        pytest.param(learnt_line(searched=WIDE), id="it is by curves of before"),
    ],
)
def test_what_a_step_sustains_is_not_known_yet(view: AgentView) -> None:
    assert adopting._sustained(view) == {}
