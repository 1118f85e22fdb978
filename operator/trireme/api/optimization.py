"""What an agent's models are optimised by, and what came of it: parts of the resource.

What the Job of one model is told and answers is in `api.optimize`.
"""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from trireme.api.fields import ModelName
from trireme.api.scalars import Duration, Quantity, Ratio
from trireme.api.schema import LARGEST_INT, ApiModel, cel, list_map
from trireme.api.sources import SecretRef, Source
from trireme.api.texts import cut

METRIC_PATTERN = r"^(accuracy|top-[1-9][0-9]{0,3}|f1|cosine|mean-error|max-error)$"
LARGEST_BATCH = 1024
"""What the optimiser measures at most."""

MOST_TRIED = 4
"""Forms that a status tells of: as many as the optimiser judges at last."""

LONGEST_REFUSAL = 200
"""Characters of why one is not served."""

DESTINATION_MISSING = "optimization needs a destination in every mode but Disabled"
MODELS_MISSING = "optimization needs models in every mode but Disabled"
"""What a spec without them is told, by the API server and by Trireme."""

_LONGEST_SHOWN = 1024  # of what a Job tells, which may be a hostile model's own words


class OptimizationMode(StrEnum):
    """What is done with a model that is cheaper and shown to answer as before."""

    DISABLED = "Disabled"
    RECOMMEND = "Recommend"  # told in the status and an Event, for the user to take over
    APPLY = "Apply"  # tried on a canary, and kept where it is no worse


class Technique(StrEnum):
    """What can be done to a model that is served, by the names of the optimiser's own table.

    What cuts or trains a model needs its module, which no serving file holds.
    """

    TORCHSCRIPT = "torchscript"
    DEAD_BRANCHES = "dead-branches"
    FUSE = "fuse"
    FP16 = "fp16"
    INT8_DYNAMIC = "int8-dynamic"
    INT8_STATIC = "int8-static"
    INT8_INNER = "int8-inner"
    INT8_WEIGHTS = "int8-weights"
    INT4_WEIGHTS = "int4-weights"


class TargetName(StrEnum):
    """What can be wished of a result, beside that it is cheaper and answers as before."""

    LATENCY = "latency"
    SIZE = "size"


class OptimizationTarget(ApiModel):
    """What is wished of a result: one that misses it is taken only where no other keeps it."""

    latency: Duration | None = Field(
        None,
        description="What a batch may take, as the Job measures it, of the batch size that takes "
        "the least: 20ms.",
    )
    size: Quantity | None = Field(None, description="What the model's file may have: 50Mi.")


class OptimizedModel(ApiModel):
    """A model to optimise, and what it is judged by."""

    model: ModelName = Field(description="One of spec.models; of several versions the latest.")
    samples: Source = Field(
        description="Where sample inputs are: a .npz file with an array for each input, a .npy "
        "file, recorded requests (.jsonl, .json), a folder of these, or a .parquet file; the "
        "first dimension counts the samples. Some hundreds are needed: a gate of 0.5% takes 1,750 "
        "or more."
    )
    labels: str | None = Field(
        None,
        min_length=1,
        max_length=1024,
        description="Which array or column of the samples holds what is right. Without it answers "
        "are compared with those of the model as it is.",
    )
    metric: str | None = Field(
        None,
        pattern=METRIC_PATTERN,
        max_length=32,
        description="accuracy, top-K, f1, cosine, mean-error or max-error. Left out: accuracy "
        "where there are labels, else cosine.",
    )
    max_accuracy_drop: Ratio | None = Field(
        None, description="Another drop than the others' may be, since metrics differ."
    )
    target: OptimizationTarget = Field(
        OptimizationTarget(),
        description="What is wished of the result. Where nothing that passes keeps it, the "
        "cheapest that passes is offered nevertheless, and told by how much it misses it.",
    )
    threads: int = Field(
        1, ge=1, le=256, description="Threads of an instance, measured by and written for it."
    )

    @property
    def judged_in(self) -> str:
        """The metric, also where it is left out."""
        return self.metric or ("cosine" if self.labels is None else "accuracy")


class OptimizationResources(ApiModel):
    """What a Job may use: requests and limits alike, since what it runs is not trusted."""

    cpu: Quantity = Field("2", description="CPU request and limit.")
    memory: Quantity = Field("8Gi", description="Memory request and limit.")
    storage: Quantity = Field(
        "20Gi", description="Size limit of each of its volumes: what is fetched, tried and made."
    )


class Destination(ApiModel):
    """Where optimised models are put: into a folder of their own each, named by its content."""

    uri: str = Field(
        max_length=1024,
        pattern=r"^(pvc|s3|gs|az)://[^\s/][^\s]*$",
        description="pvc://CLAIM/FOLDER/, s3://BUCKET/PREFIX/, gs:// or az://.",
    )
    endpoint: str | None = Field(
        None,
        max_length=2048,
        pattern=r"^https?://[^\s/]+[^\s]*$",
        description="The address of an object store that speaks S3.",
    )
    region: str | None = Field(
        None, max_length=64, pattern=r"^[a-z0-9-]+$", description="The bucket's region."
    )
    secret_ref: SecretRef | None = Field(
        None, description="A Secret with credentials that may write there."
    )


class Optimization(ApiModel):
    """Models made cheaper to run by a Job each, and shown to answer as before."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            ("self.mode == 'Disabled' || has(self.destination)", DESTINATION_MISSING),
            (
                "self.mode == 'Disabled' || (has(self.models) && size(self.models) > 0)",
                MODELS_MISSING,
            ),
        )
    )

    mode: OptimizationMode = Field(
        OptimizationMode.RECOMMEND,
        description="Disabled; or Recommend: the result is told in the status, and nothing is "
        "changed; or Apply: it is tried on a canary, and serves in the place of the model's source "
        "for as long as that stays as it is.",
    )
    max_accuracy_drop: Ratio = Field(
        0.005,
        description="What a model may answer worse, in the metric's own unit: 0.5% of accuracy is "
        "half a point. It is the upper end of what held-out samples leave possible, with 95% "
        "confidence.",
    )
    time_budget: Duration = Field(
        timedelta(minutes=10), description="How long to search for one model, about."
    )
    techniques: list[Technique] = Field(
        [],
        max_length=32,
        description="Only these; empty tries all.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    destination: Destination | None = Field(
        None, description="Where optimised models are put. Only mode Disabled does without."
    )
    resources: OptimizationResources = Field(
        OptimizationResources(), description="What the Job of a model may use."
    )
    models: list[OptimizedModel] = Field(
        [],
        max_length=16,
        description="Which models, each with its samples. Only mode Disabled does without.",
        json_schema_extra=list_map("model"),
    )

    @property
    def put_at(self) -> Destination:
        """The destination, which one that is not Disabled has."""
        assert self.destination is not None  # noqa: S101  # accepted
        return self.destination

    def drop_of(self, asked: OptimizedModel) -> float:
        """What one of the models may answer worse."""
        drop = asked.max_accuracy_drop
        return self.max_accuracy_drop if drop is None else drop


# --------------------------------------------------------------------------------------- status


class OptimizationPhase(StrEnum):
    """How far the optimisation of a model is."""

    WAITING = "Waiting"  # for other Jobs, for its time to be tried again, or for its sources
    RUNNING = "Running"
    OPTIMIZED = "Optimized"
    NOTHING_GAINED = "NothingGained"  # nothing is cheaper and shown to answer as well
    FAILED = "Failed"

    @property
    def over(self) -> bool:
        """Whether nothing more is to be done for this model as it is."""
        return self in (OptimizationPhase.OPTIMIZED, OptimizationPhase.NOTHING_GAINED)

    @property
    def going_on(self) -> bool:
        """Whether a Job runs, or is to, of which nothing has come yet."""
        return self in (OptimizationPhase.WAITING, OptimizationPhase.RUNNING)


class MissedTarget(ApiModel):
    """A target that a form of a model does not keep, and by how much: seconds, or bytes."""

    target: TargetName = Field(description="latency or size.")
    wanted: float = Field(
        gt=0, allow_inf_nan=False, description="The target: seconds of latency, bytes of size."
    )
    found: float = Field(gt=0, allow_inf_nan=False, description="What it is, in the same unit.")

    def __str__(self) -> str:
        told = shown_seconds if self.target is TargetName.LATENCY else shown_bytes
        return (
            f"{self.target} {told(self.found)} where {told(self.wanted)} is wanted, "
            f"{self.excess} more"
        )

    @property
    def excess(self) -> str:
        """By how much it is missed: 14.3%, 2,972%."""
        percent = 100 * (self.found / self.wanted - 1)
        return f"{percent:,.0f}%" if 100 <= percent < 1e6 else f"{percent:.3g}%"


_Techniques = Annotated[
    list[Annotated[str, Field(max_length=64, pattern=r"^[a-z0-9-]+$")]], Field(max_length=16)
]
_Ratio = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class TriedForm(ApiModel):
    """A form of a model that was tried, against the model as it was; what was not measured of it is
    absent. Said by a container that has opened the model, as all that is told of a Job.
    """

    techniques: _Techniques = Field(description="In the order they were applied.")
    throughput_ratio: _Ratio | None = Field(
        None, description="Requests a second of an instance: 2 is twice."
    )
    size_ratio: _Ratio | None = Field(
        None, description="Size of the model's file: 0.25 is a quarter."
    )
    most_drop: float | None = Field(
        None,
        allow_inf_nan=False,
        description="What the held-out samples leave possible at most of the drop.",
    )
    refused: str | None = Field(
        None,
        max_length=LONGEST_REFUSAL,
        description="Why it is not served; absent of what could have been.",
    )


class Gain(ApiModel):
    """What was chosen and what it gives, against the model as it was, in one measurement.

    A container says it that has opened the model: what is accepted of it here, the status takes.
    """

    techniques: _Techniques = Field(description="In the order they were applied.")
    throughput_ratio: float = Field(
        gt=0, allow_inf_nan=False, description="Requests a second of an instance: 2 is twice."
    )
    latency_ratio: float = Field(
        gt=0, allow_inf_nan=False, description="Time of a single request: 0.5 is half."
    )
    size_ratio: float = Field(
        gt=0, allow_inf_nan=False, description="Size of the model's file: 0.25 is a quarter."
    )
    score_before: float = Field(
        allow_inf_nan=False, description="The metric on the held-out samples, as it was."
    )
    score_after: float = Field(allow_inf_nan=False, description="The same, optimised.")
    most_drop: float = Field(
        allow_inf_nan=False,
        description="What these samples leave possible at most of the drop, with the confidence.",
    )
    samples: int = Field(
        ge=1, le=LARGEST_INT, description="How many samples were held out to judge by."
    )
    missed: list[MissedTarget] = Field(
        [],
        max_length=len(TargetName),
        description="The targets that it misses: nothing that passes keeps them all.",
    )


class ModelOptimizationStatus(ApiModel):
    """What is known of the optimisation of one model."""

    model: str = Field(description="The model.")
    digest: str = Field(
        description="Of what was asked: the model's source, the samples and the settings."
    )
    made_from: str | None = Field(
        None,
        max_length=64,
        description="Digest of what the ConfigMaps hold that the model and its samples are in, "
        "where there are any.",
    )
    phase: OptimizationPhase = Field(
        description="Waiting, Running, Optimized, NothingGained or Failed."
    )
    message: str = Field("", max_length=4096, description="What came of it, or is waited for.")
    failures: int = Field(0, ge=0, description="Jobs that have failed in a row.")
    finish_time: str | None = Field(
        None,
        description="When the last Job was over.",
        json_schema_extra={"format": "date-time"},
    )
    gain: Gain | None = Field(None, description="What was chosen, and what it gives.")
    uri: str | None = Field(None, max_length=2048, description="Where the optimised model is.")
    sha256: str | None = Field(None, max_length=64, description="The digest of its file.")
    tried: list[TriedForm] = Field(
        [],
        max_length=MOST_TRIED,
        description="The forms that were judged at last; where none came so far, some others.",
    )
    entry: str | None = Field(
        None,
        max_length=32_768,
        description="YAML: what to write into the model's entry of spec.models to serve it.",
    )


class OptimizationStatus(ApiModel):
    """What came of spec.optimization."""

    models: list[ModelOptimizationStatus] = Field(
        [], description="By model.", json_schema_extra=list_map("model")
    )


def shown_seconds(value: float) -> str:
    """Seconds as a person reads them: 12.3 ms."""
    return f"{value:.3g} s" if value >= 1 else f"{value * 1e3:.3g} ms"


def shown_bytes(value: float) -> str:
    """Bytes as a person reads them: 4.71 MiB."""
    for unit, bytes_of_it in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if value >= bytes_of_it:
            return f"{value / bytes_of_it:.4g} {unit}"
    return f"{value:.4g} bytes"


def shortened(text: str) -> str:
    """A text as long as a status and an Event can hold it."""
    return cut(text, _LONGEST_SHOWN)
