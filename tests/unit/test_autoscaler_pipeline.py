"""Pipelines of batch servers: what is known of them exactly, and other simulations."""

import functools

import numpy as np
import pytest

from pipelines import SINGLE, SLOW, in_series
from pods import LIGHT, MEDIUM, NARROW
from trireme.autoscaler import queueing
from trireme.autoscaler.batch_events import (
    Floats,
    PodModel,
    poisson_arrivals,
    serve,
    serve_by_priority,
)
from trireme.autoscaler.pipeline import StepShape, busiest, latencies, sustained_rate
from trireme.autoscaler.queueing import PodShape, Sustained, Unattainable
from trireme.autoscaler.service_curve import ServiceCurve
from trireme.simulator.pods import Balancer, serve_fleet

sustained = functools.cache(sustained_rate)  # some tests ask the same, and it takes a second


@pytest.mark.parametrize("curve", [LIGHT, MEDIUM, NARROW], ids=str)
def test_a_pipeline_of_one_step_sustains_what_its_model_does(curve: ServiceCurve) -> None:
    limit = 2 * curve.full_batch_seconds
    alone = queueing.sustained_rate(PodShape(curve), 95, limit)
    line = sustained(in_series((curve, 1)), 95, limit)
    assert isinstance(alone, Sustained)
    assert isinstance(line, Sustained)
    assert line.per_second == pytest.approx(alone.per_second, rel=0.02)


def by_another_simulation(curves: tuple[ServiceCurve, ...], rate: float, requests: int) -> Floats:
    """Requests through pods in series, each simulated by a queue of events."""
    generator = np.random.default_rng(7)
    arrivals = poisson_arrivals(rate, requests, generator)
    at = arrivals
    for curve in curves:
        order = np.argsort(at, kind="stable")
        served = serve_fleet(at[order], 1, PodModel(curve), Balancer.LEAST_OUTSTANDING, generator)
        ends = np.empty_like(at)
        ends[order] = at[order] + served.latency_seconds
        at = ends
    return at - arrivals


@pytest.mark.parametrize(
    "curves",
    [
        pytest.param((LIGHT, MEDIUM), id="a quick step before a slow one"),
        pytest.param((SLOW, SINGLE), id="batches before one by one"),
        pytest.param((MEDIUM, LIGHT, NARROW), id="three steps"),
    ],
)
def test_percentiles_are_those_of_another_simulation(curves: tuple[ServiceCurve, ...]) -> None:
    line = in_series(*((curve, 1) for curve in curves))
    rate = 0.7 * line[busiest(line)].capacity_per_second
    found, other = latencies(line, rate), by_another_simulation(curves, rate, 60_000)
    for percentile in (50, 95):
        expected = pytest.approx(float(np.percentile(other, percentile)), rel=0.04)
        assert float(np.percentile(found, percentile)) == expected


def test_nobody_waits_before_a_second_step_that_is_no_slower_than_the_first() -> None:
    # H. Friedman, Reduction methods for tandem queuing systems, 1965: constant times, one by one.
    first, second = ServiceCurve(0.010, 0.0, 1), ServiceCurve(0.010, 0.0, 1)
    one = latencies(in_series((first, 1)), 80.0)
    two = latencies(in_series((first, 1), (second, 1)), 80.0)
    assert two == pytest.approx(one + 0.010)


def test_a_request_waits_for_the_longer_of_two_branches() -> None:
    quick, slow = PodModel(ServiceCurve(0.010, 0.0, 1)), PodModel(ServiceCurve(0.030, 0.0, 1))
    line = (StepShape(quick), StepShape(slow), StepShape(quick, after=(0, 1)))
    assert np.median(latencies(line, 0.01)) == pytest.approx(0.040)


def test_what_others_ask_of_a_step_is_taken_from_the_pipeline() -> None:
    alone = in_series((MEDIUM, 1), (LIGHT, 1))
    shared = (StepShape(PodModel(MEDIUM), calls=2.0), alone[1])
    limit = 3 * MEDIUM.full_batch_seconds
    own, halved = (sustained(line, 95, limit) for line in (alone, shared))
    assert isinstance(own, Sustained)
    assert isinstance(halved, Sustained)
    assert halved.per_second == pytest.approx(own.per_second / 2, rel=0.1)


def test_the_busiest_step_is_the_one_nearest_to_its_capacity() -> None:
    line = in_series((SLOW, 1), (NARROW, 1))  # 615/s and 195/s
    assert busiest(line) == 1
    assert busiest((StepShape(line[0].pod, calls=4.0), line[1])) == 0


def test_no_rate_is_low_enough_for_a_limit_below_the_steps_together() -> None:
    line = in_series((MEDIUM, 1), (LIGHT, 1))  # 8 ms and 4.5 ms
    found = sustained(line, 95, 0.012)
    assert found == Unattainable(pytest.approx(0.0125, rel=0.01))
    assert isinstance(sustained(line, 95, 0.013), Sustained)


def test_the_same_question_has_the_same_answer() -> None:
    line = in_series((MEDIUM, 1), (LIGHT, 2))
    assert sustained_rate(line, 95, 0.1) == sustained_rate(line, 95, 0.1)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_within_what_is_sustained_with_priorities_few_are_late_whoever_has_one(
    share: float,
) -> None:
    (step,) = in_series((MEDIUM, 1))
    limit = 2.5 * MEDIUM.full_batch_seconds
    found = sustained((StepShape(step.pod, has_priorities=True),), 95, limit)
    assert isinstance(found, Sustained)
    generator = np.random.default_rng(5)
    arrivals = poisson_arrivals(found.per_second, 120_000, generator)
    levels = (generator.random(len(arrivals)) > share).astype(np.int64)
    served = serve_by_priority(arrivals, levels, step.pod, generator)
    assert np.mean(served.latency_seconds > limit) < 0.06


def test_priorities_cost_a_little_of_what_is_sustained() -> None:
    (step,) = in_series((MEDIUM, 1))
    limit = 2.5 * MEDIUM.full_batch_seconds
    line, ranked = (step,), (StepShape(step.pod, has_priorities=True),)
    in_order, by_rank = (sustained(steps, 95, limit) for steps in (line, ranked))
    assert isinstance(in_order, Sustained)
    assert isinstance(by_rank, Sustained)
    assert 0.93 * in_order.per_second < by_rank.per_second < in_order.per_second


def test_of_one_priority_all_are_served_as_in_a_queue_in_order() -> None:
    generator = np.random.default_rng(5)
    arrivals = poisson_arrivals(700.0, 5_000, generator)
    pod = PodModel(MEDIUM, instances=2)
    ranked = serve_by_priority(arrivals, np.zeros(len(arrivals), np.int64), pod, generator)
    in_order = serve(arrivals, pod, generator)
    assert ranked.latency_seconds == pytest.approx(in_order.latency_seconds)
    assert ranked.batches.tolist() == in_order.batches.tolist()


def test_the_first_priority_hardly_waits_behind_a_queue_of_the_second() -> None:
    curve = ServiceCurve(0.010, 0.0, 1)
    arrivals = np.concatenate((np.zeros(10), [0.005]))
    levels = np.array([1] * 10 + [0])
    served = serve_by_priority(arrivals, levels, PodModel(curve), np.random.default_rng(1))
    assert served.wait_seconds[-1] == pytest.approx(0.005)
    assert served.wait_seconds[:10].tolist() == pytest.approx(
        [0.0, *(0.010 * (place + 1) for place in range(1, 10))]
    )


def test_requests_that_waited_too_long_are_late_however_soon_they_are_told() -> None:
    (step,) = in_series((MEDIUM, 1))
    hasty = StepShape(step.pod, timeout_seconds=0.020)
    rate = 0.8 * step.capacity_per_second
    patient, rejected = latencies((step,), rate), np.isinf(latencies((hasty,), rate))
    generator = np.random.default_rng(5)
    waits = serve(poisson_arrivals(rate, 60_000, generator), step.pod, generator)
    assert rejected.mean() == pytest.approx(np.mean(waits.wait_seconds > 0.020), rel=0.1)
    assert np.isfinite(patient).all()


@pytest.mark.parametrize(
    ("most_rejected", "part"),
    [
        pytest.param(1.0, (0.8, 0.999), id="they count as late"),
        pytest.param(0.001, (0.2, 0.8), id="and as failures, of which few are allowed"),
    ],
)
def test_a_time_out_leaves_less_that_is_sustained(
    most_rejected: float, part: tuple[float, float]
) -> None:
    (step,) = in_series((MEDIUM, 1))
    hasty = StepShape(step.pod, timeout_seconds=MEDIUM.full_batch_seconds)
    limit = 4 * MEDIUM.full_batch_seconds
    patient = sustained((step,), 95, limit, most_rejected)
    found = sustained((hasty,), 95, limit, most_rejected)
    assert isinstance(patient, Sustained)
    assert isinstance(found, Sustained)
    low, high = part
    assert low < found.per_second / patient.per_second < high


def test_a_time_out_beyond_the_limit_changes_nothing_where_failures_are_allowed() -> None:
    (step,) = in_series((MEDIUM, 1))
    limit = 2 * MEDIUM.full_batch_seconds
    late = StepShape(step.pod, timeout_seconds=limit)
    assert sustained((late,), 95, limit) == sustained((step,), 95, limit)
