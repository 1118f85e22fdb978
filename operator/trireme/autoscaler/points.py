"""What Prometheus makes of a series' samples over a window, for samples that were read directly.

Pure. Each function answers as PromQL's of the same name does (`promql/functions.go`,
`promql/quantile.go`), so that a figure is the same from either source; a test holds them against a
real Prometheus. None stands for "no answer": fewer than two samples, or all of the same moment.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

Point = tuple[float, float]
"""The Unix time of a sample, and its value."""

_GAP = (
    1.1  # of the mean interval: a series that begins or ends further from the window's edge, does
)


def rate(points: Sequence[Point], start: float, end: float) -> float | None:
    """How much a counter grew per second from `start` to `end`; a value below the one before is a
    restart from 0.
    """
    if len(points) < 2:
        return None
    grown = points[-1][1] - points[0][1]
    for (_, before), (_, value) in pairwise(points):
        if value < before:
            grown += before
    return _extrapolated(points, start, end, grown, is_counter=True)


def delta(points: Sequence[Point], start: float, end: float) -> float | None:
    """How much a gauge grew per second from `start` to `end`."""
    if len(points) < 2:
        return None
    return _extrapolated(points, start, end, points[-1][1] - points[0][1], is_counter=False)


def _extrapolated(
    points: Sequence[Point], start: float, end: float, grown: float, *, is_counter: bool
) -> float | None:
    """The growth between the first and the last sample, drawn out to the window's edges where the
    series reaches them, else by half an interval, and for a counter not below 0.
    """
    (first, value), (last, _) = points[0], points[-1]
    sampled = last - first
    if sampled <= 0:
        return None
    interval = sampled / (len(points) - 1)
    before, after = first - start, end - last
    if before >= _GAP * interval:
        before = interval / 2
    if is_counter and grown > 0 and value >= 0:
        before = min(before, sampled * value / grown)
    if after >= _GAP * interval:
        after = interval / 2
    return grown * (sampled + before + after) / sampled / (end - start)


def mean(points: Sequence[Point]) -> float | None:
    """The mean of a gauge."""
    return sum(value for _, value in points) / len(points) if points else None


def quantile(share: float, buckets: Iterable[tuple[float, float]]) -> float:
    """A quantile of a histogram's values, from its buckets: upper edges, and how many values lie
    below each. Straight between two edges; beyond the last finite one, that edge; of a histogram
    without a value, or without the edge +Inf, not a number.
    """
    edges = sorted(buckets)
    if len(edges) < 2 or not math.isinf(edges[-1][0]):
        return math.nan
    counts, highest = [], 0.0
    for _, count in edges:  # scraped one after the other, they may not quite fit
        highest = max(highest, count)
        counts.append(highest)
    if not highest:
        return math.nan
    rank = share * highest
    at = next(i for i, count in enumerate(counts) if count >= rank)
    if at == len(edges) - 1:
        return edges[-2][0]
    edge = edges[at][0]
    if at == 0:
        below, under = 0.0, 0.0
        if edge <= 0:
            return edge
    else:
        below, under = edges[at - 1][0], counts[at - 1]
    return below + (edge - below) * (rank - under) / (counts[at] - under)
