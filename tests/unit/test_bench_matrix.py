"""How policies are compared at the same share of late requests, and what a stopped run keeps."""

from pathlib import Path

import numpy as np
import pytest

from bench.matrix.cells import Cell, names
from bench.matrix.online import best_constant_margin
from bench.matrix.results import Results, Run
from bench.matrix.runs import NEAR, hours_at, search
from trireme.autoscaler.queueing import PodShape
from trireme.autoscaler.service_curve import ServiceCurve
from trireme.simulator.fluid import LeadTime
from trireme.simulator.policy import Bounds
from trireme.simulator.scenario import Objective, Scenario, with_peak
from trireme.simulator.traces import Traffic

CELL = Cell("trace.csv", 30, "6,2,16", 2.5, 48.0)


def run(multiple: float, hours: float, late: float, policy: str = "peer") -> Run:
    return Run(policy, CELL, multiple, hours, late, 0.1)


OURS = run(1.0, 110.0, 0.01, "trireme")


def swept(costs: dict[float, tuple[float, float]], *, sweeps: bool = True) -> list[float]:
    """The multiples that are run of a policy with these costs and late shares."""
    tried: list[float] = []

    def point(multiple: float) -> Run:
        tried.append(multiple)
        return run(multiple, *costs[multiple])

    search(point, OURS, sweeps)
    return tried


def test_a_policy_in_time_is_run_with_larger_targets_until_it_is_as_late() -> None:
    costs = {1.0: (140.0, 0.0), 1.1: (130.0, 0.001), 1.25: (115.0, 0.02), 1.4: (100.0, 0.2)}
    assert swept(costs) == [1.0, 1.1, 1.25]


def test_a_late_policy_that_is_cheaper_is_run_with_smaller_targets() -> None:
    costs = {1.0: (90.0, 0.2), 0.9: (100.0, 0.05), 0.75: (120.0, 0.005)}
    assert swept(costs) == [1.0, 0.9, 0.75]


@pytest.mark.parametrize(
    "costs",
    [
        pytest.param({1.0: (120.0, 0.2)}, id="dearer and later at once"),
        pytest.param({1.0: (200.0, 0.0), 1.1: (200.0, 0.0)}, id="a target that changes nothing"),
    ],
)
def test_what_no_target_helps_is_not_run_again(costs: dict[float, tuple[float, float]]) -> None:
    assert swept(costs) == list(costs)


def test_a_sweep_may_begin_elsewhere() -> None:
    costs = {1.25: (115.0, 0.02), 1.1: (130.0, 0.001)}
    tried: list[float] = []

    def point(multiple: float) -> Run:
        tried.append(multiple)
        return run(multiple, *costs[multiple])

    search(point, run(1.0, 200.0, 0.01, "trireme"), True, NEAR)
    assert tried == [1.25, 1.1]


def test_without_a_sweep_a_policy_is_run_once() -> None:
    assert swept({1.0: (140.0, 0.0)}, sweeps=False) == [1.0]


@pytest.mark.parametrize(
    ("late_share", "hours"),
    [
        pytest.param(0.01, 110.0, id="half way by the logarithm"),
        pytest.param(0.001, 120.0, id="as late as one target"),
        pytest.param(0.5, 100.0, id="later than all: the cheapest"),
        pytest.param(0.0001, None, id="in time as no target is"),
    ],
)
def test_the_cost_at_a_share_is_read_off_between_targets(
    late_share: float, hours: float | None
) -> None:
    runs = [run(1.25, 100.0, 0.1), run(1.0, 120.0, 0.001)]
    found = hours_at(runs, late_share)
    assert found == (None if hours is None else pytest.approx(hours))


def test_what_was_run_is_kept_and_a_policy_can_be_forgotten(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.add([OURS, run(1.0, 140.0, 0.0)])
    results.add([run(1.0, 1.0, 1.0)])  # known already
    assert list(Results(tmp_path)) == [run(1.0, 140.0, 0.0), OURS]
    (tmp_path / "trireme.jsonl").unlink()
    assert list(Results(tmp_path)) == [run(1.0, 140.0, 0.0)]


def test_arrivals_are_not_a_trace_of_their_own(tmp_path: Path) -> None:
    for name in ("a_1s.csv", "a_arrivals.csv", "README.md"):
        (tmp_path / name).touch()
    assert names(tmp_path) == ["a_1s.csv"]


def test_the_best_constant_margin_is_in_time_and_little_on_smooth_traffic() -> None:
    pod, objective = PodShape(ServiceCurve(0.006, 0.002, 16)), Objective(95, 0.1)
    wave = Traffic("wave", 1.0 + 0.6 * np.sin(np.linspace(0, 2 * np.pi, 3600)))
    traffic = with_peak(wave, pod, objective, 10)
    on = Scenario(traffic, pod, objective, LeadTime(30), Bounds(1, 20), seed=1)
    best = best_constant_margin(on)
    assert best is not None
    assert best.late_share <= 0.05
    assert 0.9 < best.margin < 1.15
