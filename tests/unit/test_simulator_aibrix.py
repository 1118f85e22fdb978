"""AIBrix's two algorithms by the rules of their source, oddities included."""

import pytest

from trireme.simulator.baselines.aibrix import Aibrix, Source, Strategy
from trireme.simulator.policy import Bounds, Metric, Observed
from unit.simulator import observed, sizes

APA = Aibrix("apa", Bounds(1, 100), 10)
KPA = Aibrix("kpa", Bounds(1, 100), 10, Strategy.KPA, Source.TOTAL)
KPA_BY_PODS = Aibrix("kpa", Bounds(1, 100), 10, Strategy.KPA)


def at(now: float, replicas: int, stable: float, panic: float | None = None) -> Observed:
    return observed(stable, stable if panic is None else panic, replicas=replicas, now=now)


@pytest.mark.parametrize(
    ("policy", "seen", "expected"),
    [
        # Source: aibrix, pkg/controller/podautoscaler/algorithm/apa.go.
        pytest.param(APA, at(0, 4, 56), 6, id="APA: 1.4 times the target of 4 pods"),
        pytest.param(APA, at(0, 4, 44), 4, id="APA: a tenth more is within"),
        pytest.param(APA, at(0, 4, 42), 4, id="APA: so is a twentieth more"),
        pytest.param(APA, at(0, 4, 36), 4, id="APA: and a tenth less"),
        pytest.param(APA, at(0, 4, 400), 8, id="APA: to twice the size at most"),
        pytest.param(APA, at(0, 4, 28), 3, id="APA: 0.7 times the target"),
        pytest.param(APA, at(0, 5, 1), 2, id="APA: to half the size at least, rounded down"),
        # ... and algorithm/kpa.go.
        pytest.param(KPA, at(0, 4, 56), 6, id="KPA: a total over the target"),
        pytest.param(
            KPA, at(0, 4, 10.5), 4, id="KPA: a total near one pod's target changes nothing"
        ),
        pytest.param(KPA, at(0, 4, 400), 8, id="KPA: to twice the size at most"),
        pytest.param(KPA, at(0, 5, 15), 2, id="KPA: to half the size at least, rounded down"),
        pytest.param(KPA, at(0, 4, 30, 61), 7, id="KPA: in panic the larger window counts"),
        pytest.param(KPA, at(0, 4, 30, 60), 3, id="KPA: twice the stable window is no panic"),
        pytest.param(KPA, at(0, 4, 0, 60), 6, id="KPA: without a stable value it is panic"),
        pytest.param(
            KPA_BY_PODS, at(0, 8, 160), 4, id="KPA: the pods' mean is taken for the fleet"
        ),
    ],
)
def test_one_reconciliation(policy: Aibrix, seen: Observed, expected: int) -> None:
    assert sizes(policy, [seen], begin=4) == [expected]


def test_the_cooldown_deepens_the_way_down() -> None:
    # At 0 s three pods are asked for; growing to 6 at 10 s is not held; at 20 s five are asked for,
    # and the three of 20 s ago are what is done.
    seen = [at(0, 4, 28), at(10, 3, 60), at(20, 6, 48)]
    assert sizes(APA, seen, begin=4) == [3, 6, 3]
    # What is a whole window ago is forgotten.
    late = [at(0, 4, 28), at(10, 3, 60), at(300, 6, 48)]
    assert sizes(APA, late, begin=4) == [3, 6, 5]


def test_nothing_held_in_panic_keeps_the_size() -> None:
    seen = [at(0, 4, 30, 61), at(10, 7, 40, 40)]
    assert sizes(KPA, seen, begin=4) == [7, 4]


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        pytest.param(observed(500.0, 500.0, replicas=0), 0, id="at zero it is off"),
        pytest.param(observed(None, None, replicas=101), 100, id="above the most, at once"),
        pytest.param(observed(None, 5.0, replicas=7), 7, id="without metrics nothing changes"),
        pytest.param(observed(90.0, 5.0, replicas=7, ready=0), 7, id="nor without a ready pod"),
    ],
)
def test_bounds_and_outages(seen: Observed, expected: int) -> None:
    assert sizes(APA, [seen], begin=7) == [expected]


def test_it_reads_three_minutes_and_one() -> None:
    assert [(r.metric, r.window_seconds) for r in APA.readings] == [
        (Metric.IN_FLIGHT, 180),
        (Metric.IN_FLIGHT, 60),
    ]
