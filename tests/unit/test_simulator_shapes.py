"""Traffic that is made up: what its shapes are."""

import numpy as np
import pytest

from trireme.simulator.shapes import LOW, Shape, made

HOUR = 3600


@pytest.mark.parametrize(
    ("shape", "seconds", "expected"),
    [
        pytest.param(
            Shape.STEP, HOUR, {0: LOW, 1199: LOW, 1200: 1, 2399: 1, 2400: LOW}, id="a third is high"
        ),
        pytest.param(
            Shape.RAMP, HOUR, {0: LOW, 900: 0.625, 1800: 1, 2700: 0.625}, id="up and down"
        ),
        pytest.param(
            Shape.BURST,
            HOUR,
            {299: LOW, 300: 1, 359: 1, 360: LOW, 900: 1, 3599: LOW},
            id="a minute of ten",
        ),
        pytest.param(
            Shape.ON_OFF,
            HOUR,
            {0: 1, 299: 1, 300: 0, 599: 0, 600: 1},
            id="by turns of five minutes",
        ),
        pytest.param(
            Shape.WAVE, HOUR, {0: LOW, 900: 0.625, 1800: 1, 2700: 0.625}, id="one wave of an hour"
        ),
        pytest.param(
            Shape.WAVE, 48 * HOUR, {12 * HOUR: 1, 24 * HOUR: LOW, 36 * HOUR: 1}, id="one a day"
        ),
    ],
)
def test_a_shape_is_low_and_high_when_it_should_be(
    shape: Shape, seconds: int, expected: dict[int, float]
) -> None:
    found = made(shape, seconds).rate_per_second
    assert len(found) == seconds
    assert {at: float(found[at]) for at in expected} == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("shape", list(Shape))
def test_the_highest_rate_is_one_and_none_is_negative(shape: Shape) -> None:
    found = made(shape, HOUR).rate_per_second
    assert np.max(found) == pytest.approx(1, abs=1e-3)
    assert np.min(found) >= 0
