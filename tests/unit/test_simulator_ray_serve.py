"""Ray Serve's policy, against a loop that goes round every 0.1 s as its source does."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trireme.simulator.baselines.ray_serve import Memory, RayServe
from trireme.simulator.policy import Bounds
from unit.simulator import observed, sizes, steady

RAY = RayServe("ray", Bounds(1, 100))


@pytest.mark.parametrize(
    ("ongoing", "running", "up", "down", "expected"),
    [
        # Source: ray, python/ray/serve/autoscaling_policy.py, _apply_scaling_factors.
        pytest.param(10, 5, 1, 1, 5, id="two ongoing requests in each are the target"),
        pytest.param(11, 5, 1, 1, 6, id="rounded up"),
        pytest.param(20, 5, 0.5, 1, 8, id="half the way up: 5 + 2.5"),
        pytest.param(20, 5, 2, 1, 15, id="twice the way up"),
        pytest.param(2, 5, 1, 0.5, 3, id="half the way down: 5 - 2"),
        pytest.param(2, 5, 1, 0.1, 4, id="a small factor goes down by one"),
        pytest.param(9, 5, 1, 0.1, 5, id="less than one pod too many is none"),
        pytest.param(0, 5, 1, 1, 0, id="no requests"),
    ],
)
def test_one_round_asks_for(
    ongoing: float, running: int, up: float, down: float, expected: int
) -> None:
    policy = replace(RAY, upscaling_factor=up, downscaling_factor=down)
    assert policy.asked(ongoing, running) == expected


def test_growing_takes_thirty_seconds_and_a_round() -> None:
    # More than 300 rounds in a row: the 301st is the first of the interval that begins at 30 s.
    assert steady(RAY, 20.0, replicas=2, start=0, until=60) == {30.0: 10}


def test_shrinking_takes_ten_minutes_and_a_round() -> None:
    assert steady(RAY, 4.0, replicas=10, start=0, until=900) == {600.0: 2}


def test_the_last_answer_is_taken_not_the_largest() -> None:
    loads = [40.0] * 30 + [12.0]
    seen = [observed(load, replicas=2, now=float(now)) for now, load in enumerate(loads)]
    assert sizes(RAY, seen, begin=2)[-2:] == [2, 6]


def test_one_round_at_the_target_begins_the_wait_anew() -> None:
    loads = [40.0] * 29 + [4.0] + [40.0] * 30
    seen = [observed(load, replicas=2, now=float(now)) for now, load in enumerate(loads)]
    assert set(sizes(RAY, seen, begin=2)) == {2}


@pytest.mark.parametrize(
    ("ongoing", "replicas", "expected"),
    [
        pytest.param(0.0, 0, 0, id="nobody asks"),
        pytest.param(0.1, 0, 1, id="any request starts one at once"),
        pytest.param(50.0, 3, 3, id="those ordered are waited for"),
    ],
)
def test_from_no_running_replica(ongoing: float, replicas: int, expected: int) -> None:
    policy = replace(RAY, bounds=Bounds(0, 100))
    assert sizes(policy, [observed(ongoing, replicas=replicas, ready=0)], begin=0) == [expected]


def test_to_zero_it_goes_by_way_of_one_and_waits_twice() -> None:
    policy = replace(RAY, bounds=Bounds(0, 100), downscale_to_zero_delay_seconds=60.0)
    # 6001 rounds to one, and 601 more to none.
    assert steady(policy, 0.0, replicas=5, start=0, until=900) == {600.0: 1, 660.0: 0}


def test_without_metrics_nothing_changes() -> None:
    assert sizes(RAY, [observed(None, replicas=4)], begin=4) == [4]


def one_by_one(
    policy: RayServe, ongoing: float, ready: int, target: int, rounds: int
) -> tuple[int, int]:
    """The rounds of one interval as the source counts them."""
    asked = policy.bounds.clamp(policy.asked(ongoing, ready))
    for _ in range(10):
        if asked > target:
            rounds = max(rounds, 0) + 1
            if rounds > int(policy.upscale_delay_seconds / 0.1):
                target, rounds = asked, 0
        elif asked < target:
            rounds = min(rounds, 0) - 1
            delay, wanted = policy.downscale_delay_seconds, max(asked, 1)
            if target == 1:
                wanted = asked
                if policy.downscale_to_zero_delay_seconds is not None:
                    delay = policy.downscale_to_zero_delay_seconds
            if rounds < -int(delay / 0.1):
                target, rounds = wanted, 0
        else:
            rounds = 0
    return target, rounds


@given(
    ongoing=st.floats(0, 30),
    ready=st.integers(1, 5),
    target=st.integers(1, 5),
    rounds=st.integers(-30, 30),
    delays=st.tuples(*[st.sampled_from([0.0, 0.1, 0.4, 1.0, 2.5])] * 3),
)
def test_counting_through_an_interval_is_counting_its_rounds(
    ongoing: float, ready: int, target: int, rounds: int, delays: tuple[float, float, float]
) -> None:
    up, down, to_zero = delays
    policy = RayServe(
        "ray",
        Bounds(0, 8),
        upscale_delay_seconds=up,
        downscale_delay_seconds=down,
        downscale_to_zero_delay_seconds=to_zero,
    )
    seen = replace(observed(ongoing, replicas=target), ready=ready)
    decided, memory = policy.decide(seen, Memory(rounds))
    assert (decided, memory.rounds) == one_by_one(policy, ongoing, ready, target, rounds)
