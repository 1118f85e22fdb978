"""What an agent is made of: models, where their files are, pipelines of them.

The types say what Triton's model_config.proto says, in the names of this API. Where a field has no
default, absent means that config.pbtxt says nothing and Triton's own default holds; so a
configuration that was imported is written back as it was. `modelrepo` has the table of both sides.
"""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from trireme.api import names
from trireme.api.scalars import Duration
from trireme.api.schema import LARGEST_INT, ApiModel, Preserved, cel, list_map, one_of

_LARGEST_EXACT = 2**53 - 1  # what JSON and YAML hand on without loss
_LARGEST_VERSION = 10**18  # so that a time stamp may be one

Name = Annotated[str, Field(min_length=1, max_length=1024)]
Text = Annotated[str, Field(max_length=65536)]
Int32 = Annotated[int, Field(ge=0, le=LARGEST_INT)]
Dimension = Annotated[int, Field(ge=-1, le=_LARGEST_EXACT)]
Dims = Annotated[list[Dimension], Field(max_length=64)]
Version = Annotated[int, Field(ge=1, le=_LARGEST_VERSION)]
ModelName = Annotated[str, Field(pattern=names.MODEL_NAME_PATTERN, max_length=128)]
FilePath = Annotated[str, Field(max_length=1024, pattern=r"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$")]


# -------------------------------------------------------------------------------------- tensors


class DataType(StrEnum):
    """Triton's tensor element types."""

    BOOL = "BOOL"
    UINT8 = "UINT8"
    UINT16 = "UINT16"
    UINT32 = "UINT32"
    UINT64 = "UINT64"
    INT8 = "INT8"
    INT16 = "INT16"
    INT32 = "INT32"
    INT64 = "INT64"
    FP16 = "FP16"
    FP32 = "FP32"
    FP64 = "FP64"
    BF16 = "BF16"
    STRING = "STRING"


class TensorFormat(StrEnum):
    """What the dimensions of an image are."""

    NHWC = "NHWC"
    NCHW = "NCHW"


class Tensor(ApiModel):
    """An input or output, without the batch dimension."""

    name: Name = Field(description="The tensor's name in the model.")
    data_type: DataType | None = Field(
        None,
        description="Element type; STRING is Triton's BYTES. Where it is absent, the model's file "
        "must say it.",
    )
    dims: Dims = Field(
        [],
        description="Shape without the batch dimension; -1 is a variable size. Where it is absent, "
        "the model's file must say it.",
    )
    reshape: Dims | None = Field(
        None, description="The shape the backend takes or gives instead of dims; [] is a scalar."
    )
    shape_tensor: bool = Field(
        False, description="Whether the tensor is a shape, as some TensorRT engines have."
    )
    non_linear_format: bool = Field(
        False, description="Whether a TensorRT engine has it in a non-linear format."
    )


class ModelInput(Tensor):
    """An input of a model."""

    format: TensorFormat | None = Field(None, description="NHWC or NCHW, for images.")
    ragged: bool = Field(
        False, description="Whether requests of different shapes may be in one batch."
    )
    optional: bool = Field(False, description="Whether requests may leave this input out.")


class ModelOutput(Tensor):
    """An output of a model."""

    labels: FilePath | None = Field(
        None,
        description="A file of `files` with a label on each line, for clients that ask for "
        "classifications.",
    )


class BatchInputKind(StrEnum):
    """What a batch's extra input holds."""

    ELEMENT_COUNT = "ElementCount"
    ACCUMULATED_ELEMENT_COUNT = "AccumulatedElementCount"
    ACCUMULATED_ELEMENT_COUNT_WITH_ZERO = "AccumulatedElementCountWithZero"
    MAX_ELEMENT_COUNT_AS_SHAPE = "MaxElementCountAsShape"
    ITEM_SHAPE = "ItemShape"
    ITEM_SHAPE_FLATTEN = "ItemShapeFlatten"


class BatchInput(ApiModel):
    """An input that Triton makes of a whole batch, mostly for ragged inputs."""

    kind: BatchInputKind = Field(description="What it holds.")
    targets: list[Name] = Field([], max_length=64, description="The model's inputs it is given to.")
    data_type: DataType | None = Field(None, description="Element type.")
    sources: list[Name] = Field([], max_length=64, description="The inputs it is made of.")


class BatchOutputKind(StrEnum):
    """How a batch's output is dealt out to its requests."""

    SCATTER_WITH_INPUT_SHAPE = "ScatterWithInputShape"


class BatchOutput(ApiModel):
    """An output that Triton deals out to the requests of a batch."""

    kind: BatchOutputKind = Field(
        BatchOutputKind.SCATTER_WITH_INPUT_SHAPE, description="How it is dealt out."
    )
    targets: list[Name] = Field([], max_length=64, description="The model's outputs dealt out.")
    sources: list[Name] = Field([], max_length=64, description="The inputs whose shapes count.")


# -------------------------------------------------------------------------------------- sources


class SecretRef(ApiModel):
    """A Secret in the same namespace."""

    name: str = Field(min_length=1, max_length=253, description="Name of the Secret.")


class ImagePullPolicy(StrEnum):
    """When the kubelet pulls an image."""

    ALWAYS = "Always"
    IF_NOT_PRESENT = "IfNotPresent"
    NEVER = "Never"


class ImageSource(ApiModel):
    """Model files in an OCI image, mounted by the kubelet (Kubernetes' image volumes)."""

    reference: str = Field(
        min_length=1, max_length=1024, description="The image, such as example.com/encoder:3."
    )
    path: str = Field(
        "",
        max_length=1024,
        pattern=r"^([A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*)?$",
        description="Folder in the image that holds the files; empty is its root.",
    )
    pull_policy: ImagePullPolicy = Field(
        ImagePullPolicy.IF_NOT_PRESENT, description="When the kubelet pulls the image."
    )


class Source(ApiModel):
    """Where the files of one version of a model come from: exactly one of these."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            one_of("uri", "configMap", "image"),
            (
                "!has(self.uri) || !self.uri.matches('/[.][.]?(/|$)')",
                "uri must not hold . or .. as a folder: write it from the root",
            ),
        )
    )

    uri: str | None = Field(
        None,
        max_length=2048,
        pattern=r"^(s3|gs|az|https|hf|oci|pvc)://[^\s/][^\s]*$",
        description="s3://BUCKET/KEY, gs://, az://, https://, hf://OWNER/REPOSITORY@REVISION/PATH, "
        "oci:// or pvc://CLAIM/FOLDER: a file, a folder (it ends in /), or an archive (.zip, .tar, "
        ".tar.gz). A folder of a claim is mounted as it is, all else is copied into the pod.",
    )
    sha256: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{64}$",
        max_length=64,
        description="The digest the file or archive must have.",
    )
    endpoint: str | None = Field(
        None,
        max_length=2048,
        pattern=r"^https?://[^\s/]+[^\s]*$",
        description="The address of an object store that speaks S3, such as "
        "https://minio.example.com.",
    )
    region: str | None = Field(
        None, max_length=64, pattern=r"^[a-z0-9-]+$", description="The bucket's region."
    )
    secret_ref: SecretRef | None = Field(
        None,
        description="A Secret with the credentials; absent, the pod's workload identity or none.",
    )
    config_map: str | None = Field(
        None,
        min_length=1,
        max_length=253,
        description="A ConfigMap in the same namespace; each key is a file of the model's version "
        "directory (model.py, model.onnx, ...). At most 1 MiB; a change to it is rolled out.",
    )
    image: ImageSource | None = Field(
        None, description="An OCI image that the kubelet mounts (Kubernetes 1.33 or later)."
    )


class ModelVersion(ApiModel):
    """One of several versions of a model that are served at once."""

    version: Version = Field(description="The version.")
    source: Source = Field(description="Where its files come from.")


class ModelFile(ApiModel):
    """A small file of the model's directory, beside its versions: labels, warm-up data."""

    path: FilePath = Field(description="Where it is, below the model's directory.")
    config_map: str = Field(
        min_length=1, max_length=253, description="A ConfigMap in the same namespace."
    )
    key: str = Field(
        min_length=1,
        max_length=253,
        pattern=r"^[-._a-zA-Z0-9]+$",
        description="The key of the ConfigMap that holds it.",
    )


class VersionPolicy(ApiModel):
    """Which versions are served: exactly one of these."""

    model_config = ConfigDict(json_schema_extra=cel(one_of("latest", "specific", "all")))

    latest: int | None = Field(
        None, ge=1, le=LARGEST_INT, description="So many of the highest versions."
    )
    specific: list[Version] | None = Field(None, max_length=64, description="These versions.")
    all: bool | None = Field(None, description="true: every version.")


# ------------------------------------------------------------------------------------- batching


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


# ------------------------------------------------------------------------------------ instances


class InstanceKind(StrEnum):
    """Where a model instance runs."""

    AUTO = "Auto"
    GPU = "GPU"
    CPU = "CPU"
    MODEL = "Model"


class RateResource(ApiModel):
    """A resource of Triton's rate limiter that an instance needs to execute."""

    name: Name = Field(description="The resource's name.")
    count: int = Field(0, ge=0, le=LARGEST_INT, description="How many of it.")
    # `global` is a word of Python.
    global_: bool = Field(
        False, alias="global", description="Whether all devices share it; else each has its own."
    )


class RateLimiter(ApiModel):
    """When an instance may execute, among all instances of the pod."""

    resources: list[RateResource] = Field([], max_length=64, description="What it needs.")
    priority: int = Field(
        0, ge=0, le=LARGEST_INT, description="Its weight: 2 is chosen half as often as 1."
    )


class SecondaryDeviceKind(StrEnum):
    """A device beside the GPU."""

    NVDLA = "NVDLA"


class SecondaryDevice(ApiModel):
    """A device beside the GPU that an instance uses."""

    kind: SecondaryDeviceKind = Field(SecondaryDeviceKind.NVDLA, description="NVDLA.")
    id: int = Field(0, ge=0, le=LARGEST_INT, description="Which one.")


class InstanceGroup(ApiModel):
    """Copies of a model in one pod."""

    name: Name | None = Field(None, description="A name for the group.")
    kind: InstanceKind = Field(
        InstanceKind.AUTO, description="GPU, CPU, Model (the backend decides) or Auto."
    )
    count: int | None = Field(
        None,
        ge=1,
        le=4096,
        description="Instances per pod; for kind GPU, and for Auto where there are GPUs, per GPU. "
        "Absent, Triton takes 1 (2 for ONNX and TensorFlow on CPU).",
    )
    gpus: list[Annotated[int, Field(ge=0, le=63)]] = Field(
        [], max_length=64, description="GPU indices as the container counts them, from 0."
    )
    profiles: list[Name] = Field(
        [], max_length=64, description="Optimisation profiles of a TensorRT engine, by index."
    )
    rate_limiter: RateLimiter | None = Field(
        None, description="When an instance may execute; switches Triton's rate limiter on."
    )
    passive: bool = Field(
        False, description="Whether the instances are loaded and given no requests."
    )
    secondary_devices: list[SecondaryDevice] = Field(
        [], max_length=16, description="Devices beside the GPU."
    )
    host_policy: Name | None = Field(
        None, description="The name of a --host-policy of server.args, such as a NUMA node's."
    )


# -------------------------------------------------------------------------------------- warm-up


class WarmupData(StrEnum):
    """What a warm-up request holds."""

    ZERO = "Zero"
    RANDOM = "Random"


class WarmupInput(ApiModel):
    """One input of a warm-up request."""

    data_type: DataType | None = Field(None, description="Element type; absent, the input's own.")
    dims: Dims | None = Field(
        None, description="The shape; absent, the input's dims, with 1 where they are variable."
    )
    data: WarmupData | None = Field(
        None, description="Zero or Random; absent, what the request says."
    )
    file: FilePath | None = Field(
        None, description="Instead of those: a file of `files` below warmup/, of raw values."
    )


class Warmup(ApiModel):
    """Requests a pod answers to itself before it becomes ready."""

    name: Name | None = Field(None, description="A name for it; absent, warmup-0, warmup-1, ...")
    batch_size: int = Field(1, ge=0, le=LARGEST_INT, description="Batch size of the request.")
    count: int | None = Field(
        None, ge=1, le=10_000, description="How often it is executed; absent, once."
    )
    data: WarmupData = Field(WarmupData.ZERO, description="Zero or Random tensors.")
    inputs: dict[str, WarmupInput] = Field(
        {},
        max_length=1024,
        description="What is special of an input, by its name. Inputs that are not named here hold "
        "`data` in their own shape; optional ones are left out.",
    )


# --------------------------------------------------------------------------------- acceleration


class Accelerator(ApiModel):
    """An execution accelerator of a backend."""

    name: Name = Field(
        description="tensorrt, auto_io, gpu_io (GPU) or openvino (CPU), as the backend has it."
    )
    parameters: dict[str, Text] = Field(
        {}, max_length=256, description="Its parameters, such as precision_mode: FP16."
    )


class GraphBound(ApiModel):
    """A batch size and shapes, of a CUDA graph."""

    batch_size: int = Field(0, ge=0, le=LARGEST_INT, description="The batch size.")
    inputs: dict[str, Dims] = Field(
        {}, max_length=256, description="Shapes without the batch dimension, by input."
    )


class GraphSpec(GraphBound):
    """What a CUDA graph is captured for."""

    lower_bound: GraphBound | None = Field(
        None, description="The least that the graph may be used for, where shapes are variable."
    )


class CudaPolicy(ApiModel):
    """How a backend uses CUDA."""

    graphs: bool = Field(False, description="Whether CUDA graphs are captured.")
    busy_wait_events: bool = Field(False, description="Whether events are waited for busily.")
    output_copy_stream: bool = Field(
        False, description="Whether outputs are copied in a stream of their own."
    )
    graph_specs: list[GraphSpec] = Field(
        [], max_length=256, description="What graphs are captured for, beside the defaults."
    )


class ModelPriority(StrEnum):
    """How a model's work is ranked on its device."""

    DEFAULT = "Default"
    MAX = "Max"
    MIN = "Min"


class Acceleration(ApiModel):
    """How a model is executed faster (Triton's `optimization`)."""

    gpu: list[Accelerator] = Field(
        [], max_length=16, description="Execution accelerators on GPUs, such as tensorrt."
    )
    cpu: list[Accelerator] = Field(
        [], max_length=16, description="Execution accelerators on CPUs, such as openvino."
    )
    graph_level: int | None = Field(
        None, ge=-LARGEST_INT, le=LARGEST_INT, description="The backend's level of graph rewriting."
    )
    priority: ModelPriority = Field(ModelPriority.DEFAULT, description="Default, Max or Min.")
    cuda: CudaPolicy | None = Field(None, description="CUDA graphs and streams.")
    input_pinned_memory: bool | None = Field(
        None, description="Whether inputs are copied through pinned memory; absent, they are."
    )
    output_pinned_memory: bool | None = Field(
        None, description="Whether outputs are copied through pinned memory; absent, they are."
    )
    gather_kernel_buffer_threshold: int = Field(
        0,
        ge=0,
        le=2**32 - 1,
        description="From how many buffers on a kernel gathers an input; 0 is never.",
    )
    eager_batching: bool = Field(
        False, description="Whether the next batch is gathered while one executes."
    )


# --------------------------------------------------------------------------------------- models


class RepositoryAgent(ApiModel):
    """A repository agent of Triton, such as one that checks files."""

    name: Name = Field(description="Its name; checksum is Triton's own.")
    parameters: dict[str, Text] = Field({}, max_length=256, description="Its parameters.")


class Model(ApiModel):
    """One model of the agent."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "has(self.source) != (has(self.versions) && size(self.versions) > 0)",
                "exactly one of source and versions must be set",
            )
        )
    )

    name: ModelName = Field(description="The model's name; unique over models and pipelines.")
    source: Source | None = Field(None, description="Where the model's files come from.")
    version: Version = Field(1, description="The version directory the files are served as.")
    versions: list[ModelVersion] = Field(
        [],
        max_length=16,
        description="Several versions instead of one `source`.",
        json_schema_extra=list_map("version"),
    )
    version_policy: VersionPolicy | None = Field(
        None, description="Which versions are served; absent, the highest."
    )
    files: list[ModelFile] = Field(
        [],
        max_length=64,
        description="Small files beside the versions: labels, warm-up data.",
        json_schema_extra=list_map("path"),
    )
    backend: str = Field(
        "",
        max_length=64,
        pattern=r"^[a-z0-9_]*$",
        description="Triton backend: python, onnxruntime, pytorch, tensorrt, openvino, fil, ... "
        "Absent, it follows from platform, or from the name of the model's file.",
    )
    platform: str = Field(
        "",
        max_length=64,
        pattern=r"^[a-z0-9_]*$",
        description="The older name of some backends (onnxruntime_onnx, tensorrt_plan, "
        "pytorch_libtorch, tensorflow_savedmodel); use backend in what is new.",
    )
    max_batch_size: int = Field(
        0,
        ge=0,
        le=LARGEST_INT,
        description="Largest batch; 0 says that the model has no batch dimension.",
    )
    inputs: list[ModelInput] = Field(
        [],
        max_length=1024,
        description="Inputs; those that are absent are taken from the model's file.",
        json_schema_extra=list_map("name"),
    )
    outputs: list[ModelOutput] = Field(
        [],
        max_length=1024,
        description="Outputs; those that are absent are taken from the model's file.",
        json_schema_extra=list_map("name"),
    )
    batch_inputs: list[BatchInput] = Field(
        [], max_length=64, description="Inputs that Triton makes of a whole batch."
    )
    batch_outputs: list[BatchOutput] = Field(
        [], max_length=64, description="Outputs that Triton deals out to the requests of a batch."
    )
    batching: Batching | None = Field(
        None, description="How requests become batches; absent, each is executed alone."
    )
    instances: list[InstanceGroup] = Field(
        [],
        max_length=64,
        description="Copies of the model in one pod; where this is empty, one on each GPU, or one "
        "on CPU where there is none. Another number is applied in place, without a rollout.",
    )
    warmup: list[Warmup] = Field(
        [], max_length=32, description="Requests answered before a pod becomes ready."
    )
    acceleration: Acceleration | None = Field(None, description="How the model is executed faster.")
    response_cache: bool | None = Field(
        None, description="Whether answers are kept and given again to equal requests."
    )
    decoupled: bool | None = Field(
        None, description="Whether a request may have none or several answers."
    )
    parameters: dict[str, Text] = Field(
        {}, max_length=1024, description="The backend's parameters, as Triton's string_value."
    )
    operation_libraries: list[FilePath] = Field(
        [], max_length=64, description="Libraries of custom operations that the backend loads."
    )
    repository_agents: list[RepositoryAgent] = Field(
        [], max_length=16, description="Repository agents that see the model before it is loaded."
    )
    latency_buckets: list[Duration] = Field(
        [],
        max_length=64,
        description="Edges of the latency histogram; absent, they follow from the objectives "
        "(Triton 26.01 or later).",
    )
    config: Preserved = Field(
        {},
        description="Any other field of Triton's ModelConfig, in its own (snake_case) names; a "
        "field set both here and above is refused.",
    )


# ------------------------------------------------------------------------------------ pipelines


class Step(ApiModel):
    """One step of a pipeline."""

    model: ModelName = Field(description="The model to call.")
    version: int = Field(
        -1, ge=-1, le=_LARGEST_VERSION, description="The version to call; -1 is the latest."
    )
    namespace: str = Field(
        "", max_length=1024, description="The model's namespace, where Triton has namespaces on."
    )
    inputs: dict[str, Name] = Field(
        max_length=1024, description="The model's input name: the pipeline's tensor that feeds it."
    )
    outputs: dict[str, Name] = Field(
        max_length=1024, description="The model's output name: the pipeline's tensor it makes."
    )


class Pipeline(ApiModel):
    """A Triton ensemble: models called one after another inside the server."""

    name: ModelName = Field(description="The pipeline's name; unique over models and pipelines.")
    max_batch_size: int = Field(
        0, ge=0, le=LARGEST_INT, description="Largest batch; at most the smallest of its steps."
    )
    inputs: list[ModelInput] = Field(
        [],
        max_length=1024,
        description="Inputs, with type and shape: Triton completes none of an ensemble.",
        json_schema_extra=list_map("name"),
    )
    outputs: list[ModelOutput] = Field(
        [],
        max_length=1024,
        description="Outputs, with type and shape: Triton completes none of an ensemble.",
        json_schema_extra=list_map("name"),
    )
    steps: list[Step] = Field(min_length=1, max_length=64, description="The calls, in any order.")
    max_inflight_requests: int = Field(
        0,
        ge=0,
        le=LARGEST_INT,
        description="Requests at once in one step whose model has several answers; 0 is no limit "
        "(Triton 25.11 or later).",
    )
    files: list[ModelFile] = Field(
        [],
        max_length=64,
        description="Small files of the pipeline's directory: labels.",
        json_schema_extra=list_map("path"),
    )
    config: Preserved = Field(
        {},
        description="Any other field of Triton's ModelConfig, in its own (snake_case) names; a "
        "field set both here and above is refused.",
    )
