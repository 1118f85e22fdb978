"""What a batch of any size takes, from the sizes that were seen.

Pure. Sizes are gathered by powers of two, so that a mean stands on many executions. Between two of
them the time is on the chord, at most as long as the larger one's, and at least what the line up to
the smaller one says: what a request adds does not fall as batches grow. Beyond the largest it is a
line's word, on which a kink may follow.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby

from trireme.autoscaler.service_curve import ServiceCurve
from trireme.tuner.types import View

Totals = Mapping[int, tuple[int, float]]
"""By batch size, the executions and their mean seconds."""

# What each request adds beyond the largest batch seen, times what it added before: half as much
# again is a kink, less than the line says is noise in it.
_SLOPES = {View.MOST: 0.8, View.EXPECTED: 1.0, View.LEAST: 1.5}
# Where only one size was seen: the part of its time that is in proportion to its size.
_PROPORTIONAL = {View.MOST: 0.0, View.EXPECTED: 0.5, View.LEAST: 1.0}


@dataclass(frozen=True, slots=True)
class _Point:
    size: float
    seconds: float


@dataclass(frozen=True, slots=True)
class BatchTimes:
    """The seconds of a batch. Pre: one size at least was seen."""

    points: tuple[_Point, ...]
    largest: int

    @classmethod
    def of(cls, totals: Totals) -> "BatchTimes":
        """From executions by batch size."""
        points = []
        for _, sizes in groupby(sorted(totals), key=int.bit_length):
            seen = [(size, *totals[size]) for size in sizes]
            count = sum(executions for _, executions, _ in seen)
            points.append(
                _Point(
                    sum(size * executions for size, executions, _ in seen) / count,
                    sum(seconds * executions for _, executions, seconds in seen) / count,
                )
            )
        return cls(tuple(points), max(totals))

    @classmethod
    def on(cls, curve: ServiceCurve, largest: int) -> "BatchTimes":
        """Those of a line that is believed up to a batch size."""
        return cls(tuple(_Point(b, curve.seconds(b)) for b in sorted({1, largest})), largest)

    def scaled(self, times: float) -> "BatchTimes":
        """Those of batches that take so many times as long."""
        points = tuple(_Point(each.size, times * each.seconds) for each in self.points)
        return BatchTimes(points, self.largest)

    def seconds(self, batch: float, view: View = View.EXPECTED) -> float:
        """How long a batch takes."""
        first, last = self.points[0], self.points[-1]
        if len(self.points) == 1:
            return _from_one(first, batch, view)
        if batch <= first.size:
            slope = _slope(*self.points[:2])
            return max(first.seconds - slope * (first.size - batch), first.seconds / 10)
        if batch >= last.size:
            slope = _SLOPES[view] * max(_slope(*self.points[-2:]), 0.0)
            return last.seconds + slope * (batch - last.size)
        return self._between(batch, view)

    def _between(self, batch: float, view: View) -> float:
        place = next(i for i, point in enumerate(self.points) if point.size >= batch)
        left, right = self.points[place - 1], self.points[place]
        chord = left.seconds + _slope(left, right) * (batch - left.size)
        if view is View.LEAST:
            return max(chord, left.seconds, right.seconds)
        if view is View.MOST and place >= 2:
            line = max(_slope(self.points[place - 2], left), 0.0)
            return min(chord, left.seconds + line * (batch - left.size))
        return chord

    def curve(self, max_batch: int, view: View, times: float = 1.0) -> ServiceCurve:
        """The line through a single request and the largest batch, `times` as long: an idle pod's
        latency and a busy one's capacity are exact.
        """
        one, all_ = times * self.seconds(1, view), times * self.seconds(max_batch, view)
        if max_batch == 1:
            return ServiceCurve(one, 0.0, 1)
        each = min(max((all_ - one) / (max_batch - 1), 0.0), all_ / max_batch)
        return ServiceCurve(all_ - each * max_batch, each, max_batch)


def _slope(one: _Point, other: _Point) -> float:
    return (other.seconds - one.seconds) / (other.size - one.size)


def _from_one(seen: _Point, batch: float, view: View) -> float:
    """Beyond it the optimist takes larger batches for free; below it, smaller ones for in
    proportion.
    """
    share = _PROPORTIONAL[view]
    share = 1 - share if batch < seen.size else share
    return seen.seconds * (1 - share + share * batch / seen.size)


def merged(*several: Totals) -> dict[int, tuple[int, float]]:
    """All executions together."""
    found: dict[int, tuple[int, float]] = {}
    for totals in several:
        for size, (executions, seconds) in totals.items():
            count, mean = found.get(size, (0, 0.0))
            together = count + executions
            found[size] = (together, (count * mean + executions * seconds) / together)
    return found
