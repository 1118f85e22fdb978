"""Pods that are ordered, become ready, stop and die, at whole seconds, as a policy wants it. Pure.

What becomes of requests in them is for each fleet to say.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence

import numpy as np


class OrderedPods(ABC):
    """Evaluated up to the beginning of `_now`, counted from the beginning of the history, and only
    when somebody looks; second 0 is `origin` of these later, and there are `length` in all.

    `start_seconds` draws what the next pod takes to be ready, and each of `deaths` is a second and
    the place of the ready pod that is lost in it.
    """

    def __init__(
        self,
        replicas: int,
        start_seconds: Callable[[], int],
        deaths: Sequence[tuple[int, int]],
        origin: int,
        length: int,
    ) -> None:
        self.replicas = replicas
        self.starting: list[int] = []  # when each will be ready, in the order of its order
        self._start_seconds = start_seconds
        self._deaths = deque(deaths)
        self._origin = origin
        self._wanted, self._ready = np.zeros((2, length), np.int64)
        self._pod_seconds = 0.0
        self._now = 0

    @property
    @abstractmethod
    def ready(self) -> int:
        """The pods that get requests."""

    @abstractmethod
    def _start(self, pods: int) -> None:
        """Let so many more pods serve."""

    @abstractmethod
    def _stop(self, pods: int) -> None:
        """Give so many pods no more requests: those with the least to do."""

    @abstractmethod
    def _lose(self, place: int) -> bool:
        """Lose the ready pod in this place, with what it holds; whether there is one."""

    @abstractmethod
    def _evaluate(self, until: int) -> None:
        """Bring `_now` there, with these pods."""

    def count_from_now(self) -> None:
        """Forget the cost of what was before second 0."""
        self.advance(0)
        self._pod_seconds = 0.0

    def resize(self, replicas: int, second: int) -> None:
        """Order pods, or stop some: first those that start, the last ordered first, then those with
        the least to do.
        """
        self.advance(second)
        for _ in range(replicas - self.replicas):
            self.starting.append(second + self._start_seconds())
        stop = max(self.replicas - replicas, 0)
        cancelled = min(stop, len(self.starting))
        del self.starting[len(self.starting) - cancelled :]
        self._stop(stop - cancelled)
        self.replicas = replicas

    def join(self, second: int) -> None:
        """Let those pods serve that are ready by now."""
        while (first := min(self.starting, default=second + 1)) <= second:
            self.advance(first)
            joining = self.starting.count(first)
            self.starting = [at for at in self.starting if at != first]
            self._start(joining)

    def advance(self, second: int) -> None:
        """Evaluate what happened until the beginning of this second."""
        if self._origin + second <= self._now:
            return
        while True:
            first = min(self.starting, default=second)
            if self._deaths and self._deaths[0][0] < min(first, second):
                self._die(*self._deaths.popleft())
            elif first < second:
                self.join(first)
            else:
                break
        self._run(self._origin + second)

    def _die(self, second: int, place: int) -> None:
        """Lose the ready pod in this place, if there is one, and start another."""
        self._run(self._origin + second)
        if self._lose(place):
            self.starting.append(second + self._start_seconds())

    def _run(self, until: int) -> None:
        """Evaluate seconds, and note what pods there were in them."""
        begin = self._now
        self._evaluate(until)
        if until > begin:
            self._wanted[begin:until] = self.replicas
            self._ready[begin:until] = self.ready
            self._pod_seconds += (self.ready + len(self.starting)) * (until - begin)
