"""The autoscaling loop: one round for all agents, every few seconds.

Observe, decide, actuate, report: what is decided is decided in `trireme.autoscaler`; here its
inputs are gathered, its answer is carried out through the Deployment's /scale, and the status,
the Event, the metric and the log line are made from the one Decision.
"""

import asyncio
import dataclasses
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ParamSpec, TypeVar

from trireme import __version__
from trireme.admission.parse import readable_status
from trireme.api import kinds, names
from trireme.api.conditions import SCALING_CONDITIONS, ConditionType, EventReason, Reason
from trireme.api.gpu_budgets import GpuBudget
from trireme.api.tuning import TuningStatus
from trireme.api.types import (
    AgentStatus,
    Condition,
    LeadTimeStatus,
    NodeClassStatus,
    ScalingMode,
    ScalingStatus,
)
from trireme.autoscaler import outside
from trireme.autoscaler.classes import mean_capacities
from trireme.autoscaler.lead_time import Starts, lead_time, measured
from trireme.autoscaler.memory import (
    before,
    curves_status,
    interrupted,
    lead_time_status,
    memory_from_status,
    pipelines_status,
    record,
    starts_from_status,
)
from trireme.autoscaler.policy import ANY_NUMBER
from trireme.autoscaler.promql import queries
from trireme.autoscaler.queries import Labels, window
from trireme.autoscaler.records import Concluded, Inputs, Record, written
from trireme.autoscaler.samples import AgentSamples, Index, index, scrape_interval
from trireme.autoscaler.schedules import bounded
from trireme.autoscaler.signals import Limits, Subject, assemble
from trireme.autoscaler.sources import SourceMemory, choose
from trireme.autoscaler.types import (
    ClassPods,
    Decision,
    Grant,
    LeadTime,
    Memory,
    NodeClass,
    NoSignals,
    Observation,
    Outside,
    Policy,
    Signals,
    Source,
)
from trireme.control import adopting, advising, learning, scaling_report, starts
from trireme.control.direct import PodReader
from trireme.control.foresight import foresee
from trireme.control.history import History
from trireme.control.observed import (
    DeploymentView,
    PodView,
    class_of,
    pods_known,
)
from trireme.control.queue import Key
from trireme.control.scaling_report import Told
from trireme.control.shares import Shares
from trireme.control.status import Finding, dated
from trireme.control.store import Accepted, AgentView, Servers, Store
from trireme.edge.cluster import Cluster
from trireme.edge.demand import DemandQueries
from trireme.edge.metrics import Metrics
from trireme.edge.prometheus import Prometheus
from trireme.edge.recorder import Event, Recorder, Regarding
from trireme.errors import ClusterError, SignalsUnavailable
from trireme.resources.pod_sets import PodSet

T = TypeVar("T")
P = ParamSpec("P")

logger = logging.getLogger(__name__)
decision_lines = logging.getLogger("trireme.decisions")
"""The records of notable decisions, each a line of JSON."""

_QUIET = timedelta(seconds=60)  # without news, an agent's status is written at most this often
_COMPARED = timedelta(seconds=15)  # between two looks at whether figures are worth a write
_LOSS = timedelta(seconds=15)  # signals that are away for less are no news: the fleet is held
_MOST_UNTOLD = 10  # as many as the status keeps
_AT_ONCE = 100  # agents, some 20 ms of them: then others have their turn
_OURS = (names.SCALE_MANAGER, names.TEMPLATE_MANAGER)
_LIMITS = Limits()
_UNUSABLE = "what Prometheus answered cannot be used: the operator's log says why"


@dataclass(frozen=True, slots=True)
class _Samples:
    """One round's answers, evaluated at `at` over `window`."""

    at: datetime
    window: timedelta
    index: Index


@dataclass(frozen=True, slots=True)
class _DirectSamples:
    """What the pods of one agent told themselves."""

    told: AgentSamples
    at: datetime
    window: timedelta


@dataclass(frozen=True, slots=True)
class _Looked:
    """A look at pods and at a spec, and what follows from both until another is seen: whose
    signals are wanted, and how many pods are ready, stuck, or without a node.
    """

    pods: tuple[PodView, ...]
    gateway_pods: tuple[PodView, ...]
    accepted: Accepted
    subject: Subject
    ready: int
    stuck: int
    unschedulable: int
    longest_start: Starts | None
    lead_time: LeadTime | None


@dataclass(slots=True)
class _Scaled:
    """What the loop remembers of one agent between rounds; `scaling`, `conditions` and
    `tuning_told` are the parts of the status last written, or read after a restart, so that a new
    process does not tell again what the one before has told. `tuning` is what stands now. `starts`
    tell the lead time, by set of pods. `reason` is that of the last decision; `source` is whose
    figures are in use; `untold` are the notable decisions that are in no status yet, since it could
    not be written. `looked` is the last look at the pods, `compare_at` when its figures are held
    against the status' again, `gauges` what its metrics were last set to.
    """

    uid: str
    memory: Memory
    starts: dict[str, starts.Watched]
    scaling: ScalingStatus | None
    conditions: list[Condition]
    tuning: TuningStatus | None
    tuning_told: TuningStatus | None
    reason: str | None
    compare_at: datetime
    source: SourceMemory = field(default_factory=SourceMemory)
    untold: list[Told] = field(default_factory=list)
    lost_since: datetime | None = None
    written_at: datetime | None = None
    looked: "_Looked | None" = None
    gauges: tuple[object, ...] = ()

    def condition(self, kind: ConditionType) -> Condition | None:
        """One of the conditions last written."""
        return next((c for c in self.conditions if c.type == kind), None)


@dataclass(frozen=True, slots=True)
class _Observed:
    """One agent in a round: the Deployments that its decision is carried out in, and what it is by
    itself, whatever the agent is granted.

    `resumes`: a user said that Trireme is to scale it again.
    """

    key: Key
    view: AgentView
    servers: Servers
    scaled: _Scaled
    alone: Concluded
    resumes: bool

    @property
    def wants_pods(self) -> bool:
        """Whether its pods' own metrics are to be read."""
        return bool(self.alone.inputs.policy.objectives) and self.scaled.source.wants_pods


class Autoscaler:
    """Runs the rounds."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        store: Store,
        prometheus: Prometheus,
        reader: PodReader,
        demand: DemandQueries,
        budgets: Sequence[GpuBudget],
        recorder: Recorder,
        metrics: Metrics,
        history: History,
        labels: Labels,
        clock: Callable[[], datetime],
    ) -> None:
        self._cluster = cluster
        self._store = store
        self._prometheus = prometheus
        self._reader = reader
        self._demand = demand
        self._shares = Shares(store, budgets, metrics, clock)
        self._recorder = recorder
        self._metrics = metrics
        self._history = history
        self._labels = labels
        self._clock = clock
        self._agents: dict[Key, _Scaled] = {}
        self._failed: set[Key] = set()
        self._scrape_interval: timedelta | None = None

    @property
    def scrape_interval(self) -> timedelta | None:
        """How often pods are scraped, as the last round found it; None until one has."""
        return self._scrape_interval

    async def round(self) -> None:
        """One round over all agents. An agent that fails is tried again in the next one."""
        keys = self._store.agents()
        for gone in self._agents.keys() - set(keys):
            del self._agents[gone]
            self._metrics.forget(*gone)
            self._history.forget(gone)
        self._metrics.agents.set(len(keys))
        with self._metrics.round_seconds.time():
            samples, asked = await asyncio.gather(self._samples(keys), self._outside(keys))
            told = await self._told_by_pods(keys)
            decided: dict[Key, _Observed] = {}
            self._failed.clear()
            async for key in _by_turns(keys):
                found = self._tried(
                    key, self._observed, key, samples, asked.get(key), told.get(key)
                )
                if found is not None:
                    decided[key] = found
            self._unobserved(self._agents.keys() - decided.keys())
            self._reader.want(key for key in keys if self._wants_pods(key, decided.get(key)))
            given = self._shares.grants({key: each.alone for key, each in decided.items()})
            writes: list[Awaitable[None]] = []
            async for key in _by_turns(keys):
                if key in decided:
                    write = self._tried(key, self._act, decided[key], given.get(key))
                else:
                    write = self._tried(key, self._report_unaccepted, key)
                if write is not None:
                    writes.append(self._awaited(key, write))
            await asyncio.gather(*writes)

    def _wants_pods(self, key: Key, observed: _Observed | None) -> bool:
        """Whether an agent's pods' own metrics are to be read; of one that failed, as before."""
        if observed is None:
            return (
                key in self._failed and key in self._agents and self._agents[key].source.wants_pods
            )
        return observed.wants_pods

    def _unobserved(self, keys: Iterable[Key]) -> None:
        """Of agents that a round could not look at nothing is known, as without signals."""
        now = self._clock()
        for key in keys:
            self._agents[key].memory = interrupted(self._agents[key].memory, now)

    def _tried(self, key: Key, part: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """One agent's part of a round; never raises, and no other suffers."""
        try:
            return part(*args, **kwargs)
        except Exception:
            logger.exception("%s: the scaling round failed", key)
            self._failed.add(key)
        return None

    async def _awaited(self, key: Key, write: Awaitable[None]) -> None:
        """What is written of one agent; never raises: kopf, when it ends, takes a task's exception
        for a failure of its own.
        """
        try:
            await write
        except ClusterError as error:
            logger.warning("%s: %s", key, error)
        except Exception:
            logger.exception("%s: the scaling round failed", key)

    async def _samples(self, keys: Iterable[Key]) -> _Samples | SignalsUnavailable:
        """What Prometheus has of every agent, or why it has nothing."""
        now = self._clock()
        over = window(self._scrape_interval)
        objectives = self._objectives(keys)
        if not objectives:
            return _Samples(now, over, index({}, self._labels))  # nobody asks for anything
        try:
            percentiles, targets = zip(*objectives, strict=True)
            asked = queries(over, self._labels, percentiles, targets)
            answers = await self._prometheus.round(asked, now)
            self._scrape_interval = scrape_interval(answers, _LIMITS.longest_scrape_interval)
            return _Samples(now, over, index(answers, self._labels))
        except SignalsUnavailable as error:
            problem = error
        except Exception:
            logger.exception("the answers of Prometheus cannot be used")
            problem = SignalsUnavailable(_UNUSABLE)
        self._metrics.prometheus_failures.inc()
        return problem

    def _objectives(self, keys: Iterable[Key]) -> set[tuple[int, timedelta]]:
        """The percentiles and targets that some objective names: they are asked for of all."""
        running = (self._store.view(key).accepted for key in keys)
        latencies = (o.latency for a in running if a for o in a.agent.spec.objectives)
        return {(latency.percentile, latency.target) for latency in latencies}

    async def _outside(self, keys: Iterable[Key]) -> dict[Key, Outside | NoSignals]:
        """What is asked outside the pods of each agent that has a query for it."""
        running = {key: self._store.view(key).accepted for key in keys}
        queries = {
            key: accepted.agent.spec.scaling.demand.query
            for key, accepted in running.items()
            if accepted is not None
            and accepted.agent.spec.scaling.demand is not None
            and accepted.agent.spec.scaling.mode.is_decided_by_trireme
        }
        try:
            answers = await self._demand.round(queries.values(), self._clock())
        except Exception:
            logger.exception("the demand outside cannot be asked for")
            answers = dict.fromkeys(queries.values(), SignalsUnavailable(_UNUSABLE))
        asked: dict[Key, Outside | NoSignals] = {}
        for key, query in queries.items():
            match answers[query]:
                case SignalsUnavailable() as error:
                    asked[key] = NoSignals(Reason.PROMETHEUS_UNREACHABLE, str(error))
                case answer:
                    asked[key] = outside.told(query, answer)
        return asked

    async def _told_by_pods(self, keys: Iterable[Key]) -> dict[Key, _DirectSamples]:
        """What pods told themselves, of the agents whose pods are read."""
        told = {}
        for key in keys:
            scaled, accepted = self._agents.get(key), self._store.view(key).accepted
            if scaled is not None and scaled.source.wants_pods and accepted is not None:
                await asyncio.sleep(0)  # a millisecond a pod: others have their turn in between
                objectives = accepted.policy.objectives
                told[key] = _DirectSamples(*self._reader.samples(key, objectives))
        return told

    def _observed(
        self,
        key: Key,
        samples: _Samples | SignalsUnavailable,
        asked: Outside | NoSignals | None,
        told: _DirectSamples | None,
    ) -> _Observed | None:
        """What there is to decide of one agent; None where nothing is to be."""
        view = self._store.view(key)
        live = view.servers.together
        if view.body is None or view.accepted is None or live is None:
            return None
        if view.apply_failure is None and not _all_known(view):
            return None  # just started, or just accepted: a part of the pods tells nothing
        now = self._clock()
        uid = view.body["metadata"]["uid"]
        scaled = self._agents.get(key)
        if scaled is None or scaled.uid != uid:
            if not pods_known(live, view.stable_pods):
                return None  # just started: the watch of pods has yet to tell of them
            scaled = self._restore(key, view, live, now)
        looked = _look(key, view, scaled)
        spec = view.accepted.agent.spec
        policy = view.accepted.policy
        if policy.replicas != (replicas := _replicas_told(view)):
            policy = dataclasses.replace(policy, replicas=replicas)
        policy = bounded(policy, spec.scaling.schedules, now, looked.lead_time)
        policy = _with_classes(policy, view)
        signals = self._signals(key, scaled, looked.subject, samples, told, now)
        observation = _observe(view, live, scaled, looked, signals, now)
        if asked is not None:
            observation = outside.observed(observation, asked)
        forecasts = foresee(view.foresights, observation, policy, scaled.memory)
        if forecasts:
            observation = dataclasses.replace(observation, forecasts=forecasts)
        command = view.body["metadata"].get("annotations", {}).get(names.COMMAND)
        automatic = spec.scaling.mode is ScalingMode.AUTOMATIC
        resumes = automatic and command == names.RESUME
        foreign_writer = None
        if automatic and not resumes and live.replicas_manager not in _OURS:
            foreign_writer = live.replicas_manager
        alone = Concluded.by(Inputs(observation, policy, scaled.memory, foreign_writer))
        return _Observed(key, view, view.servers, scaled, alone, resumes)

    def _act(self, observed: _Observed, grant: Grant | None) -> Awaitable[None] | None:
        """Decide, and do and tell what was decided; what is to be written, of most nothing, is left
        to be awaited.
        """
        concluded = observed.alone.granted(grant)
        if observed.resumes or concluded.decision.replicas != concluded.decision.current:
            return self._carry_out(observed, concluded)
        return self._note(observed, concluded)

    async def _carry_out(self, observed: _Observed, concluded: Concluded) -> None:
        """Write the sizes that were decided on, and tell of it."""
        decision, view, servers = concluded.decision, observed.view, observed.servers
        if observed.resumes:
            await self._take_back(observed.key, view, servers)
        if decision.replicas != decision.current:
            for name, size in _sizes(servers, decision).items():
                if size != servers.views[name].replicas:
                    deployment = servers.bodies[name]
                    await self._cluster.apply_scale(deployment, size, names.SCALE_MANAGER)
                    view.resized(deployment, size)
        written = self._note(observed, concluded)
        if written is not None:
            await written

    def _note(self, observed: _Observed, concluded: Concluded) -> Awaitable[None] | None:
        """Remember a decision once it is carried out, and tell of it."""
        key, view, scaled = observed.key, observed.view, observed.scaled
        decision = concluded.decision
        made = Record(__version__, *key, concluded.inputs, decision)
        self._history.add(made)
        carried_out = decision.replicas != decision.current
        scaled.memory = record(concluded.memory, decision, carried_out=carried_out)
        view.desired_replicas = decision.replicas
        view.desired_by_class = {e.name: e.replicas for e in decision.classes} or None
        view.calm_at = decision.at if advising.is_calm(made) else None
        return self._report(key, view, scaled, made, concluded.inputs.observation.now)

    def _signals(
        self,
        key: Key,
        scaled: _Scaled,
        asked_of: Subject,
        samples: _Samples | SignalsUnavailable,
        told: _DirectSamples | None,
        now: datetime,
    ) -> Signals | NoSignals:
        """What an agent is scaled by: what Prometheus has of it, or its pods tell themselves."""
        if not asked_of.objectives:
            return Signals(now, window(None), ())
        prometheus: Signals | NoSignals
        if isinstance(samples, SignalsUnavailable):
            prometheus = NoSignals(Reason.PROMETHEUS_UNREACHABLE, str(samples))
        else:
            prometheus = assemble(
                samples.index.of(*key),
                asked_of,
                now=samples.at,
                window=samples.window,
                limits=_LIMITS,
            )
        pods = None
        if told is not None:
            pods = assemble(told.told, asked_of, now=told.at, window=told.window, limits=_LIMITS)
        was, over = scaled.source.source, window(self._scrape_interval)
        signals, scaled.source = choose(scaled.source, prometheus, pods, now=now, window=over)
        same = scaled.source.source is was
        scaled.memory = before(scaled.memory, signals, same_source=same, now=now)
        return signals

    def _restore(
        self,
        key: Key,
        view: AgentView,
        live: DeploymentView,
        now: datetime,
    ) -> _Scaled:
        """What an earlier process knew of an agent, from its status."""
        assert view.body is not None and view.accepted is not None  # noqa: S101, PT018  # _observed has
        status = readable_status(view.body.get("status"))
        scaled = _Scaled(
            uid=view.body["metadata"]["uid"],
            memory=memory_from_status(status.scaling, started=now, current=live.replicas),
            starts={
                of_set.name: starts.watched(
                    starts_from_status(_of_class(status.scaling, of_set)), view.stable_pods
                )
                for of_set in view.accepted.pod_sets
            },
            scaling=status.scaling,
            conditions=_own(status.conditions),
            tuning=status.tuning,
            tuning_told=status.tuning,
            reason=None,
            # Not all agents in the same round.
            compare_at=now + timedelta(seconds=len(self._agents) % _COMPARED.seconds),
        )
        active = scaled.condition(ConditionType.AUTOSCALING_ACTIVE)
        scaled.reason = active.reason if active else None
        self._agents[key] = scaled
        view.learning = {
            of_set.name: learning.restored(view, of_set, _of_class(status.scaling, of_set))
            for of_set in view.accepted.pod_sets
        }
        return scaled

    # ---------------------------------------------------------------------------- actuating

    async def _take_back(self, key: Key, view: AgentView, servers: Servers) -> None:
        """A user said `resume`: own the sizes again, as they are now, and consume the command."""
        sizes = {name: each.replicas for name, each in servers.views.items()}
        for name, size in sizes.items():
            await self._cluster.apply_scale(servers.bodies[name], size, names.SCALE_MANAGER)
        patch = {"metadata": {"annotations": {names.COMMAND: None}}}
        await self._cluster.merge(kinds.AGENT_DEPLOYMENT, key.namespace, key.name, patch)
        note = f"Trireme scales again, from {sum(sizes.values())} replicas"
        await self._emit(key, view, [Event(EventReason.SCALING_RESUMED, note, "Scale")])

    # ---------------------------------------------------------------------------- reporting

    def _report(
        self,
        key: Key,
        view: AgentView,
        scaled: _Scaled,
        made: Record,
        now: datetime,
    ) -> Awaitable[None] | None:
        """Status, Events, metrics and log of one decision; what is to be written is left to be
        awaited, and is only for news.
        """
        assert view.body is not None  # noqa: S101  # _observed has looked
        decision, observed = made.decision, made.inputs.observation.signals
        longest_start = _look(key, view, scaled).longest_start
        self._measure(key, scaled, decision, observed, longest_start)
        available = scaled.condition(ConditionType.SIGNALS_AVAILABLE)
        had_signals = available.status == "True" if available else None
        lost = decision.reason is Reason.NO_SIGNALS
        scaled.lost_since = (scaled.lost_since or now) if lost else None
        if _is_hiccup(scaled, had_signals, now):
            return None
        told = scaled.scaling.decisions if scaled.scaling else []
        events = scaling_report.signals_events(had_signals, told, observed, decision.replicas)
        is_loss = lost and bool(events)
        events += scaling_report.source_events(available, observed)
        if is_loss or scaling_report.is_notable(scaled.reason, told, decision, now):
            self._tell(key, scaled, made)
        scaled.reason = decision.reason
        scaled.tuning = view.tuning = _tuning(view, scaled, made, now)
        is_due = scaled.written_at is None or now - scaled.written_at >= _QUIET
        is_tuning = is_due and scaled.tuning != scaled.tuning_told
        is_compared = is_due and now >= scaled.compare_at
        statuses = scaling_report.statuses(decision, observed)
        if not (scaled.untold or is_tuning or is_compared) and scaling_report.is_all_well_as_before(
            statuses, scaled.conditions
        ):
            return None
        events += advising.events(scaled.tuning_told, scaled.tuning)
        found = scaling_report.findings(decision, observed, made.inputs.observation.outside)
        conditions = dated(found, scaled.conditions, view.body["metadata"]["generation"], now)
        news = scaled.untold or is_tuning or _statuses(conditions) != _statuses(scaled.conditions)
        is_said = _said(conditions) != _said(scaled.conditions)
        if not (news or (is_due and is_said) or is_compared):
            return None
        scaled.compare_at = now + _COMPARED
        after = _scaling_status(view, scaled, made, lead_time_status(longest_start))
        if not (news or is_said or scaling_report.is_worth_showing(scaled.scaling, after)):
            return None
        status = AgentStatus(conditions=conditions, scaling=after, tuning=scaled.tuning)
        return self._publish(key, view, scaled, status, events, now)

    def _measure(
        self,
        key: Key,
        scaled: _Scaled,
        decision: Decision,
        observed: Signals | NoSignals,
        longest_start: Starts | None,
    ) -> None:
        """Set the agent's metrics, where they are not what they were set to last."""
        by_class = {each.name: each.replicas for each in decision.classes}
        is_read = isinstance(observed, Signals)
        is_direct = scaled.source.source is Source.PODS
        gauges = (decision.replicas, by_class, is_read, is_direct, longest_start)
        if gauges == scaled.gauges:
            return
        self._metrics.desired_replicas.labels(*key).set(decision.replicas)
        self._metrics.set_classes(*key, by_class)
        self._metrics.signals_available.labels(*key).set(is_read)
        self._metrics.signals_read_directly.labels(*key).set(is_direct)
        lead = lead_time_status(longest_start)
        if lead is not None:
            self._metrics.lead_time.labels(*key).set(lead.p95_seconds)
            for stage, seconds in lead.stages:
                name = stage.removesuffix("_seconds")
                self._metrics.start_stage.labels(*key, name).set(seconds)
        scaled.gauges = gauges

    async def _publish(
        self,
        key: Key,
        view: AgentView,
        scaled: _Scaled,
        status: AgentStatus,
        events: Sequence[Event],
        now: datetime,
    ) -> None:
        """Write the status first; then emit what is told beside it."""
        await self._write(key, status)
        decisions = [
            event for one in scaled.untold for event in scaling_report.decision_events(one.decision)
        ]
        scaled.scaling, scaled.conditions, scaled.written_at = (
            status.scaling,
            status.conditions,
            now,
        )
        scaled.tuning_told = status.tuning
        scaled.untold = []
        await self._emit(key, view, [*events, *decisions])

    def _tell(self, key: Key, scaled: _Scaled, made: Record) -> None:
        """A notable decision: into the metric and the log now, into the status and an Event as
        soon as the API server takes them.
        """
        decision, as_json = made.decision, written(made)
        self._history.keep(made)
        scaled.untold = [*scaled.untold, Told(decision, as_json.input_digest)][-_MOST_UNTOLD:]
        self._metrics.decisions.labels(*key, decision.reason).inc()
        logger.info("%s: %s", key, decision.message, extra={"agent": str(key)})
        decision_lines.info("%s", as_json.line)

    def _report_unaccepted(self, key: Key) -> Awaitable[None] | None:
        """An agent whose spec was never accepted is not scaled, and its conditions say so."""
        view = self._store.view(key)
        body = view.body
        if body is None or view.accepted is not None or view.refused is None:
            return None  # it is scaled, or nobody has looked yet
        before = _own(readable_status(body.get("status")).conditions)
        finding = Finding(False, Reason.NOT_ACCEPTED, "no spec was accepted yet: see Accepted")
        found = dict.fromkeys(sorted(SCALING_CONDITIONS), finding)
        conditions = dated(found, before, body["metadata"]["generation"], self._clock())
        if _said(conditions) == _said(before):
            return None
        return self._write(key, AgentStatus(conditions=conditions))

    async def _write(self, key: Key, status: AgentStatus) -> None:
        """Write the autoscaler's part of a status."""
        own = {"conditions", "scaling", "tuning"}
        part = status.model_dump(mode="json", by_alias=True, include=own, exclude_none=True)
        await self._cluster.apply_status(
            kinds.AGENT_DEPLOYMENT, key.namespace, key.name, part, names.SCALE_STATUS_MANAGER
        )

    async def _emit(self, key: Key, view: AgentView, told: list[Event]) -> None:
        assert view.body is not None  # noqa: S101  # _agent has looked
        regarding = Regarding(key.namespace, key.name, view.body["metadata"]["uid"])
        for event in told:
            await self._recorder.emit(regarding, event, self._clock())


async def _by_turns(keys: Iterable[Key]) -> AsyncIterator[Key]:
    """Agent by agent, so that others than the rounds have their turn now and then."""
    for count, key in enumerate(keys):
        if count % _AT_ONCE == 0:
            await asyncio.sleep(0)
        yield key


def _look(key: Key, view: AgentView, scaled: _Scaled) -> _Looked:
    """Look at the pods; nothing is new where they and the spec are as they were."""
    pods, gateway, accepted = view.stable_pods, view.gateway_pods, view.accepted
    assert accepted is not None  # noqa: S101  # who scales has looked
    before = scaled.looked
    if (
        before is not None
        and before.pods is pods
        and before.gateway_pods is gateway
        and before.accepted is accepted
    ):
        return before
    for of_set in accepted.pod_sets:
        told = scaled.starts.setdefault(of_set.name, starts.watched(None, pods))
        starts.look(told, [pod for pod in pods if of_set.selects(pod.labels)])
        if of_set.name not in view.learning:  # a node class that came since
            view.learning[of_set.name] = learning.known(view, of_set)
    longest = _longest_start(accepted, scaled)
    stuck = [pod for pod in pods if pod.stuck]
    scaled.looked = _Looked(
        pods,
        gateway,
        accepted,
        subject(key, view, accepted.policy),
        ready=len(_ready_since(pods)),
        stuck=len(stuck),
        unschedulable=sum(
            pod.trouble is not None and pod.trouble.reason is Reason.UNSCHEDULABLE for pod in stuck
        ),
        longest_start=longest,
        lead_time=lead_time(longest),
    )
    return scaled.looked


def subject(key: Key, view: AgentView, policy: Policy) -> Subject:
    """The agent, as its spec and the cluster describe it."""
    assert view.accepted is not None  # noqa: S101  # who scales has looked
    spec = view.accepted.agent.spec
    return Subject(
        namespace=key.namespace,
        agent=key.name,
        objectives=policy.objectives,
        # A step that is a pipeline itself has no queue: requests wait in the models that it calls.
        pipelines={o.model: tuple(o.start_of_step) for o in policy.objectives if o.start_of_step},
        ready_pods=_ready_since(view.stable_pods),
        gateway_pods=_ready_since(view.gateway_pods) if spec.gateway.enabled else None,
    )


def _all_known(view: AgentView) -> bool:
    """Whether every Deployment that the spec asks for is there."""
    assert view.accepted is not None  # noqa: S101  # who scales has looked
    return all(pods.name in view.servers.bodies for pods in view.accepted.pod_sets)


def _sizes(servers: Servers, decision: Decision) -> dict[str, int]:
    """What the Deployments are to have: where an agent has no node classes its only one has all."""
    if not decision.classes:
        (only,) = servers.bodies
        return {only: decision.replicas}
    wanted = {each.name: each.replicas for each in decision.classes}
    return {name: wanted[class_of(body)] for name, body in servers.bodies.items()}


def _classes(view: AgentView, scaled: _Scaled) -> tuple[ClassPods, ...]:
    """The pods by node class, those of the spec first, in its order; none where all are alike."""
    assert view.accepted is not None  # noqa: S101  # who scales has looked
    sets = {pods.name: pods for pods in view.accepted.pod_sets}
    servers = view.servers.bodies
    if (
        len(servers) <= 1
        and servers.keys() <= sets.keys()
        and "" in map(class_of, servers.values())
    ):
        return ()
    pods = view.stable_pods
    found = []
    for name in sorted(servers, key=lambda name: ([*sets, name].index(name), name)):
        live, of_set = view.servers.views[name], sets.get(name)
        mine = [p for p in pods if p.labels.get(names.NODE_CLASS, "") == class_of(servers[name])]
        unplaced = sum(
            p.trouble is not None and p.trouble.reason is Reason.UNSCHEDULABLE for p in mine
        )
        before = view.learning.get(name)
        known = learning.capacities(view, of_set) if of_set else before and before.capacities
        told = scaled.starts.get(name)
        found.append(
            ClassPods(
                class_of(servers[name]),
                live.replicas,
                len(_ready_since(mine)),
                min(live.replicas, unplaced + live.refused),
                dict(known or {}),
                lead_time(told.known) if told else None,
            )
        )
    return tuple(found)


def _with_classes(policy: Policy, view: AgentView) -> Policy:
    """The policy of an agent whose spec has no classes, while pods of some are still there; and of
    one whose own Deployments cannot be made: those of before them serve on, all alike.
    """
    assert view.accepted is not None  # noqa: S101  # who scales has looked
    servers = view.servers.bodies
    if servers.keys().isdisjoint(pods.name for pods in view.accepted.pod_sets):
        wanted = [class_of(body) for body in servers.values()]
    elif policy.classes or len(servers) <= 1:
        return policy
    else:
        wanted = [""]
    gpus = view.accepted.agent.spec.server.gpus.count
    rules = tuple(NodeClass(name, 1.0, 0, ANY_NUMBER, gpus) for name in wanted)
    return dataclasses.replace(policy, classes=rules)


def _representative(view: AgentView) -> PodSet:
    """The set of pods whose curves are told where an agent has no node classes."""
    assert view.accepted is not None  # noqa: S101  # who scales has looked
    return view.accepted.pod_sets[0]


def _longest_start(accepted: Accepted, scaled: _Scaled) -> Starts | None:
    """The starts that take the longest, of all sets of pods."""
    known = [scaled.starts[pods.name].known for pods in accepted.pod_sets]
    return max(
        (each for each in known if each is not None),
        key=lambda each: measured(each).p95_seconds,
        default=None,
    )


def _of_class(status: ScalingStatus | None, pods: PodSet) -> ScalingStatus | None:
    """What a status tells of one set of pods."""
    if status is None or not pods.node_class:
        return status
    told = next((each for each in status.node_classes if each.name == pods.node_class), None)
    if told is None:
        return None
    own = {"curves": told.curves, "pipelines": told.pipelines, "lead_time": told.lead_time}
    return status.model_copy(update=own)


def _classes_status(view: AgentView, scaled: _Scaled, made: Record) -> list[NodeClassStatus]:
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
        digests, memory = learnt.model_digests, scaled.memory
        told.append(
            NodeClassStatus(
                name=each.name,
                desired_replicas=wanted[each.name],
                ready_replicas=each.ready,
                curves=curves_status(digests, learnt.curves, learnt.capacities, memory),
                pipelines=pipelines_status(
                    learnt.repository_digest, learnt.calls, learnt.capacities, memory
                ),
                lead_time=lead_time_status(scaled.starts[pods.name].known),
            )
        )
    return told


def _tuning(view: AgentView, scaled: _Scaled, made: Record, now: datetime) -> TuningStatus | None:
    """The recommendation that stands after a decision."""
    assert view.accepted is not None  # noqa: S101  # who scales has looked
    learnt = learning.known(view, _representative(view))
    spec, is_calm = view.accepted.agent.spec, view.calm_at is not None
    found = advising.standing_after(scaled.tuning, learnt, spec, made, now, is_calm=is_calm)
    return None if found is not None and adopting.was_refused(view, found) else found


def _scaling_status(
    view: AgentView, scaled: _Scaled, made: Record, lead: LeadTimeStatus | None
) -> ScalingStatus:
    """The autoscaler's part of the status after a decision."""
    learnt, memory = learning.known(view, _representative(view)), scaled.memory
    return scaling_report.scaling_status(
        scaled.scaling,
        made.decision,
        made.inputs.observation.signals,
        memory,
        scaled.untold,
        curves_status(learnt.model_digests, learnt.curves, learnt.capacities, memory),
        lead,
        pipelines_status(learnt.repository_digest, learnt.calls, learnt.capacities, memory),
        _classes_status(view, scaled, made),
    )


def _observe(
    view: AgentView,
    live: DeploymentView,
    scaled: _Scaled,
    looked: _Looked,
    signals: Signals | NoSignals,
    now: datetime,
) -> Observation:
    """What the cluster and the signals say of one agent, in one value."""
    by_class = _classes(view, scaled)
    return Observation(
        now=now,
        replicas=live.replicas,
        ready=looked.ready,
        stuck=looked.stuck,
        unschedulable=looked.unschedulable,
        signals=signals,
        capacities=mean_capacities(by_class)
        if by_class
        else learning.capacities(view, _representative(view)),
        lead_time=looked.lead_time,
        classes=by_class,
    )


def _ready_since(pods: Iterable[PodView]) -> dict[str, datetime]:
    return {pod.name: pod.ready_since for pod in pods if pod.ready_since is not None}


def _replicas_told(view: AgentView) -> int | None:
    """spec.replicas as it is now, where the accepted spec leaves the size to it: an autoscaler
    goes on writing it while somebody's edit of something else is refused.
    """
    assert view.accepted is not None and view.body is not None  # noqa: S101, PT018
    accepted = view.accepted.agent.spec.replicas
    live = view.body["spec"].get("replicas")
    return live if accepted is not None and isinstance(live, int) else accepted


def _is_hiccup(scaled: _Scaled, had_signals: bool | None, now: datetime) -> bool:
    """Whether signals that were there are away for a moment only, and nothing else is to tell."""
    if scaled.lost_since is None or scaled.untold:
        return False
    return bool(had_signals) and now - scaled.lost_since < _LOSS


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
