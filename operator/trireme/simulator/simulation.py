"""A policy over traffic: it decides, the fleet follows.

Pure. Every pod that starts is one that runs and is not ready: none is in phase Pending.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from trireme.simulator import fluid
from trireme.simulator.failures import NONE, Drawn
from trireme.simulator.fluid import LeadTime, Outcome
from trireme.simulator.load_table import LoadTable
from trireme.simulator.pods import Balancer
from trireme.simulator.policy import Observed, Policy, Reading
from trireme.simulator.traces import Traffic

MemoryT = TypeVar("MemoryT")

WARM_UP_SECONDS = 1200  # of steady traffic under the policy, so that it starts from its own size


class Fleet(Protocol):
    """Pods and their requests, whichever way these are served."""

    seconds: int
    replicas: int

    @property
    def ready(self) -> int:
        """The pods that answer."""

    @property
    def starting(self) -> Sequence[int]:
        """When each of the others will."""

    def count_from_now(self) -> None:
        """Forget the cost of what was before second 0."""

    def resize(self, replicas: int, second: int) -> None:
        """Order pods, or stop some."""

    def join(self, second: int) -> None:
        """Let those pods serve that are ready by now."""

    def advance(self, second: int) -> None:
        """Evaluate what happened until the beginning of this second."""

    def read(self, reading: Reading, now: float) -> float:
        """What a query finds; NaN where there is nothing to measure."""

    def outcome(self, name: str, ups: int, downs: int, most: int) -> Outcome:
        """What became of all."""


def simulate(
    policy: Policy[MemoryT],
    fleet: Fleet,
    *,
    warm_up_seconds: int = WARM_UP_SECONDS,
    failures: Drawn = NONE,
    progress: Callable[[int], None] = lambda second: None,
) -> Outcome:
    """Run a policy over a fleet, from its pods of `warm_up_seconds` before second 0 on.

    The traffic is steady until then; only from second 0 on anything counts. `progress` is told each
    second at which it decides. In an outage of the metrics it reads None; deaths are the fleet's.

    Pre: nothing has happened to the fleet.
    """
    readings, interval = policy.readings, policy.interval_seconds
    round_number = -int(warm_up_seconds // interval)
    memory = policy.begin(round_number * interval, fleet.replicas)
    ups = downs = most = 0
    while (now := round_number * interval) < fleet.seconds:
        second = int(now)
        if round_number == 0:
            fleet.count_from_now()
            ups, downs, most = 0, 0, fleet.replicas
        round_number += 1
        fleet.join(second)
        if failures.is_blind(now):
            values: tuple[float | None, ...] = (None,) * len(readings)
        else:
            values = tuple([fleet.read(reading, now) for reading in readings])
        observed = Observed(now, fleet.replicas, fleet.ready, len(fleet.starting), 0, values)
        wanted, memory = policy.decide(observed, memory)
        if wanted != fleet.replicas:
            ups += wanted > fleet.replicas
            downs += wanted < fleet.replicas
            most = max(most, wanted)
            fleet.resize(wanted, second)
        progress(second)
    fleet.advance(fleet.seconds)
    return fleet.outcome(policy.name, ups, downs, most)


def follow(
    ordered: npt.NDArray[np.int64],
    traffic: Traffic,
    table: LoadTable,
    lead_time: LeadTime,
    *,
    name: str,
    seed: int,
    balancer: Balancer = Balancer.POWER_OF_TWO,
) -> Outcome:
    """Have in each second what was ordered beforehand, from pods that are ready in the first.

    Pre: there is an order for each second.
    """
    first = int(ordered[0])
    fleet = fluid.Fleet(traffic, table, lead_time, first, seed, balancer, warm_up_seconds=0)
    fleet.count_from_now()
    changes = np.flatnonzero(np.diff(ordered)) + 1
    for second in changes.tolist():
        fleet.join(second)
        fleet.resize(int(ordered[second]), second)
    fleet.advance(fleet.seconds)
    ups = int((np.diff(ordered) > 0).sum())
    return fleet.outcome(name, ups, len(changes) - ups, int(ordered.max()))
