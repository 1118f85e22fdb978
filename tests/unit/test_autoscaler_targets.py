"""How the in-flight target per pod is corrected by what is seen."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trireme.autoscaler.targets import Breach, Correction, breach, correct, initial
from trireme.autoscaler.types.memory import Memory, TargetMemory
from trireme.autoscaler.types.policy import ObjectivePolicy
from trireme.autoscaler.types.signals import ModelSignals
from unit.autoscaling import NOW, SETTLED, WINDOW, objective, seconds, seen

BROKEN = seen(16.0, 0.182)
KEPT = seen(16.0, 0.05)
CALM = timedelta(minutes=10)


def target(
    per_pod: float = 8.0, watched: timedelta | None = None, within: timedelta | None = None
) -> TargetMemory:
    """A target that has been watched, and kept, for so long."""
    return TargetMemory(
        "m",
        per_pod,
        None if watched is None else NOW - watched,
        None if within is None else NOW - within,
    )


def corrected(
    before: TargetMemory,
    signals: ModelSignals,
    *,
    settled: bool = True,
    of: ObjectivePolicy | None = None,
    now: datetime = NOW,
) -> Correction:
    return correct(
        before,
        of or objective(),
        signals,
        pods=2,
        settled=settled,
        learns=True,
        window=WINDOW,
        now=now,
    )


@pytest.mark.parametrize(
    ("before", "signals", "settled", "per_pod"),
    [
        pytest.param(target(watched=WINDOW), BROKEN, True, 6.4, id="a full broken window lowers"),
        pytest.param(
            target(watched=WINDOW - seconds(1)), BROKEN, True, 8.0, id="less than a window does not"
        ),
        pytest.param(target(), BROKEN, True, 8.0, id="a break begins a window"),
        pytest.param(target(watched=WINDOW), BROKEN, False, 8.0, id="not while pods are not ready"),
        pytest.param(
            target(watched=WINDOW),
            seen(16.0, 0.05, failure_ratio=0.002),
            True,
            6.4,
            id="failures beyond the objective lower",
        ),
        pytest.param(
            target(watched=WINDOW),
            seen(16.0, 0.1, failure_ratio=0.001),
            True,
            8.0,
            id="on the line is within",
        ),
        pytest.param(target(1.2, watched=WINDOW), BROKEN, True, 1.0, id="never below one"),
        pytest.param(
            target(watched=CALM, within=CALM), KEPT, True, 8.4, id="ten minutes within it raise"
        ),
        pytest.param(
            target(watched=CALM, within=CALM - seconds(1)),
            KEPT,
            True,
            8.0,
            id="not a second before",
        ),
        pytest.param(
            target(15.9, watched=CALM, within=CALM), KEPT, True, 16.0, id="never above twice it"
        ),
        pytest.param(
            target(watched=CALM, within=CALM),
            seen(7.9, 0.05),
            True,
            8.0,
            id="less than half the target proves nothing",
        ),
        pytest.param(
            target(watched=CALM, within=CALM),
            seen(16.0, None),
            True,
            8.0,
            id="an unknown latency proves nothing",
        ),
    ],
)
def test_a_target_is_corrected(
    before: TargetMemory, signals: ModelSignals, settled: bool, per_pod: float
) -> None:
    after = corrected(before, signals, settled=settled).target
    assert after.in_flight_per_pod == pytest.approx(per_pod)


def test_each_correction_begins_a_new_window() -> None:
    lowered = corrected(target(watched=WINDOW), BROKEN)
    assert lowered == Correction(TargetMemory("m", 8.0 * 0.8, NOW, None), is_window_broken=True)
    soon = NOW + WINDOW - seconds(1)
    assert corrected(lowered.target, BROKEN, now=soon).target.in_flight_per_pod == pytest.approx(
        6.4
    )
    raised = corrected(target(watched=CALM, within=CALM), KEPT)
    assert (raised.target.within_since, raised.is_window_broken) == (NOW, False)


def test_a_break_ends_the_calm() -> None:
    assert corrected(target(watched=seconds(5), within=CALM), BROKEN).target.within_since is None


def test_pods_on_their_way_end_every_window() -> None:
    after = corrected(target(watched=WINDOW, within=CALM), KEPT, settled=False).target
    assert (after.window_since, after.within_since) == (None, None)


@pytest.mark.parametrize("signals", [BROKEN, KEPT])
def test_a_target_the_user_set_is_not_corrected(signals: ModelSignals) -> None:
    fixed = objective(start=0.5, fixed=True)
    before = initial(fixed, replace(SETTLED, targets=(target(8.0, CALM, CALM),)))
    assert before.in_flight_per_pod == 0.5
    watched = replace(before, window_since=NOW - CALM, within_since=NOW - CALM)
    after = corrected(watched, signals, of=fixed)
    assert (after.target.in_flight_per_pod, after.is_window_broken) == (0.5, False)


@pytest.mark.parametrize(
    ("memory", "per_pod"),
    [
        pytest.param(SETTLED, 8.0, id="nothing remembered"),
        pytest.param(replace(SETTLED, targets=(target(6.4),)), 6.4, id="remembered"),
        pytest.param(
            replace(SETTLED, targets=(target(40.0),)), 16.0, id="remembered from a larger start"
        ),
        pytest.param(
            replace(SETTLED, targets=(replace(target(6.4), model="other"),)), 8.0, id="of another"
        ),
    ],
)
def test_a_target_begins_where_it_was_within_todays_bounds(memory: Memory, per_pod: float) -> None:
    assert initial(objective(), memory).in_flight_per_pod == per_pod


def test_what_is_broken_is_told_apart() -> None:
    assert breach(objective(), seen(1.0, 0.2)) == Breach(latency=True, failures=False)
    assert breach(objective(), seen(1.0, None, failure_ratio=1.0)) == Breach(
        latency=False, failures=True
    )
    assert not breach(objective(), seen(1.0, None))


@given(
    st.floats(1, 64),
    st.lists(
        st.tuples(
            st.floats(0, 300),
            st.none() | st.floats(0.001, 1),
            st.floats(0, 0.01),
            st.booleans(),
            st.integers(1, 700),
        ),
        max_size=30,
    ),
)
def test_a_target_stays_from_one_to_twice_its_start(
    start: float, rounds: list[tuple[float, float | None, float, bool, int]]
) -> None:
    of = objective(start=start)
    learnt, now = initial(of, SETTLED), NOW
    for in_flight, latency, failures, settled, pause in rounds:
        now += seconds(pause)
        signals = seen(in_flight, latency, failure_ratio=failures)
        learnt = corrected(learnt, signals, settled=settled, of=of, now=now).target
        assert 1 <= learnt.in_flight_per_pod <= 2 * start
