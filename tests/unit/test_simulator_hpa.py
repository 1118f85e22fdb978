"""The HorizontalPodAutoscaler baseline against the rules and the vectors of its source."""

import math
from datetime import timedelta

import pytest

from trireme.api.scaling import Behavior, PolicyType, SelectPolicy
from trireme.simulator.baselines.hpa import (
    ExternalMetric,
    HorizontalPodAutoscaler,
    PodsMetric,
    TargetType,
    adapted,
    by_pods,
    by_value,
    largest,
)
from trireme.simulator.policy import Bounds, Metric, Reading
from unit.autoscaling import rules
from unit.simulator import observed, sizes, steady

RATE = Reading(Metric.ANSWERS, 60, 15)
P95 = Reading(Metric.LATENCY, 60, 15, percentile=95)
QUEUE = Reading(Metric.QUEUE_TIME, 30, 15)
PODS, PERCENT = PolicyType.PODS, PolicyType.PERCENT


def hpa(
    *metrics: PodsMetric | ExternalMetric,
    bounds: tuple[int, int] = (1, 100),
    behavior: Behavior | None = None,
) -> HorizontalPodAutoscaler:
    """On requests per second, 100 per pod, unless said."""
    return HorizontalPodAutoscaler(
        "hpa", metrics or (ExternalMetric(RATE, 100),), Bounds(*bounds), behavior
    )


@pytest.mark.parametrize(
    ("replicas", "ratio", "ready", "expected"),
    [
        # Source: k8shorizmetrics, internal/replicas/replicas_test.go, a port of the controller.
        pytest.param(0, 0, 0, 0, id="none for no usage"),
        pytest.param(0, 2, 0, 2, id="from none by the usage alone"),
        pytest.param(3, 0.95, 3, 3, id="just below the target is within the tolerance"),
        pytest.param(3, 1.4, 3, 5, id="1.4 times the target of 3 pods"),
        pytest.param(3, 0.3, 3, 1, id="0.3 times the target of 3 pods"),
        # Source: Kubernetes, replica_calculator.go, getUsageRatioReplicaCount.
        pytest.param(8, 1.5, 4, 6, id="ready pods are multiplied, so a start-up proposes fewer"),
        pytest.param(0, 1.5, 0, 2, id="from none, rounded up"),
        pytest.param(3, 1.1, 3, 3, id="a tenth more is within"),
        pytest.param(3, 1.101, 3, 4, id="more than a tenth more is not"),
    ],
)
def test_a_value_multiplies_the_ready_pods(
    replicas: int, ratio: float, ready: int, expected: int
) -> None:
    assert by_value(round(ratio * 1000), 1000, replicas=replicas, ready=ready) == expected


@pytest.mark.parametrize(
    ("samples", "replicas", "missing", "unready", "expected"),
    [
        # Source: k8shorizmetrics, internal/replicas/replicas_test.go, a port of the controller.
        pytest.param([50, 50], 2, 0, 0, 2, id="two pods at the target"),
        pytest.param([100, 100], 2, 0, 0, 4, id="two pods at twice the target"),
        pytest.param([25, 25], 2, 0, 0, 1, id="two pods at half the target"),
        pytest.param([200, 200], 4, 2, 0, 8, id="two of four pods report four times the target"),
        # Source: Kubernetes, replica_calculator.go, calcPlainMetricReplicas.
        pytest.param([], 3, 3, 0, None, id="without a sample there is no proposal"),
        pytest.param([25, 25], 4, 2, 0, 3, id="a missing pod is at its target on the way down"),
        pytest.param(
            [60, 60], 3, 1, 0, 3, id="a missing pod that turns the direction changes nothing"
        ),
        pytest.param([60, 60], 4, 0, 2, 4, id="so does an unready one"),
        pytest.param([25, 25], 4, 0, 2, 1, id="an unready pod does not count on the way down"),
        pytest.param([200, 200], 4, 0, 2, 8, id="an unready pod is at nothing on the way up"),
        pytest.param([99, 100], 2, 0, 0, 4, id="the mean of 99.5 is cut to 99"),
        pytest.param([75, 75], 9, 0, 1, 9, id="more than the target never proposes fewer pods"),
        pytest.param([50, 50], 4, 2, 0, 2, id="at the target, what is missing is not needed"),
    ],
)
def test_pods_are_averaged(
    samples: list[int], replicas: int, missing: int, unready: int, expected: int | None
) -> None:
    proposal = by_pods(samples, 50, replicas=replicas, missing=missing, unready=unready)
    assert proposal == expected


@pytest.mark.parametrize(
    ("rate", "ready", "starting", "expected"),
    [
        # Source: Kubernetes, replica_calculator.go, GetExternalPerPodMetricReplicas.
        pytest.param(1000, 5, 0, 10, id="the figure over the target"),
        pytest.param(1001, 5, 0, 11, id="rounded up"),
        pytest.param(540, 5, 0, 5, id="within a tenth nothing changes"),
        pytest.param(540, 2, 3, 5, id="pods that start are counted"),
        pytest.param(0, 5, 0, 0, id="no requests need no pod"),
    ],
)
def test_an_average_value_ignores_readiness(
    rate: float, ready: int, starting: int, expected: int
) -> None:
    seen = observed(rate, replicas=ready + starting, ready=ready)
    assert ExternalMetric(RATE, 100).propose(adapted(rate), seen, 0.1) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(1.5, 1500, id="in thousandths"),
        pytest.param(0.0004, 0, id="what is smaller is nothing"),
        pytest.param(0.0999, 99, id="cut, not rounded"),
        pytest.param(math.nan, 0, id="not a number is 0"),
        pytest.param(None, None, id="what cannot be read stays unknown"),
    ],
)
def test_the_adapter_cuts_to_milli_units(value: float | None, expected: int | None) -> None:
    assert adapted(value) == expected


@pytest.mark.parametrize(
    ("proposals", "expected"),
    [
        # Source: Kubernetes, horizontal.go, computeReplicasForMetrics.
        pytest.param([3, 7, 5], 7, id="the largest"),
        pytest.param([None, None], None, id="all failed"),
        pytest.param([None, 3], None, id="one failed, and the other would shrink"),
        pytest.param([None, 5], 5, id="one failed, and the other keeps"),
        pytest.param([None, 7], 7, id="one failed, and the other grows"),
    ],
)
def test_of_several_metrics_the_largest_counts(
    proposals: list[int | None], expected: int | None
) -> None:
    assert largest(proposals, replicas=5) == expected


def test_several_metrics_are_read_in_their_order() -> None:
    autoscaler = hpa(ExternalMetric(RATE, 100), ExternalMetric(P95, 0.1, TargetType.VALUE))
    assert autoscaler.readings == (RATE, P95)
    assert sizes(autoscaler, [observed(500, 0.2, replicas=5)], begin=5) == [10]
    assert sizes(autoscaler, [observed(800, 0.1, replicas=5)], begin=5) == [8]


@pytest.mark.parametrize(
    ("replicas", "rate", "expected"),
    [
        pytest.param(0, 900, 0, id="at zero it is off"),
        pytest.param(12, None, 10, id="above the most, at once, without a metric"),
        pytest.param(1, None, 2, id="below the least, at once, without a metric"),
        pytest.param(5, None, 5, id="between them, held without a metric"),
        pytest.param(5, 2000, 10, id="grown to the most"),
    ],
)
@pytest.mark.parametrize("behavior", [None, Behavior()], ids=["old path", "rules"])
def test_bounds_come_first(
    replicas: int, rate: float | None, expected: int, behavior: Behavior | None
) -> None:
    autoscaler = hpa(bounds=(2, 10), behavior=behavior)
    assert sizes(autoscaler, [observed(rate, replicas=replicas)], begin=replicas) == [expected]


@pytest.mark.parametrize("behavior", [None, Behavior()], ids=["old path", "rules"])
def test_a_new_one_shrinks_only_after_five_minutes(behavior: Behavior | None) -> None:
    # The size it began with counts as a recommendation: by the rules it is out of the window
    # after exactly 300 s, on the old path a sync later.
    first = 300.0 if behavior else 315.0
    changes = steady(hpa(behavior=behavior), 100, replicas=10, start=0, until=600)
    assert changes == {first: 1}


@pytest.mark.parametrize(
    ("behavior", "expected"),
    [
        # Source: Kubernetes, horizontal.go, calculateScaleUpLimit: max(2 R, 4) per sync.
        pytest.param(None, {0.0: 4, 15.0: 8, 30.0: 16, 45.0: 32, 60.0: 40}, id="old path"),
        # ... calculateScaleUpLimitWithScalingRules: max(P + 4, 2 P) from the period's start, which
        # is a sync ago: 1 + 4, then 5 + 5.
        pytest.param(Behavior(), {0.0: 5, 15.0: 10, 30.0: 20, 45.0: 40}, id="rules"),
        pytest.param(
            Behavior(up=rules((3, PODS, 60))),
            {0.0: 4, 60.0: 7, 120.0: 10, 180.0: 13, 240.0: 16, 300.0: 19},
            id="three pods a minute",
        ),
        pytest.param(Behavior(up=rules(select=SelectPolicy.DISABLED)), {}, id="growing disabled"),
    ],
)
def test_growth_is_limited(behavior: Behavior | None, expected: dict[float, int]) -> None:
    assert steady(hpa(behavior=behavior), 4000, replicas=1, start=0, until=300) == expected


def test_shrinking_is_limited_by_the_rules() -> None:
    behavior = Behavior(down=rules((50, PERCENT, 60), window=0))
    changes = steady(hpa(behavior=behavior), 100, replicas=10, start=0, until=300)
    assert changes == {0.0: 5, 60.0: 2, 120.0: 1}


def test_the_largest_recommendation_of_five_minutes_holds_the_old_path() -> None:
    rates = [800, 100, 500, *[100] * 40]
    story = []
    autoscaler, replicas = hpa(), 8
    memory = autoscaler.begin(-1000, replicas)
    for sync, rate in enumerate(rates):
        seen = observed(rate, replicas=replicas, now=sync * 15.0)
        replicas, memory = autoscaler.decide(seen, memory)
        story.append(replicas)
    assert story[:21] == [8] * 21  # 800/s at 0 s counts up to 300 s
    assert story[21:23] == [5, 5]  # 500/s at 30 s up to 330 s
    assert story[23:] == [1] * 20


def test_growing_by_the_rules_waits_for_its_window() -> None:
    behavior = Behavior(up=rules(window=60))
    autoscaler = hpa(behavior=behavior)
    assert steady(autoscaler, 500, replicas=2, start=0, until=300) == {60.0: 5}


def test_a_pods_metric_counts_the_pods_by_their_phase() -> None:
    autoscaler = hpa(PodsMetric(QUEUE, 50))
    # Two ready at four times the target, one Pending and one without a sample: 400 / 4 = 2 x 50.
    seen = observed(200.0, replicas=4, ready=2, pending=1)
    assert sizes(autoscaler, [seen], begin=4) == [8]
    assert sizes(autoscaler, [observed(200.0, replicas=4, ready=0)], begin=4) == [4]


def test_a_latency_of_type_value_swings() -> None:
    """The limit cycle: too slow multiplies the pods, quick enough divides them."""
    autoscaler = hpa(
        ExternalMetric(P95, 0.1, TargetType.VALUE),
        behavior=Behavior(down=rules(window=0)),
    )
    seen = [observed(0.4, replicas=4), observed(0.02, replicas=8, now=15)]
    assert sizes(autoscaler, seen, begin=4) == [8, 2]


def test_a_sync_is_every_fifteen_seconds() -> None:
    assert timedelta(seconds=hpa().interval_seconds) == timedelta(seconds=15)
