"""Models that are called one after another, as one: Triton's ensembles."""

from pydantic import Field

from trireme.api.fields import _LARGEST_VERSION, ModelName, Name
from trireme.api.schema import LARGEST_INT, ApiModel, Preserved, list_map
from trireme.api.sources import ModelFile
from trireme.api.tensors import ModelInput, ModelOutput


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
