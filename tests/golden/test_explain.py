"""What `trireme explain` says in the situations that an SRE asks in."""

from dataclasses import replace
from typing import Any

import pytest

from agents import agent_of, model_of
from conftest import Golden
from trireme.api.adoption import Adoption, AdoptionPhase, Origin
from trireme.api.conditions import ConditionType, Reason
from trireme.api.rollout import RolloutPhase, RolloutStatus
from trireme.api.scaling import Behavior, Paused, PolicyType, ScalingMode
from trireme.api.scaling_status import (
    CurveStatus,
    DecisionStatus,
    LeadTimeStatus,
    ModelLoadStatus,
    ObservedLoad,
    ScalingStatus,
    StagesStatus,
    TargetStatus,
    UnansweredStatus,
)
from trireme.api.status import AgentStatus, Condition
from trireme.api.tuning import Confidence, Knob, TuningStatus
from trireme.autoscaler import outside
from trireme.autoscaler.explain import explain
from trireme.autoscaler.explain_known import Agent
from trireme.autoscaler.records import Inputs, Record, conclude
from trireme.autoscaler.service_curve import ServiceCurve
from trireme.autoscaler.types.capacity import Capacity, OutOfReach
from trireme.autoscaler.types.memory import FactorMemory, Recommendation
from trireme.autoscaler.types.observation import ClassPods, Forecast, Grant, LeadTime, Outside
from trireme.autoscaler.types.policy import Bound, DemandPolicy, NodeClass
from trireme.autoscaler.types.serving import Serving
from trireme.autoscaler.types.signals import Coverage, NoSignals, Signals, Source
from trireme.cli.explain import text
from unit.autoscaling import (
    NOW,
    SETTLED,
    WINDOW,
    objective,
    observed,
    policy,
    rules,
    seconds,
    seen,
)

CURVE = ServiceCurve(0.040, 0.010, 8)
SUSTAINS_57 = Capacity(57.0, CURVE)
LEARNABLE = replace(objective(), serving=Serving(1, 8), gateways=2)
AS_BY_DEFAULT = policy(LEARNABLE, bounds=(1, 10), behavior=Behavior())
AT_PEAK = replace(SETTLED, recommendations=(Recommendation(NOW - seconds(100), 3),))
LEARNT = CurveStatus(
    model="m",
    model_digest="a" * 64,
    fixed_milliseconds=40,
    per_request_milliseconds=10,
    max_batch=8,
    noise=0.05,
    executions=4312,
    sustained_per_second=57,
)
STATUS = AgentStatus(
    replicas=3,
    ready_replicas=3,
    repository_digest="a" * 64,
    conditions=[
        Condition(
            type=ConditionType.AUTOSCALING_ACTIVE,
            status="True",
            reason=Reason.WITHIN_TARGET,
            message="39.7 req/s per pod of 57 that one sustains, p95 72 ms within 100 ms: 3 kept",
            last_transition_time="2026-01-01T11:00:00Z",
        ),
        Condition(
            type=ConditionType.SIGNALS_AVAILABLE,
            status="True",
            reason=Reason.FRESH,
            message="by Prometheus: 3 of 3 server pods, up to 2s old",
            last_transition_time="2026-01-01T11:00:00Z",
        ),
    ],
    scaling=ScalingStatus(
        desired_replicas=3,
        observed=ObservedLoad(
            time="2026-01-01T11:59:10Z",
            model="m",
            request_rate_per_second=119.2,
            in_flight=7.1,
            latency_milliseconds=72,
            latency_kind="p95",
        ),
        targets=[TargetStatus(model="m", in_flight_per_pod=8)],
        curves=[LEARNT],
        decisions=[
            DecisionStatus(
                time="2026-01-01T11:40:00Z",
                reason=Reason.SCALED_UP,
                from_replicas=2,
                to_replicas=3,
                message="p95 121 ms over 100 ms at 118 req/s on 2 pods: 2 → 3",
            )
        ],
    ),
)
UNLEARNT = AgentStatus(replicas=2, ready_replicas=2)


def of_record(inputs: Inputs) -> Record:
    return Record("1", "team", "echo", inputs, conclude(inputs)[0])


BY_DEMAND = replace(
    policy(LEARNABLE, bounds=(0, 10), behavior=Behavior()),
    demand=DemandPolicy(activation_per_second=0.5, cooldown=seconds(300)),
)
SPENT = "GPU budget team-a: 4 of 4 GPUs given"
NONE_READY = NoSignals(Reason.NO_PODS, "no server pod is ready")

SITUATIONS = {
    "a-budget-that-is-spent": Inputs(
        replace(observed(2, seen(40.0, 0.120), capacity=SUSTAINS_57), grant=Grant(2, SPENT)),
        AS_BY_DEFAULT,
        SETTLED,
    ),
    "a-budget-that-gives-some": Inputs(
        replace(observed(2, seen(40.0, 0.120), capacity=SUSTAINS_57), grant=Grant(3, SPENT)),
        AS_BY_DEFAULT,
        SETTLED,
    ),
    "a-budget-that-is-spent-by-node-classes": Inputs(
        replace(
            observed(2, seen(40.0, 0.120)),
            grant=Grant(4, SPENT),
            classes=(ClassPods("duo", 2, 2),),
        ),
        replace(AS_BY_DEFAULT, classes=(NodeClass("duo", 1.0, 0, 9, gpus=2),)),
        SETTLED,
    ),
    "a-budget-that-has-enough": Inputs(
        replace(observed(3, seen(6.0, rate=119.0), capacity=SUSTAINS_57), grant=Grant(3, SPENT)),
        AS_BY_DEFAULT,
        SETTLED,
    ),
    "without-a-pod": Inputs(
        outside.observed(observed(0, NONE_READY, capacity=SUSTAINS_57), Outside(0.2)),
        BY_DEMAND,
        SETTLED,
    ),
    "the-last-pod": Inputs(
        outside.observed(
            observed(1, seen(0.0, None, rate=0.0), capacity=SUSTAINS_57), Outside(0.0)
        ),
        BY_DEMAND,
        replace(SETTLED, idle_since=NOW - seconds(200)),
    ),
    "steady": Inputs(
        observed(3, seen(6.4, 0.072, rate=120.0), capacity=SUSTAINS_57), AS_BY_DEFAULT, SETTLED
    ),
    "beside-a-canary": Inputs(
        observed(3, seen(6.4, 0.072, rate=120.0), capacity=SUSTAINS_57, beside_canary=True),
        AS_BY_DEFAULT,
        SETTLED,
    ),
    "ahead-of-a-spike": Inputs(
        replace(
            observed(3, seen(6.4, 0.072, rate=120.0), capacity=SUSTAINS_57),
            lead_time=LeadTime(62.0, 41.0, 17),
            forecasts={"m": Forecast(310.0, 1.1, "as 5m ago", 62.0, 62.0, 0.0123)},
        ),
        AS_BY_DEFAULT,
        SETTLED,
    ),
    "growing": Inputs(
        observed(2, seen(12.0, 0.131, rate=140.0), capacity=SUSTAINS_57),
        AS_BY_DEFAULT,
        replace(SETTLED, factors=(FactorMemory("m", 0.8),)),
    ),
    "at-most": Inputs(
        observed(3, seen(40.0, 0.35, rate=260.0), capacity=SUSTAINS_57),
        policy(LEARNABLE, bounds=(1, 3), behavior=Behavior()),
        SETTLED,
    ),
    "at-most-for-now": Inputs(
        replace(
            observed(3, seen(40.0, 0.35, rate=260.0), capacity=SUSTAINS_57),
            lead_time=LeadTime(62.0, 41.0, 17),
        ),
        replace(
            policy(LEARNABLE, bounds=(1, 3), behavior=Behavior()),
            max_bound=Bound("scaling.schedules[0].max", " until 18:00 Europe/Berlin"),
        ),
        SETTLED,
    ),
    "shrinking-waits": Inputs(
        observed(3, seen(2.0, 0.06, rate=40.0), capacity=SUSTAINS_57), AS_BY_DEFAULT, AT_PEAK
    ),
    "limited-by-a-rate": Inputs(
        observed(2, seen(60.0, 0.3, rate=400.0), capacity=SUSTAINS_57),
        policy(LEARNABLE, behavior=Behavior(up=rules((1, PolicyType.PODS, 60)))),
        SETTLED,
    ),
    "no-signals": Inputs(
        observed(
            3,
            NoSignals(Reason.PROMETHEUS_UNREACHABLE, "Prometheus does not answer"),
            capacity=SUSTAINS_57,
        ),
        AS_BY_DEFAULT,
        SETTLED,
    ),
    "read-directly": Inputs(
        replace(
            observed(3, (), capacity=SUSTAINS_57),
            signals=Signals(
                NOW,
                WINDOW,
                (seen(6.4, 0.072, rate=120.0),),
                Source.PODS,
                (Coverage("gateway", 2, 2, 1.0), Coverage("server", 3, 3, 4.0, gaps=1)),
                "Prometheus does not answer",
            ),
        ),
        AS_BY_DEFAULT,
        SETTLED,
    ),
    "not-learnt": Inputs(observed(2, seen(9.0, 0.05, rate=90.0)), AS_BY_DEFAULT, SETTLED),
    "out-of-reach": Inputs(
        observed(2, seen(9.0, 0.15, rate=60.0), capacity=OutOfReach(0.142, CURVE)),
        AS_BY_DEFAULT,
        SETTLED,
    ),
    "by-hand": Inputs(
        observed(2, seen(9.0, 0.05, rate=90.0)),
        policy(objective(start=4.0, fixed=True), behavior=Behavior()),
        SETTLED,
    ),
    "paused": Inputs(
        observed(2, seen(30.0, 0.2, rate=150.0), capacity=SUSTAINS_57),
        policy(LEARNABLE, behavior=Behavior(), paused=Paused.SCALE_OUT),
        SETTLED,
    ),
    "idle": Inputs(
        observed(1, seen(0.0, None, rate=0.0), capacity=SUSTAINS_57), AS_BY_DEFAULT, SETTLED
    ),
    "foreign-writer": Inputs(
        observed(5, seen(6.4, 0.072, rate=120.0), capacity=SUSTAINS_57),
        AS_BY_DEFAULT,
        SETTLED,
        foreign_writer="kubectl-scale",
    ),
    "fixed": Inputs(
        observed(4, seen(6.4, 0.072, rate=120.0)),
        policy(LEARNABLE, mode=ScalingMode.FIXED, replicas=4),
        SETTLED,
    ),
    "two-objectives": Inputs(
        observed(
            3,
            (seen(6.4, 0.072, rate=120.0), seen(14.0, 0.05, model="n", rate=30.0)),
            capacity=SUSTAINS_57,
        ),
        policy(LEARNABLE, objective("n"), behavior=Behavior()),
        SETTLED,
    ),
}


@pytest.mark.parametrize("name", SITUATIONS)
def test_an_explanation_from_a_record(name: str, golden: Golden) -> None:
    inputs = SITUATIONS[name]
    agent = Agent("team", "echo", None, STATUS if inputs.observation.capacities else UNLEARNT)
    found = explain(agent, of_record(inputs), None, NOW + seconds(4))
    lines = list(text(found, 88))
    golden(f"explain/{name}.txt", "\n".join(lines) + "\n")
    assert max(map(len, lines)) <= 88


def test_an_explanation_from_the_status_alone(golden: Golden) -> None:
    spec = agent_of(
        models=[model_of("m", maxBatchSize=8, batching={"dynamic": {}})],
        objectives=[{"model": "m", "latency": {"target": "100ms"}}],
    ).spec
    agent = Agent("team", "echo", spec, STATUS)
    found = explain(agent, None, "no operator leads in namespace trireme-system", NOW)
    golden("explain/status-alone.txt", "\n".join(text(found, 88)) + "\n")


def beside(phase: RolloutPhase, weight: str, rolls_out: bool) -> AgentStatus:
    """The status with a canary, while pods are rolled out or not."""
    reconciling = Condition(
        type=ConditionType.RECONCILING,
        status=str(rolls_out),
        reason=Reason.ROLLING_OUT,
        last_transition_time="2026-01-01T11:00:00Z",
    )
    rollout = RolloutStatus.model_validate(
        {
            "phase": phase,
            "candidate": "c" * 64,
            "generation": 2,
            "weight": weight,
            "startTime": "2026-01-01T11:00:00Z",
        }
    )
    conditions = [*STATUS.conditions, reconciling]
    return STATUS.model_copy(update={"rollout": rollout, "conditions": conditions})


@pytest.mark.parametrize(
    ("phase", "weight", "rolls_out", "is_told"),
    [
        pytest.param(RolloutPhase.PROGRESSING, "20%", False, False, id="a canary has a share"),
        pytest.param(RolloutPhase.PROGRESSING, "0%", False, True, id="it has none yet"),
        pytest.param(RolloutPhase.PROMOTED, "100%", True, False, id="it has until all pods run it"),
        pytest.param(RolloutPhase.PROMOTED, "100%", False, True, id="it was promoted before"),
        pytest.param(RolloutPhase.ROLLED_BACK, "20%", False, True, id="it was taken back"),
    ],
)
def test_from_the_status_alone_no_latency_is_due_while_a_canary_answers(
    phase: RolloutPhase, weight: str, rolls_out: bool, is_told: bool
) -> None:
    spec = agent_of(
        models=[model_of("m", maxBatchSize=8, batching={"dynamic": {}})],
        objectives=[{"model": "m", "latency": {"target": "100ms"}}],
    ).spec
    status = beside(phase, weight, rolls_out)
    found = explain(Agent("team", "echo", spec, status), None, "nobody leads", NOW)
    (due,) = (line for line in found.sections["A pod"] if "is due" in line)
    assert ("is due by that" in due) is is_told
    assert ("while a canary answers" in due) is not is_told


@pytest.mark.parametrize(
    ("phase", "rolls_out", "is_said"),
    [
        pytest.param(RolloutPhase.PROGRESSING, False, True, id="a canary is tried"),
        pytest.param(RolloutPhase.PROMOTED, True, True, id="it was promoted, and has its pods yet"),
        pytest.param(RolloutPhase.PROMOTED, False, False, id="all pods run it"),
        pytest.param(RolloutPhase.ROLLED_BACK, False, False, id="it was taken back"),
    ],
)
def test_from_the_status_alone_ready_pods_of_a_canary_are_said_to_be_counted(
    phase: RolloutPhase, rolls_out: bool, is_said: bool
) -> None:
    found = explain(
        Agent("team", "echo", None, beside(phase, "0%", rolls_out)), None, "nobody leads", NOW
    )
    assert ("ready with the canary's" in found.headline) is is_said
    assert found.facts["readyWithCanary"] is is_said


def test_an_explanation_from_the_status_knows_the_time_of_day_and_of_a_start(
    golden: Golden,
) -> None:
    spec = agent_of(
        scaling={"schedules": [{"schedule": "0 8 * * *", "duration": "10h", "min": 3, "max": 20}]},
    ).spec
    lead = LeadTimeStatus(
        template="6d5f9c7b8",
        p95_seconds=62,
        median_seconds=41,
        samples=17,
        stages=StagesStatus(schedule_seconds=1, pull_seconds=9, fetch_seconds=12, load_seconds=19),
    )
    took = {"encoder": 14.2, "policy": 0.512, "ranker": 3.1, "reader": 2.0}
    loads = [ModelLoadStatus(model=model, seconds=seconds) for model, seconds in took.items()]
    scaling = ScalingStatus(desired_replicas=3, lead_time=lead, loads=loads)
    status = AgentStatus(replicas=3, ready_replicas=3, scaling=scaling)
    agent = Agent("team", "echo", spec, status)
    found = explain(agent, None, "no operator leads in namespace trireme-system", NOW)
    golden("explain/status-in-office-hours.txt", "\n".join(text(found, 88)) + "\n")


def test_an_explanation_tells_the_parts_of_a_start_that_are_known(golden: Golden) -> None:
    stages = StagesStatus(
        schedule_seconds=95,
        node_seconds=80,
        pull_seconds=140,
        image_seconds=131,
        fetch_seconds=12,
        load_seconds=19,
        warmup_seconds=1.5,
        first_request_seconds=2,
    )
    lead = LeadTimeStatus(
        template="6d5f9c7b8", p95_seconds=300, median_seconds=268, samples=3, stages=stages
    )
    status = AgentStatus(
        replicas=3,
        ready_replicas=3,
        scaling=ScalingStatus(desired_replicas=3, lead_time=lead),
    )
    found = explain(Agent("team", "echo", None, status), None, "nobody leads", NOW)
    golden("explain/parts-of-a-start.txt", "\n".join(text(found, 88)) + "\n")
    assert found.facts["leadTime"]["stages"] == {
        "scheduleSeconds": 95,
        "nodeSeconds": 80,
        "pullSeconds": 140,
        "imageSeconds": 131,
        "fetchSeconds": 12,
        "loadSeconds": 19,
        "warmupSeconds": 1.5,
        "firstRequestSeconds": 2,
    }


def test_an_explanation_of_pods_whose_servers_cannot_be_asked(golden: Golden) -> None:
    unanswered = UnansweredStatus(
        since="2026-01-01T11:48:00Z",
        looks=12,
        message="10.1.2.3:8000: TimeoutError(); the operator must reach port 8000 of the pods: let "
        "its namespace in where a NetworkPolicy closes that",
    )
    status = UNLEARNT.model_copy(
        update={"scaling": ScalingStatus(desired_replicas=2, unanswered=unanswered)}
    )
    agent = Agent("team", "echo", None, status)
    found = explain(agent, of_record(SITUATIONS["not-learnt"]), None, NOW + seconds(4))
    golden("explain/not-answered.txt", "\n".join(text(found, 88)) + "\n")
    assert found.facts["unanswered"]["looks"] == 12


RECOMMENDED = TuningStatus(
    model="m",
    knob=Knob.MAX_BATCH_SIZE,
    from_="8",
    to="16",
    gain_percent=18.4,
    least_gain_percent=2.3,
    most_gain_percent=31,
    confidence=Confidence.MEDIUM,
    evidence="learnt from 4312 batches: 40 ms + 10 ms a request, up to 8",
    since="2026-01-01T10:00:00Z",
    replicas_added=2,
    replicas_spared=1,
)


def test_an_explanation_with_a_recommendation(golden: Golden) -> None:
    status = STATUS.model_copy(update={"tuning": RECOMMENDED})
    agent = Agent("team", "echo", None, status)
    found = explain(agent, of_record(SITUATIONS["steady"]), None, NOW + seconds(4))
    golden("explain/a-recommendation.txt", "\n".join(text(found, 88)) + "\n")
    assert found.facts["tuning"]["to"] == "16"


def adopted(phase: AdoptionPhase, **fields: Any) -> Adoption:
    return Adoption(
        **{
            "model": "m",
            "origin": Origin.TUNING,
            "phase": phase,
            "summary": "maxBatchSize 16 in place of 8",
            "entry": "maxBatchSize: 16\n",
            "replaced": "maxBatchSize: 8\n",
            "generation": 3,
            "since": "2026-01-01T10:00:00Z",
            "message": "as was seen",
            "sustained_before": 50.0,
            **fields,
        }
    )


def test_an_explanation_with_settings_of_trireme_s_own(golden: Golden) -> None:
    of_file = {
        "origin": Origin.OPTIMIZATION,
        "summary": "the file made by fp16 in place of the spec's",
        "sustained_before": None,
    }
    status = STATUS.model_copy(
        update={
            "adopted": [
                adopted(AdoptionPhase.KEPT, sustained_after=62.5),
                adopted(AdoptionPhase.TRIED, **of_file),
                adopted(AdoptionPhase.REFUSED),
                adopted(AdoptionPhase.UNDECIDED, **of_file),
                adopted(AdoptionPhase.POSTPONED),
            ]
        }
    )
    agent = Agent("team", "echo", None, status)
    found = explain(agent, of_record(SITUATIONS["steady"]), None, NOW + seconds(4))
    golden("explain/settings.txt", "\n".join(text(found, 88)) + "\n")
    assert [each["phase"] for each in found.facts["adopted"]] == [
        "Kept",
        "Tried",
        "Refused",
        "Undecided",
        "Postponed",
    ]
    assert found.facts["adopted"][0]["sustainedAfter"] == 62.5


@pytest.mark.parametrize(
    ("mode", "spared", "words"),
    [
        pytest.param("Recommend", 1, "Trireme does not set it.", id="Recommend"),
        pytest.param("Apply", 0, "it is tried on a canary while all is calm.", id="Apply"),
        pytest.param(
            "Apply",
            1,
            "it is tried on a canary before anything else, while all is calm.",
            id="Apply, and replicas are there in its place",
        ),
    ],
)
def test_what_becomes_of_a_recommendation_is_told(mode: str, spared: int, words: str) -> None:
    spec = agent_of(tuning={"mode": mode}).spec
    tuning = RECOMMENDED.model_copy(update={"replicas_spared": spared})
    agent = Agent("team", "echo", spec, STATUS.model_copy(update={"tuning": tuning}))
    found = explain(agent, of_record(SITUATIONS["steady"]), None, NOW + seconds(4))
    (sentence,) = found.sections["Knobs"]
    assert sentence.endswith(words)


@pytest.mark.parametrize(
    ("told", "settings", "words"),
    [
        pytest.param(
            RECOMMENDED,
            [adopted(AdoptionPhase.UNDECIDED)],
            "it is tried on a canary again a day after it was taken back.",
            id="tried, and undecided",
        ),
        pytest.param(
            RECOMMENDED,
            [adopted(AdoptionPhase.POSTPONED)],
            "whether it may be tried is looked at again after a day or an edit.",
            id="not begun",
        ),
        pytest.param(
            RECOMMENDED,
            [adopted(AdoptionPhase.KEPT, summary="maxBatchSize 8 in place of 4")],
            "it is tried on a canary once what is kept was compared, or a day after that was kept.",
            id="behind one that is not compared yet",
        ),
        pytest.param(
            RECOMMENDED,
            [adopted(AdoptionPhase.REFUSED, summary="maxBatchSize 32 in place of 8")],
            "it is tried on a canary while all is calm.",
            id="after another knob was tried",
        ),
        pytest.param(
            RECOMMENDED.model_copy(update={"knob": Knob.INSTANCES, "from_": "2", "to": "1"}),
            [
                adopted(
                    AdoptionPhase.KEPT, summary="instances 2 in place of 1", sustained_after=62.5
                )
            ],
            "what is kept in the spec's place is taken back for it, without a canary.",
            id="the spec's own in the place of what is kept",
        ),
        pytest.param(
            RECOMMENDED.model_copy(update={"knob": Knob.INSTANCES, "from_": "1", "to": "2"}),
            [],
            "it is tried on a canary before anything else, while all is calm.",
            id="of what spares a replica",
        ),
    ],
)
def test_what_a_recommendation_waits_for_is_told(
    told: TuningStatus, settings: list[Adoption], words: str
) -> None:
    spec = agent_of(tuning={"mode": "Apply"}).spec
    status = STATUS.model_copy(update={"tuning": told, "adopted": settings})
    agent = Agent("team", "echo", spec, status)
    found = explain(agent, of_record(SITUATIONS["steady"]), None, NOW + seconds(4))
    assert found.sections["Knobs"][-1].endswith(words)


def test_an_explanation_of_an_agent_that_was_only_just_made(golden: Golden) -> None:
    agent = Agent("team", "echo", None, AgentStatus())
    found = explain(agent, None, "no decision of team/echo is known here", NOW)
    golden("explain/new.txt", "\n".join(text(found, 88)) + "\n")
