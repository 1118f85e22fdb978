"""How the factor of what a pod sustains is corrected by what is seen."""

from datetime import datetime, timedelta

import pytest

from trireme.autoscaler.factor import LASTING, Load, correct, initial
from trireme.autoscaler.types.memory import Doubt, FactorMemory
from unit.autoscaling import NOW, SETTLED, seconds

CALM = timedelta(minutes=10)
ALL = 100.0  # what the pods sustain

EXPLAINED = FactorMemory("m", explained=True)
EASED = 90.0


def load(rate: float, slow: float | None = 0.5, *, settled: bool = True) -> Load:
    return Load(rate, ALL, slow, broken=False, settled=settled)


def broken(rate: float, *, settled: bool = True) -> Load:
    return Load(rate, ALL, 1.9, broken=True, settled=settled)


def doubted(ago: timedelta, factor: float = 1.0) -> FactorMemory:
    return FactorMemory("m", factor, Doubt(NOW - ago, EASED))


def calm(ago: timedelta, factor: float = 1.0) -> FactorMemory:
    return FactorMemory("m", factor, calm_since=NOW - ago)


@pytest.mark.parametrize(
    ("before", "seen", "after"),
    [
        pytest.param(
            FactorMemory("m"),
            broken(89),
            doubted(seconds(0)),
            id="a break at a load that should be sustained with ease is a doubt",
        ),
        pytest.param(FactorMemory("m"), broken(91), EXPLAINED, id="near the limit it is chance"),
        pytest.param(
            FactorMemory("m"), broken(89, settled=False), EXPLAINED, id="or by pods that start"
        ),
        pytest.param(EXPLAINED, broken(50), EXPLAINED, id="until the break has ended"),
        pytest.param(EXPLAINED, load(50), FactorMemory("m"), id="as it has here"),
        pytest.param(
            doubted(LASTING - seconds(1)),
            broken(89),
            doubted(LASTING - seconds(1)),
            id="which has to last",
        ),
        pytest.param(doubted(LASTING), load(50), FactorMemory("m"), id="and has not here"),
        pytest.param(
            doubted(seconds(10)),
            broken(91, settled=False),
            EXPLAINED,
            id="a load that was only rising takes it back",
        ),
        pytest.param(
            doubted(LASTING), broken(89), FactorMemory("m", 0.8), id="then the factor is lowered"
        ),
        pytest.param(
            doubted(LASTING),
            broken(89, settled=False),
            FactorMemory("m", 0.8),
            id="also while one more pod starts that the break asked for",
        ),
        pytest.param(
            doubted(LASTING, 0.26), broken(50), FactorMemory("m", 0.25), id="never below a quarter"
        ),
        pytest.param(
            calm(CALM),
            load(90),
            FactorMemory("m", 1.05, calm_since=NOW),
            id="busy and quick, ten minutes after the first time, raises",
        ),
        pytest.param(
            calm(CALM - seconds(1)), load(90), calm(CALM - seconds(1)), id="not a second before"
        ),
        pytest.param(
            calm(CALM, 1.99),
            load(90),
            FactorMemory("m", 2.0, calm_since=NOW),
            id="never above twice",
        ),
        pytest.param(calm(CALM), load(89), calm(CALM), id="less load proves nothing"),
        pytest.param(calm(CALM), load(90, 0.81), FactorMemory("m"), id="a busy one is not quick"),
        pytest.param(calm(CALM), load(90, None), FactorMemory("m"), id="or nobody knows"),
        pytest.param(calm(CALM), broken(91), EXPLAINED, id="or is late"),
        pytest.param(calm(CALM), load(90, settled=False), calm(CALM), id="nor while pods start"),
    ],
)
def test_a_factor_is_corrected(before: FactorMemory, seen: Load, after: FactorMemory) -> None:
    found = correct(before, seen, NOW)
    assert found.factor == pytest.approx(after.factor)
    assert (found.doubt, found.explained) == (after.doubt, after.explained)
    assert found.calm_since == after.calm_since


def test_calm_is_not_counted_twice() -> None:
    memory, raised = FactorMemory("m"), list[datetime]()
    for step in range(0, 1805, 5):
        now = NOW + seconds(step)
        before, memory = memory.factor, correct(memory, load(90), now)
        raised += [now] if memory.factor != before else []
    assert raised == [NOW + CALM, NOW + 2 * CALM, NOW + 3 * CALM]


def test_a_factor_begins_at_one() -> None:
    assert initial("m", SETTLED) == FactorMemory("m", 1.0)
