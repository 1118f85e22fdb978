"""What both tracks answered between two readings of the counters that pods have of it. Pure.

The gateway's pods count both tracks, each in clusters of its own, and what Envoy answers itself (no
pod, time-out) is booked to the cluster that the request was for. Without a gateway the servers
count what reached them. What is a request, a failure, a latency is read off the expressions that
scaling has for the same figures.

Counters are cumulative, by pod: one that comes, or was not read before, is counted from its second
reading on, one that goes until its last; one that restarts, from 0. A series that is missing is one
of which there was no case yet.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from trireme.api.gateway_clusters import (
    CLUSTER_LABEL,
    TRACKS,
    Protocol,
    Purpose,
    cluster_name,
    inference_cluster,
)
from trireme.autoscaler.direct import LabelSet, Sample, fits, parts, upper_edge
from trireme.autoscaler.expressions import GATEWAY, SERVER, Each, PodKind
from trireme.autoscaler.queries import FIGURES, GATEWAY_REFUSALS, PRESENCE, Query
from trireme.rollout.evidence import Share
from trireme.rollout.types import Answers

COMPARED = "trireme_compared_requests_total"
DIFFERENT = "trireme_different_answers_total"
COMPARER_METRICS = frozenset({COMPARED, DIFFERENT})

LEAST_FOR_USUAL = 100
"""Requests of the stable pods whose median is their usual latency: it strays by an edge or two."""

STREAMS = {track: f"{track}-streams" for track in TRACKS}
"""What a reading calls a track's streams, of which nothing tells how long an answer took."""

_TRACKS = {inference_cluster(protocol, track): track for protocol in Protocol for track in TRACKS}
_STREAMED = {
    cluster_name(Purpose.STREAM, protocol, track): inference_cluster(protocol, track)
    for protocol in Protocol
    for track in TRACKS
}


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What the samples of one kind of pods mean."""

    answers: tuple[Each, ...]
    failures: tuple[Each, ...]
    latencies: tuple[Each, ...]
    presence: Each
    refusals: tuple[Each, ...] = ()

    @property
    def metrics(self) -> frozenset[str]:
        every = (*self.answers, *self.failures, *self.latencies, self.presence, *self.refusals)
        return frozenset(each.metric for each in every)


def _meaning(kind: PodKind, answers: Collection[Query], failures: Query, late: Query) -> _Meaning:
    return _Meaning(
        tuple(each for query in answers for each in parts(FIGURES[query])),
        parts(FIGURES[failures]),
        parts(FIGURES[late]),
        PRESENCE[kind],
    )


_OF_GATEWAY = replace(
    _meaning(GATEWAY, (Query.GATEWAY_ANSWERS,), Query.GATEWAY_FAILURES, Query.GATEWAY_LATE),
    refusals=parts(GATEWAY_REFUSALS),
)
_OF_SERVER = _meaning(
    SERVER,
    (Query.SERVER_REQUESTS, Query.SERVER_FAILURES),
    Query.SERVER_FAILURES,
    Query.SERVER_LATE,
)
GATEWAY_METRICS, SERVER_METRICS = _OF_GATEWAY.metrics, _OF_SERVER.metrics


@dataclass(frozen=True, slots=True)
class Counts:
    """Requests that were answered. `within` is how many took at most so many milliseconds, by the
    edges of a histogram; None where latencies are not told. `refused` are those that were the
    client's fault; None where nobody counts them: Triton has no counter of what it does not take.
    """

    requests: float = 0.0
    failed: float = 0.0
    within: Mapping[float, float] | None = field(default_factory=dict)
    refused: float | None = 0.0

    def __add__(self, other: "Counts") -> "Counts":
        counted = self.refused is not None and other.refused is not None
        return Counts(
            self.requests + other.requests,
            self.failed + other.failed,
            _together(self.within, other.within),
            (self.refused or 0.0) + (other.refused or 0.0) if counted else None,
        )


Reading = Mapping[str, Counts]
"""What one pod has counted since it started, by track; of a gateway's, streams beside it."""


def gateway_reading(samples: Iterable[Sample]) -> Reading:
    """What a gateway pod tells of both tracks. A stream is counted when it ends, and failed where
    all of it did: what went wrong within one, only its client sees.
    """
    told = list(samples)
    streams = _of_tracks(filter(None, map(_as_inference, told)))
    return {
        **_of_tracks(told),
        **{STREAMS[track]: replace(counts, within=None) for track, counts in streams.items()},
    }


def _of_tracks(samples: Iterable[Sample]) -> Reading:
    told = list(samples)
    present = {_cluster_track(s.labels) for s in told if _is(s, (_OF_GATEWAY.presence,))}
    counted = _counted(told, _OF_GATEWAY, _cluster_track)
    return {track: counted.get(track, Counts()) for track in present if track is not None}


def _as_inference(sample: Sample) -> Sample | None:
    """The same of a cluster of streams as if it were one of inference; None of any other."""
    cluster = _STREAMED.get(dict(sample.labels).get(CLUSTER_LABEL, ""))
    if cluster is None:
        return None
    others = (each for each in sample.labels if each[0] != CLUSTER_LABEL)
    return replace(sample, labels=(*others, (CLUSTER_LABEL, cluster)))


def server_reading(samples: Iterable[Sample], track: str, models: Collection[str]) -> Reading:
    """What a server tells of requests for these models, without those of one model to another."""

    def of_models(labels: LabelSet) -> str | None:
        return track if dict(labels).get("model") in models else None

    told = list(samples)
    counted = _counted(told, _OF_SERVER, of_models).get(track, Counts())
    is_timed = any(_is(sample, _OF_SERVER.latencies) for sample in told)
    within = counted.within if is_timed else None
    return {track: replace(counted, within=within, refused=None)}


def answered(
    before: Mapping[str, Reading], after: Mapping[str, Reading], track: str
) -> Counts | None:
    """What pods counted of a track between two readings; None where no pod tells it twice."""
    grown = [
        _growth(earlier[track], reading[track])
        for pod, reading in after.items()
        if track in reading and track in (earlier := before.get(pod, {}))
    ]
    return sum(grown[1:], grown[0]) if grown else None


def answers(
    counts: Counts, times: Counts | None, late: float | None, usual: float | None
) -> Answers:
    """These requests by a latency target and the usual latency, in milliseconds. What these took
    is told by `times`: the same counts, or others that may tell of fewer requests; without them,
    failures alone are. A failure is late and slow; one that took long, too, counts twice where the
    histogram has it, as for both tracks.
    """
    requests = round(counts.requests)
    failed = min(round(counts.failed), requests)
    refused = None if counts.refused is None else min(round(counts.refused), requests - failed)
    if times is None or times.within is None:
        return Answers(requests, failed, untimed=requests, refused=refused)
    within, of_times = times.within, round(times.requests)
    timed = min(of_times, requests)
    not_answered = min(round(times.failed), of_times)

    def over(edge: float | None) -> int:
        return min(timed, not_answered + round(_over(within, edge)))

    return Answers(requests, failed, over(late), over(usual), requests - timed, refused)


def usual_milliseconds(counts: Counts) -> float | None:
    """The edge nearest above the median latency; None of too few requests."""
    within = counts.within or {}
    total = within.get(math.inf, 0.0)
    finite = sorted(edge for edge in within if math.isfinite(edge))
    if total < LEAST_FOR_USUAL or not finite:
        return None
    return next((edge for edge in finite if within[edge] >= total / 2), finite[-1])


def compared(before: Mapping[str, Share], after: Mapping[str, Share]) -> Share:
    """Mirrored requests that both tracks answered between two readings of comparers."""
    total = Share()
    for pod, now in after.items():
        if (earlier := before.get(pod)) is None:
            continue
        restarted = now.requests < earlier.requests or now.cases < earlier.cases
        earlier = Share() if restarted else earlier
        requests = now.requests - earlier.requests
        total += Share(min(now.cases - earlier.cases, requests), requests)
    return total


def comparer_reading(samples: Iterable[Sample]) -> Share:
    """What a comparer has counted since it started, of all models."""
    sums: dict[str, float] = defaultdict(float)
    for sample in samples:
        if math.isfinite(sample.value):
            sums[sample.metric] += max(0.0, sample.value)
    requests = round(sums[COMPARED])
    return Share(min(round(sums[DIFFERENT]), requests), requests)


def _counted(
    samples: Iterable[Sample], meaning: _Meaning, track_of: Callable[[LabelSet], str | None]
) -> Mapping[str, Counts]:
    requests: dict[str, float] = defaultdict(float)
    failed: dict[str, float] = defaultdict(float)
    refused: dict[str, float] = defaultdict(float)
    within: dict[str, dict[float, float]] = defaultdict(lambda: defaultdict(float))
    for sample in samples:
        track = track_of(sample.labels)
        if track is None or not math.isfinite(sample.value) or sample.value < 0:
            continue
        if _is(sample, meaning.answers):
            requests[track] += sample.value
        if _is(sample, meaning.failures):
            failed[track] += sample.value
        if _is(sample, meaning.refusals):
            refused[track] += sample.value
        if _is(sample, meaning.latencies) and (edge := upper_edge(sample.labels)) is not None:
            within[track][edge] += sample.value
    tracks = requests.keys() | failed.keys() | refused.keys() | within.keys()
    return {t: Counts(requests[t], failed[t], dict(within[t]), refused[t]) for t in tracks}


def _together(
    one: Mapping[float, float] | None, other: Mapping[float, float] | None
) -> Mapping[float, float] | None:
    """Two histograms, by the edges that both have: a new objective's edges come pod by pod."""
    if one is None or other is None:
        return None
    if not one or not other:
        return one or other
    return {edge: one[edge] + other[edge] for edge in one.keys() & other.keys()}


def _growth(before: Counts, after: Counts) -> Counts:
    if any(new < old for new, old in zip(_sums(after), _sums(before), strict=True)):
        before = Counts()
    within = None
    if after.within is not None:
        earlier = before.within or {}
        within = {e: max(0.0, n - earlier.get(e, 0.0)) for e, n in after.within.items()}
    refused = None if after.refused is None else after.refused - (before.refused or 0.0)
    return Counts(after.requests - before.requests, after.failed - before.failed, within, refused)


def _sums(counts: Counts) -> tuple[float, float, float]:
    return counts.requests, counts.failed, counts.refused or 0.0


def _over(within: Mapping[float, float], edge: float | None) -> float:
    """How many took longer. Where a histogram has no such edge the next one above it tells, which
    is the same one for both tracks.
    """
    if edge is None:
        return 0.0
    at = min((e for e in within if e >= edge or math.isclose(e, edge)), default=math.inf)
    return max(0.0, within.get(math.inf, 0.0) - within.get(at, 0.0))


def _is(sample: Sample, meant: Iterable[Each]) -> bool:
    return any(
        sample.metric == each.metric and all(fits(sample.labels, where) for where in each.where)
        for each in meant
    )


def _cluster_track(labels: LabelSet) -> str | None:
    return _TRACKS.get(dict(labels).get(CLUSTER_LABEL, ""))
