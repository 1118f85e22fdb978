"""KEDA: a ScaledObject with Prometheus triggers, over the HorizontalPodAutoscaler that it makes.

Pure. Sources: kedacore/keda, pkg/scalers/prometheus_scaler.go and scaler.go (values),
pkg/scaling/executor/scale_scaledobjects.go (0 to 1 and back), pkg/fallback/fallback.go,
controllers/keda/hpa.go.

The autoscaler asks KEDA at each of its syncs, and KEDA queries Prometheus then. The polling
interval drives only what is below one replica, where a HorizontalPodAutoscaler does not go.
"""

import math
from dataclasses import dataclass, field, replace
from enum import StrEnum

from trireme.api.scaling import Behavior
from trireme.simulator.baselines import hpa
from trireme.simulator.baselines.hpa import ExternalMetric, HorizontalPodAutoscaler, TargetType
from trireme.simulator.policy import Bounds, Observed, Reading

POLLING_SECONDS = 30
COOLDOWN_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Trigger:
    """One Prometheus trigger."""

    reading: Reading
    threshold: float
    type: TargetType = TargetType.AVERAGE_VALUE
    activation_threshold: float = 0.0
    ignore_null_values: bool = True

    def read(self, value: float | None) -> float | None:
        """What the scaler makes of an answer; None is an error.

        Not a number becomes 0 by default, so an idle percentile reads as no latency at all.
        """
        if value is None or math.isfinite(value):
            return value
        return 0.0 if self.ignore_null_values else None


def milli(value: float) -> int:
    """A metric in milli-units: rounded to three decimals, and never negative."""
    return max(round(round(value, 3) * 1000), 0)


class FallbackBehavior(StrEnum):
    """Which size a fallback asks for."""

    STATIC = "static"
    CURRENT = "currentReplicas"
    CURRENT_IF_HIGHER = "currentReplicasIfHigher"
    CURRENT_IF_LOWER = "currentReplicasIfLower"


@dataclass(frozen=True, slots=True)
class Fallback:
    """What is asked for after more than `failure_threshold` reads in a row have failed."""

    failure_threshold: int
    replicas: int
    behavior: FallbackBehavior = FallbackBehavior.STATIC

    def wanted(self, current: int) -> int:
        """The size to fall back to."""
        match self.behavior:
            case FallbackBehavior.STATIC:
                return self.replicas
            case FallbackBehavior.CURRENT:
                return current
            case FallbackBehavior.CURRENT_IF_HIGHER:
                return max(current, self.replicas)
            case FallbackBehavior.CURRENT_IF_LOWER:
                return min(current, self.replicas)

    def reported(self, trigger: Trigger, observed: Observed) -> int | None:
        """The value, in milli-units, that lands the autoscaler there; None is an error.

        It is cut to whole milli-units, as by the source, which can cost a pod where the ready ones
        do not divide it.
        """
        wanted: float = self.wanted(observed.replicas)
        if trigger.type is TargetType.VALUE:
            if not observed.ready:
                return None
            wanted /= observed.ready
        return int(trigger.threshold * 1000 * wanted)


@dataclass(frozen=True, slots=True)
class Memory:
    """What KEDA keeps in the ScaledObject's status, and the autoscaler in its own memory."""

    began: float
    hpa: hpa.Memory
    failures: tuple[int, ...]
    polled: float | None = None
    synced: float | None = None
    last_active: float | None = None


@dataclass(frozen=True, slots=True)
class ScaledObject:
    """One ScaledObject; `bounds` are minReplicaCount (0 unless said) and maxReplicaCount (100)."""

    name: str
    triggers: tuple[Trigger, ...]
    bounds: Bounds
    idle_replicas: int | None = None
    polling_seconds: int = POLLING_SECONDS
    cooldown_seconds: float = COOLDOWN_SECONDS
    initial_cooldown_seconds: float = 0.0
    fallback: Fallback | None = None
    behavior: Behavior | None = None
    autoscaler: HorizontalPodAutoscaler = field(init=False)

    def __post_init__(self) -> None:
        autoscaler = HorizontalPodAutoscaler(
            self.name,
            tuple(ExternalMetric(t.reading, t.threshold, t.type) for t in self.triggers),
            Bounds(max(self.bounds.least, 1), self.bounds.most),
            self.behavior,
        )
        object.__setattr__(self, "autoscaler", autoscaler)

    @property
    def interval_seconds(self) -> float:
        """Often enough for both the autoscaler's syncs and KEDA's polls."""
        return math.gcd(hpa.SYNC_SECONDS, self.polling_seconds)

    @property
    def readings(self) -> tuple[Reading, ...]:
        """One for each trigger."""
        return tuple(trigger.reading for trigger in self.triggers)

    def begin(self, now_seconds: float, replicas: int) -> Memory:
        """A ScaledObject that was just created."""
        memory = self.autoscaler.begin(now_seconds, replicas)
        return Memory(now_seconds, memory, (0,) * len(self.triggers))

    def decide(self, observed: Observed, memory: Memory) -> tuple[int, Memory]:
        """A poll, a sync, or both, whichever is due."""
        now = observed.now_seconds
        if memory.polled is None or now - memory.polled >= self.polling_seconds:
            replicas, memory = self._poll(observed, replace(memory, polled=now))
            observed = replace(observed, replicas=replicas)
        if memory.synced is None or now - memory.synced >= hpa.SYNC_SECONDS:
            return self._sync(observed, replace(memory, synced=now))
        return observed.replicas, memory

    def _poll(self, observed: Observed, memory: Memory) -> tuple[int, Memory]:
        """What the scale executor does: it wakes a fleet, and puts it to rest."""
        now, current, least = observed.now_seconds, observed.replicas, self.bounds.least
        values = self._read(observed)
        if any(
            value is not None and value > trigger.activation_threshold
            for trigger, value in zip(self.triggers, values, strict=True)
        ):
            asleep = current == 0 or (self.idle_replicas is not None and current < least)
            if None in values and not asleep:
                return current, memory
            return max(least, 1) if asleep else current, replace(memory, last_active=now)
        if None in values:
            return current, memory  # a trigger that fails puts nothing to rest
        if (self.idle_replicas is not None and current > self.idle_replicas) or (
            current > 0 and least == 0
        ):
            rests = least if self.idle_replicas is None else self.idle_replicas
            return rests if self._is_cool(now, memory) else current, memory
        if self.idle_replicas is None:
            return max(current, least), memory
        return current, memory

    def _is_cool(self, now: float, memory: Memory) -> bool:
        if memory.last_active is None:
            return now > memory.began + self.initial_cooldown_seconds
        return now > memory.last_active + self.cooldown_seconds

    def _sync(self, observed: Observed, memory: Memory) -> tuple[int, Memory]:
        """What the autoscaler does, with the values that KEDA gives it."""
        values = self._read(observed)
        failures = tuple(
            count + 1 if value is None else 0
            for count, value in zip(memory.failures, values, strict=True)
        )
        told = [
            self._fallen_back(trigger, count, observed) if value is None else milli(value)
            for trigger, count, value in zip(self.triggers, failures, values, strict=True)
        ]
        replicas, remembered = self.autoscaler.reconcile(observed, told, memory.hpa)
        return replicas, replace(memory, hpa=remembered, failures=failures)

    def _fallen_back(self, trigger: Trigger, failures: int, observed: Observed) -> int | None:
        if self.fallback is None or failures <= self.fallback.failure_threshold:
            return None
        return self.fallback.reported(trigger, observed)

    def _read(self, observed: Observed) -> list[float | None]:
        return [
            trigger.read(value)
            for trigger, value in zip(self.triggers, observed.values, strict=True)
        ]
