"""Windows and rate policies against the rules of HorizontalPodAutoscaler v2."""

import math
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trireme.api.scaling import Behavior, PolicyType, ScalingRules, SelectPolicy
from trireme.autoscaler.proposals import desired_replicas
from trireme.autoscaler.stabiliser import (
    SHRINKING,
    Windows,
    down_limit,
    recent_changes,
    remember,
    stabilise,
    up_limit,
    windows,
)
from trireme.autoscaler.types.memory import Recommendation, ScaleChange
from unit.autoscaling import NOW, rules, seconds

PODS, PERCENT = PolicyType.PODS, PolicyType.PERCENT


def ago(count: float, replicas: int) -> Recommendation:
    return Recommendation(NOW - seconds(count), replicas)


def changed(count: float, change: int) -> ScaleChange:
    return ScaleChange(NOW - seconds(count), change)


@pytest.mark.parametrize(
    ("replicas", "total", "target", "expected"),
    [
        # Source: k8shorizmetrics, internal/replicas/replicas_test.go, a port of the controller.
        # A ratio u over R pods is a total of u x R against a target of 1.
        pytest.param(0, 0, 1, 0, id="none for no usage"),
        pytest.param(0, 2, 1, 2, id="from none by the usage alone"),
        pytest.param(3, 0.95 * 3, 1, 3, id="just below the target is within the tolerance"),
        pytest.param(3, 1.4 * 3, 1, 5, id="1.4 times the target of 3 pods"),
        pytest.param(3, 0.3 * 3, 1, 1, id="0.3 times the target of 3 pods"),
        pytest.param(2, 50 + 50, 50, 2, id="two pods at the target"),
        pytest.param(2, 100 + 100, 50, 4, id="two pods at twice the target"),
        pytest.param(2, 25 + 25, 50, 1, id="two pods at half the target"),
        pytest.param(4, 200 + 200, 50, 8, id="two of four pods report four times the target"),
        # The tolerance's own edges.
        pytest.param(10, 11, 1, 10, id="a tenth more is within"),
        pytest.param(10, 11.1, 1, 12, id="more than a tenth more is not"),
        pytest.param(10, 9, 1, 10, id="a tenth less is within"),
        pytest.param(10, 8.9, 1, 9, id="more than a tenth less is not"),
    ],
)
def test_the_proposal_is_that_of_the_horizontal_pod_autoscaler(
    replicas: int, total: float, target: float, expected: int
) -> None:
    assert desired_replicas(total, target, replicas, tolerance=0.1) == expected


@pytest.mark.parametrize(
    ("current", "past", "proposal", "expected"),
    [
        pytest.param(5, [ago(299, 4)], 2, 4, id="down to the largest of the window"),
        pytest.param(5, [ago(300, 4)], 2, 2, id="a window's age is out of the window"),
        pytest.param(5, [ago(299, 9)], 2, 5, id="a larger proposal holds, and does not grow"),
        pytest.param(5, [ago(59, 7)], 9, 7, id="up to the smallest of the window"),
        pytest.param(5, [ago(60, 7)], 9, 9, id="an old smaller one is forgotten"),
        pytest.param(5, [ago(59, 3)], 9, 5, id="a smaller proposal holds, and does not shrink"),
        pytest.param(5, [], 5, 5, id="no change proposed"),
    ],
)
def test_the_most_cautious_recommendation_of_the_window_counts(
    current: int, past: list[Recommendation], proposal: int, expected: int
) -> None:
    of = Windows(up=seconds(60), down=seconds(300))
    remembered = remember(past, proposal, of, NOW)
    assert stabilise(current, remembered, of, NOW) == expected


@pytest.mark.parametrize(
    ("behavior", "hold", "expected"),
    [
        pytest.param(Behavior(), None, Windows(seconds(0), seconds(300)), id="those of HPA"),
        pytest.param(Behavior(), 45, Windows(seconds(0), seconds(45)), id="a hold of its own"),
        pytest.param(
            Behavior(up=rules(window=60), down=rules(window=0)),
            45,
            Windows(seconds(60), seconds(0)),
            id="those of the spec",
        ),
    ],
)
def test_what_the_spec_leaves_out_has_a_window(
    behavior: Behavior, hold: float | None, expected: Windows
) -> None:
    found = windows(behavior) if hold is None else windows(behavior, seconds(hold))
    assert found == expected


def test_a_hold_that_grows_finds_what_was_proposed_before() -> None:
    short, long = Windows(seconds(0), seconds(60)), Windows(seconds(0), seconds(300))
    remembered = remember([ago(200, 7)], 2, short, NOW)
    assert stabilise(8, remembered, short, NOW) == 2
    assert stabilise(8, remembered, long, NOW) == 7


@pytest.mark.parametrize(
    ("current", "changes", "rule", "up_to"),
    [
        pytest.param(2, [], rules((4, PODS, 15), (100, PERCENT, 15)), 6, id="the defaults from 2"),
        pytest.param(8, [], rules((4, PODS, 15), (100, PERCENT, 15)), 16, id="the defaults from 8"),
        pytest.param(6, [changed(14, 4)], rules((4, PODS, 15)), 6, id="the period is used up"),
        pytest.param(6, [changed(15, 4)], rules((4, PODS, 15)), 10, id="a period ago is over"),
        pytest.param(
            4, [changed(5, -4)], rules((3, PODS, 60)), 11, id="what was removed is put back first"
        ),
        pytest.param(3, [], rules((50, PERCENT, 60)), 5, id="percent is rounded up"),
        pytest.param(
            100, [], rules((10, PERCENT, 60)), 111, id="of the IEEE product: 110.00000000000001"
        ),
        pytest.param(
            4,
            [],
            rules((1, PODS, 60), (100, PERCENT, 60), select=SelectPolicy.MIN),
            5,
            id="Min takes the smaller",
        ),
        pytest.param(4, [], rules(select=SelectPolicy.DISABLED), 4, id="Disabled does not grow"),
        pytest.param(
            9, [changed(5, 8)], rules((3, PODS, 60)), 9, id="a limit below the size is the size"
        ),
    ],
)
def test_growth_is_limited(
    current: int, changes: list[ScaleChange], rule: ScalingRules, up_to: int
) -> None:
    assert up_limit(current, changes, rule, NOW).replicas == up_to


@pytest.mark.parametrize(
    ("current", "changes", "rule", "down_to"),
    [
        pytest.param(8, [], rules((100, PERCENT, 15)), 0, id="the default allows all"),
        pytest.param(8, [], rules((2, PODS, 60)), 6, id="pods"),
        pytest.param(6, [changed(59, -2)], rules((2, PODS, 60)), 6, id="the period is used up"),
        pytest.param(6, [changed(60, -2)], rules((2, PODS, 60)), 4, id="a period ago is over"),
        pytest.param(5, [], rules((50, PERCENT, 60)), 2, id="percent of the rest is truncated"),
        pytest.param(
            10, [], rules((1, PODS, 60), (50, PERCENT, 60)), 5, id="Max allows the most change"
        ),
        pytest.param(
            10,
            [],
            rules((1, PODS, 60), (50, PERCENT, 60), select=SelectPolicy.MIN),
            9,
            id="Min allows the least change",
        ),
        pytest.param(4, [], rules(select=SelectPolicy.DISABLED), 4, id="Disabled does not shrink"),
        pytest.param(
            3, [changed(5, -6)], rules((2, PODS, 60)), 3, id="a limit above the size is the size"
        ),
    ],
)
def test_shrinking_is_limited(
    current: int, changes: list[ScaleChange], rule: ScalingRules, down_to: int
) -> None:
    assert down_limit(current, changes, rule, NOW).replicas == down_to


def test_the_policy_that_binds_is_named() -> None:
    rule = rules((4, PODS, 15), (100, PERCENT, 60))
    assert up_limit(2, [], rule, NOW).policy == rule.policies[0]
    assert up_limit(8, [], rule, NOW).policy == rule.policies[1]
    assert up_limit(8, [], rules(select=SelectPolicy.DISABLED), NOW).policy is None


replicas_ = st.integers(1, 50)
pasts = st.lists(st.builds(ago, st.integers(1, 900), replicas_), max_size=20)
changes_ = st.lists(st.builds(changed, st.integers(1, 900), st.integers(-9, 9)), max_size=10)
rate_policies = st.tuples(
    st.integers(1, 200), st.sampled_from(PolicyType), st.integers(1, 900).map(float)
)
ruleset = st.builds(
    lambda policies, window, select: rules(*policies, window=window, select=select),
    st.lists(rate_policies, min_size=1, max_size=4),
    st.integers(0, 900),
    st.sampled_from(SelectPolicy),
)


@given(replicas_, pasts, replicas_, ruleset, ruleset)
def test_stabilising_equals_the_plain_reading_of_the_rules(
    current: int, past: list[Recommendation], proposal: int, up: ScalingRules, down: ScalingRules
) -> None:
    of = windows(Behavior(up=up, down=down))
    upper = lower = proposal
    for recommendation in past:
        age = NOW - recommendation.at
        if age < of.up:
            upper = min(upper, recommendation.replicas)
        if age < of.down:
            lower = max(lower, recommendation.replicas)
    expected = upper if current < upper else lower if current > lower else current
    # Forgetting what is too old must not change the outcome.
    remembered = remember(past, proposal, of, NOW)
    assert stabilise(current, remembered, of, NOW) == expected
    assert all(NOW - r.at < max(of.up, of.down, SHRINKING) for r in remembered[:-1])


@given(replicas_, changes_, ruleset)
def test_limits_equal_the_plain_reading_of_the_rules(
    current: int, changes: list[ScaleChange], rule: ScalingRules
) -> None:
    kept = recent_changes(changes, Behavior(up=rule, down=rule), NOW)
    ups, downs = [], []
    for policy in rule.policies:
        start = current
        for change in changes:
            if NOW - change.at < policy.period:
                start -= change.change
        if policy.type is PODS:
            ups.append(start + policy.value)
            downs.append(start - policy.value)
        else:
            ups.append(math.ceil(start * (1 + policy.value / 100)))
            downs.append(math.trunc(start * (1 - policy.value / 100)))
    match rule.select_policy:
        case SelectPolicy.MAX:
            up, down = max(ups), min(downs)
        case SelectPolicy.MIN:
            up, down = min(ups), max(downs)
        case SelectPolicy.DISABLED:
            up = down = current
    assert up_limit(current, kept, rule, NOW).replicas == max(up, current)
    assert down_limit(current, kept, rule, NOW).replicas == min(down, current)


def test_changes_are_kept_for_the_longest_period() -> None:
    behavior = Behavior(up=rules((1, PODS, 15)), down=rules((1, PODS, 60)))
    kept = recent_changes([changed(60, 1), changed(59, 2)], behavior, NOW)
    assert kept == (changed(59, 2),)
    assert timedelta(seconds=59) == NOW - kept[0].at
