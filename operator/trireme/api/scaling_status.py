"""What scaling tells: decisions, and what they were made of."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from trireme.api.schema import ApiModel, list_map

_SustainedPerSecond = Annotated[
    float | None,
    Field(
        gt=0,
        description="Requests a second at which one pod keeps the objective; absent where none is.",
    ),
]
_Factor = Annotated[
    float, Field(gt=0, description="What that is multiplied by, corrected by what is seen.")
]


class DecisionStatus(ApiModel):
    """One decision, newest first."""

    time: str = Field(description="When.", json_schema_extra={"format": "date-time"})
    reason: str = Field(description="One CamelCase word for programs.")
    from_replicas: int = Field(description="Pods wanted before.")
    to_replicas: int = Field(description="Pods wanted after.")
    message: str = Field(description="What was seen, what was wanted, what bound it.")
    input_digest: str = Field(
        "", description="Digest of what it was made from; the record that has it can be replayed."
    )


class ObservedLoad(ApiModel):
    """What the signals said when the status was written."""

    time: str = Field(description="When.", json_schema_extra={"format": "date-time"})
    model: str = Field(description="The objective that asked for the most pods.")
    request_rate_per_second: float = Field(description="Arriving requests.")
    in_flight: float = Field(description="Requests being answered or waiting.")
    latency_milliseconds: float | None = Field(None, description="Latency as latencyKind says.")
    latency_kind: str = Field("", description="Such as p95, estimated p95, or mean.")
    failure_ratio: float = Field(0.0, description="Failed requests among all.")
    pending: float | None = Field(None, description="Requests waiting inside Triton.")


class TargetStatus(ApiModel):
    """The learnt number of requests in flight that one pod holds within its objective."""

    model: str = Field(description="The objective's model.")
    in_flight_per_pod: float = Field(description="Requests in flight per pod aimed at.")


class CurveSource(StrEnum):
    """What a curve was learnt from."""

    BATCHES = "Batches"
    COUNTERS = "Counters"
    EARLIER = "Earlier"


class ContentionStatus(ApiModel):
    """What instances of a model in one pod cost each other, learnt when their number changed."""

    sigma: float = Field(
        description="By how much of its time alone a batch takes longer for each other instance "
        "that is busy meanwhile: 0 where they share nothing, 1 where they share all.",
        ge=0,
    )
    fewest: int = Field(description="The smaller number of instances that it was learnt of.", ge=1)
    most: int = Field(description="The larger one; it is believed up to twice that.", ge=2)
    executions: int = Field(description="Batches that it stands on, with each of the two at least.")
    digest: str = Field(
        description="Of the model's files and configuration and of what its pods run by, but for "
        "the number of instances."
    )


class CurveStatus(ApiModel):
    """What a batch of requests costs in one pod, learnt from Triton's statistics."""

    model: str = Field(description="The model, an objective's or a step of its pipeline.")
    model_digest: str = Field(
        description="Digest of the model's files and configuration that it is used for."
    )
    fixed_milliseconds: float = Field(description="Time that every batch takes.", ge=0)
    per_request_milliseconds: float = Field(description="Time that each request adds.", ge=0)
    gap_milliseconds: float | None = Field(
        None,
        gt=0,
        description="Time between the end of a batch and the start of the next one, however many "
        "wait; absent until one is learnt.",
    )
    max_batch: int = Field(description="Largest batch that this is believed of.", ge=1)
    noise: float = Field(description="Coefficient of variation of a batch's time.", ge=0)
    executions: int = Field(description="Batches that it stands on.")
    instances: int | None = Field(
        None, ge=1, description="Instances of the model in a pod that it was learnt of."
    )
    contention: ContentionStatus | None = Field(
        None,
        description="What instances cost each other; absent until two numbers of them were seen.",
    )
    source: CurveSource = Field(
        CurveSource.BATCHES,
        description="Batches; Counters, where the server does not tell batch sizes apart; Earlier, "
        "if it is of the model's files or configuration before, until it is learnt anew.",
    )
    sustained_per_second: _SustainedPerSecond = None
    factor: _Factor = 1.0


class StepCallsStatus(ApiModel):
    """How often a pipeline's requests have a model called."""

    model: str = Field(description="The model of a step.")
    per_request: float = Field(
        description="Its requests, whoever sends them, for each one of the pipeline.", gt=0
    )


class PipelineCapacityStatus(ApiModel):
    """What one pod sustains of a pipeline, by the curves of its steps' models."""

    model: str = Field(description="The objective's pipeline.")
    repository_digest: str = Field(
        description="Digest of the model repository that it was learnt of."
    )
    busiest_step: str = Field(description="The model that is nearest to its own capacity.")
    steps: list[StepCallsStatus] = Field(
        [], description="How often each model is called.", json_schema_extra=list_map("model")
    )
    sustained_per_second: _SustainedPerSecond = None
    factor: _Factor = 1.0


class StagesStatus(ApiModel):
    """Medians of the stages of a start, each by itself, and of the parts that are known."""

    schedule_seconds: float = Field(description="Until it had a node, which may be a new one.")
    node_seconds: float | None = Field(
        None,
        ge=0,
        description="Of it, since a node was ordered for the pod, of slow starts for which the "
        "Cluster Autoscaler or Karpenter says so by an Event.",
    )
    pull_seconds: float = Field(
        description="From there to the server's container, but for the fetching: images, volumes."
    )
    image_seconds: float | None = Field(
        None,
        ge=0,
        description="Of it, pulling the server's image: by the end of the last init container, or, "
        "of slow starts without one, by the kubelet's Event.",
    )
    fetch_seconds: float = Field(description="The fetcher bringing the models' files.")
    load_seconds: float = Field(description="The server's start, its models and their warm-up.")
    warmup_seconds: float | None = Field(
        None,
        ge=0,
        description="Of it, the warm-ups of the model whose took the longest, by Triton's "
        "statistics: of all its instances together, at most all of it.",
    )
    first_request_seconds: float | None = Field(
        None,
        ge=0,
        description="From then on until a request was answered, of starts under at least one "
        "request a second for each ready pod; a part of p95Seconds and of medianSeconds.",
    )


class LeadTimeStatus(ApiModel):
    """How long a pod takes from being made to being ready or, where that is known, to its first
    answer.
    """

    template: str = Field(description="The pod-template-hash of the pods that were measured.")
    p95_seconds: float = Field(
        description="What is planned with: the 95th percentile; of fewer than 20 the longest."
    )
    median_seconds: float = Field(description="Median of the starts.")
    samples: int = Field(description="Starts of this template that were measured.", ge=1)
    stages: StagesStatus = Field(description="Where the time goes.")


class ModelLoadStatus(ApiModel):
    """How long a server took to load a model."""

    model: str = Field(description="The model.")
    seconds: float = Field(description="By Triton's own clock.", ge=0)


class UnansweredStatus(ApiModel):
    """That the operator cannot ask the pods' servers, so that nothing is learnt of them."""

    since: str = Field(
        description="When the first look failed.", json_schema_extra={"format": "date-time"}
    )
    looks: int = Field(ge=1, description="Looks that failed by the time that this was written.")
    message: str = Field(description="Why the last one did, and what to do.")


class NodeClassStatus(ApiModel):
    """What the autoscaler knows of the pods of one node class."""

    name: str = Field(description="The class; empty for pods from before there were classes.")
    desired_replicas: int = Field(description="Pods wanted.")
    ready_replicas: int = Field(description="Pods that are ready.")
    curves: list[CurveStatus] = Field(
        [], description="Learnt curves.", json_schema_extra=list_map("model")
    )
    pipelines: list[PipelineCapacityStatus] = Field(
        [], description="What a pod sustains of pipelines.", json_schema_extra=list_map("model")
    )
    lead_time: LeadTimeStatus | None = Field(None, description="Measured lead time.")


class ScalingStatus(ApiModel):
    """What the autoscaler knows; read again after a restart of the operator."""

    desired_replicas: int = Field(description="Pods wanted.")
    last_scale_time: str | None = Field(
        None, description="When that last changed.", json_schema_extra={"format": "date-time"}
    )
    observed: ObservedLoad | None = Field(None, description="The load last reported.")
    targets: list[TargetStatus] = Field(
        [], description="Learnt targets.", json_schema_extra=list_map("model")
    )
    curves: list[CurveStatus] = Field(
        [], description="Learnt curves, used once learnt.", json_schema_extra=list_map("model")
    )
    pipelines: list[PipelineCapacityStatus] = Field(
        [],
        description="What a pod sustains of pipelines, by the curves of their steps.",
        json_schema_extra=list_map("model"),
    )
    lead_time: LeadTimeStatus | None = Field(
        None, description="Measured lead time; absent until a pod was seen to start."
    )
    loads: list[ModelLoadStatus] = Field(
        [],
        description="How long the server that was asked last took to load each model, of releases "
        "that tell it (24.11 and later); with node classes one of the first class.",
        json_schema_extra=list_map("model"),
    )
    node_classes: list[NodeClassStatus] = Field(
        [],
        description="By node class, where the agent has some; their curves are here then.",
        json_schema_extra=list_map("name"),
    )
    unanswered: UnansweredStatus | None = Field(
        None, description="Present while the pods' servers cannot be asked what they execute."
    )
    decisions: list[DecisionStatus] = Field(
        [],
        max_length=10,
        description="The last ten decisions, newest first; among them what became of a recommended "
        "knob and of settings of Trireme's own.",
    )
