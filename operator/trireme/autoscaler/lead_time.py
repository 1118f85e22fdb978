"""How long a pod takes from being made to serving, learnt from the pods that started. Pure.

It is what a decision must look ahead by: a pod that is asked for now serves only then. What counts
is a pod of the present template that became ready by its first containers. What does not:

- one that never became ready, since it has no end to be measured to;
- one whose containers were restarted before, or that was in trouble (its image could not be pulled,
  a container failed): its time tells of the trouble, and would come again only with it;
- one that waited longer for a node than a node takes to be made: it waited for room, not for a
  node. A node that is made for a pod is part of its lead time.

Each start has its stages, which make up the time until it is ready. What is known of some starts
only is kept beside them, as the parts of those that have told it: what is not known is no part of
any figure. Of these only the time until the first request is answered comes on top.

Triton tells how long it took to load each model (from 24.11 on). That is a part of what is measured
anyway, and says which model it is that takes so long.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import accumulate
from statistics import median

from trireme.autoscaler.direct import Sample
from trireme.autoscaler.types.observation import LeadTime

LOAD_METRIC = "nv_model_load_duration_secs"
LONGEST_WAIT_FOR_A_NODE = timedelta(minutes=15)
"""What the Cluster Autoscaler (--max-node-provision-time) and Karpenter (its registration TTL)
give a node to come up, before they give it up."""
KEPT = 50  # starts: what they depend on (a registry, a bucket, spare nodes) changes with the time
ENOUGH_FOR_A_PERCENTILE = 20  # the fewest of which the largest lies beyond the p95
ENOUGH_TO_FORGET = 5  # starts of its own after which a template is not judged by what was before


class Part(StrEnum):
    """What is known of some starts only."""

    NODE = "node"  # of `schedule`: since a node was ordered for the pod
    IMAGE = "image"  # of `pull`: the server's image
    WARM_UP = "warmup"  # of `load`: the warm-ups of the model whose took the longest
    FIRST_REQUEST = "first_request"  # after `load`: until a request was answered


Parts = Mapping[Part, float]
"""The parts that are known of one start, or their medians, in seconds."""


@dataclass(frozen=True, slots=True)
class Times:
    """When a pod came how far, by the clocks of the API server, the scheduler and the kubelet.

    `fetching` is how long its last fetcher ran, zero where it has none. `image` is the time between
    the last init container and the server's, in which the kubelet pulls the server's image; None
    where there is no init container to tell it by.
    """

    created: datetime
    scheduled: datetime
    started: datetime
    ready: datetime
    fetching: timedelta
    image: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Stages:
    """Where the seconds of a start went.

    `pull` is all between the node and the server's container but the fetching: images, volumes,
    other init containers; the kubelet tells no more of it. `load` is the server's start, its models
    and their warm-up.
    """

    schedule: float
    pull: float
    fetch: float
    load: float

    @property
    def total(self) -> float:
        """The whole start."""
        return self.schedule + self.pull + self.fetch + self.load


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured before the starts that are known one by one: of another template, or by
    the process before this one.
    """

    p95_seconds: float
    median_seconds: float
    stages: Stages


@dataclass(frozen=True, slots=True)
class Starts:
    """The starts that are known of one template: `count` so far, the recent ones one by one, and
    their `parts` as far as they are known. A part's median of before counts as one of it.
    """

    template: str
    count: int
    recent: tuple[Stages, ...]
    before: Measured | None = None
    parts: Mapping[Part, tuple[float, ...]] = field(default_factory=dict)


def stages(times: Times) -> Stages | None:
    """Where the time of a start went; None of one that waited for room instead of a node.

    The clocks of several machines differ: no stage ends before the one before it.
    """
    seconds = [
        (at - times.created).total_seconds()
        for at in (times.created, times.scheduled, times.started, times.ready)
    ]
    _, scheduled, started, ready = accumulate(seconds, max)
    if scheduled > LONGEST_WAIT_FOR_A_NODE.total_seconds():
        return None
    fetch = min(times.fetching.total_seconds(), started - scheduled)
    return Stages(scheduled, started - scheduled - fetch, fetch, ready - started)


def parts_told(times: Times) -> Parts:
    """The parts of a start that its pod tells of itself."""
    return {} if times.image is None else {Part.IMAGE: max(0.0, times.image.total_seconds())}


def noted(known: Starts | None, template: str, seen: Iterable[Stages]) -> Starts | None:
    """What is known after more starts of a template; another one's knowledge becomes its prior."""
    new = tuple(seen)
    if not new:
        return known
    if known is None:
        known = Starts(template, 0, ())
    elif known.template != template:
        before = {part: (seconds,) for part, seconds in parts(known).items()}
        known = Starts(template, 0, (), measured(known), before)
    recent = (*known.recent, *new)[-KEPT:]
    return replace(known, count=known.count + len(new), recent=recent)


def with_parts(known: Starts, told: Parts) -> Starts:
    """What is known after some parts of a start of its template were told."""
    more = {part: (*known.parts.get(part, ()), each)[-KEPT:] for part, each in told.items()}
    return replace(known, parts={**known.parts, **more})


def parts(known: Starts) -> dict[Part, float]:
    """The median of each part that is known, over the starts that it is known of."""
    return {part: median(seconds) for part, seconds in known.parts.items()}


def measured(known: Starts) -> Measured:
    """The figures of what is known.

    What was measured before counts as one start that took its p95, until there are five.
    """
    if known.before and not known.recent:
        return known.before
    totals = [start.total for start in known.recent]
    judged = totals
    if known.before and len(totals) < ENOUGH_TO_FORGET:
        judged = [*totals, known.before.p95_seconds]
    return Measured(p95(judged), median(totals), _medians(known.recent))


def lead_time(known: Starts | None) -> LeadTime | None:
    """What is planned with; None before a pod was seen to start. It ends with the first request
    that is answered, as far as that is known, else as the pod is ready.
    """
    if known is None:
        return None
    figures, then = measured(known), parts(known).get(Part.FIRST_REQUEST, 0.0)
    return LeadTime(figures.p95_seconds + then, figures.median_seconds + then, known.count)


def loads(told: Iterable[Sample]) -> dict[str, float]:
    """The seconds that a server took to load each model, by what it tells of itself: of several
    versions, which are loaded beside each other, the longest.
    """
    longest: dict[str, float] = {}
    for sample in told:
        model, seconds = dict(sample.labels).get("model"), sample.value
        if sample.metric == LOAD_METRIC and model and math.isfinite(seconds) and seconds >= 0:
            longest[model] = max(seconds, longest.get(model, 0.0))
    return longest


def p95(seconds: Sequence[float]) -> float:
    """The time that at least 95 of 100 starts keep: of fewer than 20 the largest, since none of so
    few lies beyond it for certain; else the nearest rank, which is one of the starts: of 20 the
    largest but one.
    """
    ordered = sorted(seconds)
    if len(ordered) < ENOUGH_FOR_A_PERCENTILE:
        return ordered[-1]
    return ordered[math.ceil(0.95 * len(ordered)) - 1]


def _medians(starts: Sequence[Stages]) -> Stages:
    """The median of each stage by itself."""
    return Stages(**{f.name: median(getattr(s, f.name) for s in starts) for f in fields(Stages)})
