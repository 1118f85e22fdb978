"""Faults of inputs and outputs: shapes, reshapes, formats, and what is made of whole batches. Pure.

The rules are those of ValidateIOShape, ValidateModelInput and ValidateBatchIO in Triton's
model_config_utils.cc.
"""

from collections.abc import Iterator, Sequence

from trireme.admission.places import models, owners, repeated, tensors
from trireme.admission.words import did_you_mean
from trireme.api.agent import AgentSpec
from trireme.api.models import Model
from trireme.api.tensors import BatchInput, BatchOutput, DataType, ModelInput, Tensor
from trireme.errors import Fault
from trireme.modelrepo.backends import backend_of

_OF_TENSORRT = {"shape_tensor": "shapeTensor", "non_linear_format": "nonLinearFormat"}
_BATCH_INPUT_TYPES = (DataType.INT32, DataType.FP32)
_IMAGE_DIMS = 3


def tensor_repeats(spec: AgentSpec) -> Iterator[Fault]:
    """The API server holds this for each list; a file on disk it has never seen."""
    for path, owner in owners(spec):
        yield from repeated(f"{path}.inputs", "name", (each.name for each in owner.inputs))
        yield from repeated(f"{path}.outputs", "name", (each.name for each in owner.outputs))


def dimension_is_zero(spec: AgentSpec) -> Iterator[Fault]:
    """Triton takes 1 and more, or -1."""
    for path, owner in owners(spec):
        for place, tensor in tensors(path, owner):
            for field, dims in (("dims", tensor.dims), ("reshape", tensor.reshape or [])):
                if 0 in dims:
                    yield Fault(
                        f"{place}.{field}",
                        dims,
                        f"tensor {tensor.name} has a dimension of 0",
                        "Write its size, or -1 where it is variable",
                    )


def reshape_makes_a_scalar_without_batches(spec: AgentSpec) -> Iterator[Fault]:
    """Without a batch dimension nothing would be left of its shape."""
    for path, owner in owners(spec):
        for place, tensor in tensors(path, owner):
            if tensor.reshape == [] and owner.max_batch_size == 0:
                yield Fault(
                    f"{place}.reshape",
                    tensor.reshape,
                    f"tensor {tensor.name} cannot become a scalar with maxBatchSize 0",
                    "Write reshape: [1], or set maxBatchSize",
                )


def reshape_changes_the_size(spec: AgentSpec) -> Iterator[Fault]:
    """Between variable dimensions the sizes must be the same: [2, 4, -1, 6] is [8, -1, 1, 6]."""
    for path, owner in owners(spec):
        for place, tensor in tensors(path, owner):
            known = tensor.dims and tensor.reshape is not None
            if known and _sizes(tensor.dims) != _sizes(tensor.reshape or []):
                yield Fault(
                    f"{place}.reshape",
                    tensor.reshape,
                    f"tensor {tensor.name} has another size in reshape {tensor.reshape} than in "
                    f"dims {tensor.dims}",
                    "Write as many elements in both, and -1 as often, in the same order",
                )


def _sizes(dims: Sequence[int]) -> list[int]:
    """The number of elements before, between and after variable dimensions; of a scalar, 1."""
    sizes = [1]
    for dim in dims:
        if dim == -1:
            sizes.append(1)
        else:
            sizes[-1] *= dim
    return sizes


def image_has_not_three_dims(spec: AgentSpec) -> Iterator[Fault]:
    """NHWC and NCHW are height, width and channels beside the batch."""
    for path, owner in owners(spec):
        for place, tensor in tensors(path, owner):
            is_image = isinstance(tensor, ModelInput) and tensor.format is not None
            what = "format" if is_image else "nonLinearFormat"
            wants_three = is_image or tensor.non_linear_format
            if wants_three and tensor.dims and len(tensor.dims) != _IMAGE_DIMS:
                yield Fault(
                    f"{place}.dims",
                    tensor.dims,
                    f"{what} of {tensor.name} wants 3 dims, without the batch dimension",
                    f"Write 3 dims, or remove {what}",
                )


def tensor_wants_tensorrt(spec: AgentSpec) -> Iterator[Fault]:
    """Shape tensors and non-linear formats are TensorRT's own."""
    for path, owner in owners(spec):
        backend = backend_of(owner) if isinstance(owner, Model) else "ensemble"
        for place, tensor in tensors(path, owner):
            for attribute, field in _OF_TENSORRT.items():
                if getattr(tensor, attribute) and backend not in ("tensorrt", ""):
                    yield Fault(
                        f"{place}.{field}",
                        None,
                        f"{field} is only for TensorRT, and this is for {backend}",
                        "Remove it, or use backend tensorrt",
                    )


def batch_tensor_has_not_one_source(spec: AgentSpec) -> Iterator[Fault]:
    """Every kind takes exactly one."""
    for place, _, each in _batch_tensors(spec):
        if len(each.sources) != 1:
            yield Fault(
                f"{place}.sources",
                each.sources,
                f"kind {each.kind} wants one source",
                "Name one input of the model",
            )


def batch_input_has_another_type(spec: AgentSpec) -> Iterator[Fault]:
    """Counts and shapes are INT32 or FP32."""
    for place, _, each in _batch_tensors(spec):
        if isinstance(each, BatchInput) and each.data_type not in _BATCH_INPUT_TYPES:
            yield Fault(
                f"{place}.dataType",
                each.data_type,
                "a batch input is INT32 or FP32",
                "Write the one that the model's own input has",
            )


def batch_tensor_names_unknown_tensor(spec: AgentSpec) -> Iterator[Fault]:
    """A source that is no input, or a target that is no output, of those the model says."""
    for place, model, each in _batch_tensors(spec):
        inputs = [tensor.name for tensor in model.inputs]
        outputs = [tensor.name for tensor in model.outputs]
        yield from _unknown(f"{place}.sources", "input", each.sources, inputs)
        if isinstance(each, BatchOutput):
            yield from _unknown(f"{place}.targets", "output", each.targets, outputs)
            for at, name in enumerate(each.targets):
                if name in each.targets[:at]:
                    yield Fault(
                        f"{place}.targets[{at}]",
                        name,
                        f"target {name} is named twice",
                        "Remove one of the two",
                    )


def _unknown(path: str, what: str, names: list[str], known: list[str]) -> Iterator[Fault]:
    for at, name in enumerate(names):
        if known and name not in known:  # where there are none, the model's file says them
            yield Fault(
                f"{path}[{at}]",
                name,
                f"the model has no {what} {name}",
                did_you_mean(name, known, otherwise=f"Its {what}s are"),
            )


def _batch_tensors(spec: AgentSpec) -> Iterator[tuple[str, Model, BatchInput | BatchOutput]]:
    for path, model in models(spec):
        for index, batch_input in enumerate(model.batch_inputs):
            yield f"{path}.batchInputs[{index}]", model, batch_input
        for index, batch_output in enumerate(model.batch_outputs):
            yield f"{path}.batchOutputs[{index}]", model, batch_output


def fits(first: Sequence[int], second: Sequence[int]) -> bool:
    """Whether two shapes can be the same; -1 is any size."""
    return len(first) == len(second) and all(
        a == b or -1 in (a, b) for a, b in zip(first, second, strict=True)
    )


def is_whole(tensor: Tensor) -> bool:
    """Whether the spec itself says a tensor's type and shape."""
    return tensor.data_type is not None and bool(tensor.dims)


# ------------------------------------------------------------------------------------- warnings


def ragged_without_batches(spec: AgentSpec) -> Iterator[Fault]:
    """Requests of different shapes are never in one batch where there are no batches."""
    for path, model in models(spec):
        for index, tensor in enumerate(model.inputs):
            if tensor.ragged and model.max_batch_size == 0:
                yield Fault(
                    f"{path}.inputs[{index}].ragged",
                    None,
                    "ragged has no effect with maxBatchSize 0",
                    "Set maxBatchSize, or remove ragged",
                )


def tensors_are_left_to_triton(spec: AgentSpec) -> Iterator[Fault]:
    """What the spec does not say cannot be checked before a server has read the model."""
    for path, model in models(spec):
        unsaid = [
            *(field for field in ("inputs", "outputs") if not getattr(model, field)),
            *(tensor.name for _, tensor in tensors(path, model) if not is_whole(tensor)),
        ]
        if unsaid:
            yield Fault(
                path,
                None,
                f"model {model.name} does not say all of {', '.join(unsaid)}: Triton will complete "
                "it, and Trireme cannot check it before the pods start",
                "Write dataType and dims of each input and output, so that mistakes are found here",
            )
