"""What is known of an agent's latest decision, from its record or its status alone. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from trireme.api.agent import AgentSpec
from trireme.api.conditions import ConditionType, Reason
from trireme.api.rollout import RolloutPhase
from trireme.api.scaling_status import ObservedLoad
from trireme.api.status import AgentStatus, Condition
from trireme.autoscaler.lead_time import lead_time
from trireme.autoscaler.memory import curves_from_status, memory_from_status, starts_from_status
from trireme.autoscaler.policy import policy_of
from trireme.autoscaler.records import Record, conclude
from trireme.autoscaler.schedules import bounded
from trireme.autoscaler.targets import breach
from trireme.autoscaler.types.capacity import Capacity, OutOfReach
from trireme.autoscaler.types.memory import Memory
from trireme.autoscaler.types.observation import Forecast, Grant, LeadTime, Outside
from trireme.autoscaler.types.policy import ObjectivePolicy, Policy
from trireme.autoscaler.types.signals import NoSignals, Signals
from trireme.autoscaler.wording import number


@dataclass(frozen=True, slots=True)
class Agent:
    """What the cluster has of an agent; `spec` is None where it cannot be read."""

    namespace: str
    name: str
    spec: AgentSpec | None
    status: AgentStatus


@dataclass(frozen=True, slots=True)
class Load:
    """What was seen of the objective that decided."""

    at: datetime
    model: str
    rate_per_second: float
    in_flight: float
    latency: str
    failure_ratio: float


@dataclass(frozen=True, slots=True)
class Told:
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
    load: Load | None
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


def of_record(record: Record) -> Told:
    """What the record of a decision tells."""
    observation, decision = record.inputs.observation, record.decision
    _, memory = conclude(record.inputs)  # with what that round has corrected
    return Told(
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
    objective = objective_of(record.inputs.policy, decided_by or "")
    if objective is None or isinstance(signals, NoSignals):
        return False
    return any(breach(objective, seen) for seen in signals.models if seen.model == decided_by)


def _load(signals: Signals | NoSignals, decided_by: str | None) -> Load | None:
    if isinstance(signals, NoSignals) or not signals.models:
        return None
    seen = next((m for m in signals.models if m.model == decided_by), signals.models[0])
    return Load(
        at=signals.at,
        model=seen.model,
        rate_per_second=seen.request_rate_per_second,
        in_flight=seen.in_flight,
        latency=str(seen.latency) if seen.latency else "",
        failure_ratio=seen.failure_ratio,
    )


def of_status(agent: Agent, now: datetime) -> Told:
    """What the status tells, which has less."""
    status, scaling = agent.status, agent.status.scaling
    active = condition_of(status, ConditionType.AUTOSCALING_ACTIVE)
    replicas = scaling.desired_replicas if scaling else status.replicas
    curves = scaling.curves if scaling else []
    restored = curves_from_status(scaling, {each.model: each.model_digest for each in curves})
    lead = lead_time(starts_from_status(scaling))
    return Told(
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
    reconciling = condition_of(status, ConditionType.RECONCILING)
    rolls_out = reconciling is not None and reconciling.status == "True"
    is_left = told.phase is RolloutPhase.PROMOTED and rolls_out
    return is_left or told.phase is RolloutPhase.PROGRESSING


def _policy_now(spec: AgentSpec, lead: LeadTime | None, now: datetime) -> Policy:
    return bounded(policy_of(spec), spec.scaling.schedules, now, lead)


def _load_told(observed: ObservedLoad) -> Load:
    latency = observed.latency_milliseconds
    return Load(
        at=datetime.fromisoformat(observed.time),
        model=observed.model,
        rate_per_second=observed.request_rate_per_second,
        in_flight=observed.in_flight,
        latency="" if latency is None else f"{observed.latency_kind} {number(latency)} ms",
        failure_ratio=observed.failure_ratio,
    )


def is_decided(told: Told) -> bool:
    """Whether Trireme decides by the load now."""
    decides = told.policy is not None and told.policy.mode.is_decided_by_trireme
    return decides and told.reason is not Reason.FOREIGN_WRITER


def condition_of(status: AgentStatus, kind: ConditionType) -> Condition | None:
    """The condition of this type, if there is one."""
    return next((each for each in status.conditions if each.type == kind), None)


def objective_of(policy: Policy | None, model: str) -> ObjectivePolicy | None:
    """The objective of this model, where the spec is known and has one."""
    objectives = policy.objectives if policy else ()
    return next((each for each in objectives if each.model == model), None)
