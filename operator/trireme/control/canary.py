"""The canary loop: a round every few seconds, of the agents that try one.

Observe, judge, act, report: what is judged is judged in `trireme.rollout`. What the pods' counters
say is read in `canary_readings`, what a verdict makes of the canary's share and size is in
`canary_share`, and what is told of it in `canary_news`; here is the order, the commands of people,
and what takes a canary back beside its figures. The verdict is left in the store for the
reconciler, but for the canary's size, which is written here. Agents are looked at side by side: one
whose pods or whose writes take long misses its own next round and no other's.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from trireme.admission.parse import readable_status
from trireme.api import kinds, names
from trireme.api.conditions import EventReason
from trireme.api.rollout import RolloutPhase
from trireme.control.agent_state import CanaryState
from trireme.control.canary_news import ACTION, CanaryNews, LastTold, note
from trireme.control.canary_readings import CanaryReader, LastReadings, Seen, are_warm
from trireme.control.canary_share import follow, most_pods, ready_pods
from trireme.control.commands import refusal, word_for_rollout
from trireme.control.held_gpus import canary_size
from trireme.control.queue import Key, Work, WorkQueue
from trireme.control.rounds import keep_beginning
from trireme.control.store import AgentView, Store
from trireme.control.trial import candidate_pods
from trireme.edge.cluster import Cluster
from trireme.edge.metrics import Metrics
from trireme.edge.pod_metrics import PodMetrics
from trireme.edge.recorder import Event, Recorder
from trireme.errors import ClusterError
from trireme.resources.server import longest_start
from trireme.rollout.evidence import Share
from trireme.rollout.plan import plan_of
from trireme.rollout.report import memory_of
from trireme.rollout.steps import advance, begin
from trireme.rollout.types import Command, Round

logger = logging.getLogger(__name__)

_INTERVAL_SECONDS = 5.0
_CRASHES = 2  # ends of ready servers, of all of a canary's pods, that take it back
_CONFLICT = 409
_COMMANDS = {names.PROMOTE: Command.PROMOTE, names.ABORT: Command.ABORT}


@dataclass(slots=True)
class _Watched:
    """What the loop remembers of one canary between rounds.

    `carriers` are the ready pods that its share was left to, None until it was. `restarts` are
    those that a pod, by its uid, had had when it was first seen ready.
    """

    canary: CanaryState
    readings: LastReadings = field(default_factory=LastReadings)
    carriers: int | None = None
    restarts: dict[str, int] = field(default_factory=dict)
    told: LastTold = field(default_factory=LastTold)


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
        self._clock = clock
        self._reader = CanaryReader(pod_metrics, clock)
        self._news = CanaryNews(cluster, recorder, metrics, clock)
        self._watched: dict[Key, _Watched] = {}
        self._busy: set[Key] = set()

    async def run(self) -> None:
        """A round every few seconds, for ever; one that takes longer holds up no other."""
        await keep_beginning(self.round, _INTERVAL_SECONDS)

    async def round(self) -> None:
        """Look at every agent that has something to be looked at, and is not being so already."""
        agents = self._store.agents()
        for gone in self._watched.keys() - set(agents) - self._busy:
            del self._watched[gone]
            self._news.forget_agent(gone)
        due = [key for key in agents if key not in self._busy and self._is_due(key)]
        await asyncio.gather(*(self._tried(key) for key in due))

    def _is_due(self, key: Key) -> bool:
        view = self._store.view(key)
        return view.canary is not None or key in self._watched or word_for_rollout(view) is not None

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
        word, command = word_for_rollout(view), None
        if word is not None and await self._consumed(key, view):
            command = _COMMANDS.get(word)
            if command is None:
                await self._news.emit(view, [refusal(view, word)])
        canary = view.canary
        if canary is not None and canary.phase is RolloutPhase.PROGRESSING:
            await self._look(key, view, canary, command)
            return
        if command is not None:
            await self._news.emit(view, [await self._answer(key, canary, command)])
        await self._end(key, view)

    # ----------------------------------------------------------------------------- commands

    async def _answer(self, key: Key, canary: CanaryState | None, command: Command) -> Event:
        """Carry out a command where no canary is tried: one that was promoted can be done without,
        such as where it holds what the stable pods need.
        """
        is_promoted = canary is not None and canary.phase is RolloutPhase.PROMOTED
        if canary is None or not is_promoted or command is not Command.ABORT:
            words = f"there is no canary to {command}: none is being tried"
            return Event(EventReason.NO_CANARY, words, ACTION, True)
        canary.is_given_up = True
        await self._queue.add(key, Work.APPLY)
        words = f"told to: {command}: the stable pods, which are to be what it is, do without it"
        return Event(EventReason.CANARY_ENDED, words, ACTION)

    async def _consumed(self, key: Key, view: AgentView) -> bool:
        """Take a word off the resource, once: of a resource that has changed since it was seen
        it is not known whether it is still there.
        """
        assert view.body is not None  # noqa: S101  # it has a word
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

    # --------------------------------------------------------------------------- one canary

    async def _look(
        self, key: Key, view: AgentView, canary: CanaryState, command: Command | None
    ) -> None:
        """One round of one canary."""
        watched = self._of(key, view, canary)
        fault = canary.fault or _crash(watched, view)
        spec = canary.candidate.agent.spec
        plan = plan_of(spec.rollout.canary, longest_start(spec))
        seen = Seen(None, None, Share(), "")
        if command is None and not fault:
            seen = await self._reader.seen(view, canary, watched.readings)
            if view.canary is not canary or canary.phase is not RolloutPhase.PROGRESSING:
                return  # the reconciler replaced or ended it meanwhile
            if self._store.view(key) is not view:
                return  # the agent went, and another may have its name
        now = self._clock()
        assert canary.memory is not None  # noqa: S101  # `_of` has seen to it
        pods = ready_pods(view)
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
                warm=are_warm(view, now),
                whole=seen.whole,
                lacks=canary.grant.words if canary.grant is not None else "",
            ),
        )
        before = (canary.phase, canary.weight)
        most = most_pods(key.name, view, canary)
        watched.carriers = follow(canary, verdict, pods, watched.carriers, most)
        if (canary.phase, canary.weight) != before:
            await self._queue.add(key, Work.APPLY)
        self._news.measure(key, canary, seen)
        note(watched.told, canary, verdict, now)
        await self._resize(key, view, canary)
        if view.canary is canary:  # the reconciler may have ended it while its size was written
            await self._news.publish(view, watched.told)

    def _of(self, key: Key, view: AgentView, canary: CanaryState) -> _Watched:
        """What is remembered of a canary: of one that an earlier process watched, its status."""
        watched = self._watched.get(key)
        if watched is not None and watched.canary is canary:
            return watched
        watched = self._watched[key] = _Watched(canary)
        canary.replicas = canary_size(key.name, view)  # until it is known what it needs
        told = readable_status((view.body or {}).get("status")).rollout
        if told is not None and told.candidate == canary.digest:
            watched.told.status = told
            if canary.memory is None and (memory := memory_of(told)) is not None:
                canary.memory = memory
        if canary.memory is None:
            canary.memory = begin(self._clock())
        return watched

    async def _resize(self, key: Key, view: AgentView, canary: CanaryState) -> None:
        """Write the canary's size, where it is another one."""
        deployment = view.deployment(names.canary(key.name))
        if canary.phase is not RolloutPhase.PROGRESSING or deployment is None:
            return
        if deployment["spec"].get("replicas") != canary.replicas:
            await self._cluster.apply_scale(deployment, canary.replicas, names.SCALE_MANAGER)
            view.resized(deployment, canary.replicas)

    async def _end(self, key: Key, view: AgentView) -> None:
        """No canary is tried any more: of one that came to an end, tell what is left to tell."""
        watched = self._watched.get(key)
        if watched is None:
            return
        if watched.canary.phase is not RolloutPhase.PROGRESSING:
            await self._news.publish(view, watched.told)
        if view.canary is None:
            del self._watched[key]
            self._news.forget(key)


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
