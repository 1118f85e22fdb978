"""What a model is given and gives: its inputs and outputs, by name, type and shape."""

from enum import StrEnum

from pydantic import Field

from trireme.api.fields import Dims, FilePath, Name
from trireme.api.schema import ApiModel


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
