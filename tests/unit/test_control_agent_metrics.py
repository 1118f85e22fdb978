"""What a scrape is told of each agent, as Prometheus reads it."""

from dataclasses import replace
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from trireme.api.conditions import Reason
from trireme.autoscaler.records import Inputs, Record, conclude
from trireme.autoscaler.types.signals import ModelSignals, NoSignals
from trireme.control.agent_metrics import AgentMetrics
from trireme.control.history import History
from trireme.control.queue import Key
from trireme.control.store import Store
from trireme.edge.metrics import Metrics
from unit.autoscaling import NOW, SETTLED, objective, observed, policy, seconds, seen

Series = dict[tuple[str, ...], float]
LABELS = ("namespace", "agent", "model", "type", "status", "reason")
OBJECTIVES = {
    ("trireme_agent_latency_objective_seconds", "team", "echo", "m"): 0.1,
    ("trireme_agent_failure_ratio_objective", "team", "echo", "m"): 0.001,
}


def store_of(*conditions: tuple[str, str, str], **metadata: Any) -> Store:
    """The agent team/echo, with these types, statuses and reasons in its status."""
    written = [{"type": t, "status": s, "reason": r, "message": "..."} for t, s, r in conditions]
    store = Store()
    known = {"namespace": "team", "name": "echo", "uid": "1", "generation": 1, **metadata}
    status = {"conditions": written} if written else {}
    store.agent_event({"metadata": known, "spec": {}, "status": status}, deleted=False)
    return store


def history_of(signals: ModelSignals | NoSignals | tuple[ModelSignals, ...]) -> History:
    """A history with one decision of team/echo, by these signals."""
    models = signals if isinstance(signals, tuple) else (signals,)
    asked = [objective(m.model) for m in models if isinstance(m, ModelSignals)] or [objective()]
    inputs = Inputs(observed(2, signals), replace(policy(), objectives=tuple(asked)), SETTLED)
    history = History()
    history.add(Record("1", "team", "echo", inputs, conclude(inputs)[0]))
    return history


def scraped(store: Store, history: History | None = None, after: float = 4.0) -> Series:
    """What is told of agents so many seconds after the round, by name and labels."""
    metrics = Metrics()
    metrics.registry.register(
        AgentMetrics(store, history or History(), lambda: NOW + seconds(after))
    )
    return {
        (sample.name, *(sample.labels[label] for label in LABELS if label in sample.labels)): (
            sample.value
        )
        for family in text_string_to_metric_families(metrics.text().decode())
        if family.name.startswith("trireme_agent_")
        for sample in family.samples
    }


def test_a_condition_is_told_as_it_is_now_whoever_wrote_it() -> None:
    store = store_of(
        ("Ready", "False", "ImagePullFailed"), ("SignalsAvailable", "Unknown", "NoPods")
    )
    assert scraped(store) == {
        ("trireme_agent_condition", "team", "echo", "Ready", "False", "ImagePullFailed"): 1,
        ("trireme_agent_condition", "team", "echo", "SignalsAvailable", "Unknown", "NoPods"): 1,
    }


def test_of_a_condition_that_changed_only_the_present_is_told() -> None:
    store = store_of(("Ready", "False", "RollingOut"))
    body = store.view(Key("team", "echo")).body
    assert body is not None
    ready = {"type": "Ready", "status": "True", "reason": "PodsReady"}
    store.agent_event({**body, "status": {"conditions": [ready]}}, deleted=False)
    assert scraped(store) == {
        ("trireme_agent_condition", "team", "echo", "Ready", "True", "PodsReady"): 1
    }


def test_an_agent_that_nobody_has_looked_at_yet_has_no_series() -> None:
    assert scraped(store_of()) == {}


def test_an_agent_that_goes_has_no_series_any_more() -> None:
    store = store_of(("Ready", "True", "PodsReady"), deletionTimestamp="2026-01-01T12:00:00Z")
    assert scraped(store, history_of(seen(4.0))) == {}


def test_each_objectives_latency_and_failures_stand_beside_what_is_asked() -> None:
    signals = (seen(4.0, 0.25, failure_ratio=0.02), seen(1.0, 0.05, model="n"))
    series = scraped(store_of(), history_of(signals))
    assert series == OBJECTIVES | {
        ("trireme_agent_latency_seconds", "team", "echo", "m"): 0.25,
        ("trireme_agent_failure_ratio", "team", "echo", "m"): 0.02,
        ("trireme_agent_latency_seconds", "team", "echo", "n"): 0.05,
        ("trireme_agent_failure_ratio", "team", "echo", "n"): 0.0,
        ("trireme_agent_latency_objective_seconds", "team", "echo", "n"): 0.1,
        ("trireme_agent_failure_ratio_objective", "team", "echo", "n"): 0.001,
    }


def test_a_latency_that_is_not_known_is_not_told_as_zero() -> None:
    told = scraped(store_of(), history_of(seen(0.0, None)))
    assert told == OBJECTIVES | {("trireme_agent_failure_ratio", "team", "echo", "m"): 0.0}
    lost = NoSignals(Reason.NO_SERIES, "Prometheus has nothing of it")
    assert scraped(store_of(), history_of(lost)) == OBJECTIVES


def test_what_was_seen_a_minute_ago_is_not_told_as_of_now() -> None:
    history = history_of(seen(4.0, 0.25))
    assert scraped(store_of(), history, after=59)
    assert scraped(store_of(), history, after=60) == {}
