"""What a fleet would have cost, had its traffic been known: what policies are judged by.

Pure. A replica is paid from its order to its stop; it answers from `start_up_seconds` after the
order on. Let need[t] be the replicas that must be ready in slot t. Cost is additive over the layers
j = 1 ... max need, and the slots where need >= j hold those where need >= j + 1, so each layer is
optimised alone: whether to hold a replica through a gap or to stop it and start another depends on
the length of the gap only. Exact, and linear in the number of slots.

The replicas that are needed in the first slot are there; what is needed later is ordered in time,
also before the first slot, and paid.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MEAN_SECONDS = 60  # no policy that keeps the objective minute by minute can cost less
STEPS = 100  # headroom is searched in hundredths
_ROUNDING = 1e-9  # 20 x 395.7 / 395.7 needs 20 replicas, whatever the last bit says


def need(
    rate_per_second: NDArray[np.float64],
    sustained_per_second: float,
    *,
    fewest: int | NDArray[np.int64],
    headroom: float = 1.0,
    mean_seconds: int = MEAN_SECONDS,
) -> NDArray[np.int64]:
    """The replicas needed in each second, from the mean rate of the seconds from it on.

    `sustained_per_second` is the rate that one pod sustains within its objective, `headroom` the
    part of it that is used, `fewest` what the compared policies may not go below, always or in each
    second.
    """
    mean = _mean_ahead(rate_per_second, mean_seconds)
    replicas = np.ceil(mean / (headroom * sustained_per_second) - _ROUNDING)
    return np.maximum(replicas.astype(np.int64), fewest)


def _mean_ahead(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """The mean over `width` values from each on; over those that are left at the end."""
    total = np.concatenate(([0.0], np.cumsum(values)))
    start = np.arange(len(values))
    end = np.minimum(start + width, len(values))
    return np.asarray((total[end] - total[start]) / (end - start), dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Schedule:
    """The cheapest way to have what is needed ready.

    `ready[t]` replicas answer in slot t, and spec.replicas is `ordered[t]`. `replica_seconds` is
    the whole cost; it has what was ordered before the first slot, too.
    """

    slot_seconds: float
    ready: NDArray[np.int64]
    ordered: NDArray[np.int64]
    replica_seconds: float
    starts: int
    stops: int


def schedule(
    need: NDArray[np.int64],
    *,
    slot_seconds: float,
    start_up_seconds: float,
    drain_seconds: float = 0.0,
) -> Schedule:
    """The optimum for a need per slot. A replica that stops is paid for `drain_seconds` more."""
    ready, ordered = np.zeros_like(need), np.zeros_like(need)
    lead = math.ceil(start_up_seconds / slot_seconds)
    cost, starts, stops = 0.0, 0, 0
    for layer in range(1, int(need.max(initial=0)) + 1):
        begins, ends = _runs(need >= layer)
        # A gap is held if that costs no more than stopping and starting anew.
        is_stop = (begins[1:] - ends[:-1]) * slot_seconds > start_up_seconds + drain_seconds
        begins, ends = begins[np.append(True, is_stop)], ends[np.append(is_stop, True)]
        started = int((begins > 0).sum())
        stopped = int((ends < len(need)).sum())
        held = float((ends - begins).sum()) * slot_seconds
        cost += held + started * start_up_seconds + stopped * drain_seconds
        starts, stops = starts + started, stops + stopped
        for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
            ready[begin:end] += 1
            ordered[max(begin - lead, 0) : end] += 1
    return Schedule(slot_seconds, ready, ordered, cost, starts, stops)


def _runs(is_needed: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each run of true begins, and the slot after it ends; there is at least one."""
    edges = np.diff(np.concatenate(([False], is_needed, [False])).astype(np.int8))
    return np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)


def largest_headroom(is_feasible: Callable[[float], bool]) -> float | None:
    """The largest headroom, in hundredths up to 1, at which a schedule is feasible, or None.

    What is feasible is said by the simulator that judges the policies: at most 5 % of the requests
    over the objective. Pre: a smaller headroom, so more replicas, is feasible wherever a larger is.
    """
    if is_feasible(1.0):
        return 1.0
    feasible, infeasible = 0, STEPS
    while infeasible - feasible > 1:
        middle = (feasible + infeasible) // 2
        if is_feasible(middle / STEPS):
            feasible = middle
        else:
            infeasible = middle
    return feasible / STEPS if feasible else None
