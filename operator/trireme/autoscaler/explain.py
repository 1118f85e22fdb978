"""Why there are so many pods, and what would change it, in plain words.

Pure. What is told comes from the latest record of a decision where there is one: what was seen,
and what the decision would be at other loads (`thresholds`); else from the status, which has less.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trireme.api.conditions import ConditionType, Reason
from trireme.api.scalars import format_duration
from trireme.api.status import AgentStatus
from trireme.autoscaler.explain_change import fewer, more
from trireme.autoscaler.explain_facts import facts
from trireme.autoscaler.explain_knobs import knobs
from trireme.autoscaler.explain_known import (
    Agent,
    Told,
    condition_of,
    is_decided,
    objective_of,
    of_record,
    of_status,
)
from trireme.autoscaler.explain_pod import classes, milliseconds, pod
from trireme.autoscaler.explain_start import start
from trireme.autoscaler.records import Record
from trireme.autoscaler.thresholds import Thresholds, thresholds
from trireme.autoscaler.types.observation import Outside
from trireme.autoscaler.types.signals import NoSignals, Signals
from trireme.autoscaler.wording import ago, lasting, number, pod_count

_WHY = {
    Reason.WITHIN_TARGET: "No change is due",
    Reason.SCALED_UP: "Pods are being added",
    Reason.SCALED_DOWN: "Pods are being removed",
    Reason.LIMITED: "Another number is wanted than a limit allows",
    Reason.HELD: "A change is wanted and waits",
    Reason.NO_SIGNALS: "Signals are missing, and without them nothing is changed",
    Reason.PAUSED: "Scaling is paused",
    Reason.FIXED: "The spec fixes the number",
    Reason.EXTERNAL: "Another autoscaler decides",
    Reason.SHADOW: "The spec fixes the number; what Trireme would do is only told",
    Reason.FOREIGN_WRITER: "Somebody else set the number",
    Reason.NOT_ACCEPTED: "Nothing is scaled yet",
}
_CANARYS = " with the canary's"
_PRAISE = "Tried on this agent's past, that was the cheapest way to keep the objective"
_LAST_RESORT = "Tried on this agent's past, nothing kept the objective, and that was the nearest"


@dataclass(frozen=True, slots=True)
class Explanation:
    """A headline, sentences under short headings, and the figures for programs."""

    headline: str
    sections: Mapping[str, tuple[str, ...]]
    facts: Mapping[str, Any]


def explain(
    agent: Agent, record: Record | None, unavailable: str | None, now: datetime
) -> Explanation:
    """Explain an agent's number of pods at `now`.

    `record` is that of its latest decision; where there is none, `unavailable` says why.
    """
    told = of_record(record) if record is not None else of_status(agent, now)
    known = record is not None and is_decided(told)
    found = thresholds(record.inputs) if record and known else Thresholds(None, None)
    sections = {
        "Why": _why(told),
        "Seen": _seen(told, now),
        "A pod": pod(told, agent.status, now),
        "Classes": classes(told, agent.status),
        "Knobs": knobs(agent, now),
        "A start": start(told, agent.status),
        "Ahead": _ahead(told),
        "More": more(told, found),
        "Fewer": fewer(told, found),
        "Signals": _signals(told, agent.status, now),
        "Last": _last(agent.status, now),
        "Source": _source(record, found, unavailable, now),
    }
    lines = {title: tuple(sentences) for title, sentences in sections.items()}
    return Explanation(
        headline=_headline(agent, told),
        sections={title: sentences for title, sentences in lines.items() if sentences},
        facts=facts(agent, told, found, record),
    )


# -------------------------------------------------------------------------------------- sections


def _headline(agent: Agent, told: Told) -> str:
    policy = told.policy
    mode = f", mode {policy.mode}" if policy else ""
    if policy and policy.mode.is_decided_by_trireme:
        mode += f", from {policy.min_replicas} to {policy.max_replicas}"
    ready = f"{told.ready} ready{_CANARYS if told.with_canary else ''}"
    return f"{agent.namespace}/{agent.name}: {pod_count(told.replicas)}, {ready}{mode}"


def _why(told: Told) -> Iterator[str]:
    if told.reason is None:
        yield "Nothing was decided yet."
        return
    why = _WHY.get(told.reason, told.reason.value)
    yield f"{why}: {told.message or told.reason.value}."


def _seen(told: Told, now: datetime) -> Iterator[str]:
    load = told.load
    if load is None:
        return
    objective = objective_of(told.policy, load.model)
    limit = f" of {milliseconds(objective)} allowed" if objective else ""
    latency = f"{load.latency}{limit}" if load.latency else "no request answered"
    failures = (
        f"{number(load.failure_ratio * 100)} % failed" if load.failure_ratio else "none failed"
    )
    yield (
        f"{load.model}: {number(load.rate_per_second)} requests/s, {number(load.in_flight)} in "
        f"flight, {latency}, {failures}; {ago(load.at, now)}."
    )


def _ahead(told: Told) -> Iterator[str]:
    """What is expected while a pod starts, and how good that was on the agent's own past."""
    for model, forecast in told.forecasts.items():
        named = f"{model}: " if len(told.forecasts) > 1 else ""
        bought = number(forecast.margin * forecast.per_second)
        yield (
            f"{named}Within {lasting(forecast.horizon_seconds)}, in which a pod starts, at most "
            f"{number(forecast.per_second)} requests/s are expected, {forecast.words}; pods for at "
            f"least {bought} are wanted (x {number(forecast.margin)})."
        )
        objective = objective_of(told.policy, model)
        keeps = objective and forecast.late_share <= 1 - objective.percentile / 100
        yield (
            f"{_PRAISE if keeps else _LAST_RESORT}, with "
            f"{number(forecast.late_share * 100)} % of the requests late."
        )


def _signals(told: Told, status: AgentStatus, now: datetime) -> Iterator[str]:
    match told.signals:
        case Signals(models=()) if isinstance(told.outside, Outside):
            rate = number(told.outside.per_second)
            yield f"No pod is ready to tell of any; scaling.demand is {rate} requests/s."
        case Signals(models=()):
            yield "No objective asks for any."
        case Signals(at=at, window=window, instead=why) as signals:
            yield f"Told {signals}; over {format_duration(window)}, as of {ago(at, now)}."
            if why:
                yield f"Not by Prometheus: {why}."
        case NoSignals(reason=reason, message=message):
            yield f"{reason}: {message}."
        case None:
            available = condition_of(status, ConditionType.SIGNALS_AVAILABLE)
            if available is not None:
                yield f"{available.reason}: {available.message}."


def _last(status: AgentStatus, now: datetime) -> Iterator[str]:
    """The last change of size."""
    for decision in status.scaling.decisions if status.scaling else ():
        if decision.from_replicas != decision.to_replicas:
            at = datetime.fromisoformat(decision.time)
            yield f"{ago(at, now)}: {decision.message}."
            return


def _source(
    record: Record | None, found: Thresholds, unavailable: str | None, now: datetime
) -> Iterator[str]:
    if record is not None:
        is_asked = found.more is not None or found.fewer is not None
        asked = "; More and Fewer are its answers at other loads" if is_asked else ""
        at = ago(record.decision.at, now)
        yield f"The decision of {at}, input digest {record.input_digest}{asked}."
    else:
        yield (
            f"The status alone, as it was last written, which has no figures for More and Fewer: "
            f"{unavailable}."
        )
