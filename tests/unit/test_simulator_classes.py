"""Fleets of several node classes in virtual time: what they cost, and what becomes of requests."""

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from trireme.autoscaler.queueing import PodShape
from trireme.autoscaler.service_curve import ServiceCurve
from trireme.autoscaler.types.policy import DemandPolicy
from trireme.simulator.class_comparison import (
    ClassScenario,
    ClassScore,
    compare,
    least_cost,
    of_mix,
)
from trireme.simulator.class_fleet import ClassFleet, PodClass
from trireme.simulator.comparison import HOUR, MOST_LATE
from trireme.simulator.contenders import CONTENDERS
from trireme.simulator.fluid import LeadTime
from trireme.simulator.policy import Bounds, Metric, Reading
from trireme.simulator.scenario import Objective, Rules
from trireme.simulator.simulation import WARM_UP_SECONDS, simulate
from trireme.simulator.traces import Traffic

OBJECTIVE = Objective(95, 0.2)
SMALL = PodClass("l4", 0.3, PodShape(ServiceCurve(0.020, 0.008, 8)), LeadTime(60))
LARGE = PodClass("a100", 1.0, PodShape(ServiceCurve(0.010, 0.002, 16)), LeadTime(90))
WAVE = 1.0 + 0.8 * np.sin(np.linspace(0, 2 * np.pi, 3600))


def scenario(*classes: PodClass, peak: float = 900.0) -> ClassScenario:
    traffic = Traffic("wave", peak * WAVE / WAVE.max())
    return ClassScenario(traffic, classes, OBJECTIVE, Bounds(1, 60), seed=1)


def fleet(
    rate: float,
    pods: tuple[int, int],
    seconds: int = 600,
    deaths: tuple[tuple[int, int], ...] = (),
) -> ClassFleet:
    """Pods of both classes under steady traffic."""
    on = scenario(SMALL, LARGE)
    steady = Traffic("steady", np.full(seconds, rate))
    rates, limit = on.sustained_per_second, OBJECTIVE.limit_seconds
    found = ClassFleet(steady, on.classes, rates, limit, pods, 1, 0, deaths)
    found.count_from_now()
    return found


def silent(what: str, share: float) -> None:
    pass


@pytest.fixture(scope="module")
def compared() -> Sequence[ClassScore]:
    """The mix of both classes, and two policies on each class alone."""
    return tuple(compare(scenario(SMALL, LARGE), ["trireme", "hpa-rps"], silent))


def test_at_the_sum_of_what_pods_sustain_the_objective_is_just_kept() -> None:
    small, large = scenario(SMALL, LARGE).sustained_per_second
    running = fleet(3 * small + 2 * large, (3, 2))
    running.advance(600)
    seen = {
        metric: running.read(Reading(metric, 300, 0, 95), 600)
        for metric in (Metric.LATENCY, Metric.LATE_SHARE, Metric.FAILURE_SHARE)
    }
    assert seen[Metric.LATENCY] == pytest.approx(0.2, rel=0.03)
    assert seen[Metric.LATE_SHARE] == pytest.approx(0.05, abs=0.005)
    assert seen[Metric.FAILURE_SHARE] == 0


def test_no_request_is_lost_where_pods_come_and_go() -> None:
    small, large = scenario(SMALL, LARGE).sustained_per_second
    running = fleet(1.5 * (2 * small + large), (2, 1))  # too much for them
    held = running.read(Reading(Metric.IN_FLIGHT, 1, 0), 0)
    running.resize((5, 2), 60)
    running.resize((1, 2), 300)
    running.advance(600)
    came = 600 * 1.5 * (2 * small + large)
    answered = 600 * running.read(Reading(Metric.ANSWERS, 600, 0), 600)
    left = running.read(Reading(Metric.IN_FLIGHT, 1, 0), 600)
    assert answered + left - held == pytest.approx(came, rel=0.03), "but for what is drawn"


def test_a_pod_that_dies_is_replaced_by_one_of_its_class_and_its_requests_are_lost() -> None:
    small, large = scenario(SMALL, LARGE).sustained_per_second
    running = fleet(3 * small + 2 * large, (3, 2), deaths=((50, 4), (52, 9)))
    ready = []
    for second in (50, 51, 139, 140):
        running.advance(second)
        ready.append(running.ready)
    assert ready == [(3, 2), (3, 1), (3, 1), (3, 2)]
    assert running.replicas == (3, 2)
    assert running.read(Reading(Metric.FAILURE_SHARE, 10, 0), 55) > 0
    undisturbed = fleet(3 * small + 2 * large, (3, 2))
    undisturbed.advance(141)
    assert running.outcome(0, 0, 5).late > undisturbed.outcome(0, 0, 5).late


def test_without_a_pod_of_any_class_what_comes_is_lost() -> None:
    running = fleet(100.0, (0, 0), seconds=100)
    running.resize((1, 0), 0)
    running.advance(100)
    found = running.outcome(1, 0, 1)
    assert found.late_by_second[:60].tolist() == [100.0] * 60
    assert running.read(Reading(Metric.FAILURE_SHARE, 20, 0), 50) == 1
    assert math.isnan(running.read(Reading(Metric.LATENCY, 20, 0, 95), 50))


def test_a_mix_goes_to_none_and_comes_back_by_what_is_asked_outside() -> None:
    on_off = np.where(np.arange(2400) % 1200 < 600, 300.0, 0.0)
    demand = DemandPolicy(0.0, timedelta(minutes=2))
    on = replace(
        scenario(SMALL, LARGE),
        traffic=Traffic("on and off", on_off),
        bounds=Bounds(0, 60),
        rules=Rules(demand=demand),
    )
    ready = of_mix(on, lambda second: None).ready.sum(axis=0)
    assert ready[[599, 1199, 1799, 2399]].tolist() == [pytest.approx(4, abs=3), 0] * 2


def test_a_mix_keeps_within_a_gpu_budget(compared: Sequence[ClassScore]) -> None:
    small, large = replace(SMALL, gpus=1), replace(LARGE, gpus=2)
    free = compared[0].outcome
    bound = of_mix(replace(scenario(small, large), gpus=4), lambda second: None)
    taken = np.array([1, 2]) @ bound.ready
    assert taken.max() == 4 < (np.array([1, 2]) @ free.ready).max()
    assert bound.late > free.late


def test_a_class_whose_pods_a_gpu_budget_has_no_room_for_is_not_tried_alone() -> None:
    small, large = replace(SMALL, gpus=1), replace(LARGE, gpus=8)
    steady = Traffic("steady", np.full(600, 100.0))
    on = replace(scenario(small, large), traffic=steady, gpus=4)
    told = compare(on, ["hpa-rps"], silent)
    assert [[each.name for each in score.classes] for score in told] == [["l4", "a100"], ["l4"]]


def test_pods_are_paid_from_their_order_to_their_last_answer() -> None:
    running = fleet(1.0, (2, 1))
    running.resize((3, 1), 100)
    assert (running.replicas, running.ready) == ((3, 1), (2, 1))
    running.advance(161)
    assert running.ready == (3, 1)
    running.resize((1, 1), 200)
    running.advance(600)
    small, large = running.outcome(0, 0, 0).pod_seconds
    assert small == pytest.approx(2 * 200 + 100 + 400, abs=0.1)
    assert large == 600


def test_of_pods_that_are_to_go_those_that_start_are_first() -> None:
    running = fleet(1.0, (2, 1))
    running.resize((4, 1), 100)
    running.resize((2, 1), 110)
    running.advance(300)
    assert running.ready == (2, 1)


def test_what_no_window_looks_at_any_more_is_forgotten() -> None:
    running = fleet(50.0, (2, 1), seconds=3600)
    running.advance(3600)
    late = [running.read(Reading(Metric.LATE_SHARE, 60, lag), 3600) for lag in (0, 540, 660, 3000)]
    assert [math.isnan(each) for each in late] == [False, False, True, True]


def test_what_cannot_be_read_of_several_classes_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be read of pods of several classes"):
        fleet(1.0, (1, 1)).read(Reading(Metric.QUEUE_TIME, 30, 0), 0)


def test_one_class_is_as_the_fleet_of_one_sort_of_pods_has_it() -> None:
    on = scenario(SMALL)
    alone = on.alone(SMALL)
    first = math.ceil(on.traffic.rate_per_second[0] / alone.sustained_per_second)
    fleet_of_one = alone.fleet(first, WARM_UP_SECONDS)
    usual = simulate(CONTENDERS["trireme"](alone, 1.0), fleet_of_one)
    mixed = of_mix(on, lambda second: None)
    assert sum(mixed.pod_seconds) == pytest.approx(usual.pod_seconds, rel=0.03)
    assert mixed.late_share == pytest.approx(usual.late_share, abs=0.01)


def test_the_mix_is_put_beside_each_policy_on_each_class(compared: Sequence[ClassScore]) -> None:
    mix, *alone = compared
    assert [(each.policy, [c.name for c in each.classes]) for each in (mix, *alone)] == [
        ("trireme", ["l4", "a100"]),
        ("trireme", ["l4"]),
        ("hpa-rps", ["l4"]),
        ("trireme", ["a100"]),
        ("hpa-rps", ["a100"]),
    ]
    assert mix.cost <= 1.1 * min(each.cost for each in alone), "what a change of the mix costs"
    assert mix.outcome.late_share <= MOST_LATE
    assert mix.cost == sum(
        each.price * seconds / HOUR
        for each, seconds in zip(mix.classes, mix.outcome.pod_seconds, strict=True)
    )
    assert all(each.cost >= each.least_cost for each in (mix, *alone))


def test_the_pods_of_each_second_are_those_that_are_paid(compared: Sequence[ClassScore]) -> None:
    """But for the time that pods take to start, and to answer what they have when they stop."""
    outcome = compared[0].outcome
    assert outcome.ready.shape == (2, len(outcome.requests_by_second))
    for ready, paid in zip(outcome.ready.sum(axis=1), outcome.pod_seconds, strict=True):
        assert 0 < ready <= paid
    assert outcome.late_by_second.sum() == pytest.approx(outcome.late)


def test_the_least_cost_is_that_of_the_cheapest_pods_at_each_moment() -> None:
    on = scenario(SMALL)
    (rate,) = on.sustained_per_second
    steady = replace(on, traffic=Traffic("steady", np.full(3600, 3.5 * rate)))
    assert least_cost(steady) == pytest.approx(4 * 0.3)
    both = scenario(SMALL, LARGE)
    assert least_cost(both) <= min(least_cost(scenario(SMALL)), least_cost(scenario(LARGE)))


def test_of_what_needs_no_pod_there_is_no_ratio_and_who_keeps_one_begins_with_it() -> None:
    quiet = replace(
        scenario(SMALL),
        traffic=Traffic("quiet", np.zeros(600)),
        bounds=Bounds(0, 60),
        rules=Rules(demand=DemandPolicy(0.0, timedelta(minutes=5))),
    )
    mix, alone = compare(quiet, ["hpa-rps"], silent)
    assert (mix.least_cost, mix.ratio, alone.ratio) == (0, None, None)
    assert (mix.outcome.ready.max(), alone.outcome.ready.min()) == (0, 1)


def test_a_part_without_any_request_costs_one_cheap_pod() -> None:
    quiet = replace(scenario(SMALL, LARGE), traffic=Traffic("quiet", np.zeros(3600)))
    assert least_cost(quiet) == pytest.approx(0.3)
    mix, alone, _ = compare(quiet, ["hpa-rps"], silent)
    assert mix.cost == alone.cost == pytest.approx(0.3)
    assert (mix.outcome.late_share, alone.outcome.late_share) == (0, 0)


def test_the_cheapest_mix_takes_small_pods_for_what_large_ones_leave() -> None:
    on = scenario(SMALL, LARGE)
    small, large = on.sustained_per_second
    assert on.cheapest(2 * large + 0.5 * small, on.bounds) == (1, 2)
