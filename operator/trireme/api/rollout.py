"""How a change of the spec reaches the pods, and what is known of a canary: parts of the resource.

The analysis itself is in `trireme.rollout`, which reads its plan from here.
"""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from trireme.api.scalars import Duration, Quantity, Ratio
from trireme.api.schema import ApiModel, cel, list_map


class RolloutStrategy(StrEnum):
    """How a new template replaces the old one."""

    ROLLING_UPDATE = "RollingUpdate"
    CANARY = "Canary"


class CanaryStep(ApiModel):
    """A share of the requests, and how long and for how many of them it is watched at least."""

    weight: Ratio = Field(description="Share of the requests that the canary gets, such as 5%.")
    pause: Duration = Field(
        timedelta(minutes=1), description="How long the step lasts at least, such as 5m."
    )
    min_requests: int = Field(
        200, ge=1, le=1_000_000_000, description="Requests that the canary answers in it at least."
    )


class CanaryLimits(ApiModel):
    """How much worse than the stable pods a canary may be, in shares of the requests."""

    failures: Ratio = Field(0.001, description="More requests that fail.")
    refused: Ratio = Field(
        0.001,
        description="More requests that are refused as the client's fault, such as one with an "
        "input that the model no longer has: HTTP 4xx, gRPC INVALID_ARGUMENT, NOT_FOUND and others "
        "of their kind.",
    )
    late: Ratio = Field(
        0.025, description="More requests that miss the objective's latency, or fail."
    )
    slower: Ratio = Field(
        0.2,
        description="More requests that take longer than half of the stable pods' requests took "
        "when the rollout began: 20% lets the median wander to what was the 70th percentile.",
    )
    different: Ratio = Field(
        0.01, description="Mirrored requests that are answered otherwise than by the stable pods."
    )


class MirrorTolerance(ApiModel):
    """How far apart two numbers may be and count as the same; the wider of the two holds.

    It is for outputs of floating point. Integers are the same where they are equal, since most are
    names of something: of a class, of a token.
    """

    absolute: float = Field(
        0.001, ge=0, allow_inf_nan=False, description="Difference of two numbers."
    )
    relative: Ratio = Field(
        0.01,
        description="Difference of two numbers, in parts of the larger one; that of one rounding "
        "to BF16 is up to 0.4%.",
    )


OutputName = Annotated[str, Field(min_length=1, max_length=256)]


class Comparison(StrEnum):
    """What of an output is compared in the place of its numbers, by rows of the last dimension."""

    CLASS = "Class"  # where the largest number of a row is
    DIRECTION = "Direction"  # where a row points to, as a vector


class ComparedOutput(ApiModel):
    """An output whose numbers may differ as long as they mean the same. One that has no dimension
    of 2 or more as its last is compared number by number nevertheless.
    """

    name: OutputName = Field(description="The output, of any model.")
    by: Comparison = Field(
        description="Class: the place of the largest number of each row, as of scores by class; or "
        "Direction: the cosine between the two vectors of each row, as of embeddings."
    )
    min_cosine: float = Field(
        0.99,
        ge=-1,
        le=1,
        allow_inf_nan=False,
        description="By Direction, the least cosine of two vectors that are the same.",
    )


class Mirror(ApiModel):
    """Requests that are copied while a canary runs: both tracks answer the copy, and the answers
    are compared and thrown away. Streams and sequences are never copied.
    """

    share: Ratio = Field(description="Share of the requests that are copied, such as 10%.")
    max_in_flight: int = Field(
        8, ge=1, le=1024, description="Copies that are compared at a time; one too many is dropped."
    )
    max_size: Quantity = Field(
        "4Mi", description="Bytes of a request or of an answer; what is larger is dropped."
    )
    tolerance: MirrorTolerance = Field(
        MirrorTolerance(), description="How far apart numbers may be and count as the same."
    )
    ignore_outputs: Annotated[list[OutputName], Field(max_length=100)] = Field(
        [], description="Outputs that are not compared, such as one that tells the time."
    )
    outputs: list[ComparedOutput] = Field(
        [],
        max_length=100,
        description="Outputs of which not each number is compared, such as those of a model "
        "that is served in lower precision.",
        json_schema_extra=list_map("name"),
    )


_STEPS = [CanaryStep.model_validate({"weight": weight}) for weight in ("5%", "25%", "50%")]

StepList = Annotated[list[CanaryStep], Field(min_length=1, max_length=20)]


class Canary(ApiModel):
    """The steps of a canary, and when it is taken back."""

    steps: StepList = Field(
        _STEPS,
        description="What the canary goes through before it is promoted, in this order.",
        json_schema_extra=cel(
            (
                "self.all(i, self.filter(j, j.weight == i.weight).size() == 1)",
                "each step must have a weight of its own",
            )
        ),
    )
    deadline: Duration = Field(
        timedelta(hours=1),
        description="How long the canary may carry its share in one step before it is taken back "
        "undecided. Until its pods are ready, and in their first minute, it does not run.",
    )
    false_alarm_rate: Ratio = Field(
        0.01,
        description="Chance that a canary which is no worse is taken back for what was seen of it, "
        "over the whole rollout and all limits.",
    )
    limits: CanaryLimits = Field(
        CanaryLimits(), description="How much worse than the stable pods the canary may be."
    )
    mirror: Mirror | None = Field(
        None, description="Requests that both tracks answer, to compare the answers."
    )


class Rollout(ApiModel):
    """How a change of the spec reaches the pods."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "self.maxSurge + self.maxUnavailable >= 1",
                "one of maxSurge and maxUnavailable must be 1 or more",
            )
        )
    )

    strategy: RolloutStrategy = Field(
        RolloutStrategy.ROLLING_UPDATE,
        description="RollingUpdate; or Canary: a change of the pods is tried on a canary beside "
        "them, and taken back by itself where it is worse.",
    )
    max_surge: int = Field(
        1, ge=0, le=1000, description="Pods above the wanted number; 0 where there is no spare GPU."
    )
    max_unavailable: int = Field(0, ge=0, le=1000, description="Pods below the wanted number.")
    canary: Canary = Field(Canary(), description="The steps, in strategy Canary.")


# --------------------------------------------------------------------------------------- status


class RolloutPhase(StrEnum):
    """What becomes of a canary."""

    PROGRESSING = "Progressing"
    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"


class TrackAnswers(ApiModel):
    """What one track answered."""

    requests: int = Field(0, ge=0, description="Requests answered.")
    failed: int = Field(0, ge=0, description="Of these, failures.")
    late: int = Field(0, ge=0, description="Of these, over the objective's latency, or failed.")
    slow: int = Field(
        0,
        ge=0,
        description="Of these, over what half of the stable pods' requests took, or failed.",
    )
    untimed: int = Field(0, ge=0, description="Of these, whose latencies are not known.")
    refused: int | None = Field(
        None,
        ge=0,
        description="Of these, refused as the client's fault; without a gateway nobody counts "
        "them.",
    )


class DueAnswers(ApiModel):
    """What the canary would have had in the stable pods' place."""

    failed: float = Field(0.0, ge=0, description="Failures.")
    refused: float = Field(0.0, ge=0, description="Refusals.")
    late: float = Field(0.0, ge=0, description="Late answers.")
    slow: float = Field(0.0, ge=0, description="Slow answers.")


class Capital(ApiModel):
    """Natural logarithms of what bets on the canary's being worse have won, of each stake."""

    failed: float = Field(0.0, description="By failures.")
    refused: float = Field(0.0, description="By refusals.")
    different: float = Field(0.0, description="By other answers.")
    late: list[float] = Field([], description="By late answers.")
    slow: list[float] = Field([], description="By slow answers.")


class RolloutAnalysis(ApiModel):
    """What the analysis goes on from after a restart of the operator."""

    look_time: str = Field(
        description="When the canary was last looked at.",
        json_schema_extra={"format": "date-time"},
    )
    watched_seconds: float = Field(0.0, ge=0, description="How long it was so in this step.")
    carried_seconds: float = Field(
        0.0, ge=0, description="How long its pods carried its share in this step."
    )
    step_requests: int = Field(0, ge=0, description="What the canary answered in this step.")
    step_compared: int = Field(
        0, ge=0, description="Mirrored requests that both tracks answered in this step."
    )
    usual_milliseconds: float | None = Field(
        None, description="What half of the stable pods' requests took when it began."
    )
    due: DueAnswers = Field(DueAnswers(), description="What it would have had as a stable pod.")
    compared: int = Field(0, ge=0, description="Mirrored requests that both tracks answered.")
    different: int = Field(0, ge=0, description="Of these, answered otherwise.")
    pending_canary: TrackAnswers = Field(TrackAnswers(), description="Not yet bet on.")
    pending_stable: TrackAnswers = Field(TrackAnswers(), description="Not yet bet on.")
    capital: Capital = Field(Capital(), description="What was won.")


class RolloutStatus(ApiModel):
    """The last canary: what it is of, how far it is, and what was seen."""

    phase: RolloutPhase = Field(description="Progressing, Promoted or RolledBack.")
    candidate: str = Field(description="Digest of what the canary's pods are made of.")
    generation: int = Field(description="The generation that the canary is of.")
    step: int = Field(1, ge=1, description="The step that it is in, from 1.")
    weight: Ratio = Field(0.0, description="Share of the requests that it is to get.")
    start_time: str = Field(
        description="When the rollout began.", json_schema_extra={"format": "date-time"}
    )
    message: str = Field("", description="Why it goes on, waits or ended, in numbers.")
    undecided: bool = Field(
        False, description="Whether it was taken back since too little was seen to judge by."
    )
    canary: TrackAnswers = Field(TrackAnswers(), description="What the canary answered.")
    stable: TrackAnswers = Field(TrackAnswers(), description="What the stable pods answered.")
    analysis: RolloutAnalysis | None = Field(
        None, description="What the analysis goes on from, while it does."
    )
