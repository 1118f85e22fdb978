"""The requests that a model answers before it counts as ready."""

from enum import StrEnum

from pydantic import Field

from trireme.api.fields import Dims, FilePath, Name
from trireme.api.schema import LARGEST_INT, ApiModel
from trireme.api.tensors import DataType


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
