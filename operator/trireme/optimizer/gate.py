"""The accuracy gate: whether a candidate has been shown to answer as well as the original. Pure.

A drop that is seen on n samples is an estimate. What is judged is the upper end of its one-sided
confidence interval: a candidate passes where the samples make it sure enough that the drop is no
larger than allowed, so few samples let nothing pass. The samples are paired, original and candidate
on the same:

* right or wrong (accuracy): Tango's score interval of a difference of paired proportions
  (Statistics in Medicine 17, 1998), which stays honest where they never differ: n samples without
  any difference still leave z^2 / (n + z^2) open;
* a number per sample: the mean difference and its standard error;
* a score of the whole set (F1, the user's own): the percentile of a paired bootstrap;
* the largest error: what was seen; n samples say nothing beyond that but that at most 3 / n of
  others are expected above it, at 95 %.

Where several candidates are judged, the allowance for error is shared between them (Bonferroni).
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from trireme.optimizer.metrics import Floats, Kind, Metric, Truth
from trireme.optimizer.samples import Arrays

_RESAMPLES = 400  # of the bootstrap: its 95th percentile is then within a few percent
_HALVINGS = 60  # of an interval of width 1, down to what a float can tell


@dataclass(frozen=True, slots=True)
class Verdict:
    """A candidate's score and drop, and what the samples leave open of the latter."""

    score: float
    drop: float
    least_drop: float
    most_drop: float
    samples: int
    allowed: float
    confidence: float

    @property
    def passes(self) -> bool:
        """Whether the drop has been shown to be no larger than allowed."""
        return self.most_drop <= self.allowed

    @property
    def is_hopeless(self) -> bool:
        """Whether the drop has been shown to be larger than allowed."""
        return self.least_drop > self.allowed

    def __str__(self) -> str:
        return (
            f"a drop of {_percent(self.drop)}, at most {_percent(self.most_drop)} with "
            f"{self.confidence:.1%} confidence on {self.samples} samples, where "
            f"{_percent(self.allowed)} is allowed"
        )


def judge(
    metric: Metric,
    candidate: Arrays,
    original: Arrays,
    truth: Truth,
    allowed: float,
    confidence: float,
    seed: int,
) -> Verdict:
    """Judge a candidate's answers beside the original's, on the same samples."""
    score, before = metric.value(candidate, truth), metric.value(original, truth)
    count = len(next(iter(candidate.values())))
    drop = before - score
    match metric.kind:
        case Kind.HIT:
            least, most = _of_hits(
                metric.scores(original, truth), metric.scores(candidate, truth), confidence
            )
        case Kind.SCORE:
            lost = metric.scores(original, truth) - metric.scores(candidate, truth)
            least, most = _of_mean(lost, confidence)
        case Kind.WORST:
            least = most = drop
        case Kind.WHOLE:
            least, most = _of_whole(metric, candidate, original, truth, confidence, seed)
    return Verdict(score, drop, least, most, count, allowed, confidence)


def samples_needed(allowed: float, confidence: float) -> int:
    """How many samples show a drop in accuracy to be within what is allowed, where there is none
    at all: fewer let nothing pass.
    """
    z = NormalDist().inv_cdf(confidence)
    return math.ceil(z**2 * (1 - allowed) / allowed)


def _of_hits(original: Floats, candidate: Floats, confidence: float) -> tuple[float, float]:
    if not set(np.unique([original, candidate])) <= {0.0, 1.0}:
        return _of_mean(original - candidate, confidence)  # several labels a sample
    lost = int(np.sum(original > candidate))
    gained = int(np.sum(candidate > original))
    count = len(original)
    return (
        -paired_bound(gained, lost, count, confidence),
        paired_bound(lost, gained, count, confidence),
    )


def paired_bound(lost: int, gained: int, count: int, confidence: float) -> float:
    """The upper end of Tango's interval for (lost - gained) / count."""
    z = NormalDist().inv_cdf(confidence)
    low, high = (lost - gained) / count, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _tango(lost, gained, count, middle) > -z:
            low = middle
        else:
            high = middle
    return high


def _tango(lost: int, gained: int, count: int, drop: float) -> float:
    """Tango's statistic for a true drop: equation 5 of the paper, by its closed form."""
    b = -lost - gained + (2 * count - lost + gained) * drop
    c = -gained * drop * (1 - drop)
    q = (math.sqrt(max(b * b - 8 * count * c, 0.0)) - b) / (4 * count)
    variance = count * (2 * q + drop * (1 - drop))
    away = lost - gained - count * drop
    return away / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, away)


def _of_mean(lost: Floats, confidence: float) -> tuple[float, float]:
    z = NormalDist().inv_cdf(confidence)
    error = float(lost.std(ddof=1)) / math.sqrt(len(lost))
    return float(lost.mean()) - z * error, float(lost.mean()) + z * error


def _of_whole(
    metric: Metric,
    candidate: Arrays,
    original: Arrays,
    truth: Truth,
    confidence: float,
    seed: int,
) -> tuple[float, float]:
    draw = np.random.default_rng(seed)
    count = len(next(iter(candidate.values())))
    drops = []
    for _ in range(_RESAMPLES):
        chosen = draw.integers(0, count, count)
        some = truth.take(chosen)
        ours = {name: array[chosen] for name, array in candidate.items()}
        theirs = {name: array[chosen] for name, array in original.items()}
        drops.append(metric.value(theirs, some) - metric.value(ours, some))
    least, most = np.quantile(drops, [1 - confidence, confidence])
    return float(least), float(most)


def _percent(value: float) -> str:
    return f"{value * 100:.2f} %"
