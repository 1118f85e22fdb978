"""The knobs of a server that may be tuned, and what is recommended: parts of the resource.

What is recommended follows in `trireme.tuner`, which reads its bounds from here.
"""

from enum import StrEnum

from pydantic import ConfigDict, Field

from trireme.api.scalars import Duration, Quantity
from trireme.api.schema import ApiModel, cel


class TuningMode(StrEnum):
    """What becomes of a better setting."""

    DISABLED = "Disabled"  # none is looked for
    RECOMMEND = "Recommend"  # it is told, and the user sets it
    APPLY = "Apply"  # it is tried on a canary, and kept where it is no worse


class TuningRange(ApiModel):
    """Whole numbers that a knob may be set to."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "!has(self.max) || !has(self.min) || self.min <= self.max",
                "min must not be greater than max",
            )
        )
    )

    min: int = Field(1, ge=1, le=4096, description="The least.")
    max: int | None = Field(None, ge=1, le=4096, description="The most; absent, Trireme's own.")

    def __contains__(self, value: int) -> bool:
        return self.min <= value <= (self.max or value)


class TuningLimits(ApiModel):
    """What a recommendation stays within."""

    max_batch_size: TuningRange = Field(
        TuningRange(),
        description="Of the largest batch; a model may know of a bound that its files do not tell.",
    )
    instances: TuningRange = Field(
        TuningRange(),
        description="Of the instances in a pod. In mode Apply a `max` lets one more be tried on a "
        "canary before it is known what they cost each other.",
    )
    max_queue_delay: Duration | None = Field(
        None,
        description="The longest queue delay that `trireme tune` may try; absent, it may be "
        "any that leaves the objective room.",
    )
    instance_memory: Quantity | None = Field(
        None, description="What an instance takes of `memory`, where that is known, such as 1.5Gi."
    )
    memory: Quantity | None = Field(
        None,
        description="What all instances of a model may take together: of a GPU's memory, or of the "
        "pod's. Absent, on CPU, it is server.resources.memory.",
    )


class Tuning(ApiModel):
    """How the server's knobs are set."""

    mode: TuningMode = Field(
        TuningMode.RECOMMEND,
        description="Disabled; or Recommend: a setting by which a pod sustains more is told in the "
        "status and in an Event; or Apply: it is tried on a canary, and kept while the spec says "
        "there what it does now.",
    )
    limits: TuningLimits = Field(TuningLimits(), description="What a recommendation stays within.")


# --------------------------------------------------------------------------------------- status


class Knob(StrEnum):
    """What can be turned, as the spec names it. BATCHING is the largest batch, too, of a model
    whose requests are executed one by one: the dynamic batcher is switched on for it.
    """

    BATCHING = "batching"
    MAX_BATCH_SIZE = "maxBatchSize"
    INSTANCES = "instances"
    MAX_QUEUE_DELAY = "maxQueueDelay"


class Confidence(StrEnum):
    """How sure a gain is."""

    HIGH = "High"  # whatever is not known
    MEDIUM = "Medium"  # by what a line says beyond what was seen; a gain even if it bends
    LOW = "Low"  # nothing like it was seen; the least gain is what it may lose


class TuningStatus(ApiModel):
    """The setting that is recommended now."""

    model: str = Field(description="The model that it is of.")
    knob: Knob = Field(
        description="maxBatchSize, instances or maxQueueDelay; or batching, which is to be "
        "switched on: the largest batch is told then, from 1 for requests executed one by one."
    )
    # `from` is a word of Python.
    from_: str = Field(alias="from", description="What it is set to, as the spec writes it.")
    to: str = Field(description="What it is better set to.")
    gain_percent: float = Field(
        description="How much more a pod then sustains within the objective, as is expected."
    )
    least_gain_percent: float = Field(description="The same if what is not known is at its worst.")
    most_gain_percent: float = Field(description="And if it is at its best.")
    confidence: Confidence = Field(
        description="High; or Medium, where it follows from a line beyond what was seen; or "
        "Low, where nothing like it was seen, and leastGainPercent may be a loss."
    )
    evidence: str = Field(description="What it stands on.")
    since: str = Field(
        description="When it was first told.", json_schema_extra={"format": "date-time"}
    )
    replicas_added: int = Field(
        0, ge=0, description="Replicas that were added to the agent while it stands."
    )
    replicas_spared: int = Field(
        0,
        ge=0,
        description="Replicas that were bought and are still there, of which it is known that it "
        "would have done without. While there are any it is tried before anything else, unless "
        "another knob was.",
    )
    spared_of: str | None = Field(
        None,
        max_length=64,
        description="Digest of what these replicas were reckoned by: the model, the objectives "
        "and, of instances, whether it was a guess what they cost each other. Once that is "
        "another, none is counted any more.",
    )
