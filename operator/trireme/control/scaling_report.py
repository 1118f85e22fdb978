"""What is told of a decision: conditions, status, Event. Pure: all from the one Decision."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile

from trireme.api.conditions import ConditionType, EventReason, Reason
from trireme.api.scaling_status import (
    CurveStatus,
    DecisionStatus,
    LeadTimeStatus,
    ModelLoadStatus,
    NodeClassStatus,
    ObservedLoad,
    PipelineCapacityStatus,
    ScalingStatus,
    UnansweredStatus,
)
from trireme.api.status import Condition
from trireme.autoscaler.memory import targets_status
from trireme.autoscaler.types.decision import Decision
from trireme.autoscaler.types.memory import Memory
from trireme.autoscaler.types.observation import Outside
from trireme.autoscaler.types.signals import NoSignals, Signals, Source
from trireme.autoscaler.wording import rounded
from trireme.control.status import Finding, format_time
from trireme.edge.recorder import Event

_SCALE = "Scale"
_KEPT_DECISIONS = 10
_KEPT_BYTES = 4096  # of their JSON: messages are as long as objectives are many
_SAME_HOLD = timedelta(minutes=10)

# What it is called when a decision changes nothing but its reason: the fleet began to wait.
_HOLDING = {
    Reason.HELD: EventReason.SCALING_HELD,
    Reason.PAUSED: EventReason.SCALING_HELD,
    Reason.LIMITED: EventReason.SCALING_LIMITED,
    Reason.FOREIGN_WRITER: EventReason.FOREIGN_WRITER,
}
# Of an agent that only just started, these say that its signals are yet to come, not lost.
_NOT_YET = frozenset({Reason.NO_PODS, Reason.NO_SERIES, Reason.PARTIAL})
_INACTIVE = frozenset(
    {
        Reason.NO_SIGNALS,
        Reason.FIXED,
        Reason.EXTERNAL,
        Reason.SHADOW,
        Reason.PAUSED,
        Reason.FOREIGN_WRITER,
    }
)


@dataclass(frozen=True, slots=True)
class Told:
    """A notable decision, and the digest of what it was made from. `is_of_size`: its size is news,
    or why it stays; else only what became of settings.
    """

    decision: Decision
    input_digest: str
    is_of_size: bool = True


def words(told: Told) -> Iterator[tuple[str, str]]:
    """What is told of a notable decision, each with its reason: what became of settings, and then
    its size.
    """
    for each in told.decision.settings:
        yield each.reason, each.message
    if told.is_of_size:
        yield told.decision.reason, str(told.decision.message)


def statuses(
    decision: Decision, signals: Signals | NoSignals
) -> dict[ConditionType, tuple[bool, Reason]]:
    """What the autoscaler's two conditions are, and by which reason."""
    match signals:
        case Signals(models=()):
            available = True, Reason.FRESH
        case Signals(source=source):
            available = True, Reason.READ_DIRECTLY if source is Source.PODS else Reason.FRESH
        case NoSignals(reason):
            available = False, reason
    active = decision.reason not in _INACTIVE, decision.reason
    return {ConditionType.SIGNALS_AVAILABLE: available, ConditionType.AUTOSCALING_ACTIVE: active}


def is_all_well_as_before(
    found: Mapping[ConditionType, tuple[bool, Reason]], written: Iterable[Condition]
) -> bool:
    """Whether both conditions are true by the same reasons as those written last: their words, the
    figures of the moment, are no news then, and need not be made.
    """
    if not all(status for status, _ in found.values()):
        return False
    before = {condition.type: (condition.status, condition.reason) for condition in written}
    return before == {kind: ("True", reason) for kind, (_, reason) in found.items()}


def findings(
    decision: Decision,
    signals: Signals | NoSignals,
    outside: Outside | NoSignals | None = None,
) -> dict[ConditionType, Finding]:
    """The autoscaler's two conditions."""
    match signals:
        case Signals(models=()) if outside is not None:
            seen = "no pod is ready; scaling.demand is known"
        case Signals(models=()):
            seen = "no objective asks for signals"
        case Signals(source=Source.PODS, instead=why):
            seen = f"{signals}; {why}"
        case Signals():
            seen = str(signals)
        case NoSignals(_, message):
            seen = message
    told = statuses(decision, signals)
    words = {
        ConditionType.SIGNALS_AVAILABLE: seen,
        ConditionType.AUTOSCALING_ACTIVE: str(decision.message),
    }
    return {kind: Finding(*told[kind], words[kind]) for kind in told}


def is_notable(
    reason_before: str | None,
    told: Sequence[DecisionStatus],
    decision: Decision,
    now: datetime,
) -> bool:
    """Whether a decision's size is worth an Event and a line in the status: it changes, or it
    begins to hold.

    `reason_before` is that of the decision before (None if unknown), `told` the notable ones so
    far, newest first. A fleet between two sizes holds and does not hold by turns, every few
    seconds, or for one reason and another: the same hold of the same size is news once in ten
    minutes. A hold without signals is news where their loss is: see `signals_events`.
    """
    if decision.replicas != decision.current:
        return True
    if decision.reason not in _HOLDING or reason_before == decision.reason:
        return False
    of_this_size = takewhile(lambda each: each.from_replicas == each.to_replicas, told)
    same = next((each for each in of_this_size if each.reason == decision.reason), None)
    return same is None or now - datetime.fromisoformat(same.time) >= _SAME_HOLD


def signals_events(
    before: bool | None,
    told: Sequence[DecisionStatus],
    signals: Signals | NoSignals,
    replicas: int,
) -> list[Event]:
    """What is told of signals that go or come back, with so many `replicas` held meanwhile.

    `before` is the condition's last status, None if unknown. Only what was `told` as lost comes
    back: a new agent's signals just come.
    """
    if isinstance(signals, Signals):
        was_told = any(decision.reason == Reason.NO_SIGNALS for decision in told)
        restored = Event(EventReason.SIGNALS_RESTORED, "the scaling signals are back", _SCALE)
        return [restored] if before is False and was_told else []
    if before or (before is None and signals.reason not in _NOT_YET):
        note = f"{signals.message}: holding {_replicas(replicas)}"
        return [Event(EventReason.SIGNALS_LOST, note, _SCALE, warning=True)]
    return []


def source_events(before: Condition | None, signals: Signals | NoSignals) -> list[Event]:
    """What is told where the figures come from another source than `before`, the condition last
    written, says.
    """
    was_direct = before is not None and before.reason == Reason.READ_DIRECTLY
    match signals:
        case Signals(source=Source.PODS, instead=why) if not was_direct:
            note = f"{why}: the pods' own metrics are read instead"
            return [Event(EventReason.SIGNALS_READ_DIRECTLY, note, _SCALE, warning=True)]
        case Signals(source=Source.PROMETHEUS) if was_direct:
            note = "Prometheus covers the ready pods: their metrics are not read any more"
            return [Event(EventReason.SIGNALS_FROM_PROMETHEUS, note, _SCALE)]
        case _:
            return []


def decision_events(decision: Decision) -> list[Event]:
    """What is told of a notable decision; of one without signals `signals_events` tells."""
    if decision.replicas > decision.current:
        return [Event(EventReason.SCALED_UP, str(decision.message), _SCALE)]
    if decision.replicas < decision.current:
        return [Event(EventReason.SCALED_DOWN, str(decision.message), _SCALE)]
    if decision.reason not in _HOLDING:
        return []
    warning = decision.reason in (Reason.LIMITED, Reason.FOREIGN_WRITER)
    return [Event(_HOLDING[decision.reason], str(decision.message), _SCALE, warning)]


def scaling_status(
    before: ScalingStatus | None,
    decision: Decision,
    signals: Signals | NoSignals,
    memory: Memory,
    untold: Sequence[Told] = (),
    curves: Sequence[CurveStatus] = (),
    lead_time: LeadTimeStatus | None = None,
    pipelines: Sequence[PipelineCapacityStatus] = (),
    node_classes: Sequence[NodeClassStatus] = (),
    unanswered: UnansweredStatus | None = None,
    loads: Sequence[ModelLoadStatus] = (),
) -> ScalingStatus:
    """The status after a decision. Of the notable ones, the `untold` among them, the last ten are
    kept, newest first, as far as they fit, and the last change of size in any case; a hold that
    only began anew takes the place of itself.
    """
    decisions = list(before.decisions) if before else []
    last_scale_time = before.last_scale_time if before else None
    for one in untold:
        for new in _lines(one):
            if decisions and _is_same_hold(decisions[0], new):
                del decisions[0]
            decisions = _fitting([new, *decisions])
        if one.decision.replicas != one.decision.current:
            last_scale_time = format_time(one.decision.at)
    return ScalingStatus(
        desired_replicas=decision.replicas,
        last_scale_time=last_scale_time,
        observed=_observed(decision, signals) or (before.observed if before else None),
        targets=targets_status(memory),
        curves=[] if node_classes else list(curves),
        pipelines=[] if node_classes else list(pipelines),
        lead_time=lead_time,
        loads=list(loads),
        node_classes=list(node_classes),
        unanswered=unanswered,
        decisions=decisions,
    )


def is_worth_showing(before: ScalingStatus | None, after: ScalingStatus) -> bool:
    """Whether a status says something that the one before does not: figures that are within a
    tenth of each other are the same to a reader, and each write is one for the API server.
    """
    if before is None or _unanswered_since(before) != _unanswered_since(after):
        return True
    if before.observed is None or after.observed is None:
        return before != after.model_copy(update={"unanswered": before.unanswered})
    if _without_figures(before) != _without_figures(after):
        return True
    if _curves_differ(before.curves, after.curves):
        return True
    if _pipelines_differ(before.pipelines, after.pipelines):
        return True
    if _lead_times_differ(before.lead_time, after.lead_time):
        return True
    if _loads_differ(before.loads, after.loads):
        return True
    if _classes_differ(before.node_classes, after.node_classes):
        return True
    old, new = before.observed, after.observed
    if (old.model, old.latency_kind) != (new.model, new.latency_kind):
        return True
    return any(_differ(getattr(old, figure), getattr(new, figure)) for figure in _OBSERVED_FIGURES)


_OBSERVED_FIGURES = (
    "request_rate_per_second",
    "in_flight",
    "latency_milliseconds",
    "failure_ratio",
    "pending",
)


_CURVE_FIGURES = (
    "fixed_milliseconds",
    "per_request_milliseconds",
    "gap_milliseconds",
    "sustained_per_second",
)


def _without_figures(status: ScalingStatus) -> ScalingStatus:
    figures = dict.fromkeys(("observed", "lead_time", "unanswered"))
    lists: dict[str, list[object]] = {
        name: [] for name in ("curves", "pipelines", "loads", "node_classes")
    }
    return status.model_copy(update={**figures, **lists})


def _unanswered_since(status: ScalingStatus) -> str | None:
    """What of looks that fail is news: one more of them is not."""
    return status.unanswered.since if status.unanswered is not None else None


def _classes_differ(old: Sequence[NodeClassStatus], new: Sequence[NodeClassStatus]) -> bool:
    """Whether other classes are told of, or one with other pods or figures."""
    return len(old) != len(new) or any(
        (one.name, one.desired_replicas, one.ready_replicas)
        != (other.name, other.desired_replicas, other.ready_replicas)
        or _curves_differ(one.curves, other.curves)
        or _pipelines_differ(one.pipelines, other.pipelines)
        or _lead_times_differ(one.lead_time, other.lead_time)
        for one, other in zip(old, new, strict=True)
    )


def _curves_differ(old: Sequence[CurveStatus], new: Sequence[CurveStatus]) -> bool:
    """Whether other curves are told of, or one with other figures."""
    return len(old) != len(new) or any(
        (one.model, one.model_digest, one.max_batch, one.source, one.factor, one.contention)
        != (
            *(other.model, other.model_digest, other.max_batch, other.source, other.factor),
            other.contention,
        )
        or any(_differ(getattr(one, f), getattr(other, f)) for f in _CURVE_FIGURES)
        for one, other in zip(old, new, strict=True)
    )


def _pipelines_differ(
    old: Sequence[PipelineCapacityStatus], new: Sequence[PipelineCapacityStatus]
) -> bool:
    """Whether other pipelines are told of, or one of which a pod sustains something else."""
    return len(old) != len(new) or any(
        (one.model, one.repository_digest, one.busiest_step, one.factor)
        != (other.model, other.repository_digest, other.busiest_step, other.factor)
        or _differ(one.sustained_per_second, other.sustained_per_second)
        for one, other in zip(old, new, strict=True)
    )


def _lead_times_differ(old: LeadTimeStatus | None, new: LeadTimeStatus | None) -> bool:
    """Whether one was measured, of another template, or one with another figure to plan with, or
    more is known of where the time goes.
    """
    if old is None or new is None:
        return old is not new
    known = ({name for name, seconds in each.stages if seconds is not None} for each in (old, new))
    return (
        old.template != new.template
        or _differ(old.p95_seconds, new.p95_seconds)
        or next(known) != next(known)
    )


def _loads_differ(old: Sequence[ModelLoadStatus], new: Sequence[ModelLoadStatus]) -> bool:
    """Whether other models are told of, or one that took another time to load."""
    return len(old) != len(new) or any(
        one.model != other.model or _differ(one.seconds, other.seconds)
        for one, other in zip(old, new, strict=True)
    )


def _differ(old: float | None, new: float | None) -> bool:
    if old is None or new is None:
        return old is not new
    return not math.isclose(old, new, rel_tol=0.1)


def _is_same_hold(old: DecisionStatus, new: DecisionStatus) -> bool:
    still = old.from_replicas == old.to_replicas == new.from_replicas == new.to_replicas
    return still and old.reason == new.reason in {*_HOLDING, Reason.NO_SIGNALS}


def _fitting(decisions: list[DecisionStatus]) -> list[DecisionStatus]:
    """As many of them as fit. The newest stays in any case, and so does the last change of size,
    which is asked for longer than lines of settings may come.
    """
    sized = next((each for each in decisions if each.from_replicas != each.to_replicas), None)
    kept = list(decisions)
    while len(kept) > _KEPT_DECISIONS or sum(map(_bytes, kept)) > _KEPT_BYTES:
        spare = [at for at, each in enumerate(kept) if at and each is not sized]
        if not spare:
            break
        del kept[spare[-1]]
    return kept


def _bytes(decision: DecisionStatus) -> int:
    return len(decision.model_dump_json(by_alias=True).encode())


def _lines(told: Told) -> Iterator[DecisionStatus]:
    """A decision as the status has it; settings are no change of size."""
    decision = told.decision
    of_settings = len(decision.settings)
    for at, (reason, message) in enumerate(words(told)):
        yield DecisionStatus(
            time=format_time(decision.at),
            reason=reason,
            from_replicas=decision.current,
            to_replicas=decision.current if at < of_settings else decision.replicas,
            message=message,
            input_digest=told.input_digest,
        )


def _observed(decision: Decision, signals: Signals | NoSignals) -> ObservedLoad | None:
    if isinstance(signals, NoSignals) or not signals.models:
        return None
    seen = next((m for m in signals.models if m.model == decision.model), signals.models[0])
    latency = seen.latency
    return ObservedLoad(
        time=format_time(signals.at),
        model=seen.model,
        request_rate_per_second=rounded(seen.request_rate_per_second),
        in_flight=rounded(seen.in_flight),
        latency_milliseconds=rounded(latency.seconds * 1e3) if latency else None,
        latency_kind=latency.name if latency else "",
        failure_ratio=rounded(seen.failure_ratio),
        pending=None if seen.pending is None else rounded(seen.pending),
    )


def _replicas(count: int) -> str:
    return "1 replica" if count == 1 else f"{count} replicas"
