"""A model that an agent serves.

These types, and those of its parts in the modules beside, say what Triton's model_config.proto
says, in the names of this API. Where a field has no default, absent means that config.pbtxt says
nothing and Triton's own default holds; so a configuration that was imported is written back as it
was. `modelrepo` has the table of both sides.
"""

from pydantic import ConfigDict, Field

from trireme.api.acceleration import Acceleration
from trireme.api.batching import Batching
from trireme.api.fields import FilePath, ModelName, Name, Text, Version
from trireme.api.instances import InstanceGroup
from trireme.api.scalars import Duration
from trireme.api.schema import LARGEST_INT, ApiModel, Preserved, cel, list_map
from trireme.api.sources import ModelFile, ModelVersion, Source, VersionPolicy
from trireme.api.tensors import BatchInput, BatchOutput, ModelInput, ModelOutput
from trireme.api.warmup import Warmup


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
