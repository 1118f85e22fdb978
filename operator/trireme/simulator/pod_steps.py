"""One pod's second, by the table of its loads. Pure."""

import math
from bisect import bisect_right

import numpy as np

from trireme.simulator.load_table import Floats, LoadTable

LATE_POINTS = 8  # moments of a second at which a growing backlog is looked at
_MOMENTS = [(point + 0.5) / LATE_POINTS for point in range(LATE_POINTS)]


class PodSteps:
    """The table for one pod at a time, in plain lists: a thousand times a second of arrays is slow.

    Beyond the last row, from `most` requests in flight on, the unused share of the capacity falls
    as 1 / in flight, as it does where queues are long.
    """

    def __init__(self, table: LoadTable) -> None:
        self._table = table
        self._capacity = table.capacity_per_second
        self._loads: list[float] = table.loads.tolist()
        self._held: list[float] = table.in_flight.tolist()
        self._late: list[float] = table.late.tolist()
        self._sums: list[float] = (table.in_flight + self._capacity * table.loads).tolist()
        self.most = self._held[-1]
        self.last_load = self._loads[-1]
        self._unused = (1 - self._loads[-1]) * self.most

    def after(self, total: float) -> float:
        """Of what a pod held and what came, what is still in flight a second later."""
        if total <= self._sums[-1]:
            return _between(self._sums, self._held, total)
        grown = total - self._capacity
        return (grown + math.sqrt(grown**2 + 4 * self._capacity * self._unused)) / 2

    def load(self, held: float) -> float:
        """The load at which a pod holds so many requests."""
        return _between(self._held, self._loads, held)

    def late(self, load: float) -> float:
        """The share of the requests that is late at a load."""
        return _between(self._loads, self._late, load)

    def place(self, load: float) -> tuple[int, float]:
        """The row below a load, and how far it is to the next."""
        below = min(bisect_right(self._loads, load), len(self._loads) - 1) - 1
        low, high = self._loads[below], self._loads[below + 1]
        return below, (load - low) / (high - low)

    def met(self, before: float, after: float) -> tuple[float, float, float]:
        """What the requests of a second meet in a pod that held so many before and holds so many
        after it: a load, what they wait for beyond that, and the share of them that is late.
        """
        if after <= self.most and before <= self.most:
            load = self.load(after)
            return load, 0.0, self.late(load)
        return (self.last_load, *self.backlog(before, after))

    def within(self, load: float, wait: float) -> Floats:
        """How latencies are distributed at a load, each request having waited so long before."""
        table = self._table
        if wait:
            return table.shifted(wait)
        below, part = self.place(load)
        return np.asarray((1 - part) * table.within[below] + part * table.within[below + 1])

    def backlog(self, before: float, after: float) -> tuple[float, float]:
        """Of a second in which a backlog changes: what requests wait for beyond the last row, on
        average, and the share of them that is late.
        """
        most, capacity, change = self.most, self._capacity, after - before
        waits = [max(before + change * at - most, 0.0) / capacity for at in _MOMENTS]
        mean = _sum(waits) / LATE_POINTS
        if min(waits) > self._table.limit_seconds:
            return mean, 1.0
        return mean, _sum(self._table.late_after(np.array(waits)).tolist()) / LATE_POINTS


def _sum(eight: list[float]) -> float:
    """In pairs of pairs, so that no sum of many small ones is lost."""
    a, b, c, d, e, f, g, h = eight
    return ((a + b) + (c + d)) + ((e + f) + (g + h))


def _between(points: list[float], values: list[float], at: float) -> float:
    below = min(bisect_right(points, at), len(points) - 1) - 1
    part = (at - points[below]) / (points[below + 1] - points[below])
    return values[below] + part * (values[below + 1] - values[below])
