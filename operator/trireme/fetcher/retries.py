"""Trying again: exponential backoff with full jitter."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from trireme.api.backoff import doubled
from trireme.api.fetch import FetchFailed

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Backoff:
    """How often, and after how long: a random time up to 0.5, 1, 2, 4, 8 s by default.

    Full jitter: pods that failed together do not come back together (M. Brooker, "Exponential
    Backoff And Jitter", 2015).
    """

    attempts: int = 6
    first_seconds: float = 0.5
    longest_seconds: float = 30

    def seconds(self, failures: int) -> float:
        """How long to wait after the n-th failure in a row."""
        longest = doubled(self.first_seconds, self.longest_seconds, failures)
        return random.uniform(0, longest)  # noqa: S311  # spreads load, hides nothing


def retrying(action: Callable[[], T], backoff: Backoff, wait: Callable[[float], object]) -> T:
    """What `action` answers, tried again after failures that may pass."""
    for failures in range(1, backoff.attempts):
        try:
            return action()
        except FetchFailed as failure:
            if not failure.reason.transient:
                raise
        wait(backoff.seconds(failures))
    return action()
