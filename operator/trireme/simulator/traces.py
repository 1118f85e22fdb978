"""Recorded traffic: from the lines of a trace to the rate of each second.

Pure: lines come from whoever opened the file. A trace is a CSV with the header `seconds,requests`,
one line per bin, where `seconds` is the offset of the bin's start; or with the header `seconds`
alone, one line per arrival.

A trace of a few requests per second is never multiplied bin by bin, since that multiplies its
burstiness too. What is scaled is its rate, smoothed over a minute, or interpolated between bins
that are longer; requests are drawn from it anew.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trireme.errors import InvalidTrace

SMOOTHING_SECONDS = 60
BINS_HEADER, ARRIVALS_HEADER = "seconds,requests", "seconds"
_LONGEST_SECONDS = 366 * 86400
_EXACT = 1e-6  # seconds by which a bin may miss the grid, as decimals in a CSV do


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """Requests counted in bins that follow one another."""

    name: str
    bin_seconds: float
    requests: NDArray[np.float64]

    @property
    def seconds(self) -> int:
        """How many whole seconds it covers."""
        return int(len(self.requests) * self.bin_seconds + _EXACT)


@dataclass(frozen=True, slots=True, eq=False)
class Traffic:
    """The expected requests of each second; `start_seconds` is where in the trace it begins."""

    name: str
    rate_per_second: NDArray[np.float64]
    start_seconds: int = 0


# ---------------------------------------------------------------------------------------- reading


def parse(lines: Iterable[str], name: str) -> Trace:
    """Read a trace; `name` is the file's, and is said with the line and the value of a mistake."""
    numbered = ((number, line.strip()) for number, line in enumerate(lines, start=1))
    rows = [(number, line) for number, line in numbered if line]
    header = rows[0][1] if rows else ""
    if header == BINS_HEADER:
        return _of_bins(rows[1:], name)
    if header == ARRIVALS_HEADER:
        return _of_arrivals(rows[1:], name)
    raise InvalidTrace(
        name,
        1,
        f"the header is {header!r}, and should be {BINS_HEADER!r} for requests per bin or "
        f"{ARRIVALS_HEADER!r} for one arrival per line",
    )


def _of_bins(rows: list[tuple[int, str]], name: str) -> Trace:
    if len(rows) < 2:
        last = rows[-1][0] if rows else 1
        raise InvalidTrace(name, last, f"there are {len(rows)} bins, and a trace needs two")
    starts, requests = np.empty(len(rows)), np.empty(len(rows))
    for index, (number, line) in enumerate(rows):
        fields = line.split(",")
        if len(fields) != 2:
            raise InvalidTrace(name, number, f"{line!r} is not two values, seconds and requests")
        starts[index] = _number(fields[0], "seconds", name, number)
        requests[index] = _number(fields[1], "requests", name, number)
    width = float(starts[1] - starts[0])
    if width <= 0:
        raise InvalidTrace(
            name, rows[1][0], f"seconds is {starts[1]:g}, and must be more than {starts[0]:g}"
        )
    expected = starts[0] + width * np.arange(len(rows))
    astray = np.flatnonzero(np.abs(starts - expected) > _EXACT)
    if len(astray):
        first = int(astray[0])
        raise InvalidTrace(
            name,
            rows[first][0],
            f"seconds is {starts[first]:g}, and should be {expected[first]:g}: bins are "
            f"{width:g} s long here and follow one another without a gap",
        )
    trace = Trace(name, width, requests)
    if not trace.seconds:
        raise InvalidTrace(name, rows[-1][0], "it covers less than a second, and a trace needs one")
    return _with_requests(trace)


def _of_arrivals(rows: list[tuple[int, str]], name: str) -> Trace:
    """Arrivals counted in bins of one second."""
    if not rows:
        raise InvalidTrace(name, 1, "there is no arrival")
    arrivals = np.array([_number(line, "seconds", name, number) for number, line in rows])
    early = np.flatnonzero(np.diff(arrivals) < 0)
    if len(early):
        row = int(early[0]) + 1
        raise InvalidTrace(
            name,
            rows[row][0],
            f"seconds is {arrivals[row]:g}, and must not be less than {arrivals[row - 1]:g} before",
        )
    return Trace(name, 1.0, np.bincount(arrivals.astype(np.int64)).astype(np.float64))


def _number(text: str, field: str, name: str, line: int) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise InvalidTrace(name, line, f"{field} is {text!r}, and must be a number, 0 or more")
    if field == "seconds" and value > _LONGEST_SECONDS:
        raise InvalidTrace(name, line, f"seconds is {text!r}, and a trace is a year long at most")
    return value


def _with_requests(trace: Trace) -> Trace:
    if not trace.requests.any():
        raise InvalidTrace(trace.name, 2, "there is no request in any bin")
    return trace


# ------------------------------------------------------------------------------------------ rates


def traffic_of(trace: Trace) -> Traffic:
    """The rate of each second: a moving average of a minute, centred, over shorter bins, and a
    straight line from middle to middle of longer ones.
    """
    middles = (np.arange(len(trace.requests)) + 0.5) * trace.bin_seconds
    seconds = np.arange(trace.seconds) + 0.5
    rates = trace.requests / trace.bin_seconds
    if trace.bin_seconds >= SMOOTHING_SECONDS:
        return Traffic(trace.name, np.interp(seconds, middles, rates))
    # What came until each edge of a bin; within a bin it came evenly.
    edges = np.arange(len(trace.requests) + 1) * trace.bin_seconds
    until = np.concatenate(([0.0], np.cumsum(trace.requests)))
    begins = np.maximum(seconds - SMOOTHING_SECONDS / 2, 0)
    ends = np.minimum(seconds + SMOOTHING_SECONDS / 2, edges[-1])
    arrived = np.interp(ends, edges, until) - np.interp(begins, edges, until)
    return Traffic(trace.name, arrived / (ends - begins))


def scaled_to(traffic: Traffic, peak_per_second: float) -> Traffic:
    """The same shape with another peak: 20 pods of 395.7 requests per second each are 7914."""
    factor = peak_per_second / float(traffic.rate_per_second.max())
    return replace(traffic, rate_per_second=traffic.rate_per_second * factor)


def window(traffic: Traffic, seconds: int, seed: int) -> Traffic:
    """A part of it, `seconds` long, that the seed chooses; all of it where it is no longer."""
    spare = len(traffic.rate_per_second) - seconds
    if spare <= 0:
        return traffic
    start = int(np.random.default_rng(seed).integers(spare + 1))
    rate = traffic.rate_per_second[start : start + seconds]
    return Traffic(traffic.name, rate, traffic.start_seconds + start)
