"""An agent's own past as traffic: what is not known is never taken for zero."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from trireme.errors import IncompleteHistory
from trireme.simulator.past_traffic import PastTraffic, past_traffic
from trireme.simulator.traces import traffic_of

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
NAN = float("nan")


def past(*rates: float, longest_gap: timedelta = timedelta(), reach: int = 0) -> PastTraffic:
    return past_traffic("shop/cart", np.array(rates), BEGIN, MINUTE, longest_gap, reach)


def test_rates_become_requests_of_steps() -> None:
    found = past(2.0, 0.0, 4.0)
    assert found.trace.requests.tolist() == [120, 0, 240]
    assert found.trace.bin_seconds == 60
    assert traffic_of(found.trace).rate_per_second[[30, 90, 150]] == pytest.approx(
        [2.0, 0.0, 4.0], abs=0.05
    )
    assert found.filled == ()


def test_before_the_first_value_and_after_the_last_there_was_nothing_to_know() -> None:
    found = past(NAN, NAN, 1.0, 2.0, NAN)
    assert found.trace.requests.tolist() == [60, 120]
    assert (found.begin, found.end) == (BEGIN + 2 * MINUTE, BEGIN + 3 * MINUTE)


def test_a_gap_is_refused_by_name() -> None:
    with pytest.raises(IncompleteHistory) as refusal:
        past(1.0, NAN, NAN, 1.0, NAN, 1.0)
    assert str(refusal.value) == (
        "shop/cart has 2 gaps: 2026-01-01T00:00:00Z to 2026-01-01T00:03:00Z (3m), "
        "2026-01-01T00:03:00Z to 2026-01-01T00:05:00Z (2m). What came then is not known; take a "
        "time without, or say --fill-gaps 3m to draw a straight line over them"
    )


def test_a_gap_that_is_short_enough_is_filled_by_a_line_and_told() -> None:
    found = past(1.0, NAN, 3.0, longest_gap=2 * MINUTE)
    assert found.trace.requests.tolist() == [60, 120, 180]
    (gap,) = found.filled
    assert str(gap) == "2026-01-01T00:00:00Z to 2026-01-01T00:02:00Z (2m)"


def test_what_was_measured_over_a_part_of_a_gap_is_not_known_either() -> None:
    """A window of two minutes that reaches into a gap holds a part of what came."""
    found = past(4.0, 4.0, 1.0, NAN, 2.0, 4.0, 4.0, longest_gap=5 * MINUTE, reach=1)
    assert set(found.trace.requests.tolist()) == {240}
    (gap,) = found.filled
    assert gap.length == 4 * MINUTE


@pytest.mark.parametrize(
    ("rates", "said"),
    [
        pytest.param((NAN, NAN), "shop/cart has 0 values of 2: check its name", id="no value"),
        pytest.param((NAN, 1.0), "shop/cart has 1 values of 2", id="a single value"),
        pytest.param((0.0, 0.0), "shop/cart had no request from 2026-01-01T00:00:00Z", id="idle"),
    ],
)
def test_a_past_that_holds_no_traffic_is_refused(rates: tuple[float, ...], said: str) -> None:
    with pytest.raises(IncompleteHistory, match=said.replace(".", r"\.")):
        past(*rates)
