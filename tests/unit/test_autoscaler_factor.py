"""How the factor of what a pod sustains is corrected by what is seen."""

from datetime import datetime, timedelta

import pytest

from trireme.autoscaler.factor import Load, correct, initial
from trireme.autoscaler.types import Doubt, FactorMemory
from unit.autoscaling import NOW, SETTLED, WINDOW, seconds

CALM = timedelta(minutes=10)
ALL = 100.0  # what the pods sustain
LONG_AGO = NOW - timedelta(hours=1)


EXPLAINED = FactorMemory("m", explained=True)


def load(rate: float, late: float | None = 0.5, *, settled: bool = True) -> Load:
    broken = late is not None and late > 1
    return Load(rate, ALL, late, broken, settled)


def doubted(ago: timedelta, sustained: float = ALL) -> FactorMemory:
    return FactorMemory("m", 1.0, Doubt(NOW - ago, sustained))


def calm(ago: timedelta, factor: float = 1.0) -> FactorMemory:
    return FactorMemory("m", factor, calm_since=NOW - ago)


@pytest.mark.parametrize(
    ("before", "seen", "after"),
    [
        pytest.param(
            FactorMemory("m"),
            load(90, 1.2),
            FactorMemory("m", 1.0, Doubt(NOW, ALL)),
            id="a break at a load that should be sustained is a doubt",
        ),
        pytest.param(
            FactorMemory("m"), load(110, 1.2), EXPLAINED, id="at a larger load it is explained"
        ),
        pytest.param(
            FactorMemory("m"), load(90, 1.2, settled=False), EXPLAINED, id="or by pods that start"
        ),
        pytest.param(EXPLAINED, load(90, 1.2), EXPLAINED, id="until the break has ended"),
        pytest.param(EXPLAINED, load(90), FactorMemory("m", calm_since=NOW), id="as it has here"),
        pytest.param(
            doubted(WINDOW - seconds(1)),
            load(90, 1.2),
            doubted(WINDOW - seconds(1)),
            id="which lasts a window",
        ),
        pytest.param(
            doubted(seconds(10)),
            load(110, 1.2, settled=False),
            EXPLAINED,
            id="a load that was only rising takes it back",
        ),
        pytest.param(
            doubted(WINDOW), load(90, 1.2), FactorMemory("m", 0.8), id="then the factor is lowered"
        ),
        pytest.param(
            doubted(WINDOW),
            load(90, 0.5, settled=False),
            FactorMemory("m", 0.8),
            id="though one more pod was added meanwhile and helped",
        ),
        pytest.param(
            FactorMemory("m", 0.26, Doubt(LONG_AGO, ALL)),
            load(90, 1.2),
            FactorMemory("m", 0.25),
            id="never below a quarter",
        ),
        pytest.param(
            calm(CALM),
            load(85),
            FactorMemory("m", 1.05, calm_since=NOW),
            id="ten minutes' calm raise",
        ),
        pytest.param(
            calm(CALM - seconds(1)), load(85), calm(CALM - seconds(1)), id="not a second before"
        ),
        pytest.param(
            calm(CALM, 1.99),
            load(85),
            FactorMemory("m", 2.0, calm_since=NOW),
            id="never above twice",
        ),
        pytest.param(calm(CALM), load(79), FactorMemory("m"), id="less load proves nothing"),
        pytest.param(calm(CALM), load(85, 0.81), FactorMemory("m"), id="nor has it room there"),
        pytest.param(calm(CALM), load(85, None), FactorMemory("m"), id="nor is it known"),
        pytest.param(
            calm(CALM), load(85, settled=False), FactorMemory("m"), id="nor while pods start"
        ),
    ],
)
def test_a_factor_is_corrected(before: FactorMemory, seen: Load, after: FactorMemory) -> None:
    found = correct(before, seen, WINDOW, NOW)
    assert found.factor == pytest.approx(after.factor)
    assert (found.doubt, found.explained) == (after.doubt, after.explained)
    assert found.calm_since == after.calm_since


def test_calm_is_not_counted_twice() -> None:
    memory, raised = FactorMemory("m"), list[datetime]()
    for step in range(0, 1805, 5):
        now = NOW + seconds(step)
        before, memory = memory.factor, correct(memory, load(85), WINDOW, now)
        raised += [now] if memory.factor != before else []
    assert raised == [NOW + CALM, NOW + 2 * CALM, NOW + 3 * CALM]


def test_a_factor_begins_at_one() -> None:
    assert initial("m", SETTLED) == FactorMemory("m", 1.0)
