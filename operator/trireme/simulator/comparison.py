"""Policies on one scenario, beside what it would have cost had the traffic been known.

Pure. The bracket of the optimum: `lower` is the cheapest schedule that has, minute by minute, what
the objective needs on average; `upper` is a schedule that keeps the objective in the very
simulation that judges the policies, with at most 5 % of the requests late. Nothing fails there.
Where policies are judged by discrete events, the bracket is still the fluid model's: it takes some
forty runs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from trireme.simulator.clairvoyant import (
    MEAN_SECONDS,
    Schedule,
    largest_headroom,
    need,
    schedule,
)
from trireme.simulator.contenders import contender, first_size
from trireme.simulator.fluid import Outcome
from trireme.simulator.scenario import Scenario
from trireme.simulator.simulation import WARM_UP_SECONDS, follow, simulate

MOST_LATE = 0.05  # of the requests, for a schedule to be called feasible
MEANS_SECONDS = (1, 10, 30, MEAN_SECONDS)  # over which a feasible schedule may look ahead
MULTIPLES = (0.6, 0.75, 0.9, 1.0, 1.1, 1.25, 1.4)  # of each policy's own target, in a sweep
HOUR = 3600.0

Progress = Callable[[str, float], None]
"""Told what is being done, and the share of it that is."""


@dataclass(frozen=True, slots=True, eq=False)
class Optimum:
    """The bracket in GPU-hours, and the replicas that `lower` has ready in each second.

    `upper_hours` is None where no schedule keeps the objective.
    """

    lower_hours: float
    upper_hours: float | None
    need: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Score:
    """One policy: its outcome, and its cost beside the optimum's."""

    policy: str
    multiple: float
    outcome: Outcome
    optimum: Optimum

    @property
    def gpu_hours(self) -> float:
        """From the order of each pod to its stop, at one GPU a pod."""
        return self.outcome.pod_seconds / HOUR

    @property
    def ratio(self) -> float | None:
        """The cost over that of the feasible schedule; None where there is none, or it needs no
        pod.
        """
        upper = self.optimum.upper_hours
        return self.gpu_hours / upper if upper else None


def optimum_of(on: Scenario, progress: Progress) -> Optimum:
    """The bracket. Of the schedules that look ahead differently the cheapest feasible counts."""

    fewest, _ = on.bounds_by_second

    def planned(mean_seconds: int, headroom: float) -> Schedule:
        return schedule(
            _need(on, fewest, mean_seconds, headroom),
            slot_seconds=1.0,
            start_up_seconds=on.lead_time.seconds,
        )

    def is_feasible(mean_seconds: int, headroom: float) -> bool:
        return _is_feasible(planned(mean_seconds, headroom), on)

    lower = planned(MEAN_SECONDS, 1.0)
    least = {seconds: planned(seconds, 1.0).replica_seconds for seconds in MEANS_SECONDS}
    upper: float | None = None
    for done, seconds in enumerate(sorted(least, key=lambda each: least[each])):
        progress("clairvoyant", done / len(least))
        if upper is not None and least[seconds] >= upper:
            break  # the others cost more, whatever their headroom
        headroom = largest_headroom(partial(is_feasible, seconds))
        if headroom is not None:
            cost = planned(seconds, headroom).replica_seconds
            upper = cost if upper is None else min(upper, cost)
    # Steep traffic: a schedule may need less where 5 % of the requests may be late.
    least_seconds = lower.replica_seconds if upper is None else min(lower.replica_seconds, upper)
    return Optimum(least_seconds / HOUR, None if upper is None else upper / HOUR, lower.ready)


def compare(on: Scenario, policies: Sequence[str], progress: Progress) -> list[Score]:
    """Each policy at its own settings."""
    optimum = optimum_of(on, progress)
    return [score(on, optimum, policy, 1.0, progress) for policy in policies]


def sweep(on: Scenario, optimum: Optimum, policy: str, progress: Progress) -> list[Score]:
    """One policy with other targets."""
    return [score(on, optimum, policy, multiple, progress) for multiple in MULTIPLES]


def score(
    on: Scenario, optimum: Optimum, policy: str, multiple: float, progress: Progress
) -> Score:
    """One policy with `multiple` of its own target, from the fleet that the first second needs."""
    seconds = len(on.traffic.rate_per_second)
    outcome = simulate(
        contender(policy, on, multiple),
        on.fleet(first_size(policy, on, int(optimum.need[0])), WARM_UP_SECONDS),
        failures=on.drawn_failures,
        progress=lambda second: progress(policy, max(second, 0) / seconds),
    )
    return Score(policy, multiple, outcome, optimum)


def _need(
    on: Scenario, fewest: npt.NDArray[np.int64], mean_seconds: int, headroom: float
) -> npt.NDArray[np.int64]:
    return need(
        on.traffic.rate_per_second,
        on.sustained_per_second,
        fewest=fewest,
        headroom=headroom,
        mean_seconds=mean_seconds,
    )


def _is_feasible(planned: Schedule, on: Scenario) -> bool:
    """Pods take exactly their mean lead time here: a schedule that is known to be in time."""
    outcome = follow(
        planned.ordered,
        on.traffic,
        on.table,
        on.lead_time.mean,
        name="clairvoyant",
        seed=on.seed,
        balancer=on.balancer,
    )
    return outcome.late_share <= MOST_LATE
