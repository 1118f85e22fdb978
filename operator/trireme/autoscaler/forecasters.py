"""Ways to foresee the highest request rate within a horizon, each from the past alone. Pure.

None is good for all traffic; `back_test` finds out which is for an agent's. Each gives requests per
second, NaN where it knows nothing. What repeats is looked for a step before and after the time that
the horizon covers, since what is sent by a clock comes some seconds early or late.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from trireme.api.scalars import format_duration
from trireme.autoscaler.history import STEP_SECONDS, RateHistory

HOUR, DAY = 3600, 86400


class Forecaster(Protocol):
    """Foresees the highest rate of the next `horizon` steps, the present one included."""

    def __str__(self) -> str:
        """How messages call it; it follows "expected"."""

    def highest(self, history: RateHistory, horizon: int) -> float:
        """In requests per second."""


@dataclass(frozen=True, slots=True)
class AsNow:
    """Nothing changes."""

    def __str__(self) -> str:
        return "as now"

    def highest(self, history: RateHistory, horizon: int) -> float:
        """The last rate."""
        return history.last


@dataclass(frozen=True, slots=True)
class Rising:
    """What rose lately rises on; what fell stays."""

    over: int

    def __str__(self) -> str:
        return f"rising as in the last {_words(self.over)}"

    def highest(self, history: RateHistory, horizon: int) -> float:
        """The line through the last rate and one of some steps ago."""
        rise = (history.last - history.at(self.over)) / self.over
        return history.last + max(rise, 0.0) * horizon if not math.isnan(rise) else math.nan


@dataclass(frozen=True, slots=True)
class Highest:
    """What came lately comes again."""

    over: int

    def __str__(self) -> str:
        return f"as the highest of the last {_words(self.over)}"

    def highest(self, history: RateHistory, horizon: int) -> float:
        """The highest rate of the last steps."""
        return history.highest(self.over)


@dataclass(frozen=True, slots=True)
class HighestOfHorizons:
    """What came lately comes again, for as long as a pod takes to start, or several times that."""

    times: int

    def __str__(self) -> str:
        return f"as the highest of the last {self.times} lead times"

    def highest(self, history: RateHistory, horizon: int) -> float:
        """The highest rate of the last horizons."""
        return history.highest(self.times * horizon)


@dataclass(frozen=True, slots=True)
class HighestMean:
    """What came lately on average comes again: minutes that differ by chance are taken together."""

    of: int
    over: int

    def __str__(self) -> str:
        mean = f"as the mean of {_words(self.of)}"
        return f"{mean}, the highest of the last {_words(self.over)}" if self.over else mean

    def highest(self, history: RateHistory, horizon: int) -> float:
        """The highest mean that ended in the last steps."""
        return history.highest_mean(self.of, self.over)


@dataclass(frozen=True, slots=True)
class Periodic:
    """What came one period ago comes again: jobs that clocks start, and their retries."""

    period: int

    def __str__(self) -> str:
        return f"as {_words(self.period)} ago"

    def highest(self, history: RateHistory, horizon: int) -> float:
        """The highest rate of the same time a period ago; of whole periods, as many as are no less
        than the horizon.
        """
        ago = math.ceil((horizon + 1) / self.period) * self.period
        return history.highest(ago + 1, ago - horizon - 1)


@dataclass(frozen=True, slots=True)
class Seasonal:
    """A day or a week ago comes again, at the level of today if `is_level` is set."""

    period: int
    is_level: bool

    def __str__(self) -> str:
        again = f"as {'a day' if self.period == _steps(DAY) else 'a week'} ago"
        return f"{again} at today's level" if self.is_level else again

    def highest(self, history: RateHistory, horizon: int) -> float:
        """The highest rate of the same time then, by five minutes."""
        ahead = history.highest_of_bins(self.period + 1, self.period - horizon - 1)
        if not self.is_level:
            return ahead
        then = history.highest_of_bins(self.period, self.period)
        return history.last * ahead / then if then > 0 else math.nan


def _steps(seconds: int) -> int:
    return seconds // STEP_SECONDS


def _words(steps: int) -> str:
    return format_duration(timedelta(seconds=steps * STEP_SECONDS))


FORECASTERS: Sequence[Forecaster] = (
    AsNow(),
    Rising(_steps(60)),
    Rising(_steps(300)),
    HighestOfHorizons(1),
    HighestOfHorizons(2),
    Highest(_steps(600)),
    Highest(_steps(1800)),
    HighestMean(_steps(60), _steps(300)),
    HighestMean(_steps(300), _steps(300)),
    HighestMean(_steps(1800), 0),
    *(Periodic(_steps(each)) for each in (300, 600, 900, 1800, HOUR)),  # what people set timers to
    *(Seasonal(_steps(seconds), level) for seconds in (DAY, 7 * DAY) for level in (False, True)),
)
