"""The autoscaling loop: one round for all agents, every few seconds.

Observe, decide, actuate, report: what is decided is decided in `trireme.autoscaler`; here the
steps of a round follow each other, and its answer is carried out through the Deployment's /scale.
What there is to decide by is asked for in `sampling` and seen in `fleet`; what is told of it is
told in `scaling_news`.

No round waits for what is written. An agent of which something still is goes on being seen, and is
left out of what the rounds do until that has ended: a decision is recorded once it is carried out.
"""

import asyncio
import dataclasses
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from typing import Any, ParamSpec, TypeVar

from trireme import __version__
from trireme.admission.parse import readable_status
from trireme.api import kinds, names
from trireme.api.conditions import EventReason
from trireme.api.gpu_budgets import GpuBudget
from trireme.api.scaling import ScalingMode
from trireme.autoscaler import outside
from trireme.autoscaler.memory import before, interrupted, record
from trireme.autoscaler.queries import Labels, window
from trireme.autoscaler.records import Concluded, Inputs, Record
from trireme.autoscaler.signals import Subject
from trireme.autoscaler.types.decision import Decision
from trireme.autoscaler.types.observation import Grant
from trireme.autoscaler.types.signals import NoSignals, Signals
from trireme.autoscaler.values import frozen
from trireme.control import advising
from trireme.control.commands import resumes
from trireme.control.direct import PodReader
from trireme.control.fleet import Fleet, learnt_before, look, observed, policy_now, restored
from trireme.control.foresight import foresee
from trireme.control.history import History
from trireme.control.observed import DeploymentView, class_of, pods_known
from trireme.control.queue import Key
from trireme.control.sampling import Answers, Sampler
from trireme.control.scaling_news import ScalingNews
from trireme.control.shares import Shares
from trireme.control.start_parts import StartParts
from trireme.control.store import AgentView, Servers, Store
from trireme.edge.cluster import MOST_CONNECTIONS, Cluster
from trireme.edge.demand import DemandQueries
from trireme.edge.metrics import Metrics
from trireme.edge.prometheus import Prometheus
from trireme.edge.recorder import Event, Recorder
from trireme.errors import ClusterError
from trireme.resources.server import longest_start

T = TypeVar("T")
P = ParamSpec("P")

logger = logging.getLogger(__name__)

_AT_ONCE = 100  # agents, some 20 ms of them: then others have their turn
_WRITTEN_AT_ONCE = MOST_CONNECTIONS - 100  # agents: passes and canaries have the others
_BUSY_PER_SECOND = 1.0  # requests for each ready pod
_OURS = (names.SCALE_MANAGER, names.TEMPLATE_MANAGER)


@frozen
class _Observed:
    """One agent in a round: the Deployments that its decision is carried out in, and what it is by
    itself, whatever the agent is granted.

    `resumes`: a user said that Trireme is to scale it again.
    """

    key: Key
    view: AgentView
    servers: Servers
    fleet: Fleet
    alone: Concluded
    resumes: bool

    @property
    def wants_pods(self) -> bool:
        """Whether its pods' own metrics are to be read."""
        return bool(self.alone.inputs.policy.objectives) and self.fleet.source.wants_pods


class Autoscaler:
    """Runs the rounds."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        store: Store,
        prometheus: Prometheus,
        reader: PodReader,
        start_parts: StartParts,
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
        self._reader = reader
        self._start_parts = start_parts
        self._metrics = metrics
        self._history = history
        self._clock = clock
        self._sampler = Sampler(
            store=store,
            prometheus=prometheus,
            reader=reader,
            demand=demand,
            metrics=metrics,
            labels=labels,
            clock=clock,
        )
        self._shares = Shares(store, budgets, metrics, clock)
        self._news = ScalingNews(
            cluster=cluster, recorder=recorder, metrics=metrics, history=history, clock=clock
        )
        self._fleets: dict[Key, Fleet] = {}
        self._failed: set[Key] = set()
        self._writing: dict[Key, str] = {}  # with the GPU budget that it grows in, or ""
        self._written = asyncio.Semaphore(_WRITTEN_AT_ONCE)

    @property
    def scrape_interval(self) -> timedelta | None:
        """How often pods are scraped, as the last round found it; None until one has."""
        return self._sampler.scrape_interval

    async def run(self, interval_seconds: float, turned: Callable[[], None]) -> None:
        """A round every interval, for ever; one that takes longer is followed at once. `turned` is
        called after each that did not fail: what fails for all agents is tried again in the next.
        """
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as writes:
            while True:
                began = loop.time()
                try:
                    await self._round(writes)
                except Exception:
                    logger.exception("the scaling round failed")
                    self._metrics.failed_rounds.inc()
                else:
                    turned()
                await asyncio.sleep(max(0.0, began + interval_seconds - loop.time()))

    async def round(self) -> None:
        """One round over all agents, with all that it writes."""
        async with asyncio.TaskGroup() as writes:
            await self._round(writes)

    async def _round(self, writes: asyncio.TaskGroup) -> None:
        """One round over all agents, but for the `writes` that it begins. An agent that fails is
        tried again in the next one.
        """
        keys = self._store.agents()
        async for gone in _by_turns(self._fleets.keys() - set(keys)):
            del self._fleets[gone]
            self._news.forget(gone)
            self._history.forget(gone)
        self._metrics.agents.set(len(keys))
        with self._metrics.round_seconds.time():
            read = [key for key in keys if self._are_pods_read(key)]
            answers = await self._sampler.ask(keys, read)
            decided: dict[Key, _Observed] = {}
            self._failed.clear()
            async for key in _by_turns(keys):
                found = self._tried(key, self._observed, key, answers)
                if found is not None:
                    decided[key] = found
            self._unobserved(self._fleets.keys() - decided.keys())
            self._reader.want(key for key in keys if self._wants_pods(key, decided.get(key)))
            given = self._shares.grants({key: each.alone for key, each in decided.items()})
            self._metrics.agents_written.set(len(self._writing))
            growing = frozenset(filter(None, self._writing.values()))
            async for key in _by_turns(keys):
                if key in decided:
                    write = self._tried(key, self._act, decided[key], given.get(key), growing)
                elif key in self._writing:
                    continue
                else:
                    view = self._store.view(key)
                    write = self._tried(key, self._news.report_unaccepted, key, view)
                if write is not None:
                    self._writing.setdefault(key, "")
                    writes.create_task(self._awaited(key, self._store.view(key), write))

    def _are_pods_read(self, key: Key) -> bool:
        """Whether an agent's pods' own metrics have been read since the last round."""
        return key in self._fleets and self._fleets[key].source.wants_pods

    def _wants_pods(self, key: Key, observed: _Observed | None) -> bool:
        """Whether an agent's pods' own metrics are to be read; of one that failed, as before."""
        if observed is None:
            return key in self._failed and self._are_pods_read(key)
        return observed.wants_pods

    def _unobserved(self, keys: Iterable[Key]) -> None:
        """Of agents that a round could not look at nothing is known, as without signals."""
        now = self._clock()
        for key in keys:
            self._fleets[key].memory = interrupted(self._fleets[key].memory, now)

    def _tried(self, key: Key, part: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """One agent's part of a round; never raises, and no other suffers."""
        try:
            return part(*args, **kwargs)
        except Exception:
            logger.exception("%s: the scaling round failed", key)
            self._failed.add(key)
        return None

    async def _awaited(self, key: Key, view: AgentView, write: Coroutine[Any, Any, None]) -> None:
        """What is written of one agent, in its turn; never raises: kopf, when it ends, takes a
        task's exception for a failure of its own.
        """
        try:
            async with self._written:
                if self._store.view(key) is view:  # else it went, and another may have its name
                    await write
        except ClusterError as error:
            logger.warning("%s: %s", key, error)
        except Exception:
            logger.exception("%s: the scaling round failed", key)
        finally:
            write.close()  # it may have had no turn
            del self._writing[key]

    # ---------------------------------------------------------------------------- observing

    def _observed(self, key: Key, answers: Answers) -> _Observed | None:
        """What there is to decide of one agent; None where nothing is to be."""
        view = self._store.view(key)
        live = view.servers.together
        if view.body is None or view.accepted is None or live is None:
            return None
        if view.apply_failure is None and not _all_known(view):
            return None  # just started, or just accepted: a part of the pods tells nothing
        now = self._clock()
        uid = view.body["metadata"]["uid"]
        fleet = self._fleets.get(key)
        if fleet is None or fleet.uid != uid:
            if not pods_known(live, view.stable_pods):
                return None  # just started: the watch of pods has yet to tell of them
            fleet = self._restore(key, view, live, now)
        looked = look(key, view, fleet)
        policy = policy_now(view, looked.lead_time, now)
        signals = self._signals(key, fleet, looked.subject, answers, now)
        self._start_parts.explain(key, fleet.starts.values())
        if looked.starting and _is_busy(signals, looked.ready):
            longest = longest_start(view.accepted.agent.spec)
            self._start_parts.follow(key, looked.starting, longest)
        observation = observed(view, live, fleet, looked, signals, now)
        if (asked := answers.outside.get(key)) is not None:
            observation = outside.observed(observation, asked)
        forecasts = foresee(view.foresights, observation, policy, fleet.memory)
        if forecasts:
            observation = dataclasses.replace(observation, forecasts=forecasts)
        automatic = view.accepted.agent.spec.scaling.mode is ScalingMode.AUTOMATIC
        is_resumed, foreign_writer = resumes(view), None
        if automatic and not is_resumed and live.replicas_manager not in _OURS:
            foreign_writer = live.replicas_manager
        alone = Concluded.by(Inputs(observation, policy, fleet.memory, foreign_writer))
        return _Observed(key, view, view.servers, fleet, alone, is_resumed)

    def _restore(self, key: Key, view: AgentView, live: DeploymentView, now: datetime) -> Fleet:
        """What an earlier process knew of an agent, from its status."""
        assert view.body is not None  # noqa: S101  # _observed has looked
        status = readable_status(view.body.get("status"))
        fleet = restored(view, live, status.scaling, now)
        self._news.restore(key, status, now)
        self._fleets[key] = fleet
        view.learning = learnt_before(view, status.scaling)
        return fleet

    def _signals(
        self, key: Key, fleet: Fleet, asked_of: Subject, answers: Answers, now: datetime
    ) -> Signals | NoSignals:
        """What an agent is scaled by."""
        if not asked_of.objectives:
            return Signals(now, window(None), ())
        was = fleet.source.source
        signals, fleet.source = answers.signals(key, asked_of, fleet.source, now)
        same = fleet.source.source is was
        fleet.memory = before(fleet.memory, signals, same_source=same, now=now)
        return signals

    # ---------------------------------------------------------------------------- actuating

    def _act(
        self, observed: _Observed, grant: Grant | None, growing: AbstractSet[str]
    ) -> Coroutine[Any, Any, None] | None:
        """Decide, and do and tell what was decided; what is to be written, of most nothing, is left
        to be awaited. `growing` are the GPU budgets that an earlier round gave some of, and whoever
        got it does not have it yet.
        """
        concluded = observed.alone.granted(grant)
        observed.fleet.memory = concluded.memory  # what was seen, whatever becomes of a write
        grown_in = _grown_in(observed.view, concluded.decision)
        if observed.key in self._writing or grown_in in growing:
            return None
        if observed.resumes or concluded.decision.replicas != concluded.decision.current:
            self._writing[observed.key] = grown_in
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
        self._writing[observed.key] = ""
        if self._fleets.get(observed.key) is not observed.fleet:
            return  # the agent went meanwhile, or another has its name
        written = self._note(observed, concluded)
        if written is not None:
            await written

    async def _take_back(self, key: Key, view: AgentView, servers: Servers) -> None:
        """A user said `resume`: own the sizes again, as they are now, and consume the command."""
        sizes = {name: each.replicas for name, each in servers.views.items()}
        for name, size in sizes.items():
            await self._cluster.apply_scale(servers.bodies[name], size, names.SCALE_MANAGER)
        assert view.body is not None  # noqa: S101  # it has the command
        uid = view.body["metadata"]["uid"]  # else another one's command might be taken away
        patch = {"metadata": {"uid": uid, "annotations": {names.COMMAND: None}}}
        await self._cluster.merge(kinds.AGENT_DEPLOYMENT, key.namespace, key.name, patch)
        note = f"Trireme scales again, from {sum(sizes.values())} replicas"
        await self._news.emit(view, [Event(EventReason.SCALING_RESUMED, note, "Scale")])

    def _note(self, observed: _Observed, concluded: Concluded) -> Coroutine[Any, Any, None] | None:
        """Remember a decision once it is carried out, and tell of it."""
        key, view, fleet = observed.key, observed.view, observed.fleet
        decision = concluded.decision
        made = Record(__version__, *key, concluded.inputs, decision)
        self._history.add(made)
        carried_out = decision.replicas != decision.current
        fleet.memory = record(fleet.memory, decision, carried_out=carried_out)
        view.desired_replicas = decision.replicas
        view.desired_by_class = {e.name: e.replicas for e in decision.classes} or None
        view.calm_at = decision.at if advising.is_calm(made) else None
        return self._news.report(key, view, fleet, made)


async def _by_turns(keys: Iterable[Key]) -> AsyncIterator[Key]:
    """Agent by agent, so that others than the rounds have their turn now and then."""
    for count, key in enumerate(keys):
        if count % _AT_ONCE == 0:
            await asyncio.sleep(0)
        yield key


def _all_known(view: AgentView) -> bool:
    """Whether every Deployment that the spec asks for is there."""
    assert view.accepted is not None  # noqa: S101  # who scales has looked
    return all(pods.name in view.servers.bodies for pods in view.accepted.pod_sets)


def _is_busy(signals: Signals | NoSignals, ready: int) -> bool:
    """Whether a pod that becomes ready is due a request within seconds."""
    if isinstance(signals, NoSignals):
        return False
    rate = sum(model.request_rate_per_second for model in signals.models)
    return rate >= _BUSY_PER_SECOND * ready > 0


def _grown_in(view: AgentView, decision: Decision) -> str:
    """The GPU budget that a decision takes some of; empty where it takes none."""
    assert view.accepted is not None  # noqa: S101  # who scales has looked
    share = view.accepted.agent.spec.scaling.budget
    grows = decision.replicas > decision.current or any(
        each.replicas > each.current for each in decision.classes
    )
    return share.name if share is not None and grows else ""


def _sizes(servers: Servers, decision: Decision) -> dict[str, int]:
    """What the Deployments are to have: where an agent has no node classes its only one has all."""
    if not decision.classes:
        (only,) = servers.bodies
        return {only: decision.replicas}
    wanted = {each.name: each.replicas for each in decision.classes}
    return {name: wanted[class_of(body)] for name, body in servers.bodies.items()}
