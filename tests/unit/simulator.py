"""Builders of the simulator's values: a test says only what matters to it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from trireme.simulator.policy import Observed, Policy, Reading

M = TypeVar("M")


def observed(
    *values: float | None,
    replicas: int,
    ready: int | None = None,
    pending: int = 0,
    now: float = 0.0,
) -> Observed:
    """`replicas` pods, all ready unless said; of the others `pending` are in phase Pending."""
    ready = replicas if ready is None else ready
    return Observed(now, replicas, ready, replicas - ready, pending, values)


def sizes(policy: Policy[M], seen: Iterable[Observed], begin: int) -> list[int]:
    """What a policy that began over `begin` pods decides, one observation after the other."""
    memory = policy.begin(0.0, begin)
    decided = []
    for each in seen:
        replicas, memory = policy.decide(each, memory)
        decided.append(replicas)
    return decided


def steady(
    policy: Policy[M], value: float | None, *, replicas: int, start: float, until: float
) -> dict[float, int]:
    """The changes of size under one unchanging reading, with pods that are ready at once."""
    memory = policy.begin(start, replicas)
    changes = {}
    now = start
    while now <= until:
        values = (value,) * len(policy.readings)
        decided, memory = policy.decide(Observed(now, replicas, replicas, 0, 0, values), memory)
        if decided != replicas:
            changes[now] = replicas = decided
        now += policy.interval_seconds
    return changes


@dataclass(frozen=True)
class Told:
    """A policy that orders sizes at given seconds."""

    sizes: dict[int, int]
    name: str = "told"
    interval_seconds: float = 1.0
    readings: tuple[Reading, ...] = ()

    def begin(self, now_seconds: float, replicas: int) -> None:
        pass

    def decide(self, observed: Observed, memory: None) -> tuple[int, None]:
        return self.sizes.get(int(observed.now_seconds), observed.replicas), None
