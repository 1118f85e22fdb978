"""What a cell wants to be known, run."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from bench.matrix.cells import Cell
from bench.matrix.online import best_constant_margin
from bench.matrix.results import ONLINE, OPTIMUM, Run
from trireme.simulator.comparison import MOST_LATE, Optimum, optimum_of, score
from trireme.simulator.scenario import Scenario

OURS = "trireme"
MULTIPLES = (0.3, 0.45, 0.6, 0.75, 0.9, 1.0, 1.1, 1.25, 1.4, 1.6, 2.0)
OWN = MULTIPLES.index(1.0)
NEAR = MULTIPLES.index(1.25)  # where those that follow the rate are about as late as Trireme
ONLY_CENTRAL = ("hpa-p95", "kpa", "ray-serve", "aibrix", "wva", "triton-sample")
"""Those that go up and down without end, or never move: they cost twice as much or keep nothing,
and looking at them everywhere takes as long as all others."""
LEAST_SHARE = 1e-5  # of late requests that is told from none


@dataclass(frozen=True, slots=True)
class Wish:
    """A cell, what is known of it, and the policies that are to be known."""

    cell: Cell
    known: Sequence[Run]
    policies: Sequence[str]
    sweeps: bool
    everywhere: bool


def fulfil(wish: Wish, folder: Path) -> list[Run]:
    """The runs that were missing."""
    on = wish.cell.scenario(folder)
    found: list[Run] = []
    optimum, run = _optimum(wish, on)
    found.append(run)
    if wish.cell.is_central and not _known(wish.known, ONLINE):
        found.append(_online(wish.cell, on))

    def point(policy: str, multiple: float) -> Run:
        for run in _known(wish.known, policy):
            if run.multiple == multiple:
                return run
        began = time.process_time()
        got = score(on, optimum, policy, multiple, lambda what, share: None)
        seconds = time.process_time() - began
        share = got.outcome.late_share
        run = Run(policy, wish.cell, multiple, got.gpu_hours, share, seconds)
        found.append(run)
        return run

    ours = point(OURS, 1.0)
    for policy in wish.policies:
        is_wanted = wish.cell.is_central or wish.everywhere or policy not in ONLY_CENTRAL
        if policy != OURS and is_wanted:
            begin = NEAR if wish.sweeps and not wish.cell.is_central else OWN
            search(partial(point, policy), ours, wish.sweeps, begin)
    return found


def search(point: Callable[[float], Run], ours: Run, sweeps: bool, begin: int = OWN) -> None:
    """Run a policy with one target, and with others up to where it is as late as ours is.

    One that is both later and dearer than ours is so with every target, since a smaller one costs
    more and a larger one is later: no other is run. Nor where its target changes nothing.
    """
    at = begin
    run = point(MULTIPLES[at])
    step = 1 if run.late_share <= _at_least(ours.late_share) else -1
    while sweeps and not is_behind(run, ours) and 0 <= at + step < len(MULTIPLES):
        at += step
        before, run = run, point(MULTIPLES[at])
        if run.gpu_hours == before.gpu_hours:
            break
        if (run.late_share <= _at_least(ours.late_share)) != (step > 0):
            break


def is_behind(run: Run, ours: Run) -> bool:
    """Whether a run is both later and dearer than ours."""
    if run.gpu_hours is None or ours.gpu_hours is None:
        return False
    return run.late_share > _at_least(ours.late_share) and run.gpu_hours >= ours.gpu_hours


def hours_at(runs: Sequence[Run], late_share: float) -> float | None:
    """What a policy costs at a share of late requests, by its sweep; None where it has no such.

    Between two targets by the logarithm of the share, which a load moves nearly evenly.
    """
    wanted = _at_least(late_share)
    costs = [
        run.gpu_hours for run in runs if run.gpu_hours is not None and run.late_share <= wanted
    ]
    ordered = sorted(runs, key=lambda run: run.multiple)
    for low, high in pairwise(ordered):
        if low.gpu_hours is None or high.gpu_hours is None:
            continue
        if min(low.late_share, high.late_share) <= wanted < max(low.late_share, high.late_share):
            first, last = (math.log(_at_least(run.late_share)) for run in (low, high))
            part = (math.log(wanted) - first) / (last - first)
            costs.append(low.gpu_hours + part * (high.gpu_hours - low.gpu_hours))
    return min(costs, default=None)


def _at_least(late_share: float) -> float:
    return max(late_share, LEAST_SHARE)


def _known(runs: Sequence[Run], policy: str) -> list[Run]:
    return [run for run in runs if run.policy == policy]


def _online(cell: Cell, on: Scenario) -> Run:
    """The bound of who follows the rate of now; its margin is kept as the multiple."""
    began = time.process_time()
    best = best_constant_margin(on)
    seconds = time.process_time() - began
    if best is None:
        return Run(ONLINE, cell, math.inf, None, 1.0, seconds)
    return Run(ONLINE, cell, best.margin, best.gpu_hours, best.late_share, seconds)


def _optimum(wish: Wish, on: Scenario) -> tuple[Optimum, Run]:
    """The bracket; of the need of each second only the first is kept."""
    for run in _known(wish.known, OPTIMUM):
        if run.lower_hours is not None and run.replicas is not None:
            return Optimum(run.lower_hours, run.gpu_hours, np.array([run.replicas])), run
    began = time.process_time()
    optimum = optimum_of(on, lambda what, share: None)
    seconds, first = time.process_time() - began, int(optimum.need[0])
    upper, lower = optimum.upper_hours, optimum.lower_hours
    return optimum, Run(OPTIMUM, wish.cell, 1.0, upper, MOST_LATE, seconds, lower, first)
