"""Faults of a model's warm-up requests. Pure."""

from collections.abc import Iterator

from trireme.admission.places import models
from trireme.admission.rules.tensors import fits
from trireme.admission.words import below
from trireme.api.agent import AgentSpec
from trireme.api.models import Model
from trireme.api.warmup import Warmup, WarmupInput
from trireme.errors import Fault


def _entries(spec: AgentSpec) -> Iterator[tuple[str, Model, Warmup]]:
    for path, model in models(spec):
        for index, entry in enumerate(model.warmup):
            yield f"{path}.warmup[{index}]", model, entry


def _inputs(spec: AgentSpec) -> Iterator[tuple[str, Model, str, WarmupInput]]:
    for path, model, entry in _entries(spec):
        for name, special in entry.inputs.items():
            yield below(f"{path}.inputs", name), model, name, special


def warmup_batch_exceeds_largest(spec: AgentSpec) -> Iterator[Fault]:
    """A model without a batch dimension is warmed up with a batch of 1."""
    for path, model, entry in _entries(spec):
        if entry.batch_size > max(1, model.max_batch_size):
            yield Fault(
                f"{path}.batchSize",
                entry.batch_size,
                f"a warm-up batch of {entry.batch_size} exceeds maxBatchSize "
                f"{model.max_batch_size}",
                f"Write {max(1, model.max_batch_size)} or less",
            )


def warmup_names_unknown_input(spec: AgentSpec) -> Iterator[Fault]:
    """None of the inputs that the model says."""
    for path, model, name, _ in _inputs(spec):
        known = [tensor.name for tensor in model.inputs]
        if known and name not in known:
            yield Fault(
                path,
                name,
                f"model {model.name} has no input {name}",
                f"Its inputs are {', '.join(known)}",
            )


def warmup_shape_does_not_fit(spec: AgentSpec) -> Iterator[Fault]:
    """A shape that the input's dims do not allow."""
    for path, model, name, special in _inputs(spec):
        dims = next((tensor.dims for tensor in model.inputs if tensor.name == name), [])
        if dims and special.dims is not None and not fits(special.dims, dims):
            yield Fault(
                f"{path}.dims",
                special.dims,
                f"shape {special.dims} does not fit the input's dims {dims}",
                "Give one size for each of its dims, and the same where it is fixed",
            )


def warmup_type_differs(spec: AgentSpec) -> Iterator[Fault]:
    """Triton refuses the request, and with it the model."""
    for path, model, name, special in _inputs(spec):
        own = next((tensor.data_type for tensor in model.inputs if tensor.name == name), None)
        if special.data_type is not None and own is not None and special.data_type is not own:
            yield Fault(
                f"{path}.dataType",
                special.data_type,
                f"the input is {own}, and its warm-up {special.data_type}",
                "Remove dataType: it is the input's own",
            )


def warmup_input_is_not_known(spec: AgentSpec) -> Iterator[Fault]:
    """A model whose file says its inputs: the warm-up must say type and shape itself."""
    for path, model, entry in _entries(spec):
        if not model.inputs and not entry.inputs:
            yield Fault(
                f"{path}.inputs",
                None,
                f"the inputs of model {model.name} are not said, so that its warm-up has none",
                "Write the model's inputs, or those of the warm-up with dataType and dims",
            )
        own = {tensor.name: tensor for tensor in model.inputs}
        used = {name: WarmupInput() for name, each in own.items() if not each.optional}
        for name, special in (used | entry.inputs).items():
            declared = own.get(name)
            has_type = special.data_type or (declared and declared.data_type)
            has_dims = special.dims is not None or (declared and declared.dims)
            is_unknown = bool(model.inputs) and declared is None  # a fault of its own
            if not is_unknown and not (has_type and has_dims):
                yield Fault(
                    below(f"{path}.inputs", name),
                    None,
                    f"type and shape of input {name} are said neither here nor in inputs",
                    "Write dataType and dims",
                )


def warmup_has_two_contents(spec: AgentSpec) -> Iterator[Fault]:
    """A file's values, or made ones."""
    for path, _, _, special in _inputs(spec):
        if special.file is not None and special.data is not None:
            yield Fault(
                path,
                None,
                "at most one of data and file must be set",
                "Remove data, or file",
            )
