"""The accuracy gate: whether a candidate has been shown to answer as well as the original. Pure.

A drop that is seen on n samples is an estimate. What is judged is the upper end of its one-sided
confidence interval: a candidate passes where the samples make it sure enough that the drop is no
larger than allowed. Fewer samples than show that of a candidate that answers all alike let nothing
pass, whatever the metric. The samples are paired, original and candidate on the same:

* right or wrong (accuracy): Tango's score interval of a difference of paired proportions
  (Statistics in Medicine 17, 1998); where they never differ the exact one, n samples leave
  1 - (1 - confidence)^(1/n) open;
* a number per sample: the mean difference, its standard error and Student's t;
* a score of the whole set (F1, the user's own): the percentile of a paired bootstrap;
* the largest error: what was seen, without any confidence.

Where several candidates are judged, the allowance for error is shared between them (Bonferroni).
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from trireme.optimizer.metrics import Floats, Kind, Metric, Truth
from trireme.optimizer.samples import Arrays

_RESAMPLES, _BEYOND = 400, 20  # of the bootstrap, at least; and of these beyond the percentile
_HALVINGS = 60  # of an interval of width 1, down to what a float can tell


@dataclass(frozen=True, slots=True)
class Verdict:
    """A candidate's score and drop, and what the samples leave open of the latter; of the largest
    error (`is_bound` false) they are what was seen.
    """

    score: float
    drop: float
    least_drop: float
    most_drop: float
    samples: int
    allowed: float
    confidence: float
    is_bound: bool = True

    @property
    def passes(self) -> bool:
        """Whether the drop has been shown to be no larger than allowed."""
        return self.most_drop <= self.allowed and not self._lacks_samples

    @property
    def is_hopeless(self) -> bool:
        """Whether the drop has been shown to be larger than allowed."""
        return self.least_drop > self.allowed

    def __str__(self) -> str:
        bound = (
            f", at most {_percent(self.most_drop)} with {self.confidence:.1%} confidence"
            if self.is_bound
            else " seen"
        )
        needed = samples_needed(self.allowed, self.confidence)
        lacking = f"; it takes {needed} samples" if self._lacks_samples else ""
        return (
            f"a drop of {_percent(self.drop)}{bound} on {self.samples} samples, where "
            f"{_percent(self.allowed)} is allowed{lacking}"
        )

    @property
    def _lacks_samples(self) -> bool:
        return self.samples < samples_needed(self.allowed, self.confidence)


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
    is_bound = metric.kind is not Kind.WORST
    return Verdict(score, drop, least, most, count, allowed, confidence, is_bound)


def samples_needed(allowed: float, confidence: float) -> float:
    """How many samples show a drop in accuracy to be within what is allowed, where there is none
    at all: fewer let nothing pass. Infinite where nothing is allowed.
    """
    if allowed >= 1:
        return 1
    return math.ceil(math.log(1 - confidence) / math.log1p(-allowed)) if allowed else math.inf


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
    """The upper end of Tango's interval for (lost - gained) / count; the exact one of none."""
    if lost == gained == 0:
        return float(1 - (1 - confidence) ** (1 / count))
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
    error = float(lost.std(ddof=1)) / math.sqrt(len(lost))
    away = students_t(confidence, len(lost) - 1) * error
    return float(lost.mean()) - away, float(lost.mean()) + away


def students_t(confidence: float, freedom: int) -> float:
    """Its quantile by that of the normal: Abramowitz and Stegun 26.7.5, to 0.1 % from 9 on."""
    z = NormalDist().inv_cdf(confidence)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3


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
    for _ in range(max(_RESAMPLES, math.ceil(_BEYOND / (1 - confidence)))):
        chosen = draw.integers(0, count, count)
        some = truth.take(chosen)
        ours = {name: array[chosen] for name, array in candidate.items()}
        theirs = {name: array[chosen] for name, array in original.items()}
        drops.append(metric.value(theirs, some) - metric.value(ours, some))
    least, most = np.quantile(drops, [1 - confidence, confidence])
    return float(least), float(most)


def _percent(value: float) -> str:
    return f"{value * 100:.2f} %"
