"""How a service curve is learnt: exactly from exact statistics, nearly from counters, or not."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pods import LIGHT, PROFILES, simulated
from trireme.autoscaler.queueing import PodShape
from trireme.autoscaler.service_curve import (
    BatchTotal,
    CounterWindow,
    Fitted,
    Nothing,
    OneBatch,
    ServiceCurve,
    difference,
    fit,
    fit_from_counters,
)


def exact(curve: ServiceCurve, executions: dict[int, int]) -> dict[int, BatchTotal]:
    """What a server without noise says of so many executions."""
    return {
        batch: BatchTotal(count, round(count * curve.seconds(batch) * 1e9))
        for batch, count in executions.items()
    }


def counters(curve: ServiceCurve, load: float) -> CounterWindow:
    """What Triton's counters grow by in a window at a load."""
    served = simulated(PodShape(curve), load, requests=50_000)
    return CounterWindow(
        inferences=int(served.batches.sum()),
        executions=len(served.batches),
        compute_nanoseconds=round(float(served.batches @ served.batch_seconds) * 1e9),
    )


# ------------------------------------------------------------------------------------- the curve


def test_a_curve_is_seconds_by_batch_and_capacity_by_instances() -> None:
    curve = ServiceCurve(0.006, 0.002, 16)
    assert curve.seconds(1) == pytest.approx(0.008)
    assert curve.full_batch_seconds == pytest.approx(0.038)
    assert curve.capacity_per_second() == pytest.approx(421.05, abs=0.01)
    assert curve.capacity_per_second(2) == 2 * curve.capacity_per_second()
    assert str(curve) == "6 ms + 2 ms a request, up to 16"


@pytest.mark.parametrize(
    ("fixed", "per_request", "max_batch", "message"),
    [
        pytest.param(-0.001, 0.002, 4, "not a time", id="a negative part"),
        pytest.param(0.0, 0.0, 4, "not a time", id="no time at all"),
        pytest.param(math.nan, 0.002, 4, "not a time", id="not a number"),
        pytest.param(math.inf, 0.002, 4, "not a time", id="for ever"),
        pytest.param(0.001, 0.002, 0, "max_batch", id="no batch"),
    ],
)
def test_a_curve_that_is_none_is_refused(
    fixed: float, per_request: float, max_batch: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ServiceCurve(fixed, per_request, max_batch)


# ------------------------------------------------------------------------------------- snapshots


BEFORE = {1: BatchTotal(10, 50_000), 4: BatchTotal(2, 16_000)}


@pytest.mark.parametrize(
    ("after", "between"),
    [
        pytest.param(
            {1: BatchTotal(30, 150_000), 4: BatchTotal(2, 16_000), 8: BatchTotal(1, 12_000)},
            {1: BatchTotal(20, 100_000), 8: BatchTotal(1, 12_000)},
            id="only what was executed since then counts",
        ),
        pytest.param(BEFORE, {}, id="nothing was executed"),
        pytest.param({1: BatchTotal(3, 15_000)}, None, id="a batch size is gone"),
        pytest.param(
            {1: BatchTotal(3, 90_000), 4: BatchTotal(2, 16_000)}, None, id="fewer executions"
        ),
        pytest.param({1: BatchTotal(12, 40_000), 4: BatchTotal(2, 16_000)}, None, id="less time"),
    ],
)
def test_an_interval_is_a_difference_unless_the_counters_began_anew(
    after: dict[int, BatchTotal], between: dict[int, BatchTotal] | None
) -> None:
    assert difference(BEFORE, after) == between


# --------------------------------------------------------------------------------- from statistics


@settings(max_examples=50)
@given(
    st.builds(
        ServiceCurve,
        st.floats(0.0005, 0.1),
        st.floats(0.0001, 0.05),
        st.just(64),
    ),
    st.dictionaries(st.integers(1, 64), st.integers(1, 10**6), min_size=2),
)
def test_exact_statistics_give_the_exact_curve(
    curve: ServiceCurve, executions: dict[int, int]
) -> None:
    found = fit([exact(curve, executions)], 64)
    assert isinstance(found, Fitted)
    for batch in (1, 64):  # the whole line; nanoseconds are whole numbers
        assert found.curve.seconds(batch) == pytest.approx(curve.seconds(batch), rel=1e-3)
    assert found.executions == sum(executions.values())
    assert (found.smallest, found.largest) == (min(executions), max(executions))
    assert found.misfit < 1e-5
    assert found.noise is None


def test_noise_is_that_of_single_executions() -> None:
    generator = np.random.default_rng(1)
    intervals = []
    for _ in range(40):
        interval = {}
        for batch, count in ((1, 50), (8, 200), (32, 20)):
            seconds = LIGHT.seconds(batch) * generator.gamma(25, 1 / 25, count)  # varies by 1/5
            interval[batch] = BatchTotal(count, int(seconds.sum() * 1e9))
        intervals.append(interval)
    found = fit(intervals, 32)
    assert isinstance(found, Fitted)
    assert found.noise == pytest.approx(0.2, rel=0.1)
    assert found.curve.fixed_seconds == pytest.approx(LIGHT.fixed_seconds, rel=0.02)
    assert found.curve.per_request_seconds == pytest.approx(LIGHT.per_request_seconds, rel=0.02)


def test_a_machine_that_was_slower_for_a_while_is_no_noise() -> None:
    counts = {1: 5000, 8: 20000, 32: 2000}
    intervals = [
        {b: BatchTotal(n, round(n * LIGHT.seconds(b) * slow * 1e9)) for b, n in counts.items()}
        for slow in (1.0, 1.05, 0.97)
    ]
    found = fit(intervals, 32)
    assert isinstance(found, Fitted)
    assert found.noise == pytest.approx(0, abs=1e-3)


def test_what_is_no_line_is_told_by_its_misfit_and_not_as_noise() -> None:
    stairs = {1: BatchTotal(100, 10**9), 8: BatchTotal(100, 10**9), 9: BatchTotal(100, 2 * 10**9)}
    found = fit([stairs, stairs], 16)
    assert isinstance(found, Fitted)
    assert found.misfit > 0.1
    assert found.noise == 0


@pytest.mark.parametrize(
    ("interval", "max_batch", "expected"),
    [
        pytest.param({}, 8, Nothing(), id="nothing executed is nothing known, not a time of zero"),
        pytest.param(
            {4: BatchTotal(10, 10**8)}, 8, OneBatch(4.0, 0.01, 10), id="one batch size, no slope"
        ),
        pytest.param(
            {1: BatchTotal(10, 10**8)},
            1,
            Fitted(ServiceCurve(0.01, 0.0, 1), 10, 1.0, 1.0, None, 0.0),
            id="without batching there is nothing more to know",
        ),
    ],
)
def test_what_cannot_be_identified_is_said(
    interval: dict[int, BatchTotal], max_batch: int, expected: Nothing | OneBatch | Fitted
) -> None:
    assert fit([interval], max_batch) == expected


@pytest.mark.parametrize(
    ("per_batch", "expected"),
    [
        pytest.param((0.011, 0.009), (0.010, 0.0), id="a slope below zero is a level"),
        pytest.param((0.001, 0.009), (0.0, None), id="a fixed part below zero is none"),
    ],
)
def test_a_fit_stays_a_curve_whatever_the_noise(
    per_batch: tuple[float, float], expected: tuple[float, float | None]
) -> None:
    one, four = per_batch
    interval = {1: BatchTotal(100, int(100 * one * 1e9)), 4: BatchTotal(100, int(100 * four * 1e9))}
    found = fit([interval], 4)
    assert isinstance(found, Fitted)
    fixed, slope = expected
    assert found.curve.fixed_seconds == pytest.approx(fixed, rel=0.05)
    if slope is not None:
        assert found.curve.per_request_seconds == slope


# ----------------------------------------------------------------------------------- from counters


@pytest.mark.parametrize("loads", [(0.3, 0.7), (0.1, 0.5, 0.8), (0.5, 0.7, 0.9)])
def test_counters_of_differing_loads_give_the_curve_within_their_bias(
    loads: tuple[float, ...],
) -> None:
    # Source: simulations of (4, 0.5, 32): 4.03 to 4.18 ms and 0.50 to 0.53 ms.
    found = fit_from_counters([counters(LIGHT, load) for load in loads], 32)
    assert isinstance(found, Fitted)
    assert 0.98 < found.curve.fixed_seconds / LIGHT.fixed_seconds < 1.05
    assert 1.00 < found.curve.per_request_seconds / LIGHT.per_request_seconds < 1.08


@pytest.mark.parametrize(
    ("curve", "most"), list(zip(PROFILES, (1.08, 1.15, 1.01, 1.22), strict=True)), ids=str
)
@pytest.mark.parametrize("loads", [(0.3, 0.7), (0.1, 0.5, 0.8)])
def test_counters_never_make_a_full_batch_quicker_than_it_is(
    curve: ServiceCurve, most: float, loads: tuple[float, ...]
) -> None:
    windows = [counters(curve, load) for load in loads]
    found = fit_from_counters(windows, curve.max_batch)
    assert isinstance(found, Fitted)
    assert 0.995 < found.curve.full_batch_seconds / curve.full_batch_seconds < most


def test_counters_of_one_load_tell_the_time_at_that_load_only() -> None:
    window = counters(LIGHT, 0.5)
    found = fit_from_counters([window, window], 32)
    assert isinstance(found, OneBatch)
    assert found.seconds == pytest.approx(LIGHT.seconds(found.batch), rel=0.03)


def test_counters_of_a_model_without_batching_tell_all() -> None:
    found = fit_from_counters([CounterWindow(100, 100, 500_000_000)], 1)
    assert found == Fitted(ServiceCurve(0.005, 0.0, 1), 100, 1.0, 1.0, None, 0.0)


def test_counters_that_did_not_grow_tell_nothing() -> None:
    assert fit_from_counters([CounterWindow(0, 0, 0)], 8) == Nothing()
