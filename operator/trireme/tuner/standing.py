"""The recommendation that stands: when one is told, kept, changed and dropped. Pure.

A new one is told only while all is calm. One that stands is kept while it is not contradicted, and
dropped once it was followed, or does not hold any more.
"""

import math
from dataclasses import dataclass

from trireme.api.tuning import Knob, TuningStatus
from trireme.autoscaler.wording import rounded
from trireme.tuner.advice import Advice
from trireme.tuner.settings import told
from trireme.tuner.types import Configuration

MATERIAL = 0.25  # a gain that differs by less of itself is the same to a reader


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nothing is known of a model now: its curve is not learnt, or not sure."""


def standing(
    before: TuningStatus | None,
    advice: Advice | Unknown | None,
    now_set: Configuration | None,
    *,
    is_calm: bool,
    since: str,
) -> TuningStatus | None:
    """What stands after a look; None for nothing. `now_set` is how the model that `before` is of
    is served now, None of one that is gone. `since` is now, as the status writes it.
    """
    kept = before
    if before is not None and (now_set is None or told(now_set, before.knob) != before.from_):
        kept = None
    if advice is None:
        return None
    if isinstance(advice, Unknown) or not is_calm:
        return kept
    if kept is None or _what(kept) != (advice.model, advice.knob, advice.to):
        return _status(advice, since, 0)
    if math.isclose(kept.gain_percent, advice.gain * 100, rel_tol=MATERIAL):
        return kept
    return _status(advice, kept.since, kept.replicas_added)


def with_added(before: TuningStatus | None, replicas: int) -> TuningStatus | None:
    """After so many replicas were added while it stands."""
    if before is None or replicas <= 0:
        return before
    return before.model_copy(update={"replicas_added": before.replicas_added + replicas})


def is_news(before: TuningStatus | None, after: TuningStatus | None) -> bool:
    """Whether what stands is to be told: it is new, or another to a reader."""
    if after is None:
        return False
    return before is None or (
        _what(before) != _what(after) or before.gain_percent != after.gain_percent
    )


def is_bought_first(before: TuningStatus | None, after: TuningStatus | None) -> bool:
    """Whether replicas were added for the first time while it stands."""
    return after is not None and after.replicas_added > 0 and not (before and before.replicas_added)


def _what(status: TuningStatus) -> tuple[str, Knob, str]:
    return status.model, status.knob, status.to


def _status(advice: Advice, since: str, replicas_added: int) -> TuningStatus:
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
