"""The request rates of an agent's past, on a grid of time. Pure.

The last hours are kept every 15 s, a week as the highest rate of every five minutes: what repeats
within an hour needs the one, what repeats with the days and weeks the other. What was not seen is
NaN, and is no rate of zero.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Rates = npt.NDArray[np.float32]

STEP_SECONDS = 15
KEPT_STEPS = 560  # 2 h 20 min: whole hours ago, for lead times of more than one
STEPS_PER_BIN = 20  # five minutes
KEPT_BINS = 2040  # a week, and two hours


@dataclass(frozen=True, slots=True, eq=False)
class RateHistory:
    """Requests per second until the step `newest`, counted from the epoch.

    `steps[-1]` is the rate at the newest step, `bins[-1]` the highest one of its five minutes so
    far; both are NaN where nothing is known.
    """

    newest: int
    steps: Rates
    bins: Rates

    @classmethod
    def empty(cls, now: datetime) -> Self:
        """Nothing is known yet."""
        unknown = np.float32(np.nan)
        return cls(step_of(now), np.full(KEPT_STEPS, unknown), np.full(KEPT_BINS, unknown))

    @classmethod
    def recalled(cls, rates: Mapping[int, float], before: int) -> Self:
        """Five minutes' highest rates from rates by Unix seconds, all of them before that second;
        no step is known.
        """
        newest = before // STEP_SECONDS - 1
        unknown = np.float32(np.nan)
        bins = np.full(KEPT_BINS, unknown)
        for second, rate in rates.items():
            ago = newest // STEPS_PER_BIN - second // STEP_SECONDS // STEPS_PER_BIN
            if 0 <= ago < KEPT_BINS:
                bins[-1 - ago] = np.fmax(bins[-1 - ago], np.float32(rate))
        return cls(newest, np.full(KEPT_STEPS, unknown), bins)

    def after(self, now: datetime, rate_per_second: float) -> Self:
        """The history with the rate at `now`; what lies between is unknown, what is older stays."""
        step = step_of(now)
        if step < self.newest:
            return self
        steps = _shifted(self.steps, step - self.newest)
        steps[-1] = rate_per_second
        rate, bins = steps[-1], self.bins
        by = step // STEPS_PER_BIN - self.newest // STEPS_PER_BIN
        if by or not bins[-1] >= rate:  # mostly the array can be kept: nothing in it changes
            bins = _shifted(bins, by)
            bins[-1] = np.fmax(bins[-1], rate)
        return type(self)(step, steps, bins)

    @property
    def known(self) -> dict[int, float]:
        """The rates by Unix seconds of the steps that are known."""
        return {
            (self.newest - KEPT_STEPS + 1 + int(at)) * STEP_SECONDS: float(self.steps[at])
            for at in np.flatnonzero(~np.isnan(self.steps))
        }

    @property
    def last(self) -> float:
        """The rate at the newest step."""
        return float(self.steps[-1])

    def at(self, ago: int) -> float:
        """The rate so many steps ago; NaN where it is not known."""
        return float(self.steps[-1 - ago]) if 0 <= ago < KEPT_STEPS else np.nan

    def highest(self, first_ago: int, last_ago: int = 0) -> float:
        """The highest rate from `first_ago` steps ago to `last_ago` steps ago, of what is known."""
        if first_ago >= KEPT_STEPS:
            return np.nan
        return float(np.fmax.reduce(self.steps[KEPT_STEPS - 1 - first_ago : KEPT_STEPS - last_ago]))

    def highest_mean(self, of: int, over: int) -> float:
        """The highest mean of so many steps in a row, ended in the last `over` or now, of what is
        known.
        """
        steps = self.steps[KEPT_STEPS - of - over :]
        total = _sums_of_last(steps, of)
        if not math.isnan(total[-1]):
            return float(np.maximum.reduce(total)) / of
        known = ~np.isnan(steps)
        if not known.any():
            return np.nan
        counts = _sums_of_last(known, of)
        total = _sums_of_last(np.where(known, steps, 0), of)
        return float((total / np.maximum(counts, 1)).max())

    def highest_of_bins(self, first_ago: int, last_ago: int) -> float:
        """The same over a longer past, of all five minutes that the steps touch."""
        first = self.newest // STEPS_PER_BIN - (self.newest - first_ago) // STEPS_PER_BIN
        last = self.newest // STEPS_PER_BIN - (self.newest - last_ago) // STEPS_PER_BIN
        if first >= KEPT_BINS:
            return np.nan
        # One or two, mostly: plain numbers are the quickest.
        bins: list[float] = self.bins[KEPT_BINS - 1 - first : KEPT_BINS - last].tolist()
        return max((rate for rate in bins if not math.isnan(rate)), default=math.nan)


def step_of(now: datetime) -> int:
    """The number of a moment's step: 30 s after the epoch is in step 2."""
    return int(now.timestamp()) // STEP_SECONDS


def _sums_of_last(values: npt.NDArray[Any], of: int) -> npt.NDArray[np.float64]:
    """The sum of each so many values in a row; NaN from the first value on that is unknown."""
    until = np.add.accumulate(values, dtype=np.float64)
    sums = until[of - 1 :].copy()
    sums[1:] -= until[:-of]
    return sums


def _shifted(values: Rates, by: int) -> Rates:
    """The values, `by` places older, and unknown where new ones are due."""
    if by == 0:
        return values.copy()
    shifted, kept = np.empty_like(values), max(len(values) - by, 0)
    shifted[:kept], shifted[kept:] = values[len(values) - kept :], np.nan
    return shifted
