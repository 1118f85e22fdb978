"""The parts of a start that the pod does not tell of itself: by its Events, and by its server.

All of it is asked beside the rounds, for figures that a start does without, so whatever cannot be
had soon is left unknown. A pod's Events are read once, of a start that was slow: nothing watches
Events, of which a namespace has thousands. A server is asked each second from when its container
runs, of a fleet that has so many requests that one is due within seconds: before the pod is ready
nobody sends it any, so what it has executed by then are its warm-ups, and the first that comes on
top is the first request. The parts of a start are told as soon as they are known, which may be
before a round has looked at it.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import NamedTuple, NoReturn

from trireme.api import kinds, names
from trireme.autoscaler.capacity import Statistics
from trireme.autoscaler.lead_time import Part, Parts, stages
from trireme.autoscaler.start_events import parts_by_events
from trireme.control.observed import PodView
from trireme.control.queue import Key
from trireme.control.starts import Watched
from trireme.control.store import Store
from trireme.edge import triton
from trireme.edge.cluster import Cluster
from trireme.errors import ClusterError, ServerError

logger = logging.getLogger(__name__)

_READERS = 2  # of Events: each answer costs the API server a look at all of a namespace's
_SLOW_STARTS = 100  # that wait for them
_FOLLOWED = 16  # servers at once, of all agents
_AGAIN_SECONDS = 1.0  # Kubernetes' times are no finer
_PATIENCE = timedelta(seconds=60)  # for a first request: then there is none to tell by


class _Start(NamedTuple):
    """One that is followed: of which pod, by its uid, and by when it is to be ready."""

    key: Key
    uid: str
    watched: Watched
    ends_by: datetime


class StartParts:
    """Asks, for ever, for what the rounds want."""

    def __init__(self, *, cluster: Cluster, store: Store, clock: Callable[[], datetime]) -> None:
        self._cluster = cluster
        self._store = store
        self._clock = clock
        self._slow: asyncio.Queue[tuple[Key, PodView, Watched]] = asyncio.Queue(_SLOW_STARTS)
        self._starting: asyncio.Queue[_Start] = asyncio.Queue(_FOLLOWED)
        self._followed: set[str] = set()

    def explain(self, key: Key, watched: Iterable[Watched]) -> None:
        """Ask for the Events of slow starts; where too many wait already, not of these."""
        for each in watched:
            while each.unexplained:
                pod = each.unexplained.pop()
                if not self._slow.full():
                    self._slow.put_nowait((key, pod, each))

    def follow(
        self, key: Key, starting: Iterable[tuple[PodView, Watched]], longest: timedelta
    ) -> None:
        """Ask the servers of pods that start under traffic, as many as may be; of those that take
        no longer to be ready than a start may.
        """
        for pod, watched in starting:
            start = _Start(key, pod.uid, watched, pod.created + longest)
            is_asked = pod.uid in self._followed or self._starting.full()
            if not is_asked and self._goes_on(start, pod):
                self._followed.add(pod.uid)
                self._starting.put_nowait(start)

    async def run(self) -> None:
        """Ask, for ever."""
        async with asyncio.TaskGroup() as group:
            for _ in range(_READERS):
                group.create_task(self._read())
            for _ in range(_FOLLOWED):
                group.create_task(self._ask())

    # -------------------------------------------------------------------------------- Events

    async def _read(self) -> NoReturn:
        while True:
            key, pod, watched = await self._slow.get()
            try:
                watched.tell(pod.template, await self._parts_by_events(key, pod, watched))
            except ClusterError as error:  # such as a 403: the operator may do without
                logger.debug("%s: the Events of pod %s: %s", key, pod.name, error)
            except Exception:
                logger.exception("%s: the Events of pod %s cannot be used", key, pod.name)

    async def _parts_by_events(self, key: Key, pod: PodView, watched: Watched) -> Parts:
        """What a pod's Events tell that is not known yet."""
        assert pod.times is not None  # noqa: S101  # it told its stages
        events = await self._cluster.list(
            kinds.EVENT, key.namespace, fields=f"regarding.uid={pod.uid}"
        )
        told = parts_by_events(events, pod.times.scheduled)
        if pod.times.image is not None:
            told.pop(Part.IMAGE, None)
        return told

    # ------------------------------------------------------------------------------- servers

    async def _ask(self) -> NoReturn:
        while True:
            start = await self._starting.get()
            try:
                await self._follow(start)
            except Exception:
                words = "%s: the server of pod %s cannot be followed"
                logger.exception(words, start.key, start.uid)
            finally:
                self._followed.discard(start.uid)

    async def _follow(self, start: _Start) -> None:
        """Ask one server until it has answered a request. One that was not heard before its pod was
        ready tells nothing.
        """
        before: Statistics | None = None
        is_warm = False
        while (pod := self._pod(start.key, start.uid)) is not None:
            ready, told = pod.ready_since, await self._statistics(pod)
            if ready is None:
                if not self._goes_on(start, pod):
                    return
                before = told or before
            elif before is None or self._clock() - ready > _PATIENCE:
                return
            elif pod.times is None or (took := stages(pod.times)) is None:
                return  # a start that does not count
            else:
                if not is_warm:
                    warm_up = min(_longest_execution(before), took.load)
                    start.watched.tell_of(pod, {Part.WARM_UP: warm_up})
                    is_warm = True
                if told is not None and _answered(told) > _answered(before):
                    seconds = (self._clock() - ready).total_seconds()
                    start.watched.tell_of(pod, {Part.FIRST_REQUEST: max(0.0, seconds)})
                    return
            await asyncio.sleep(_AGAIN_SECONDS)

    def _goes_on(self, start: _Start, pod: PodView) -> bool:
        """Whether what a pod that is not ready has begun may still be a start that counts."""
        is_late = self._clock() > start.ends_by
        return not (pod.restarts or is_late or pod.uid in start.watched.over)

    def _pod(self, key: Key, uid: str) -> PodView | None:
        """A pod as it is now; None where it is gone, or about to."""
        pods = self._store.view(key).stable_pods
        return next((pod for pod in pods if pod.uid == uid and not pod.terminating), None)

    async def _statistics(self, pod: PodView) -> Statistics | None:
        """What its server counts; None where it does not say."""
        if pod.address is None:
            return None
        try:
            return await triton.statistics(pod.at(names.HTTP_PORT))
        except ServerError:
            return None  # Triton opens its port only after the first loads


def _answered(statistics: Statistics) -> int:
    return sum(model.requests for model in statistics.values())


def _longest_execution(statistics: Statistics) -> float:
    """How long the model executed, in seconds, that did so the longest."""
    return max((model.executing_seconds for model in statistics.values()), default=0.0)
