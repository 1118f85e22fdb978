"""The past of an agent's rates on a grid of time."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trireme.autoscaler.history import (
    KEPT_STEPS,
    STEP_SECONDS,
    STEPS_PER_BIN,
    RateHistory,
    step_of,
)

MIDNIGHT = datetime(2026, 5, 4, tzinfo=UTC)


def at(step: int, seconds: float = 0.0) -> datetime:
    return MIDNIGHT + timedelta(seconds=step * STEP_SECONDS + seconds)


def seen(*rates: float | None) -> RateHistory:
    """One rate a step from midnight on; None is a step that nothing was seen in."""
    history = RateHistory.empty(MIDNIGHT)
    for step, rate in enumerate(rates):
        if rate is not None:
            history = history.after(at(step), rate)
    return history


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        pytest.param(2, 0, 9.0, id="of all three"),
        pytest.param(0, 0, 4.0, id="of the last"),
        pytest.param(2, 2, 7.0, id="of the first"),
        pytest.param(9, 3, math.nan, id="of what nobody saw"),
        pytest.param(9, 2, 7.0, id="of what was seen of it"),
        pytest.param(KEPT_STEPS, 0, math.nan, id="of more than is kept"),
    ],
)
def test_the_highest_rate(first: int, last: int, expected: float) -> None:
    assert seen(7.0, 9.0, 4.0).highest(first, last) == pytest.approx(expected, nan_ok=True)


def test_what_was_not_seen_is_unknown_and_not_zero() -> None:
    history = seen(7.0, None, None, 4.0)
    assert math.isnan(history.at(1))
    assert math.isnan(history.highest(2, 1))
    assert history.at(3) == 7.0


def test_a_step_holds_its_newest_rate_and_a_bin_its_highest() -> None:
    history = seen(7.0).after(at(0, 5), 9.0).after(at(0, 10), 8.0)
    assert history.last == 8.0
    assert history.highest_of_bins(0, 0) == 9.0


def test_a_clock_that_was_put_back_changes_nothing() -> None:
    history = seen(7.0, 9.0)
    assert history.after(at(0), 100.0) is history


def test_a_past_beyond_all_memory_is_unknown() -> None:
    later = seen(7.0).after(at(0) + timedelta(days=30), 3.0)
    assert later.last == 3.0
    assert math.isnan(later.highest(KEPT_STEPS - 1, 1))
    assert math.isnan(later.highest_of_bins(40_000, 1000))


@given(
    st.lists(st.floats(0, 1000, width=32), min_size=1, max_size=70),
    st.integers(0, 69),
    st.integers(0, 69),
)
def test_bins_hold_no_less_than_their_steps(rates: list[float], one: int, other: int) -> None:
    history = seen(*rates)
    first, last = max(one, other), min(one, other)
    by_steps, by_bins = history.highest(first, last), history.highest_of_bins(first, last)
    if not math.isnan(by_steps):
        assert by_bins >= by_steps
        assert by_bins <= history.highest(first + STEPS_PER_BIN, max(last - STEPS_PER_BIN, 0))


@given(
    st.lists(st.none() | st.floats(0, 1000, width=32), max_size=40),
    st.floats(0, 1000, width=32),
    st.integers(1, 30),
    st.integers(0, 30),
)
def test_the_highest_mean_is_that_of_what_is_known(
    rates: list[float | None], last: float, of: int, over: int
) -> None:
    past = [None] * (KEPT_STEPS - len(rates) - 1) + [*rates, last]
    windows = [past[KEPT_STEPS - of - ago : KEPT_STEPS - ago] for ago in range(over + 1)]
    known = [[rate for rate in window if rate is not None] for window in windows]
    expected = max(sum(of_window) / max(len(of_window), 1) for of_window in known)
    assert seen(*rates, last).highest_mean(of, over) == pytest.approx(expected, abs=1e-6)


def test_steps_are_counted_from_the_epoch() -> None:
    assert step_of(datetime.fromtimestamp(30, UTC)) == 2
