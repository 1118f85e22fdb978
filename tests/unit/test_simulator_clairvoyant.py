"""The optimum: exact where everything can be tried, with the properties it must have elsewhere."""

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from trireme.simulator.clairvoyant import (
    Schedule,
    largest_headroom,
    need,
    schedule,
)

SLOT = 10.0
NEEDS = st.lists(st.integers(0, 6), min_size=1, max_size=60).map(np.array)
DELAYS = st.integers(0, 12).map(lambda slots: slots * SLOT / 2)


def optimum(needed: list[int] | NDArray[np.int64], start_up: float, drain: float = 0) -> Schedule:
    return schedule(
        np.array(needed), slot_seconds=SLOT, start_up_seconds=start_up, drain_seconds=drain
    )


def cost(ready: tuple[int, ...], start_up: float, drain: float) -> float:
    """What it costs to have these replicas ready: those of the first slot are there."""
    steps = [after - before for before, after in pairwise(ready)]
    starts = sum(step for step in steps if step > 0)
    stops = -sum(step for step in steps if step < 0)
    return sum(ready) * SLOT + starts * start_up + stops * drain


@pytest.mark.parametrize(
    ("needed", "start_up", "replica_seconds"),
    [
        # Layer 1 is held for 100 s, layer 2 started twice for 10 s and 20 s, layer 3 once.
        pytest.param([1, 1, 3, 1, 1, 1, 1, 2, 2, 1], 30, 100 + 90 + 40, id="three layers"),
        pytest.param([2, 1, 1, 1, 2], 30, 50 + 50, id="a gap as long as a start is held"),
        pytest.param([2, 1, 1, 1, 1, 2], 30, 60 + 20 + 30, id="a longer one is not"),
        pytest.param([3, 3, 3], 30, 90, id="what is there at first was started before"),
        pytest.param([0, 0, 1], 30, 10 + 30, id="what is needed later is ordered before the trace"),
        pytest.param([0, 0, 0], 30, 0, id="nothing"),
    ],
)
def test_a_replica_is_paid_from_its_order_to_its_stop(
    needed: list[int], start_up: float, replica_seconds: float
) -> None:
    assert optimum(needed, start_up).replica_seconds == replica_seconds


@pytest.mark.parametrize("start_up", [0, 15, 30])
@pytest.mark.parametrize("drain", [0, 10])
def test_nothing_is_cheaper(start_up: float, drain: float) -> None:
    """Against every way to have as many ready as needed, or more."""
    for needed in product(range(4), repeat=5):
        most = max(needed)
        ways = product(*(range(least, most + 1) for least in needed[1:]))
        cheapest = min(cost((needed[0], *way), start_up, drain) for way in ways)
        assert optimum(list(needed), start_up, drain).replica_seconds == cheapest, needed


@given(needed=NEEDS, start_up=DELAYS, drain=st.sampled_from([0.0, 5.0, 20.0]))
def test_a_schedule_has_what_is_needed_and_costs_what_it_says(
    needed: NDArray[np.int64], start_up: float, drain: float
) -> None:
    found = optimum(needed, start_up, drain)
    assert (found.ready >= needed).all()
    assert (found.ordered >= found.ready).all()
    assert found.replica_seconds == cost(tuple(found.ready.tolist()), start_up, drain)
    assert found.replica_seconds >= needed.sum() * SLOT


@given(needed=NEEDS, start_up=DELAYS, more=DELAYS)
def test_a_longer_start_never_costs_less(
    needed: NDArray[np.int64], start_up: float, more: float
) -> None:
    shorter, longer = optimum(needed, start_up), optimum(needed, start_up + more)
    assert shorter.replica_seconds <= longer.replica_seconds
    assert shorter.starts >= longer.starts


@given(needed=NEEDS, start_up=st.integers(0, 6).map(lambda slots: slots * SLOT))
@settings(max_examples=50)
def test_what_is_ordered_is_ready_in_time(needed: NDArray[np.int64], start_up: float) -> None:
    """The pods that were there for a start-up are those that are planned to answer."""
    found = optimum(needed, start_up)
    lead = int(start_up / SLOT)
    for slot in range(lead, len(needed)):
        assert found.ordered[slot - lead : slot + 1].min() == found.ready[slot]


def test_orders_are_counted() -> None:
    found = optimum([1, 1, 3, 1, 1, 1, 1, 2, 2, 1], 30)
    assert (found.starts, found.stops) == (3, 3)
    assert found.ordered.tolist() == [3, 3, 3, 1, 2, 2, 2, 2, 2, 1]


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        pytest.param([100.0, 100.0, 100.0], [1, 1, 1], id="one pod's rate needs one pod"),
        pytest.param([101.0, 101.0, 101.0], [2, 2, 2], id="a little more needs two"),
        pytest.param([0.0, 0.0, 200.0], [1, 1, 2], id="the mean of what comes next"),
        pytest.param([200.0, 0.0, 0.0], [1, 1, 1], id="no fewer than the fewest"),
    ],
)
def test_the_need_is_that_of_the_mean_from_now_on(rate: list[float], expected: list[int]) -> None:
    assert need(np.array(rate), 100.0, fewest=1, mean_seconds=2).tolist() == expected


def test_headroom_needs_more() -> None:
    assert need(np.full(3, 900.0), 100.0, fewest=1, headroom=0.9).tolist() == [10, 10, 10]


def test_a_rate_scaled_to_a_number_of_pods_needs_that_number() -> None:
    sustained = np.random.default_rng(1).uniform(1, 1000, 1000)
    for each in sustained.tolist():
        assert need(np.array([20 * each]), each, fewest=1).tolist() == [20]


@pytest.mark.parametrize("limit", [1.0, 0.99, 0.5, 0.01])
def test_the_largest_feasible_headroom_is_found(limit: float) -> None:
    tried = []

    def is_feasible(headroom: float) -> bool:
        tried.append(headroom)
        return headroom <= limit

    assert largest_headroom(is_feasible) == limit
    assert len(tried) <= 8


def test_where_no_headroom_is_feasible_there_is_none() -> None:
    assert largest_headroom(lambda headroom: False) is None
