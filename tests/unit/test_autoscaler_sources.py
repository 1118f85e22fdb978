"""Whose figures are taken; whole afternoons of it are in test_autoscaler_faults.py."""

from dataclasses import replace

import pytest

from trireme.api.conditions import Reason
from trireme.autoscaler.sources import GAPS_PATIENCE, PATIENCE, SourceMemory, choose
from trireme.autoscaler.types.signals import Coverage, NoSignals, Signals, Source
from unit.autoscaling import NOW, WINDOW, seconds

ALL = Signals(NOW, WINDOW, (), Source.PROMETHEUS, (Coverage("server", 3, 3, 2.0),))
GAPS = replace(ALL, coverage=(Coverage("server", 3, 3, 12.0, gaps=2),))
TOLD = Signals(NOW, WINDOW, (), Source.PODS, (Coverage("server", 3, 3, 2.0),))
TWICE = replace(TOLD, coverage=(Coverage("server", 3, 3, 2.0, gaps=3),))
AWAY = NoSignals(Reason.PROMETHEUS_UNREACHABLE, "Prometheus does not answer")
SILENT = NoSignals(Reason.NO_SERIES, "the operator has no two samples of 3 ready server pods")
YOUNG = NoSignals(Reason.NO_SERIES, "no two samples yet", awaited=True)
LONG = NOW - seconds(600)
MOMENT = NOW - seconds(5)
LOST = SourceMemory(lost_since=NOW - PATIENCE)
WITH_GAPS = SourceMemory(lost_since=NOW - GAPS_PATIENCE)
DIRECT = SourceMemory(Source.PODS)


@pytest.mark.parametrize(
    ("memory", "prometheus", "pods", "taken", "reads"),
    [
        pytest.param(SourceMemory(), ALL, None, ALL, False, id="Prometheus covers them"),
        pytest.param(SourceMemory(), AWAY, None, AWAY, True, id="it is lost: pods are read"),
        pytest.param(SourceMemory(), YOUNG, None, YOUNG, False, id="new pods are no loss"),
        pytest.param(
            SourceMemory(lost_since=MOMENT), AWAY, TOLD, AWAY, True, id="the loss has yet to last"
        ),
        pytest.param(LOST, AWAY, TWICE, TWICE, True, id="two readings are better than nothing"),
        pytest.param(
            SourceMemory(lost_since=LONG, whole_since=MOMENT),
            ALL,
            TOLD,
            ALL,
            True,
            id="what comes and goes is not yet trusted",
        ),
        pytest.param(
            SourceMemory(lost_since=LONG, whole_since=NOW - WINDOW),
            ALL,
            TOLD,
            ALL,
            False,
            id="after a whole window it is",
        ),
        pytest.param(LOST, GAPS, TOLD, GAPS, True, id="gaps are waited out"),
        pytest.param(WITH_GAPS, GAPS, TOLD, TOLD, True, id="but not for ever"),
        pytest.param(WITH_GAPS, GAPS, TWICE, GAPS, True, id="unless the pods have gaps as well"),
        pytest.param(DIRECT, AWAY, TOLD, TOLD, True, id="it is still away"),
        pytest.param(DIRECT, ALL, TOLD, TOLD, True, id="it is back, for a moment so far"),
        pytest.param(
            replace(DIRECT, whole_since=NOW - WINDOW), ALL, TOLD, ALL, False, id="it is back"
        ),
        pytest.param(
            replace(DIRECT, whole_since=LONG), GAPS, TOLD, TOLD, True, id="it is back with gaps"
        ),
        pytest.param(DIRECT, YOUNG, TOLD, TOLD, True, id="new pods are read already"),
        pytest.param(DIRECT, ALL, SILENT, SILENT, True, id="the pods are silent for a moment"),
        pytest.param(
            replace(DIRECT, lost_since=NOW - PATIENCE),
            GAPS,
            SILENT,
            GAPS,
            True,
            id="the pods are lost, and Prometheus has something",
        ),
    ],
)
def test_the_source_that_is_taken(
    memory: SourceMemory,
    prometheus: Signals | NoSignals,
    pods: Signals | NoSignals | None,
    taken: Signals | NoSignals,
    reads: bool,
) -> None:
    signals, after = choose(memory, prometheus, pods, now=NOW, window=WINDOW)
    assert (replace(signals, instead="") if isinstance(signals, Signals) else signals) == taken
    assert after.wants_pods is reads
    if isinstance(signals, Signals):
        assert after.source is signals.source
        assert bool(signals.instead) is (signals.source is Source.PODS)


def test_where_neither_has_anything_both_are_named() -> None:
    signals, _ = choose(LOST, AWAY, SILENT, now=NOW, window=WINDOW)
    assert signals == NoSignals(
        Reason.PROMETHEUS_UNREACHABLE, f"{AWAY.message}; read directly: {SILENT.message}"
    )
