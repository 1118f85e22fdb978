"""How Triton puts requests of a model together: by dynamic batches, or by sequences."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from trireme.api.fields import Dims, FilePath, Int32, Name
from trireme.api.scalars import Duration
from trireme.api.schema import LARGEST_INT, ApiModel, cel, list_map, one_of
from trireme.api.tensors import DataType


class TimeoutAction(StrEnum):
    """What happens to a request that waited too long."""

    REJECT = "Reject"
    DELAY = "Delay"


class QueuePolicy(ApiModel):
    """The bounded queue in front of a model."""

    max_size: int = Field(
        0, ge=0, le=LARGEST_INT, description="Requests that may wait; 0 is no limit."
    )
    timeout: Duration = Field(
        timedelta(0), description="How long a request may wait; 0s is no limit."
    )
    timeout_action: TimeoutAction = Field(
        TimeoutAction.REJECT, description="Reject a request that waited too long, or Delay it."
    )
    allow_timeout_override: bool = Field(
        False, description="Whether a request may shorten its own timeout."
    )


class PriorityQueue(QueuePolicy):
    """The queue of one priority."""

    level: int = Field(ge=1, le=LARGEST_INT, description="The priority; 1 is the highest.")


class DynamicBatching(ApiModel):
    """Triton's dynamic batcher."""

    preferred_batch_sizes: list[Int32] = Field(
        [], max_length=64, description="Batch sizes the batcher tries to form; usually left empty."
    )
    max_queue_delay: Duration = Field(
        timedelta(0), description="How long the batcher may wait for a fuller batch."
    )
    preserve_ordering: bool = Field(False, description="Answer in the order of arrival.")
    priority_levels: int = Field(
        0, ge=0, le=LARGEST_INT, description="How many priorities there are; 0 is none."
    )
    default_priority_level: int = Field(
        0, ge=0, le=LARGEST_INT, description="The priority of requests that name none."
    )
    queue: QueuePolicy | None = Field(
        None, description="The bounded queue; absent, it has no bounds."
    )
    priority_queues: list[PriorityQueue] = Field(
        [],
        max_length=64,
        description="The queues of priorities whose bounds are not those of `queue`.",
        json_schema_extra=list_map("level"),
    )


class DirectSequences(ApiModel):
    """Each sequence has a slot of its own in one instance."""

    max_queue_delay: Duration = Field(
        timedelta(0), description="How long a request may wait for a fuller batch."
    )
    minimum_slot_utilization: float = Field(
        0, ge=0, le=1, description="The share of slots that need not wait longer."
    )


class OldestSequences(ApiModel):
    """The oldest requests of all sequences make a batch."""

    max_candidate_sequences: int = Field(
        0, ge=0, le=LARGEST_INT, description="Sequences at once in one instance."
    )
    preferred_batch_sizes: list[Int32] = Field(
        [], max_length=64, description="Batch sizes the batcher tries to form."
    )
    max_queue_delay: Duration = Field(
        timedelta(0), description="How long the batcher may wait for a fuller batch."
    )
    preserve_ordering: bool = Field(False, description="Answer in the order of arrival.")


class ControlKind(StrEnum):
    """What a control tells the model."""

    START = "Start"
    READY = "Ready"
    END = "End"
    CORRELATION_ID = "CorrelationID"


class Control(ApiModel):
    """One signal in a control input. A signal has two values, for false and for true."""

    kind: ControlKind = Field(description="Start, Ready, End or CorrelationID.")
    int32: list[Annotated[int, Field(ge=-LARGEST_INT - 1, le=LARGEST_INT)]] = Field(
        [], max_length=2, description="The values for false and true of an INT32 input."
    )
    fp32: list[float] = Field(
        [], max_length=2, description="The values for false and true of an FP32 input."
    )
    bool_: list[bool] = Field(
        [],
        alias="bool",
        max_length=2,
        description="The values for false and true of a BOOL input.",
    )
    data_type: DataType | None = Field(None, description="Element type of a CorrelationID.")


class ControlInput(ApiModel):
    """An input through which Triton tells the model of its sequences."""

    name: Name = Field(description="The input's name.")
    controls: list[Control] = Field(max_length=4, description="What it holds.")


class InitialState(ApiModel):
    """What a state holds before the first request of a sequence."""

    model_config = ConfigDict(json_schema_extra=cel(one_of("zero", "file")))

    name: Name | None = Field(None, description="A name for it.")
    data_type: DataType = Field(description="Element type.")
    dims: Dims = Field([], description="Shape without the batch dimension.")
    zero: bool | None = Field(None, description="true: zeros.")
    file: FilePath | None = Field(
        None, description="A file of `files` below initial_state/, of raw values."
    )


class SequenceState(ApiModel):
    """A tensor that Triton keeps between the requests of a sequence."""

    input: Name = Field(description="The model's input that is given it.")
    output: Name = Field(description="The model's output that it is taken from.")
    data_type: DataType = Field(description="Element type.")
    dims: Dims = Field([], description="Shape without the batch dimension.")
    initial: list[InitialState] = Field([], max_length=1, description="What it holds at first.")
    same_buffer: bool = Field(False, description="Whether input and output share one buffer.")
    growable: bool = Field(False, description="Whether its memory may grow on the GPU.")


class SequenceBatching(ApiModel):
    """Triton's sequence batcher: all requests of a sequence go to one instance."""

    max_idle: Duration = Field(
        timedelta(0), description="After this time a sequence has ended; 0s is Triton's default."
    )
    direct: DirectSequences | None = Field(
        None, description="Each sequence has a slot of its own; also where neither is set."
    )
    oldest: OldestSequences | None = Field(None, description="The oldest requests make a batch.")
    controls: list[ControlInput] = Field(
        [], max_length=64, description="Inputs that tell the model of its sequences."
    )
    states: list[SequenceState] = Field(
        [], max_length=256, description="Tensors kept between requests."
    )
    iterative: bool = Field(
        False, description="Whether the model itself asks to be called again for a request."
    )


class Batching(ApiModel):
    """How requests become batches; absent, each request is executed alone."""

    model_config = ConfigDict(json_schema_extra=cel(one_of("dynamic", "sequence")))

    dynamic: DynamicBatching | None = Field(None, description="Triton's dynamic batcher.")
    sequence: SequenceBatching | None = Field(None, description="Triton's sequence batcher.")
