"""The values of tuning: what can be set, within what, for which objective, and what was measured.

Pure. A rate is what one pod sustains within the objective, in requests a second.
"""

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from trireme.autoscaler.service_curve import BatchTotals
from trireme.autoscaler.wording import number


class View(StrEnum):
    """How what is not known is taken: for the least, the likely or the highest sustained rate."""

    LEAST = "least"
    EXPECTED = "expected"
    MOST = "most"


@dataclass(frozen=True, slots=True, order=True)
class Configuration:
    """The knobs of one model in one pod.

    Preferred sizes are none of them: a batch that is as large as preferred is not waited for where
    there is no queue delay, and what is too slow beyond a size is kept away by the largest batch.
    """

    max_batch: int
    instances: int
    queue_delay_seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.max_batch < 1 or self.instances < 1 or not 0 <= self.queue_delay_seconds < math.inf:
            raise ValueError(f"no such configuration: {self!r}")

    def __str__(self) -> str:
        """`batches up to 16, 2 instances` and, where there is one, `, queue delay 5 ms`."""
        instances = "1 instance" if self.instances == 1 else f"{self.instances} instances"
        delay = self.queue_delay_seconds
        waits = f", queue delay {number(delay * 1e3)} ms" if delay else ""
        return f"batches up to {self.max_batch}, {instances}{waits}"


@dataclass(frozen=True, slots=True)
class Objective:
    """This percentage of the requests must take no longer."""

    percentile: float
    limit_seconds: float

    def __str__(self) -> str:
        """`p95 within 100 ms`."""
        return f"p{number(self.percentile)} within {number(self.limit_seconds * 1e3)} ms"

    @property
    def late_share(self) -> float:
        """The share of the requests that may take longer."""
        return 1 - self.percentile / 100


@dataclass(frozen=True, slots=True)
class MemoryBound:
    """What a pod's memory allows, in bytes: so many instances. What batches take of it is not
    known.
    """

    limit_bytes: int
    instance_bytes: int

    def allows(self, configuration: Configuration) -> bool:
        """Whether so many instances have room."""
        return configuration.instances * self.instance_bytes <= self.limit_bytes


@dataclass(frozen=True, slots=True)
class Range:
    """Whole numbers from `least` to `most`."""

    least: int
    most: int

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.most:
            raise ValueError(f"no such range: {self.least} to {self.most}")

    def __contains__(self, value: int) -> bool:
        return self.least <= value <= self.most


@dataclass(frozen=True, slots=True)
class Space:
    """What may be tried: the user's bounds, and the memory's where it is known.

    A queue delay takes no percentile of one instance down by more than 1 %, whatever the load. Of
    several it may, where the objective leaves little room: they then start one after the other, and
    not in step. So it is tried where the rest is known.

    `tries_instances`: whether more of them may be tried, though it is not known what they cost each
    other.
    """

    max_batch: Range
    instances: Range
    least_queue_delay_seconds: float = 0.0
    memory: MemoryBound | None = None
    most_queue_delay_seconds: float = math.inf
    tries_instances: bool = False

    def allows(self, configuration: Configuration) -> bool:
        """Whether a configuration is within all bounds."""
        return (
            configuration.max_batch in self.max_batch
            and configuration.instances in self.instances
            and self.least_queue_delay_seconds
            <= configuration.queue_delay_seconds
            <= self.most_queue_delay_seconds
            and (self.memory is None or self.memory.allows(configuration))
        )

    def without(self, refused: Configuration, served: Collection[Configuration]) -> "Space":
        """What is left where a server would not serve a configuration: it is too large in what it
        has more of than all that were served, and halfway to these is tried at most.
        """
        batch = max((each.max_batch for each in served), default=0)
        instances = max((each.instances for each in served), default=0)
        narrowed = self
        if refused.max_batch > batch:
            most = max(batch, refused.max_batch // 2, self.max_batch.least)
            narrowed = replace(narrowed, max_batch=Range(self.max_batch.least, most))
        if refused.instances > instances:
            most = max(instances, refused.instances // 2, self.instances.least)
            narrowed = replace(narrowed, instances=Range(self.instances.least, most))
        return narrowed

    def configurations(self) -> Iterator[Configuration]:
        """All that are worth a thought: batch sizes by powers of two and the bounds themselves,
        each number of instances up to 8 and then every fourth part more.
        """
        for batch in _doubling(self.max_batch):
            for instances in _growing(self.instances):
                one = Configuration(batch, instances, self.least_queue_delay_seconds)
                if self.allows(one):
                    yield one


def _doubling(within: Range) -> list[int]:
    powers = (2**exponent for exponent in range(within.most.bit_length()))
    return sorted({within.least, within.most, *(each for each in powers if each in within)})


def _growing(within: Range) -> list[int]:
    found, count = {within.most}, within.least
    while count < within.most:
        found.add(count)
        count += max(1, count // 4 if count >= 8 else 1)
    return sorted(found)


@dataclass(frozen=True, slots=True)
class Measured:
    """A configuration that was tried: what it sustained (0 if it never kept the objective), and the
    batches that were executed meanwhile, with their time.
    """

    configuration: Configuration
    per_second: float
    batches: BatchTotals = field(default_factory=dict)


Ratios = Mapping[int, float]
"""By number of instances, how many times as long as with the fewest a batch takes."""
