"""What both tracks answered becomes evidence, and evidence a finding. Pure.

A finding takes two things: bets on it that were won to `measures / alpha`, so that all measures
together raise a false alarm in `alpha` of the rollouts of equal pods (`evidence`); and a difference
beyond the limit in what was seen, since with enough requests a difference that nobody minds can be
shown, too.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from trireme.rollout.evidence import Share, log_gain_of_one, log_gain_of_two
from trireme.rollout.types import Answers, Evidence, Limits, Measure

LEAST_IN_AN_INTERVAL = 20
"""Requests of each track for a bet on a difference of shares: of fewer a share says little, and
what was won before is at stake each time."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One measure of both tracks; `shown` beyond the false alarm rate."""

    measure: Measure
    canary: Share
    stable: Share
    limit: float
    shown: bool

    @property
    def excess(self) -> float:
        """How much larger the canary's share is; 0 where either is unknown."""
        if self.canary.value is None:
            return 0.0
        if self.measure is Measure.DIFFERENT:
            return self.canary.value
        return 0.0 if self.stable.value is None else self.canary.value - self.stable.value

    @property
    def is_beyond(self) -> bool:
        """Whether that is more than is allowed."""
        return self.excess > self.limit

    @property
    def is_harm(self) -> bool:
        """Whether the canary is to be taken back for it."""
        return self.shown and self.is_beyond

    def __str__(self) -> str:
        """`late: 48 of 1200 (4%), of the stable pods' 118 of 23012 (0.51%)`."""
        stable = (
            ""
            if self.measure is Measure.DIFFERENT
            else f", of the stable pods' {_told(self.stable)}"
        )
        return f"{self.measure}: {_told(self.canary)}{stable}"


def observe(
    before: Evidence, canary: Answers, stable: Answers, compared: Share, limits: Limits
) -> Evidence:
    """The evidence after a round."""
    failed = log_gain_of_two(
        canary.share(Measure.FAILURES),
        stable.share(Measure.FAILURES),
        before.canary.share(Measure.FAILURES),
        before.stable.share(Measure.FAILURES),
    )
    after = replace(
        before,
        canary=before.canary + canary,
        stable=before.stable + stable,
        compared=before.compared + compared,
        pending_canary=before.pending_canary + canary,
        pending_stable=before.pending_stable + stable,
        failed=before.failed + failed,
        different=before.different + log_gain_of_one(compared, before.compared, limits.different),
    )
    if min(after.pending_canary.requests, after.pending_stable.requests) < LEAST_IN_AN_INTERVAL:
        return after
    return replace(
        after,
        pending_canary=Answers(),
        pending_stable=Answers(),
        late=after.late.after(_difference(after, Measure.LATE), limits.late),
        slow=after.slow.after(_difference(after, Measure.SLOW), limits.slow),
    )


def findings(evidence: Evidence, limits: Limits, false_alarm_rate: float) -> Iterator[Finding]:
    """Each measure, as it stands."""
    needed = math.log(len(Measure) / false_alarm_rate)
    for measure in Measure:
        canary = (
            evidence.compared if measure is Measure.DIFFERENT else evidence.canary.share(measure)
        )
        yield Finding(
            measure,
            canary,
            evidence.stable.share(measure),
            limits.of(measure),
            evidence.log(measure) >= needed,
        )


def _difference(evidence: Evidence, measure: Measure) -> float:
    canary = evidence.pending_canary.share(measure)
    stable = evidence.pending_stable.share(measure)
    return canary.cases / canary.requests - stable.cases / stable.requests


def _told(share: Share) -> str:
    if share.value is None:
        return "none"
    return f"{share.cases} of {share.requests} ({share.value:.2%})"
