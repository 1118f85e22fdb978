"""An agent's own past as a trace: what was measured at each step, and what was not.

Pure. Unknown is not zero: a step without a value is a gap, which is refused, or filled by a
straight line where whoever asks says up to which length he takes that for the truth.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from trireme.api.scalars import format_duration
from trireme.errors import IncompleteHistory
from trireme.simulator.traces import Trace

_MOST_NAMED = 3  # gaps in a message


@dataclass(frozen=True, slots=True)
class Gap:
    """Steps in a row without a value: after the step at `begin`, before the one at `end`."""

    begin: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        """From the last value to the next."""
        return self.end - self.begin

    def __str__(self) -> str:
        return f"{_moment(self.begin)} to {_moment(self.end)} ({format_duration(self.length)})"


@dataclass(frozen=True, slots=True, eq=False)
class PastTraffic:
    """The trace from the first value to the last, and what in it was filled."""

    trace: Trace
    begin: datetime
    end: datetime
    filled: tuple[Gap, ...]


def past_traffic(
    name: str,
    rates: NDArray[np.float64],
    begin: datetime,
    step: timedelta,
    longest_gap: timedelta,
    reach: int = 0,
) -> PastTraffic:
    """The traffic of `rates`, requests per second over the step that ends at each; NaN is unknown.

    The first rate is that at `begin`. As many steps as `reach` beside a gap are unknown, too: the
    window that they were measured over reaches into it, and what came there is not in them. Raises
    IncompleteHistory where nothing was measured, nothing came, or a gap is longer than
    `longest_gap`.
    """
    known = np.flatnonzero(_beyond_gaps(np.isfinite(rates), reach))
    if len(known) < 2:
        raise IncompleteHistory(
            f"{name} has {len(known)} values of {len(rates)}: check its name, that Prometheus "
            "scrapes it, and how long it keeps what it scraped"
        )
    gaps = [
        Gap(begin + int(known[at]) * step, begin + int(known[at + 1]) * step)
        for at in np.flatnonzero(np.diff(known) > 1).tolist()
    ]
    refused = sorted((gap for gap in gaps if gap.length > longest_gap), key=lambda gap: -gap.length)
    if refused:
        raise IncompleteHistory(_refusal(name, refused))
    first, last = int(known[0]), int(known[-1])
    if not rates[known].any():
        raise IncompleteHistory(f"{name} had no request from {_moment(begin + first * step)} on")
    seconds = step.total_seconds()
    filled = np.interp(np.arange(first, last + 1), known, rates[known])
    trace = Trace(name, seconds, filled * seconds)
    return PastTraffic(trace, begin + first * step, begin + last * step, tuple(gaps))


def _beyond_gaps(known: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """Without those next to a gap; what is unknown before the first and after the last is none."""
    at = np.flatnonzero(known)
    beyond = known.copy()
    for before, after in zip(at[:-1].tolist(), at[1:].tolist(), strict=True):
        if after - before > 1:
            beyond[max(before - reach + 1, at[0]) : after + reach] = False
    return beyond


def _refusal(name: str, gaps: list[Gap]) -> str:
    count = "1 gap" if len(gaps) == 1 else f"{len(gaps)} gaps"
    named = ", ".join(str(gap) for gap in gaps[:_MOST_NAMED])
    more = ", ..." if len(gaps) > _MOST_NAMED else ""
    longest = format_duration(gaps[0].length)
    return (
        f"{name} has {count}: {named}{more}. What came then is not known; take a time without, or "
        f"say --fill-gaps {longest} to draw a straight line over them"
    )


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
