"""What each way to foresee the highest rate says of a past."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from trireme.autoscaler.forecasters import (
    FORECASTERS,
    AsNow,
    Forecaster,
    Highest,
    HighestMean,
    HighestOfHorizons,
    Periodic,
    Rising,
    Seasonal,
)
from trireme.autoscaler.history import STEP_SECONDS, RateHistory

MIDNIGHT = datetime(2026, 5, 4, tzinfo=UTC)
MINUTE, HOUR, DAY = 4, 240, 5760  # steps
HORIZON = 4


def past(rates: Sequence[float]) -> RateHistory:
    history = RateHistory.empty(MIDNIGHT)
    for step, rate in enumerate(rates):
        history = history.after(MIDNIGHT + timedelta(seconds=step * STEP_SECONDS), rate)
    return history


def spikes(steps: int) -> list[float]:
    """A spike of 100 at the beginning of every five minutes, of 8 more at each second one."""
    return [
        (108.0 if step % 40 == 0 else 100.0) if step % 20 == 0 else 10.0 for step in range(steps)
    ]


@pytest.mark.parametrize(
    ("forecaster", "rates", "expected"),
    [
        pytest.param(AsNow(), [5, 9, 7], 7, id="as now"),
        pytest.param(Rising(2), [5, 6, 7], 11, id="a rise goes on for the horizon"),
        pytest.param(Rising(2), [9, 8, 7], 7, id="a fall does not"),
        pytest.param(Rising(2), [6, 7], math.nan, id="of one step no slope is known"),
        pytest.param(Highest(2), [20, 9, 5, 7], 9, id="the highest of the last steps"),
        pytest.param(HighestOfHorizons(1), [20, 9, 5, 5, 5, 7], 9, id="of one lead time"),
        pytest.param(HighestOfHorizons(2), [20, 9, 5, 5, 5, 7], 20, id="of two"),
        pytest.param(Periodic(20), spikes(57), 108, id="a spike is due in four steps"),
        pytest.param(Periodic(20), spikes(55), 10, id="in six steps, beyond the horizon"),
        pytest.param(Periodic(20), spikes(56), 108, id="and one that may come early"),
        pytest.param(Periodic(20), spikes(62), 108, id="or late"),
        pytest.param(Periodic(20), spikes(77), 100, id="as the last one was"),
        pytest.param(Periodic(20), spikes(14), math.nan, id="which may not have been seen"),
        pytest.param(HighestMean(2, 0), [20, 9, 5, 7], 6, id="the mean of the last steps"),
        pytest.param(HighestMean(2, 1), [20, 10, 6, 7], 8, id="the highest of such means"),
        pytest.param(HighestMean(4, 0), [9, 5], 7, id="the mean of those that are known"),
    ],
)
def test_the_highest_rate_is_foreseen(
    forecaster: Forecaster, rates: Sequence[float], expected: float
) -> None:
    assert forecaster.highest(past(rates), HORIZON) == pytest.approx(expected, nan_ok=True)


def test_a_period_that_is_shorter_than_the_horizon_is_looked_for_further_back() -> None:
    assert Periodic(20).highest(past(spikes(90)), 30) == 108


@pytest.mark.parametrize(
    ("is_level", "expected"),
    [
        pytest.param(False, 100, id="as it was"),
        pytest.param(True, 300, id="at three times the level, three times as much"),
    ],
)
def test_a_day_ago_comes_again(*, is_level: bool, expected: float) -> None:
    yesterday = [10.0] * HOUR + [100.0] * HOUR + [10.0] * (DAY - 2 * HOUR)
    today = [30.0] * (HOUR - 20)  # five minutes before the hour of the hundred
    seasonal = Seasonal(DAY, is_level)
    assert seasonal.highest(past(yesterday + today), horizon=24) == pytest.approx(expected)


def test_without_a_yesterday_nothing_is_said_of_a_day_ago() -> None:
    assert math.isnan(Seasonal(DAY, is_level=False).highest(past([5.0] * HOUR), HORIZON))


def test_nothing_foresees_anything_of_nothing() -> None:
    empty = RateHistory.empty(MIDNIGHT)
    assert all(math.isnan(each.highest(empty, HORIZON)) for each in FORECASTERS)


def test_forecasters_are_told_apart_by_their_words() -> None:
    words = [str(each) for each in FORECASTERS]
    assert len(set(words)) == len(words)
    assert "as 5m ago" in words
    assert "as the mean of 30m" in words
    assert "as the mean of 1m, the highest of the last 5m" in words
    assert "as a week ago at today's level" in words
