"""The queueing model against discrete events, golden figures and what must hold of any queue."""

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tools.overlap import waiting_percent

from pods import LIGHT, MEDIUM, NARROW, PROFILES, WIDE, simulated
from trireme.autoscaler.batch_chain import Factors, poisson, waiting_at_ends
from trireme.autoscaler.overlap import waiting_share
from trireme.autoscaler.queueing import (
    Latencies,
    PodShape,
    Sustained,
    Unattainable,
    late_share,
    latencies,
    percentile_seconds,
    sustained_rate,
)
from trireme.autoscaler.service_curve import ServiceCurve

STEADY = Factors(np.ones(1), np.ones(1))


def at_load(shape: PodShape, load: float) -> Latencies:
    return latencies(shape, load * shape.capacity_per_second)


# ------------------------------------------------------------------------------ discrete events


# All 28 cases with ten times the requests: tests/bench/chain.py.
@pytest.mark.parametrize("curve", PROFILES, ids=str)
@pytest.mark.parametrize("load", [0.1, 0.5, 0.8, 0.9])
def test_percentiles_are_those_of_discrete_events(curve: ServiceCurve, load: float) -> None:
    seen = simulated(PodShape(curve), load, requests=800_000 if load > 0.6 else 100_000)
    predicted = at_load(PodShape(curve), load)
    assert predicted.percentile_seconds(95) == pytest.approx(seen.percentile_seconds(95), rel=0.02)
    assert predicted.percentile_seconds(99) == pytest.approx(seen.percentile_seconds(99), rel=0.03)
    assert predicted.mean_seconds == pytest.approx(float(seen.latency_seconds.mean()), rel=0.01)


@pytest.mark.parametrize("gap", [0.0011, 0.006])
@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_a_gap_between_batches_makes_percentiles_what_they_are_in_discrete_events(
    gap: float, load: float, noise: float
) -> None:
    shape = PodShape(ServiceCurve(0.0211, 0.00512, 8, gap), noise=noise)
    seen = simulated(shape, load, requests=400_000)
    predicted = at_load(shape, load)
    tail = pytest.approx(seen.percentile_seconds(95), rel=0.04 if noise else 0.02)
    assert predicted.percentile_seconds(95) == tail
    assert predicted.mean_seconds == pytest.approx(float(seen.latency_seconds.mean()), rel=0.02)


def test_a_sustained_rate_with_a_gap_keeps_the_objective_in_discrete_events() -> None:
    shape = PodShape(ServiceCurve(0.0211, 0.00512, 8, 0.0031))
    found = sustained_rate(shape, 95, 0.150)
    assert isinstance(found, Sustained)
    load = found.per_second / shape.capacity_per_second
    seen = simulated(shape, load, requests=800_000)
    assert seen.percentile_seconds(95) == pytest.approx(0.150, rel=0.03)
    without = sustained_rate(PodShape(ServiceCurve(0.0211, 0.00512, 8)), 95, 0.150)
    assert isinstance(without, Sustained)
    assert found.per_second < without.per_second


@pytest.mark.parametrize(
    ("noise", "slower"),
    # Source: simulations of the (4, 0.5, 32) profile at 70 % load, whose distribution is not told.
    [(0.1, 1.05), (0.2, 1.18), (0.3, 1.38), (0.5, 2.07)],
)
def test_noise_in_service_times_makes_the_tail_as_much_longer_as_it_does(
    noise: float, slower: float
) -> None:
    steady = at_load(PodShape(LIGHT), 0.7).percentile_seconds(95)
    noisy = at_load(PodShape(LIGHT, noise=noise), 0.7).percentile_seconds(95)
    assert noisy / steady == pytest.approx(slower, rel=0.04)


@pytest.mark.parametrize(("curve", "load"), [(LIGHT, 0.3), (LIGHT, 0.7), (NARROW, 0.3)], ids=str)
def test_percentiles_under_noise_are_those_of_discrete_events(
    curve: ServiceCurve, load: float
) -> None:
    shape = PodShape(curve, noise=0.3)
    seen, predicted = simulated(shape, load, requests=300_000), at_load(shape, load)
    for percentile in (50, 95, 99):
        expected = seen.percentile_seconds(percentile)
        assert predicted.percentile_seconds(percentile) == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize(
    ("curve", "instances", "load"),
    [
        (LIGHT, 2, 0.5),
        (LIGHT, 4, 0.9),
        (MEDIUM, 2, 0.8),
        (WIDE, 4, 0.5),
        (NARROW, 2, 0.9),
        (MEDIUM, 3, 0.7),
    ],
    ids=str,
)
def test_percentiles_of_several_instances_are_near_those_of_discrete_events(
    curve: ServiceCurve, instances: int, load: float
) -> None:
    shape = PodShape(curve, instances)
    seen = simulated(shape, load, requests=400_000 if load > 0.6 else 100_000)
    predicted = at_load(shape, load).percentile_seconds(95)
    assert predicted == pytest.approx(seen.percentile_seconds(95), rel=0.07)


@pytest.mark.parametrize("cell", [(2, 0.25, 16, 0.5), (4, 0.6, 32, 0.3)], ids=str)
def test_the_table_of_several_instances_is_what_its_tool_writes(
    cell: tuple[int, float, int, float],
) -> None:
    instances, fixed_share, max_batch, load = cell
    curve = ServiceCurve(fixed_share, (1 - fixed_share) / max_batch, max_batch)
    assert round(100 * waiting_share(curve, instances, load)) == waiting_percent(cell)


@pytest.mark.parametrize("instances", [5, 8, 12])
def test_more_instances_than_in_the_table_sustain_what_their_neighbours_do(instances: int) -> None:
    found = sustained_rate(PodShape(LIGHT, instances), 95, 2 * LIGHT.full_batch_seconds)
    assert isinstance(found, Sustained)
    assert 0.93 < found.per_second / LIGHT.capacity_per_second(instances) < 1


# ---------------------------------------------------------------------------------------- golden


@pytest.mark.parametrize(
    ("curve", "shares"),
    # Source: simulations; the sustained rate over the capacity for limits of so many full batches.
    [
        pytest.param(LIGHT, (0.75, 0.85, 0.93, 0.96, 0.98), id="4 ms + 0.5 ms, 32"),
        pytest.param(MEDIUM, (0.73, 0.81, 0.89, 0.93, 0.97), id="6 ms + 2 ms, 16"),
        pytest.param(WIDE, (0.03, 0.51, 0.94, 0.98, 0.99), id="10 ms + 0.1 ms, 64"),
    ],
)
def test_the_sustained_rate_is_the_share_of_the_capacity_that_was_simulated(
    curve: ServiceCurve, shares: tuple[float, ...]
) -> None:
    for batches, share in zip((1.2, 1.5, 2.0, 2.5, 4.0), shares, strict=True):
        found = sustained_rate(PodShape(curve), 95, batches * curve.full_batch_seconds)
        assert isinstance(found, Sustained)
        assert found.per_second / curve.capacity_per_second() == pytest.approx(share, abs=0.006)


def test_a_batcher_is_busy_long_before_it_is_loaded() -> None:
    busy = [round(at_load(PodShape(LIGHT), load).busy_share, 2) for load in (0.05, 0.1, 0.3, 0.5)]
    assert busy == [0.34, 0.61, 0.97, 1.00]


@pytest.mark.parametrize(
    ("load", "microseconds"),
    # Source: simulations of NVIDIA's sample HorizontalPodAutoscaler, whose target is 50 us.
    [(0.002, 27), (0.005, 68), (0.01, 136), (0.1, 1314), (0.3, 3571), (0.8, 10717)],
)
def test_the_mean_time_in_the_queue_is_what_was_simulated(load: float, microseconds: float) -> None:
    wait = at_load(PodShape(MEDIUM), load).mean_wait_seconds
    assert wait * 1e6 == pytest.approx(microseconds, rel=0.02)


LARGE = ServiceCurve(0.004, 0.0001, 2048)


@pytest.mark.parametrize("load", [0.8, 0.95])
def test_large_batches_whose_requests_are_counted_in_groups_take_up_to_a_third_too_long(
    load: float,
) -> None:
    seen = simulated(PodShape(LARGE), load, requests=2_000_000).percentile_seconds(95)
    assert 0.98 * seen <= at_load(PodShape(LARGE), load).percentile_seconds(95) <= 4 / 3 * seen


def test_however_large_batches_are_a_search_takes_little_memory() -> None:
    tracemalloc.start()
    try:
        found = sustained_rate(PodShape(ServiceCurve(0.004, 0.0001, 2**14)), 95, 5.0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(found, Sustained)
    assert peak < 256 * 2**20


# ------------------------------------------------------------------------------------- the chain


@pytest.mark.parametrize("load", [0.05, 0.6, 0.97])
@pytest.mark.parametrize("curve", PROFILES, ids=str)
def test_the_chain_is_stationary(curve: ServiceCurve, load: float) -> None:
    rate, largest = load * curve.capacity_per_second(), curve.max_batch
    seconds = np.array([curve.seconds(batch) for batch in range(1, largest + 1)])
    waiting = waiting_at_ends(rate, seconds, STEADY)
    after = np.zeros(len(waiting) + 300)
    for queue, probability in enumerate(waiting):
        batch = min(max(queue, 1), largest)
        left = max(queue - batch, 0)
        after[left : left + 301] += probability * poisson(rate * seconds[batch - 1 : batch], 300)[0]
    assert after[: len(waiting)] == pytest.approx(waiting, abs=1e-9)
    assert waiting.sum() == pytest.approx(1)


def test_a_queue_without_batching_is_that_of_pollaczek_and_khinchine() -> None:
    shape = PodShape(ServiceCurve(0.01, 0.0, 1), noise=0.3)
    for load in (0.2, 0.8, 0.95):
        expected = load / (1 - load) * (1 + 0.3**2) / 2 * 0.01
        assert at_load(shape, load).mean_wait_seconds == pytest.approx(expected, rel=0.01)


# ---------------------------------------------------------------------------------------- always


curves = st.builds(
    ServiceCurve,
    st.floats(0.0, 0.05),
    st.floats(0.0005, 0.02),
    st.integers(1, 40),
)
loads = st.floats(0.001, 0.98)
few = settings(max_examples=20, deadline=None)


@few
@given(curves, loads, loads, st.sampled_from([50, 90, 95, 99]), st.integers(1, 4))
def test_a_busier_pod_is_not_quicker(
    curve: ServiceCurve, one: float, other: float, percentile: int, instances: int
) -> None:
    shape = PodShape(curve, instances)
    low, high = sorted((one, other))
    # What the waiting share is interpolated from is simulated, so not monotone to the last digit.
    slack = 1 + 1e-5 if instances == 1 else 1.02
    quicker, slower = at_load(shape, low), at_load(shape, high)
    assert quicker.percentile_seconds(percentile) <= slack * slower.percentile_seconds(percentile)


@few
@given(curves, loads, st.floats(0.0, 10.0), st.floats(0.0, 0.5))
def test_a_late_share_is_a_share_and_falls_with_the_limit(
    curve: ServiceCurve, load: float, limit: float, noise: float
) -> None:
    found = at_load(PodShape(curve, noise=noise), load)
    assert 0 <= found.late_share(limit) <= found.late_share(limit / 2) <= 1
    assert found.late_share(0.0) == 1
    assert found.mean_wait_seconds < found.mean_seconds


@settings(max_examples=8, deadline=None)
@given(curves, st.floats(1.05, 5.0), st.sampled_from([90, 95, 99]))
def test_a_sustained_rate_keeps_the_objective_and_a_little_more_breaks_it(
    curve: ServiceCurve, batches: float, percentile: int
) -> None:
    shape, limit = PodShape(curve), batches * curve.full_batch_seconds
    found = sustained_rate(shape, percentile, limit)
    if isinstance(found, Unattainable):
        assert found.least_seconds > limit
        return
    # The search is for a pod whose proportions are rounded to thousandths.
    assert percentile_seconds(shape, 0.99 * found.per_second, percentile) <= 1.002 * limit
    if found.per_second < 0.99 * shape.capacity_per_second:
        assert percentile_seconds(shape, 1.02 * found.per_second, percentile) > 0.99 * limit


@settings(max_examples=8, deadline=None)
@given(curves, st.floats(1.05, 5.0), st.floats(0.0, 0.3), st.floats(0.0, 0.3))
def test_a_pod_sustains_no_more_where_its_batches_vary_more(
    curve: ServiceCurve, batches: float, one: float, other: float
) -> None:
    limit = batches * curve.full_batch_seconds
    steady, varying = (PodShape(curve, noise=noise) for noise in sorted((one, other)))
    found = sustained_rate(varying, 95, limit)
    if isinstance(found, Sustained):
        assert percentile_seconds(steady, 0.99 * found.per_second, 95) <= 1.002 * limit


# ----------------------------------------------------------------------------------------- edges


@pytest.mark.parametrize("load", [0.999, 1.0, 3.0])
def test_from_the_capacity_on_every_request_is_late(load: float) -> None:
    rate = load * MEDIUM.capacity_per_second()
    assert late_share(PodShape(MEDIUM), rate, 3600.0) == 1
    assert percentile_seconds(PodShape(MEDIUM), rate, 95) == math.inf


def test_a_limit_below_the_service_time_is_unattainable_at_any_rate() -> None:
    found = sustained_rate(PodShape(MEDIUM), 95, 0.007)
    assert isinstance(found, Unattainable)
    assert found.least_seconds == pytest.approx(0.008, rel=1e-3)


def test_a_limit_that_only_noise_breaks_is_unattainable() -> None:
    assert isinstance(sustained_rate(PodShape(MEDIUM), 95, 0.009), Sustained)
    assert isinstance(sustained_rate(PodShape(MEDIUM, noise=0.5), 95, 0.009), Unattainable)


def test_pods_of_the_same_proportions_share_one_search() -> None:
    one = sustained_rate(PodShape(NARROW), 95, 0.1)
    slower = ServiceCurve(2 * NARROW.fixed_seconds, 2 * NARROW.per_request_seconds, 8)
    other = sustained_rate(PodShape(slower), 95, 0.2)
    assert isinstance(one, Sustained)
    assert isinstance(other, Sustained)
    assert other.per_second == pytest.approx(one.per_second / 2)


@pytest.mark.parametrize("rate", [0.0, -1.0, math.nan])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="a rate is above 0"):
        latencies(PodShape(MEDIUM), rate)
