"""Outputs of which not each number counts: rows of scores that name a class, and vectors of which
the direction says something. Pure.

A row is along the last dimension. A model of lower precision gives other numbers, and is meant to
name the same classes.
"""

import numpy as np
import numpy.typing as npt

from trireme.comparer.tensors import Numbers

AT_A_TIME = 65536
"""Numbers that are widened at a time, so that no large output is held as float64."""

_OPPOSITE = -1.0  # the cosine of what has none, such as of infinite numbers


def have_one_class(a: Numbers, b: Numbers, width: int) -> bool:
    """Whether the largest number of each row is at the same place. A row that holds what is not a
    number has no class.
    """
    return all(
        np.array_equal(of_a, of_b)
        for of_a, of_b in zip(_classes(a, width), _classes(b, width), strict=True)
    )


def _classes(values: Numbers, width: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
    rows = values.reshape(-1, width)
    has_none: npt.NDArray[np.bool_] = np.logical_or.reduce(np.isnan(rows), axis=1)
    return rows.argmax(axis=1), has_none


def lowest_cosine(a: Numbers, b: Numbers, width: int) -> float:
    """Of the two vectors of each row that are the least alike. Rows that are equal number by number
    are alike, also where they have no direction.
    """
    step = max(1, AT_A_TIME // width) * width
    return min(
        float(_cosines(a[at : at + step], b[at : at + step], width).min())
        for at in range(0, len(a), step)
    )


def _cosines(a: Numbers, b: Numbers, width: int) -> npt.NDArray[np.float64]:
    x, y = (values.astype("<f8").reshape(-1, width) for values in (a, b))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        lengths = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
        cosines = np.nan_to_num((x * y).sum(axis=1) / lengths, nan=_OPPOSITE)
    equal = ((x == y) | (np.isnan(x) & np.isnan(y))).all(axis=1)
    found: npt.NDArray[np.float64] = np.where(equal, 1.0, np.clip(cosines, -1.0, 1.0))
    return found
