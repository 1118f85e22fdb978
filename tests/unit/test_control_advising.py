"""The recommendation that stands after a decision, and what is told of it."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from agents import agent_of, model_of, repository_of
from trireme.api.adoption import Adoption, AdoptionPhase, Origin
from trireme.api.agent import AgentSpec
from trireme.api.conditions import Reason
from trireme.api.scaling import ScalingMode
from trireme.api.scaling_status import CurveSource
from trireme.api.tuning import Confidence, Knob, TuningStatus
from trireme.autoscaler.capacity import LearntCurve
from trireme.autoscaler.contention import LearntContention
from trireme.autoscaler.records import Inputs, Record, conclude
from trireme.autoscaler.service_curve import ServiceCurve
from trireme.autoscaler.types.capacity import BusiestStep, Capacity
from trireme.autoscaler.types.observation import KnownKnob, Observation
from trireme.autoscaler.types.policy import ObjectivePolicy
from trireme.autoscaler.types.serving import ServedPipeline, ServedStep, Serving
from trireme.autoscaler.types.signals import NoSignals
from trireme.control import adopting, advising
from trireme.control.agent_state import Accepted, AdviceAsked, Learning, StepAdviceAsked
from trireme.control.store import AgentView
from trireme.tuner.advice import Advice
from trireme.tuner.types import Configuration, Objective, Range
from unit.autoscaling import NOW, SETTLED, objective, observed, policy, seconds, seen

CURVE = ServiceCurve(0.040, 0.010, 4)
SUSTAINS = Capacity(50.0, CURVE)
ADVICE = Advice(
    "m", Knob.MAX_BATCH_SIZE, "4", "8", 0.3, 0.1, 0.5, Confidence.MEDIUM, "learnt from 500 batches"
)
CLASSES = {
    "image": "registry.example/triton:24.10-py3",
    "gpus": {"count": 0},
    "nodeClasses": [{"name": "spot", "price": 1}],
}
FIXED_TWO = {"replicas": 2, "mode": ScalingMode.SHADOW}
OBJECTIVE = replace(objective(), serving=Serving(1, 4))
STEADY = observed(2, seen(6.0, 0.072, rate=80.0), capacity=SUSTAINS)
GROWING = observed(2, seen(40.0, 0.2, rate=180.0), capacity=SUSTAINS)


def spec(**fields: Any) -> AgentSpec:
    model = model_of("m", maxBatchSize=4, batching={"dynamic": {}})
    return agent_of(model="m", **{"models": [model], **fields}).spec


def made(observation: Observation, **of_policy: Any) -> Record:
    inputs = Inputs(observation, policy(OBJECTIVE, **of_policy), SETTLED)
    return Record("1", "team", "echo", inputs, conclude(inputs)[0])


def learning(**fields: Any) -> Learning:
    return Learning("a" * 64, "b" * 64, spec().server, **{"model_digests": {}, **fields})


def stands(
    record: Record,
    before: TuningStatus | None = None,
    advice: Advice | None = ADVICE,
    of: AgentSpec | None = None,
    digest: str = "d",
) -> TuningStatus | None:
    return advising.standing_after(
        before,
        learning(advice={"m": advice}, model_digests={"m": digest}),
        of or spec(),
        record,
        NOW,
        is_calm=advising.is_calm(record),
    )


def told() -> TuningStatus:
    found = stands(made(STEADY))
    assert found is not None
    return found


def test_it_is_told_of_a_steady_fleet_by_one_event() -> None:
    status = told()
    (event,) = advising.events(None, status)
    assert event.reason == "TuningRecommended"
    assert event.note == (
        "Set maxBatchSize of m from 4 to 8: a pod is expected to sustain 30 % more within its "
        "objective (10 % to 50 %, confidence Medium), learnt from 500 batches"
    )
    again = stands(made(STEADY), status)
    assert again == status
    assert not advising.events(status, again)


def test_it_is_told_in_shadow_too() -> None:
    assert stands(made(STEADY, **FIXED_TWO)) is not None


LOST = observed(2, NoSignals(Reason.STALE, "too old"), capacity=SUSTAINS)


@pytest.mark.parametrize(
    "observation",
    [
        pytest.param(GROWING, id="while it scales"),
        pytest.param(replace(STEADY, ready=1), id="while pods start"),
        pytest.param(replace(STEADY, stuck=1), id="while some are stuck"),
        pytest.param(LOST, id="without signals"),
        pytest.param(
            observed(2, seen(6.0, 0.072, rate=80.0, failure_ratio=0.5), capacity=SUSTAINS),
            id="while the objective is broken",
        ),
    ],
)
def test_nothing_new_is_recommended(observation: Observation) -> None:
    assert stands(made(observation)) is None


@pytest.mark.parametrize(
    "of",
    [
        pytest.param(spec(tuning={"mode": "Disabled"}), id="where the user wants none"),
        pytest.param(
            spec(server=CLASSES),
            id="of node classes",
        ),
    ],
)
def test_none_stands(of: AgentSpec) -> None:
    assert stands(made(STEADY), told(), of=of) is None


TRIED_BEFORE = Adoption(
    model="m",
    origin=Origin.TUNING,
    phase=AdoptionPhase.REFUSED,
    summary="maxBatchSize 8 in place of 4",
    entry="maxBatchSize: 8\n",
    replaced="maxBatchSize: 4\n",
    generation=1,
    since="2026-01-01T11:00:00Z",
)


def viewed(*adopted: Adoption, **fields: Any) -> AgentView:
    """An agent as passes left it."""
    model = model_of("m", maxBatchSize=4, batching={"dynamic": {}})
    agent = agent_of(model="m", **{"models": [model], **fields})
    view = AgentView(accepted=Accepted(agent, repository_of()), asked=agent)
    view.adoption.present = adopted
    return view


def known(view: AgentView, advice: Advice | None = ADVICE) -> tuple[KnownKnob, ...]:
    refused = partial(adopting.was_refused, view)
    return advising.known_knobs(view, learning(advice={"m": advice}), refused)


def test_a_decision_is_told_of_the_knobs_that_are_worth_turning() -> None:
    known_to_gain = KnownKnob("m", "m", Knob.MAX_BATCH_SIZE, "4", "8", 0.3)
    assert known(viewed()) == (known_to_gain,)
    low = replace(ADVICE, confidence=Confidence.LOW)
    assert known(viewed(), low) == (replace(known_to_gain, is_guess=True),)


@pytest.mark.parametrize(
    ("view", "advice"),
    [
        pytest.param(viewed(), None, id="none is"),
        pytest.param(viewed(), replace(ADVICE, gain=0.06), id="it gains too little"),
        pytest.param(
            viewed(), replace(ADVICE, knob=Knob.MAX_QUEUE_DELAY, gain=0.0), id="it gains nothing"
        ),
        pytest.param(viewed(TRIED_BEFORE), ADVICE, id="it was tried in vain"),
        pytest.param(viewed(server=CLASSES), ADVICE, id="one pod is not as another"),
    ],
)
def test_a_decision_is_told_of_no_knob(view: AgentView, advice: Advice | None) -> None:
    assert known(view, advice) == ()


NAMED = replace(GROWING, knobs=(KnownKnob("m", "m", Knob.MAX_BATCH_SIZE, "4", "8", 0.9),))
OTHER_STANDS = TuningStatus(
    model="m",
    knob=Knob.MAX_QUEUE_DELAY,
    from_="0s",
    to="5ms",
    gain_percent=0,
    least_gain_percent=0,
    most_gain_percent=0,
    confidence=Confidence.HIGH,
    evidence="it keeps instances out of step",
    since="2026-01-01T11:59:00Z",
)


@pytest.mark.parametrize(
    "before",
    [
        pytest.param(None, id="where none stood"),
        pytest.param(OTHER_STANDS, id="in the place of another"),
    ],
)
def test_what_a_purchase_names_stands_at_once(before: TuningStatus | None) -> None:
    record = made(NAMED)
    named = record.decision.alternative
    assert named is not None
    after = stands(record, before)
    assert after is not None
    assert (after.knob, after.to) == ("maxBatchSize", "8")
    bought = record.decision.replicas - record.decision.current
    assert (after.replicas_added, bought) == (bought, after.replicas_spared + named.replicas - 2)
    (event,) = advising.events(before, after)
    assert event.note.startswith("Set maxBatchSize of m from 4 to 8: ")


def test_what_is_bought_where_no_knob_would_spare_it_is_only_counted() -> None:
    after = stands(made(GROWING), told())
    assert after is not None
    assert after.replicas_added > 0
    assert after.replicas_spared == 0
    assert not advising.events(told(), after)


def test_of_what_is_learnt_meanwhile_nothing_is_owed() -> None:
    after = stands(made(NAMED), advice=replace(ADVICE, to="16"))
    assert after is None


@pytest.mark.parametrize(
    ("limits", "stays"),
    [
        pytest.param({}, True, id="though nothing is advised any more"),
        pytest.param({"maxBatchSize": {"max": 4}}, False, id="but not beyond the user's limits"),
    ],
)
def test_while_replicas_are_there_in_its_place_it_stays(
    limits: dict[str, Any], stays: bool
) -> None:
    owed = told().model_copy(update={"replicas_spared": 1})
    of = spec(tuning={"limits": limits})
    assert (stands(made(STEADY), owed, advice=None, of=of) is not None) is stays


@pytest.mark.parametrize(
    ("of", "digest", "spared"),
    [
        pytest.param(OBJECTIVE, "d", 1, id="while they are the same"),
        pytest.param(OBJECTIVE, "other", 0, id="and of another model none"),
        pytest.param(replace(OBJECTIVE, latency_target_seconds=0.5), "d", 0, id="nor objective"),
    ],
)
def test_replicas_are_there_in_its_place_of_the_model_and_objective_they_were_bought_by(
    of: ObjectivePolicy, digest: str, spared: int
) -> None:
    bought = stands(made(NAMED))
    assert bought is not None
    assert bought.replicas_spared > 0
    steady = made(STEADY)
    steady = replace(steady, inputs=replace(steady.inputs, policy=policy(of)))
    after = stands(steady, bought, digest=digest)
    assert after is not None
    assert after.replicas_spared == spared


ONE_MORE = replace(
    ADVICE, knob=Knob.INSTANCES, now="1", to="2", gain=0.9, confidence=Confidence.LOW
)
COSTLY = LearntContention("digest", 0.9, 1, 2, 1200)


@pytest.mark.parametrize(
    ("contentions", "stays"),
    [
        pytest.param({}, True, id="while it is a guess"),
        pytest.param({"m": COSTLY}, False, id="not once it is known to gain nothing"),
    ],
)
def test_replicas_are_there_in_the_place_of_a_guess(
    contentions: dict[str, LearntContention], stays: bool
) -> None:
    guess = KnownKnob("m", "m", Knob.INSTANCES, "1", "2", 0.9)
    bought = stands(made(replace(GROWING, knobs=(guess,))), advice=ONE_MORE)
    assert bought is not None
    assert bought.replicas_spared > 0
    steady, known = made(STEADY), learning(advice={"m": None}, contentions=contentions)
    known.model_digests = {"m": "d"}
    after = advising.standing_after(bought, known, spec(), steady, NOW, is_calm=True)
    assert (after is not None) is stays


@pytest.mark.parametrize("of_policy", [{}, FIXED_TWO], ids=["Automatic", "Shadow"])
def test_no_more_replicas_are_there_in_its_place_than_beside_one(of_policy: dict[str, Any]) -> None:
    """A person may have made the fleet smaller."""
    owed = told().model_copy(update={"replicas_spared": 3})
    after = stands(made(STEADY, **of_policy), owed)
    assert after is not None
    assert after.replicas_spared == 1


def test_what_a_user_adds_in_shadow_is_not_counted() -> None:
    record = made(STEADY, replicas=4, mode=ScalingMode.SHADOW)
    assert record.decision.replicas > record.decision.current
    after = stands(record, told())
    assert after is not None
    assert after.replicas_added == 0


@pytest.mark.parametrize("mode", [ScalingMode.FIXED, ScalingMode.EXTERNAL])
def test_none_stands_where_trireme_does_not_decide(mode: ScalingMode) -> None:
    assert stands(made(STEADY, replicas=2, mode=mode), told()) is None


OTHER = replace(ADVICE, model="n")
TWO_MODELS = spec(
    models=[model_of(name, maxBatchSize=4, batching={"dynamic": {}}) for name in ("m", "n")]
)


@pytest.mark.parametrize(
    ("of_other", "seen_models"),
    [
        pytest.param(OTHER, ["m"], id="whose model has advice, too"),
        pytest.param(None, ["m"], id="whose model has none"),
        pytest.param(OTHER, ["m", "n"], id="which gives way after a while"),
    ],
)
def test_objectives_that_decide_by_turns_do_not_tell_by_turns(
    of_other: Advice | None, seen_models: list[str]
) -> None:
    minutes = 40 if len(seen_models) > 1 else 20
    known = learning(advice={"m": ADVICE, "n": of_other})
    steady = made(STEADY)
    standing, events, models = None, 0, []
    for second in range(0, minutes * 60, 5):
        decision = replace(steady.decision, model="mn"[second // 5 % 2])
        record = replace(steady, decision=decision)
        now = NOW + seconds(second)
        after = advising.standing_after(
            standing, known, TWO_MODELS, record, now, is_calm=advising.is_calm(record)
        )
        events += len(advising.events(standing, after))
        assert after is not None
        if after.model not in models:
            models.append(after.model)
        standing = after
    assert (models, events) == (seen_models, len(seen_models))


# ------------------------------------------------------------------------ what is sought advice for

LEARNT = LearntCurve(CURVE, 0.0, 500)


def test_advice_is_sought_by_the_curve_the_objective_and_the_users_limits() -> None:
    limited = spec(tuning={"limits": {"maxBatchSize": {"max": 32}}})
    asked = advising.asked(learning(curves={"m": LEARNT}), limited, OBJECTIVE, None)
    assert isinstance(asked, AdviceAsked)
    assert (asked.served.now, asked.objective) == (Configuration(4, 1), Objective(95, 0.1))
    assert asked.space.max_batch == Range(1, 32)
    longer = replace(LEARNT, executions=900)
    assert asked.is_like(advising.asked(learning(curves={"m": longer}), limited, OBJECTIVE, None))
    unlimited = advising.asked(learning(curves={"m": LEARNT}), spec(), OBJECTIVE, None)
    assert not asked.is_like(unlimited)


@pytest.mark.parametrize("mode", ["Recommend", "Apply"])
def test_other_instances_are_advised_within_the_limits_in_either_mode(mode: str) -> None:
    of = spec(tuning={"mode": mode, "limits": {"instances": {"max": 4}}})
    asked = advising.asked(learning(curves={"m": LEARNT}), of, OBJECTIVE, None)
    assert isinstance(asked, AdviceAsked)
    assert asked.space.instances == Range(1, 4)


def of_instances(count: int) -> AgentSpec:
    """In mode Apply, where more may be tried."""
    model = model_of(
        "m", maxBatchSize=4, batching={"dynamic": {}}, instances=[{"kind": "CPU", "count": count}]
    )
    tuning = {"mode": "Apply", "limits": {"instances": {"max": 4}}}
    return spec(models=[model], tuning=tuning, rollout={"strategy": "Canary"})


@pytest.mark.parametrize(
    ("written", "tries"),
    [
        pytest.param(of_instances(2), True, id="that the user has set"),
        pytest.param(of_instances(1), False, id="not upon one that Trireme has, a guess itself"),
        pytest.param(None, False, id="not while it is not known who has set it"),
    ],
)
def test_one_more_is_guessed_upon_a_number(written: AgentSpec | None, tries: bool) -> None:
    served = of_instances(2)
    asked = advising.asked(learning(curves={"m": LEARNT}), served, OBJECTIVE, written)
    assert isinstance(asked, AdviceAsked)
    assert asked.space.tries_instances is tries


@pytest.mark.parametrize(
    ("curves", "of"),
    [
        pytest.param({}, spec, id="no curve"),
        pytest.param(
            {"m": replace(LEARNT, source=CurveSource.EARLIER)}, spec, id="one of before a change"
        ),
        pytest.param(
            {"m": LEARNT}, lambda: spec(tuning={"mode": "Disabled"}), id="the user wants none"
        ),
    ],
)
def test_none_is_sought(curves: dict[str, LearntCurve], of: Callable[[], AgentSpec]) -> None:
    assert advising.asked(learning(curves=curves), of(), OBJECTIVE, None) is None


LINE = replace(
    OBJECTIVE,
    model="line",
    serving=ServedPipeline((ServedStep("m", Serving(1, 4)), ServedStep("n", Serving(1, 4), (0,)))),
)
KNOWN_OF_LINE: dict[str, Any] = {
    "curves": {"m": LEARNT, "n": LEARNT},
    "calls": {"line": {"m": 1.0, "n": 2.0}},
    "capacities": {"line": Capacity(20.0, BusiestStep("n", CURVE))},
}


def test_of_a_pipeline_advice_is_sought_on_the_step_that_binds_it() -> None:
    asked = advising.asked(learning(**KNOWN_OF_LINE), TWO_MODELS, LINE, None)
    assert isinstance(asked, StepAdviceAsked)
    assert asked.line.busiest.name == "n"
    assert asked.line.busiest.now == Configuration(4, 1)
    assert asked.line.per_second == 20.0
    longer = replace(LEARNT, executions=900)
    seen_longer = learning(**{**KNOWN_OF_LINE, "curves": {"m": longer, "n": longer}})
    assert asked.is_like(advising.asked(seen_longer, TWO_MODELS, LINE, None))
    others = learning(**{**KNOWN_OF_LINE, "calls": {"line": {"m": 1.0, "n": 3.0}}})
    assert not asked.is_like(advising.asked(others, TWO_MODELS, LINE, None))
    assert not asked.is_like(None)


EARLIER = replace(LEARNT, source=CurveSource.EARLIER)


@pytest.mark.parametrize(
    "known",
    [
        pytest.param({"curves": {"n": LEARNT}}, id="a step has no curve"),
        pytest.param({"curves": {"m": EARLIER, "n": LEARNT}}, id="one is of before a change"),
        pytest.param({"calls": {}}, id="calls were not counted"),
        pytest.param({"capacities": {}}, id="it is not known what a pod sustains"),
    ],
)
def test_of_a_pipeline_none_is_sought(known: dict[str, Any]) -> None:
    of_line = learning(**{**KNOWN_OF_LINE, **known})
    assert advising.asked(of_line, TWO_MODELS, LINE, None) is None


@pytest.mark.parametrize(
    ("advice", "stays"),
    [
        pytest.param(ADVICE, True, id="as long as the pipeline has the same advice"),
        pytest.param(OTHER, False, id="not where another step binds it"),
        pytest.param(None, False, id="not where it has none"),
    ],
)
def test_what_stands_of_a_step_is_judged_by_its_pipeline(
    advice: Advice | None, stays: bool
) -> None:
    asked = advising.asked(learning(**KNOWN_OF_LINE), TWO_MODELS, LINE, None)
    assert asked is not None
    known = learning(advice={"line": advice}, advised={"line": asked})
    record = made(STEADY)
    after = advising.standing_after(
        told(), known, TWO_MODELS, record, NOW, is_calm=advising.is_calm(record)
    )
    assert (after is not None) is stays


def test_what_stands_says_since_when() -> None:
    later = replace(STEADY, now=NOW + seconds(60))
    kept = stands(made(later), told())
    assert kept is not None
    assert kept.since == "2026-01-01T12:00:00Z"
