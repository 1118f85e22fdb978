"""How long requests take in a pod at a given rate, and which rate a pod sustains.

Pure. The chain of `batch_chain` says how many requests wait when a batch ends. A request that comes
upon an idle instance takes s(1). Any other comes while a batch is served, at a moment of it that is
as likely as any (Poisson arrivals see time averages), and waits for its end, for the full batches
that are ahead of it, and for its own batch, which has grown until then. The latencies are a mixture
of uniform distributions, one for each way this can go, so their distribution function is a
polygon, of which percentiles and shares are read.

Several instances share one queue. Of what a request waits for, the full batches ahead take 1/k of
the time, and the end of a batch, the wait for some instance, a share that is computed by simulation
(`overlap`), as no formula is known. So is what it does that a gateway chooses between pods
(`choice`). Accepted against discrete events: docs/benchmarks.md.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

import numpy as np

from trireme.autoscaler import overlap
from trireme.autoscaler.batch_chain import (
    RARE,
    Factors,
    Floats,
    most_arrivals,
    poisson,
    waiting_at_ends,
)
from trireme.autoscaler.choice import ALONE, PERCENTILE, Fleet, felt_load
from trireme.autoscaler.service_curve import ServiceCurve

STRATA = 16  # of a batch's time that an arrival may fall into; 64 move no percentile by 0.1 %
NOISE_POINTS = 5  # of the factors of the time of the batch that a request comes upon
NOISE_EDGES = (-3.0, -1.8, -1.2, -0.6, 0.0, 0.6, 1.2, 1.8, 2.4, 3.5)  # and of its own batch's
SATURATED = 0.999  # of the capacity: here queues grow longer than any measurement lasts
LEAST_LOAD, MOST_LOAD = 1e-4, 0.995  # of the capacity, between which a sustained rate is sought
PRECISION = 1e-3  # of the sustained rate, to which it is found; never above it
MOST_COUNTED = 256  # requests of a batch one by one: of more, tables take memory by their square


@dataclass(frozen=True, slots=True)
class PodShape:
    """What a pod's latencies follow from.

    `noise` is the coefficient of variation of a batch's time around the curve.
    """

    curve: ServiceCurve
    instances: int = 1
    noise: float = 0.0

    def __post_init__(self) -> None:
        if self.instances < 1 or not (math.isfinite(self.noise) and self.noise >= 0):
            raise ValueError(f"no such pod: {self}")

    @property
    def capacity_per_second(self) -> float:
        """The rate above which the queue grows without end."""
        return self.curve.capacity_per_second(self.instances)


@dataclass(frozen=True, slots=True, eq=False)
class Latencies:
    """The latencies of a pod at one rate: `within[i]` of the requests take `seconds[i]` at most.

    `busy_share` is the share of the time that an instance is busy, as a GPU's utilisation shows it;
    of several instances it is that of one with its part of the requests.
    """

    seconds: Floats
    within: Floats
    mean_seconds: float
    mean_wait_seconds: float
    busy_share: float

    def late_share(self, limit_seconds: float) -> float:
        """The share of the requests that take longer than the limit."""
        return float(1 - np.interp(limit_seconds, self.seconds, self.within, left=0.0, right=1.0))

    def percentile_seconds(self, percentile: float) -> float:
        """The latency that this percentage of the requests keep."""
        return float(np.interp(percentile / 100, self.within, self.seconds))


_ENDLESS = Latencies(np.array([math.inf]), np.array([0.0]), math.inf, math.inf, 1.0)


def latencies(pod: PodShape, rate_per_second: float) -> Latencies:
    """The latencies of a pod that requests come to as a Poisson stream of this rate.

    At and above the capacity queues have no end: every request is late, whatever the limit.
    """
    load = rate_per_second / pod.capacity_per_second
    if not load > 0:
        raise ValueError(f"a rate is above 0, not {rate_per_second}")
    if load >= SATURATED:
        return _ENDLESS
    share = overlap.waiting_share(pod.curve, pod.instances, load)
    return mixture(pod, rate_per_second, share)


def mixture(pod: PodShape, rate_per_second: float, waiting_share: float) -> Latencies:
    """The latencies where a request waits for this share of a batch's rest (1 with one instance).

    Pre: the rate is below the capacity.
    """
    return _Mixture(*_counted(pod, rate_per_second), waiting_share).latencies()


def _counted(pod: PodShape, rate_per_second: float) -> tuple[PodShape, float]:
    """The pod and the rate where, of larger batches than are counted one by one, several requests
    are one. Then they come in groups, and are served as one: latencies are up to a third too long.
    """
    each = pod.curve.max_batch / MOST_COUNTED
    if each <= 1:
        return pod, rate_per_second
    per_request = each * pod.curve.per_request_seconds
    curve = replace(pod.curve, per_request_seconds=per_request, max_batch=MOST_COUNTED)
    return replace(pod, curve=curve), rate_per_second / each


def late_share(pod: PodShape, rate_per_second: float, limit_seconds: float) -> float:
    """The share of the requests that take longer than the limit."""
    return latencies(pod, rate_per_second).late_share(limit_seconds)


def percentile_seconds(
    pod: PodShape, rate_per_second: float, percentile: float, fleet: Fleet = ALONE
) -> float:
    """The latency that this percentage of the requests keep; infinite from the capacity on.

    The rate is that of one pod of the fleet.
    """
    load = rate_per_second / pod.capacity_per_second
    if fleet.is_chosen_from and percentile >= PERCENTILE and 0 < load < SATURATED:
        rate_per_second = felt_load(pod.curve, fleet, load) * pod.capacity_per_second
    return latencies(pod, rate_per_second).percentile_seconds(percentile)


# -------------------------------------------------------------------------------- sustained rate


@dataclass(frozen=True, slots=True)
class Sustained:
    """The highest rate at which a pod keeps an objective."""

    per_second: float


@dataclass(frozen=True, slots=True)
class Unattainable:
    """No rate is low enough: `least_seconds` is the percentile of an idle pod."""

    least_seconds: float


def sustained_rate(
    pod: PodShape, percentile: float, limit_seconds: float
) -> Sustained | Unattainable:
    """The highest rate at which the percentile of the latencies is within the limit.

    Remembered by the pod's proportions (times in thousandths of a full batch's, the limit rounded
    down, the gap up, noise up to the next hundredth), so that agents that are alike share one
    search.
    """
    unit = pod.curve.full_batch_seconds
    load = _sustained_load(
        round(pod.curve.fixed_seconds / unit, 3),
        pod.curve.max_batch,
        pod.instances,
        math.ceil(pod.noise * 100) / 100,
        percentile,
        math.floor(limit_seconds / unit * 1000) / 1000,
        math.ceil(pod.curve.gap_seconds / unit * 1000) / 1000,
    )
    if load is None:
        idle = latencies(pod, LEAST_LOAD * pod.capacity_per_second)
        return Unattainable(idle.percentile_seconds(percentile))
    return Sustained(load * pod.capacity_per_second)


@lru_cache(maxsize=1 << 16)
def _sustained_load(
    fixed: float,
    max_batch: int,
    instances: int,
    noise: float,
    percentile: float,
    limit: float,
    gap: float,
) -> float | None:
    """The sustained rate as a share of the capacity, of a pod whose full batch takes 1 s."""
    pod = PodShape(ServiceCurve(fixed, (1 - fixed) / max_batch, max_batch, gap), instances, noise)
    budget = 1 - percentile / 100

    def keeps(load: float) -> bool:
        return late_share(pod, load * pod.capacity_per_second, limit) <= budget

    low, high = LEAST_LOAD, MOST_LOAD
    if not keeps(low):
        return None
    while high - low > PRECISION * high:
        load = (low + high) / 2
        low, high = (load, high) if keeps(load) else (low, load)
    return low


# --------------------------------------------------------------------------------------- mixture


class _Mixture:
    """Uniform distributions and their weights, gathered over all ways that a request can go."""

    def __init__(self, pod: PodShape, rate_per_second: float, waiting_share: float) -> None:
        curve = pod.curve
        self.largest, self.instances = curve.max_batch, pod.instances
        self.rate = rate_per_second / pod.instances
        self.waiting_share = waiting_share
        sizes = np.arange(1, self.largest + 1, dtype=np.float64)
        self.seconds: Floats = curve.fixed_seconds + curve.per_request_seconds * sizes
        self.gap = curve.gap_seconds
        self.factors = service_factors(pod.noise)
        self.own_factors = _strata(pod.noise)
        self.lows: list[Floats] = []
        self.highs: list[Floats] = []
        self.weights: list[Floats] = []
        self.mean_wait = 0.0

    def latencies(self) -> Latencies:
        waiting = waiting_at_ends(self.rate, self.seconds, self.factors, self.gap)
        idle = waiting[0] / self.rate
        started = waiting[1 : self.largest + 1].copy()  # by the size of the batch that starts
        started[-1] = waiting[self.largest :].sum()
        started[0] += waiting[0]
        left = waiting[self.largest :].copy()  # behind a largest batch
        left[0] += waiting[0] if self.largest == 1 else 0.0
        left = left / left.sum() if left.sum() > 0 else np.ones(1)
        cycle = float(idle + started @ (self.seconds + self.gap))
        self._upon_idle(idle / cycle)
        for factor, share in zip(self.factors.values, self.factors.shares, strict=True):
            served = self.seconds * factor + self.gap
            weight = started * served * share / cycle
            self._while_busy(served[-1:], weight[-1:], left)
            if self.largest > 1:
                self._while_busy(served[:-1], weight[:-1], np.ones(1))
        seconds, within, mean = self._polygon()
        busy_share = 1 - idle / cycle - self.gap / cycle
        return Latencies(seconds, within, mean, self.mean_wait, busy_share)

    def _upon_idle(self, weight: float) -> None:
        nothing = np.zeros(1)
        self._add(nothing, nothing, self.seconds[:1], 0, np.array([weight]))

    def _while_busy(self, served: Floats, weight: Floats, left: Floats) -> None:
        """Those that come while a batch is served, or in the gap behind it: `served`, both
        together, and `weight` by that batch's size.

        `left` is how probable it is that 0, 1, 2, … requests were left when it began.
        """
        edges = np.linspace(1, 0, STRATA + 1)
        highs, lows = served[:, None] * edges[:-1], served[:, None] * edges[1:]  # until its end
        until_end = (highs + lows) / 2
        most = max(most_arrivals(self.rate * float(served[-1])), self.largest)
        others = poisson(self.rate * served, most)
        before = poisson(self.rate * (served[:, None] - until_end), most)
        if len(left) > 1:
            others, before = _convolved(others, left), _convolved(before, left)
        # If no more than a batch wait at the end, all are served next: how many came before and
        # how many after this request does not matter, so any moment of its coming is as likely.
        together = others[:, : self.largest]
        self._add(np.zeros(()), served[:, None], self.seconds, 0, weight[:, None] * together)
        # If more wait, but fewer than a batch before this request, its batch is a full one.
        weight = weight[:, None] / STRATA
        in_next = before[..., : self.largest].sum(axis=-1)
        full = np.maximum(in_next - together.sum(axis=1)[:, None], 0)
        self._add(lows, highs, self.seconds[-1], 0, weight * full)
        self._behind_full_batches(
            lows.ravel(),
            highs.ravel(),
            (weight[..., None] * before[..., self.largest :]).reshape(lows.size, -1),
        )

    def _behind_full_batches(self, lows: Floats, highs: Floats, before: Floats) -> None:
        """Those with `before[:, n]` of a full batch and n more before them."""
        ahead = 0
        while before.size and before.sum() > RARE:
            ahead += 1
            some = before.sum(axis=1) > RARE / len(before)
            lows, highs, before = lows[some], highs[some], before[some]
            block, before = before[:, : self.largest], before[:, self.largest :]
            # Until its batch starts, later ones join it: sizes add up, and what is beyond is full.
            waits = (lows + highs) / 2 + ahead * (self.seconds[-1] + self.gap)
            sizes = _convolved(block, poisson(self.rate * waits, self.largest))
            sizes = sizes[:, : self.largest]
            sizes[:, -1] = np.maximum(block.sum(axis=1) - sizes[:, :-1].sum(axis=1), 0)
            self._add(lows[:, None], highs[:, None], self.seconds, ahead, sizes)

    def _add(self, lows: Floats, highs: Floats, own: Floats, ahead: int, weights: Floats) -> None:
        """Requests that wait uniformly from low to high, for full batches, and take `own`.

        The times of the batches that are still to come vary independently, hence the root. A sum
        of two uniform times is taken as uniform, of the same variance.
        """
        served = ahead * self.seconds[-1] / self.instances
        queued = served + ahead * self.gap / self.instances
        spread = np.sqrt(own**2 + served * self.seconds[-1] / self.instances)
        lows, highs = self.waiting_share * lows, self.waiting_share * highs
        self.mean_wait += float(np.sum(weights * ((lows + highs) / 2 + queued)))
        middles, width = (lows + highs) / 2 + queued + own, highs - lows
        for stratum in self.own_factors:
            middle = middles + (stratum.mean - 1) * spread
            half = np.sqrt(width**2 + (stratum.width * spread) ** 2) / 2
            low, high, weight = np.broadcast_arrays(
                middle - half, middle + half, stratum.share * weights
            )
            some = weight > RARE / weight.size
            self.lows.append(low[some])
            self.highs.append(high[some])
            self.weights.append(weight[some])

    def _polygon(self) -> tuple[Floats, Floats, float]:
        """The distribution function's corners, and the mean."""
        lows, highs, weights = map(np.concatenate, (self.lows, self.highs, self.weights))
        weights = weights / weights.sum()
        mean = float(weights @ (lows + highs)) / 2
        highs = np.maximum(highs, lows + 1e-6 * self.seconds[0])  # a step is a steep slope
        slopes = weights / (highs - lows)
        corners = np.concatenate([lows, highs])
        order = np.argsort(corners)
        corners = corners[order]
        slope = np.cumsum(np.concatenate([slopes, -slopes])[order])
        rises = np.maximum(slope[:-1] * np.diff(corners), 0)
        within = np.concatenate([[0.0], np.cumsum(rises)])
        return corners, within / within[-1], mean


def _convolved(first: Floats, second: Floats) -> Floats:
    """The distributions of sums, along the last axis."""
    length = first.shape[-1] + second.shape[-1] - 1
    fast = 1 << (length - 1).bit_length()
    product = np.fft.rfft(first, fast) * np.fft.rfft(second, fast)
    return np.maximum(np.fft.irfft(product, fast)[..., :length], 0.0)


def service_factors(noise: float) -> Factors:
    """Points of a lognormal distribution of mean 1 (Gauss-Hermite quadrature)."""
    if noise == 0:
        return Factors(np.ones(1), np.ones(1))
    points, weights = np.polynomial.hermite_e.hermegauss(NOISE_POINTS)
    shares = weights / weights.sum()
    values = np.exp(math.sqrt(math.log1p(noise**2)) * points)
    return Factors(values / (shares @ values), shares)


@dataclass(frozen=True, slots=True)
class _Stratum:
    """A part of a distribution, taken as uniform."""

    mean: float
    width: float
    share: float


def _strata(noise: float) -> tuple[_Stratum, ...]:
    """A lognormal distribution of mean 1, cut at NOISE_EDGES standard deviations of its logarithm.

    Its mean below a point is the normal probability one standard deviation further down.
    """
    if noise == 0:
        return (_Stratum(1.0, 0.0, 1.0),)
    deviation = math.sqrt(math.log1p(noise**2))
    edges = (-math.inf, *NOISE_EDGES[1:-1], math.inf)
    strata = []
    for (low, high), (first, last) in zip(pairwise(edges), pairwise(NOISE_EDGES), strict=True):
        share = _normal(high) - _normal(low)
        mean = (_normal(high - deviation) - _normal(low - deviation)) / share
        width = (math.exp(deviation * last) - math.exp(deviation * first)) * math.exp(
            -(deviation**2) / 2
        )
        strata.append(_Stratum(mean, width, share))
    return tuple(strata)


def _normal(deviations: float) -> float:
    """The probability that a standard normal variable is below."""
    return (1 + math.erf(deviations / math.sqrt(2))) / 2
