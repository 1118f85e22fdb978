"""What Trireme sets in the user's place, in modes Apply: a part of the resource's status.

The spec is never written. What is set is laid over it, as `trireme.rollout.adoption` does, for as
long as the spec says there what it did when it was set.
"""

from enum import StrEnum

from pydantic import Field

from trireme.api.schema import ApiModel

MOST_WORDS = 4096

_MOST_YAML = 32_768


class Origin(StrEnum):
    """Which part of the spec asked for it."""

    TUNING = "Tuning"
    OPTIMIZATION = "Optimization"


class AdoptionPhase(StrEnum):
    """How far it is."""

    TRIED = "Tried"  # on a canary, or about to be
    KEPT = "Kept"  # all pods have it
    REFUSED = "Refused"  # it was taken back, and is not tried again
    UNDECIDED = "Undecided"  # too little was seen of it, or there was no room; tried again later
    POSTPONED = "Postponed"  # it was not begun, for want of memory; looked at again later

    @property
    def is_in_force(self) -> bool:
        """Whether it is laid over the spec."""
        return self in (AdoptionPhase.TRIED, AdoptionPhase.KEPT)


class Adoption(ApiModel):
    """A part of one model's entry in spec.models that Trireme sets, or has tried."""

    model: str = Field(description="The model.")
    origin: Origin = Field(description="Tuning or Optimization.")
    phase: AdoptionPhase = Field(description="Tried, Kept, Refused, Undecided or Postponed.")
    summary: str = Field(max_length=MOST_WORDS, description="What is set, in words.")
    entry: str = Field(
        max_length=_MOST_YAML,
        description="YAML: the fields of the model's entry in spec.models that are set, each "
        "whole. Write them there to keep them for good.",
    )
    replaced: str = Field(
        max_length=_MOST_YAML,
        description="YAML: what the spec says there itself, defaults left out. Once it says "
        "something else it holds again.",
    )
    judged_by: str | None = Field(
        None,
        max_length=_MOST_YAML,
        description="YAML: what spec.optimization had the optimised model judged by. Once it says "
        "something else the spec holds again.",
    )
    made_from: str | None = Field(
        None,
        max_length=64,
        description="Digest of what the ConfigMaps held that the optimised model was made from and "
        "judged by, where there were any. Once they hold something else the spec holds again.",
    )
    generation: int = Field(description="The generation of the spec that it was tried with.")
    since: str = Field(
        description="When it came to this phase.", json_schema_extra={"format": "date-time"}
    )
    message: str = Field("", max_length=MOST_WORDS, description="Why, in numbers.")
    sustained_before: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="Requests a second that a pod sustained within the objective before.",
    )
    sustained_after: float | None = Field(
        None,
        ge=0,
        allow_inf_nan=False,
        description="The same with it, once it was learnt; 0 where the objective is out of reach.",
    )
