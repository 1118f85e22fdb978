"""What the demo knows at a moment. Pure: the view and the summary are made from this alone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from load.results import SecondReport, Summary
from trireme.api.agent import AgentDeployment
from trireme.api.conditions import ConditionType
from trireme.api.objectives import Objective
from trireme.api.scaling_status import DecisionStatus, ObservedLoad


@dataclass(frozen=True, slots=True)
class EventLine:
    """An Event on the agent: its last time, how often it came, and its words."""

    at: datetime
    reason: str
    note: str
    warning: bool
    count: int = 1


def event_line(event: Mapping[str, Any]) -> EventLine:
    """Read an Event of events.k8s.io/v1; one made through the old API has only the old fields."""
    series = event.get("series") or {}
    last = (
        series.get("lastObservedTime")
        or event.get("deprecatedLastTimestamp")
        or event.get("eventTime")
        or event["metadata"]["creationTimestamp"]
    )
    return EventLine(
        at=datetime.fromisoformat(last),
        reason=event.get("reason", ""),
        note=event.get("note", ""),
        warning=event.get("type") == "Warning",
        count=series.get("count") or event.get("deprecatedCount") or 1,
    )


@dataclass(frozen=True, slots=True)
class Moment:
    """One second of the load, with the fleet as it then was; None where it is not known."""

    load: SecondReport
    wanted: int | None
    ready: int | None


@dataclass(frozen=True, slots=True)
class State:
    """Everything gathered so far.

    `decisions` are all that were seen, oldest first; the agent's status keeps the last ten only.
    """

    namespace: str
    profile_seconds: float
    agent: AgentDeployment | None = None
    moments: tuple[Moment, ...] = ()
    decisions: tuple[DecisionStatus, ...] = ()
    events: tuple[EventLine, ...] = ()
    load_started: datetime | None = None
    summary: Summary | None = None

    @property
    def objective(self) -> Objective | None:
        """The agent's first objective."""
        objectives = self.agent.spec.objectives if self.agent else []
        return objectives[0] if objectives else None

    @property
    def target_ms(self) -> float | None:
        """The bound on latency in milliseconds."""
        objective = self.objective
        return None if objective is None else objective.latency.target.total_seconds() * 1e3

    @property
    def observed(self) -> ObservedLoad | None:
        """What the operator last said of the load."""
        scaling = self.agent.status.scaling if self.agent else None
        return None if scaling is None else scaling.observed

    @property
    def wanted(self) -> int | None:
        """Pods wanted by the operator."""
        scaling = self.agent.status.scaling if self.agent else None
        return None if scaling is None else scaling.desired_replicas

    @property
    def ready(self) -> int | None:
        """Pods that answer."""
        return None if self.agent is None else self.agent.status.ready_replicas


def with_agent(state: State, agent: AgentDeployment | None) -> State:
    """The state after a look at the agent; decisions not seen before are added."""
    if agent is None:
        return replace(state, agent=None)
    scaling = agent.status.scaling
    newest_first = scaling.decisions if scaling else []
    unseen = [decision for decision in reversed(newest_first) if decision not in state.decisions]
    return replace(state, agent=agent, decisions=(*state.decisions, *unseen))


def with_load(state: State, lines: Iterable[SecondReport | Summary]) -> State:
    """The state after lines of the load's log; seconds known already are passed over, since a
    broken log stream is read again from its beginning.
    """
    for line in lines:
        if isinstance(line, Summary):
            state = replace(state, summary=line)
        elif not state.moments or line.second > state.moments[-1].load.second:
            moment = Moment(line, state.wanted, state.ready)
            state = replace(state, moments=(*state.moments, moment))
    return state


def within_objective(moment: Moment, target_ms: float) -> bool | None:
    """Whether the 95th percentile, as the client saw it, was kept; None where nothing ended and
    nothing waited, so that nothing is known. A second in which requests waited and none ended broke
    it.
    """
    latency = moment.load.latency_ms
    if latency is None:
        return False if moment.load.in_flight else None
    return latency.p95 <= target_ms


def unready(agent: AgentDeployment | None) -> str | None:
    """Why the agent is not ready as its present spec says, or None where it is."""
    if agent is None:
        return "the AgentDeployment does not exist"
    status = agent.status
    if status.observed_generation != agent.metadata.generation:
        return "waiting for the operator to look at it"
    for condition in status.conditions:
        if condition.type == ConditionType.READY and condition.status != "True":
            return f"{condition.reason}: {condition.message}"
    if not any(condition.type == ConditionType.READY for condition in status.conditions):
        return "waiting for the operator to look at it"
    return None


def load_started(pod: Mapping[str, Any]) -> datetime | None:
    """When the load pod's container started, by the cluster's clock; None before that."""
    for container in (pod.get("status") or {}).get("containerStatuses") or []:
        state = container.get("state") or {}
        began = (state.get("running") or state.get("terminated") or {}).get("startedAt")
        return datetime.fromisoformat(began) if began else None
    return None


def load_ended(pod: Mapping[str, Any]) -> bool:
    """Whether the load pod has come to its end, good or bad."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def load_hindrance(pod: Mapping[str, Any] | None) -> str | None:
    """Why the load has not started, or None where it has."""
    if pod is None:
        return "waiting for its pod"
    status = pod.get("status") or {}
    if load_started(pod) is not None:
        return None
    for container in status.get("containerStatuses") or []:
        waiting = (container.get("state") or {}).get("waiting") or {}
        return f"{waiting.get('reason', 'waiting')} {waiting.get('message', '')}".strip()
    for condition in status.get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] != "True":
            return f"{condition.get('reason', '')}: {condition.get('message', '')}"
    return str(status.get("phase", "Pending"))
