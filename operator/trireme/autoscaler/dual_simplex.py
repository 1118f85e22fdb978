"""Small linear programmes, by the dual simplex method with bounded columns. Pure.

Each column starts at the bound that its cost prefers. So the multipliers are valid from the first
pivot on: where the work is cut short, they still bound what any solution costs.

No solver that others keep is used: SciPy's HiGHS would bring a large package into the operator for
programmes of ten columns, and its answers may change with its version, where a decision of last
month must come out bit for bit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

_TINY = 1e-9  # of rows whose numbers are near to one
_PIVOTS = 60  # ten classes and four rows need a dozen


@dataclass(frozen=True, slots=True)
class Row:
    """What must not be negative: a constant, and a multiple of each column."""

    constant: float
    coefficients: Sequence[float]


@dataclass(frozen=True, slots=True)
class Solution:
    """The columns where the cost is least, and what one of each row's constant would save."""

    columns: tuple[float, ...]
    multipliers: tuple[float, ...]


def solve(costs: Sequence[float], widths: Sequence[float], rows: Sequence[Row]) -> Solution:
    """The cheapest columns, each from 0 to its width, that leave no row negative."""
    tableau = _Tableau(costs, widths, rows)
    for _ in range(_PIVOTS):
        if not tableau.improve():
            break
    return tableau.solution()


class _Tableau:
    """The rows and columns that are free, as sums of those that stand at a bound."""

    def __init__(
        self, costs: Sequence[float], widths: Sequence[float], rows: Sequence[Row]
    ) -> None:
        self._columns = len(costs)
        self._table = [list(row.coefficients) for row in rows]
        self._reduced = list(costs)
        self._highest = [*widths, *([inf] * len(rows))]
        self._fixed = list(range(len(costs)))
        self._is_high = [cost < 0 for cost in costs]
        self._free = [len(costs) + i for i in range(len(rows))]
        at = [w if high else 0.0 for w, high in zip(widths, self._is_high, strict=True)]
        self._values = [
            row.constant + sum(c * x for c, x in zip(row.coefficients, at, strict=True))
            for row in rows
        ]

    def improve(self) -> bool:
        """Bring what is farthest out of its bounds to the bound; False where nothing is out."""
        outside = [
            max(-value, value - self._highest[name])
            for value, name in zip(self._values, self._free, strict=True)
        ]
        i = max(range(len(outside)), key=outside.__getitem__, default=None)
        if i is None or outside[i] <= _TINY:
            return False
        rises = self._values[i] < 0
        j = self._entering(i, 1.0 if rises else -1.0)
        if j is None:
            return False
        self._pivot(i, j, is_high=not rises)
        return True

    def _entering(self, i: int, sign: float) -> int | None:
        """The column that brings a row to its bound for the least."""
        found, least = None, inf
        for j, each in enumerate(self._table[i]):
            towards = -sign * each if self._is_high[j] else sign * each
            if towards > _TINY and abs(self._reduced[j]) < least * towards:
                found, least = j, abs(self._reduced[j]) / towards
        return found

    def _pivot(self, i: int, j: int, *, is_high: bool) -> None:
        row, leaving, entering = self._table[i], self._free[i], self._fixed[j]
        bound = self._highest[leaving] if is_high else 0.0
        step = (bound - self._values[i]) / row[j]
        before = self._highest[entering] if self._is_high[j] else 0.0
        for p, other in enumerate(self._table):
            if p != i:
                self._values[p] += other[j] * step
        self._values[i] = before + step
        new = [-each / row[j] for each in row]
        new[j] = 1 / row[j]
        for p, other in enumerate(self._table):
            if p != i:
                self._table[p] = _replaced(other, j, new)
        self._reduced = _replaced(self._reduced, j, new)
        self._table[i] = new
        self._fixed[j], self._free[i], self._is_high[j] = leaving, entering, is_high

    def solution(self) -> Solution:
        """Where the columns stand now."""
        values = dict(zip(self._free, self._values, strict=True))
        multipliers = dict.fromkeys(range(self._columns, len(self._highest)), 0.0)
        for name, is_high, reduced in zip(self._fixed, self._is_high, self._reduced, strict=True):
            values[name] = self._highest[name] if is_high else 0.0
            if name in multipliers:
                multipliers[name] = max(reduced, 0.0)
        columns = tuple(min(max(values[k], 0.0), self._highest[k]) for k in range(self._columns))
        return Solution(columns, tuple(multipliers.values()))


def _replaced(row: Sequence[float], j: int, new: Sequence[float]) -> list[float]:
    """A row with the column `j` written as a sum of the others."""
    factor = row[j]
    if factor == 0:
        return list(row)
    replaced = [each + factor * by for each, by in zip(row, new, strict=True)]
    replaced[j] = factor * new[j]
    return replaced
