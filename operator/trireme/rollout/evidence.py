"""Evidence that a canary is worse, which may be looked at as often as one likes. Pure.

A test that is made for one look finds a difference between two equal fleets sooner or later if it
is repeated every few seconds. What is kept here is a martingale instead: the capital of somebody
who bets, at fair odds, that the canary is worse. If it is not, the capital ever reaches `1 / alpha`
with a probability of at most `alpha`, whenever and however often one looks (Ville's inequality).

Two games are played, by what the requests have to do with each other:

* Requests that are late come together, since they wait in one queue. So what is bet on is the
  difference of the shares in one interval, of which is said no more than that it is between -1 and
  1 (Waudby-Smith and Ramdas, Estimating means of bounded random variables by betting, JRSS B 2024,
  3.1). How much to stake is not known beforehand: the capital is split between several stakes.
* Requests that fail, are refused, or are answered otherwise than expected, are counted each for
  itself: Turner, Ly and Gruenwald, Generic E-variables for exact sequential k-sample tests that
  allow for optional stopping, JSPI 2024, for two shares; a likelihood ratio for one share beside a
  known bound. It shows a rise from nothing to one failure in a hundred with a few hundred requests.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

STAKES = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 15 / 16)
"""Parts of what may be staked without the risk of owing: small ones for small differences, which
need many intervals in any case, the largest for a canary that is wholly wrong."""

PRIOR = 0.18  # cases, and as many others, that each share begins with; Turner, Ly, Gruenwald, 5


@dataclass(frozen=True, slots=True)
class Bets:
    """The logarithm of the capital of each stake, 0 at the start."""

    logs: tuple[float, ...] = (0.0,) * len(STAKES)

    def after(self, difference: float, margin: float) -> "Bets":
        """The capital after an interval in which the canary's share was larger by `difference`
        (-1 to 1), where one of up to `margin` (0 to below 1) is allowed on average.
        """
        gain = (difference - margin) / (1 + margin)  # -1 at worst, where all would be lost
        return Bets(
            tuple(
                log + math.log1p(stake * gain) for log, stake in zip(self.logs, STAKES, strict=True)
            )
        )

    @property
    def log(self) -> float:
        """The logarithm of the capital, each stake having begun with an equal part of 1."""
        return _log_mean(self.logs)


START = Bets()


@dataclass(frozen=True, slots=True)
class Share:
    """So many cases among so many requests."""

    cases: int = 0
    requests: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.cases <= self.requests:
            raise ValueError(f"cases must be from 0 to {self.requests}, not {self.cases}")

    def __add__(self, other: "Share") -> "Share":
        return Share(self.cases + other.cases, self.requests + other.requests)

    @property
    def value(self) -> float | None:
        """The share, None of no requests."""
        return self.cases / self.requests if self.requests else None

    @property
    def expected(self) -> float:
        """What the next request's chance is taken to be: strictly between 0 and 1."""
        return (self.cases + PRIOR) / (self.requests + 2 * PRIOR)


NONE = Share()


def log_gain_of_two(
    canary: Share, stable: Share, canary_before: Share, stable_before: Share
) -> float:
    """The logarithm of what betting that the canary's share is the larger one brings in an
    interval, after what was seen before it.

    Its expectation is at most 1 while both have the same chance, whatever that is, since the
    denominator's chance is the mean of the two that are bet on, weighted by the requests. Who has
    seen nothing yet bets nothing: a guess would lose much of the capital on a large first interval.
    """
    requests = canary.requests + stable.requests
    if not requests or not canary_before.requests or not stable_before.requests:
        return 0.0
    on_canary, on_stable = canary_before.expected, stable_before.expected
    if on_canary <= on_stable:  # nothing is bet on a better canary
        return 0.0
    same = (canary.requests * on_canary + stable.requests * on_stable) / requests
    return (
        _log_likelihood(canary, on_canary)
        + _log_likelihood(stable, on_stable)
        - _log_likelihood(canary + stable, same)
    )


def log_gain_of_one(seen: Share, before: Share, allowed: float) -> float:
    """The logarithm of what betting brings in an interval that the share is above `allowed`
    (strictly between 0 and 1), after what was seen before it; nothing is bet before that.
    """
    if not before.requests:
        return 0.0
    expected = max(before.expected, allowed)
    return _log_likelihood(seen, expected) - _log_likelihood(seen, allowed)


def _log_likelihood(seen: Share, chance: float) -> float:
    return seen.cases * math.log(chance) + (seen.requests - seen.cases) * math.log1p(-chance)


def _log_mean(logs: Sequence[float]) -> float:
    largest = max(logs)
    return largest + math.log(math.fsum(math.exp(log - largest) for log in logs) / len(logs))
