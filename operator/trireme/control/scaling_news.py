"""When a decision is news: status, Events, metrics and log line, all from the one Decision.

What is said is in `scaling_report`; here it is held against what was last said of the agent, so
that the API server has a write for news only.
"""

import logging
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from trireme.admission.parse import readable_status
from trireme.api import kinds, names
from trireme.api.conditions import SCALING_CONDITIONS, ConditionType, Reason
from trireme.api.scaling_status import NodeClassStatus, ScalingStatus
from trireme.api.status import AgentStatus, Condition
from trireme.api.tuning import TuningStatus
from trireme.autoscaler.lead_time import Starts
from trireme.autoscaler.memory import (
    curves_status,
    lead_time_status,
    loads_status,
    pipelines_status,
)
from trireme.autoscaler.records import Record, written
from trireme.autoscaler.types.decision import Decision
from trireme.autoscaler.types.signals import NoSignals, Signals, Source
from trireme.control import adopting, advising, learning, scaling_report
from trireme.control.fleet import Fleet, look, representative
from trireme.control.history import History
from trireme.control.posting import post
from trireme.control.queue import Key
from trireme.control.scaling_report import Told
from trireme.control.status import Finding, dated
from trireme.control.store import AgentView, Object
from trireme.edge.cluster import Cluster
from trireme.edge.metrics import Metrics
from trireme.edge.recorder import Event, Recorder

logger = logging.getLogger(__name__)
decision_lines = logging.getLogger("trireme.decisions")
"""The records of notable decisions, each a line of JSON."""

_QUIET = timedelta(seconds=60)  # without news, an agent's status is written at most this often
_COMPARED = timedelta(seconds=15)  # between two looks at whether figures are worth a write
_LOSS = timedelta(seconds=15)  # signals that are away for less are no news: the fleet is held
_MOST_UNTOLD = 10  # as many as the status keeps


@dataclass(slots=True)
class _Last:
    """What was last told of one agent; `scaling`, `conditions` and `tuning_told` are the parts of
    the status last written, or read after a restart, so that a new process does not tell again what
    the one before has told. `tuning` is what stands now. `reason` is that of the last decision;
    `untold` are the notable decisions that are in no status yet, since it could not be written.
    `compare_at` is when figures are held against the status' again, `gauges` what the metrics were
    last set to.
    """

    scaling: ScalingStatus | None
    conditions: list[Condition]
    tuning: TuningStatus | None
    tuning_told: TuningStatus | None
    reason: str | None
    compare_at: datetime
    untold: list[Told] = field(default_factory=list)
    lost_since: datetime | None = None
    written_at: datetime | None = None
    gauges: tuple[object, ...] = ()

    def condition(self, kind: ConditionType) -> Condition | None:
        """One of the conditions last written."""
        return next((c for c in self.conditions if c.type == kind), None)


class ScalingNews:
    """Tells of decisions, and remembers what it told."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        recorder: Recorder,
        metrics: Metrics,
        history: History,
        clock: Callable[[], datetime],
    ) -> None:
        self._cluster = cluster
        self._recorder = recorder
        self._metrics = metrics
        self._history = history
        self._clock = clock
        self._agents: dict[Key, _Last] = {}

    def restore(self, key: Key, status: AgentStatus, now: datetime) -> None:
        """Go on from what an earlier process told of an agent."""
        last = _Last(
            scaling=status.scaling,
            conditions=_own(status.conditions),
            tuning=status.tuning,
            tuning_told=status.tuning,
            reason=None,
            # Not all agents in the same round.
            compare_at=now + timedelta(seconds=len(self._agents) % _COMPARED.seconds),
        )
        active = last.condition(ConditionType.AUTOSCALING_ACTIVE)
        last.reason = active.reason if active else None
        self._agents[key] = last

    def forget(self, key: Key) -> None:
        """An agent is gone."""
        del self._agents[key]
        self._metrics.forget(*key)

    def report(
        self, key: Key, view: AgentView, fleet: Fleet, made: Record
    ) -> Coroutine[Any, Any, None] | None:
        """Status, Events, metrics and log of one decision; what is to be written is left to be
        awaited, and is only for news.
        """
        assert view.body is not None  # noqa: S101  # who decides has looked
        last, now = self._agents[key], made.inputs.observation.now
        decision, observed = made.decision, made.inputs.observation.signals
        longest_start = look(key, view, fleet).longest_start
        self._measure(key, last, fleet, decision, observed, longest_start)
        available = last.condition(ConditionType.SIGNALS_AVAILABLE)
        had_signals = available.status == "True" if available else None
        lost = decision.reason is Reason.NO_SIGNALS
        last.lost_since = (last.lost_since or now) if lost else None
        if _is_hiccup(last, had_signals, now):
            return None
        told = last.scaling.decisions if last.scaling else []
        events = scaling_report.signals_events(had_signals, told, observed, decision.replicas)
        is_loss = lost and bool(events)
        events += scaling_report.source_events(available, observed)
        is_of_size = is_loss or scaling_report.is_notable(last.reason, told, decision, now)
        if is_of_size or decision.settings:
            self._tell(key, last, made, is_of_size=is_of_size)
        view.setting_news = [each for each in view.setting_news if each not in decision.settings]
        last.reason = decision.reason
        before, last.tuning = last.tuning, _tuning(view, last, made, now)
        view.tuning = last.tuning
        view.note(advising.events(before, last.tuning))
        is_due = last.written_at is None or now - last.written_at >= _QUIET
        is_tuning = is_due and last.tuning != last.tuning_told
        is_compared = is_due and now >= last.compare_at
        statuses = scaling_report.statuses(decision, observed)
        is_well = scaling_report.is_all_well_as_before(statuses, last.conditions)
        if is_well and not (last.untold or is_tuning):
            # Only figures may be news then: words are made once they are.
            if not is_compared:
                return None
            last.compare_at = now + _COMPARED
            after = _scaling_status(view, last, fleet, made, longest_start)
            if not scaling_report.is_worth_showing(last.scaling, after):
                return None
        events += advising.events(last.tuning_told, last.tuning)
        found = scaling_report.findings(decision, observed, made.inputs.observation.outside)
        conditions = dated(found, last.conditions, view.body["metadata"]["generation"], now)
        news = last.untold or is_tuning or _statuses(conditions) != _statuses(last.conditions)
        is_said = _said(conditions) != _said(last.conditions)
        if not (news or (is_due and is_said) or is_compared):
            return None
        last.compare_at = now + _COMPARED
        after = _scaling_status(view, last, fleet, made, longest_start)
        if not (news or is_said or scaling_report.is_worth_showing(last.scaling, after)):
            return None
        status = AgentStatus(conditions=conditions, scaling=after, tuning=last.tuning)
        return self._publish(view, last, status, events, now)

    def report_unaccepted(self, key: Key, view: AgentView) -> Coroutine[Any, Any, None] | None:
        """An agent whose spec was never accepted is not scaled, and its conditions say so."""
        body = view.body
        if body is None or view.accepted is not None or view.refused is None:
            return None  # it is scaled, or nobody has looked yet
        before = _own(readable_status(body.get("status")).conditions)
        finding = Finding(False, Reason.NOT_ACCEPTED, "no spec was accepted yet: see Accepted")
        found = dict.fromkeys(sorted(SCALING_CONDITIONS), finding)
        conditions = dated(found, before, body["metadata"]["generation"], self._clock())
        if _said(conditions) == _said(before):
            return None
        return self._write(body, AgentStatus(conditions=conditions))

    async def emit(self, view: AgentView, told: Iterable[Event]) -> None:
        """Post Events of an agent."""
        await post(self._recorder, view, told, self._clock)

    def _measure(
        self,
        key: Key,
        last: _Last,
        fleet: Fleet,
        decision: Decision,
        observed: Signals | NoSignals,
        longest_start: Starts | None,
    ) -> None:
        """Set the agent's metrics, where they are not what they were set to last."""
        by_class = {each.name: each.replicas for each in decision.classes}
        is_read = isinstance(observed, Signals)
        is_direct = fleet.source.source is Source.PODS
        gauges = (decision.replicas, by_class, is_read, is_direct, longest_start)
        if gauges == last.gauges:
            return
        self._metrics.desired_replicas.labels(*key).set(decision.replicas)
        self._metrics.set_classes(*key, by_class)
        self._metrics.signals_available.labels(*key).set(is_read)
        self._metrics.signals_read_directly.labels(*key).set(is_direct)
        lead = lead_time_status(longest_start)
        if lead is not None:
            self._metrics.lead_time.labels(*key).set(lead.p95_seconds)
            for stage, seconds in lead.stages:
                if seconds is not None:
                    name = stage.removesuffix("_seconds")
                    self._metrics.start_stage.labels(*key, name).set(seconds)
        last.gauges = gauges

    def _tell(self, key: Key, last: _Last, made: Record, *, is_of_size: bool) -> None:
        """A notable decision, of its size or of settings alone: into the metric and the log now,
        into the status and an Event as soon as the API server takes them.
        """
        decision, as_json = made.decision, written(made)
        self._history.keep(made)
        told = Told(decision, as_json.input_digest, is_of_size)
        last.untold = [*last.untold, told][-_MOST_UNTOLD:]
        for reason, words in scaling_report.words(told):
            self._metrics.decisions.labels(*key, reason).inc()
            logger.info("%s: %s", key, words, extra={"agent": str(key)})
        decision_lines.info("%s", as_json.line)

    async def _publish(
        self,
        view: AgentView,
        last: _Last,
        status: AgentStatus,
        events: Sequence[Event],
        now: datetime,
    ) -> None:
        """Write the status first; then emit what is told beside it."""
        assert view.body is not None  # noqa: S101  # who decides has looked
        await self._write(view.body, status)
        decisions = [
            event
            for one in last.untold
            if one.is_of_size
            for event in scaling_report.decision_events(one.decision)
        ]
        last.scaling, last.conditions, last.written_at = status.scaling, status.conditions, now
        last.tuning_told = status.tuning
        last.untold = []
        await self.emit(view, [*events, *decisions])

    async def _write(self, body: Object, status: AgentStatus) -> None:
        """Write the autoscaler's part of a status."""
        own = {"conditions", "scaling", "tuning"}
        part = status.model_dump(mode="json", by_alias=True, include=own, exclude_none=True)
        await self._cluster.apply_status(
            kinds.AGENT_DEPLOYMENT, body["metadata"], part, names.SCALE_STATUS_MANAGER
        )


# ----------------------------------------------------------------------- the parts of the status


def _tuning(view: AgentView, last: _Last, made: Record, now: datetime) -> TuningStatus | None:
    """The recommendation that stands after a decision."""
    assert view.accepted is not None  # noqa: S101  # who scales has looked
    learnt = learning.known(view, representative(view))
    spec, is_calm = view.accepted.agent.spec, view.calm_at is not None
    found = advising.standing_after(last.tuning, learnt, spec, made, now, is_calm=is_calm)
    return None if found is not None and adopting.was_refused(view, found) else found


def _scaling_status(
    view: AgentView, last: _Last, fleet: Fleet, made: Record, longest_start: Starts | None
) -> ScalingStatus:
    """The autoscaler's part of the status after a decision."""
    learnt, memory = learning.known(view, representative(view)), fleet.memory
    return scaling_report.scaling_status(
        last.scaling,
        made.decision,
        made.inputs.observation.signals,
        memory,
        last.untold,
        curves_status(learnt.model_digests, learnt.curves, learnt.capacities, memory),
        lead_time_status(longest_start),
        pipelines_status(learnt.repository_digest, learnt.calls, learnt.capacities, memory),
        _classes_status(view, fleet, made),
        learning.unanswered_status(view),
        loads_status(learnt.loads),
    )


def _classes_status(view: AgentView, fleet: Fleet, made: Record) -> list[NodeClassStatus]:
    """The status by node class, empty where the agent has none."""
    assert view.accepted is not None  # noqa: S101  # who scales has looked
    sets = {pods.node_class: pods for pods in view.accepted.pod_sets}
    wanted = {each.name: each.replicas for each in made.decision.classes}
    told = []
    for each in made.inputs.observation.classes:
        pods = sets.get(each.name)
        if pods is None:
            told.append(
                NodeClassStatus(
                    name=each.name, desired_replicas=wanted[each.name], ready_replicas=each.ready
                )
            )
            continue
        learnt = learning.known(view, pods)
        digests, memory = learnt.model_digests, fleet.memory
        told.append(
            NodeClassStatus(
                name=each.name,
                desired_replicas=wanted[each.name],
                ready_replicas=each.ready,
                curves=curves_status(digests, learnt.curves, learnt.capacities, memory),
                pipelines=pipelines_status(
                    learnt.repository_digest, learnt.calls, learnt.capacities, memory
                ),
                lead_time=lead_time_status(fleet.starts[pods.name].known),
            )
        )
    return told


# ---------------------------------------------------------------------------------- what is news


def _is_hiccup(last: _Last, had_signals: bool | None, now: datetime) -> bool:
    """Whether signals that were there are away for a moment only, and nothing else is to tell."""
    if last.lost_since is None or last.untold:
        return False
    return bool(had_signals) and now - last.lost_since < _LOSS


def _own(conditions: Iterable[Condition]) -> list[Condition]:
    return [c for c in conditions if c.type in SCALING_CONDITIONS]


def _statuses(conditions: Iterable[Condition]) -> dict[str, tuple[str, ...]]:
    """What turns at once into a write; a fleet that scales does so for changing reasons."""
    return {
        c.type: (c.status,)
        if c.status == "True" and c.type == ConditionType.AUTOSCALING_ACTIVE
        else (c.status, c.reason)
        for c in conditions
    }


def _said(conditions: Iterable[Condition]) -> dict[str, tuple[str, ...]]:
    """What a reader learns from each; where all is well the words are figures of the moment."""
    return {
        c.type: (c.status, c.reason) if c.status == "True" else (c.status, c.reason, c.message)
        for c in conditions
    }
