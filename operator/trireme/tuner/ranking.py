"""Which of the configurations that were measured is the best, and what to measure again before that
is said.

Pure. Two measurements of one configuration differ, and the highest of many is high by luck, too:
who chooses by it is disappointed (Smith and Winkler, "The Optimizer's Curse", Management Science
52, 2006). So what was measured once is not chosen, and as in LUCB (Kalyanakrishnan et al., "PAC
Subset Selection in Stochastic Multi-armed Bandits", ICML 2012) the best so far and its strongest
rival are measured by turns until their bounds are apart, or alike enough.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from trireme.autoscaler.service_curve import summed
from trireme.tuner.types import Configuration, Measured

LEAST_TIMES = 2  # that the best is measured
ALIKE = 0.03  # of what is sustained: who gives so much away is told as the best
FOUND_WITHIN = 0.05  # of itself a rate is found (`rate_search`): how it varies, before that is seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated(Measured):
    """All measurements of one configuration: `per_second` is the mean of `rates`."""

    rates: tuple[float, ...]

    @property
    def times(self) -> int:
        """How often it was measured."""
        return len(self.rates)


def repeated(measured: Sequence[Measured]) -> tuple[Repeated, ...]:
    """What was measured by configuration, in the order of the first time."""
    by_configuration: dict[Configuration, list[Measured]] = {}
    for one in measured:
        by_configuration.setdefault(one.configuration, []).append(one)
    return tuple(_together(each) for each in by_configuration.values())


def best_of(found: Sequence[Repeated]) -> Repeated:
    """The one to choose: with the highest mean of those that were measured again, if any was and
    sustains anything. Pre: there is one.
    """
    again = [each for each in found if each.times >= LEAST_TIMES and each.per_second]
    return max(again or found, key=lambda each: each.per_second)


def to_repeat(found: Sequence[Repeated]) -> Repeated | None:
    """Which one to measure again; None where that would change nothing. Pre: there is one."""
    leader = max(found, key=lambda each: each.per_second)
    if not leader.per_second:
        return None
    if leader.times < LEAST_TIMES:
        return leader
    noise = _noise(found)
    rivals = (each for each in found if each is not leader)
    rival = max(rivals, key=lambda each: _bound(each, noise), default=None)
    if rival is None or _bound(rival, noise) <= (1 + ALIKE) * _bound(leader, -noise):
        return None
    return rival if rival.times < leader.times else leader


def _together(measured: Sequence[Measured]) -> Repeated:
    rates = tuple(one.per_second for one in measured)
    batches = summed([one.batches for one in measured])
    return Repeated(measured[0].configuration, fmean(rates), batches, rates=rates)


def _bound(each: Repeated, noise: float) -> float:
    """A standard error above what was measured, or below it."""
    return each.per_second * (1 + noise / math.sqrt(each.times))


def _noise(found: Sequence[Repeated]) -> float:
    """The standard deviation of a measurement, in shares of what it finds: of all that were made
    again, and of one more that varied as a rate is found.
    """
    squares, freedom = FOUND_WITHIN**2, 1
    for each in found:
        if each.per_second:
            squares += sum((rate / each.per_second - 1) ** 2 for rate in each.rates)
            freedom += each.times - 1
    return math.sqrt(squares / freedom)
