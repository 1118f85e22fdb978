"""What a policy is in the simulator: readings in, a number of replicas out.

A policy says how often it decides and what it reads, each reading with the window and the age that
its metrics pipeline has; the simulator answers them in that order. What a policy remembers is a
frozen value that goes in and comes out, so that a run can be stopped, compared and repeated.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Protocol, TypeVar

BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
"""Of virtual time: any date will do where nothing has its hours."""

MemoryT = TypeVar("MemoryT")


class Metric(StrEnum):
    """What can be read of a fleet; the comment gives the unit."""

    ARRIVALS = "arrivals"  # requests per second that reach the fleet
    ANSWERS = "answers"  # requests per second that are answered
    IN_FLIGHT = "in flight"  # requests waiting or executing, in all pods
    LATENCY = "latency"  # seconds, a percentile of what was answered
    QUEUE_TIME = "queue time"  # microseconds that a request waits in a pod, mean
    LATE_SHARE = "late share"  # of the requests that ended over the limit, from 0 to 1
    FAILURE_SHARE = "failure share"  # of the requests that ended, from 0 to 1


@dataclass(frozen=True, slots=True)
class Reading:
    """One metric, over the window that ended `lag_seconds` ago.

    `lag_seconds` is the age of what a query finds: half a scrape interval on average, and whatever
    caches it later. `percentile` is asked of a latency only.
    """

    metric: Metric
    window_seconds: float
    lag_seconds: float
    percentile: int | None = None

    def window(self, at: float) -> tuple[float, float]:
        """From when to when a query at a moment looks; nothing was before 0."""
        end = at - self.lag_seconds
        return max(end - self.window_seconds, 0.0), end


@dataclass(frozen=True, slots=True)
class Observed:
    """What a policy sees when it decides.

    `replicas` is spec.replicas. Of the pods that were ordered, `ready` answer and `starting` do not
    yet; `pending` of those starting are still in phase Pending: without a node, an image or their
    files. `values` answer the policy's readings in their order: None cannot be read (Prometheus is
    away), NaN has nothing to measure (the percentile of an idle window).
    """

    now_seconds: float
    replicas: int
    ready: int
    starting: int
    pending: int
    values: tuple[float | None, ...]


class Policy(Protocol[MemoryT]):
    """An autoscaler in virtual time."""

    @property
    def name(self) -> str:
        """How tables and plots call it."""

    @property
    def interval_seconds(self) -> float:
        """How often it decides."""

    @property
    def readings(self) -> tuple[Reading, ...]:
        """What it reads each time."""

    def begin(self, now_seconds: float, replicas: int) -> MemoryT:
        """The memory of one that was just started, over a fleet of `replicas` ready pods."""

    def decide(self, observed: Observed, memory: MemoryT) -> tuple[int, MemoryT]:
        """The spec.replicas to write, which is written, and what to remember."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The fewest and the most replicas that a policy may ask for."""

    least: int
    most: int

    def __post_init__(self) -> None:
        if not 0 <= self.least <= self.most:
            raise ValueError(f"bounds from {self.least} to {self.most} hold no size")

    def clamp(self, replicas: int) -> int:
        """The size within the bounds that is nearest."""
        return min(max(replicas, self.least), self.most)


def moment(seconds: float) -> datetime:
    """A moment of virtual time as the autoscaler's functions want it."""
    return BEGINNING + timedelta(seconds=seconds)
