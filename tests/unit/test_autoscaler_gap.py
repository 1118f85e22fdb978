"""The time between two batches of an instance, learnt from simulated pods of which it is known."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trireme.api.scaling_status import CurveSource
from trireme.autoscaler.batch_events import Floats, PodModel, poisson_arrivals, serve
from trireme.autoscaler.capacity import LearntCurve, ModelStatistics
from trireme.autoscaler.gap import MOST_SHARE, Estimate, estimate, taken
from trireme.autoscaler.queueing import PodShape, Sustained, sustained_rate
from trireme.autoscaler.service_curve import BatchTotal, ServiceCurve
from trireme.autoscaler.types.serving import Serving

CURVE = ServiceCurve(0.0211, 0.00512, 8)  # learnt of a model that sleeps, on a real Triton
FULL = CURVE.full_batch_seconds
LEARNT = LearntCurve(CURVE, noise=0.0, executions=1000)


def statistics(
    arrivals: Floats, curve: ServiceCurve, instances: int = 1, seed: int = 1, noise: float = 0.0
) -> ModelStatistics:
    """What a server counts of requests that arrive at these times."""
    pod = PodModel(curve, instances, noise=noise)
    served = serve(arrivals, pod, np.random.default_rng(seed))
    batches = {
        int(size): BatchTotal(
            int((served.batches == size).sum()),
            round(served.batch_seconds[served.batches == size].sum() * 1e9),
        )
        for size in np.unique(served.batches)
    }
    ended = float((arrivals + served.latency_seconds).max())
    return ModelStatistics(len(arrivals), batches, elapsed_seconds=ended)


@cache
def interval(
    gap: float, load: float, seconds: float, instances: int = 1, seed: int = 1
) -> ModelStatistics:
    """An interval of the sleeping model at a load."""
    rate = load * CURVE.capacity_per_second(instances)
    arrivals = poisson_arrivals(rate, round(rate * seconds), np.random.default_rng(seed))
    return statistics(arrivals, with_gap(CURVE, gap), instances)


def always_busy(between: float) -> ModelStatistics:
    """An interval in which an instance lost so little between two full batches."""
    count = 1000
    busy = {8: BatchTotal(count, round(count * FULL * 1e9))}
    return ModelStatistics(8 * count, busy, elapsed_seconds=count * (FULL + between) - FULL)


def with_gap(curve: ServiceCurve, gap: float) -> ServiceCurve:
    return ServiceCurve(curve.fixed_seconds, curve.per_request_seconds, curve.max_batch, gap)


def found(
    intervals: list[ModelStatistics], instances: int = 1, learnt: LearntCurve = LEARNT
) -> Estimate:
    """What is estimated, where something is."""
    estimated = estimate(intervals, learnt, Serving(instances, learnt.curve.max_batch))
    assert estimated is not None
    return estimated


@pytest.mark.parametrize(
    ("instances", "load", "gap"),
    [
        pytest.param(1, 0.4, 0.0011, id="one instance, less than half loaded"),
        pytest.param(1, 0.7, 0.0, id="one instance that loses no time"),
        pytest.param(1, 0.7, 0.0011, id="one instance, as the real one"),
        pytest.param(1, 0.85, 0.004, id="one instance near its capacity"),
        pytest.param(2, 0.7, 0.0011, id="two instances"),
        pytest.param(4, 0.6, 0.003, id="four instances"),
    ],
)
def test_ten_minutes_tell_the_gap_to_less_than_a_hundredth_of_a_batch(
    instances: int, load: float, gap: float
) -> None:
    seen = [interval(gap, load, 60, instances, seed) for seed in range(10)]
    assert found(seen, instances).seconds == pytest.approx(gap, abs=0.01 * FULL)


@settings(deadline=None, max_examples=25)
@given(
    fixed=st.floats(0.2, 0.9),
    largest=st.sampled_from([4, 8, 16]),
    share=st.floats(0, 0.06),
    load=st.floats(0.4, 0.75),
    noise=st.sampled_from([0.0, 0.1]),
    seed=st.integers(0, 1000),
)
def test_an_estimate_is_within_four_of_its_standard_errors(
    fixed: float, largest: int, share: float, load: float, noise: float, seed: int
) -> None:
    curve = ServiceCurve(0.05 * fixed, 0.05 * (1 - fixed) / largest, largest, share * 0.05)
    rate = load * curve.capacity_per_second()
    arrivals = poisson_arrivals(rate, round(600 * rate), np.random.default_rng(seed))
    learnt = LearntCurve(with_gap(curve, 0), noise, 1000)
    seen = [statistics(arrivals, curve, seed=seed, noise=noise)]
    estimated = estimate(seen, learnt, Serving(1, largest))
    if estimated is not None:
        off = abs(estimated.seconds - curve.gap_seconds)
        assert off <= 4 * estimated.error_seconds + 0.001 * 0.05


def test_standard_errors_are_no_smaller_than_estimates_stray() -> None:
    each = [found([interval(0.003, 0.7, 300, seed=seed)]) for seed in range(30)]
    strays = float(np.sqrt(np.mean([(one.seconds - 0.003) ** 2 for one in each])))
    assert strays <= np.mean([one.error_seconds for one in each])


@pytest.mark.parametrize(
    ("seen", "serving", "source"),
    [
        pytest.param(list, Serving(1, 8), CurveSource.BATCHES, id="nothing was executed"),
        pytest.param(
            lambda: [interval(0.001, 0.05, 600)],
            Serving(1, 8),
            CurveSource.BATCHES,
            id="hardly a batch",
        ),
        pytest.param(
            lambda: [interval(0.001, 1.1, 600)],
            Serving(1, 8),
            CurveSource.BATCHES,
            id="a queue that grows",
        ),
        pytest.param(
            lambda: [interval(0.001, 0.6, 5)],
            Serving(1, 8),
            CurveSource.BATCHES,
            id="a few seconds",
        ),
        pytest.param(
            lambda: [interval(0.001, 0.6, 5, instances=4)],
            Serving(4, 8),
            CurveSource.BATCHES,
            id="a few seconds of several instances",
        ),
        pytest.param(
            lambda: [interval(0.001, 0.6, 600), always_busy(1e-9)],
            Serving(1, 8),
            CurveSource.BATCHES,
            id="an interval that left no time to speak of",
        ),
        pytest.param(
            lambda: [interval(0.001, 0.6, 600)],
            Serving(1, 8, is_delayed=True),
            CurveSource.BATCHES,
            id="batches that are waited for",
        ),
        pytest.param(
            lambda: [interval(0.001, 0.6, 600)],
            Serving(1, 257),
            CurveSource.BATCHES,
            id="batches that may be larger than the chain is solved for",
        ),
        pytest.param(
            lambda: [interval(0.001, 0.6, 600)],
            Serving(1, 8),
            CurveSource.COUNTERS,
            id="a curve of sums, which is off by more",
        ),
        pytest.param(
            lambda: [interval(0.001, 0.6, 600)],
            Serving(1, 8),
            CurveSource.EARLIER,
            id="a curve of other files",
        ),
        pytest.param(
            lambda: [
                ModelStatistics(each.requests // 2, each.batches, elapsed_seconds=600)
                for each in [interval(0.001, 0.6, 600)]
            ],
            Serving(1, 8),
            CurveSource.BATCHES,
            id="requests of two rows, which come at once",
        ),
    ],
)
def test_of_what_nothing_is_told(
    seen: Callable[[], list[ModelStatistics]], serving: Serving, source: CurveSource
) -> None:
    assert estimate(seen(), LearntCurve(CURVE, 0.0, 1000, source), serving) is None


@pytest.mark.parametrize("instances", [1, 4])
def test_of_many_loads_those_with_the_most_batches_are_looked_at(instances: int) -> None:
    most = [interval(0.003, load, 300, instances) for load in (0.5, 0.6, 0.7)]
    few = [interval(0.003, load, 60, instances) for load in (0.4, 0.45, 0.55, 0.65)]
    assert found([*most, *few], instances) == found(most, instances)


def test_a_machine_that_is_slower_for_a_while_passes_for_no_gap() -> None:
    slower = ServiceCurve(1.05 * CURVE.fixed_seconds, 1.05 * CURVE.per_request_seconds, 8)
    arrivals = poisson_arrivals(90, 90 * 600, np.random.default_rng(1))
    assert found([statistics(arrivals, slower)]).seconds <= 0.01 * FULL


def bursts(rate: float, seconds: float, each: int) -> Floats:
    """Requests that come several at once, at random times."""
    generator = np.random.default_rng(1)
    times = poisson_arrivals(rate / each, round(rate * seconds / each), generator)
    return np.repeat(times, each)


@pytest.mark.parametrize("each", [2, 4])
@pytest.mark.parametrize("load", [0.3, 0.6, 0.75])
def test_bursts_cost_a_tenth_of_what_a_pod_sustains_at_most(each: int, load: float) -> None:
    arrivals = bursts(load * CURVE.capacity_per_second(), 600, each)
    gap = found([statistics(arrivals, CURVE)]).seconds
    assert gap <= MOST_SHARE * FULL

    def sustained(curve: ServiceCurve) -> float:
        rate = sustained_rate(PodShape(curve), 95, 2.5 * FULL)
        assert isinstance(rate, Sustained)
        return rate.per_second

    assert sustained(with_gap(CURVE, gap)) >= 0.88 * sustained(CURVE)


def test_an_interval_that_left_less_time_bounds_the_gap_of_all() -> None:
    full = interval(0.001, 1.1, 600)
    some = statistics(bursts(60, 600, 4), CURVE)
    alone, bounded = found([some]).seconds, found([some, full]).seconds
    assert bounded == pytest.approx(0.001, abs=0.001 * FULL)
    assert bounded < alone


@pytest.mark.parametrize(
    ("known", "estimated", "error", "then"),
    [
        pytest.param(0.0, 0.0011, 0.0002, 0.0011, id="the first one is taken"),
        pytest.param(0.0, 0.0001, 0.0, 0.0, id="next to nothing is none"),
        pytest.param(0.0, 0.0004, 0.0005, 0.0, id="what may be chance is none"),
        pytest.param(0.001, 0.0012, 0.0, 0.001, id="a difference that is not worth a search"),
        pytest.param(0.001, 0.003, 0.0005, 0.002, id="half of what is news"),
        pytest.param(0.002, 0.0, 0.0005, 0.001, id="it goes down as it goes up"),
    ],
)
def test_what_becomes_of_a_gap(known: float, estimated: float, error: float, then: float) -> None:
    learnt = LearntCurve(with_gap(CURVE, known), 0.0, 1000)
    assert taken(learnt, Estimate(estimated, error)).curve == with_gap(CURVE, then)
