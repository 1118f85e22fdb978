"""What Trireme sets in the user's place: laid over the spec, begun, kept and taken back. Pure.

A setting is a part of a model's entry. It holds as long as the spec says there what it did when the
setting was tried: what a user writes comes first. A trial is of one generation of the spec, and an
edit ends it, so that a canary is never of two changes at once.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from trireme.api.adoption import Adoption, AdoptionPhase, Origin
from trireme.api.models import Model
from trireme.api.optimization import OptimizationMode
from trireme.api.tuning import TuningMode
from trireme.api.types import AgentSpec
from trireme.autoscaler.wording import number

Adoptions = tuple[Adoption, ...]

LEAST_KEPT = 0.9
"""Of what a pod sustained before: one with which it sustains less is taken back. What is learnt of
two loads strays by some percent, so that one that gained nothing stays.
"""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A setting that may be tried: `entry` is a merge patch (RFC 7386) of the model's entry."""

    model: str
    origin: Origin
    summary: str
    entry: Mapping[str, Any]
    why: str
    sustained: float | None = None


# ------------------------------------------------------------------------------- laid over a spec


def overlaid(spec: AgentSpec, adoptions: Iterable[Adoption]) -> AgentSpec:
    """The spec with what is in force of the settings. Raises pydantic's ValidationError where the
    two do not go together.
    """
    by_model: dict[str, dict[Origin, Adoption]] = {}
    for each in adoptions:
        before = by_model.setdefault(each.model, {}).get(each.origin)
        # What is tried holds all that is kept of the same origin.
        if each.phase.is_in_force and (before is None or each.phase is AdoptionPhase.TRIED):
            by_model[each.model][each.origin] = each
    models = [_merged(model, by_model.get(model.name, {}).values()) for model in spec.models]
    return spec.model_copy(update={"models": models})


def _merged(model: Model, adoptions: Iterable[Adoption]) -> Model:
    entry = _written(model)
    for each in adoptions:
        entry = merged(entry, yaml.safe_load(each.entry))
    if entry == _written(model):
        return model
    return Model.model_validate(entry, by_alias=True, by_name=False)


def merged(entry: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON merge patch (RFC 7386) of what YAML holds; null takes a field away."""
    result = dict(entry)
    for field, value in patch.items():
        if value is None:
            result.pop(field, None)
        elif isinstance(value, Mapping):
            before = result.get(field)
            result[field] = merged(before if isinstance(before, Mapping) else {}, value)
        else:
            result[field] = value
    return result


def _written(model: Model) -> dict[str, Any]:
    """A model's entry as the user wrote it."""
    return model.model_dump(mode="json", by_alias=True, exclude_unset=True)


def _replaced(model: Model, entry: Mapping[str, Any]) -> str:
    """What the user wrote where a setting stands."""
    written = _written(model)
    return _yaml({field: written[field] for field in entry if field in written})


def _yaml(value: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(value), sort_keys=True, width=4096)


# ------------------------------------------------------------------------------ what becomes of it


def standing(spec: AgentSpec, adoptions: Iterable[Adoption], generation: int) -> Adoptions:
    """Those that are still about the spec, as the user wrote it, of this generation."""
    return tuple(
        each
        for each in adoptions
        if _is_asked(spec, each.origin)
        and _is_about(spec, each)
        and (each.phase is not AdoptionPhase.TRIED or each.generation == generation)
    )


def _is_asked(spec: AgentSpec, origin: Origin) -> bool:
    if origin is Origin.TUNING:
        return spec.tuning.mode is TuningMode.APPLY
    return spec.optimization is not None and spec.optimization.mode is OptimizationMode.APPLY


def _is_about(spec: AgentSpec, adoption: Adoption) -> bool:
    model = model_of(spec, adoption.model)
    return model is not None and adoption.replaced == _replaced(
        model, yaml.safe_load(adoption.entry)
    )


def model_of(spec: AgentSpec, name: str) -> Model | None:
    """A model of a spec; None where it has none of that name."""
    return next((model for model in spec.models if model.name == name), None)


def tried(adoptions: Iterable[Adoption]) -> Adoption | None:
    """The one that is tried: there is one at most."""
    return next((each for each in adoptions if each.phase is AdoptionPhase.TRIED), None)


def next_to_try(
    spec: AgentSpec, adoptions: Adoptions, proposals: Sequence[Proposal]
) -> Proposal | None:
    """The first proposal that was not tried yet; none while another is tried. `spec` is as the user
    wrote it.
    """
    if tried(adoptions) is not None:
        return None
    known = {(each.model, each.origin, each.entry) for each in adoptions}
    return next(
        (
            each
            for each in proposals
            if _is_asked(spec, each.origin)
            and (each.model, each.origin, _yaml(each.entry)) not in known
            and not _is_written(spec, each)
        ),
        None,
    )


def was_refused(adoptions: Iterable[Adoption], proposal: Proposal) -> bool:
    """Whether a proposal was tried, and taken back."""
    what = (proposal.model, proposal.origin, _yaml(proposal.entry), AdoptionPhase.REFUSED)
    return any((each.model, each.origin, each.entry, each.phase) == what for each in adoptions)


def _is_written(spec: AgentSpec, proposal: Proposal) -> bool:
    model = model_of(spec, proposal.model)
    return model is None or merged(_written(model), proposal.entry) == _written(model)


def begun(
    spec: AgentSpec, adoptions: Adoptions, proposal: Proposal, generation: int, since: str
) -> Adoptions:
    """With a proposal that is tried from now on."""
    model = model_of(spec, proposal.model)
    assert model is not None  # noqa: S101  # else it is none to try
    return (
        *adoptions,
        Adoption(
            model=proposal.model,
            origin=proposal.origin,
            phase=AdoptionPhase.TRIED,
            summary=proposal.summary,
            entry=_yaml(proposal.entry),
            replaced=_replaced(model, proposal.entry),
            generation=generation,
            since=since,
            message=proposal.why,
            sustained_before=proposal.sustained,
        ),
    )


def kept(adoptions: Adoptions, since: str) -> Adoptions:
    """With the one that was tried kept, in the place of what was kept of the same origin."""
    return _settled(adoptions, AdoptionPhase.KEPT, since, "")


def refused(adoptions: Adoptions, since: str, message: str) -> Adoptions:
    """With the one that was tried taken back, in the place of what was before."""
    return _settled(adoptions, AdoptionPhase.REFUSED, since, message)


def _settled(adoptions: Adoptions, phase: AdoptionPhase, since: str, message: str) -> Adoptions:
    settled = tried(adoptions)
    if settled is None:
        return adoptions
    update = {"phase": phase, "since": since, "message": message or settled.message}
    others = (each for each in adoptions if each is not settled)
    return _distinct([*others, settled.model_copy(update=update)])


def without_tried(adoptions: Adoptions) -> Adoptions:
    """With nothing tried any more, as if it had never been."""
    return tuple(each for each in adoptions if each.phase is not AdoptionPhase.TRIED)


def without_kept(adoptions: Adoptions) -> Adoptions:
    """With nothing kept any more."""
    return tuple(each for each in adoptions if each.phase is not AdoptionPhase.KEPT)


def learnt(
    adoptions: Adoptions, sustained: Mapping[str, float], generation: int, since: str
) -> Adoptions:
    """After it was learnt, by model, how many requests a second a pod sustains: those kept without
    a gain are taken back. `sustained` is 0 where the objective is out of reach. What was tried with
    another generation may have had another objective: it is not compared.
    """
    return _distinct(
        _measured(each, sustained[each.model], since)
        if each.model in sustained and each.generation == generation
        else each
        for each in adoptions
    )


def _measured(adoption: Adoption, sustained: float, since: str) -> Adoption:
    before = adoption.sustained_before
    is_new = adoption.phase is AdoptionPhase.KEPT and adoption.sustained_after is None
    if not is_new or before is None:
        return adoption
    update: dict[str, Any] = {"sustained_after": sustained}
    if sustained < LEAST_KEPT * before:
        message = f"a pod sustains {number(sustained)} requests a second with it, and "
        message += f"{number(before)} without"
        update |= {"phase": AdoptionPhase.REFUSED, "since": since, "message": message}
    return adoption.model_copy(update=update)


def _distinct(adoptions: Iterable[Adoption]) -> Adoptions:
    """The latest of each phase of each origin of each model, in their order."""
    latest: dict[tuple[str, Origin, AdoptionPhase], Adoption] = {}
    for each in adoptions:
        place = (each.model, each.origin, each.phase)
        if place not in latest or latest[place].since <= each.since:
            latest[place] = each
    return tuple(latest.values())
