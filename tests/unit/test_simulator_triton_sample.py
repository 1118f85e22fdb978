"""NVIDIA's sample autoscaler: almost no load holds it at its most."""

import math

import pytest

from trireme.simulator.baselines.triton_sample import TritonSample
from trireme.simulator.policy import Bounds
from unit.simulator import observed, sizes


@pytest.mark.parametrize(
    ("queue_microseconds", "per_second", "expected"),
    [
        # Mean times in the queue at 0.2 %, 0.5 % and 80 % of the capacity of a pod with
        # s(b) = 6 + 2 b ms in batches of up to 16.
        pytest.param(27, 0.8, 1, id="0.2 % of the capacity"),
        pytest.param(68, 2.1, 2, id="0.5 % of the capacity"),
        pytest.param(10717, 337, 3, id="80 % of the capacity"),
        pytest.param(math.nan, 0, 1, id="no requests"),
        pytest.param(100, 1 / 30, 1, id="one request in the window is divided by two"),
    ],
)
def test_the_sample_runs_at_its_most(
    queue_microseconds: float, per_second: float, expected: int
) -> None:
    seen = observed(queue_microseconds, per_second, replicas=1)
    assert sizes(TritonSample(), [seen], begin=1) == [expected]


def test_the_requests_of_the_window_are_those_of_one_pod() -> None:
    # 10 pods answer 10 requests in 30 s: one each, so 110 us count as 55, within a tenth of 50.
    sample = TritonSample(bounds=Bounds(1, 40))
    assert sizes(sample, [observed(110.0, 10 / 30, replicas=10)], begin=10) == [10]


@pytest.mark.parametrize(
    ("values", "ready"),
    [
        pytest.param((None, None), 2, id="Prometheus is away"),
        pytest.param((9000.0, 100.0), 0, id="no pod is ready"),
    ],
)
def test_without_a_sample_it_holds(values: tuple[float | None, ...], ready: int) -> None:
    assert sizes(TritonSample(), [observed(*values, replicas=2, ready=ready)], begin=2) == [2]
