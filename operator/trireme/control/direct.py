"""Reading the pods' own metrics, of the agents that Prometheus does not cover, beside the rounds.

The autoscaler says whose pods it wants to be read; they are read at once and then every few
seconds, as often as a PodMonitor would have them scraped. More pods than can be read in that time
are read less often, which `signals` notices by the interval, as it does of a slow Prometheus.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from trireme.api import names
from trireme.autoscaler.direct import PodHistory, agent_samples, forget, metrics_of
from trireme.autoscaler.expressions import GATEWAY, SERVER, PodKind
from trireme.autoscaler.queries import Labels, window
from trireme.autoscaler.samples import AgentSamples
from trireme.autoscaler.types.policy import ObjectivePolicy
from trireme.control.observed import PodView
from trireme.control.queue import Key
from trireme.control.store import Store
from trireme.edge.pod_metrics import PodMetrics
from trireme.errors import ServerError
from trireme.resources.monitoring import GATEWAY_METRICS_PATH, SERVER_METRICS_PATH

logger = logging.getLogger(__name__)

_INTERVAL = timedelta(seconds=5)
_AT_ONCE = 8  # pods of one agent: those that cannot be reached hold up no other agent's
_TICK_SECONDS = 1.0
_PLACES = {
    SERVER: (names.METRICS_PORT, SERVER_METRICS_PATH),
    GATEWAY: (names.GATEWAY_METRICS_PORT, GATEWAY_METRICS_PATH),
}
_WANTED = {kind: metrics_of(kind) for kind in _PLACES}


@dataclass(slots=True)
class _Reading:
    """One agent whose pods are read: what they told, and when they are read again."""

    pods: dict[str, PodHistory] = field(default_factory=dict)
    due: datetime | None = None
    places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))

    @property
    def interval(self) -> timedelta | None:
        """The longest time between two readings of a pod."""
        known = [i for pod in self.pods.values() if (i := pod.interval) is not None]
        return timedelta(seconds=max(known)) if known else None


class PodReader:
    """Reads pods, and keeps what they told of the last window."""

    def __init__(
        self,
        *,
        store: Store,
        pod_metrics: PodMetrics,
        labels: Labels,
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._pod_metrics = pod_metrics
        self._labels = labels
        self._clock = clock
        self._agents: dict[Key, _Reading] = {}
        self._asked = asyncio.Event()

    def want(self, keys: Iterable[Key]) -> None:
        """Read the pods of these agents from now on, and forget what those of others told."""
        wanted = set(keys)
        if wanted - self._agents.keys():
            self._asked.set()
        self._agents = {key: self._agents.get(key) or _Reading() for key in wanted}

    def samples(
        self, key: Key, objectives: Iterable[ObjectivePolicy]
    ) -> tuple[AgentSamples, datetime, timedelta]:
        """What the pods of an agent told, as of when, and over which window."""
        reading, now = self._agents.get(key, _Reading()), self._clock()
        over = window(reading.interval)
        told = agent_samples(
            reading.pods, self._labels, now=now, window=over, objectives=objectives
        )
        return told, now, over

    async def read(self) -> None:
        """Read those that are due, for ever."""
        while True:
            self._asked.clear()
            await self.round()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK_SECONDS):
                    await self._asked.wait()

    async def round(self) -> None:
        """Read the pods of the agents that are due."""
        now = self._clock()
        due = [
            (key, reading)
            for key, reading in self._agents.items()
            if reading.due is None or now >= reading.due
        ]
        for _, reading in due:
            reading.due = now + _INTERVAL
        await asyncio.gather(*(self._tried(key, reading) for key, reading in due))

    async def _tried(self, key: Key, reading: _Reading) -> None:
        """One agent; never raises, so that what fails for one is tried again in the next round."""
        try:
            await self._agent(key, reading)
        except Exception:
            logger.exception("%s: reading its pods failed", key)

    async def _agent(self, key: Key, reading: _Reading) -> None:
        view = self._store.view(key)
        ready = [
            *((SERVER, pod) for pod in view.server_pods),
            *((GATEWAY, pod) for pod in view.gateway_pods),
        ]
        await asyncio.gather(
            *(self._pod(reading, kind, pod) for kind, pod in ready if pod.ready_since is not None)
        )
        forget(reading.pods, self._clock() - window(reading.interval))

    async def _pod(self, reading: _Reading, kind: PodKind, pod: PodView) -> None:
        """One pod; one that does not answer has a gap, which `signals` judges."""
        if pod.address is None:
            return
        port, path = _PLACES[kind]
        try:
            async with reading.places:
                samples = await self._pod_metrics.read(pod.address, port, path, _WANTED[kind])
        except ServerError as error:
            logger.debug("%s", error)
            return
        history = reading.pods.setdefault(pod.name, PodHistory(kind))
        history.add(self._clock(), samples)
