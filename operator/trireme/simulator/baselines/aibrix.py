"""AIBrix's own autoscalers, APA and KPA.

Pure. Sources: vllm-project/aibrix, pkg/controller/podautoscaler: algorithm/apa.go and kpa.go,
context/context.go (defaults), podautoscaler_controller.go (bounds and cooldown).

Three things are as they are there, though hardly as they are meant. KPA divides the mean of the
pods by the target of one pod and takes that for the fleet, which is right only for a source that
reports a total. In panic it does not keep the largest size, since the place for it keeps nothing.
And the cooldown takes the smallest recommendation of its window on the way down, and the largest on
the way up, so it does not delay a change but deepens it.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

from trireme.simulator.policy import Bounds, Metric, Observed, Reading

RECONCILE_SECONDS = 10
STABLE_SECONDS, PANIC_SECONDS = 180, 60
PANIC_THRESHOLD = 2.0  # the panic window over the stable one
GROWTH, SHRINKAGE = 2.0, 2.0
TOLERANCE = 0.1
COOLDOWN_UP_SECONDS, COOLDOWN_DOWN_SECONDS = 0.0, 300.0
SCRAPE_LAG_SECONDS = 5  # pods are asked at each reconciliation, so 5 s ago on average


class Strategy(StrEnum):
    """Which of the two algorithms."""

    APA = "APA"
    KPA = "KPA"


class Source(StrEnum):
    """What a sample is: the mean of the pods' figures, or one figure of the whole fleet."""

    PODS = "pods"
    TOTAL = "total"


@dataclass(frozen=True, slots=True)
class Memory:
    """The recommendations within the longer cooldown, with their times."""

    recommendations: tuple[tuple[float, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Aibrix:
    """One PodAutoscaler; `target` is of one pod."""

    name: str
    bounds: Bounds
    target: float
    strategy: Strategy = Strategy.APA
    source: Source = Source.PODS
    metric: Metric = Metric.IN_FLIGHT
    cooldown_up_seconds: float = COOLDOWN_UP_SECONDS
    cooldown_down_seconds: float = COOLDOWN_DOWN_SECONDS
    interval_seconds: float = RECONCILE_SECONDS

    @property
    def readings(self) -> tuple[Reading, ...]:
        """The stable window and the panic window."""
        return (
            Reading(self.metric, STABLE_SECONDS, SCRAPE_LAG_SECONDS),
            Reading(self.metric, PANIC_SECONDS, SCRAPE_LAG_SECONDS),
        )

    def begin(self, now_seconds: float, replicas: int) -> Memory:
        """Nothing recommended yet."""
        return Memory()

    def decide(self, observed: Observed, memory: Memory) -> tuple[int, Memory]:
        """One reconciliation."""
        current, bounds = observed.replicas, self.bounds
        if current == 0 and bounds.least > 0:
            return 0, memory
        if bounds.clamp(current) != current:
            return bounds.clamp(current), memory
        stable, panic = observed.values
        if stable is None or panic is None or not observed.ready:
            return current, memory
        pods = observed.ready if self.source is Source.PODS else 1
        if self.strategy is Strategy.APA:
            asked = self._by_ratio(stable / pods, current)
        else:
            asked = self._by_windows(stable / pods, panic / pods, current)
        return self._cooled(bounds.clamp(asked), observed, memory)

    def _by_ratio(self, stable: float, current: int) -> int:
        """APA: as the ratio to the target, to at most twice and at least half the size."""
        ratio = stable / self.target
        if ratio > 1 + TOLERANCE:
            return min(math.ceil(current * ratio), math.ceil(GROWTH * current))
        if ratio < 1 - TOLERANCE:
            return max(math.ceil(current * ratio), math.floor(current / SHRINKAGE))
        return current

    def _by_windows(self, stable: float, panic: float, current: int) -> int:
        """KPA: the stable window, and in panic the larger of both."""
        asked = self._by_window(stable, current)
        if stable <= 0 or panic / stable > PANIC_THRESHOLD:
            return max(asked, self._by_window(panic, current))
        return asked

    def _by_window(self, value: float, current: int) -> int:
        ratio = value / self.target
        asked = current if 1 - TOLERANCE <= ratio <= 1 + TOLERANCE else math.ceil(ratio)
        most = max(1, math.ceil(GROWTH * current))
        return min(max(asked, math.floor(current / SHRINKAGE)), most)

    def _cooled(self, asked: int, observed: Observed, memory: Memory) -> tuple[int, Memory]:
        """The largest of the window on the way up, the smallest on the way down."""
        now = observed.now_seconds
        longest = max(self.cooldown_up_seconds, self.cooldown_down_seconds)
        kept = [(at, size) for at, size in memory.recommendations if at > now - longest]
        memory = Memory((*kept, (now, asked)))
        if asked == observed.replicas:
            return asked, memory
        is_up = asked > observed.replicas
        seconds = self.cooldown_up_seconds if is_up else self.cooldown_down_seconds
        recent = [size for at, size in kept if at > now - seconds]
        pick = max if is_up else min
        return self.bounds.clamp(pick([*recent, asked])), memory
