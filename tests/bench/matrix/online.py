"""The best constant margin in hindsight: what a fleet costs that follows the rate of now.

It is told the rate of this very second, which no operator knows, and what a pod sustains; of what
comes it knows nothing, but for what smoothing a trace over a minute puts into its rate. It orders
at once what that rate times a margin needs, and gives a replica back when it was not needed for a
while. Of all margins and whiles it has those that were cheapest with at most 5 % of the requests
late, which only hindsight tells. Where it costs much, or is late with any margin, the future must
be known; what forecasts, or changes its margin, may cost less.
"""

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trireme.simulator.comparison import HOUR, MOST_LATE
from trireme.simulator.scenario import Scenario
from trireme.simulator.simulation import follow

STEPS = 24  # margins are searched in twenty-fourths of a doubling, 2.9 %
LEAST, MOST = -24, 72  # from half of what the rate needs to eight times it
HOLDS_SECONDS = (1, 600, 366 * 86400)  # beside the lead time; the last is for ever


@dataclass(frozen=True, slots=True)
class Margin:
    """The cheapest margin, and what became of it."""

    margin: float
    gpu_hours: float
    late_share: float


def best_constant_margin(on: Scenario) -> Margin | None:
    """None where none is in time."""
    lead = round(on.lead_time.seconds)
    best: Margin | None = None
    for hold in dict.fromkeys((lead, *HOLDS_SECONDS)):
        best = _cheaper(on, hold, best) or best
    return best


def _cheaper(on: Scenario, hold_seconds: int, best: Margin | None) -> Margin | None:
    """The least margin in time with this hold, where it costs less than the best so far.

    Pre: with a larger margin fewer are late and more is paid.
    """
    late, enough = LEAST - 1, MOST + 1
    in_time: Margin | None = None
    if best is not None:
        dear = int(best.gpu_hours * HOUR)  # what is ordered is paid, by the second
        margins = range(LEAST, MOST + 1)
        enough = LEAST + bisect_left(
            margins, dear, key=lambda margin: int(_ordered(on, margin, hold_seconds).sum())
        )
        in_time = _tried(on, enough - 1, hold_seconds) if enough > LEAST else None
        if in_time is None:
            return None
        enough -= 1
    while enough - late > 1:
        middle = (late + enough) // 2
        if tried := _tried(on, middle, hold_seconds):
            in_time, enough = tried, middle
        else:
            late = middle
    return in_time


def _tried(on: Scenario, step: int, hold_seconds: int) -> Margin | None:
    """A margin, if it is in time."""
    outcome = follow(
        _ordered(on, step, hold_seconds),
        on.traffic,
        on.table,
        on.lead_time,
        name="constant margin",
        seed=on.seed,
        balancer=on.balancer,
    )
    if outcome.late_share > MOST_LATE:
        return None
    return Margin(2 ** (step / STEPS), outcome.pod_seconds / HOUR, outcome.late_share)


def _ordered(on: Scenario, step: int, hold_seconds: int) -> npt.NDArray[np.int64]:
    margin = 2 ** (step / STEPS)
    needed = np.ceil(on.traffic.rate_per_second * margin / on.sustained_per_second)
    held = largest_of_last(needed.astype(np.int64), hold_seconds)
    return np.clip(held, on.bounds.least, on.bounds.most)


def largest_of_last(values: npt.NDArray[np.int64], width: int) -> npt.NDArray[np.int64]:
    """Of each value and those before it, `width` in all."""
    if width >= len(values):
        return np.maximum.accumulate(values)
    largest, covered = values.copy(), 1
    while covered < width:  # what covers so many, and the same from a little earlier, cover more
        shift = min(covered, width - covered)
        np.maximum(largest[shift:], largest[:-shift].copy(), out=largest[shift:])
        covered += shift
    return largest
