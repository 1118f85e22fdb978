"""What follows from batches that were seen for others, and for other numbers of instances."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trireme.autoscaler.queueing import PodShape, Sustained, sustained_rate
from trireme.autoscaler.service_curve import BatchTotal, ServiceCurve
from trireme.tuner.batch_times import BatchTimes
from trireme.tuner.contention import Contention, learnt
from trireme.tuner.prediction import model_of
from trireme.tuner.types import Configuration, Measured, Objective, View

CURVE = ServiceCurve(0.004, 0.0005, 8)


def seen(curve: ServiceCurve, *sizes: int, times: float = 1.0) -> dict[int, tuple[int, float]]:
    return {size: (100, times * curve.seconds(size)) for size in sizes}


def totals(*sizes: int, times: float = 1.0) -> dict[int, BatchTotal]:
    return {s: BatchTotal(100, round(times * CURVE.seconds(s) * 1e11)) for s in sizes}


# ------------------------------------------------------------------------------------ batch times


def test_sizes_that_were_seen_take_what_they_took_in_any_view() -> None:
    times = BatchTimes.of({1: (9, 0.004), 4: (9, 0.009), 8: (9, 0.010)})
    for view in View:
        assert [times.seconds(b, view) for b in (1, 4, 8)] == pytest.approx([0.004, 0.009, 0.010])


@given(batch=st.floats(1, 64), sizes=st.sets(st.integers(1, 16), min_size=1))
def test_the_views_are_ordered(batch: float, sizes: set[int]) -> None:
    times = BatchTimes.of(seen(CURVE, *sizes))
    most, expected, least = (
        times.seconds(batch, view) for view in (View.MOST, View.EXPECTED, View.LEAST)
    )
    assert 0 < most <= expected * (1 + 1e-9)
    assert expected <= least * (1 + 1e-9)


def test_beyond_the_largest_a_line_is_expected_and_a_kink_feared() -> None:
    times = BatchTimes.of(seen(CURVE, 1, 2, 4))
    assert times.seconds(16) == pytest.approx(CURVE.seconds(16))
    assert times.seconds(16, View.LEAST) == pytest.approx(CURVE.seconds(16) + 12 * 0.00025)
    assert times.seconds(16, View.MOST) == pytest.approx(CURVE.seconds(16) - 12 * 0.0001)


def test_of_one_size_the_hope_is_that_others_are_free_and_the_fear_that_none_is() -> None:
    times = BatchTimes.of({1: (50, 0.010)})
    assert times.seconds(4, View.MOST) == pytest.approx(0.010)
    assert times.seconds(4, View.EXPECTED) == pytest.approx(0.025)
    assert times.seconds(4, View.LEAST) == pytest.approx(0.040)


def test_between_two_sizes_the_hope_is_that_the_kink_comes_late() -> None:
    times = BatchTimes.of({1: (9, 0.010), 4: (9, 0.013), 32: (9, 0.130)})
    assert times.seconds(16, View.MOST) == pytest.approx(0.025)
    assert times.seconds(16) == pytest.approx(0.013 + 0.117 * 12 / 28)


# ------------------------------------------------------------------------------------- contention


@pytest.mark.parametrize("sigma", [0.0, 0.3, 1.0, 1.5])
def test_sigma_is_learnt_from_two_numbers_of_instances(sigma: float) -> None:
    by_instances = {k: seen(CURVE, 1, 4, 8, times=1 + sigma * (k - 1)) for k in (2, 4)}
    times, contention = learnt(by_instances)
    assert times.seconds(8) == pytest.approx((1 + sigma) * CURVE.seconds(8))
    expected = (1 + 2 * sigma) / (1 + sigma)
    assert contention.times(3, View.EXPECTED) == pytest.approx(expected, rel=0.02)


def test_before_it_is_learnt_anything_may_be() -> None:
    contention = Contention(1, {1: 1.0})
    assert contention.times(4, View.MOST) == 1
    assert contention.times(4, View.EXPECTED) == 2.5
    assert contention.times(4, View.LEAST) == 5.5
    fewer = Contention(4, {4: 1.0})
    assert fewer.times(1, View.MOST) == pytest.approx(1 / 5.5)
    assert fewer.times(1, View.LEAST) == 1


def test_what_more_instances_do_together_is_not_hoped_to_grow_faster_than_it_did() -> None:
    # 1, 2 and 3 do 1, 1.9 and 1.9: a fourth is not hoped to help, whatever sigma allows.
    contention = Contention(1, {1: 1.0, 2: 2 / 1.9, 3: 3 / 1.9})
    assert 4 / contention.times(4, View.MOST) == pytest.approx(1.9)


def test_larger_batches_with_more_instances_teach_both() -> None:
    by_instances = {1: seen(CURVE, 1, 2, 4), 2: seen(CURVE, 2, 4, 16, times=1.5)}
    times, contention = learnt(by_instances)
    assert contention.measured == {1: 1.0, 2: pytest.approx(1.5, rel=0.05)}
    assert times.largest == 16
    assert times.seconds(16) == pytest.approx(CURVE.seconds(16), rel=0.05)


# -------------------------------------------------------------------------------------- prediction


def test_a_prediction_is_corrected_by_what_was_measured() -> None:
    objective, configuration = Objective(95, 0.1), Configuration(8, 1)
    plain = model_of(objective, [Measured(configuration, 0.0, totals(1, 2, 4, 8))])
    assert plain is not None
    rate = plain.per_second(configuration, View.EXPECTED)
    slower = model_of(objective, [Measured(configuration, 0.8 * rate, totals(1, 2, 4, 8))])
    assert slower is not None
    found = slower.per_second(configuration, View.EXPECTED)
    assert found == pytest.approx(0.8 * rate)


@pytest.mark.parametrize("limit", [0.006, 0.012, 0.02, 0.1])
@pytest.mark.parametrize("instances", [1, 2, 4])
@pytest.mark.parametrize("batch", [1, 8, 32])
def test_the_bound_that_costs_nothing_is_above_every_view(
    limit: float, instances: int, batch: int
) -> None:
    model = model_of(Objective(95, limit), [Measured(Configuration(8, 1), 0.0, totals(1, 2, 8))])
    assert model is not None
    configuration = Configuration(batch, instances)
    bound = model.bound(configuration)
    assert all(model.per_second(configuration, view) <= bound for view in View)


def sustained(curve: ServiceCurve, limit: float) -> float:
    found = sustained_rate(PodShape(curve), 95, limit)
    assert isinstance(found, Sustained)
    return found.per_second


def seen_with_gap(batch: int, limit: float) -> Measured:
    """What a pod that loses 4 ms between batches is seen to do."""
    rate = sustained(replace(CURVE, max_batch=batch, gap_seconds=0.004), limit)
    sizes = [size for size in (1, 2, 4, 8) if size <= batch]
    return Measured(Configuration(batch, 1), rate, totals(*sizes))


@pytest.mark.parametrize("limit", [0.03, 0.1])
@pytest.mark.parametrize("batches", [(1, 8), (2, 8), (1, 4, 8)])
def test_what_goes_by_between_batches_explains_why_small_ones_sustain_less(
    limit: float, batches: tuple[int, ...]
) -> None:
    model = model_of(Objective(95, limit), [seen_with_gap(batch, limit) for batch in batches])
    assert model is not None
    assert model.gap_seconds == pytest.approx(0.004, rel=0.1)
    larger = Configuration(16, 1)
    truth = sustained(replace(CURVE, max_batch=16, gap_seconds=0.004), limit)
    assert model.per_second(larger, View.EXPECTED) == pytest.approx(truth, rel=0.03)


def test_a_pod_that_is_slower_whatever_its_batches_loses_nothing_between_them() -> None:
    small, large = sustained(replace(CURVE, max_batch=1), 0.1), sustained(CURVE, 0.1)
    measured = [
        Measured(Configuration(1, 1), 0.8 * small, totals(1)),
        Measured(Configuration(8, 1), 0.8 * large, totals(1, 2, 4, 8)),
    ]
    model = model_of(Objective(95, 0.1), measured)
    assert model is not None
    assert model.gap_seconds == 0


def test_nothing_follows_where_nothing_was_executed() -> None:
    assert model_of(Objective(95, 0.1), [Measured(Configuration(8, 1), 0.0)]) is None
