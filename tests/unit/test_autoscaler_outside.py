"""From no pods and to none, by a demand that is seen from outside them."""

from dataclasses import replace
from datetime import timedelta
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trireme.api.conditions import Reason
from trireme.api.scaling import Behavior, Paused, PolicyType, ScalingRules, SelectPolicy
from trireme.autoscaler import outside
from trireme.autoscaler.decision import decide
from trireme.autoscaler.memory import record
from trireme.autoscaler.records import Inputs, Record, from_line, replay, written
from trireme.autoscaler.service_curve import ServiceCurve
from trireme.autoscaler.types.capacity import Capacity
from trireme.autoscaler.types.decision import Decision
from trireme.autoscaler.types.memory import FactorMemory, Memory, Recommendation
from trireme.autoscaler.types.observation import LeadTime, Observation, Outside
from trireme.autoscaler.types.policy import DemandPolicy, Policy
from trireme.autoscaler.types.signals import ModelSignals, NoSignals, Signals
from unit.autoscaling import NOW, SETTLED, observed, policy, rules, seconds, seen

QUERY = "sum(rate(requests_total[1m]))"
NO_PODS = NoSignals(Reason.NO_PODS, "no server pod is ready, so there is nothing to observe")
UNKNOWN = NoSignals(Reason.NO_SERIES, "scaling.demand (x) has no value, which is not zero")
SUSTAINS_57 = Capacity(57.0, ServiceCurve(0.040, 0.010, 8))
IDLE = seen(0.0, None, rate=0.0)
NOTHING = Outside(0.0)
FIVE_MINUTES = timedelta(minutes=5)
LONG_IDLE = replace(SETTLED, idle_since=NOW - FIVE_MINUTES)


def rule(
    *,
    least: int = 0,
    most: int = 10,
    activation: float = 0.0,
    behavior: Behavior | None = None,
    paused: Paused = Paused.NONE,
) -> Policy:
    asked = policy(bounds=(least, most), paused=paused)
    asked = replace(asked, behavior=behavior or asked.behavior)
    return replace(asked, demand=DemandPolicy(activation, FIVE_MINUTES))


def fleet(
    replicas: int,
    asked: Outside | NoSignals,
    signals: ModelSignals | NoSignals = NO_PODS,
    *,
    ready: int | None = None,
    unschedulable: int = 0,
    capacity: Capacity | None = None,
    lead_seconds: float | None = None,
) -> Observation:
    """As the loop makes it; with signals all pods are ready unless said."""
    count = (0 if isinstance(signals, NoSignals) else replicas) if ready is None else ready
    made = observed(replicas, signals, ready=count, unschedulable=unschedulable, capacity=capacity)
    if lead_seconds is not None:
        made = replace(made, lead_time=LeadTime(lead_seconds, lead_seconds, 20))
    return outside.observed(made, asked)


def growing(*policies: tuple[int, PolicyType, float], **how: SelectPolicy) -> Behavior:
    return Behavior(up=rules(*policies, **how), down=rules())


DISABLED: ScalingRules = rules(select=SelectPolicy.DISABLED)


@pytest.mark.parametrize(
    ("observation", "asked", "memory", "reason", "message"),
    [
        pytest.param(
            fleet(0, Outside(12)),
            rule(),
            SETTLED,
            Reason.SCALED_UP,
            "12 req/s outside (scaling.demand) and no pod ready: 0 → 1",
            id="one pod starts where it is not known what one sustains",
        ),
        pytest.param(
            fleet(0, Outside(100), capacity=SUSTAINS_57),
            rule(),
            SETTLED,
            Reason.SCALED_UP,
            "100 req/s outside (scaling.demand) and no pod ready, 57 req/s that one sustains: "
            "0 → 2",
            id="as many start as sustain the demand, with its margin",
        ),
        pytest.param(
            fleet(0, Outside(100), capacity=SUSTAINS_57),
            rule(),
            replace(SETTLED, factors=(FactorMemory("m", 0.5),)),
            Reason.SCALED_UP,
            "100 req/s outside (scaling.demand) and no pod ready, 28.5 req/s that one sustains: "
            "0 → 4",
            id="what a pod sustains is corrected by its factor",
        ),
        pytest.param(
            fleet(0, Outside(9000), capacity=SUSTAINS_57),
            rule(),
            SETTLED,
            Reason.SCALED_UP,
            "9000 req/s outside (scaling.demand) and no pod ready, 57 req/s that one sustains: "
            "0 → 10 (limited by scaling.max 10; 174 wanted)",
            id="no more than scaling.max",
        ),
        pytest.param(
            fleet(0, Outside(500), capacity=SUSTAINS_57),
            rule(behavior=growing((100, PolicyType.PERCENT, 15))),
            SETTLED,
            Reason.SCALED_UP,
            "500 req/s outside (scaling.demand) and no pod ready, 57 req/s that one sustains: "
            "0 → 1 (limited by +100% per 15 s; 10 wanted)",
            id="the first pod starts where a share of none is none",
        ),
        pytest.param(
            fleet(0, Outside(5)),
            rule(behavior=Behavior(up=DISABLED, down=rules())),
            SETTLED,
            Reason.SCALED_UP,
            "5 req/s outside (scaling.demand) and no pod ready: 0 → 1",
            id="the first pod starts where growth is disabled",
        ),
        pytest.param(
            fleet(0, Outside(5)),
            rule(behavior=Behavior(up=rules(window=600), down=rules())),
            SETTLED,
            Reason.SCALED_UP,
            "5 req/s outside (scaling.demand) and no pod ready: 0 → 1",
            id="the first pod waits for no window",
        ),
        pytest.param(
            fleet(0, Outside(5)),
            rule(paused=Paused.SCALE_OUT),
            SETTLED,
            Reason.PAUSED,
            "5 req/s outside (scaling.demand) and no pod ready: 0 kept, 1 wanted "
            "(scaling.paused is ScaleOut)",
            id="a paused agent starts none",
        ),
        pytest.param(
            fleet(0, Outside(2)),
            rule(activation=2),
            SETTLED,
            Reason.WITHIN_TARGET,
            "2 req/s outside (scaling.demand) and no pod ready: 0 kept",
            id="none start by what activationThreshold does not count",
        ),
        pytest.param(
            fleet(0, UNKNOWN),
            rule(),
            SETTLED,
            Reason.NO_SIGNALS,
            "0 pods held: scaling.demand (x) has no value, which is not zero",
            id="none start where nothing is known",
        ),
        pytest.param(
            fleet(0, NOTHING),
            rule(least=1),
            SETTLED,
            Reason.SCALED_UP,
            "0 pods, fewer than scaling.min 1: 0 → 1",
            id="a larger min needs no demand",
        ),
        pytest.param(
            fleet(0, NOTHING, IDLE, ready=1),
            rule(),
            LONG_IDLE,
            Reason.WITHIN_TARGET,
            "0 req/s outside (scaling.demand) and no pod ready: 0 kept",
            id="a pod that has yet to hear of its end is none",
        ),
        # While they start.
        pytest.param(
            fleet(1, Outside(100), capacity=SUSTAINS_57),
            rule(),
            SETTLED,
            Reason.SCALED_UP,
            "100 req/s outside (scaling.demand) and no pod ready, 57 req/s that one sustains: "
            "1 → 2",
            id="a demand that grows while the first starts starts more",
        ),
        pytest.param(
            fleet(5, Outside(1), capacity=SUSTAINS_57),
            rule(),
            SETTLED,
            Reason.WITHIN_TARGET,
            "1 req/s outside (scaling.demand) and no pod ready, 57 req/s that one sustains: 5 kept",
            id="pods that start are not stopped by a smaller demand",
        ),
        pytest.param(
            fleet(1, Outside(100), capacity=SUSTAINS_57, unschedulable=1),
            rule(),
            SETTLED,
            Reason.HELD,
            "100 req/s outside (scaling.demand) and no pod ready, 57 req/s that one sustains: "
            "1 held, 2 wanted (no node takes 1 pod)",
            id="no more start while no node takes one",
        ),
        pytest.param(
            fleet(2, UNKNOWN),
            rule(),
            SETTLED,
            Reason.NO_SIGNALS,
            "2 pods held: scaling.demand (x) has no value, which is not zero",
            id="pods that start are held where nothing is known",
        ),
        pytest.param(
            fleet(3, NOTHING, unschedulable=3),
            rule(),
            LONG_IDLE,
            Reason.SCALED_DOWN,
            "0 req/s outside (scaling.demand) and no pod ready: 3 → 0 (nothing was asked for 5m)",
            id="pods that never start go when nobody asks for them",
        ),
        pytest.param(
            fleet(3, NOTHING),
            rule(least=2),
            LONG_IDLE,
            Reason.WITHIN_TARGET,
            "0 req/s outside (scaling.demand) and no pod ready: 3 kept",
            id="they stay where some are always wanted",
        ),
        # To none.
        pytest.param(
            fleet(1, NOTHING, IDLE),
            rule(),
            LONG_IDLE,
            Reason.SCALED_DOWN,
            "no requests on 1 pod: 1 → 0 (nothing was asked for 5m)",
            id="the last pod goes",
        ),
        pytest.param(
            fleet(1, NOTHING, IDLE),
            rule(),
            replace(SETTLED, idle_since=NOW - seconds(290)),
            Reason.WITHIN_TARGET,
            "no requests on 1 pod: 1 kept (the last goes after 5m without demand, 4m50s so far)",
            id="not before the cooldown",
        ),
        pytest.param(
            fleet(1, NOTHING, IDLE, lead_seconds=200.4),
            rule(),
            LONG_IDLE,
            Reason.WITHIN_TARGET,
            "no requests on 1 pod: 1 kept (the last goes after 6m41s without demand, 5m so far)",
            id="not before two lead times",
        ),
        pytest.param(
            fleet(1, NOTHING, IDLE),
            rule(),
            SETTLED,
            Reason.WITHIN_TARGET,
            "no requests on 1 pod: 1 kept (the last goes after 5m without demand, 0s so far)",
            id="not at the first sight of nothing",
        ),
        pytest.param(
            fleet(1, Outside(3), IDLE),
            rule(),
            LONG_IDLE,
            Reason.WITHIN_TARGET,
            "no requests on 1 pod: 1 kept (the last pod stays for 3 req/s outside "
            "(scaling.demand))",
            id="not while something waits outside",
        ),
        pytest.param(
            fleet(1, UNKNOWN, IDLE),
            rule(),
            LONG_IDLE,
            Reason.HELD,
            "no requests on 1 pod: 1 held (the last pod stays: scaling.demand (x) has no value, "
            "which is not zero)",
            id="not by a demand that is not known",
        ),
        pytest.param(
            fleet(1, NOTHING, seen(0.5, rate=3.0)),
            rule(),
            LONG_IDLE,
            Reason.WITHIN_TARGET,
            "0.5 in flight per pod of 8 aimed at, p95 50 ms within 100 ms at 3 req/s on 1 pod: "
            "1 kept",
            id="not while it answers, whatever the demand says",
        ),
        pytest.param(
            fleet(1, NOTHING, IDLE),
            rule(least=1),
            LONG_IDLE,
            Reason.WITHIN_TARGET,
            "no requests on 1 pod: 1 kept",
            id="not where one is always wanted",
        ),
        pytest.param(
            fleet(1, NOTHING, IDLE),
            rule(behavior=Behavior(up=rules(), down=DISABLED)),
            LONG_IDLE,
            Reason.LIMITED,
            "no requests on 1 pod: 1 held, 0 wanted (limited by scaling.behavior.down.selectPolicy "
            "Disabled)",
            id="not where shrinking is disabled",
        ),
        pytest.param(
            fleet(4, NOTHING, IDLE),
            rule(),
            replace(LONG_IDLE, recommendations=(Recommendation(NOW - seconds(20), 4),)),
            Reason.SCALED_DOWN,
            "no requests on 4 pods: 4 → 0 (nothing was asked for 5m)",
            id="all of them where no window holds more",
        ),
    ],
)
def test_from_none_and_to_none(
    observation: Observation, asked: Policy, memory: Memory, reason: Reason, message: str
) -> None:
    decision, _ = decide(observation, asked, memory)
    assert (decision.reason, decision.message) == (reason, message)


def test_a_fleet_that_started_by_its_demand_does_not_shrink_on_the_first_sight_of_less() -> None:
    slow = Behavior(up=rules(), down=rules(window=300))
    asked = rule(behavior=slow)
    decision, memory = decide(fleet(0, Outside(250), capacity=SUSTAINS_57), asked, SETTLED)
    assert decision.replicas == 5
    memory = record(memory, decision, carried_out=True)
    few = fleet(5, Outside(250), seen(1.0, rate=20.0), capacity=SUSTAINS_57)
    later = replace(few, now=NOW + seconds(60))
    decision, _ = decide(later, asked, memory)
    assert (decision.proposed, decision.replicas) == (1, 5)


def test_a_gap_in_the_demand_begins_the_cooldown_anew() -> None:
    _, memory = decide(fleet(0, UNKNOWN), rule(), LONG_IDLE)
    assert memory.idle_since is None
    _, memory = decide(fleet(1, UNKNOWN, IDLE), rule(), LONG_IDLE)
    assert memory.idle_since is None


def test_a_decision_by_demand_is_made_again_from_its_record() -> None:
    for asked in (Outside(100), UNKNOWN):
        inputs = Inputs(fleet(0, asked, capacity=SUSTAINS_57), rule(), SETTLED)
        decision, _ = decide(inputs.observation, inputs.policy, inputs.memory)
        read = from_line(written(Record("1", "team", "echo", inputs, decision)).line)
        assert read is not None
        assert read.record.inputs == inputs
        assert replay(read, "1").difference is None


rates = st.floats(0, 1e6)
demands = rates.map(Outside) | st.just(UNKNOWN)
figures = st.just(IDLE) | st.builds(
    lambda in_flight, rate: seen(in_flight, rate=rate), st.floats(0.01, 1e3), st.floats(0.01, 1e4)
)


def _decided(
    replicas: int, asked: Outside | NoSignals, signals: ModelSignals | NoSignals
) -> Decision:
    return decide(fleet(replicas, asked, signals), rule(), LONG_IDLE)[0]


@given(st.integers(0, 10), demands, figures)
def test_no_fleet_is_emptied_without_the_word_of_both(
    replicas: int, asked: Outside | NoSignals, signals: ModelSignals
) -> None:
    decision = _decided(replicas, asked, signals if replicas else NO_PODS)
    if replicas and decision.replicas == 0:
        assert asked == NOTHING
        assert signals == IDLE


@given(st.integers(0, 10), rates, rates)
def test_more_demand_never_starts_fewer(replicas: int, one: float, other: float) -> None:
    less, more = sorted((one, other))
    few, many = (
        decide(fleet(replicas, Outside(asked), capacity=SUSTAINS_57), rule(), SETTLED)[0]
        for asked in (less, more)
    )
    assert few.replicas <= many.replicas


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        pytest.param((12.5,), Outside(12.5), id="one value"),
        pytest.param((0.0,), NOTHING, id="zero is a value"),
        pytest.param(
            (),
            NoSignals(
                Reason.NO_SERIES,
                f"scaling.demand ({QUERY}) has no value, which is not zero: check its metrics, or "
                "add or vector(0) where none means none",
            ),
            id="none",
        ),
        pytest.param(
            (1.0, 2.0),
            NoSignals(
                Reason.NOT_A_NUMBER,
                f"scaling.demand ({QUERY}) has several values, and one is needed: put sum(...) "
                "around it",
            ),
            id="several",
        ),
        *(
            pytest.param(
                (value,),
                NoSignals(
                    Reason.NOT_A_NUMBER,
                    f"scaling.demand ({QUERY}) is {value:g}, and no demand is",
                ),
                id=f"{value:g}",
            )
            for value in (nan, inf, -inf, -0.5)
        ),
    ],
)
def test_what_a_query_tells(answer: tuple[float, ...], found: Outside | NoSignals) -> None:
    assert outside.told(QUERY, answer) == found


def test_a_long_query_is_named_by_its_beginning() -> None:
    assert outside.named("sum(\n  x\n)") == "scaling.demand (sum( x ))"
    assert outside.named("x" * 500) == f"scaling.demand ({'x' * 120}...)"


def test_the_demand_is_the_signal_only_while_no_pod_tells_of_requests() -> None:
    serving = fleet(2, UNKNOWN, IDLE)
    assert serving.signals == observed(2, IDLE).signals
    assert fleet(2, UNKNOWN).signals == UNKNOWN
    starting = fleet(2, NOTHING).signals
    assert isinstance(starting, Signals)
    assert starting.models == ()
    assert outside.observed(observed(1, NO_PODS, ready=0), None).signals == NO_PODS
