"""How fast models are: the seconds of a batch at each size, measured in turns.

The machine may have other work, and its clock changes: so in every round each model is run at each
batch size, one right after the other in an order of its own. What an instance of one thread takes
is the processor time of this process, which other work hardly adds to, and a model's time is the
median over the rounds. Of several threads it is the time by the clock, to which other work can only
add, and the first quartile. Ratios within one measurement can be compared; times of different ones
less so.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trireme.autoscaler.service_curve import BatchTotal, Fitted, ServiceCurve, fit
from trireme.optimizer.runners import Runner
from trireme.optimizer.samples import Samples

_LEAST_SECONDS = 0.004  # of a single timing: shorter ones tell of the clock
_MOST_CALLS = 200
_WARM_UP = 2  # calls
_LEAST_ROUNDS = 5
_ORDER = 0  # the seed of the orders


@dataclass(frozen=True, slots=True)
class Speed:
    """The seconds of a batch, by its size."""

    seconds: Mapping[int, float]

    @property
    def curve(self) -> ServiceCurve | None:
        """What a batch costs by the line through them; None of a single size above 1."""
        totals = {
            size: BatchTotal(1, max(1, round(seconds * 1e9)))
            for size, seconds in self.seconds.items()
        }
        fitted = fit([totals], max(self.seconds))
        return fitted.curve if isinstance(fitted, Fitted) else None

    @property
    def fastest_seconds(self) -> float:
        """The least that a batch takes, of any size."""
        return min(self.seconds.values())

    def cost(self, latency_seconds: float | None) -> float:
        """The least seconds of an instance that a request costs, at a batch size whose time keeps
        the latency wished for; where none does, at any.
        """
        batches = self.seconds.items()
        within = [
            (size, seconds)
            for size, seconds in batches
            if latency_seconds is None or seconds <= latency_seconds
        ]
        return min(seconds / size for size, seconds in within or batches)


def measure(
    runners: Mapping[str, Runner],
    samples: Samples,
    batches: Sequence[int],
    rounds: int,
    threads: int,
    told: Callable[[float], None] = lambda _: None,
    seconds: float = math.inf,
) -> dict[str, Speed]:
    """Each model's speed, by its name; `told` is called with the share that is done.

    After so many seconds there are no more rounds than a quantile needs.
    """
    end = time.perf_counter() + seconds
    clock, share = (time.process_time, 0.5) if threads == 1 else (time.perf_counter, 0.25)
    inputs = {size: samples.batch(size) for size in batches}

    def timed(name: str, size: int, times: int) -> float:
        return _timed(lambda: runners[name](inputs[size]), times, clock)

    calls = {}
    for name in runners:
        for size in batches:
            timed(name, size, _WARM_UP)
            once = timed(name, size, 1)
            calls[name, size] = min(_MOST_CALLS, max(1, math.ceil(_LEAST_SECONDS / once)))
    seen: dict[tuple[str, int], list[float]] = {key: [] for key in calls}
    order = np.random.default_rng(_ORDER)
    for number in range(rounds):
        for size in batches:
            for name in order.permutation(list(runners)).tolist():
                seen[name, size].append(timed(name, size, calls[name, size]))
        told((number + 1) / rounds)
        if number + 1 >= _LEAST_ROUNDS and time.perf_counter() > end:
            break
    return {
        name: Speed({size: float(np.quantile(seen[name, size], share)) for size in batches})
        for name in runners
    }


def _timed(call: Callable[[], object], times: int, clock: Callable[[], float]) -> float:
    start = clock()
    for _ in range(times):
        call()
    return max(clock() - start, 1e-9) / times
