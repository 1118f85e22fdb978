"""What both tracks answered becomes evidence, and evidence a finding. Pure.

A finding takes two things: bets on it that were won to `measures / alpha`, so that all measures
together raise a false alarm in `alpha` of the rollouts of equal pods (`evidence`); and a difference
beyond the limit in what was seen, since with enough requests a difference that nobody minds can be
shown, too. Long before that, a difference that is beyond the limit by more than its own standard
error allows keeps a step from ending, and the last one does not end before latencies are within the
limit by that: to wait costs little, so no rate of errors is kept there.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from trireme.rollout.evidence import Bets, Share, log_gain_of_one, log_gain_of_two
from trireme.rollout.types import Answers, Due, Evidence, Limits, Measure

LEAST_IN_AN_INTERVAL = 20
"""Requests of each track for a bet on a difference of shares: of fewer a share says little, and
what was won before is at stake each time."""

DOUBT = 2.0
"""Standard errors beyond the limit that keep a step from ending: of equal pods one look in forty
finds so many by chance, and the next ones find fewer. Within it, so many take the last one to its
end: of equal pods that adds seconds to most rollouts (tests/bench/canary.py)."""

_LATENCIES = frozenset({Measure.LATE, Measure.SLOW})


@dataclass(frozen=True, slots=True)
class Finding:
    """One measure of both tracks.

    `due` is what the canary would have had in the stable pods' place, 0 where nothing is allowed
    for; `log` the logarithm of the capital, of which `needed` shows harm.
    """

    measure: Measure
    canary: Share
    stable: Share
    due: float
    limit: float
    log: float
    needed: float

    @property
    def excess(self) -> float:
        """How much larger the canary's share is than it would be in the stable pods' place."""
        return (self.canary.cases - self.due) / max(self.canary.requests, 1)

    @property
    def standard_error(self) -> float:
        """Of the excess, as if each request were one for itself."""
        return math.sqrt(_variance(self.canary) + _variance(self.stable))

    @property
    def is_doubtful(self) -> bool:
        """Whether it is more than is allowed, and hardly by chance."""
        return self.excess - self.limit > DOUBT * self.standard_error

    @property
    def is_within(self) -> bool:
        """Whether its latencies are surely within the limit, or no worse at all. What is late comes
        together, so that the error is larger than it is taken to be, and a canary that has only not
        shown to be beyond the limit may be so by chance.
        """
        room = max(0.0, self.limit - DOUBT * self.standard_error)
        return self.measure not in _LATENCIES or self.excess <= room

    @property
    def is_harm(self) -> bool:
        """Whether the canary is to be taken back for it."""
        return self.excess > self.limit and self.log >= self.needed

    def __str__(self) -> str:
        """`late: 48 of 1200 (4%), of the stable pods' 118 of 23012 (0.51%)`."""
        if self.measure is not Measure.DIFFERENT:
            told = f"{_told(self.canary)}, of the stable pods' {_told(self.stable)}"
        else:
            told = _told(self.canary) if self.canary.requests else "0 compared"
        return f"{self.measure}: {told}"


def observe(
    before: Evidence, canary: Answers, stable: Answers, compared: Share, limits: Limits
) -> Evidence:
    """The evidence after a round. Where either track answered nothing, there is nothing to compare
    but mirrored answers.
    """
    different = before.different + log_gain_of_one(compared, before.compared, limits.different)
    before = replace(before, compared=before.compared + compared, different=different)
    if not canary.requests or not stable.requests:
        return before
    after = replace(
        before,
        canary=before.canary + canary,
        stable=before.stable + stable,
        due=_due(before.due, canary, stable),
        pending_canary=before.pending_canary + canary,
        pending_stable=before.pending_stable + stable,
        failed=before.failed + _gain(Measure.FAILURES, before, canary, stable),
        refused=before.refused + _gain(Measure.REFUSED, before, canary, stable),
    )
    if min(after.pending_canary.timed, after.pending_stable.timed) < LEAST_IN_AN_INTERVAL:
        return after
    return replace(
        after,
        pending_canary=Answers(),
        pending_stable=Answers(),
        late=_bet(after, Measure.LATE, after.late, limits),
        slow=_bet(after, Measure.SLOW, after.slow, limits),
    )


def findings(evidence: Evidence, limits: Limits, false_alarm_rate: float) -> Iterator[Finding]:
    """Each measure, as it stands."""
    needed = math.log(len(Measure) / false_alarm_rate) if false_alarm_rate else math.inf
    for measure in Measure:
        canary = (
            evidence.compared if measure is Measure.DIFFERENT else evidence.canary.share(measure)
        )
        yield Finding(
            measure,
            canary,
            evidence.stable.share(measure),
            evidence.due.of(measure),
            limits.of(measure),
            evidence.log(measure),
            needed,
        )


def _due(before: Due, canary: Answers, stable: Answers) -> Due:
    """With what the canary would have had of these answers; where the share of either is not
    known, it is left out of both.
    """

    def more(measure: Measure) -> float:
        share = stable.share(measure).value
        return canary.share(measure).requests * (share or 0.0)

    return Due(
        before.failed + more(Measure.FAILURES),
        before.refused + more(Measure.REFUSED),
        before.late + more(Measure.LATE),
        before.slow + more(Measure.SLOW),
    )


def _gain(measure: Measure, before: Evidence, canary: Answers, stable: Answers) -> float:
    """What is won on a measure that is counted request by request."""
    return log_gain_of_two(
        canary.share(measure),
        stable.share(measure),
        before.canary.share(measure),
        before.stable.share(measure),
    )


def _bet(evidence: Evidence, measure: Measure, before: Bets, limits: Limits) -> Bets:
    canary = evidence.pending_canary.share(measure).value
    stable = evidence.pending_stable.share(measure).value
    if canary is None or stable is None:
        return before
    return before.after(canary - stable, limits.of(measure))


def _variance(share: Share) -> float:
    """Of a share that was seen, none or all of a few not taken for certain; 0 of no requests."""
    if not share.requests:
        return 0.0
    return share.expected * (1 - share.expected) / share.requests


def _told(share: Share) -> str:
    if share.value is None:
        return "not known"
    return f"{share.cases} of {share.requests} ({share.value:.2%})"
