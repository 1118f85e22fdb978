"""What `trireme explain` says of settings that Trireme recommends, tries or keeps. Pure."""

from collections.abc import Iterator
from datetime import datetime

from trireme.api.adoption import Adoption, AdoptionPhase, Origin
from trireme.api.tuning import TuningMode, TuningStatus
from trireme.autoscaler.explain_known import Agent
from trireme.autoscaler.wording import ago, number, recommendation, setting


def knobs(agent: Agent, now: datetime) -> Iterator[str]:
    """The settings of Trireme's own, and the one that is recommended."""
    for each in agent.status.adopted:
        yield _adopted(each, now)
    told = agent.status.tuning
    if told is None:
        return
    since = ago(datetime.fromisoformat(told.since), now)
    added = f", with {told.replicas_added} replicas added since" if told.replicas_added else ""
    if told.replicas_spared:
        added += f", {told.replicas_spared} of them in its place"
    sentence = recommendation(told)
    yield f"{sentence[0].upper()}{sentence[1:]}. Told {since}{added}; {_becomes(told, agent)}."


def _becomes(told: TuningStatus, agent: Agent) -> str:
    """What becomes of a recommendation."""
    applies = agent.spec is not None and agent.spec.tuning.mode is TuningMode.APPLY
    if not applies:
        return "Trireme does not set it"
    tuned = [each for each in agent.status.adopted if each.origin is Origin.TUNING]
    summary = setting(told.knob, told.from_, told.to)
    phases = [each.phase for each in tuned if (each.model, each.summary) == (told.model, summary)]
    if AdoptionPhase.UNDECIDED in phases:
        return "it is tried on a canary again a day after it was taken back"
    if AdoptionPhase.POSTPONED in phases:
        return "whether it may be tried is looked at again after a day or an edit"
    if any(_is_compared(each) for each in agent.status.adopted):
        return (
            "it is tried on a canary once what is kept was compared, or a day after that was kept"
        )
    undoes = setting(told.knob, told.to, told.from_)
    if any((each.model, each.summary) == (told.model, undoes) for each in tuned if _is_kept(each)):
        return "what is kept in the spec's place is taken back for it, without a canary"
    first = " before anything else," if told.replicas_spared and not tuned else ""
    return f"it is tried on a canary{first} while all is calm"


def _is_kept(told: Adoption) -> bool:
    return told.phase is AdoptionPhase.KEPT


def _is_compared(told: Adoption) -> bool:
    """Whether a setting is kept, and what a pod sustains with it is not known yet."""
    is_open = told.sustained_before is not None and told.sustained_after is None
    return _is_kept(told) and is_open


_ADOPTED = {
    AdoptionPhase.TRIED: "is tried on a canary, begun {}",
    AdoptionPhase.KEPT: "is set in the spec's place, kept {}",
    AdoptionPhase.REFUSED: "was taken back for good {}",
    AdoptionPhase.UNDECIDED: "was taken back {}, to be tried again after a day",
    AdoptionPhase.POSTPONED: "was not begun, looked at {}, and again after a day or an edit",
}


def _adopted(told: Adoption, now: datetime) -> str:
    since = ago(datetime.fromisoformat(told.since), now)
    words = f"{told.model}: {told.summary} {_ADOPTED[told.phase].format(since)}: {told.message}."
    before, after = told.sustained_before, told.sustained_after
    if before is not None and after is not None:
        words += (
            f" A pod sustained {number(before)} requests/s before, and {number(after)} with it."
        )
    return words
