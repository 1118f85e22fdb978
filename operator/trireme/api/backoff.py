"""How long to wait before what failed is tried again: twice as long each time. Pure."""

from datetime import timedelta
from typing import TypeVar

T = TypeVar("T", float, timedelta)

_MOST_DOUBLINGS = 30  # a second is 34 years then; what fails goes on being counted


def doubled(first: T, longest: T, failures: int) -> T:
    """The wait after so many failures in a row: `first` after one, 2 and 4 times that, up to
    `longest`.
    """
    factor: int = 2 ** min(max(0, failures - 1), _MOST_DOUBLINGS)
    return min(longest, first * factor)
