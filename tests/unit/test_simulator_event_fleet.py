"""A fleet by discrete events under a policy: what the fluid one has, of requests one by one."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from trireme.autoscaler.queueing import PodShape, latencies
from trireme.autoscaler.service_curve import ServiceCurve
from trireme.simulator.comparison import optimum_of, score
from trireme.simulator.event_fleet import EventFleet
from trireme.simulator.fluid import LeadTime, Outcome
from trireme.simulator.pods import Balancer
from trireme.simulator.policy import Bounds, Metric, Reading
from trireme.simulator.scenario import Objective, Scenario
from trireme.simulator.simulation import simulate
from trireme.simulator.traces import Traffic
from unit.simulator import Told

POD = PodShape(ServiceCurve(0.020, 0.010, 8))
CAPACITY = POD.capacity_per_second  # 80 requests a second
LIMIT = 0.25


def traffic(*parts: tuple[int, float]) -> Traffic:
    """Seconds at a rate, given as pods at their capacity."""
    rates = [np.full(seconds, pods * CAPACITY) for seconds, pods in parts]
    return Traffic("made", np.concatenate(rates))


def fleet(
    load: Traffic,
    replicas: int,
    *,
    pod: PodShape = POD,
    lead: LeadTime | None = None,
    balancer: Balancer = Balancer.RANDOM,
    deaths: tuple[tuple[int, int], ...] = (),
) -> EventFleet:
    lead = lead or LeadTime(30)
    return EventFleet(load, pod, LIMIT, lead, replicas, 1, balancer, 0, deaths)


def run(of: EventFleet, sizes: dict[int, int] | None = None) -> Outcome:
    return simulate(Told(sizes or {}), of, warm_up_seconds=0)


@pytest.mark.parametrize("balancer", list(Balancer))
@pytest.mark.parametrize("instances", [1, 2])
def test_what_comes_is_answered_lost_or_in_flight(balancer: Balancer, instances: int) -> None:
    """Through overload, pods that join, stop with a backlog and die, and a calm end."""
    load = traffic((30, 3.0), (30, 9.0), (30, 2.0), (60, 1.0))
    pods = fleet(
        load, 4, pod=replace(POD, instances=instances), balancer=balancer, deaths=((70, 1),)
    )
    outcome = run(pods, {35: 8, 75: 2})
    gone = outcome.answered_by_second.sum() + outcome.in_flight_by_second[-1] + outcome.lost
    assert outcome.requests + outcome.carried_in == gone
    assert outcome.lost > 0
    assert outcome.in_flight_by_second.max() > 1000 > outcome.in_flight_by_second[-1]


@pytest.mark.parametrize(
    "pod",
    [
        pytest.param(POD, id="one instance"),
        pytest.param(replace(POD, noise=0.3), id="times that vary"),
        pytest.param(
            replace(POD, curve=replace(POD.curve, gap_seconds=0.005)), id="a gap between batches"
        ),
    ],
)
def test_a_steady_pod_is_as_the_queueing_model_has_it(pod: PodShape) -> None:
    rate = 0.7 * pod.capacity_per_second
    steady = latencies(pod, rate)
    seen = fleet(Traffic("steady", np.full(1500, 4 * rate)), 4, pod=pod)
    expected = {
        Metric.ARRIVALS: 4 * rate,
        Metric.ANSWERS: 4 * rate,
        Metric.IN_FLIGHT: 4 * rate * steady.mean_seconds,
        Metric.LATENCY: steady.percentile_seconds(95),
        Metric.QUEUE_TIME: steady.mean_wait_seconds * 1e6,
        Metric.LATE_SHARE: steady.late_share(LIMIT),
        Metric.FAILURE_SHARE: 0.0,
    }
    readings = [Reading(metric, 500.0, 0.0, 95) for metric in expected]
    found = [[seen.read(reading, now) for reading in readings] for now in (500.0, 1000.0, 1500.0)]
    means = dict(zip(expected, np.mean(found, axis=0).tolist(), strict=True))
    assert means == pytest.approx(expected, rel=0.03, abs=0.003)


def test_requests_in_flight_are_read_as_their_mean_over_each_second() -> None:
    """Little's law to the last bit of what was counted: what is in flight, for how long, is what
    was answered, for as long as each took. What is there as a second ends would be rougher.
    """
    one_by_one = PodShape(ServiceCurve(0.1, 0.0, 1))
    rates = np.concatenate((np.zeros(10), np.full(80, 7.0), np.zeros(10)))
    seen = fleet(Traffic("between silences", rates), 1, pod=one_by_one)
    held, answered, waited = (
        seen.read(Reading(metric, 100.0, 0.0), 100.0)
        for metric in (Metric.IN_FLIGHT, Metric.ANSWERS, Metric.QUEUE_TIME)
    )
    assert held == pytest.approx(answered * (waited / 1e6 + 0.1), rel=1e-9)


def test_a_pod_answers_after_its_lead_time_and_is_paid_from_its_order_to_its_last_answer() -> None:
    outcome = run(fleet(traffic((100, 1.0)), 2), {10: 4, 80: 3})
    changes = [at for at, (a, b) in enumerate(pairwise(outcome.ready), start=1) if a != b]
    assert changes == [40, 80]
    assert outcome.ready[[39, 40, 80]].tolist() == [2, 4, 3]
    assert outcome.wanted[[9, 10, 80]].tolist() == [2, 4, 3]
    paid = 100 * 2 + 70 * 2 + 20
    assert paid <= outcome.pod_seconds < paid + 0.2  # a stopped pod ends its batches
    assert (outcome.scale_ups, outcome.scale_downs, outcome.max_replicas) == (1, 1, 4)


def test_pods_that_start_are_stopped_first() -> None:
    outcome = run(fleet(traffic((100, 1.0)), 4), {10: 6, 20: 4})
    assert set(outcome.ready.tolist()) == {4}
    assert outcome.pod_seconds == 4 * 100 + 2 * 10


def test_a_pod_that_dies_is_replaced_after_its_lead_time_and_its_requests_are_late() -> None:
    found = run(fleet(traffic((100, 2.0)), 4, deaths=((50, 2),)))
    assert found.ready[[49, 50, 79, 80]].tolist() == [4, 3, 3, 4]
    assert set(found.wanted.tolist()) == {4}
    assert 0 < found.lost <= found.late_by_second[49]


def test_where_no_pod_is_ready_what_comes_is_lost() -> None:
    pods = fleet(traffic((100, 0.5)), 1, deaths=((40, 0),))
    found = run(pods)
    silent = slice(40, 70)
    assert found.ready[silent].tolist() == [0] * 30
    assert found.late_by_second[silent].tolist() == found.requests_by_second[silent].tolist()
    share = Reading(Metric.FAILURE_SHARE, 20.0, 0.0)
    assert pods.read(share, 65.0) == 1
    assert math.isnan(pods.read(Reading(Metric.LATENCY, 10.0, 0.0, 95), 65.0))


def test_balancers_shorten_the_tail_of_a_random_split() -> None:
    p95 = {
        balancer: fleet(traffic((600, 3.4)), 4, balancer=balancer).read(
            Reading(Metric.LATENCY, 500.0, 0.0, 95), 600.0
        )
        for balancer in Balancer
    }
    assert p95[Balancer.POWER_OF_TWO] < 0.95 * p95[Balancer.RANDOM]
    assert p95[Balancer.LEAST_OUTSTANDING] < 0.95 * p95[Balancer.RANDOM]
    assert p95[Balancer.ROUND_ROBIN] < 0.95 * p95[Balancer.RANDOM]


def test_the_same_seed_is_the_same_run() -> None:
    load, sizes = traffic((60, 3.0), (60, 6.0)), {30: 9, 80: 4}
    one, other = (run(fleet(load, 4, lead=LeadTime(30, 0.5)), sizes) for _ in range(2))
    assert (one.late, one.pod_seconds) == (other.late, other.pod_seconds)
    assert one.ready.tolist() == other.ready.tolist()


@pytest.mark.parametrize("policy", ["trireme", "hpa-rps", "kpa"])
def test_a_policy_costs_as_much_as_over_the_fluid_fleet(policy: str) -> None:
    """In the loop: what it orders changes what it sees. 40 minutes that rise and fall."""
    rate = 2.6 + 1.6 * np.sin(np.arange(2400) / 2400 * 4 * np.pi)
    on = Scenario(
        Traffic("wave", rate * CAPACITY),
        POD,
        Objective(95, LIMIT),
        LeadTime(30),
        Bounds(1, 12),
        seed=1,
        balancer=Balancer.RANDOM,
    )
    optimum = optimum_of(on, lambda what, share: None)
    fluid, events = (
        score(replace(on, by_events=by), optimum, policy, 1.0, lambda what, share: None)
        for by in (False, True)
    )
    assert events.gpu_hours == pytest.approx(fluid.gpu_hours, rel=0.05)
    assert events.outcome.late_share == pytest.approx(fluid.outcome.late_share, abs=0.015)
    assert events.outcome.scale_ups > 0
