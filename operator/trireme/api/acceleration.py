"""What makes a model faster without changing it: accelerators, CUDA graphs, buffers."""

from enum import StrEnum

from pydantic import Field

from trireme.api.fields import Dims, Name, Text
from trireme.api.schema import LARGEST_INT, ApiModel


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
