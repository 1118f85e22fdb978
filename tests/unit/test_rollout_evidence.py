"""Bets on a canary being worse: fair while it is not, and won soon when it is."""

import math
from itertools import product
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trireme.rollout.evidence import Bets, Share, log_gain_of_one, log_gain_of_two

chances = st.floats(0.001, 0.999)
before = st.builds(
    lambda requests, part: Share(round(requests * part), requests),
    st.integers(0, 500),
    st.floats(0, 1),
)


@given(
    chance=chances,
    requests=st.tuples(st.integers(0, 6), st.integers(0, 6)),
    canary=before,
    stable=before,
)
def test_of_two_equal_shares_nothing_is_gained_on_average(
    chance: float, requests: tuple[int, int], canary: Share, stable: Share
) -> None:
    of_canary, of_stable = requests
    expectation = math.fsum(
        _chance(cases, of_canary, chance)
        * _chance(others, of_stable, chance)
        * math.exp(
            log_gain_of_two(Share(cases, of_canary), Share(others, of_stable), canary, stable)
        )
        for cases, others in product(range(of_canary + 1), range(of_stable + 1))
    )
    assert expectation <= 1 + 1e-9


@given(chance=chances, above=st.floats(0, 1), requests=st.integers(0, 8), seen=before)
def test_of_a_share_within_what_is_allowed_nothing_is_gained_on_average(
    chance: float, above: float, requests: int, seen: Share
) -> None:
    allowed = chance + above * (0.999 - chance)
    expectation = math.fsum(
        _chance(cases, requests, chance)
        * math.exp(log_gain_of_one(Share(cases, requests), seen, allowed))
        for cases in range(requests + 1)
    )
    assert expectation <= 1 + 1e-9


@given(
    outcomes=st.lists(st.floats(-1, 1), min_size=2, max_size=6),
    above=st.floats(0, 1),
    before=st.lists(st.floats(-1, 1), max_size=4),
)
def test_of_differences_within_the_margin_on_average_nothing_is_gained_on_average(
    outcomes: list[float], above: float, before: list[float]
) -> None:
    mean = max(math.fsum(outcomes) / len(outcomes), 0)
    margin = mean + above * (0.999 - mean) if mean < 0.999 else mean
    bets = Bets()
    for each in before:
        bets = bets.after(each, margin)
    after = [math.exp(bets.after(outcome, margin).log) for outcome in outcomes]
    assert math.fsum(after) / len(after) <= math.exp(bets.log) * (1 + 1e-9)


@pytest.mark.parametrize(
    ("canary", "stable", "least", "most"),
    [
        pytest.param(1.0, 0.0, 8, 12, id="every request of every interval"),
        pytest.param(0.5, 0.01, 14, 24, id="half of them"),
        pytest.param(0.15, 0.02, 60, 150, id="some more than an objective allows"),
    ],
)
def test_a_lasting_difference_is_shown_in_so_many_intervals(
    canary: float, stable: float, least: int, most: int
) -> None:
    bets, intervals = Bets(), 0
    while bets.log < math.log(100):
        bets, intervals = bets.after(canary - stable, 0.025), intervals + 1
    assert least <= intervals <= most


def test_a_hundredth_that_fails_is_shown_in_hundreds_of_requests_not_thousands() -> None:
    random, log = Random(3), 0.0
    canary, stable = Share(), Share()
    while log < math.log(100):
        seen = Share(sum(random.random() < 0.01 for _ in range(20)), 20), Share(0, 180)
        log += log_gain_of_two(*seen, canary, stable)
        canary, stable = canary + seen[0], stable + seen[1]
    assert 100 <= canary.requests <= 1000


@pytest.mark.parametrize("first", [10, 500, 5_000])
def test_a_large_first_interval_costs_nothing(first: int) -> None:
    log, seen, requests = 0.0, Share(), 0
    while log < math.log(400):
        new = Share(first // 20, first) if not requests else Share(1, 20)
        log += log_gain_of_one(new, seen, 0.01)
        seen, requests = seen + new, requests + new.requests
    assert requests - first <= 200


def test_capital_that_is_all_but_lost_does_not_end_the_game() -> None:
    bets = Bets()
    for _ in range(10_000):
        bets = bets.after(-1.0, 0.0)
    assert math.isfinite(bets.log)
    assert bets.after(1.0, 0.0).log > bets.log


def test_more_cases_than_requests_are_refused() -> None:
    with pytest.raises(ValueError, match="cases must be from 0 to 3, not 4"):
        Share(4, 3)


def _chance(cases: int, requests: int, chance: float) -> float:
    return math.comb(requests, cases) * chance**cases * (1 - chance) ** (requests - cases)
