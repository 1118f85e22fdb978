"""Percentiles of the bins that Envoy counts in."""

import pytest

from bench import histogram
from trireme.rollout.evidence import Share

TEN_A_BIN = {(50.0, 1.0): 10, (51.0, 1.0): 10, (100.0, 10.0): 10}


@pytest.mark.parametrize(
    ("percent", "milliseconds"),
    [
        pytest.param(0, 50, id="none is below the first edge"),
        pytest.param(50, 51.5, id="half of all is in the middle of three"),
        pytest.param(95, 108.5, id="straight within a bin of ten milliseconds"),
        pytest.param(100, 110, id="all are below the last edge"),
    ],
)
def test_a_percentile_is_straight_within_a_bin(percent: float, milliseconds: float) -> None:
    assert histogram.percentile_seconds(TEN_A_BIN, percent) == pytest.approx(milliseconds / 1e3)


def test_what_came_between_two_looks_is_the_difference() -> None:
    between = histogram.since({(50.0, 1.0): 4}, TEN_A_BIN)
    assert between == {(50.0, 1.0): 6, (51.0, 1.0): 10, (100.0, 10.0): 10}


@pytest.mark.parametrize(
    ("limit_seconds", "late"),
    [(0.05, 30), (0.051, 20), (0.1, 10), (0.11, 0)],
    ids=["all", "those of the next bins", "those of the limit itself", "none"],
)
def test_late_is_what_took_the_limit_and_longer(limit_seconds: float, late: int) -> None:
    assert histogram.late(TEN_A_BIN, limit_seconds) == Share(late, 30)


def test_nothing_counted_has_no_percentile() -> None:
    with pytest.raises(ValueError, match="no request"):
        histogram.percentile_seconds({(50.0, 1.0): 0}, 95)
