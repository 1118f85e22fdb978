"""Why there are so many pods, and what would change it, in plain words.

Pure. What is told comes from the latest record of a decision where there is one: what was seen,
and what the decision would be at other loads (`thresholds`); else from the status, which has less.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from trireme.api.adoption import Adoption, AdoptionPhase, Origin
from trireme.api.agent import AgentSpec
from trireme.api.conditions import ConditionType, Reason
from trireme.api.rollout import RolloutPhase
from trireme.api.scalars import format_duration
from trireme.api.scaling import Paused
from trireme.api.scaling_status import (
    CurveStatus,
    ObservedLoad,
    PipelineCapacityStatus,
    StagesStatus,
)
from trireme.api.status import AgentStatus, Condition
from trireme.api.tuning import Knob, TuningMode, TuningStatus
from trireme.autoscaler import stabiliser
from trireme.autoscaler.capacity import APART, LEAST_EXECUTIONS, due_seconds
from trireme.autoscaler.demand import hold
from trireme.autoscaler.factor import initial as initial_factor
from trireme.autoscaler.lead_time import lead_time
from trireme.autoscaler.memory import curves_from_status, memory_from_status, starts_from_status
from trireme.autoscaler.policy import policy_of
from trireme.autoscaler.records import Record, conclude
from trireme.autoscaler.schedules import bounded
from trireme.autoscaler.targets import breach
from trireme.autoscaler.targets import initial as initial_target
from trireme.autoscaler.thresholds import Threshold, Thresholds, thresholds
from trireme.autoscaler.types import (
    Capacity,
    Forecast,
    Grant,
    LeadTime,
    Memory,
    NoSignals,
    ObjectivePolicy,
    OutOfReach,
    Outside,
    Policy,
    Signals,
)
from trireme.autoscaler.wording import number, pod_count, recommendation, rounded, setting

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
_MODELS = 3  # of those that load, the slowest
_CANARYS = " with the canary's"
_PRAISE = "Tried on this agent's past, that was the cheapest way to keep the objective"
_LAST_RESORT = "Tried on this agent's past, nothing kept the objective, and that was the nearest"


@dataclass(frozen=True, slots=True)
class Agent:
    """What the cluster has of an agent; `spec` is None where it cannot be read."""

    namespace: str
    name: str
    spec: AgentSpec | None
    status: AgentStatus


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
    told = _of_record(record) if record is not None else _of_status(agent, now)
    known = record is not None and _is_decided(told)
    found = thresholds(record.inputs) if record and known else Thresholds(None, None)
    sections = {
        "Why": _why(told),
        "Seen": _seen(told, now),
        "A pod": _pod(told, agent.status, now),
        "Classes": _classes(told, agent.status),
        "Knobs": _knobs(agent, now),
        "A start": _start(told, agent.status),
        "Ahead": _ahead(told),
        "More": _more(told, found),
        "Fewer": _fewer(told, found),
        "Signals": _signals(told, agent.status, now),
        "Last": _last(agent.status, now),
        "Source": _source(record, found, unavailable, now),
    }
    lines = {title: tuple(sentences) for title, sentences in sections.items()}
    return Explanation(
        headline=_headline(agent, told),
        sections={title: sentences for title, sentences in lines.items() if sentences},
        facts=_facts(agent, told, found, record),
    )


# --------------------------------------------------------------------------------- what is known


@dataclass(frozen=True, slots=True)
class _Load:
    """What was seen of the objective that decided."""

    at: datetime
    model: str
    rate_per_second: float
    in_flight: float
    latency: str
    failure_ratio: float


@dataclass(frozen=True, slots=True)
class _Told:
    """What is known of the latest decision, from its record or from the status.

    `wanted` is what is written, equal to `replicas` for no change. `proposed` and `signals` are in
    records only; so is whether the objective that decided is `broken`, and the `grant`: in GPUs of
    an agent `by_class`, else in pods. That is `binding` where the decision would be another one
    without it. `beside_canary`: a canary answers a part of the requests. `with_canary`: those that
    are ready are of both tracks, which the status does not tell apart.
    """

    replicas: int
    ready: int
    wanted: int
    proposed: int | None
    reason: Reason | None
    message: str
    policy: Policy | None
    load: _Load | None
    signals: Signals | NoSignals | None
    capacities: Mapping[str, Capacity | OutOfReach]
    memory: Memory
    lead_time: LeadTime | None
    forecasts: Mapping[str, Forecast] = field(default_factory=dict)
    outside: Outside | NoSignals | None = None
    broken: bool = False
    grant: Grant | None = None
    binding: bool = False
    by_class: bool = False
    beside_canary: bool = False
    with_canary: bool = False


def _of_record(record: Record) -> _Told:
    observation, decision = record.inputs.observation, record.decision
    _, memory = conclude(record.inputs)  # with what that round has corrected
    return _Told(
        replicas=observation.replicas,
        ready=observation.ready,
        wanted=decision.replicas,
        proposed=decision.proposed,
        reason=decision.reason,
        message=str(decision.message),
        policy=record.inputs.policy,
        load=_load(observation.signals, decision.model),
        signals=observation.signals,
        capacities=observation.capacities,
        memory=memory,
        lead_time=observation.lead_time,
        forecasts=observation.forecasts,
        outside=observation.outside,
        broken=_is_broken(record),
        grant=observation.grant,
        binding=_is_bound(record),
        by_class=bool(observation.classes),
        beside_canary=observation.beside_canary,
    )


def _is_bound(record: Record) -> bool:
    """Whether what was granted of a budget made the decision: it is asked without."""
    alone = replace(record.inputs.observation, grant=None)
    return conclude(replace(record.inputs, observation=alone))[0] != conclude(record.inputs)[0]


def _is_broken(record: Record) -> bool:
    signals, decided_by = record.inputs.observation.signals, record.decision.model
    objective = _objective(record.inputs.policy, decided_by or "")
    if objective is None or isinstance(signals, NoSignals):
        return False
    return any(breach(objective, seen) for seen in signals.models if seen.model == decided_by)


def _load(signals: Signals | NoSignals, decided_by: str | None) -> _Load | None:
    if isinstance(signals, NoSignals) or not signals.models:
        return None
    seen = next((m for m in signals.models if m.model == decided_by), signals.models[0])
    return _Load(
        at=signals.at,
        model=seen.model,
        rate_per_second=seen.request_rate_per_second,
        in_flight=seen.in_flight,
        latency=str(seen.latency) if seen.latency else "",
        failure_ratio=seen.failure_ratio,
    )


def _of_status(agent: Agent, now: datetime) -> _Told:
    status, scaling = agent.status, agent.status.scaling
    active = _condition(status, ConditionType.AUTOSCALING_ACTIVE)
    replicas = scaling.desired_replicas if scaling else status.replicas
    curves = scaling.curves if scaling else []
    restored = curves_from_status(scaling, {each.model: each.model_digest for each in curves})
    lead = lead_time(starts_from_status(scaling))
    return _Told(
        replicas=replicas,
        ready=status.ready_replicas,
        wanted=replicas,
        proposed=None,
        reason=next((each for each in Reason if active and each == active.reason), None),
        message=active.message if active else "",
        policy=_policy_now(agent.spec, lead, now) if agent.spec else None,
        load=_load_told(scaling.observed) if scaling and scaling.observed else None,
        signals=None,
        capacities={model: known for model, (_, known) in restored.items() if known is not None},
        memory=memory_from_status(scaling, now, replicas),
        beside_canary=has_canary(status) and bool(status.rollout and status.rollout.weight),
        with_canary=has_canary(status),
        lead_time=lead,
    )


def has_canary(status: AgentStatus) -> bool:
    """Whether some of the pods are a canary's; one that was promoted has its own until all pods run
    it.
    """
    told = status.rollout
    if told is None:
        return False
    reconciling = _condition(status, ConditionType.RECONCILING)
    rolls_out = reconciling is not None and reconciling.status == "True"
    is_left = told.phase is RolloutPhase.PROMOTED and rolls_out
    return is_left or told.phase is RolloutPhase.PROGRESSING


def _policy_now(spec: AgentSpec, lead: LeadTime | None, now: datetime) -> Policy:
    return bounded(policy_of(spec), spec.scaling.schedules, now, lead)


def _load_told(observed: ObservedLoad) -> _Load:
    latency = observed.latency_milliseconds
    return _Load(
        at=datetime.fromisoformat(observed.time),
        model=observed.model,
        rate_per_second=observed.request_rate_per_second,
        in_flight=observed.in_flight,
        latency="" if latency is None else f"{observed.latency_kind} {number(latency)} ms",
        failure_ratio=observed.failure_ratio,
    )


def _condition(status: AgentStatus, kind: ConditionType) -> Condition | None:
    return next((each for each in status.conditions if each.type == kind), None)


# -------------------------------------------------------------------------------------- sections


def _headline(agent: Agent, told: _Told) -> str:
    policy = told.policy
    mode = f", mode {policy.mode}" if policy else ""
    if policy and policy.mode.is_decided_by_trireme:
        mode += f", from {policy.min_replicas} to {policy.max_replicas}"
    ready = f"{told.ready} ready{_CANARYS if told.with_canary else ''}"
    return f"{agent.namespace}/{agent.name}: {pod_count(told.replicas)}, {ready}{mode}"


def _why(told: _Told) -> Iterator[str]:
    if told.reason is None:
        yield "Nothing was decided yet."
        return
    why = _WHY.get(told.reason, told.reason.value)
    yield f"{why}: {told.message or told.reason.value}."


def _seen(told: _Told, now: datetime) -> Iterator[str]:
    load = told.load
    if load is None:
        return
    objective = _objective(told.policy, load.model)
    limit = f" of {_milliseconds(objective)} allowed" if objective else ""
    latency = f"{load.latency}{limit}" if load.latency else "no request answered"
    failures = (
        f"{number(load.failure_ratio * 100)} % failed" if load.failure_ratio else "none failed"
    )
    yield (
        f"{load.model}: {number(load.rate_per_second)} requests/s, {number(load.in_flight)} in "
        f"flight, {latency}, {failures}; {_ago(load.at, now)}."
    )


def _pod(told: _Told, status: AgentStatus, now: datetime) -> Iterator[str]:
    """What one pod can do, and how that is known."""
    if told.policy is None or not told.policy.mode.is_decided_by_trireme:
        return
    several = len(told.policy.objectives) > 1
    for objective in told.policy.objectives:
        named = f"{objective.model}: " if several else ""
        yield f"{named}{_sustains(objective, told, status)}"
        if due := _due(objective, told, status):
            yield f"{named}{due}"
    unanswered = status.scaling.unanswered if status.scaling else None
    if unanswered is not None:
        since = age(now - datetime.fromisoformat(unanswered.since))
        yield (
            f"No look at its server has succeeded for {since}, and nothing is learnt of it: "
            f"{unanswered.message}."
        )


def _sustains(objective: ObjectivePolicy, told: _Told, status: AgentStatus) -> str:
    aimed = number(initial_target(objective, told.memory).in_flight_per_pod)
    meanwhile = f"requests in flight decide, {aimed} for each pod"
    slo = f"p{objective.percentile} within {_milliseconds(objective)}"
    curves = {curve.model: curve for curve in status.scaling.curves} if status.scaling else {}
    curve = curves.get(objective.model)
    stands_on = ""
    if curve is not None:
        varies = f", whose times vary by {number(curve.noise * 100)} %" if curve.noise else ""
        stands_on = f", from {curve.executions} batches{varies}"
    match told.capacities.get(objective.model):
        case _ if objective.fixed_target:
            return f"It is to hold {aimed} requests in flight: scaling.target.inFlight says so."
        case Capacity(per_second, learnt):
            factor = initial_factor(objective.model, told.memory).factor
            return (
                f"It sustains {number(per_second * factor)} requests/s with {slo}. That is learnt"
                f"{stands_on}: {learnt}. {_confidence(per_second, factor)}"
            )
        case OutOfReach(least_seconds, learnt):
            idle = number(least_seconds * 1e3)
            return (
                f"None keeps {slo}, however many there are: an idle one takes {idle} ms. That is "
                f"learnt{stands_on}: {learnt}. So {meanwhile}."
            )
        case _:
            pass
    if objective.serving is None:
        why = "of sequences, delayed queues and several answers to a request no rate is learnt"
    elif curve is not None:
        why = "its curve is known, and the rate that follows is not computed yet"
    elif status.scaling and status.scaling.unanswered:
        why = "its server cannot be asked what it executes"
    else:
        why = (
            f"to learn it takes {LEAST_EXECUTIONS} batches, the largest {number(APART)} times the "
            "smallest"
        )
    return f"What it sustains is not known ({why}); {meanwhile}."


def _due(objective: ObjectivePolicy, told: _Told, status: AgentStatus) -> str | None:
    """Which latency follows from what was learnt at the load that was seen; None where none does,
    and where it has no end.
    """
    load = told.load
    curves = status.scaling.curves if status.scaling else []
    learnt, _ = curves_from_status(
        status.scaling, {each.model: each.model_digest for each in curves}
    ).get(objective.model, (None, None))
    if load is None or load.model != objective.model or learnt is None or told.by_class:
        return None
    due = due_seconds(learnt, objective, told.ready, load.rate_per_second)
    if due is None or math.isinf(due):
        return None
    if told.beside_canary:
        return "Which latency is due is not told while a canary answers a part of the requests."
    each = f"{number(load.rate_per_second / told.ready)} requests/s"
    chosen = told.ready > 1 and objective.gateways
    by = ", each sent by the gateway to the less busy of two" if chosen else ""
    return (
        f"At {each} for each of {pod_count(told.ready)}{by}, p{objective.percentile} of "
        f"{number(due * 1e3)} ms is due by that."
    )


def _confidence(per_second: float, factor: float) -> str:
    if factor == 1:
        return "Nothing that was seen since contradicts it."
    less = "less" if factor < 1 else "more"
    return (
        f"What was seen since says {less}: the curve's {number(per_second)} are multiplied by "
        f"{number(factor)}."
    )


def _classes(told: _Told, status: AgentStatus) -> Iterator[str]:
    """What each node class has and can do, by the status."""
    prices = {each.name: each.price for each in told.policy.classes} if told.policy else {}
    for each in status.scaling.node_classes if status.scaling else ():
        learnt: list[CurveStatus | PipelineCapacityStatus] = [*each.curves, *each.pipelines]
        rates = [
            number(known.sustained_per_second * known.factor)
            for known in learnt
            if known.sustained_per_second is not None
        ]
        can = f", each of {' or '.join(rates)} requests/s" if rates else ""
        price = f" at {number(prices[each.name])}" if each.name in prices else ""
        lead = f", ready in {_lasting(each.lead_time.p95_seconds)}" if each.lead_time else ""
        name = each.name or "without a class"
        yield f"{each.ready_replicas} of {each.desired_replicas} {name}{price}{can}{lead}."


def _knobs(agent: Agent, now: datetime) -> Iterator[str]:
    """The settings of Trireme's own, and the one that is recommended."""
    for each in agent.status.adopted:
        yield _adopted(each, now)
    told = agent.status.tuning
    if told is None:
        return
    since = _ago(datetime.fromisoformat(told.since), now)
    added = f", with {told.replicas_added} replicas added since" if told.replicas_added else ""
    if told.replicas_spared:
        added += f", {told.replicas_spared} of them in its place"
    sentence = recommendation(told)
    yield f"{sentence[0].upper()}{sentence[1:]}. Told {since}{added}; {_becomes(told, agent)}."


def _becomes(told: TuningStatus, agent: Agent) -> str:
    """What becomes of a recommendation."""
    applies = agent.spec is not None and agent.spec.tuning.mode is TuningMode.APPLY
    if not applies or told.knob is Knob.INSTANCES:
        return "Trireme does not set it"
    tuned = [each for each in agent.status.adopted if each.origin is Origin.TUNING]
    summary = setting(told.knob, told.from_, told.to)
    if any(
        (each.model, each.summary, each.phase) == (told.model, summary, AdoptionPhase.UNDECIDED)
        for each in tuned
    ):
        return "it is tried on a canary again a day after it was taken back"
    if any(_is_compared(each) for each in agent.status.adopted):
        return (
            "it is tried on a canary once what is kept was compared, or a day after that was kept"
        )
    first = " before anything else," if told.replicas_spared and not tuned else ""
    return f"it is tried on a canary{first} while all is calm"


def _is_compared(told: Adoption) -> bool:
    """Whether a setting is kept, and what a pod sustains with it is not known yet."""
    is_open = told.sustained_before is not None and told.sustained_after is None
    return told.phase is AdoptionPhase.KEPT and is_open


_ADOPTED = {
    AdoptionPhase.TRIED: "is tried on a canary, begun {}",
    AdoptionPhase.KEPT: "is set in the spec's place, kept {}",
    AdoptionPhase.REFUSED: "was taken back for good {}",
    AdoptionPhase.UNDECIDED: "was taken back {}, to be tried again after a day",
}


def _adopted(told: Adoption, now: datetime) -> str:
    since = _ago(datetime.fromisoformat(told.since), now)
    words = f"{told.model}: {told.summary} {_ADOPTED[told.phase].format(since)}: {told.message}."
    before, after = told.sustained_before, told.sustained_after
    if before is not None and after is not None:
        words += (
            f" A pod sustained {number(before)} requests/s before, and {number(after)} with it."
        )
    return words


def _start(told: _Told, status: AgentStatus) -> Iterator[str]:
    """How long a pod takes to serve, and where the time goes."""
    lead = told.lead_time
    if lead is None:
        return
    starts = "1 start" if lead.samples == 1 else f"{lead.samples} starts"
    p95, median = _lasting(lead.p95_seconds), _lasting(lead.median_seconds)
    measured = status.scaling.lead_time if status.scaling else None
    is_whole = measured is not None and measured.stages.first_request_seconds is not None
    until = "to answer requests" if is_whole else "to be ready"
    yield f"It takes {p95} {until} (p95 of {starts}; median {median})."
    if measured is not None:
        yield f"Medians: {_where_it_goes(measured.stages)}."
    slowest = sorted(status.scaling.loads if status.scaling else (), key=lambda load: -load.seconds)
    if slowest:
        named = ", ".join(f"{load.model} in {number(load.seconds)} s" for load in slowest[:_MODELS])
        more = f", {len(slowest) - _MODELS} more sooner" if len(slowest) > _MODELS else ""
        yield f"The server that was asked last loaded {named}{more}."


def _stages(status: AgentStatus) -> dict[str, float] | None:
    """Where the time of a start goes, as far as it is known, for programs."""
    measured = status.scaling.lead_time if status.scaling else None
    if measured is None:
        return None
    return measured.stages.model_dump(mode="json", by_alias=True, exclude_none=True)


def _where_it_goes(stages: StagesStatus) -> str:
    told = [
        (stages.schedule_seconds, "for a node", stages.node_seconds, "since one was ordered"),
        (stages.pull_seconds, "for images and volumes", stages.image_seconds, "the server's image"),
        (stages.fetch_seconds, "to fetch the models", None, ""),
        (stages.load_seconds, "to load them", stages.warmup_seconds, "to warm up"),
        (stages.first_request_seconds, "until a request was answered", None, ""),
    ]
    return ", ".join(
        f"{_lasting(seconds)} {what}" + (f" ({_lasting(part)} {which})" if part else "")
        for seconds, what, part, which in told
        if seconds is not None
    )


def _ahead(told: _Told) -> Iterator[str]:
    """What is expected while a pod starts, and how good that was on the agent's own past."""
    for model, forecast in told.forecasts.items():
        named = f"{model}: " if len(told.forecasts) > 1 else ""
        bought = number(forecast.margin * forecast.per_second)
        yield (
            f"{named}Within {_lasting(forecast.horizon_seconds)}, in which a pod starts, at most "
            f"{number(forecast.per_second)} requests/s are expected, {forecast.words}; pods for at "
            f"least {bought} are wanted (x {number(forecast.margin)})."
        )
        objective = _objective(told.policy, model)
        keeps = objective and forecast.late_share <= 1 - objective.percentile / 100
        yield (
            f"{_PRAISE if keeps else _LAST_RESORT}, with "
            f"{number(forecast.late_share * 100)} % of the requests late."
        )


def _more(told: _Told, found: Thresholds) -> Iterator[str]:
    if told.wanted > told.replicas:
        yield f"{pod_count(told.wanted)} are asked for now."
        yield from _granted(told)
        return
    if told.proposed is not None and told.proposed > told.replicas:
        yield f"{pod_count(told.proposed)} are wanted now."
    elif found.more is not None:
        yield f"From {_at(found.more, told)} on, {pod_count(found.more.wanted)} would be wanted."
    yield from _holds(told, Paused.SCALE_OUT)


def _fewer(told: _Told, found: Thresholds) -> Iterator[str]:
    if told.replicas == 0:
        return
    if told.wanted < told.replicas:
        yield "1 pod stays." if told.wanted == 1 else f"{told.wanted} pods stay."
        return
    if told.broken and _is_decided(told):
        yield "Not while the objective is broken."
        return
    if told.proposed is not None and told.proposed < told.replicas:
        yield f"{pod_count(told.proposed)} would do now."
    elif found.fewer is not None:
        yield f"Below {_at(found.fewer, told)}, {pod_count(found.fewer.wanted)} would do."
    yield from _holds(told, Paused.SCALE_IN)


def _granted(told: _Told) -> Iterator[str]:
    """The part of a budget, where it binds."""
    if told.grant is not None and told.binding:
        most = told.grant.replicas
        amount = _gpus(most) if told.by_class else pod_count(most)
        yield f"No more than {amount} for now by {told.grant.words}."


def _is_decided(told: _Told) -> bool:
    """Whether Trireme decides by the load now."""
    decides = told.policy is not None and told.policy.mode.is_decided_by_trireme
    return decides and told.reason is not Reason.FOREIGN_WRITER


def _holds(told: _Told, direction: Paused) -> Iterator[str]:
    """What holds a change in this direction up."""
    policy = told.policy
    if policy is None or not _is_decided(told):
        return
    grows = direction is Paused.SCALE_OUT
    windows = stabiliser.windows(policy.behavior, hold(policy.objectives, told.forecasts))
    window = windows.up if grows else windows.down
    moves, which, field = ("comes", "more", "up") if grows else ("goes", "fewer", "down")
    if told.reason is Reason.NO_SIGNALS:
        yield "Not without signals."
    elif policy.paused in (Paused.ALL, direction):
        yield f"Not while scaling.paused is {policy.paused}."
    elif grows and told.replicas >= policy.max_replicas:
        bound = policy.max_bound
        yield f"Not while {bound.field} is {policy.max_replicas}{bound.when}."
    elif grows and told.binding:
        yield from _granted(told)
    elif not grows and told.replicas <= policy.min_replicas:
        bound = policy.min_bound
        yield f"Not while {bound.field} is {policy.min_replicas}{bound.when}."
    elif grows and not told.replicas and policy.demand is not None:
        least = number(policy.demand.activation_per_second)
        yield f"The first pod starts once scaling.demand is over {least} requests/s."
    elif not grows and told.replicas == 1 and policy.demand is not None:
        waited = format_duration(policy.demand.cooldown)
        yield f"It goes once nothing was asked for {waited}, by scaling.demand either."
    elif window > timedelta(0):
        waited = format_duration(window)
        is_told = (
            policy.behavior.up if grows else policy.behavior.down
        ).stabilization_window is not None
        by = f" (scaling.behavior.{field})" if is_told else ""
        yield f"A pod {moves} once {which} were wanted for {waited}{by}."


def _at(threshold: Threshold, told: _Told) -> str:
    """A load, in the unit that decides."""
    rate = f"{number(threshold.request_rate_per_second)} requests/s"
    if isinstance(told.capacities.get(threshold.model), Capacity):
        at = rate
    else:
        at = f"{number(threshold.in_flight)} requests in flight (some {rate} at this latency)"
    several = told.policy is not None and len(told.policy.objectives) > 1
    return f"{at} for {threshold.model}" if several else at


def _signals(told: _Told, status: AgentStatus, now: datetime) -> Iterator[str]:
    match told.signals:
        case Signals(models=()) if isinstance(told.outside, Outside):
            rate = number(told.outside.per_second)
            yield f"No pod is ready to tell of any; scaling.demand is {rate} requests/s."
        case Signals(models=()):
            yield "No objective asks for any."
        case Signals(at=at, window=window, instead=why) as signals:
            yield f"Told {signals}; over {format_duration(window)}, as of {_ago(at, now)}."
            if why:
                yield f"Not by Prometheus: {why}."
        case NoSignals(reason=reason, message=message):
            yield f"{reason}: {message}."
        case None:
            available = _condition(status, ConditionType.SIGNALS_AVAILABLE)
            if available is not None:
                yield f"{available.reason}: {available.message}."


def _last(status: AgentStatus, now: datetime) -> Iterator[str]:
    """The last change of size."""
    for decision in status.scaling.decisions if status.scaling else ():
        if decision.from_replicas != decision.to_replicas:
            at = datetime.fromisoformat(decision.time)
            yield f"{_ago(at, now)}: {decision.message}."
            return


def _source(
    record: Record | None, found: Thresholds, unavailable: str | None, now: datetime
) -> Iterator[str]:
    if record is not None:
        is_asked = found.more is not None or found.fewer is not None
        asked = "; More and Fewer are its answers at other loads" if is_asked else ""
        at = _ago(record.decision.at, now)
        yield f"The decision of {at}, input digest {record.input_digest}{asked}."
    else:
        yield (
            f"The status alone, as it was last written, which has no figures for More and Fewer: "
            f"{unavailable}."
        )


# ----------------------------------------------------------------------------------------- figures


def _facts(agent: Agent, told: _Told, found: Thresholds, record: Record | None) -> dict[str, Any]:
    """The same for programs, in the names and units of the status."""
    load, policy = told.load, told.policy
    factors = {f.model: f.factor for f in told.memory.factors}
    return {
        "namespace": agent.namespace,
        "agent": agent.name,
        "mode": policy.mode if policy else None,
        "replicas": told.replicas,
        "readyReplicas": told.ready,
        "readyWithCanary": told.with_canary,
        "proposedReplicas": told.proposed,
        "minReplicas": policy.min_replicas if policy else None,
        "maxReplicas": policy.max_replicas if policy else None,
        "grant": told.grant
        and {
            "gpus" if told.by_class else "replicas": told.grant.replicas,
            "by": told.grant.words,
            "binding": told.binding,
        },
        "reason": told.reason,
        "message": told.message,
        "observed": load
        and {
            "time": load.at.isoformat(),
            "model": load.model,
            "requestRatePerSecond": rounded(load.rate_per_second),
            "inFlight": rounded(load.in_flight),
            "latency": load.latency or None,
            "failureRatio": rounded(load.failure_ratio),
        },
        "sustained": [
            {
                "model": model,
                "perSecond": rounded(known.per_second * factors.get(model, 1.0)),
                "factor": rounded(factors.get(model, 1.0)),
            }
            for model, known in sorted(told.capacities.items())
            if isinstance(known, Capacity)
        ],
        "unanswered": agent.status.scaling
        and agent.status.scaling.unanswered
        and agent.status.scaling.unanswered.model_dump(mode="json", by_alias=True),
        "tuning": agent.status.tuning
        and agent.status.tuning.model_dump(mode="json", by_alias=True),
        "adopted": [each.model_dump(mode="json", by_alias=True) for each in agent.status.adopted],
        "leadTime": told.lead_time
        and {
            "p95Seconds": rounded(told.lead_time.p95_seconds),
            "medianSeconds": rounded(told.lead_time.median_seconds),
            "samples": told.lead_time.samples,
            "stages": _stages(agent.status),
        },
        "forecasts": [
            {
                "model": model,
                "perSecond": rounded(forecast.per_second),
                "margin": forecast.margin,
                "basis": forecast.words,
                "withinSeconds": rounded(forecast.horizon_seconds),
                "lateRatio": rounded(forecast.late_share),
            }
            for model, forecast in sorted(told.forecasts.items())
        ],
        "more": _threshold(found.more),
        "fewer": _threshold(found.fewer),
        "source": "Status" if record is None else "Record",
        "decidedAt": record.decision.at.isoformat() if record else None,
        "inputDigest": record.input_digest if record else None,
    }


def _threshold(threshold: Threshold | None) -> dict[str, Any] | None:
    if threshold is None:
        return None
    return {
        "model": threshold.model,
        "requestRatePerSecond": rounded(threshold.request_rate_per_second),
        "inFlight": rounded(threshold.in_flight),
        "replicas": threshold.wanted,
    }


# ----------------------------------------------------------------------------------------- wording


def _objective(policy: Policy | None, model: str) -> ObjectivePolicy | None:
    objectives = policy.objectives if policy else ()
    return next((each for each in objectives if each.model == model), None)


def _milliseconds(objective: ObjectivePolicy) -> str:
    return f"{number(objective.latency_target_seconds * 1e3)} ms"


def _gpus(count: int) -> str:
    return "1 GPU" if count == 1 else f"{count} GPUs"


def _lasting(seconds: float) -> str:
    return age(timedelta(seconds=seconds))


def _ago(at: datetime, now: datetime) -> str:
    return f"{age(now - at)} ago"


def age(passed: timedelta, most_units: int = 2) -> str:
    """`4s`, `3m20s`, `2h5m`, `3d4h`: a duration in its largest units."""
    left, counts = max(0, round(passed.total_seconds())), []
    for unit, seconds in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, left = divmod(left, seconds)
        counts.append((count, unit))
    first = next((at for at, (count, _) in enumerate(counts) if count), 0)
    kept = counts[first : first + most_units]
    return "".join(f"{count}{unit}" for count, unit in kept if count) or "0s"
