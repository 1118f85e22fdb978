"""KEDA's rules: what is read, what wakes a fleet and puts it to rest, what it falls back to."""

import math

import pytest

from trireme.api.scaling import Behavior
from trireme.simulator.baselines.hpa import TargetType
from trireme.simulator.baselines.keda import (
    Fallback,
    FallbackBehavior,
    ScaledObject,
    Trigger,
    milli,
)
from trireme.simulator.policy import Bounds, Metric, Reading
from unit.autoscaling import rules
from unit.simulator import observed, sizes, steady

RATE = Reading(Metric.ANSWERS, 60, 15)
P95 = Reading(Metric.LATENCY, 60, 15, percentile=95)
BY_RATE = Trigger(RATE, 100)
BY_P95 = Trigger(P95, 0.1, TargetType.VALUE)
EAGER = Behavior(down=rules(window=0))


def scaled(*triggers: Trigger, bounds: tuple[int, int] = (1, 100), **spec: object) -> ScaledObject:
    """On requests per second, 100 per pod, unless said."""
    return ScaledObject("keda", triggers or (BY_RATE,), Bounds(*bounds), **spec)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "ignore_null_values", "expected"),
    [
        # Source: kedacore/keda, pkg/scalers/prometheus_scaler.go, ExecutePromQuery.
        pytest.param(1.5, True, 1.5, id="a number"),
        pytest.param(math.nan, True, 0.0, id="not a number is 0 by default"),
        pytest.param(math.inf, True, 0.0, id="so is infinity"),
        pytest.param(math.nan, False, None, id="or an error, if told"),
        pytest.param(None, True, None, id="no answer is an error in any case"),
    ],
)
def test_a_trigger_reads(
    value: float | None, ignore_null_values: bool, expected: float | None
) -> None:
    trigger = Trigger(RATE, 100, ignore_null_values=ignore_null_values)
    assert trigger.read(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(0.0006, 1, id="rounded, where prometheus-adapter cuts"),
        pytest.param(0.0004, 0, id="rounded to nothing"),
        pytest.param(1.001, 1001, id="three decimals"),
        pytest.param(-1.0, 0, id="never negative"),
    ],
)
def test_a_metric_has_three_decimals(value: float, expected: int) -> None:
    assert milli(value) == expected


@pytest.mark.parametrize(
    ("trigger", "value", "replicas", "expected"),
    [
        pytest.param(BY_RATE, 1001.0, 9, 11, id="AverageValue: the metric over the threshold"),
        pytest.param(BY_RATE, 950.0, 9, 9, id="and nothing within the autoscaler's tolerance"),
        pytest.param(BY_P95, 0.15, 4, 6, id="Value: the ready pods times the ratio"),
        pytest.param(BY_P95, math.nan, 4, 1, id="an idle percentile reads as no latency"),
        pytest.param(
            Trigger(P95, 0.1), 0.15, 4, 2, id="a latency as AverageValue ignores the size there is"
        ),
    ],
)
def test_a_sync_proposes(trigger: Trigger, value: float, replicas: int, expected: int) -> None:
    policy = scaled(trigger, behavior=EAGER)
    assert sizes(policy, [observed(value, replicas=replicas)], begin=replicas) == [expected]


@pytest.mark.parametrize(
    ("least", "activation", "value", "expected"),
    [
        # Source: kedacore/keda, pkg/scaling/executor/scale_scaledobjects.go, scaleFromZeroOrIdle.
        pytest.param(0, 0, 0.0004, 1, id="any request wakes it"),
        pytest.param(0, 0, 0.0, 0, id="none does not"),
        pytest.param(0, 5, 5.0, 0, id="nor does the activation threshold itself"),
        pytest.param(0, 5, 5.1, 1, id="what is more does"),
        pytest.param(0, 0, None, 0, id="an outage does not"),
        pytest.param(3, 0, 0.0, 3, id="it never rests below its least"),
    ],
)
def test_from_zero(least: int, activation: float, value: float | None, expected: int) -> None:
    trigger = Trigger(RATE, 100, activation_threshold=activation)
    policy = scaled(trigger, bounds=(least, 100))
    assert sizes(policy, [observed(value, replicas=0)], begin=0) == [expected]


def test_to_zero_after_the_cooldown() -> None:
    policy = scaled(bounds=(0, 100), behavior=EAGER)
    loads = {0: 100.0, 30: 100.0} | dict.fromkeys(range(60, 600, 30), 0.0)
    memory, replicas, story = policy.begin(0, 1), 1, {}
    for now, load in loads.items():
        seen = observed(load, replicas=replicas, now=now)
        replicas, memory = policy.decide(seen, memory)
        story[now] = replicas
    # Last active at 30 s; more than 300 s must have passed, so not yet at 330 s.
    assert next(now for now, size in story.items() if size == 0) == 360


def test_one_that_was_never_active_rests_at_once() -> None:
    policy = scaled(bounds=(0, 100))
    assert steady(policy, 0.0, replicas=1, start=0, until=60) == {30.0: 0}
    patient = scaled(bounds=(0, 100), initial_cooldown_seconds=100.0)
    assert steady(patient, 0.0, replicas=1, start=0, until=200) == {120.0: 0}


def test_an_idle_fleet_keeps_its_idle_replicas() -> None:
    policy = scaled(bounds=(3, 100), idle_replicas=0, cooldown_seconds=60.0)
    idle = [observed(0.0, replicas=3, now=now) for now in (30.0, 60.0)]
    assert sizes(policy, idle, begin=3) == [0, 0]
    assert sizes(policy, [observed(1.0, replicas=0)], begin=0) == [3]


def test_above_its_least_an_inactive_fleet_shrinks_by_the_autoscaler_alone() -> None:
    policy = scaled(bounds=(2, 100), cooldown_seconds=0.0)
    # The old path of the autoscaler holds for 300 s, and a sync.
    assert steady(policy, 0.0, replicas=7, start=0, until=600) == {315.0: 2}


def test_an_outage_freezes_the_size() -> None:
    policy = scaled(bounds=(0, 100), cooldown_seconds=0.0, behavior=EAGER)
    assert steady(policy, None, replicas=7, start=0, until=900) == {}


@pytest.mark.parametrize(
    ("trigger", "fallback", "ready", "expected"),
    [
        # Source: kedacore/keda, pkg/fallback/fallback.go.
        pytest.param(BY_RATE, Fallback(3, 12), 7, 12, id="AverageValue lands on the replicas"),
        pytest.param(BY_P95, Fallback(3, 12), 7, 12, id="so does Value"),
        pytest.param(BY_P95, Fallback(3, 12), 5, 12, id="also while pods start"),
        pytest.param(BY_P95, Fallback(3, 12), 0, 7, id="but not without a ready pod"),
        pytest.param(
            BY_RATE, Fallback(3, 12, FallbackBehavior.CURRENT), 7, 7, id="currentReplicas"
        ),
        pytest.param(
            BY_RATE,
            Fallback(3, 5, FallbackBehavior.CURRENT_IF_HIGHER),
            7,
            7,
            id="currentReplicasIfHigher",
        ),
        pytest.param(
            BY_RATE,
            Fallback(3, 5, FallbackBehavior.CURRENT_IF_LOWER),
            7,
            5,
            id="currentReplicasIfLower",
        ),
    ],
)
def test_it_falls_back_after_more_failures_than_the_threshold(
    trigger: Trigger, fallback: Fallback, ready: int, expected: int
) -> None:
    policy = scaled(trigger, fallback=fallback, behavior=EAGER)
    seen = [observed(None, replicas=7, ready=ready, now=sync * 15.0) for sync in range(4)]
    assert sizes(policy, seen, begin=7) == [7, 7, 7, expected]


def test_a_read_that_succeeds_forgets_the_failures() -> None:
    policy = scaled(fallback=Fallback(1, 50))
    values = [None, 700.0, None, None]
    seen = [observed(v, replicas=7, now=sync * 15.0) for sync, v in enumerate(values)]
    assert sizes(policy, seen, begin=7)[:3] == [7, 7, 7]
    assert sizes(policy, seen, begin=7)[3] > 7


@pytest.mark.parametrize(
    ("polling", "interval"),
    [
        pytest.param(30, 15, id="the default polls at every other sync"),
        pytest.param(20, 5, id="one that meets few syncs"),
    ],
)
def test_it_acts_often_enough_for_syncs_and_polls(polling: int, interval: int) -> None:
    assert scaled(polling_seconds=polling).interval_seconds == interval


def test_between_syncs_nothing_changes() -> None:
    policy = scaled(polling_seconds=5)
    seen = [observed(1000.0, replicas=2, now=now) for now in (100.0, 105.0, 110.0, 115.0)]
    assert sizes(policy, seen, begin=2) == [4, 2, 2, 4]


def test_one_failed_trigger_of_two_never_shrinks() -> None:
    policy = scaled(BY_RATE, BY_P95, behavior=EAGER)
    assert policy.readings == (RATE, P95)
    assert sizes(policy, [observed(100.0, None, replicas=7)], begin=7) == [7]
    assert sizes(policy, [observed(1000.0, None, replicas=7)], begin=7) == [10]
