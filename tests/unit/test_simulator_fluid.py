"""The fluid fleet: no request is lost, pods come and go in time, readings mean what they say."""

import math
from itertools import pairwise

import numpy as np
import pytest

from fluid_windows import RUN_IN_SECONDS, WINDOW_SECONDS, by_events, by_fluid
from trireme.autoscaler.queueing import PodShape, latencies
from trireme.autoscaler.service_curve import ServiceCurve
from trireme.simulator.fluid import Fleet, LeadTime, Outcome
from trireme.simulator.load_table import LoadTable, load_table
from trireme.simulator.pods import Balancer
from trireme.simulator.policy import Bounds, Metric, Reading
from trireme.simulator.scenario import Objective, Scenario
from trireme.simulator.simulation import WARM_UP_SECONDS, simulate
from trireme.simulator.traces import Traffic
from unit.simulator import Told

POD = PodShape(ServiceCurve(0.006, 0.002, 16))
CAPACITY = POD.capacity_per_second
LIMIT = 0.1


@pytest.fixture(scope="module")
def table() -> LoadTable:
    return load_table(POD, LIMIT)


def traffic(*parts: tuple[int, float]) -> Traffic:
    """Seconds at a rate, given as pods at their capacity."""
    rates = [np.full(seconds, pods * CAPACITY) for seconds, pods in parts]
    return Traffic("made", np.concatenate(rates))


def run(
    load: Traffic,
    table: LoadTable,
    sizes: dict[int, int] | None = None,
    *,
    replicas: int,
    lead: LeadTime | None = None,
    balancer: Balancer = Balancer.RANDOM,
) -> Outcome:
    pods = Fleet(load, table, lead or LeadTime(30), replicas, 1, balancer, warm_up_seconds=0)
    return simulate(Told(sizes or {}), pods, warm_up_seconds=0)


def fleet(load: Traffic, table: LoadTable, replicas: int) -> Fleet:
    return Fleet(load, table, LeadTime(30), replicas, 1, Balancer.RANDOM, 0)


@pytest.mark.parametrize("balancer", list(Balancer))
def test_what_comes_is_answered_or_in_flight(table: LoadTable, balancer: Balancer) -> None:
    """Through overload, pods that join, pods that stop with a backlog, and a calm end."""
    load = traffic((60, 3.0), (60, 9.0), (60, 2.0), (120, 1.0))
    outcome = run(load, table, {65: 8, 130: 2}, replicas=4, balancer=balancer)
    left = outcome.in_flight_by_second[-1]
    gone = outcome.answered_by_second.sum() + left
    assert outcome.requests + outcome.carried_in == pytest.approx(gone, rel=1e-9)
    assert outcome.in_flight_by_second.max() > 100 * left > 0


def test_without_a_pod_what_comes_is_lost_until_one_is_ready(table: LoadTable) -> None:
    pods = fleet(traffic((120, 0.5)), table, replicas=0)
    outcome = simulate(Told({10: 1, 100: 0}), pods, warm_up_seconds=0)
    assert outcome.ready[[39, 40, 99, 100]].tolist() == [0, 1, 1, 0]
    came = outcome.requests_by_second
    lost = [*came[:40], *np.zeros(60), *came[100:]]
    assert outcome.late_by_second.tolist() == pytest.approx(lost, abs=1e-3)
    assert outcome.lost == pytest.approx(sum(lost))
    assert outcome.pod_seconds == pytest.approx(90, abs=0.1)
    assert pods.read(Reading(Metric.FAILURE_SHARE, 20.0, 0.0), 35.0) == 1


@pytest.mark.parametrize("load", [0.3, 0.7, 0.93])
def test_a_steady_fleet_is_as_the_queueing_model_has_it(table: LoadTable, load: float) -> None:
    steady = latencies(POD, load * CAPACITY)
    outcome = run(traffic((300, 10 * load)), table, replicas=10)
    assert outcome.late_share == pytest.approx(steady.late_share(LIMIT), abs=5e-4)
    held = 10 * load * CAPACITY * steady.mean_seconds
    assert outcome.in_flight_by_second[-1] == pytest.approx(held, rel=0.01)


def test_a_backlog_grows_by_what_is_too_much(table: LoadTable) -> None:
    outcome = run(traffic((60, 5.0), (60, 15.0)), table, replicas=10)
    held = outcome.in_flight_by_second
    assert held[119] - held[99] == pytest.approx(20 * 5 * CAPACITY, rel=0.01)
    assert outcome.late_by_second[-1] == pytest.approx(outcome.requests_by_second[-1])


def test_a_pod_answers_after_its_lead_time_and_is_paid_from_its_order(table: LoadTable) -> None:
    outcome = run(traffic((100, 1.0)), table, {10: 4, 80: 3}, replicas=2)
    changes = [at for at, (a, b) in enumerate(pairwise(outcome.ready), start=1) if a != b]
    assert changes == [40, 80]
    assert outcome.ready[[39, 40, 80]].tolist() == [2, 4, 3]
    assert outcome.wanted[[9, 10, 80]].tolist() == [2, 4, 3]
    paid = 100 * 2 + 70 * 2 + 20
    assert outcome.pod_seconds == pytest.approx(paid, abs=0.1)  # a stopped pod ends its batch
    assert (outcome.scale_ups, outcome.scale_downs, outcome.max_replicas) == (1, 1, 4)


def test_pods_that_start_are_stopped_first(table: LoadTable) -> None:
    outcome = run(traffic((100, 1.0)), table, {10: 6, 20: 4}, replicas=4)
    assert set(outcome.ready.tolist()) == {4}
    assert outcome.pod_seconds == 4 * 100 + 2 * 10


def test_lead_times_vary_around_theirs() -> None:
    generator = np.random.default_rng(1)
    drawn = [LeadTime(60, 0.3).draw(generator) for _ in range(4000)]
    assert np.mean(drawn) == pytest.approx(60.5, rel=0.02)  # rounded up to whole seconds
    assert np.std(drawn) == pytest.approx(18, rel=0.1)
    assert {LeadTime(60).draw(generator) for _ in range(5)} == {60}


def test_a_balancer_that_looks_at_pods_drains_a_backlog_sooner(table: LoadTable) -> None:
    """Pods that join an overloaded fleet are sent more, so the others' queues shrink faster."""
    load = traffic((60, 3.0), (240, 6.0))
    least, two, evenly = (
        run(load, table, {60: 8}, replicas=4, balancer=balancer).in_flight_by_second[110]
        for balancer in (Balancer.LEAST_OUTSTANDING, Balancer.POWER_OF_TWO, Balancer.RANDOM)
    )
    assert least < two < 0.9 * evenly


def test_readings_of_a_steady_fleet(table: LoadTable) -> None:
    each = latencies(POD, 0.8 * CAPACITY)
    seen = fleet(traffic((300, 8.0)), table, 10)
    rate = 8 * CAPACITY
    expected = {
        Metric.ARRIVALS: rate,
        Metric.ANSWERS: rate,
        Metric.IN_FLIGHT: rate * each.mean_seconds,
        Metric.LATENCY: each.percentile_seconds(95),
        Metric.QUEUE_TIME: each.mean_wait_seconds * 1e6,
        Metric.FAILURE_SHARE: 0.0,
    }
    for metric, value in expected.items():
        reading = Reading(metric, 60.0, 7.5, 95 if metric is Metric.LATENCY else None)
        assert seen.read(reading, 200.0) == pytest.approx(value, rel=0.01), metric


def test_a_reading_is_of_its_window(table: LoadTable) -> None:
    """After a step at 100 s, a window of 60 s that ended 10 s ago has half of it at 140 s."""
    seen = fleet(traffic((100, 2.0), (200, 6.0)), table, 10)
    arrivals = Reading(Metric.ARRIVALS, 60.0, 10.0)
    in_pods = [seen.read(arrivals, now) / CAPACITY for now in (100.0, 140.0, 180.0)]
    assert in_pods == pytest.approx([2.0, 4.0, 6.0], rel=0.02)


def test_an_idle_window_has_no_latency(table: LoadTable) -> None:
    seen = fleet(traffic((300, 0.0)), table, 2)
    for metric in (Metric.LATENCY, Metric.QUEUE_TIME, Metric.FAILURE_SHARE):
        assert math.isnan(seen.read(Reading(metric, 60.0, 0.0, 95), 100.0))
    assert seen.read(Reading(Metric.ARRIVALS, 60.0, 0.0), 100.0) == 0


def test_a_wait_is_seen_when_it_is_over(table: LoadTable) -> None:
    """Of requests that wait for 20 s nobody knows the latency before."""
    seen = fleet(traffic((100, 1.0), (20, 10.0), (100, 0.0)), table, 5)
    latency = Reading(Metric.LATENCY, 5.0, 0.0, 95)
    assert seen.read(latency, 112.0) < 10 < seen.read(latency, 136.0) < 25


def test_the_same_seed_is_the_same_run(table: LoadTable) -> None:
    load = traffic((100, 3.0), (100, 6.0))
    sizes = {50: 9, 120: 4}
    one, other = (run(load, table, sizes, replicas=4, lead=LeadTime(30, 0.5)) for _ in range(2))
    assert (one.late, one.pod_seconds) == (other.late, other.pod_seconds)
    assert one.ready.tolist() == other.ready.tolist()


def test_the_warm_up_is_not_counted(table: LoadTable) -> None:
    """A policy that wants another size than it is given has it when counting begins."""
    load = traffic((100, 3.0))
    pods = Fleet(load, table, LeadTime(30), 4, 1, Balancer.RANDOM, WARM_UP_SECONDS)
    outcome = simulate(Told({-500: 6}), pods)
    assert (outcome.scale_ups, outcome.max_replicas, outcome.pod_seconds) == (0, 6, 600)


@pytest.mark.parametrize(
    ("loads", "pods"),
    [
        pytest.param([0.6] * 4, [8] * 4, id="steady"),
        pytest.param([0.9, 0.7, 0.92, 0.8], [8, 8, 8, 8], id="near the capacity"),
        pytest.param([0.8, 0.9, 0.6, 0.7], [6, 8, 5, 9], id="pods come and go"),
    ],
)
def test_it_agrees_with_discrete_events(loads: list[float], pods: list[int]) -> None:
    """p95 within 2 %, late requests within half a point: 300 s each, some 600,000 requests."""
    each = (RUN_IN_SECONDS + WINDOW_SECONDS) // len(loads)
    ready = np.repeat(pods, each)
    rate = ready * np.repeat(loads, each) * CAPACITY
    on = Scenario(
        Traffic("window", rate), POD, Objective(95, LIMIT), LeadTime(0), Bounds(1, 40), seed=1
    )
    found, truth = by_fluid(rate, ready, on, seed=1), by_events(rate, ready, on, seed=1)
    assert found.p95_error(truth) < 0.02
    assert found.late_error(truth) < 0.005
