"""What both tracks of a canary answered since the last round, read from the pods that count it."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar

from trireme.api import names
from trireme.api.types import AgentSpec
from trireme.autoscaler.direct import Sample
from trireme.control.agent_state import CanaryState
from trireme.control.learning import FIRST
from trireme.control.observed import PodView, comparer_pods
from trireme.control.store import AgentView
from trireme.control.trial import candidate_pods
from trireme.edge.pod_metrics import PodMetrics
from trireme.errors import ServerError
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
from trireme.rollout.types import Answers

T = TypeVar("T")

logger = logging.getLogger(__name__)

_LONGEST_READING_SECONDS = 4.0  # waiting for others' readings included: less than a round
_REACHED = timedelta(seconds=30)
"""Until a canary whose first pod has become ready gets all of its share: before Envoy resolves its
name anew, which a cache of the cluster's DNS may put off so long, the stable pods answer it."""

_COMPARER_METRICS_PATH = "/metrics"
_UNTIMED = (
    "latencies are not judged: without a gateway Triton tells them, from 26.01 on, of models "
    "that have an objective"
)


@dataclass(slots=True)
class LastReadings:
    """What is remembered of the readings of one canary between rounds.

    `ready_since` is since when pods of it are ready that the gateway may send requests to, None
    while there are none. `pods` and `comparers` are the last readings; `first` is what the stable
    pods answered until their usual latency was known.
    """

    ready_since: datetime | None = None
    pods: Mapping[str, Reading] = field(default_factory=dict)
    comparers: Mapping[str, Share] = field(default_factory=dict)
    first: Counts = field(default_factory=Counts)


@dataclass(frozen=True, slots=True)
class Seen:
    """The figures of one round: unknown where they are None, and what is to be said of them. They
    are not `whole` where failures alone count: the canary's may be of stable pods that answer for
    it, or the latency that is usual is not known yet.
    """

    canary: Answers | None
    stable: Answers | None
    compared: Share
    note: str
    whole: bool = True


class CanaryReader:
    """Reads the pods, once a round."""

    def __init__(self, pod_metrics: PodMetrics, clock: Callable[[], datetime]) -> None:
        self._pod_metrics = pod_metrics
        self._clock = clock

    async def seen(self, view: AgentView, canary: CanaryState, last: LastReadings) -> Seen:
        """What both tracks answered since the last round."""
        assert canary.memory is not None  # noqa: S101  # who looks has seen to it
        spec = (view.accepted or canary.candidate).agent.spec
        (pods, unread), (comparers, uncompared) = await asyncio.gather(
            self._readings(view, spec), self._comparers(view)
        )
        stable = answered(last.pods, pods, names.TRACK_STABLE)
        tried = answered(last.pods, pods, names.TRACK_CANARY)
        different = compared(last.comparers, comparers)
        last.pods, last.comparers = pods, comparers
        notes = [note for note in (unread, uncompared) if note]
        is_timed = all(each is None or each.within is not None for each in (stable, tried))
        if not is_timed:
            notes.append(_UNTIMED)
        elif canary.memory.usual_milliseconds is None:
            _learn_usual(last, canary, stable)
        usual = canary.memory.usual_milliseconds
        since = self._ready_since(view, canary, last)
        had_pods, last.ready_since = last.ready_since is not None, since
        through_gateway, now = spec.gateway.enabled, self._clock()
        is_reached = not through_gateway or (since is not None and now - since >= _REACHED)
        if stable is None or tried is None or not (is_reached or had_pods or since is not None):
            return Seen(None, None, different, "; ".join(notes))
        if not is_reached and since is not None:
            notes.append("the canary's requests may still be answered by stable pods")
        elif is_timed and usual is None:
            known = f"{last.first.requests:.0f} of {LEAST_FOR_USUAL} requests"
            notes.append(f"the stable pods' usual latency is not known yet: {known}")
        whole = is_reached and (not is_timed or usual is not None)
        targets = [o.latency.target / timedelta(milliseconds=1) for o in spec.objectives]
        late = max(targets, default=None)
        timed = whole and is_timed and are_warm(view, now)
        return Seen(
            answers(tried, late, usual, timed=timed),
            answers(stable, late, usual, timed=timed),
            different,
            "; ".join(notes),
            whole,
        )

    def _ready_since(
        self, view: AgentView, canary: CanaryState, last: LastReadings
    ) -> datetime | None:
        """Since when pods of the canary are ready that the gateway may send requests to."""
        if not canary.is_reachable or all(p.ready_since is None for p in candidate_pods(view)):
            return None
        return last.ready_since or self._clock()

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
        told, unread = await self._read(
            (*view.stable_pods, *candidate_pods(view)),
            names.METRICS_PORT,
            SERVER_METRICS_PATH,
            SERVER_METRICS,
            lambda pod, samples: server_reading(
                samples, pod.labels.get(names.TRACK, names.TRACK_STABLE), models
            ),
        )
        # So what it answers until its first reading counts, as failures do in its first minute.
        starting = {
            pod.name: {names.TRACK_CANARY: Counts()}
            for pod in candidate_pods(view)
            if pod.ready_since is None and not pod.started
        }
        return {**starting, **told}, unread

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


def are_warm(view: AgentView, now: datetime) -> bool:
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


def _learn_usual(last: LastReadings, canary: CanaryState, stable: Counts | None) -> None:
    """Keep what half of the stable pods' requests took at most, once enough were seen."""
    assert canary.memory is not None  # noqa: S101  # who looks has one
    if stable is not None:
        last.first += stable
    usual = usual_milliseconds(last.first)
    if usual is not None:
        canary.memory = replace(canary.memory, usual_milliseconds=usual)
