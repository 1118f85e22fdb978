"""What Trireme sets in the user's place: laid over the spec, begun, kept and taken back. Pure.

A setting is some fields of a model's entry. It holds as long as the spec says there what it did
when the setting was tried: what a user writes comes first. A trial is of one generation of the
spec, and an edit ends it, so that a canary is never of two changes at once.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import yaml

from trireme.api.adoption import MOST_WORDS, Adoption, AdoptionPhase, Origin
from trireme.api.agent import AgentSpec
from trireme.api.models import Model
from trireme.api.optimization import OptimizationMode
from trireme.api.scalars import format_ratio
from trireme.api.tuning import TuningMode
from trireme.autoscaler.wording import number

Adoptions = tuple[Adoption, ...]

LEAST_KEPT = 0.9
"""Of what a pod sustained before: one with which it sustains less is taken back. What is learnt of
two loads strays by some percent, so that one that gained nothing stays.
"""

TRIED_AGAIN = timedelta(days=1)
"""After a trial that nothing came of: a day holds every load that most agents see, and an hour of a
canary in it costs little.
"""

_IS_SEEN_FOR = timedelta(minutes=10)
"""How long pods may still show what was taken back: the kubelet waits five minutes at most before
it starts a server again that ended (CrashLoopBackOff), by then without it.
"""

WAITS_FOR = timedelta(days=1)
"""How long one waits to be tried until its files can be fetched: whatever passes by itself has by
then.
"""

NEW_FOR = timedelta(days=1)
"""How long one that is kept is new: a rollout is over sooner, and a day holds every load that most
agents see, by which it is compared with what was before.
"""

_OF_ONE_GENERATION = (AdoptionPhase.TRIED, AdoptionPhase.POSTPONED)  # an edit may be the remedy
_MOST_ENDED = 16  # are remembered of those that were tried in vain, the latest ones


@dataclass(frozen=True, slots=True)
class Proposal:
    """A setting that may be tried: `entry` is fields of the model's entry, each whole; none where
    the spec's own are better than what is kept in their place.
    """

    model: str
    origin: Origin
    summary: str
    entry: Mapping[str, Any]
    why: str
    sustained: float | None = None
    made_from: str | None = None


@dataclass(frozen=True, slots=True)
class Learnt:
    """How many requests a second a pod is known to sustain: 0 where the objective is out of reach.
    `is_least`: no batch was seen of half of the largest that may be made, and by larger ones than
    those that were it may be more.
    """

    per_second: float
    is_least: bool = False


# ------------------------------------------------------------------------------- laid over a spec


def overlaid(
    models: Iterable[Mapping[str, Any]], adoptions: Iterable[Adoption]
) -> list[dict[str, Any]]:
    """The entries of spec.models with what is in force of the settings."""
    chosen: dict[tuple[str, Origin], Adoption] = {}
    for each in adoptions:
        # What is tried has all of what is kept of the same origin that is to stay.
        is_first = (each.model, each.origin) not in chosen
        if each.phase.is_in_force and (is_first or each.phase is AdoptionPhase.TRIED):
            chosen[each.model, each.origin] = each
    fields: dict[str, dict[str, Any]] = {}
    for (model, _), each in chosen.items():
        fields[model] = fields.get(model, {}) | yaml.safe_load(each.entry)
    return [{**entry, **fields.get(entry["name"], {})} for entry in models]


def _replaced(model: Model, entry: Iterable[str]) -> str:
    """What the user wrote where a setting stands. Defaults are left out, so that one which comes
    with another version of the resource is no edit.
    """
    written = model.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return _yaml({field: written[field] for field in entry if field in written})


def _yaml(value: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(value), sort_keys=True, width=4096)


# ------------------------------------------------------------------------------ what becomes of it


def standing(
    spec: AgentSpec,
    adoptions: Iterable[Adoption],
    generation: int,
    made_from: Mapping[str, str | None],
) -> Adoptions:
    """Those that are still about the spec, as the user wrote it, of this generation. `made_from`
    is, by model, the digest of what one that is optimised would be made from now.
    """
    return tuple(
        each
        for each in adoptions
        if _is_asked(spec, each.model, each.origin, yaml.safe_load(each.entry))
        and _is_about(spec, each)
        and _is_made_so(spec, each, made_from)
        and (each.phase not in _OF_ONE_GENERATION or each.generation == generation)
    )


def is_asked(spec: AgentSpec) -> bool:
    """Whether a spec asks for settings of Trireme's own."""
    return any(_applies(spec, origin) for origin in Origin)


def _applies(spec: AgentSpec, origin: Origin) -> bool:
    """Whether a spec asks for settings of this origin."""
    if origin is Origin.TUNING:
        return spec.tuning.mode is TuningMode.APPLY
    return spec.optimization is not None and spec.optimization.mode is OptimizationMode.APPLY


def _is_asked(spec: AgentSpec, model: str, origin: Origin, entry: Mapping[str, Any]) -> bool:
    """Whether a setting is one that a spec asks for: of its mode, and within its limits."""
    if not _applies(spec, origin):
        return False
    if origin is Origin.TUNING:
        return _is_within_limits(spec, entry)
    asked = spec.optimization
    return asked is not None and any(each.model == model for each in asked.models)


def _is_within_limits(spec: AgentSpec, entry: Mapping[str, Any]) -> bool:
    limits, batch = spec.tuning.limits, entry.get("maxBatchSize")
    if batch is not None and batch not in limits.max_batch_size:
        return False
    if "instances" not in entry:
        return True
    count, most = sum(group["count"] for group in entry["instances"]), spec.most_instances
    return count in limits.instances and (most is None or count <= most)


def _is_about(spec: AgentSpec, adoption: Adoption) -> bool:
    model = spec.model_named(adoption.model)
    return model is not None and adoption.replaced == _replaced(
        model, yaml.safe_load(adoption.entry)
    )


def _is_made_so(spec: AgentSpec, adoption: Adoption, made_from: Mapping[str, str | None]) -> bool:
    """Whether an optimised model is of what it would be made from and judged by now."""
    if adoption.judged_by not in (None, _judged_by(spec, adoption.model)):
        return False
    now = made_from.get(adoption.model)
    return adoption.made_from is None or now is None or now == adoption.made_from


def completed(spec: AgentSpec, adoptions: Adoptions, made: Iterable[Proposal]) -> Adoptions:
    """With what optimised models were judged by and made from, where an older operator did not note
    it. It is known of those that are `made` of the spec as it is now; others stand without.
    """
    known = {_place_of(each): each for each in made}
    return tuple(
        each.model_copy(
            update={
                "judged_by": _judged_by(spec, each.model),
                "made_from": known[_place(each)].made_from,
            }
        )
        if each.judged_by is None and _place(each) in known
        else each
        for each in adoptions
    )


def _judged_by(spec: AgentSpec, model: str) -> str | None:
    """What decides whether a model that is made answers well enough; None of one that is not."""
    settings = spec.optimization
    asked = [each for each in settings.models if each.model == model] if settings else []
    if settings is None or not asked:
        return None
    told = asked[0].model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return _yaml(
        {
            "samples": told["samples"],
            "labels": asked[0].labels,
            "metric": asked[0].judged_in,
            "maxAccuracyDrop": format_ratio(settings.drop_of(asked[0])),
        }
    )


def carried_on(adoptions: Adoptions, before: int, generation: int) -> Adoptions:
    """After an edit of the size alone, which an autoscaler makes again and again: what is tried
    goes on, and what is postponed for want of memory lacks it still.
    """
    return tuple(
        each.model_copy(update={"generation": generation})
        if each.generation == before and each.phase in _OF_ONE_GENERATION
        else each
        for each in adoptions
    )


def still_compared(adoptions: Adoptions, before: int, generation: int) -> Adoptions:
    """After an edit of neither the pods nor their objectives: what becomes of them is still held
    against what is kept.
    """
    return tuple(
        each.model_copy(update={"generation": generation})
        if each.generation == before and _is_open(each)
        else each
        for each in adoptions
    )


def _is_open(adoption: Adoption) -> bool:
    """Whether it is kept, and was not compared with what was before."""
    return adoption.phase is AdoptionPhase.KEPT and adoption.sustained_after is None


def _is_new(adoption: Adoption, generation: int, now: str) -> bool:
    """Whether it is so since a short while ago, of this generation."""
    is_open = _is_open(adoption) and adoption.generation == generation
    return is_open and _passed(adoption, now) < NEW_FOR


def is_awaited(adoptions: Iterable[Adoption], generation: int, now: str) -> bool:
    """Whether one that is kept is to be compared with what was before: another one would be laid
    over it, and hide what it loses.
    """
    return any(
        _is_new(each, generation, now) and each.sustained_before is not None for each in adoptions
    )


def tried(adoptions: Iterable[Adoption]) -> Adoption | None:
    """The one that is tried: there is one at most."""
    return next((each for each in adoptions if each.phase is AdoptionPhase.TRIED), None)


def named(adoption: Adoption) -> str:
    """A setting in words: `maxBatchSize 16 in place of 8 (model encoder)`."""
    return f"{adoption.summary} (model {adoption.model})"


def tries(adoptions: Iterable[Adoption]) -> str:
    """What is tried of Trireme's own, in words; empty where nothing is."""
    found = tried(adoptions)
    return named(found) if found is not None else ""


def is_overdue(adoptions: Iterable[Adoption], now: str) -> bool:
    """Whether what is tried has been so for longer than it may wait for its files."""
    waiting = tried(adoptions)
    return waiting is not None and _passed(waiting, now) >= WAITS_FOR


def next_to_try(
    spec: AgentSpec, adoptions: Adoptions, proposals: Sequence[Proposal], now: str
) -> Proposal | None:
    """The first proposal that is not known yet, or was left undecided or postponed long enough ago,
    or by which something kept is undone; none while another is tried. `spec` is as the user wrote
    it.
    """
    if tried(adoptions) is not None:
        return None
    known = {_place(each) for each in adoptions if not _is_due(each, now)}
    return next(
        (
            each
            for each in proposals
            if _is_asked(spec, each.model, each.origin, each.entry)
            and _place_of(each) not in known
            and (_sets_anything(spec, each) or undone(adoptions, each, now) != adoptions)
        ),
        None,
    )


def _is_due(adoption: Adoption, now: str) -> bool:
    """Whether it is to be tried again, or looked at again."""
    is_open = adoption.phase in (AdoptionPhase.UNDECIDED, AdoptionPhase.POSTPONED)
    return is_open and _passed(adoption, now) >= TRIED_AGAIN


def _passed(adoption: Adoption, now: str) -> timedelta:
    """How long it has been in its phase."""
    return datetime.fromisoformat(now) - datetime.fromisoformat(adoption.since)


_Place = tuple[str, Origin, str]


def _place(adoption: Adoption) -> _Place:
    return adoption.model, adoption.origin, adoption.entry


def _place_of(proposal: Proposal) -> _Place:
    return proposal.model, proposal.origin, _yaml(proposal.entry)


def was_refused(adoptions: Iterable[Adoption], proposal: Proposal) -> bool:
    """Whether a proposal was tried, and taken back."""
    place = _place_of(proposal)
    return any(each.phase is AdoptionPhase.REFUSED and _place(each) == place for each in adoptions)


def _sets_anything(spec: AgentSpec, proposal: Proposal) -> bool:
    model = spec.model_named(proposal.model)
    if model is None:
        return False
    written = model.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return {**written, **proposal.entry} != written


def begun(
    spec: AgentSpec, adoptions: Adoptions, proposal: Proposal, generation: int, since: str
) -> Adoptions:
    """With a proposal that is tried from now on. Its model is in the spec."""
    model = spec.model_named(proposal.model)
    assert model is not None  # noqa: S101  # else it is none to try
    new = Adoption(
        model=proposal.model,
        origin=proposal.origin,
        phase=AdoptionPhase.TRIED,
        summary=proposal.summary,
        entry=_yaml(proposal.entry),
        replaced=_replaced(model, proposal.entry),
        judged_by=_judged_by(spec, model.name) if proposal.origin is Origin.OPTIMIZATION else None,
        made_from=proposal.made_from,
        generation=generation,
        since=since,
        message=proposal.why,
        sustained_before=proposal.sustained,
    )
    return (*(each for each in adoptions if _place(each) != _place(new)), new)


def kept(adoptions: Adoptions, since: str) -> Adoptions:
    """With the one that was tried kept, in the place of what was kept of the same origin."""
    return _settled(adoptions, AdoptionPhase.KEPT, since, "")


def undone(adoptions: Adoptions, proposal: Proposal, since: str) -> Adoptions:
    """With what is kept taken back for good where a proposal is to set nothing in its place; as
    they are where it is to, or nothing is kept. The pods ran so before: nothing is to be tried.
    """
    if proposal.entry:
        return adoptions
    return tuple(
        _ended(each, AdoptionPhase.REFUSED, since, f"the spec's own is better: {proposal.why}")
        if each.phase is AdoptionPhase.KEPT
        and (each.model, each.origin) == (proposal.model, proposal.origin)
        else each
        for each in adoptions
    )


def refused(adoptions: Adoptions, since: str, message: str) -> Adoptions:
    """With the one that was tried taken back for good; what was kept before holds again."""
    return _settled(adoptions, AdoptionPhase.REFUSED, since, message)


def undecided(adoptions: Adoptions, since: str, message: str) -> Adoptions:
    """With the one that was tried taken back for a while."""
    return _settled(adoptions, AdoptionPhase.UNDECIDED, since, message)


def postponed(adoptions: Adoptions, since: str, message: str) -> Adoptions:
    """With the one that was to be tried not begun, for a while or until an edit."""
    return _settled(adoptions, AdoptionPhase.POSTPONED, since, message)


def _settled(adoptions: Adoptions, phase: AdoptionPhase, since: str, message: str) -> Adoptions:
    settled = tried(adoptions)
    if settled is None:
        return adoptions
    others = [each for each in adoptions if each is not settled]
    if phase is AdoptionPhase.KEPT:
        others = [each for each in others if not (each.phase is phase and _is_alike(each, settled))]
    ended = _ended(settled, phase, since, message or settled.message)
    return tuple(_latest([*others, ended]))


def _is_alike(one: Adoption, other: Adoption) -> bool:
    return (one.model, one.origin) == (other.model, other.origin)


def _latest(adoptions: Sequence[Adoption]) -> Iterator[Adoption]:
    """Those in force, and the latest of the others, which stand in order of their ends."""
    spare = sum(not each.phase.is_in_force for each in adoptions) - _MOST_ENDED
    for each in adoptions:
        if each.phase.is_in_force or spare <= 0:
            yield each
        else:
            spare -= 1


def without_tried(adoptions: Adoptions) -> Adoptions:
    """With nothing tried any more, as if it had never been."""
    return tuple(each for each in adoptions if each.phase is not AdoptionPhase.TRIED)


def with_last_refused(adoptions: Adoptions) -> Adoptions:
    """With what was taken back last still in force; as they are where nothing was."""
    taken = [each for each in adoptions if each.phase is AdoptionPhase.REFUSED]
    last = max(reversed(taken), key=lambda each: each.since, default=None)
    return tuple(
        each.model_copy(update={"phase": AdoptionPhase.TRIED}) if each is last else each
        for each in adoptions
    )


def without_kept(adoptions: Adoptions, since: str, message: str) -> Adoptions:
    """With all that is kept taken back for good."""
    return tuple(
        _ended(each, AdoptionPhase.REFUSED, since, message)
        if each.phase is AdoptionPhase.KEPT
        else each
        for each in adoptions
    )


def not_rolled_out(adoptions: Adoptions, generation: int, since: str, message: str) -> Adoptions:
    """After pods did not come up by what they are to run: the last of those that are new is taken
    back for good. A canary's pods may have had more room than the others. Where one was taken back
    just now it may still be what is seen.
    """
    ended = [each for each in adoptions if each.phase is AdoptionPhase.REFUSED]
    if any(_passed(each, since) < _IS_SEEN_FOR for each in ended):
        return adoptions
    new = [each for each in adoptions if _is_new(each, generation, since)]
    last = max(new, key=lambda each: each.since, default=None)
    return tuple(
        _ended(each, AdoptionPhase.REFUSED, since, message) if each is last else each
        for each in adoptions
    )


def learnt(
    adoptions: Adoptions, sustained: Mapping[str, Learnt], generation: int, since: str
) -> Adoptions:
    """After it was learnt, by model, how many requests a second a pod sustains: those kept without
    a gain are taken back. What was tried with another generation may have had another objective: it
    is not compared.
    """
    return tuple(
        _measured(each, sustained[each.model], since)
        if each.model in sustained and each.generation == generation
        else each
        for each in adoptions
    )


def _measured(adoption: Adoption, sustained: Learnt, since: str) -> Adoption:
    """Small batches are no sign of a loss: where the load has fallen there are no others. Nor are
    they of what a knob gains, which is turned for the large ones.
    """
    before, found = adoption.sustained_before, sustained.per_second
    if not _is_open(adoption):
        return adoption
    is_lost = before is not None and found < LEAST_KEPT * before
    if sustained.is_least and (is_lost or adoption.origin is Origin.TUNING):
        return adoption
    after = adoption.model_copy(update={"sustained_after": found})
    if before is None or not is_lost:
        return after
    words = f"a pod sustains {number(found)} requests a second with it, and {number(before)} "
    return _ended(after, AdoptionPhase.REFUSED, since, f"{words}without")


def bent(
    adoptions: Adoptions, is_bent: Callable[[str], bool], generation: int, since: str
) -> Adoptions:
    """After it was learnt, by model, that the times of batches are on no line: what was tuned by
    one, and is not compared yet, is taken back. What a pod sustains with it will not be known.
    """
    words = "with it batches take times that are on no line, and by one it was recommended"
    return tuple(
        _ended(each, AdoptionPhase.REFUSED, since, words)
        if _is_open(each)
        and (each.origin, each.generation) == (Origin.TUNING, generation)
        and is_bent(each.model)
        else each
        for each in adoptions
    )


def _ended(adoption: Adoption, phase: AdoptionPhase, since: str, message: str) -> Adoption:
    update = {"phase": phase, "since": since, "message": message[:MOST_WORDS]}
    return adoption.model_copy(update=update)
