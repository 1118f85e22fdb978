"""How long to wait before what failed is tried again."""

from datetime import timedelta

import pytest

from trireme.api.backoff import doubled


@pytest.mark.parametrize(
    ("failures", "seconds"),
    [
        pytest.param(0, 1.0, id="none yet"),
        pytest.param(1, 1.0, id="the first"),
        pytest.param(2, 2.0, id="the second waits twice as long"),
        pytest.param(6, 32.0, id="the sixth"),
        pytest.param(7, 60.0, id="the longest is not exceeded"),
        pytest.param(10**6, 60.0, id="however often it fails"),
    ],
)
def test_each_failure_waits_twice_as_long_as_the_one_before(failures: int, seconds: float) -> None:
    assert doubled(1.0, 60.0, failures) == seconds
    as_time = doubled(timedelta(seconds=1), timedelta(minutes=1), failures)
    assert as_time == timedelta(seconds=seconds)
