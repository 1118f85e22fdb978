"""What a batch costs: s(b) = fixed + per request x b, and how it is learnt from Triton's counters.

Pure. The source of choice is `batch_stats` of GET /v2/models/MODEL/stats, which counts executions
and their time per batch size. An answer without it has sums over all of them, the counters that
/metrics has, too, and they say nearly as much (`fit_from_counters`). Both count from the server's
start, so that what is fitted is the difference of two snapshots: the executions of loading and
warming up are before the first.

Two batch sizes at least must have been seen, else only the seconds at the one are known: OneBatch.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from trireme.autoscaler.codec import WRITTEN_IF_SET
from trireme.autoscaler.wording import number

Floats = npt.NDArray[np.float64]

NANOSECOND = 1e-9
DISTINCT = 1.1  # mean batches of two windows that differ by less tell noise from slope badly


@dataclass(frozen=True, slots=True)
class ServiceCurve:
    """The seconds that an instance is busy with a batch of 1 to `max_batch` requests.

    `gap_seconds` go by from the end of a batch until the instance can begin its next one: no
    request takes them itself, but those that wait do.
    """

    fixed_seconds: float
    per_request_seconds: float
    max_batch: int
    gap_seconds: float = field(default=0.0, metadata=WRITTEN_IF_SET)

    def __post_init__(self) -> None:
        parts = (self.fixed_seconds, self.per_request_seconds)
        if not all(math.isfinite(part) and part >= 0 for part in parts) or sum(parts) == 0:
            raise ValueError(f"not a time that a batch can take: {self}")
        if not (math.isfinite(self.gap_seconds) and self.gap_seconds >= 0):
            raise ValueError(f"not a time between batches: {self.gap_seconds}")
        if self.max_batch < 1:
            raise ValueError(f"max_batch must be 1 or more, not {self.max_batch}")

    def __str__(self) -> str:
        """`6 ms + 2 ms a request, up to 16`, and of a gap `, 1.1 ms between batches`."""
        fixed, each = number(self.fixed_seconds * 1e3), number(self.per_request_seconds * 1e3)
        gap = f", {number(self.gap_seconds * 1e3)} ms between batches" if self.gap_seconds else ""
        return f"{fixed} ms + {each} ms a request, up to {self.max_batch}{gap}"

    def seconds(self, batch: float) -> float:
        """How long a batch takes."""
        return self.fixed_seconds + self.per_request_seconds * batch

    def scaled(self, times: float) -> "ServiceCurve":
        """One of batches that take so many times as long."""
        return replace(
            self,
            fixed_seconds=times * self.fixed_seconds,
            per_request_seconds=times * self.per_request_seconds,
        )

    @property
    def full_batch_seconds(self) -> float:
        """How long the largest batch takes."""
        return self.seconds(self.max_batch)

    @property
    def fixed_share(self) -> float:
        """How much of the time of the largest batch does not depend on its requests, the gap after
        it included: nobody else has the instance in it, as if the batch took longer.
        """
        full_seconds = self.full_batch_seconds + self.gap_seconds
        return (self.fixed_seconds + self.gap_seconds) / full_seconds

    def capacity_per_second(self, instances: int = 1) -> float:
        """The rate above which the queue of a pod grows without end."""
        return instances * self.max_batch / (self.full_batch_seconds + self.gap_seconds)


# ------------------------------------------------------------------------------------- snapshots


@dataclass(frozen=True, slots=True)
class BatchTotal:
    """The executions of one batch size, and their time: input, inference and output."""

    executions: int
    nanoseconds: int

    @property
    def mean_seconds(self) -> float:
        """The mean time of an execution."""
        return self.nanoseconds / self.executions * NANOSECOND


BatchTotals = Mapping[int, BatchTotal]
"""By batch size, as `batch_stats` lists them."""


def difference(before: BatchTotals, after: BatchTotals) -> BatchTotals | None:
    """What was executed between two snapshots of one server.

    None where the counters began anew in between: the first executions after a load are slower
    than those to come, so that the interval is no measure.
    """
    none = BatchTotal(0, 0)
    if before.keys() - after.keys():
        return None
    between = {}
    for batch, total in after.items():
        earlier = before.get(batch, none)
        executions = total.executions - earlier.executions
        nanoseconds = total.nanoseconds - earlier.nanoseconds
        if executions < 0 or nanoseconds < 0:
            return None
        if executions:
            between[batch] = BatchTotal(executions, nanoseconds)
    return between


def summed(intervals: Sequence[BatchTotals]) -> dict[int, BatchTotal]:
    """What was executed in all of them."""
    totals: dict[int, BatchTotal] = {}
    for interval in intervals:
        for batch, more in interval.items():
            so_far = totals.get(batch, BatchTotal(0, 0))
            totals[batch] = BatchTotal(
                so_far.executions + more.executions, so_far.nanoseconds + more.nanoseconds
            )
    return {batch: total for batch, total in sorted(totals.items()) if total.executions}


# ----------------------------------------------------------------------------------------- fitting


@dataclass(frozen=True, slots=True)
class Fitted:
    """A curve, and what it stands on.

    `smallest` and `largest` are the batch sizes it was seen at; beyond them it is a straight
    line's word. `noise` is the coefficient of variation of a single execution's time around the
    mean of its batch size, None where no batch size was seen in two intervals. `misfit` is how far
    the batch sizes' means are from the line, relative and as a root mean square: a line is a poor
    model where it is large.
    """

    curve: ServiceCurve
    executions: int
    smallest: float
    largest: float
    noise: float | None
    misfit: float


@dataclass(frozen=True, slots=True)
class OneBatch:
    """Only one batch size (or load) was seen: nothing is known of the slope."""

    batch: float
    seconds: float
    executions: int


@dataclass(frozen=True, slots=True)
class Nothing:
    """Nothing was executed."""


Fit = Fitted | OneBatch | Nothing


def fit(intervals: Sequence[BatchTotals], max_batch: int) -> Fit:
    """The curve through the mean times per batch size, over any number of intervals.

    Weighted least squares. A mean of n executions strays by noise x s / sqrt(n), so its weight is
    n / s^2. A model without batching needs no slope.
    """
    totals = summed(intervals)
    if not totals:
        return Nothing()
    batches = np.array(list(totals), float)
    counts = np.array([total.executions for total in totals.values()], float)
    means = np.array([total.mean_seconds for total in totals.values()])
    executions = int(counts.sum())
    if len(totals) == 1 and max_batch > 1:
        return OneBatch(float(batches[0]), float(means[0]), executions)
    fixed, slope = (
        (float(means[0]), 0.0) if max_batch == 1 else _line(batches, means, counts / means**2)
    )
    return Fitted(
        ServiceCurve(fixed, slope, max_batch),
        executions,
        smallest=float(batches.min()),
        largest=float(batches.max()),
        noise=_noise(intervals, totals),
        misfit=_misfit(fixed + slope * batches, means, counts),
    )


@dataclass(frozen=True, slots=True)
class CounterWindow:
    """The increase of Triton's counters over a window.

    `compute_nanoseconds` is that of the three nv_inference_compute_* counters, which are
    request-weighted: a batch of 8 that computes 10 ms adds 80 ms.
    """

    inferences: int
    executions: int
    compute_nanoseconds: int

    @property
    def mean_batch(self) -> float:
        """The inferences of an execution."""
        return self.inferences / self.executions

    def since(self, before: "CounterWindow") -> "CounterWindow | None":
        """What came after an earlier look; None where the counters began anew in between."""
        inferences = self.inferences - before.inferences
        executions = self.executions - before.executions
        nanoseconds = self.compute_nanoseconds - before.compute_nanoseconds
        if min(inferences, executions, nanoseconds) < 0:
            return None
        return CounterWindow(inferences, executions, nanoseconds)


def fit_from_counters(windows: Sequence[CounterWindow], max_batch: int) -> Fit:
    """The curve from counters of windows that differ in load.

    The compute time per request is E[b s(b)] / E[b], the fixed part + the slope x E[b^2] / E[b].
    The counters do not hold E[b^2]; E[b^2] / E[b] is taken as E[b] + 1 - 1/E[b], which it would be
    if batches were 1 and a Poisson number more. It is a little more, so that the slope comes out
    too large and a full batch too slow, never too quick: by 0 to 8 % where the fixed part is that
    of eight requests or more, 14 % at three, 20 % where the slope is nearly all. (With E[b] alone
    the slope is twice as wrong and more.) The spread of single executions is not in the counters.
    """
    used = [each for each in windows if each.inferences > 0 and each.executions > 0]
    if not used:
        return Nothing()
    requests = np.array([each.inferences for each in used], float)
    executions = np.array([each.executions for each in used], float)
    seconds = np.array([each.compute_nanoseconds for each in used]) / requests * NANOSECOND
    batches = requests / executions
    total = int(executions.sum())
    if max_batch > 1 and batches.max() < DISTINCT * batches.min():
        seen = batches + 1 - 1 / batches
        return OneBatch(
            float(np.average(seen, weights=requests)),
            float(np.average(seconds, weights=requests)),
            total,
        )
    weighted = batches + 1 - 1 / batches
    fixed, slope = (
        (float(np.average(seconds, weights=requests)), 0.0)
        if max_batch == 1
        else _line(weighted, seconds, executions / seconds**2)
    )
    return Fitted(
        ServiceCurve(fixed, slope, max_batch),
        total,
        smallest=float(batches.min()),
        largest=float(batches.max()),
        noise=None,
        misfit=_misfit(fixed + slope * weighted, seconds, executions),
    )


def _line(
    at: Floats,
    seconds: Floats,
    weights: Floats,
) -> tuple[float, float]:
    """The intercept and the slope of weighted least squares, neither below 0."""
    middle, height = np.average(at, weights=weights), np.average(seconds, weights=weights)
    off = at - middle
    slope = float(np.sum(weights * off * (seconds - height)) / np.sum(weights * off**2))
    fixed = float(height - slope * middle)
    if slope < 0:
        return float(height), 0.0
    if fixed < 0:
        return 0.0, float(np.sum(weights * at * seconds) / np.sum(weights * at**2))
    return fixed, slope


def _noise(intervals: Sequence[BatchTotals], totals: BatchTotals) -> float | None:
    """The coefficient of variation of a single execution, from how the same batch size's means
    differ between intervals.

    A mean of n executions strays by noise / sqrt(n), so n times its squared relative deviation is
    noise^2. What all batch sizes of an interval have in common is no noise but a machine that was
    slower then: of thousands of executions, 3 % of it would pass for a noise of 1 and more. Each
    batch size, and each interval but one, takes one degree of freedom.
    """
    squares, degrees = 0.0, 1 - len(totals)
    for interval in intervals:
        seen = [(one, totals[batch]) for batch, one in interval.items() if one.executions]
        if not seen:
            continue
        usual = sum(one.executions * total.mean_seconds for one, total in seen)
        slower = sum(one.executions * one.mean_seconds for one, _ in seen) / usual
        degrees += len(seen) - 1
        for one, total in seen:
            relative = one.mean_seconds / (slower * total.mean_seconds)
            squares += one.executions * (relative - 1) ** 2
    return math.sqrt(squares / degrees) if degrees > 0 else None


def _misfit(line: Floats, means: Floats, counts: Floats) -> float:
    return math.sqrt(float(np.average((means / line - 1) ** 2, weights=counts)))
