"""How many pods a canary has."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trireme.rollout.size import canary_pods, share_of_pods


@pytest.mark.parametrize(
    ("stable", "weight", "pods"),
    [
        pytest.param(1, 0.05, 1, id="one beside one"),
        pytest.param(1, 0.5, 1, id="half beside one, which is half as busy as before, too"),
        pytest.param(3, 0.25, 2, id="as busy as the three, one alone would be slower"),
        pytest.param(2, 0.25, 1, id="less busy than the two"),
        pytest.param(20, 0.05, 2, id="the load of 1.05 pods"),
        pytest.param(19, 0.05, 2, id="the load of exactly 1"),
        pytest.param(20, 0.25, 7, id="a third of the others' load"),
        pytest.param(4, 0.5, 4, id="half of the requests"),
        pytest.param(4, 0.4, 3, id="the load of 2.67 pods"),
        pytest.param(4, 0.75, 12, id="three quarters: each as busy as a stable pod"),
        pytest.param(4, 1.0, 4, id="all requests, as the stable pods are sized for"),
        pytest.param(0, 0.25, 1, id="no stable pod now"),
        pytest.param(7, 0.0, 1, id="no share yet"),
    ],
)
def test_pods_for_a_share(stable: int, weight: float, pods: int) -> None:
    assert canary_pods(stable, weight) == pods


@given(stable=st.integers(1, 1000), weight=st.floats(0.001, 0.99))
def test_a_canary_pod_carries_no_more_than_a_stable_one(stable: int, weight: float) -> None:
    pods = canary_pods(stable, weight)
    assert weight / pods <= (1 - weight) / stable * (1 + 1e-6)


@given(stable=st.integers(1, 200), weight=st.floats(0.001, 0.99), more=st.floats(0, 0.9))
def test_a_larger_share_never_takes_fewer_pods(stable: int, weight: float, more: float) -> None:
    assert canary_pods(stable, min(0.99, weight + more)) >= canary_pods(stable, weight)


@pytest.mark.parametrize(
    ("pods", "stable", "share"),
    [
        pytest.param(0, 4, 0.0, id="none carry nothing"),
        pytest.param(1, 20, 0.7 / 20.7, id="one beside many, with what is spare"),
        pytest.param(1, 1, 0.5, id="one beside one"),
        pytest.param(4, 4, 0.5, id="as many as the stable ones"),
        pytest.param(12, 4, 0.75, id="more than the stable ones"),
    ],
)
def test_the_share_that_pods_carry(pods: int, stable: int, share: float) -> None:
    assert share_of_pods(pods, stable) == pytest.approx(share)


@given(pods=st.integers(1, 500), stable=st.integers(1, 500))
def test_the_share_that_pods_carry_takes_as_many(pods: int, stable: int) -> None:
    assert canary_pods(stable, share_of_pods(pods, stable)) == pods
