"""What several instances of a model in one pod cost each other, learnt while it serves. Pure.

The times of a curve belong to the number of instances that it was learnt of. When that number
changes, and nothing else of the model or its pods, the curve of before and the one of after say how
much longer a batch takes for each other instance that is busy meanwhile: sigma, of its time alone.
With k of them, all busy, it takes 1 + sigma (k - 1) times as long, and k do k / (1 + sigma (k - 1))
as much as one: Amdahl's law as the Universal Scalability Law writes it, without its term for
coherency (Gunther, "A General Theory of Computational Scalability Based on Rational Functions",
arXiv:0808.1431, 2008). That tells of other numbers, too, up to twice the most that was seen.

Instances are not all busy. How many others are while one is, is taken as in a queue of k servers
(M/M/k, Erlang 1917), by the share of the time in which they execute. Where they hardly meet,
nothing is learnt.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from trireme.autoscaler.service_curve import NANOSECOND, BatchTotals, ServiceCurve, summed

BEYOND = 2  # times the most instances seen, as far as sigma is believed
LEAST_MET = 0.4  # others that are busy with a batch, for each instance more: else chance decides
MOST_SIGMA = 3.0  # beyond it the difference has another cause
_MOST_BUSY = 0.99  # of the time: where nothing is ever idle the queue has no end


@dataclass(frozen=True, slots=True)
class LearntContention:
    """`sigma`, from curves of the `fewest` and the `most` instances, each of so many `executions`
    at least. `digest` is that of the model and its pods, but for the number of instances.
    """

    digest: str
    sigma: float
    fewest: int
    most: int
    executions: int

    def times(self, instances: int) -> float:
        """How many times as long as alone a batch takes with so many, all busy."""
        return 1 + self.sigma * (instances - 1)

    def tells_of(self, instances: int) -> bool:
        """Whether it is believed of so many."""
        return instances <= BEYOND * self.most

    def __str__(self) -> str:
        """`a batch takes 1.4 times as long with 2 instances as with 1, learnt from 812 batches`."""
        times = self.times(self.most) / self.times(self.fewest)
        return (
            f"a batch takes {times:.3g} times as long with {self.most} instances as with "
            f"{self.fewest}, learnt from {self.executions} batches"
        )


@dataclass(frozen=True, slots=True)
class Seen:
    """A curve, the instances that it was learnt of, and the share of the time in which one of them
    executed; None where that is not known.
    """

    curve: ServiceCurve
    instances: int
    executions: int
    busy_share: float | None

    @property
    def met(self) -> float | None:
        """How many others are busy while one is; None where it is not known."""
        if self.instances == 1:
            return 0.0
        return None if self.busy_share is None else others_busy(self.instances, self.busy_share)


def busy_share(
    intervals: Sequence[tuple[BatchTotals, float | None]], instances: int
) -> float | None:
    """The share of the time in which an instance executed, over intervals of so many seconds; None
    where it is not known how long they were.
    """
    timed = [(batches, seconds) for batches, seconds in intervals if seconds]
    elapsed = sum(seconds for _, seconds in timed)
    if not elapsed:
        return None
    totals = summed([batches for batches, _ in timed]).values()
    return sum(total.nanoseconds for total in totals) * NANOSECOND / (instances * elapsed)


def others_busy(instances: int, share: float) -> float:
    """How many other instances are busy while one is, where each is for this share of the time.

    2 that are busy for 35 % of it: P(1) = 0.34 and P(2) = 0.18, so 2 x 0.18 / 0.7 = 0.52.
    """
    if not share:
        return 0.0
    share = min(share, _MOST_BUSY)
    offered = instances * share
    # By logarithms: the powers and factorials of hundreds of instances are no floats.
    weights = [
        math.exp(count * math.log(offered) - offered - math.lgamma(count + 1))
        for count in range(instances + 1)
    ]
    weights[instances] /= 1 - share
    busy = sum(count * weight for count, weight in enumerate(weights))
    return sum(count * (count - 1) * weight for count, weight in enumerate(weights)) / busy


def contention(one: Seen, other: Seen, digest: str) -> LearntContention | None:
    """What follows from the curves of two numbers of instances; None where their batches hardly
    met, or it is not known whether they did.
    """
    fewer, more = sorted((one, other), key=lambda each: each.instances)
    if fewer.instances == more.instances or fewer.met is None or more.met is None:
        return None
    ratio = _ratio(fewer.curve, more.curve)
    # (1 + sigma x met with more) / (1 + sigma x met with fewer) is the ratio.
    met = more.met - ratio * fewer.met
    if met < LEAST_MET * (more.instances - fewer.instances):
        return None
    sigma = min(max((ratio - 1) / met, 0.0), MOST_SIGMA)
    executions = min(fewer.executions, more.executions)
    return LearntContention(digest, sigma, fewer.instances, more.instances, executions)


def _ratio(fewer: ServiceCurve, more: ServiceCurve) -> float:
    """How many times as long batches take, as a mean of single requests and of the largest batch
    that both tell of.
    """
    sizes = (1, min(fewer.max_batch, more.max_batch))
    return math.sqrt(math.prod(more.seconds(size) / fewer.seconds(size) for size in sizes))
