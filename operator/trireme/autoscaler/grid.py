"""Places on a rising grid, between which a table is read linearly. Pure."""

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import product

Places = tuple[tuple[int, float], ...]


def around(grid: Sequence[float], value: float) -> Places:
    """The places next to a value, and how much each counts; beyond the grid its edge."""
    after = bisect_right(grid, value)
    if after == 0:
        return ((0, 1.0),)
    if after == len(grid):
        return ((after - 1, 1.0),)
    part = (value - grid[after - 1]) / (grid[after] - grid[after - 1])
    return ((after - 1, 1 - part), (after, part))


def cells(*axes: Places) -> Iterator[tuple[tuple[int, ...], float]]:
    """The cells of a table at the places that are near on each of its axes, and how much each of
    them counts.
    """
    for near in product(*axes):
        yield tuple(place for place, _ in near), math.prod(part for _, part in near)
