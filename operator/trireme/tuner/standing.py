"""The recommendation that stands: when one is told, kept, changed and dropped. Pure.

A new one is told only while all is calm, or where replicas are bought that it would have spared.
One that stands is judged by the advice on its own model, whichever objective decides: it is kept
while that does not contradict it, gives way to another after a while, and is dropped once it was
followed, or, while all is calm, does not hold any more. While such replicas are there it is
neither: more pods make smaller batches, and of large ones, which it is about, nothing is learnt.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from trireme.api.tuning import Confidence, Knob, TuningStatus
from trireme.autoscaler.wording import rounded
from trireme.tuner.advice import Advice
from trireme.tuner.settings import told
from trireme.tuner.types import Configuration

MATERIAL = 0.25  # a gain that differs by less of itself is the same to a reader
LEAST_STAY = timedelta(minutes=30)  # else two objectives that decide by turns tell by turns


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nothing is known of a model now: its curve is not learnt, or not sure."""


@dataclass(frozen=True, slots=True)
class Stood:
    """What stood, how its model is served now, and the present advice on that."""

    status: TuningStatus
    now_set: Configuration
    advice: Advice | Unknown | None

    @property
    def was_followed(self) -> bool:
        """Whether the knob was turned."""
        return told(self.now_set, self.status.knob) != self.status.from_


def standing(
    before: Stood | None,
    decisive: Advice | None,
    *,
    is_calm: bool,
    since: str,
    is_named: bool = False,
) -> TuningStatus | None:
    """What stands after a look; None for nothing. `decisive` is the advice on the model that
    decides, `since` is now, as the status writes it. `is_named`: a decision that buys replicas has
    named it, as what would have spared some.
    """
    if before is not None and before.was_followed:
        before = None
    kept = before.status if before is not None else None
    if is_named and decisive is not None and (kept is None or _what(kept) != _advised(decisive)):
        return as_status(decisive, since)
    if not is_calm or (kept is not None and kept.replicas_spared > 0):
        return kept
    if before is not None and before.advice is None:
        kept = None
    new = as_status(decisive, since) if decisive is not None and decisive.is_worth_telling else None
    if kept is None or before is None:
        return new
    if new is not None and _what(new) != _what(kept) and _stayed(kept, since) >= LEAST_STAY:
        return new
    own = before.advice
    if not isinstance(own, Advice) or _advised(own) != _what(kept):
        return kept
    # Only once: what a curve tells may be sure by one look and not by the next.
    is_surer = kept.confidence is Confidence.LOW and own.confidence is not Confidence.LOW
    if not is_surer and math.isclose(kept.gain_percent, own.gain * 100, rel_tol=MATERIAL):
        return kept
    return as_status(own, kept.since, kept.replicas_added)


def _stayed(kept: TuningStatus, now: str) -> timedelta:
    return datetime.fromisoformat(now) - datetime.fromisoformat(kept.since)


def with_change(
    before: TuningStatus | None, change: int, spared: int, of: str | None = None
) -> TuningStatus | None:
    """After replicas were added (or, below 0, removed) while it stands, of which it would have
    spared some, as was reckoned by what `of` is the digest of.
    """
    if before is None or change == 0:
        return before
    added = before.replicas_added + max(change, 0)
    left = max(before.replicas_spared + spared + min(change, 0), 0)
    return _owing(before.model_copy(update={"replicas_added": added}), left, of)


def still_owed(before: TuningStatus, of: str) -> TuningStatus:
    """Without the replicas that were reckoned by something else than what `of` is the digest of."""
    return before if before.spared_of in (None, of) else _owing(before, 0, None)


def within(before: TuningStatus, replicas: int) -> TuningStatus:
    """With no more replicas in its place than there are beside the one that stays, whoever took
    the others away.
    """
    left = min(before.replicas_spared, max(replicas - 1, 0))
    return _owing(before, left, before.spared_of)


def _owing(before: TuningStatus, spared: int, of: str | None) -> TuningStatus:
    return before.model_copy(
        update={"replicas_spared": spared, "spared_of": of if spared else None}
    )


def is_news(before: TuningStatus | None, after: TuningStatus | None) -> bool:
    """Whether what stands is to be told: it is new, or another to a reader."""
    if after is None:
        return False
    return before is None or _read(before) != _read(after)


def _read(status: TuningStatus) -> tuple[object, ...]:
    return *_what(status), status.gain_percent, status.confidence


def _what(status: TuningStatus) -> tuple[str, Knob, str]:
    return status.model, status.knob, status.to


def _advised(advice: Advice) -> tuple[str, Knob, str]:
    return advice.model, advice.knob, advice.to


def as_status(advice: Advice, since: str, replicas_added: int = 0) -> TuningStatus:
    """A recommendation as the status has it."""
    return TuningStatus(
        model=advice.model,
        knob=advice.knob,
        from_=advice.now,
        to=advice.to,
        gain_percent=rounded(advice.gain * 100),
        least_gain_percent=rounded(advice.least_gain * 100),
        most_gain_percent=rounded(advice.most_gain * 100),
        confidence=advice.confidence,
        evidence=advice.evidence,
        since=since,
        replicas_added=replicas_added,
    )
