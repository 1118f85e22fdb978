"""Knative's pod autoscaler (KPA).

Pure. Sources: knative/serving, pkg/autoscaler/scaling/autoscaler.go (the decision) and
multiscaler.go (the tick), pkg/autoscaler/config/config.go (defaults),
pkg/reconciler/autoscaling/resources/target.go.

Two windows of the fleet's total: a stable one, and a panic one of a tenth of it. While the panic
window asks for twice the ready pods or more, and for one stable window after it, nothing shrinks.
Scaling to zero, the activator and the sampling of large fleets are left out.
"""

import math
from dataclasses import dataclass, replace

from trireme.simulator.policy import Bounds, Metric, Observed, Reading

TICK_SECONDS = 2
STABLE_SECONDS = 60
PANIC_SHARE = 0.1  # of the stable window
PANIC_THRESHOLD = 2.0  # times the ready pods
UTILISATION = 0.7
CONCURRENCY = 100  # container-concurrency-target-default
GROWTH, SHRINKAGE = 1000.0, 2.0  # max-scale-up-rate, max-scale-down-rate
SCRAPE_LAG_SECONDS = 1  # queue-proxies are scraped every second, without Prometheus


@dataclass(frozen=True, slots=True)
class Memory:
    """`panicking_since` is the last tick over the threshold, None out of panic.

    `delayed` are the sizes asked for within the scale-down delay, with their times.
    """

    panicking_since: float | None = None
    most_in_panic: int = 0
    delayed: tuple[tuple[float, int], ...] = ()


@dataclass(frozen=True, slots=True)
class KnativePodAutoscaler:
    """Knative's autoscaler on one metric of the whole fleet.

    `target` is of one pod, with the target utilisation taken off: 100 at 70 % is 70.
    """

    name: str
    bounds: Bounds
    metric: Metric = Metric.IN_FLIGHT
    target: float = CONCURRENCY * UTILISATION
    stable_seconds: float = STABLE_SECONDS
    panic_threshold: float = PANIC_THRESHOLD
    growth: float = GROWTH
    shrinkage: float = SHRINKAGE
    scale_down_delay_seconds: float = 0.0
    interval_seconds: float = TICK_SECONDS

    @property
    def readings(self) -> tuple[Reading, ...]:
        """The stable window and the panic window."""
        panic_seconds = self.stable_seconds * PANIC_SHARE
        return (
            Reading(self.metric, self.stable_seconds, SCRAPE_LAG_SECONDS),
            Reading(self.metric, panic_seconds, SCRAPE_LAG_SECONDS),
        )

    def begin(self, now_seconds: float, replicas: int) -> Memory:
        """It starts in panic over more than one pod, so that without a history nothing shrinks."""
        return Memory(now_seconds if replicas > 1 else None, replicas)

    def decide(self, observed: Observed, memory: Memory) -> tuple[int, Memory]:
        """One tick; without metrics nothing changes."""
        stable, panic = observed.values
        if stable is None or panic is None:
            return observed.replicas, memory
        ready = max(observed.ready, 1)
        most, least = math.ceil(self.growth * ready), math.floor(ready / self.shrinkage)
        by_stable, by_panic = math.ceil(stable / self.target), math.ceil(panic / self.target)
        memory = self._panicked(observed.now_seconds, by_panic / ready, memory)
        wanted = min(max(by_stable, least), most)
        if memory.panicking_since is not None:
            wanted = max(wanted, min(max(by_panic, least), most), memory.most_in_panic)
            memory = replace(memory, most_in_panic=wanted)
        if self.scale_down_delay_seconds:
            after = observed.now_seconds - self.scale_down_delay_seconds
            recent = [(at, size) for at, size in memory.delayed if at > after]
            memory = replace(memory, delayed=(*recent, (observed.now_seconds, wanted)))
            wanted = max(size for _, size in memory.delayed)
        return self.bounds.clamp(wanted), memory

    def _panicked(self, now: float, over: float, memory: Memory) -> Memory:
        """Into panic, on in it, or out of it; `over` is what the ready pods are short of."""
        since = memory.panicking_since
        if over >= self.panic_threshold:
            return replace(memory, panicking_since=now)
        if since is not None and since + self.stable_seconds < now:
            return replace(memory, panicking_since=None, most_in_panic=0)
        return memory
