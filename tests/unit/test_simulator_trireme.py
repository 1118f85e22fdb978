"""The simulator's Trireme is the operator's: one decision, fed from two sides."""

import math
from dataclasses import replace
from datetime import timedelta

import pytest

from trireme.api.conditions import Reason
from trireme.api.scaling import Behavior, Schedule
from trireme.autoscaler.decision import decide
from trireme.autoscaler.memory import memory_from_status, record
from trireme.autoscaler.service_curve import ServiceCurve
from trireme.autoscaler.types.capacity import Capacity
from trireme.autoscaler.types.observation import Observation
from trireme.autoscaler.types.policy import DemandPolicy
from trireme.autoscaler.types.signals import NoSignals
from trireme.simulator.hours import Hours
from trireme.simulator.policy import moment
from trireme.simulator.trireme_policy import TriremePolicy
from unit.autoscaling import EAGER, objective, policy, seen
from unit.autoscaling import observed as operator_sees
from unit.simulator import observed, sizes

TRIREME = TriremePolicy(policy(objective(start=8.0), bounds=(1, 40), behavior=EAGER))


def test_it_decides_as_the_operator_does_over_an_hour() -> None:
    """Load that rises and falls, with breaks of the objective: the same sizes and memory."""
    rule = policy(objective(start=8.0), bounds=(1, 40), behavior=Behavior())
    simulated = TriremePolicy(rule)
    replicas, memory = 2, simulated.begin(0.0, 2)
    size, remembered = 2, memory_from_status(None, moment(0.0), 2)
    story = []
    for now in range(0, 3600, 5):
        load = 4 + 60 * math.sin(now / 3600 * math.pi)
        latency = 0.15 if load / replicas > 7 else 0.05
        replicas, memory = simulated.decide(
            observed(240.0, 240.0, load, latency, 0.0, 0.0, replicas=replicas, now=float(now)),
            memory,
        )
        observation = operator_sees(size, seen(load, latency), now=moment(float(now)))
        decision, remembered = decide(observation, rule, remembered)
        size = decision.replicas
        remembered = record(remembered, decision, carried_out=True)
        assert (replicas, memory.memory) == (size, remembered)
        story.append(size)
    assert max(story) > 8 > story[-1]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param(
            (240.0, 240.0, 40.0, 0.05, 0.0, 0.0), 5, id="in flight over its target per pod"
        ),
        pytest.param(
            (0.0, 0.0, 0.0, math.nan, math.nan, math.nan), 1, id="idle: nothing to measure"
        ),
        pytest.param((None,) * 6, 3, id="Prometheus is away: held"),
        pytest.param((240.0, 240.0, None, 0.05, 0.0, 0.0), 3, id="one reading is away: held"),
    ],
)
def test_a_round(values: tuple[float | None, ...], expected: int) -> None:
    memory = TRIREME.begin(-600.0, 3)
    replicas, _ = TRIREME.decide(observed(*values, replicas=3), memory)
    assert replicas == expected


def test_a_capacity_that_is_given_is_what_it_decides_by() -> None:
    sustains_57 = Capacity(57.0, ServiceCurve(0.040, 0.010, 8))
    knowing = replace(TRIREME, capacity=sustains_57)
    seen_by_simulator = observed(140.0, 140.0, 16.0, 0.05, 0.0, 0.0, replicas=2)
    memory = knowing.begin(-600.0, 2)
    assert knowing.decide(seen_by_simulator, memory)[0] == 3
    assert TRIREME.decide(seen_by_simulator, memory)[0] == 2


def test_without_a_ready_pod_the_fleet_is_held() -> None:
    seen_by_simulator = observed(240.0, 0.0, 900.0, math.nan, math.nan, 0.0, replicas=3, ready=0)
    assert sizes(TRIREME, [seen_by_simulator], begin=3) == [3]


def test_what_there_must_be_is_there_whatever_a_budget_has_room_for() -> None:
    """A schedule's min of 5 in a budget for 3."""
    always = Schedule(schedule="0 0 * * *", duration=timedelta(hours=24), min=5)
    bound = replace(TRIREME, hours=Hours(schedules=(always,)), room=3)
    idle = (0.0, 0.0, 0.0, math.nan, math.nan, math.nan)
    busy = (240.0, 240.0, 80.0, 0.05, 0.0, 0.0)
    seen_by_simulator = [
        observed(*idle, replicas=3),
        observed(*idle, replicas=5, now=5.0),
        observed(*busy, replicas=5, now=10.0),
    ]
    assert sizes(bound, seen_by_simulator, begin=3) == [5, 5, 5]
    assert sizes(replace(TRIREME, room=3), [observed(*busy, replicas=2)], begin=2) == [3]


ASLEEP = replace(
    TRIREME,
    policy=replace(TRIREME.policy, min_replicas=0, demand=DemandPolicy(1.0, timedelta(seconds=60))),
)
NOBODY = (math.nan,) * 6


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        pytest.param(0.5, 0, id="less than activationThreshold"),
        pytest.param(20.0, 1, id="more"),
        pytest.param(None, 0, id="Prometheus is away: none stays none"),
    ],
)
def test_without_a_pod_what_is_asked_outside_starts_one(asked: float | None, expected: int) -> None:
    values = NOBODY if asked is not None else (None,) * 6
    assert sizes(ASLEEP, [observed(*values, asked, replicas=0)], begin=0) == [expected]


def test_pods_that_start_are_waited_for() -> None:
    load = (240.0, 240.0, 40.0, 0.05, 0.0, 0.0)
    assert sizes(TRIREME, [observed(*load, replicas=3, ready=2)], begin=3) == [3]


def test_it_reads_its_objective_s_percentile_over_the_operator_s_window() -> None:
    assert [r.percentile for r in TRIREME.readings] == [None, None, None, 95, None, None]
    assert {r.window_seconds for r in TRIREME.readings} == {30.0}


def test_what_cannot_be_read_is_no_signal() -> None:
    """The operator's words for it make the operator's decision."""
    rule = TRIREME.policy
    missing = NoSignals(Reason.PROMETHEUS_UNREACHABLE, "Prometheus cannot be read")
    started = memory_from_status(None, moment(0.0), 3)
    _, remembered = decide(Observation(moment(5.0), 3, 3, 0, 0, missing), rule, started)
    known = replace(TRIREME.begin(0.0, 3), memory=started)
    _, after = TRIREME.decide(observed(*[None] * 6, replicas=3, now=5.0), known)
    assert after.memory == remembered
