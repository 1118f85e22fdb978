"""The canary loop: what both tracks answer, every few seconds, of the agents that try one.

Observe, judge, act, report: what is judged is judged in `trireme.rollout`; here the pods' counters
are read, the verdict is left in the store for the reconciler, the canary's size is written, and the
status, the Event and the metrics are made from the one Verdict. Agents are looked at side by side:
one whose pods or whose writes take long misses its own next round and no other's.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar

from trireme.admission.parse import readable_status
from trireme.api import kinds, names
from trireme.api.conditions import EventReason
from trireme.api.rollout import RolloutPhase, RolloutStatus
from trireme.api.types import AgentSpec
from trireme.autoscaler.direct import Sample
from trireme.control.learning import FIRST
from trireme.control.observed import PodView, comparer_pods
from trireme.control.queue import Key, Work, WorkQueue
from trireme.control.store import AgentView, CanaryState, Store
from trireme.control.trial import candidate_pods
from trireme.edge.cluster import Cluster
from trireme.edge.metrics import Metrics
from trireme.edge.pod_metrics import PodMetrics
from trireme.edge.recorder import Event, Recorder, Regarding
from trireme.errors import ClusterError, ServerError
from trireme.resources.monitoring import GATEWAY_METRICS_PATH, SERVER_METRICS_PATH
from trireme.rollout.counters import (
    COMPARER_METRICS,
    GATEWAY_METRICS,
    LEAST_FOR_USUAL,
    SERVER_METRICS,
    Counts,
    Reading,
    answered,
    answers,
    compared,
    comparer_reading,
    gateway_reading,
    server_reading,
    usual_milliseconds,
)
from trireme.rollout.evidence import Share
from trireme.rollout.plan import plan_of
from trireme.rollout.report import memory_of, rollout_status
from trireme.rollout.size import canary_pods, share_of_pods
from trireme.rollout.steps import advance, begin
from trireme.rollout.types import Answers, Command, Memory, Plan, Round, Verdict, Why

T = TypeVar("T")

logger = logging.getLogger(__name__)

_INTERVAL_SECONDS = 5.0
_LONGEST_READING_SECONDS = 4.0  # waiting for others' readings included: less than a round
_REACHED = timedelta(seconds=30)
"""Until a canary whose first pod has become ready gets all of its share: before Envoy resolves its
name anew, which a cache of the cluster's DNS may put off so long, the stable pods answer it."""

_QUIET = timedelta(seconds=60)  # without news, a status is written at most this often
_SETTLED = timedelta(seconds=15)  # news that may be gone again in the next round wait for so long
_LASTS = timedelta(minutes=2)  # what a canary waits for longer than that is told
_TOLD_WAITS = frozenset({Why.PODS, Why.FIGURES, Why.REQUESTS, Why.COMPARED, Why.DOUBT})
_CRASHES = 2  # ends of ready servers, of all of a canary's pods, that take it back
_CONFLICT = 409
_COMPARER_METRICS_PATH = "/metrics"
_COMMANDS = {names.PROMOTE: Command.PROMOTE, names.ABORT: Command.ABORT}
_ACTION = "Rollout"
_UNTIMED = (
    "latencies are not judged: without a gateway Triton tells them, from 26.01 on, of models "
    "that have an objective"
)


@dataclass(slots=True)
class _Watched:
    """What the loop remembers of one canary between rounds.

    `ready_since` is since when pods of it are ready that the gateway may send requests to, None
    while there are none, and `was_reached` whether they got them in the last round; `carriers` are
    the ready pods that its share was left to, None until it was. `restarts` are those that a pod,
    by its uid, had had when it was first seen ready. `pods` and `comparers` are the last readings;
    `first` is what the stable pods answered until their usual latency was known. `why` is what the
    last verdict rested on, since `why_since`; `held` are the steps and reasons whose waiting was
    told. `status` is the one last written, at `written_at`; `news` is one that is still to be, and
    `events` are told once it is.
    """

    canary: CanaryState
    ready_since: datetime | None = None
    was_reached: bool = False
    carriers: int | None = None
    restarts: dict[str, int] = field(default_factory=dict)
    pods: Mapping[str, Reading] = field(default_factory=dict)
    comparers: Mapping[str, Share] = field(default_factory=dict)
    first: Counts = field(default_factory=Counts)
    why: Why | None = None
    why_since: datetime | None = None
    held: set[tuple[int, Why]] = field(default_factory=set)
    status: RolloutStatus | None = None
    written_at: datetime | None = None
    news: RolloutStatus | None = None
    events: list[Event] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Seen:
    """The figures of one round: unknown where they are None, and what is to be said of them."""

    canary: Answers | None
    stable: Answers | None
    compared: Share
    note: str


class CanaryAnalysis:
    """Watches the canaries of all agents."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        store: Store,
        queue: WorkQueue,
        pod_metrics: PodMetrics,
        recorder: Recorder,
        metrics: Metrics,
        clock: Callable[[], datetime],
    ) -> None:
        self._cluster = cluster
        self._store = store
        self._queue = queue
        self._pod_metrics = pod_metrics
        self._recorder = recorder
        self._metrics = metrics
        self._clock = clock
        self._watched: dict[Key, _Watched] = {}
        self._busy: set[Key] = set()

    async def run(self) -> None:
        """A round every few seconds, for ever; one that takes longer holds up no other."""
        async with asyncio.TaskGroup() as rounds:
            while True:
                rounds.create_task(self.round())
                await asyncio.sleep(_INTERVAL_SECONDS)

    async def round(self) -> None:
        """Look at every agent that has something to be looked at, and is not being so already."""
        agents = self._store.agents()
        for gone in self._watched.keys() - set(agents):
            del self._watched[gone]
        due = [key for key in agents if key not in self._busy and self._is_due(key)]
        await asyncio.gather(*(self._tried(key) for key in due))

    def _is_due(self, key: Key) -> bool:
        view = self._store.view(key)
        return view.canary is not None or key in self._watched or _command(view) is not None

    async def _tried(self, key: Key) -> None:
        """One agent; never raises: what fails is tried again in the next round."""
        self._busy.add(key)
        try:
            await self._agent(key)
        except ClusterError as error:
            logger.warning("%s: %s", key, error)
        except Exception:
            logger.exception("%s: looking at its canary failed", key)
        finally:
            self._busy.discard(key)

    async def _agent(self, key: Key) -> None:
        view = self._store.view(key)
        command = _command(view)
        if command is not None and not await self._consumed(key, view):
            command = None
        canary = view.canary
        if canary is not None and canary.phase is RolloutPhase.PROGRESSING:
            await self._look(key, view, canary, command)
            return
        if command is not None:
            await self._emit(key, view, [await self._answer(key, canary, command)])
        await self._end(key, view)

    async def _answer(self, key: Key, canary: CanaryState | None, command: Command) -> Event:
        """Carry out a command where no canary is tried: one that was promoted can be done without,
        such as where it holds what the stable pods need.
        """
        is_promoted = canary is not None and canary.phase is RolloutPhase.PROMOTED
        if canary is None or not is_promoted or command is not Command.ABORT:
            note = f"there is no canary to {command}: none is being tried"
            return Event(EventReason.NO_CANARY, note, _ACTION, True)
        canary.is_given_up = True
        await self._queue.add(key, Work.APPLY)
        note = f"told to: {command}: the stable pods, which are to be what it is, do without it"
        return Event(EventReason.CANARY_ENDED, note, _ACTION)

    async def _consumed(self, key: Key, view: AgentView) -> bool:
        """Take a command off the resource, once: of a resource that has changed since it was seen
        it is not known whether it is still there.
        """
        assert view.body is not None  # noqa: S101  # it has a command
        version = view.body["metadata"].get("resourceVersion")
        metadata = {"annotations": {names.COMMAND: None}, "resourceVersion": version}
        patch = {"metadata": metadata}
        try:
            await self._cluster.merge(kinds.AGENT_DEPLOYMENT, key.namespace, key.name, patch)
        except ClusterError as error:
            if error.status != _CONFLICT:
                raise
            return False
        return True

    async def _look(
        self, key: Key, view: AgentView, canary: CanaryState, command: Command | None
    ) -> None:
        """One round of one canary."""
        watched = self._of(key, view, canary)
        fault = canary.fault or _crash(watched, view)
        plan = plan_of(canary.candidate.agent.spec.rollout.canary)
        seen = _Seen(None, None, Share(), "")
        if command is None and not fault:
            seen = await self._seen(view, canary, watched)
            if view.canary is not canary or canary.phase is not RolloutPhase.PROGRESSING:
                return  # the reconciler replaced or ended it meanwhile
        now = self._clock()
        assert canary.memory is not None  # noqa: S101  # `_of` has seen to it
        pods = _pods(view, canary)
        step = plan.steps[min(canary.memory.step, len(plan.steps) - 1)]
        verdict, canary.memory = advance(
            plan,
            canary.memory,
            Round(
                at=now,
                carries=canary.is_reachable and pods.carry(step.weight),
                canary=seen.canary,
                stable=seen.stable,
                compared=seen.compared,
                command=command,
                note="; ".join(filter(None, (seen.note, _trouble(view)))),
                fault=fault,
                warm=_are_warm(view, now),
            ),
        )
        before = (canary.phase, canary.weight)
        _follow(watched, canary, verdict, pods)
        if (canary.phase, canary.weight) != before:
            await self._queue.add(key, Work.APPLY)
        self._measure(key, canary, seen)
        self._note(watched, canary, verdict, plan, now)
        await self._resize(key, view, canary)
        if view.canary is canary:  # the reconciler may have ended it while its size was written
            await self._publish(key, view, watched)

    def _of(self, key: Key, view: AgentView, canary: CanaryState) -> _Watched:
        """What is remembered of a canary: of one that an earlier process watched, its status."""
        watched = self._watched.get(key)
        if watched is not None and watched.canary is canary:
            return watched
        watched = self._watched[key] = _Watched(canary)
        told = readable_status((view.body or {}).get("status")).rollout
        if told is not None and told.candidate == canary.digest:
            watched.status = told
            if canary.memory is None and (memory := memory_of(told)) is not None:
                canary.memory = memory
        if canary.memory is None:
            canary.memory = begin(self._clock())
        return watched

    # ---------------------------------------------------------------------------- observing

    async def _seen(self, view: AgentView, canary: CanaryState, watched: _Watched) -> _Seen:
        """What both tracks answered since the last round."""
        assert canary.memory is not None  # noqa: S101  # `_of` has seen to it
        spec = (view.accepted or canary.candidate).agent.spec
        (pods, unread), (comparers, uncompared) = await asyncio.gather(
            self._readings(view, spec), self._comparers(view)
        )
        stable = answered(watched.pods, pods, names.TRACK_STABLE)
        tried = answered(watched.pods, pods, names.TRACK_CANARY)
        different = compared(watched.comparers, comparers)
        watched.pods, watched.comparers = pods, comparers
        notes = [note for note in (unread, uncompared) if note]
        is_timed = all(each is None or each.within is not None for each in (stable, tried))
        if not is_timed:
            notes.append(_UNTIMED)
        elif canary.memory.usual_milliseconds is None:
            _learn_usual(watched, canary, stable)
        usual = canary.memory.usual_milliseconds
        was_reached = watched.was_reached
        watched.was_reached = not spec.gateway.enabled or self._is_reached(view, canary, watched)
        if not watched.was_reached and not was_reached:
            if watched.ready_since is not None:
                notes.append("the canary's requests may still be answered by stable pods")
            return _Seen(None, None, different, "; ".join(notes))
        if stable is None or tried is None:
            return _Seen(None, None, different, "; ".join(notes))
        if is_timed and usual is None:
            known = f"{watched.first.requests:.0f} of {LEAST_FOR_USUAL} requests"
            notes.append(f"the stable pods' usual latency is not known yet: {known}")
            return _Seen(None, None, different, "; ".join(notes))
        targets = [o.latency.target / timedelta(milliseconds=1) for o in spec.objectives]
        late = max(targets, default=None)
        timed = is_timed and watched.was_reached and _are_warm(view, self._clock())
        return _Seen(
            answers(tried, late, usual, timed=timed),
            answers(stable, late, usual, timed=timed),
            different,
            "; ".join(notes),
        )

    def _is_reached(self, view: AgentView, canary: CanaryState, watched: _Watched) -> bool:
        """Whether what the gateway counts as the canary's was answered by its pods."""
        now = self._clock()
        if not canary.is_reachable or not _ready(candidate_pods(view)):
            watched.ready_since = None
            return False
        watched.ready_since = watched.ready_since or now
        return now - watched.ready_since >= _REACHED

    async def _readings(
        self, view: AgentView, spec: AgentSpec
    ) -> tuple[Mapping[str, Reading], str]:
        """What the pods that count requests have counted, and which of them could not be read."""
        if spec.gateway.enabled:
            return await self._read(
                view.gateway_pods,
                names.GATEWAY_METRICS_PORT,
                GATEWAY_METRICS_PATH,
                GATEWAY_METRICS,
                lambda _, samples: gateway_reading(samples),
            )
        models = _asked_models(spec)
        return await self._read(
            (*view.stable_pods, *candidate_pods(view)),
            names.METRICS_PORT,
            SERVER_METRICS_PATH,
            SERVER_METRICS,
            lambda pod, samples: server_reading(
                samples, pod.labels.get(names.TRACK, names.TRACK_STABLE), models
            ),
        )

    async def _comparers(self, view: AgentView) -> tuple[Mapping[str, Share], str]:
        """What the pods that compare mirrored answers have counted, and which of them could not be
        read; most agents have none.
        """
        return await self._read(
            comparer_pods(view.pods.values()),
            names.COMPARER_METRICS_PORT,
            _COMPARER_METRICS_PATH,
            COMPARER_METRICS,
            lambda _, samples: comparer_reading(samples),
        )

    async def _read(
        self,
        pods: Iterable[PodView],
        port: int,
        path: str,
        wanted: frozenset[str],
        reading: Callable[[PodView, Iterable[Sample]], T],
    ) -> tuple[Mapping[str, T], str]:
        """The readings of the ready pods by their names, and what to say of those without one."""
        ready = [pod for pod in pods if pod.ready_since is not None and pod.address]
        told: dict[str, T] = {}

        async def read(pod: PodView) -> str:
            assert pod.address is not None  # noqa: S101  # those without one were left out
            try:
                async with asyncio.timeout(_LONGEST_READING_SECONDS):
                    samples = await self._pod_metrics.read(pod.address, port, path, wanted)
            except (ServerError, TimeoutError) as error:
                logger.debug("%s: %s", pod.name, error)
                return pod.name
            told[pod.name] = reading(pod, samples)
            return ""

        unread = sorted(filter(None, await asyncio.gather(*map(read, ready))))
        if not unread:
            return told, ""
        return told, f"{len(unread)} of {len(ready)} pods that count were not read: {unread[0]}" + (
            " and others" if len(unread) > 1 else ""
        )

    # ------------------------------------------------------------------------------- acting

    async def _resize(self, key: Key, view: AgentView, canary: CanaryState) -> None:
        """Write the canary's size, where it is another one."""
        deployment = view.deployment(names.canary(key.name))
        if canary.phase is not RolloutPhase.PROGRESSING or deployment is None:
            return
        if deployment["spec"].get("replicas") != canary.replicas:
            await self._cluster.apply_scale(deployment, canary.replicas, names.SCALE_MANAGER)
            view.resized(deployment, canary.replicas)

    # ---------------------------------------------------------------------------- reporting

    def _measure(self, key: Key, canary: CanaryState, seen: _Seen) -> None:
        self._metrics.set_canary(*key, canary.phase, canary.weight)
        for track, told in ((names.TRACK_CANARY, seen.canary), (names.TRACK_STABLE, seen.stable)):
            if told is not None:
                self._metrics.count_answers(*key, track, told.requests, told.failed, told.late)

    def _note(
        self,
        watched: _Watched,
        canary: CanaryState,
        verdict: Verdict,
        plan: Plan,
        now: datetime,
    ) -> None:
        """What is to be written and told of a verdict, if anything is."""
        assert canary.memory is not None  # noqa: S101  # who judges has one
        if verdict.why is not watched.why:
            watched.why, watched.why_since = verdict.why, now
        event = self._event(watched, canary.memory, verdict, now)
        if event is not None:
            watched.events.append(event)
        status = rollout_status(
            canary.digest, canary.generation, canary.began, canary.weight, verdict, canary.memory
        )
        if event is not None or _is_news(watched, status, now):
            watched.news = status

    def _event(
        self, watched: _Watched, memory: Memory, verdict: Verdict, now: datetime
    ) -> Event | None:
        if verdict.phase is RolloutPhase.PROMOTED:
            return Event(EventReason.CANARY_PROMOTED, verdict.message, _ACTION)
        if verdict.phase is RolloutPhase.ROLLED_BACK:
            return Event(EventReason.CANARY_ROLLED_BACK, verdict.message, _ACTION, True)
        if verdict.why is Why.STEP_BEGAN:
            return Event(EventReason.CANARY_STEP, verdict.message, _ACTION)
        waits, since = (memory.step, verdict.why), watched.why_since or now
        if verdict.why not in _TOLD_WAITS or now - since < _LASTS or waits in watched.held:
            return None
        watched.held.add(waits)
        return Event(EventReason.CANARY_HELD, verdict.message, _ACTION, verdict.why is Why.DOUBT)

    async def _publish(self, key: Key, view: AgentView, watched: _Watched) -> None:
        """Write the status that is to be written; then tell of it."""
        if watched.news is not None:
            status = watched.news.model_dump(mode="json", by_alias=True, exclude_none=True)
            await self._cluster.apply_status(
                kinds.AGENT_DEPLOYMENT,
                key.namespace,
                key.name,
                {"rollout": status},
                names.ROLLOUT_STATUS_MANAGER,
            )
            watched.status, watched.written_at = watched.news, self._clock()
            watched.news = None
        events, watched.events = watched.events, []
        await self._emit(key, view, events)

    async def _end(self, key: Key, view: AgentView) -> None:
        """No canary is tried any more: of one that came to an end, tell what is left to tell."""
        watched = self._watched.get(key)
        if watched is None:
            return
        if watched.canary.phase is not RolloutPhase.PROGRESSING:
            await self._publish(key, view, watched)
        if view.canary is None:
            del self._watched[key]
            self._metrics.forget_canary(*key)

    async def _emit(self, key: Key, view: AgentView, told: Iterable[Event]) -> None:
        assert view.body is not None  # noqa: S101  # the store lists no agent without one
        regarding = Regarding(key.namespace, key.name, view.body["metadata"]["uid"])
        for event in told:
            await self._recorder.emit(regarding, event, self._clock())


def _command(view: AgentView) -> Command | None:
    """What a person tells the rollout; other commands are others' to take. Until the reconciler has
    looked into the spec as it is, it is not known which canary is meant.
    """
    metadata = (view.body or {}).get("metadata", {})
    if view.judged != metadata.get("generation"):
        return None
    return _COMMANDS.get((metadata.get("annotations") or {}).get(names.COMMAND, ""))


@dataclass(frozen=True, slots=True)
class _Pods:
    """The candidate's ready pods beside the stable ones: those that are ready, and those that are
    wanted for the whole demand.
    """

    ready: int
    stable: int
    wanted: int

    def carry(self, weight: float) -> bool:
        """Whether each of the candidate's carries no more of this share than a stable one."""
        return self.stable > 0 and self.ready >= canary_pods(self.stable, weight)


def _pods(view: AgentView, canary: CanaryState) -> _Pods:
    together, ready = view.servers.together, _ready(candidate_pods(view))
    if together is None:
        return _Pods(ready, 0, 0)
    return _Pods(ready, together.ready, together.replicas)


def _follow(watched: _Watched, canary: CanaryState, verdict: Verdict, pods: _Pods) -> None:
    """Leave a verdict to the reconciler. A share is given only once the pods for it are ready; one
    that is taken away is so at once. While no stable pod is ready neither size nor share has a
    measure, and both stay.
    """
    canary.phase, canary.message = verdict.phase, verdict.message
    canary.is_undecided = verdict.why is Why.UNDECIDED
    if verdict.phase is not RolloutPhase.PROGRESSING:
        canary.weight = min(canary.weight, verdict.weight)
        return
    if not pods.stable:
        return
    needed = canary_pods(pods.wanted, verdict.weight)
    # Within a step stable pods come and go, and the canary's are not to.
    is_new = verdict.why is Why.STEP_BEGAN
    canary.replicas = needed if is_new else max(canary.replicas, needed)
    if verdict.weight < canary.weight or (canary.is_reachable and pods.carry(verdict.weight)):
        canary.weight = verdict.weight
    _keep_to(watched, canary, pods)


def _keep_to(watched: _Watched, canary: CanaryState, pods: _Pods) -> None:
    """Leave a canary that has lost pods what the others carry. Where all are gone the stable pods
    answer for them, and where there are more stable ones than before none of its pods has more to
    carry.
    """
    if pods.carry(canary.weight):
        watched.carriers = pods.ready
    elif pods.ready and (watched.carriers is None or pods.ready < watched.carriers):
        canary.weight = min(canary.weight, share_of_pods(pods.ready, pods.stable))
        watched.carriers = pods.ready


def _crash(watched: _Watched, view: AgentView) -> str:
    """That servers of it end once they are ready; empty where they do not. One end may be a node's
    doing.
    """
    pods = candidate_pods(view)
    for pod in pods:
        if pod.ready_since is not None:
            watched.restarts.setdefault(pod.uid, pod.restarts)
    ended = [pod for pod in pods if pod.restarts > watched.restarts.get(pod.uid, pod.restarts)]
    restarts = sum(pod.restarts - watched.restarts[pod.uid] for pod in ended)
    if restarts < _CRASHES:
        return ""
    return f"its servers ended {restarts} times though they were ready, one so: {ended[0].ended}"


def _trouble(view: AgentView) -> str:
    """What keeps a pod of the candidate from starting; empty where nothing does."""
    found = (pod.trouble for pod in candidate_pods(view) if pod.ready_since is None)
    return next((f"{each.reason}: {each.message}" for each in found if each is not None), "")


def _ready(pods: Iterable[PodView]) -> int:
    return sum(pod.ready_since is not None for pod in pods)


def _are_warm(view: AgentView, now: datetime) -> bool:
    """Whether none of the candidate's ready pods is in its first minute."""
    ready = [pod.ready_since for pod in candidate_pods(view) if pod.ready_since is not None]
    return all(now - since >= FIRST for since in ready)


def _asked_models(spec: AgentSpec) -> frozenset[str]:
    """What clients ask for, without the models that a pipeline calls: those with an objective, or
    where none has one, all that no pipeline calls.
    """
    if spec.objectives:
        return frozenset(objective.model for objective in spec.objectives)
    called = {step.model for pipeline in spec.pipelines for step in pipeline.steps}
    every = [*(model.name for model in spec.models), *(each.name for each in spec.pipelines)]
    return frozenset(name for name in every if name not in called)


def _learn_usual(watched: _Watched, canary: CanaryState, stable: Counts | None) -> None:
    """Keep what half of the stable pods' requests took at most, once enough were seen."""
    assert canary.memory is not None  # noqa: S101  # who looks has one
    if stable is not None:
        watched.first += stable
    usual = usual_milliseconds(watched.first)
    if usual is not None:
        canary.memory = replace(canary.memory, usual_milliseconds=usual)


def _is_news(watched: _Watched, status: RolloutStatus, now: datetime) -> bool:
    """Whether a status is worth a write."""
    last, at = watched.status, watched.written_at
    if last is None or (last.phase, last.step, last.weight) != (
        status.phase,
        status.step,
        status.weight,
    ):
        return True
    if at is None:
        return status != last
    if watched.why_since is not None and at < watched.why_since:
        return now - at >= _SETTLED
    return now - at >= _QUIET and status != last
