"""Places on a rising grid, between which a table is read linearly. Pure."""

from bisect import bisect_right
from collections.abc import Sequence


def around(grid: Sequence[float], value: float) -> tuple[tuple[int, float], ...]:
    """The places next to a value, and how much each counts; beyond the grid its edge."""
    after = bisect_right(grid, value)
    if after == 0:
        return ((0, 1.0),)
    if after == len(grid):
        return ((after - 1, 1.0),)
    part = (value - grid[after - 1]) / (grid[after] - grid[after - 1])
    return ((after - 1, 1 - part), (after, part))
