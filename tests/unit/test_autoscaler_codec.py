"""What a value is as JSON."""

from typing import Any

import pytest

from trireme.autoscaler.codec import codec
from trireme.autoscaler.service_curve import ServiceCurve


@pytest.mark.parametrize(
    ("curve", "more"),
    [
        pytest.param(ServiceCurve(0.006, 0.002, 16), {}, id="left out at its default"),
        pytest.param(ServiceCurve(0.006, 0.002, 16, 0.001), {"gap_seconds": 0.001}, id="as it is"),
    ],
)
def test_a_field_that_came_later_is_written_if_it_is_set(
    curve: ServiceCurve, more: dict[str, Any]
) -> None:
    told = codec(ServiceCurve).write(curve)
    assert told == {
        "fixed_seconds": 0.006,
        "per_request_seconds": 0.002,
        "max_batch": 16,
        **more,
    }
    assert codec(ServiceCurve).read(told) == curve
