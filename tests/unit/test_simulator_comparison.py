"""Policies compared: the bracket of the optimum, and every policy that can be asked for."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from trireme.autoscaler.queueing import PodShape
from trireme.autoscaler.service_curve import ServiceCurve
from trireme.autoscaler.types.policy import DemandPolicy
from trireme.errors import UnattainableObjective
from trireme.simulator.clairvoyant import need, schedule
from trireme.simulator.comparison import MOST_LATE, MULTIPLES, Optimum, optimum_of, score, sweep
from trireme.simulator.contenders import CONTENDERS, TO_NONE
from trireme.simulator.fluid import LeadTime
from trireme.simulator.policy import Bounds, Metric
from trireme.simulator.scenario import Objective, Rules, Scenario, with_peak
from trireme.simulator.simulation import follow
from trireme.simulator.traces import Traffic

POD = PodShape(ServiceCurve(0.006, 0.002, 16))
OBJECTIVE = Objective(95, 0.1)
HALF_DAY = 1.0 + 0.6 * np.sin(np.linspace(0, 2 * np.pi, 3600))


def scenario(shape: np.ndarray[Any, Any] = HALF_DAY, lead_seconds: float = 60) -> Scenario:
    traffic = with_peak(Traffic("wave", shape), POD, OBJECTIVE, 10)
    return Scenario(traffic, POD, OBJECTIVE, LeadTime(lead_seconds), Bounds(1, 20), seed=1)


def silent(what: str, share: float) -> None:
    pass


@pytest.fixture(scope="module")
def wave() -> Scenario:
    return scenario()


@pytest.fixture(scope="module")
def optimum(wave: Scenario) -> Optimum:
    return optimum_of(wave, silent)


def test_the_peak_needs_the_pods_that_were_asked_for(optimum: Optimum) -> None:
    assert optimum.need.max() == 10


def test_the_bracket_is_narrow_on_smooth_traffic(optimum: Optimum) -> None:
    assert optimum.upper_hours is not None
    assert optimum.lower_hours <= optimum.upper_hours < 1.02 * optimum.lower_hours


@pytest.mark.parametrize("lead_seconds", [15, 120])
def test_the_upper_bound_is_what_a_feasible_schedule_costs(lead_seconds: float) -> None:
    """On traffic with steps, where what the mean needs is not enough."""
    steps = np.repeat([0.3, 1.0, 0.2, 0.8, 0.1, 1.0], 200)
    on = scenario(steps, lead_seconds)
    seen: list[float] = []
    optimum = optimum_of(on, lambda what, share: seen.append(share))
    assert optimum.upper_hours is not None
    assert optimum.upper_hours >= optimum.lower_hours
    assert seen[0] == 0


@pytest.mark.parametrize("policy", CONTENDERS)
def test_every_policy_runs(policy: str, wave: Scenario, optimum: Optimum) -> None:
    found = score(wave, optimum, policy, 1.0, silent)
    outcome = found.outcome
    assert 0 <= outcome.late_share <= 1
    assert outcome.max_replicas <= 20
    assert outcome.wanted.min() >= 1
    assert found.gpu_hours >= optimum.lower_hours or outcome.late_share > MOST_LATE
    assert CONTENDERS[policy](wave, 1.0).name == policy


def test_a_rate_at_70_percent_costs_its_share(wave: Scenario, optimum: Optimum) -> None:
    """1 / 0.7 = 1.43, and what the tolerance and the stabilisation window add or save."""
    found = score(wave, optimum, "hpa-rps", 1.0, silent)
    assert found.ratio == pytest.approx(1.43, abs=0.12)
    assert found.outcome.late_share < 0.01


def test_a_sweep_is_of_the_policy_s_own_target(wave: Scenario, optimum: Optimum) -> None:
    swept = sweep(wave, optimum, "hpa-rps", silent)
    assert [each.multiple for each in swept] == list(MULTIPLES)
    costs = [each.gpu_hours for each in swept]
    assert costs == sorted(costs, reverse=True)


def test_without_a_feasible_schedule_there_is_no_ratio(wave: Scenario, optimum: Optimum) -> None:
    nothing_keeps_it = Optimum(optimum.lower_hours, None, optimum.need)
    assert score(wave, nothing_keeps_it, "hpa-rps", 1.0, silent).ratio is None


def test_where_no_pod_is_needed_there_is_no_ratio() -> None:
    """A part without any request, by a policy that keeps a pod."""
    quiet = replace(scenario(), traffic=Traffic("quiet", np.zeros(600)), bounds=Bounds(0, 20))
    none = optimum_of(quiet, silent)
    found = score(quiet, none, "hpa-rps", 1.0, silent)
    assert (none.lower_hours, none.upper_hours, found.ratio) == (0, 0, None)
    assert found.gpu_hours == pytest.approx(600 / 3600)


@pytest.mark.parametrize("by_events", [False, True])
@pytest.mark.parametrize("policy", CONTENDERS)
def test_a_fleet_begins_without_a_pod_only_where_its_policy_comes_back_from_that(
    policy: str, by_events: bool
) -> None:
    """Nothing comes at first, and what one pod can do from then on."""
    on = scenario()
    later = np.repeat([0.0, 0.3 * on.sustained_per_second], [60, 240])
    on = replace(
        on,
        traffic=Traffic("later", later),
        lead_time=LeadTime(10),
        bounds=Bounds(0, 4),
        rules=Rules(demand=DemandPolicy(0.0, timedelta(minutes=5))),
        by_events=by_events,
    )
    nothing_at_first = Optimum(0.0, None, np.zeros(300, np.int64))
    outcome = score(on, nothing_at_first, policy, 1.0, silent).outcome
    assert outcome.ready[0] == (0 if policy in TO_NONE else 1)
    assert outcome.ready[150:].min() >= 1
    assert outcome.late_share < 0.5


def test_progress_tells_the_policy_and_how_far_it_is(wave: Scenario, optimum: Optimum) -> None:
    told: list[tuple[str, float]] = []
    score(wave, optimum, "keda", 1.0, lambda what, share: told.append((what, share)))
    shares = [share for _, share in told if share >= 0]
    assert {what for what, _ in told} == {"keda"}
    assert shares == sorted(shares)
    assert 0.9 < shares[-1] < 1


def test_an_objective_below_the_service_time_is_refused() -> None:
    with pytest.raises(UnattainableObjective, match="an idle pod takes 8"):
        with_peak(Traffic("any", np.ones(2)), POD, Objective(95, 0.005), 10)


def test_readings_are_made_of_what_is_known_of_a_scenario(wave: Scenario) -> None:
    """The settings of the table: 70 % of what a pod sustains, by rate and by Little's law."""
    (reading,) = CONTENDERS["hpa-rps"](wave, 1.0).readings
    assert (reading.metric, reading.window_seconds, reading.lag_seconds) == (
        Metric.ARRIVALS,
        60,
        7.5,
    )
    table = wave.table
    load = wave.common_rate / table.capacity_per_second
    held = np.interp(load, table.loads, table.in_flight)
    assert wave.common_in_flight == pytest.approx(held, rel=0.01)


def test_a_feasible_schedule_is_the_policy_that_keeps_the_objective(wave: Scenario) -> None:
    needed = need(wave.traffic.rate_per_second, wave.sustained_per_second, fewest=1)
    planned = schedule(needed, slot_seconds=1.0, start_up_seconds=60)
    outcome = follow(
        planned.ordered, wave.traffic, wave.table, wave.lead_time, name="clairvoyant", seed=1
    )
    assert outcome.late_share <= MOST_LATE
    assert (outcome.ready >= needed).mean() > 0.999
    ordered_before = planned.replica_seconds - outcome.pod_seconds
    assert abs(ordered_before) < 60 * 10
