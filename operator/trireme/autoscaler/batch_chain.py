"""The queue of one instance that batches greedily, at the moments when a batch ends.

Pure. Requests arrive as a Poisson stream. Where q of them wait when a batch ends, the next batch
has b = min(max(q, 1), largest) of them, and those that arrive while it is served join the
max(q - b, 0) that are left: a Markov chain. From the largest batch on its rows are all the same but
for their place, so that it repeats in levels of one width, and each level is the one before times
the same matrix (G. Latouche, V. Ramaswami: Introduction to Matrix Analytic Methods in Stochastic
Modeling, 1999: quasi-birth-and-death processes, logarithmic reduction). No queue is cut off but
where the rest has a stated probability.

Batches whose time varies are given as factors of the curve's time, each with its probability.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

RARE = 1e-10  # the probability that is left out: of longer queues, of more arrivals
CONVERGED = 1e-14


@dataclass(frozen=True, slots=True)
class Factors:
    """What a batch's time is multiplied by, and how probable each is."""

    values: Floats
    shares: Floats


def poisson(means: Floats, most: int) -> Floats:
    """The probabilities of 0 to `most` arrivals, along a new last axis."""
    counts = np.arange(most + 1)
    log_factorials = np.cumsum(np.log(np.maximum(counts, 1)))
    logs = np.log(np.maximum(means, np.finfo(float).tiny))[..., None]
    return np.asarray(np.exp(counts * logs - means[..., None] - log_factorials), np.float64)


def most_arrivals(mean: float) -> int:
    """A number that a Poisson variable of this mean exceeds with less than RARE probability.

    The normal tail beyond 8 standard deviations is 6e-16; 12 more is for the skew of small means,
    where that of mean 1 beyond 21 is 1e-21 and that of mean 20 beyond 67 is 3e-16.
    """
    return math.ceil(mean + 8 * math.sqrt(mean)) + 12


def waiting_at_ends(
    rate: float, seconds: Floats, factors: Factors, gap_seconds: float = 0.0
) -> Floats:
    """The probability of 0, 1, 2, … waiting requests when a batch ends; the rest is below RARE.

    `seconds` are those of a batch of 1, 2, … requests. An end is when the instance can begin its
    next batch, `gap_seconds` after the last one was answered.

    Pre: the queue does not grow without end.
    """
    largest = len(seconds)
    most = most_arrivals(rate * float(seconds[-1] * factors.values.max()) + rate * gap_seconds)
    means = rate * seconds * factors.values[:, None] + rate * gap_seconds
    arrivals = np.einsum("f,fbn->bn", factors.shares, poisson(means, most))
    arrivals /= arrivals.sum(axis=1, keepdims=True)
    # One level is wide enough for the longest way down (largest) and up (most - largest), and two
    # for a first batch's arrivals.
    width = max(largest, most - largest, most // 2 + 1)
    one = np.eye(width)

    boundary = np.zeros((width, 2 * width))
    for waiting in range(width):
        batch = min(max(waiting, 1), largest)
        left = waiting - batch if waiting else 0
        boundary[waiting, left : left + most + 1] = arrivals[batch - 1]
    repeated = np.zeros((width, 3 * width))
    for waiting in range(width):
        left = width + waiting - largest
        repeated[waiting, left : left + most + 1] = arrivals[-1]
    down, same, up = np.hsplit(repeated, 3)
    first_same, first_up = np.hsplit(boundary, 2)

    first_below = _first_passage(down, same, up)
    visits = np.linalg.inv(one - same - up @ first_below)
    ratio = up @ visits
    balance = (first_same + first_up @ first_below - one).T
    balance[-1] = 1.0
    levels = [np.linalg.solve(balance, one[-1])]
    levels.append(levels[0] @ first_up @ visits)
    while levels[-1].sum() > RARE * levels[0].sum():
        levels.append(levels[-1] @ ratio)
    probabilities = np.maximum(np.concatenate(levels), 0.0)
    return np.asarray(probabilities / probabilities.sum(), np.float64)


def _first_passage(down: Floats, same: Floats, up: Floats) -> Floats:
    """Where a level is first left downwards (Latouche and Ramaswami's G), by log reduction."""
    one = np.eye(len(same))
    inverse = np.linalg.inv(one - same)
    rise, fall = inverse @ up, inverse @ down
    passage, path = fall, rise
    while True:
        inverse = np.linalg.inv(one - rise @ fall - fall @ rise)
        rise, fall = inverse @ rise @ rise, inverse @ fall @ fall
        step = path @ fall
        passage = passage + step
        if step.max() < CONVERGED:
            return np.asarray(passage, np.float64)
        path = path @ rise


def mean_batch(waiting: Floats, largest: int) -> float:
    """The mean size of a batch, by how many wait when the one before ends."""
    sizes = np.clip(np.arange(len(waiting)), 1, largest)
    return float(waiting @ sizes)
