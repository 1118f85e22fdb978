"""Knative's autoscaler against the vectors of its own tests."""

import pytest

from trireme.simulator.baselines.kpa import KnativePodAutoscaler, Memory
from trireme.simulator.policy import Bounds, Metric, Observed
from unit.simulator import observed, sizes

ANY = Bounds(0, 10_000)


def kpa(
    target: float,
    *,
    growth: float = 10,
    shrinkage: float = 10,
    delay: float = 0,
    panic_threshold: float = 2,
    bounds: Bounds = ANY,
) -> KnativePodAutoscaler:
    """The specification of the tests of knative/serving: rates of 10, a threshold of 2, 60 s."""
    return KnativePodAutoscaler(
        "kpa",
        bounds,
        target=target,
        growth=growth,
        shrinkage=shrinkage,
        scale_down_delay_seconds=delay,
        panic_threshold=panic_threshold,
    )


def at(now: float, ready: int, stable: float, panic: float) -> Observed:
    return observed(stable, panic, replicas=ready, now=now)


@pytest.mark.parametrize(
    ("autoscaler", "seen", "expected"),
    [
        # Source: knative/serving, pkg/autoscaler/scaling/autoscaler_test.go; the test named.
        pytest.param(
            kpa(10),
            [at(0, 1, 50, 10), at(0, 1, 100, 10)],
            [5, 10],
            id="StableModeIncreaseWithConcurrencyDefault",
        ),
        pytest.param(
            kpa(10), [at(0, 8, 100, 100), at(0, 8, 50, 50)], [10, 5], id="StableModeDecrease"
        ),
        pytest.param(
            kpa(10), [at(0, 1, 1, 0), at(0, 1, 0, 0)], [1, 0], id="StableModeNoTrafficScaleToZero"
        ),
        pytest.param(
            kpa(1, growth=1.1), [at(0, 2, 3, 3.1)], [3], id="StableModeIncreaseWithSmallScaleUpRate"
        ),
        pytest.param(
            kpa(10, shrinkage=1.1),
            [at(0, 100, 1, 1)],
            [90],
            id="StableModeDecreaseWithSmallScaleDownRate",
        ),
        pytest.param(kpa(10), [at(0, 1, 50, 100)], [10], id="PanicModeDoublePodCount"),
        pytest.param(
            kpa(10), [at(0, 1, 1000, 1001), at(0, 10, 1000, 1001)], [10, 100], id="RateLimitScaleUp"
        ),
        pytest.param(
            kpa(10), [at(0, 100, 1, 1), at(0, 10, 1, 1)], [10, 1], id="RateLimitScaleDown"
        ),
        pytest.param(
            kpa(10), [at(0, 0, 1000, 888)], [10], id="UseOnePodAsMinimumIfEndpointsNotFound"
        ),
        pytest.param(
            kpa(1),
            [
                at(0, 1, 6, 6),
                at(0, 6, 36, 36),
                at(1, 36, 216, 216),
                at(1, 216, 1296, 1296),
                at(2, 1296, 1296, 1296),
            ],
            [6, 36, 216, 1296, 1296],
            id="PanicModeExponentialTrackAndStabilize",
        ),
        pytest.param(
            kpa(10),
            [at(0, 1, 100, 100), at(0, 10, 100, 1000), at(30, 10, 1, 1), at(61, 10, 1, 1)],
            [10, 100, 100, 1],
            id="PanicThenUnPanicScaleDown",
        ),
        pytest.param(
            kpa(1),
            [at(0, 10, 11, 25), at(30, 40, 30, 41), at(62, 55, 50, 56)],
            [25, 41, 50],
            id="UnpanicAfterSlowIncrease",
        ),
        pytest.param(
            kpa(1),
            [at(0, 10, 11, 25), at(30, 40, 30, 80), at(62, 80, 60, 60), at(92, 80, 60, 60)],
            [25, 80, 80, 60],
            id="ExtendPanicWindow, and its end a minute after the last surge",
        ),
        pytest.param(
            kpa(10, delay=300, panic_threshold=100),
            [at(2, 0, 40, 40), at(300, 0, 0, 0), at(302, 0, 0, 0)],
            [4, 4, 0],
            id="ScaleDownDelay: simple",
        ),
        pytest.param(
            kpa(10, delay=300, panic_threshold=100),
            [
                at(540, 0, 40, 40),
                at(600, 0, 30, 30),
                at(660, 0, 0, 0),
                at(840, 0, 0, 0),
                at(900, 0, 0, 0),
            ],
            [4, 4, 4, 3, 0],
            id="ScaleDownDelay: gradual",
        ),
        pytest.param(
            kpa(10), [at(0, 1, 40, 40), at(0.5, 1, 20, 20)], [4, 4], id="in panic nothing shrinks"
        ),
    ],
)
def test_the_vectors_of_its_own_tests(
    autoscaler: KnativePodAutoscaler, seen: list[Observed], expected: list[int]
) -> None:
    assert sizes(autoscaler, seen, begin=1) == expected


@pytest.mark.parametrize(
    ("stable", "panic", "expected"),
    [
        # Source: as above, TestAutoscalerScale.
        pytest.param(50, 30, 50, id="AutoscalerPanicStableLargerThanPanic"),
        pytest.param(20, 30, 30, id="AutoscalerPanicStableLessThanPanic"),
        pytest.param(20, 30.5, 31, id="rounded up"),
    ],
)
def test_in_panic_the_larger_window_counts(stable: float, panic: float, expected: int) -> None:
    memory = Memory(panicking_since=-5.0, most_in_panic=5)
    assert kpa(1).decide(at(0, 5, stable, panic), memory)[0] == expected


def test_it_begins_in_panic_over_more_than_one_pod() -> None:
    seen = [at(t, 8, 10, 10) for t in (2, 60, 62)]
    assert sizes(kpa(10), seen, begin=8) == [8, 8, 1]


@pytest.mark.parametrize("values", [(None, None), (90.0, None), (None, 90.0)])
def test_without_metrics_nothing_changes(values: tuple[float | None, float | None]) -> None:
    seen = observed(*values, replicas=5, ready=3)
    assert sizes(kpa(10), [seen], begin=1) == [5]


def test_it_stays_within_its_bounds() -> None:
    autoscaler = kpa(10, bounds=Bounds(2, 6))
    assert sizes(autoscaler, [at(0, 2, 0, 0), at(2, 2, 90, 90)], begin=1) == [2, 6]


def test_the_defaults_are_those_of_its_configuration() -> None:
    autoscaler = KnativePodAutoscaler("kpa", Bounds(1, 40))
    assert autoscaler.interval_seconds == 2
    assert autoscaler.target == pytest.approx(70)
    assert [(r.metric, r.window_seconds) for r in autoscaler.readings] == [
        (Metric.IN_FLIGHT, 60),
        (Metric.IN_FLIGHT, pytest.approx(6)),
    ]
    # 71 in flight are over 70 once; half the ready pods are let go at most.
    assert sizes(autoscaler, [at(0, 1, 71, 71)], begin=1) == [2]
    assert sizes(autoscaler, [at(70, 9, 70, 70)], begin=1) == [4]
