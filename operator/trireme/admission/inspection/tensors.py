"""Inputs and outputs of a spec against those of its model file, in Triton's terms. Pure.

Sources of what Triton refuses: ValidateInputs and ValidateOutputs of its backends (onnxruntime.cc,
libtorch.cc, openvino.cc).
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from trireme.admission.inspection.model_file import FileTensor, ModelFile, cut
from trireme.admission.inspection.shapes import Unsayable, configured_dims, dims_fit
from trireme.admission.words import nearest, some
from trireme.api.models import Model
from trireme.api.tensors import ModelInput, Tensor
from trireme.errors import Fault

_INDEXED = re.compile(r".+?__([0-9]{1,9})")
_DICTIONARY, _LIST = "Dict[", "List["


@dataclass(frozen=True, slots=True)
class Side:
    """One direction: its word and its field, what the spec says, and what the file says.

    `found` is None where the file does not say.
    """

    word: str
    field: str
    told: Sequence[Tensor]
    found: Sequence[FileTensor] | None


def sides(model: Model, file: ModelFile) -> tuple[Side, Side]:
    """Both directions."""
    return (
        Side("input", "inputs", model.inputs, file.inputs),
        Side("output", "outputs", model.outputs, file.outputs),
    )


# ------------------------------------------------------------------------------ known by name


def named_faults(model: Model, file: ModelFile, path: str) -> Iterator[Fault]:
    """Of formats that name their tensors. Outputs may be left out, inputs may not."""
    for side in sides(model, file):
        if side.found is None:
            continue
        yield from _not_tensors(file, side, path)
        by_name = {each.name: each for each in side.found if each.name is not None}
        for index, told in enumerate(side.told):
            place = f"{path}.{side.field}[{index}]"
            if told.name in by_name:
                yield from _differences(model, side, told, by_name[told.name], place)
            elif len(by_name) == len(side.found):
                yield Fault(
                    f"{place}.name",
                    told.name,
                    f"the model file {file.name} has no {side.word} {told.name}",
                    _nearest_or_some(told.name, by_name, side),
                )
        if side.told and side.field == "inputs" and not feeds_inputs(model):
            yield from _missing(model, file, side, path)


def feeds_inputs(model: Model) -> bool:
    """Whether Triton itself feeds inputs that requests, and so `inputs`, lack."""
    is_sequence = model.batching is not None and model.batching.sequence is not None
    return is_sequence or bool(model.batch_inputs)


def _nearest_or_some(name: str, known: Iterable[str], side: Side) -> str:
    known = [cut(each) for each in known]
    found = nearest(name, known)
    return f"Did you mean {found}?" if found else f"Its {side.field} are {some(known)}"


def _not_tensors(file: ModelFile, side: Side, path: str) -> Iterator[Fault]:
    for each in side.found or ():
        if not each.is_tensor:
            yield Fault(
                f"{path}.source",
                None,
                f"{side.word} {cut(each.name or '')} of the model file {file.name} is "
                f"{each.type_name}, and Triton takes tensors only",
                "Export the model with tensors only (scikit-learn classifiers: without zipmap)",
            )


def _missing(model: Model, file: ModelFile, side: Side, path: str) -> Iterator[Fault]:
    told = {each.name for each in side.told}
    missing = [
        each
        for each in side.found or ()
        if each.name is not None and each.name not in told and not each.optional
    ]
    if missing:
        names = some(cut(each.name or "") for each in missing)
        are = f"{side.word} {names}" if len(missing) == 1 else f"{side.field} {names}"
        yield Fault(
            f"{path}.{side.field}",
            None,
            f"{are} of the model file {file.name} {'is' if len(missing) == 1 else 'are'} not in "
            "the spec",
            f"Add {some((_written(model, each) for each in missing), most=4)}",
        )


def _written(model: Model, tensor: FileTensor) -> str:
    """A file's tensor as a spec has it."""
    parts = [f"name: {cut(tensor.name or '')}"]
    if tensor.data_type is not None:
        parts.append(f"dataType: {tensor.data_type}")
    if tensor.dims is not None:
        dims = configured_dims(model, tensor.dims)
        parts += [] if isinstance(dims, Unsayable) else [f"dims: {dims}"]
    return f"{{{', '.join(parts)}}}"


def _differences(
    model: Model, side: Side, told: Tensor, found: FileTensor, place: str
) -> Iterator[Fault]:
    """A type or a shape that the two sides do not agree on."""
    what = f"{side.word} {told.name}"
    if found.is_tensor and found.data_type is None and found.type_name is not None:
        yield Fault(
            f"{place}.dataType",
            told.data_type,
            f"{what}: the model file says {found.type_name}, which backend {model.backend} does "
            "not take",
            "Export the model with another element type",
        )
    elif None not in (found.data_type, told.data_type) and found.data_type != told.data_type:
        yield Fault(
            f"{place}.dataType",
            told.data_type,
            f"{what}: the model file says {found.data_type}, the spec says {told.data_type}",
            f"Set dataType: {found.data_type}",
        )
    if found.is_tensor and found.dims is not None:
        yield from _dims_differ(model, what, told, list(found.dims), place)


def _dims_differ(
    model: Model, what: str, tensor: Tensor, shape: list[int], place: str
) -> Iterator[Fault]:
    """The backend sees the shape after `reshape`; of ragged inputs it sees another one."""
    if not tensor.dims or (isinstance(tensor, ModelInput) and tensor.ragged):
        return
    field, told = "dims", tensor.dims
    if tensor.reshape is not None:
        field, told = "reshape", tensor.reshape
    place, batch = f"{place}.{field}", model.max_batch_size
    needed = configured_dims(model, shape)
    if isinstance(needed, Unsayable):
        yield Fault(place, told, f"{what} of the model file {needed.message}", needed.remedy)
        return
    if dims_fit(model, told, needed):
        return
    if batch and told == shape:
        message = (
            f"{what}: {field} {told} repeat the batch dimension, which maxBatchSize {batch} adds"
        )
    elif batch and needed != shape:
        message = (
            f"{what}: the model file says shape {shape}, the spec says {[-1, *told]} with the "
            f"batch dimension that maxBatchSize {batch} adds"
        )
    else:
        message = f"{what}: the model file says shape {shape}, the spec says {told}"
    remedy = f"Set {field}: {needed}"
    if not batch and len(shape) > 1 and shape[0] == -1 and told == shape[1:]:
        remedy += ", or set maxBatchSize, which adds the batch dimension"
    yield Fault(place, told, message, remedy)


# -------------------------------------------------------------------------- known by position


def torch_script_faults(model: Model, file: ModelFile, path: str) -> Iterator[Fault]:
    """Of TorchScript, whose forward() has names for its arguments only, and no types.

    The backend finds tensors by the argument's name, by the index in NAME__INDEX, or else by their
    order in the configuration.
    """
    inputs, outputs = sides(model, file)
    arguments = inputs.found
    if arguments is not None and not _is_dictionary(arguments):
        yield from _refused_arguments(file, arguments, path)
        if inputs.told and len(inputs.told) != len(arguments) and not feeds_inputs(model):
            names = some(cut(each.name or "") for each in arguments)
            yield Fault(
                f"{path}.inputs",
                None,
                f"forward() of {file.name} takes {len(arguments)} inputs ({names}), the spec has "
                f"{len(inputs.told)}",
                "Name each argument of forward() once",
            )
        yield from _index_is_too_large(inputs, {each.name for each in arguments}, path)
    if outputs.found is not None:
        if len(outputs.told) > len(outputs.found):
            yield Fault(
                f"{path}.outputs",
                None,
                f"forward() of {file.name} returns {len(outputs.found)} tensors, the spec has "
                f"{len(outputs.told)}",
                "Remove the outputs that it does not return",
            )
        yield from _index_is_too_large(outputs, set(), path)


def _is_dictionary(arguments: Sequence[FileTensor]) -> bool:
    """One dictionary of tensors, whose keys may be any names."""
    return len(arguments) == 1 and (arguments[0].type_name or "").startswith(_DICTIONARY)


def _refused_arguments(
    file: ModelFile, arguments: Sequence[FileTensor], path: str
) -> Iterator[Fault]:
    """The backend refuses arguments of other types, even if they have defaults."""
    for each in arguments:
        if not each.is_tensor and not (each.type_name or "").startswith(_LIST):
            yield Fault(
                f"{path}.source",
                None,
                f"forward() of {file.name} takes {cut(each.name or '')} of type {each.type_name}, "
                "and Triton passes tensors only (or a single Dict[str, Tensor])",
                "Export a module whose forward() takes tensors only",
            )


def _index_is_too_large(side: Side, names: set[str | None], path: str) -> Iterator[Fault]:
    """Indices count only where every name has one, and not every name is an argument's."""
    matches = [_INDEXED.fullmatch(each.name) for each in side.told]
    if side.found is None or {each.name for each in side.told} <= names or None in matches:
        return
    for at, match in enumerate(matches):
        if match is not None and int(match[1]) >= len(side.found):
            yield Fault(
                f"{path}.{side.field}[{at}].name",
                match[0],
                f"{match[0]} is {side.word} {match[1]} of the model file, which counts "
                f"{len(side.found)} from 0",
                f"Use an index below {len(side.found)}",
            )


def torch_export_warnings(model: Model, file: ModelFile, path: str) -> Iterator[Fault]:
    """Of exported programs, by the argument's name, by the index, or by order."""
    for side in sides(model, file):
        if side.found is None or len(side.told) != len(side.found):
            continue
        by_name = {each.name: each for each in side.found if each.name is not None}
        for index, told in enumerate(side.told):
            match = _INDEXED.fullmatch(told.name)
            at = int(match[1]) if match and int(match[1]) < len(side.found) else index
            found = by_name.get(told.name, side.found[at])
            place = f"{path}.{side.field}[{index}]"
            yield from _differences(model, side, told, found, place)
