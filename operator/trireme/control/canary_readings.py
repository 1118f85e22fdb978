"""What both tracks of a canary answered since the last round, read from the pods that count it."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar

from trireme.api import names
from trireme.api.agent import AgentSpec
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
    STREAMS,
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
_TRACKS = (names.TRACK_STABLE, names.TRACK_CANARY)
_TOLD = "Triton tells them, from 26.01 on, of models that have an objective"
_UNTIMED = f"latencies are not judged: without a gateway {_TOLD}"
_UNTIMED_OF_CLASS = f"latencies are not judged: of pods of one node class {_TOLD}"
_STREAMED = "latencies are not judged: requests are streams, of which the end alone is seen"
_HARDLY_ANY = 0.05  # of the requests, that are answered once: the others are judged alone


@dataclass(slots=True)
class LastReadings:
    """What is remembered of the readings of one canary between rounds.

    `ready_since` is since when pods of it are ready that the gateway may send requests to, None
    while there are none. `pods`, `times` of node classes, and `comparers` are the last readings;
    `first` is what the stable pods answered until their usual latency was known, and `streams` how
    many streams beside that.
    """

    ready_since: datetime | None = None
    pods: Mapping[str, Reading] = field(default_factory=dict)
    times: Mapping[str, Reading] = field(default_factory=dict)
    comparers: Mapping[str, Share] = field(default_factory=dict)
    first: Counts = field(default_factory=Counts)
    streams: float = 0.0


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
        through_gateway, now = spec.gateway.enabled, self._clock()
        by_class = through_gateway and bool(canary.node_class)
        (pods, unread), (comparers, uncompared), (times, untimed) = await asyncio.gather(
            self._gateways(view) if through_gateway else self._servers(view, canary, spec),
            self._comparers(view),
            self._servers(view, canary, spec) if by_class else _nothing(),
        )
        stable, tried = _of_tracks(last.pods, pods)
        stable_streams, tried_streams = (
            answered(last.pods, pods, STREAMS[track]) for track in _TRACKS
        )
        stable_times, tried_times = _of_tracks(last.times, times) if by_class else (stable, tried)
        different = compared(last.comparers, comparers)
        last.pods, last.times, last.comparers = pods, times, comparers
        notes = [note for note in (unread, untimed, uncompared) if note]
        is_timed = all(
            each is None or each.within is not None for each in (stable_times, tried_times)
        )
        if not is_timed:
            notes.append(_UNTIMED_OF_CLASS if by_class else _UNTIMED)
        elif canary.memory.usual_milliseconds is None:
            _learn_usual(last, canary, stable_times)
            last.streams += stable_streams.requests if stable_streams is not None else 0.0
            if last.first.requests < _HARDLY_ANY * last.streams:
                is_timed = False
                notes.append(_STREAMED)
        usual = canary.memory.usual_milliseconds
        since = self._ready_since(view, canary, last)
        had_pods, last.ready_since = last.ready_since is not None, since
        is_reached = not through_gateway or (since is not None and now - since >= _REACHED)
        if stable is None or tried is None or not (is_reached or had_pods or since is not None):
            return Seen(None, None, different, "; ".join(notes))
        if not is_reached and since is not None:
            notes.append("the canary's requests may still be answered by stable pods")
        elif is_timed and usual is None:
            known = f"{last.first.requests:.0f} of {LEAST_FOR_USUAL} requests"
            notes.append(f"the stable pods' usual latency is not known yet: {known}")
        if stable_times is None:
            notes.append(f"no stable pod of node class {canary.node_class} was read")
        is_known = usual is not None and None not in (stable_times, tried_times)
        whole = is_reached and (not is_timed or is_known)
        is_judged = whole and is_timed and are_warm(view, now)
        if not (is_judged and _are_comparable(stable_times, tried_times)):
            stable_times = tried_times = None
        targets = [o.latency.target / timedelta(milliseconds=1) for o in spec.objectives]
        late = max(targets, default=None)
        return Seen(
            answers(tried, tried_times, late, usual) + _untimed(tried_streams),
            answers(stable, stable_times, late, usual) + _untimed(stable_streams),
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

    async def _gateways(self, view: AgentView) -> tuple[Mapping[str, Reading], str]:
        """What the gateway's pods have counted, and which of them could not be read."""
        return await self._read(
            view.gateway_pods,
            names.GATEWAY_METRICS_PORT,
            GATEWAY_METRICS_PATH,
            GATEWAY_METRICS,
            lambda _, samples: gateway_reading(samples),
        )

    async def _servers(
        self, view: AgentView, canary: CanaryState, spec: AgentSpec
    ) -> tuple[Mapping[str, Reading], str]:
        """The same of the servers, of the stable ones those on the canary's nodes."""
        models = _asked_models(spec)
        alike = [
            pod
            for pod in view.stable_pods
            if pod.labels.get(names.NODE_CLASS, "") == canary.node_class
        ]
        told, unread = await self._read(
            (*alike, *candidate_pods(view)),
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


def _of_tracks(
    before: Mapping[str, Reading], after: Mapping[str, Reading]
) -> tuple[Counts | None, Counts | None]:
    """What the stable pods and the canary answered between two readings."""
    stable, canary = (answered(before, after, track) for track in _TRACKS)
    return stable, canary


def _untimed(counts: Counts | None) -> Answers:
    """What was answered, without a word of how long that took."""
    return Answers() if counts is None else answers(counts, None, None, None)


def _are_comparable(stable: Counts | None, canary: Counts | None) -> bool:
    """Whether both tell of how long requests took: beside none, no request is late."""
    both = (stable, canary)
    return all(each is not None and each.within is not None and each.requests for each in both)


async def _nothing() -> tuple[Mapping[str, Reading], str]:
    """Where there is nothing to be read."""
    return {}, ""


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
