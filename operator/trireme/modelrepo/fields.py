"""The API's fields and Triton's: the one table that render and import share. Pure.

Meaning of the fields: Triton's model_config.proto.
"""

import struct
from datetime import timedelta

from trireme.api.acceleration import (
    Acceleration,
    Accelerator,
    CudaPolicy,
    GraphBound,
    GraphSpec,
    ModelPriority,
)
from trireme.api.batching import (
    Control,
    ControlInput,
    ControlKind,
    DirectSequences,
    DynamicBatching,
    InitialState,
    OldestSequences,
    PriorityQueue,
    QueuePolicy,
    SequenceBatching,
    SequenceState,
    TimeoutAction,
)
from trireme.api.instances import (
    InstanceGroup,
    InstanceKind,
    RateLimiter,
    RateResource,
    SecondaryDevice,
    SecondaryDeviceKind,
)
from trireme.api.models import Model, RepositoryAgent
from trireme.api.pipelines import Pipeline, Step
from trireme.api.sources import VersionPolicy
from trireme.api.tensors import (
    BatchInput,
    BatchInputKind,
    BatchOutput,
    BatchOutputKind,
    DataType,
    ModelInput,
    ModelOutput,
    TensorFormat,
)
from trireme.modelrepo.codec import EMPTY_COUNTS, PRESENCE, Codec, Row, Spelling, enumerated
from trireme.modelrepo.proto import model_config_pb2 as pb

DURATION = Spelling(
    lambda duration: duration // timedelta(microseconds=1),
    lambda microseconds: timedelta(microseconds=microseconds),
)
DATA_TYPE = enumerated({each: pb.DataType.Value(f"TYPE_{each}") for each in DataType})

_FORMAT = enumerated({each: pb.ModelInput.Format.Value(f"FORMAT_{each}") for each in TensorFormat})
_BATCH_INPUT_KIND = enumerated(
    {each: pb.BatchInput.Kind.Value(f"BATCH_{each.name}") for each in BatchInputKind}
)
_BATCH_OUTPUT_KIND = enumerated(
    {each: pb.BatchOutput.Kind.Value(f"BATCH_{each.name}") for each in BatchOutputKind}
)
_TIMEOUT_ACTION = enumerated(
    {
        TimeoutAction.REJECT: pb.ModelQueuePolicy.REJECT,
        TimeoutAction.DELAY: pb.ModelQueuePolicy.DELAY,
    }
)
_CONTROL_KIND = enumerated(
    {
        ControlKind.START: pb.ModelSequenceBatching.Control.CONTROL_SEQUENCE_START,
        ControlKind.READY: pb.ModelSequenceBatching.Control.CONTROL_SEQUENCE_READY,
        ControlKind.END: pb.ModelSequenceBatching.Control.CONTROL_SEQUENCE_END,
        ControlKind.CORRELATION_ID: pb.ModelSequenceBatching.Control.CONTROL_SEQUENCE_CORRID,
    }
)
_INSTANCE_KIND = enumerated(
    {each: pb.ModelInstanceGroup.Kind.Value(f"KIND_{each.name}") for each in InstanceKind}
)
_SECONDARY_KIND = enumerated(
    {
        SecondaryDeviceKind.NVDLA: pb.ModelInstanceGroup.SecondaryDevice.KIND_NVDLA,
    }
)
_PRIORITY = enumerated(
    {
        each: pb.ModelOptimizationPolicy.ModelPriority.Value(f"PRIORITY_{each.name}")
        for each in ModelPriority
    }
)


def _shortest(value: float) -> float:
    """The shortest decimal that is the same 32-bit float: 0.1, not 0.10000000149011612."""
    decimals = (float(f"{value:.{digits}g}") for digits in range(6, 10))
    return next(each for each in decimals if struct.unpack("f", struct.pack("f", each))[0] == value)


_FLOAT = Spelling(lambda value: value, _shortest)

_TENSOR = (
    Row("name", "name"),
    Row("data_type", "data_type", DATA_TYPE),
    Row("dims", "dims"),
    Row("reshape", "reshape.shape", EMPTY_COUNTS),
    Row("shape_tensor", "is_shape_tensor"),
    Row("non_linear_format", "is_non_linear_format_io"),
)
INPUT = Codec(
    ModelInput,
    *_TENSOR,
    Row("format", "format", _FORMAT),
    Row("ragged", "allow_ragged_batch"),
    Row("optional", "optional"),
)
OUTPUT = Codec(ModelOutput, *_TENSOR, Row("labels", "label_filename"))
_BATCH_INPUT = Codec(
    BatchInput,
    Row("kind", "kind", _BATCH_INPUT_KIND),
    Row("targets", "target_name"),
    Row("data_type", "data_type", DATA_TYPE),
    Row("sources", "source_input"),
)
_BATCH_OUTPUT = Codec(
    BatchOutput,
    Row("kind", "kind", _BATCH_OUTPUT_KIND),
    Row("targets", "target_name"),
    Row("sources", "source_input"),
)
_VERSION_POLICY = Codec(
    VersionPolicy,
    Row("latest", "latest.num_versions"),
    Row("specific", "specific.versions", EMPTY_COUNTS),
    Row("all", "all", PRESENCE),
)
_QUEUE_ROWS = (
    Row("max_size", "max_queue_size"),
    Row("timeout", "default_timeout_microseconds", DURATION),
    Row("timeout_action", "timeout_action", _TIMEOUT_ACTION),
    Row("allow_timeout_override", "allow_timeout_override"),
)
_QUEUE = Codec(QueuePolicy, *_QUEUE_ROWS)
DYNAMIC_BATCHING = Codec(
    DynamicBatching,
    Row("preferred_batch_sizes", "preferred_batch_size"),
    Row("max_queue_delay", "max_queue_delay_microseconds", DURATION),
    Row("preserve_ordering", "preserve_ordering"),
    Row("priority_levels", "priority_levels"),
    Row("default_priority_level", "default_priority_level"),
    Row("queue", "default_queue_policy", _QUEUE),
    Row(
        "priority_queues",
        "priority_queue_policy",
        Codec(PriorityQueue, *_QUEUE_ROWS),
        key="level",
    ),
)
_DIRECT = Codec(
    DirectSequences,
    Row("max_queue_delay", "max_queue_delay_microseconds", DURATION),
    Row("minimum_slot_utilization", "minimum_slot_utilization", _FLOAT),
)
_OLDEST = Codec(
    OldestSequences,
    Row("max_candidate_sequences", "max_candidate_sequences"),
    Row("preferred_batch_sizes", "preferred_batch_size"),
    Row("max_queue_delay", "max_queue_delay_microseconds", DURATION),
    Row("preserve_ordering", "preserve_ordering"),
)
_CONTROL = Codec(
    Control,
    Row("kind", "kind", _CONTROL_KIND),
    Row("int32", "int32_false_true"),
    Row("fp32", "fp32_false_true", _FLOAT),
    Row("bool_", "bool_false_true"),
    Row("data_type", "data_type", DATA_TYPE),
)
_CONTROL_INPUT = Codec(ControlInput, Row("name", "name"), Row("controls", "control", _CONTROL))
_INITIAL_STATE = Codec(
    InitialState,
    Row("name", "name"),
    Row("data_type", "data_type", DATA_TYPE),
    Row("dims", "dims"),
    Row("zero", "zero_data"),
    Row("file", "data_file"),
)
_STATE = Codec(
    SequenceState,
    Row("input", "input_name"),
    Row("output", "output_name"),
    Row("data_type", "data_type", DATA_TYPE),
    Row("dims", "dims"),
    Row("initial", "initial_state", _INITIAL_STATE),
    Row("same_buffer", "use_same_buffer_for_input_output"),
    Row("growable", "use_growable_memory"),
)
_SEQUENCE = Codec(
    SequenceBatching,
    Row("max_idle", "max_sequence_idle_microseconds", DURATION),
    Row("direct", "direct", _DIRECT),
    Row("oldest", "oldest", _OLDEST),
    Row("controls", "control_input", _CONTROL_INPUT),
    Row("states", "state", _STATE),
    Row("iterative", "iterative_sequence"),
)
_RATE_LIMITER = Codec(
    RateLimiter,
    Row(
        "resources",
        "resources",
        Codec(RateResource, Row("name", "name"), Row("count", "count"), Row("global_", "global")),
    ),
    Row("priority", "priority"),
)
INSTANCES = Codec(
    InstanceGroup,
    Row("name", "name"),
    Row("kind", "kind", _INSTANCE_KIND),
    Row("count", "count"),
    Row("gpus", "gpus"),
    Row("profiles", "profile"),
    Row("rate_limiter", "rate_limiter", _RATE_LIMITER),
    Row("passive", "passive"),
    Row(
        "secondary_devices",
        "secondary_devices",
        Codec(SecondaryDevice, Row("kind", "kind", _SECONDARY_KIND), Row("id", "device_id")),
    ),
    Row("host_policy", "host_policy"),
)
_ACCELERATOR = Codec(Accelerator, Row("name", "name"), Row("parameters", "parameters"))
_BOUND_ROWS = (Row("batch_size", "batch_size"), Row("inputs", "input", value="dim"))
_CUDA = Codec(
    CudaPolicy,
    Row("graphs", "graphs"),
    Row("busy_wait_events", "busy_wait_events"),
    Row("output_copy_stream", "output_copy_stream"),
    Row(
        "graph_specs",
        "graph_spec",
        Codec(
            GraphSpec,
            *_BOUND_ROWS,
            Row("lower_bound", "graph_lower_bound", Codec(GraphBound, *_BOUND_ROWS)),
        ),
    ),
)
_ACCELERATION = Codec(
    Acceleration,
    Row("gpu", "execution_accelerators.gpu_execution_accelerator", _ACCELERATOR),
    Row("cpu", "execution_accelerators.cpu_execution_accelerator", _ACCELERATOR),
    Row("graph_level", "graph.level"),
    Row("priority", "priority", _PRIORITY),
    Row("cuda", "cuda", _CUDA),
    Row("input_pinned_memory", "input_pinned_memory.enable"),
    Row("output_pinned_memory", "output_pinned_memory.enable"),
    Row("gather_kernel_buffer_threshold", "gather_kernel_buffer_threshold"),
    Row("eager_batching", "eager_batching"),
)
_AGENT = Codec(RepositoryAgent, Row("name", "name"), Row("parameters", "parameters"))

MODEL = Codec(
    Model,
    Row("name", "name"),
    Row("backend", "backend"),
    Row("platform", "platform"),
    Row("max_batch_size", "max_batch_size"),
    Row("inputs", "input", INPUT),
    Row("outputs", "output", OUTPUT),
    Row("batch_inputs", "batch_input", _BATCH_INPUT),
    Row("batch_outputs", "batch_output", _BATCH_OUTPUT),
    Row("version_policy", "version_policy", _VERSION_POLICY),
    Row("batching.dynamic", "dynamic_batching", DYNAMIC_BATCHING),
    Row("batching.sequence", "sequence_batching", _SEQUENCE),
    Row("instances", "instance_group", INSTANCES),
    Row("acceleration", "optimization", _ACCELERATION),
    Row("response_cache", "response_cache.enable"),
    Row("decoupled", "model_transaction_policy.decoupled"),
    Row("parameters", "parameters", value="string_value"),
    Row("operation_libraries", "model_operations.op_library_filename"),
    Row("repository_agents", "model_repository_agents.agents", _AGENT),
)
"""A model; its warm-up and its latency buckets, which follow from more than one field, are in
`warmup` and `metrics`.
"""

_STEP = Codec(
    Step,
    Row("model", "model_name"),
    Row("version", "model_version"),
    Row("namespace", "model_namespace"),
    Row("inputs", "input_map"),
    Row("outputs", "output_map"),
)
PIPELINE = Codec(
    Pipeline,
    Row("name", "name"),
    Row("max_batch_size", "max_batch_size"),
    Row("inputs", "input", INPUT),
    Row("outputs", "output", OUTPUT),
    Row("steps", "ensemble_scheduling.step", _STEP),
    Row("max_inflight_requests", "ensemble_scheduling.max_inflight_requests"),
)
"""A pipeline, but for its platform, which is always `ensemble`."""
