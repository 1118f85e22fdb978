"""What a model file says of itself, in Triton's terms: values that travel as JSON. Pure."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from trireme.api import texts
from trireme.api.schema import ApiModel
from trireme.api.tensors import DataType

MOST_TENSORS = 1024
"""Tensors of one direction that are taken from a file; a file with more is too large."""

MOST_DIMS = 64
"""Dimensions of a tensor that are taken from a file; no backend has as many."""

Text = Annotated[str, Field(max_length=512)]
"""A name out of a file."""

MOST_NAMES = 64
"""Names of one list (external data files, signatures, methods) that are kept."""

_LONGEST_CUT = 120  # characters of a text out of a file, in a message


class Format(StrEnum):
    """What a file is."""

    ONNX = "ONNX"
    TORCH_SCRIPT = "TorchScript"
    TORCH_EXPORT = "torch.export"
    SAVED_MODEL = "TensorFlow SavedModel"
    TENSORRT = "TensorRT plan"
    OPENVINO = "OpenVINO IR"
    XGBOOST_JSON = "XGBoost JSON"
    XGBOOST_UBJSON = "XGBoost UBJSON"
    XGBOOST_BINARY = "XGBoost binary"
    LIGHTGBM = "LightGBM text"
    TREELITE = "Treelite checkpoint"
    PYTHON = "Python"


class FileTensor(ApiModel):
    """One input or output, as the file has it; what the file does not say is None.

    `name` is None where it is known by its position only. `type_name` is the file's word for a type
    that Triton, or the backend, does not take; without `is_tensor` it is that of a list, a number
    or the like. `dims` include the batch dimension where the model has one (those that a model.py
    declares do not); -1 is variable, and None says that even their number is unknown. `optional`
    inputs may be left out.
    """

    name: Text | None = None
    data_type: DataType | None = None
    type_name: Text | None = None
    is_tensor: bool = True
    dims: Annotated[tuple[int, ...], Field(max_length=MOST_DIMS)] | None = None
    optional: bool = False


class OnnxFacts(ApiModel):
    """Of an ONNX file: its versions, and the files that hold its weights, if others do."""

    ir_version: int
    opsets: dict[str, int] = {}
    external_data: tuple[Text, ...] = ()


class PlanFacts(ApiModel):
    """Of a TensorRT plan: the TensorRT version that built it, such as 10.3.0.26."""

    version: Text | None = None


class PythonFacts(ApiModel):
    """Of a model.py: whether it has (or imports) a TritonPythonModel, and that one's methods, None
    where they cannot all be seen.
    """

    has_class: bool = False
    methods: tuple[Text, ...] | None = None


class ForestFacts(ApiModel):
    """Of a forest of trees: how many features and classes.

    A regression of one target, and a choice of two, have 1 class, as the fil backend counts.
    """

    features: int | None = None
    classes: int | None = None


class ModelFile(ApiModel):
    """What one file says of itself.

    `inputs` and `outputs` are in the file's own order, None where it does not say what they are.
    `producer` is what wrote the file.
    """

    name: str
    format: Format
    size_bytes: int = Field(ge=0)
    producer: Text | None = None
    inputs: Annotated[tuple[FileTensor, ...], Field(max_length=MOST_TENSORS)] | None = None
    outputs: Annotated[tuple[FileTensor, ...], Field(max_length=MOST_TENSORS)] | None = None
    onnx: OnnxFacts | None = None
    plan: PlanFacts | None = None
    python: PythonFacts | None = None
    forest: ForestFacts | None = None


class Finding(ApiModel):
    """A mistake in a version directory or in a file of it: a fault without a path in the spec."""

    message: str
    remedy: str
    is_warning: bool = False


class Inspection(ApiModel):
    """What an inspection of a version directory came to.

    `file` is the model file, None where there is none that could be read. `findings` are what is
    wrong with it. `not_inspected` says why nothing is known although nothing is wrong (the file is
    too large, or no format of ours). `total_bytes` is the size of all files of the directory.
    """

    file: ModelFile | None = None
    findings: tuple[Finding, ...] = ()
    not_inspected: str | None = None
    total_bytes: int = Field(0, ge=0)


def cut(text: str) -> str:
    """A text out of a file, short and in one line, for a message or a fact."""
    return texts.cut(" ".join(text.split()), _LONGEST_CUT)
