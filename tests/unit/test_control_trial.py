"""What becomes of a spec in strategy Canary, case by case."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agents import agent_of, model_of
from trireme.api import names
from trireme.api.conditions import Reason
from trireme.api.rollout import RolloutPhase, RolloutStatus
from trireme.autoscaler.types.observation import Grant
from trireme.control.agent_state import Accepted, CanaryState, Failing, Refused, RolledBack
from trireme.control.canary_course import Course, Known, course
from trireme.control.in_place import wanted_configs
from trireme.control.store import AgentView
from trireme.control.trial import hindrance, is_gone, is_over, words_of_trial
from trireme.errors import ServerError, ServerRefused
from trireme.modelrepo.render import render
from trireme.resources.canary import candidate_digest
from trireme.resources.change import Change, Effect, Part
from trireme.resources.options import ResourceOptions

NOW = datetime(2026, 11, 1, 3, 0, tzinfo=UTC)
BEGAN = datetime(2026, 11, 1, 2, 0, tzinfo=UTC)
OPTIONS = ResourceOptions(gateway_image="registry.example/envoy:v1.36.2")
FILES = {"files": {"model.py": b"a"}, "others": {"model.py": b"b"}}
CANARY = {"strategy": "Canary"}


def accepted(month: int = 10, rollout: dict[str, Any] | None = None, **spec: Any) -> Accepted:
    """A spec with the image of a month."""
    image = {"image": f"registry.example/triton:24.{month}-py3", "gpus": {"count": 0}}
    agent = agent_of(rollout=CANARY if rollout is None else rollout, server=image, **spec)
    return Accepted(agent, render(agent.spec, FILES))


def digest_of(of: Accepted) -> str:
    return candidate_digest(of.agent, of.repository)


OLD, NEW, OTHER = accepted(10), accepted(11), accepted(12)
ROLLING = accepted(11, {"strategy": "RollingUpdate"})
WIDER = {"scaling": {"min": 1, "max": 50}}


def instances(count: int, **fields: Any) -> dict[str, Any]:
    return {"models": [model_of("double", instances=[{"kind": "CPU", "count": count}], **fields)]}


def canary_of(
    candidate: Accepted, phase: RolloutPhase = RolloutPhase.PROGRESSING, message: str = ""
) -> CanaryState:
    digest = digest_of(candidate)
    return CanaryState(candidate, 6, digest, BEGAN, phase=phase, message=message)


def told_of(candidate: Accepted, phase: RolloutPhase) -> RolloutStatus:
    return RolloutStatus(
        phase=phase,
        candidate=digest_of(candidate),
        generation=5,
        start_time="2026-11-01T02:00:00Z",
        message="as was seen",
    )


@dataclass(frozen=True)
class Case:
    """A spec that is accepted as generation 7, and what is known; then what the stable pods run,
    the generation of the canary beside them, the one that is not tried again, and what is told.
    """

    new: Accepted
    runs: Accepted
    canary: int | None = None
    taken_back: int | None = None
    told: tuple[str, ...] = ()
    stable: Accepted | None = OLD
    before: CanaryState | None = None
    rolled_back: RolledBack | None = None
    status: RolloutStatus | None = None
    left: int = 0
    serves: bool = True
    is_spread: bool = False
    hindrance: str = ""
    node_class: str | None = ""
    left_class: str | None = None

    @property
    def known(self) -> Known:
        return Known(
            self.stable,
            self.before,
            self.rolled_back,
            self.status,
            self.left,
            3,
            self.serves,
            self.is_spread,
            self.hindrance,
            7,
            NOW,
            node_class=self.node_class,
            left_class=self.left_class,
        )


ASIDE = RolledBack(digest_of(NEW), 5, "worse")
IN_PROGRESS, PROMOTED, TAKEN_BACK = RolloutPhase
BEGUN = "CanaryStarted: generation 7 is tried on a canary; changed: server.image"
REPLACED = (
    "CanaryStarted: generation 7 is tried on a canary in place of generation 6; "
    "changed: server.image"
)
NOT_READY = (
    "CanarySkipped: generation 7 is rolled out without a canary: no stable pod is ready, to be "
    "compared with or to be lost"
)
CASES = {
    "an agent that is new is made without a canary": Case(NEW, NEW, stable=None),
    "a change of the pods begins one, and the stable pods stay": Case(
        NEW, OLD, canary=7, told=(BEGUN,)
    ),
    "with it comes in force at once what touches no pod": Case(
        accepted(11, **WIDER), accepted(10, **WIDER), canary=7, told=(BEGUN,)
    ),
    "what touches no pod needs none": Case(accepted(10, **WIDER), accepted(10, **WIDER)),
    "what changes in place needs none": Case(
        accepted(10, **instances(3)),
        accepted(10, **instances(3)),
        stable=accepted(10, **instances(1)),
    ),
    "beside another image it is changed in place at once": Case(
        accepted(11, **instances(3)),
        accepted(10, **instances(3)),
        canary=7,
        told=(BEGUN,),
        stable=accepted(10, **instances(1)),
    ),
    "beside other files it waits with them": Case(
        accepted(10, **instances(3, source={"configMap": "others"})),
        accepted(10, **instances(1)),
        canary=7,
        told=("CanaryStarted: generation 7 is tried on a canary; changed: models[double].files",),
        stable=accepted(10, **instances(1)),
    ),
    "in another strategy there is none": Case(ROLLING, ROLLING),
    "where no pod answers there is nothing to compare with": Case(
        NEW, NEW, told=(NOT_READY,), serves=False
    ),
    "nor is what takes the place of a canary compared with nothing": Case(
        OTHER,
        OTHER,
        told=(
            "CanaryEnded: the canary of generation 6 is ended: no stable pod is ready, to be "
            "compared with or to be lost",
            NOT_READY,
        ),
        before=canary_of(NEW),
        serves=False,
    ),
    "it goes on while scaling is edited": Case(
        accepted(11, **WIDER), accepted(10, **WIDER), canary=6, before=canary_of(NEW)
    ),
    "it goes on while no stable pod answers for a moment": Case(
        NEW, OLD, canary=6, before=canary_of(NEW), serves=False
    ),
    "another change of the pods replaces it": Case(
        OTHER, OLD, canary=7, told=(REPLACED,), before=canary_of(NEW)
    ),
    "other instances of its models replace it too": Case(
        accepted(10, **instances(3, source={"configMap": "others"})),
        accepted(10, **instances(1)),
        canary=7,
        told=(
            "CanaryStarted: generation 7 is tried on a canary in place of generation 6; "
            "changed: models[double].files",
        ),
        stable=accepted(10, **instances(1)),
        before=canary_of(accepted(10, **instances(2, source={"configMap": "others"}))),
    ),
    "an edit back ends it": Case(
        OLD,
        OLD,
        told=(
            "CanaryEnded: the canary of generation 6 is ended: generation 7 asks for pods as "
            "they are",
        ),
        before=canary_of(NEW),
    ),
    "another strategy ends it, and its spec is rolled out": Case(
        ROLLING,
        ROLLING,
        told=(
            "CanaryEnded: the canary of generation 6 is ended: generation 7 is rolled out "
            "without one",
        ),
        before=canary_of(NEW),
    ),
    "promoted, it stays while the stable pods follow": Case(
        NEW, NEW, canary=6, before=canary_of(NEW, PROMOTED)
    ),
    "and while they do, once they are to run it": Case(
        NEW, NEW, canary=6, stable=NEW, before=canary_of(NEW, PROMOTED)
    ),
    "once all of them run it, it goes": Case(
        NEW, NEW, stable=NEW, before=canary_of(NEW, PROMOTED), is_spread=True
    ),
    "it makes room for them before, where they wait for it": Case(
        NEW,
        NEW,
        told=("CanaryEnded: the canary of generation 6 is ended: no GPU",),
        before=canary_of(NEW, PROMOTED),
        hindrance="no GPU",
    ),
    "once they run it nobody is told that it stood in the way": Case(
        NEW, NEW, stable=NEW, before=canary_of(NEW, PROMOTED), is_spread=True, hindrance="no GPU"
    ),
    "another strategy ends it before they do, too": Case(
        ROLLING,
        ROLLING,
        told=(
            "CanaryEnded: the canary of generation 6 is ended: generation 7 is rolled out "
            "without one",
        ),
        stable=NEW,
        before=canary_of(NEW, PROMOTED),
    ),
    "an edit while they follow is tried beside them": Case(
        OTHER, NEW, canary=7, told=(BEGUN,), stable=NEW, before=canary_of(NEW, PROMOTED)
    ),
    "taken back, the stable pods stay": Case(
        NEW, OLD, canary=6, taken_back=6, before=canary_of(NEW, TAKEN_BACK, "worse")
    ),
    "and it is not tried again": Case(NEW, OLD, taken_back=5, rolled_back=ASIDE),
    "nor where scaling is edited": Case(
        accepted(11, **WIDER), accepted(10, **WIDER), taken_back=5, rolled_back=ASIDE
    ),
    "nor where no stable pod answers": Case(
        NEW, OLD, taken_back=5, rolled_back=ASIDE, serves=False
    ),
    "another change of the pods is tried": Case(
        OTHER, OLD, canary=7, told=(BEGUN,), rolled_back=ASIDE
    ),
    "an edit back forgets it": Case(OLD, OLD, rolled_back=ASIDE),
    "a process that is started anew goes on with one": Case(
        NEW, OLD, canary=5, status=told_of(NEW, IN_PROGRESS)
    ),
    "and with one whose stable pods do not answer yet": Case(
        NEW, OLD, canary=5, status=told_of(NEW, IN_PROGRESS), serves=False
    ),
    "it rolls out one that was promoted": Case(NEW, NEW, status=told_of(NEW, PROMOTED)),
    "and has it stay while the stable pods follow": Case(
        NEW, NEW, canary=5, status=told_of(NEW, PROMOTED), left=2
    ),
    "and while they do, once they are to run it, though it is started anew": Case(
        NEW, NEW, canary=5, stable=NEW, status=told_of(NEW, PROMOTED), left=2
    ),
    "also where what they ran is not known": Case(
        NEW, NEW, canary=5, stable=None, status=told_of(NEW, PROMOTED), left=2
    ),
    "in another strategy what was taken back is rolled out": Case(
        ROLLING, ROLLING, stable=None, rolled_back=ASIDE
    ),
    "where the status tells of another, one that nothing is known of is made": Case(
        NEW, NEW, stable=None, status=told_of(OTHER, TAKEN_BACK)
    ),
    "it leaves alone one that was taken back": Case(
        NEW, OLD, canary=5, taken_back=5, status=told_of(NEW, TAKEN_BACK)
    ),
    "it begins one where the status tells of another": Case(
        NEW, OLD, canary=7, told=(BEGUN,), status=told_of(OTHER, PROMOTED)
    ),
}


def taken(new: Accepted, case: Case) -> Course:
    found = course(new, case.known, OPTIONS)
    assert isinstance(found, Course)
    return found


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_what_becomes_of_a_spec(case: Case) -> None:
    found = taken(case.new, case)

    assert found.accepted.agent.spec == case.runs.agent.spec
    assert found.accepted.repository == case.runs.repository
    assert (found.canary.generation if found.canary else None) == case.canary
    assert (found.rolled_back.generation if found.rolled_back else None) == case.taken_back
    assert tuple(f"{event.reason}: {event.note}" for event in found.events) == case.told
    assert found.withheld == ""


@pytest.mark.parametrize(
    ("left", "words"),
    [
        pytest.param({"rolled_back": ASIDE}, "taken back", id="the record says: taken back"),
        pytest.param({"status": told_of(NEW, TAKEN_BACK)}, "taken back", id="taken back"),
        pytest.param({"status": told_of(NEW, IN_PROGRESS)}, "not promoted yet", id="on its way"),
    ],
)
def test_what_was_tried_does_not_replace_pods_that_nothing_is_known_of(
    left: dict[str, Any], words: str
) -> None:
    found = course(NEW, Case(NEW, NEW, stable=None, **left).known, OPTIONS)

    assert isinstance(found, Refused)
    assert found.reason is Reason.STABLE_UNKNOWN
    assert f"it was tried on a canary and {words}, and what the pods run" in found.message
    assert "ConfigMap echo-accepted is gone" in found.message


SPOT = {"name": "spot", "price": 0.3, "placement": {"nodeSelector": {"sort": "spot"}}}
FIRM = {"name": "firm", "price": 0.9, "placement": {"nodeSelector": {"sort": "firm"}}}
LARGE = {"name": "large", "price": 2.5, "placement": {"nodeSelector": {"sort": "large"}}}


def of_classes(*classes: dict[str, Any], month: int = 10) -> Accepted:
    image = f"registry.example/triton:24.{month}-py3"
    server = {"image": image, "gpus": {"count": 0}, "nodeClasses": [*classes]}
    agent = agent_of(rollout=CANARY, server=server)
    return Accepted(agent, render(agent.spec, FILES))


@pytest.mark.parametrize(
    ("after", "is_tried"),
    [
        pytest.param(of_classes(SPOT, FIRM, month=11), True, id="other pods of all"),
        pytest.param(
            of_classes(SPOT, {**FIRM, "placement": {"nodeSelector": {"sort": "x"}}}),
            True,
            id="other pods of one",
        ),
        pytest.param(of_classes(SPOT, {**FIRM, "price": 0.8}), False, id="another price"),
        pytest.param(of_classes(SPOT, FIRM, LARGE), False, id="one more"),
        pytest.param(of_classes(SPOT), False, id="one fewer"),
    ],
)
def test_what_is_tried_of_an_agent_with_node_classes(after: Accepted, is_tried: bool) -> None:
    before = of_classes(SPOT, FIRM)

    found = course(after, Case(after, before, stable=before, node_class="firm").known, OPTIONS)

    assert isinstance(found, Course)
    assert (found.canary is not None) == is_tried
    if found.canary is not None:
        assert found.canary.node_class == "firm"
        assert found.accepted.agent.spec.server == before.agent.spec.server
    else:
        assert found.accepted == after


def test_what_node_classes_cost_and_their_bounds_are_in_force_while_others_pods_are_tried() -> None:
    before = of_classes(SPOT, FIRM)
    dearer = {**SPOT, "price": 0.5, "min": 1, "max": 4}
    after = of_classes(dearer, FIRM, LARGE, month=11)

    found = course(after, Case(after, before, stable=before, node_class="spot").known, OPTIONS)

    assert isinstance(found, Course)
    assert found.canary is not None
    assert found.accepted.agent.spec.server == of_classes(dearer, FIRM).agent.spec.server


def test_where_no_stable_pod_is_of_a_class_of_the_candidate_it_is_rolled_out_and_told() -> None:
    before, after = of_classes(SPOT), of_classes(FIRM)

    found = course(after, Case(after, before, stable=before, node_class=None).known, OPTIONS)

    assert isinstance(found, Course)
    assert found.canary is None
    (event,) = found.events
    assert event.reason == "CanarySkipped"
    why = "no stable pod is ready of a node class that it has, to be compared with"
    assert event.note == f"generation 7 is rolled out without a canary: {why}"


def test_a_canary_that_goes_on_has_the_class_that_its_pods_are_of() -> None:
    before, after = of_classes(SPOT, FIRM), of_classes(SPOT, FIRM, month=11)
    case = Case(
        *(after, before),
        stable=before,
        status=told_of(after, IN_PROGRESS),
        node_class="spot",
        left_class="firm",
    )

    found = course(after, case.known, OPTIONS)

    assert isinstance(found, Course)
    assert found.canary is not None
    assert found.canary.node_class == "firm"


def test_the_state_that_the_analysis_holds_stays_the_same_object() -> None:
    before = canary_of(NEW)

    found = taken(accepted(11, **WIDER), Case(NEW, OLD, before=before))

    assert found.canary is before


def test_a_canary_begins_without_a_share_and_one_that_goes_on_from_when_it_began() -> None:
    begun = taken(NEW, Case(NEW, OLD)).canary
    told = told_of(NEW, IN_PROGRESS)
    resumed = taken(NEW, Case(NEW, OLD, status=told)).canary

    assert begun == CanaryState(NEW, 7, digest_of(NEW), NOW)
    assert resumed == CanaryState(NEW, 5, digest_of(NEW), BEGAN, message="as was seen")


@pytest.mark.parametrize(
    ("gpus", "pods"), [pytest.param(1, 0, id="one of GPUs"), pytest.param(0, 1, id="one of CPUs")]
)
def test_a_canary_of_an_agent_that_shares_gpus_begins_without_a_pod(gpus: int, pods: int) -> None:
    server = {"image": "registry.example/triton:24.11-py3", "gpus": {"count": gpus}}
    agent = agent_of(rollout=CANARY, server=server, scaling={"budget": {"name": "team-a"}})
    new = Accepted(agent, render(agent.spec, FILES))

    begun = taken(new, Case(new, OLD)).canary

    assert begun is not None
    assert begun.replicas == pods


@pytest.mark.parametrize(
    ("left", "weight"),
    [
        pytest.param(3, 0.5, id="with the pods for it"),
        pytest.param(2, 0.0, id="with too few"),
        pytest.param(0, 0.0, id="without any"),
    ],
)
def test_a_canary_that_goes_on_keeps_the_share_that_its_pods_carry(
    left: int, weight: float
) -> None:
    told = told_of(NEW, IN_PROGRESS).model_copy(update={"weight": 0.5})

    resumed = taken(NEW, Case(NEW, OLD, status=told, left=left)).canary

    assert resumed is not None
    assert resumed.weight == weight


def test_what_is_faulty_without_the_candidate_s_pods_waits_with_them_and_says_why() -> None:
    of_other = {"model": "other", "latency": {"target": "50ms"}}
    new = accepted(
        10, models=[model_of("double"), model_of("other")], objectives=[of_other], **WIDER
    )

    found = taken(new, Case(new, OLD))

    assert found.accepted.agent.spec == OLD.agent.spec
    assert found.canary is not None
    assert "spec.objectives[0].model" in found.withheld
    assert "there is no model or pipeline other" in found.withheld


def test_warnings_are_of_the_spec_that_is_tried() -> None:
    warned = replace(NEW, warnings=())
    stable = replace(OLD, warnings=("of before",))  # type: ignore[arg-type]  # never looked into

    found = taken(warned, Case(warned, OLD, stable=stable))

    assert found.accepted.warnings == ()


def test_without_a_record_of_the_stable_pods_there_is_no_canary() -> None:
    texts = {f"key-{number}": "x" * 60_000 for number in range(20)}
    large = accepted(10, models=[model_of("double", parameters=texts)])

    found = taken(NEW, Case(NEW, NEW, stable=large))

    assert (found.accepted, found.canary) == (NEW, None)
    assert [event.note for event in found.events] == [
        "generation 7 is rolled out without a canary: the spec of the stable pods is too large for "
        "the ConfigMap of its record"
    ]


OURS = replace(NEW, tries="maxBatchSize 16 in place of 8 (model double)")


def test_what_trireme_tries_of_its_own_is_named_so() -> None:
    (begun,) = taken(OURS, Case(OURS, OLD)).events
    assert begun.note == f"{OURS.tries} is tried on a canary; changed: server.image"
    (instead,) = taken(OTHER, Case(OTHER, OLD, before=canary_of(OURS))).events
    assert instead.note == (
        f"generation 7 is tried on a canary in place of {OURS.tries}; changed: server.image"
    )
    (ended,) = taken(OLD, Case(OLD, OLD, before=canary_of(OURS))).events
    assert ended.note == (
        f"the canary of {OURS.tries} is ended: generation 7 asks for pods as they are"
    )


@pytest.mark.parametrize(
    ("began", "canary"),
    [
        pytest.param(BEGAN, 5, id="of this trial"),
        pytest.param(BEGAN + timedelta(seconds=1), 7, id="of one before of the same"),
    ],
)
@pytest.mark.parametrize("phase", [IN_PROGRESS, TAKEN_BACK, PROMOTED])
def test_what_is_tried_again_begins_anew_by_a_process_that_finds_the_end_of_before(
    began: datetime, canary: int, phase: RolloutPhase
) -> None:
    case = Case(OURS, OLD, status=told_of(NEW, phase), left=1)
    found = course(OURS, replace(case.known, tried_since=began), OPTIONS)
    assert isinstance(found, Course)
    assert found.canary is not None
    assert found.canary.generation == canary
    assert found.canary.phase is (phase if canary == 5 else IN_PROGRESS)


def of_instances(count: int, **fields: Any) -> Accepted:
    words = f"instances {count} in place of 1 (model double)"
    return (
        accepted(10, **instances(count))
        if count == 1
        else replace(accepted(10, **instances(count), **fields), tries=words)
    )


ONE, TWO = of_instances(1), of_instances(2)
BACK = RolledBack(digest_of(TWO), 7, "worse")
OWN_INSTANCES = {
    "they are tried, though they change in place": Case(
        TWO,
        ONE,
        canary=7,
        told=(
            f"CanaryStarted: {TWO.tries} is tried on a canary; "
            "changed: models[double].instance_group",
        ),
        stable=ONE,
    ),
    "so are those with which pods get longer to end": Case(
        of_instances(9),
        ONE,
        canary=7,
        told=(
            f"CanaryStarted: {of_instances(9).tries} is tried on a canary; "
            "changed: models[double].instance_group",
        ),
        stable=ONE,
    ),
    "what touches no pod is in force beside them": Case(
        of_instances(2, **WIDER),
        accepted(10, **instances(1), **WIDER),
        canary=6,
        stable=ONE,
        before=canary_of(TWO),
    ),
    "it goes on": Case(TWO, ONE, canary=6, stable=ONE, before=canary_of(TWO)),
    "also by a process that is started anew": Case(
        TWO, ONE, canary=5, stable=ONE, status=told_of(TWO, IN_PROGRESS)
    ),
    "promoted, all pods are to run it": Case(
        TWO, TWO, canary=6, stable=ONE, before=canary_of(TWO, PROMOTED)
    ),
    "it stays until they do": Case(TWO, TWO, canary=6, stable=TWO, before=canary_of(TWO, PROMOTED)),
    "then it goes": Case(TWO, TWO, stable=TWO, before=canary_of(TWO, PROMOTED), is_spread=True),
    "it does not wait for those that refuse it": Case(
        TWO,
        TWO,
        told=(f"CanaryEnded: the canary of {TWO.tries} is ended: it is refused",),
        stable=TWO,
        before=canary_of(TWO, PROMOTED),
        hindrance="it is refused",
    ),
    "taken back, the stable pods stay": Case(
        TWO, ONE, canary=6, taken_back=6, stable=ONE, before=canary_of(TWO, TAKEN_BACK, "worse")
    ),
    "and by a process that is started anew": Case(
        TWO, ONE, taken_back=7, stable=ONE, rolled_back=BACK
    ),
    "once it is not set any more its canary ends": Case(
        ONE,
        ONE,
        told=(
            f"CanaryEnded: the canary of {TWO.tries} is ended: generation 7 asks for pods as "
            "they are",
        ),
        stable=ONE,
        before=canary_of(TWO),
    ),
}


@pytest.mark.parametrize("case", OWN_INSTANCES.values(), ids=list(OWN_INSTANCES))
def test_what_becomes_of_instances_that_trireme_tries_of_its_own(case: Case) -> None:
    test_what_becomes_of_a_spec(case)


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(Case(TWO, ONE, stable=ONE, serves=False), id="no stable pod is ready"),
        pytest.param(Case(TWO, ONE, stable=None), id="what the pods run is not known"),
    ],
)
def test_instances_that_cannot_be_tried_are_no_reason_to_have_all_pods_run_them(
    case: Case,
) -> None:
    assert taken(TWO, case).untried


UNDOES = replace(OLD, undoes=OURS.tries)


@pytest.mark.parametrize(
    ("case", "told"),
    [
        pytest.param(Case(UNDOES, OLD, stable=NEW), (), id="from pods that serve"),
        pytest.param(Case(UNDOES, OLD, stable=NEW, serves=False), (), id="from pods that do not"),
        pytest.param(
            Case(UNDOES, OLD, stable=NEW, before=canary_of(OURS, PROMOTED), hindrance="late"),
            (f"the canary of {OURS.tries} is ended: {OURS.tries} is taken back",),
            id="while they follow its canary",
        ),
        pytest.param(
            Case(UNDOES, OLD, stable=NEW, before=canary_of(OLD)),
            (f"the canary of generation 6 is ended: {OURS.tries} is taken back",),
            id="in the place of a canary without it",
        ),
        pytest.param(
            Case(UNDOES, OLD, stable=NEW, rolled_back=replace(ASIDE, digest=digest_of(OLD))),
            (),
            id="also where that was tried in vain",
        ),
    ],
)
def test_what_takes_back_what_was_kept_is_rolled_out_at_once(
    case: Case, told: tuple[str, ...]
) -> None:
    found = taken(case.new, case)
    assert found.accepted.agent.spec == OLD.agent.spec
    assert (found.canary, found.rolled_back) == (None, None)
    assert tuple(event.note for event in found.events) == told


@pytest.mark.parametrize(
    ("case", "why"),
    [
        pytest.param(
            Case(OURS, NEW, serves=False),
            "no stable pod is ready, to be compared with or to be lost",
            id="no pod to compare with",
        ),
        pytest.param(
            Case(OURS, NEW, stable=None), "what the pods run is not known", id="no record"
        ),
        pytest.param(
            Case(OURS, NEW, stable=None, status=told_of(NEW, IN_PROGRESS)),
            "what the pods run is not known",
            id="no record of what it was tried beside",
        ),
    ],
)
def test_what_trireme_tries_of_its_own_is_never_rolled_out_untried(case: Case, why: str) -> None:
    assert taken(OURS, case).untried == why


LACKING = "GPUs of budget team-a: needs 2, 1 is free"


def test_what_was_taken_back_undecided_says_so_in_whichever_process() -> None:
    before = canary_of(NEW, TAKEN_BACK, "0 of 200 requests")
    before.is_undecided = True
    told = told_of(NEW, TAKEN_BACK).model_copy(update={"undecided": True})
    for case in (Case(NEW, OLD, before=before), Case(NEW, OLD, status=told)):
        found = taken(NEW, case).rolled_back
        assert found is not None
        assert found.is_undecided


@pytest.mark.parametrize(
    ("candidate", "grant", "words"),
    [
        pytest.param(
            NEW,
            None,
            "generation 6 is tried on a canary, the others stay: see status.rollout",
            id="an edit is on its way",
        ),
        pytest.param(
            NEW,
            Grant(0, LACKING),
            "generation 6 is tried on a canary, the others stay: see status.rollout; it waits for "
            "GPUs of budget team-a: needs 2, 1 is free",
            id="it waits for GPUs",
        ),
        pytest.param(
            NEW,
            Grant(2, ""),
            "generation 6 is tried on a canary, the others stay: see status.rollout",
            id="it has its GPUs",
        ),
        pytest.param(
            OURS, None, "", id="of what Trireme tries the spec says nothing: it is in force"
        ),
    ],
)
def test_what_the_conditions_say_of_a_canary(
    candidate: Accepted, grant: Grant | None, words: str
) -> None:
    canary = canary_of(candidate)
    canary.grant = grant
    assert words_of_trial(AgentView(canary=canary)) == words


REFUSED = {"type": "ReplicaFailure", "status": "True"}
LATE = {
    "type": "Progressing",
    "status": "False",
    "reason": "ProgressDeadlineExceeded",
    "message": "it has timed out",
}
NO_NODE = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "Insufficient nvidia.com/gpu",
}


def following(*conditions: dict[str, Any], pod: dict[str, Any] | None = None) -> AgentView:
    """An agent whose stable pods follow a canary that was promoted, 2 of 3 of them there."""
    owner = {names.OWNER: "echo", names.AGENT: "echo"}
    metadata = {"name": "echo", "namespace": "team", "generation": 4, "labels": owner}
    deployment = {
        "kind": "Deployment",
        "metadata": {**metadata, "ownerReferences": [{"uid": "0f5e"}]},
        "spec": {"replicas": 3},
        "status": {"observedGeneration": 4, "replicas": 2, "conditions": list(conditions)},
    }
    found = {
        "metadata": {
            "name": "echo-one",
            "uid": "1",
            "labels": owner,
            "creationTimestamp": "2026-11-01T02:00:00Z",
        },
        "status": {"conditions": [pod] if pod else []},
    }
    return AgentView(
        body={"metadata": {"uid": "0f5e"}},
        children={("Deployment", "echo"): deployment},
        pods={"echo-one": found},
        applied=NEW,
        canary=canary_of(NEW, PROMOTED),
    )


def with_grant(grant: Grant) -> AgentView:
    view = following()
    assert view.canary is not None
    view.canary.grant = grant
    return view


def given_up() -> AgentView:
    view = following()
    assert view.canary is not None
    view.canary.is_given_up = True
    return view


def refusing() -> AgentView:
    view = following()
    view.in_place.failing = Failing(ServerRefused("pod one: out of memory"), NOW, lasts=True)
    return view


def silent(*, lasts: bool) -> AgentView:
    view = following()
    view.in_place.failing = Failing(ServerError("pod one: no answer"), NOW, lasts)
    return view


def crashing() -> AgentView:
    view = following()
    pod = view.pods["echo-one"]
    waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}
    server = {"name": names.SERVER_CONTAINER, "restartCount": 2, "state": waiting}
    annotations = {names.REPOSITORY_DIGEST: NEW.repository.digest}
    view.pods["echo-one"] = {
        "metadata": {**pod["metadata"], "annotations": annotations},
        "status": {"containerStatuses": [server]},
    }
    return view


@pytest.mark.parametrize(
    ("view", "why"),
    [
        pytest.param(following(), "", id="pods that start"),
        pytest.param(silent(lasts=False), "", id="a server that does not answer for a moment"),
        pytest.param(
            silent(lasts=True),
            "the stable pods do not follow: pod one: no answer",
            id="a server that does not answer for as long as a start may take",
        ),
        pytest.param(
            crashing(),
            "the stable pods do not follow: pod echo-one: triton: CrashLoopBackOff: back-off 10s",
            id="a server that ends again and again",
        ),
        pytest.param(
            refusing(),
            "the stable pods do not follow: pod one: out of memory",
            id="a server that refuses what changes in place",
        ),
        pytest.param(
            following(pod=NO_NODE),
            "it makes room for the stable pods: pod echo-one: Insufficient nvidia.com/gpu",
            id="a pod that no node takes",
        ),
        pytest.param(
            following(REFUSED),
            "it makes room for the stable pods: pods are refused, by a quota or a policy",
            id="pods that are refused",
        ),
        pytest.param(
            following(LATE),
            "the stable pods do not follow: it has timed out",
            id="pods that do not come within their Deployment's deadline",
        ),
        pytest.param(with_grant(Grant(2, "")), "", id="pods that start while it has its GPUs"),
        pytest.param(
            with_grant(Grant(0, LACKING)),
            f"it makes room for pods that are needed: {LACKING}",
            id="a budget that has no GPUs for it any more",
        ),
        pytest.param(
            given_up(),
            "a person does not wait for the stable pods to follow",
            id="a person who aborts it",
        ),
    ],
)
def test_why_a_promoted_canary_goes_before_the_stable_pods_run_it(
    view: AgentView, why: str
) -> None:
    assert hindrance(view) == why
    assert is_over(view) == bool(why)


def spread(served: dict[str, Any], ready: int) -> AgentView:
    """An agent with a ready pod, of as many, that follows by a change in place, and what is known
    of the servers.
    """
    view = following()
    deployment = view.children["Deployment", "echo"]
    counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    whole = {**deployment["status"], **dict.fromkeys(counts, ready)}
    view.children["Deployment", "echo"] = {
        **deployment,
        "spec": {"replicas": ready},
        "status": whole,
    }
    condition = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-01T02:00:00Z"}
    container = {"name": names.SERVER_CONTAINER, "containerID": "test://one", "started": True}
    metadata = view.pods["echo-one"]["metadata"]
    annotations = {names.REPOSITORY_DIGEST: TWO.repository.digest}
    view.pods["echo-one"] = {
        "metadata": {**metadata, "annotations": annotations},
        "status": {
            "podIP": "10.0.0.1",
            "conditions": [condition],
            "containerStatuses": [container],
        },
    }
    view.applied, view.canary = TWO, canary_of(TWO, PROMOTED)
    view.in_place.wanted = wanted_configs(TWO.repository)
    wanted = {config.name: config for config in view.in_place.wanted}
    view.in_place.servers = {server: known and wanted for server, known in served.items()}
    told = {"repositoryDigest": TWO.repository.digest, "liveDigest": "before"}
    view.body = {"metadata": {"uid": "0f5e"}, "status": told}
    return view


IN_PLACE = Change((Part("models[double].instance_group", Effect.IN_PLACE),))
OF_ALL = Change((Part("models[double].max_batch_size", Effect.ROLLOUT), *IN_PLACE.parts))


@pytest.mark.parametrize(
    ("change", "told", "is_spread"),
    [
        pytest.param(IN_PLACE, "before", False, id="not where they are changed"),
        pytest.param(None, "before", False, id="nor where a new process does not know"),
        pytest.param(OF_ALL, "before", True, id="but where all pods were replaced"),
        pytest.param(None, TWO.repository.live_digest, True, id="and where none is to be changed"),
    ],
)
def test_pods_that_only_started_with_what_was_promoted_need_not_be_asked(
    change: Change | None, told: str, is_spread: bool
) -> None:
    view = spread({}, 1)
    view.change = change
    view.written = {"repositoryDigest": TWO.repository.digest, "liveDigest": told}
    assert is_over(view) == is_spread


@pytest.mark.parametrize(
    ("served", "ready", "is_spread"),
    [
        pytest.param({}, 1, False, id="unknown, until they were asked"),
        pytest.param({"test://one": {}}, 1, False, id="as before, until they were changed"),
        pytest.param({"test://one": {"what is": "wanted"}}, 1, True, id="once they were"),
        pytest.param(
            {"test://one": {"what is": "wanted"}}, 2, False, id="one that nobody has told of yet"
        ),
    ],
)
def test_all_pods_run_what_was_promoted_once_it_was_changed_in_place(
    served: dict[str, Any], ready: int, is_spread: bool
) -> None:
    assert is_over(spread(served, ready)) == is_spread


@pytest.mark.parametrize(
    ("phase", "noted", "is_it"),
    [
        pytest.param(TAKEN_BACK, ASIDE, True, id="taken back, and noted"),
        pytest.param(TAKEN_BACK, None, False, id="taken back in the middle of a pass"),
        pytest.param(
            TAKEN_BACK, RolledBack(digest_of(OTHER), 4, ""), False, id="another was before it"
        ),
        pytest.param(IN_PROGRESS, ASIDE, False, id="not taken back"),
    ],
)
def test_a_canary_is_forgotten_once_it_is_noted_that_it_is_not_tried_again(
    phase: RolloutPhase, noted: RolledBack | None, is_it: bool
) -> None:
    view = AgentView(canary=canary_of(NEW, phase), rolled_back=noted)

    assert is_gone("echo", view) == is_it


def test_what_the_stable_pods_waited_for_before_is_nothing_to_a_promoted_canary() -> None:
    view = following(LATE, pod=NO_NODE)
    view.applied = OLD

    assert not is_over(view)
