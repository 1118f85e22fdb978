"""A file's shapes as a configuration writes them: without the batch dimension. Pure.

Sources: CompareDimsSupported in onnxruntime_utils.cc and openvino_utils.cc of Triton's backends.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from trireme.api.models import Model

_SETS_THE_BATCH_ITSELF = "openvino"
"""The backend that reshapes the first dimension, whatever the file says."""

_DECLARES_CONFIGURED_DIMS = "python"
"""The backend whose model.py declares dims as a configuration does."""


@dataclass(frozen=True, slots=True)
class Unsayable:
    """What of a tensor no configuration can say: why, and the remedy."""

    message: str
    remedy: str


def configured_dims(model: Model, shape: Sequence[int]) -> list[int] | Unsayable:
    """The dims that a model's configuration must say for a tensor of a shape in its file."""
    shape = list(shape)
    if model.backend == _DECLARES_CONFIGURED_DIMS:
        return shape
    if not shape:
        return Unsayable(
            "is a single number without a shape, which no dims can say",
            "Export the model so that it has at least one dimension",
        )
    if not model.max_batch_size:
        return shape
    if shape[0] != -1 and model.backend != _SETS_THE_BATCH_ITSELF:
        return Unsayable(
            f"has a fixed batch of {shape[0]} (shape {shape}), and maxBatchSize is "
            f"{model.max_batch_size}",
            f"Set maxBatchSize: 0 and write dims: {shape}, or export the model with a dynamic "
            "first axis",
        )
    if len(shape) == 1:
        return Unsayable(
            f"has no dimension but the batch (shape {shape}), and dims cannot be empty",
            f"Set maxBatchSize: 0 and write dims: {shape}, or export the model so that this has a "
            "second dimension",
        )
    return shape[1:]


def dims_fit(model: Model, told: list[int], needed: list[int]) -> bool:
    """Whether Triton takes the dims of a configuration for those of the file.

    Where the file's size is fixed, so must be that of the configuration, but for OpenVINO with a
    batch dimension, and for model.py, whose declaration is only a hint.
    """
    is_free = model.backend == _DECLARES_CONFIGURED_DIMS or (
        model.backend == _SETS_THE_BATCH_ITSELF and model.max_batch_size > 0
    )
    return len(told) == len(needed) and all(
        size in (-1, here) or (is_free and here == -1)
        for here, size in zip(told, needed, strict=True)
    )
