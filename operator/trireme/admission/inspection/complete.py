"""Fills the inputs and outputs that a spec leaves out from what the model file says. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from pydantic import ValidationError

from trireme.admission.inspection.model_file import FileTensor, Format, ModelFile, cut
from trireme.admission.inspection.shapes import Unsayable, configured_dims
from trireme.admission.inspection.tensors import feeds_inputs
from trireme.api.models import Model
from trireme.api.tensors import ModelInput, ModelOutput
from trireme.errors import Fault

TensorType = TypeVar("TensorType", ModelInput, ModelOutput)

_POSITIONAL = frozenset({Format.TORCH_SCRIPT, Format.TORCH_EXPORT})
"""Formats whose outputs have no names; the backend finds them by NAME__INDEX."""


@dataclass(frozen=True, slots=True)
class Completed:
    """The inputs and outputs to serve a model with, complete unless there are faults."""

    inputs: tuple[ModelInput, ...]
    outputs: tuple[ModelOutput, ...]
    faults: tuple[Fault, ...] = ()


def complete(model: Model, file: ModelFile | None, path: str) -> Completed:
    """What the spec says, and where it leaves all inputs or all outputs out, what the file says.

    A list that is not empty keeps its tensors: leaving some outputs out is meant. Of each, the type
    or the dims that are left out are filled. Inputs of which Triton gives some itself are not
    filled. `path` is the model's, such as spec.models[0]; `file` is None where none was read. What
    cannot be filled of a list is a fault of the list.
    """
    faults: list[Fault] = []
    inputs, outputs = tuple(model.inputs), tuple(model.outputs)
    if inputs:
        inputs = tuple(
            _detailed(model, file, each, file.inputs if file else None) for each in inputs
        )
    elif not feeds_inputs(model):
        inputs = _fill(model, file, "input", path, faults)
    if outputs:
        found = _outputs(model, file) if file else None
        outputs = tuple(_detailed(model, file, each, found) for each in outputs)
    else:
        outputs = tuple(
            ModelOutput(name=each.name, data_type=each.data_type, dims=each.dims)
            for each in _fill(model, file, "output", path, faults)
        )
    return Completed(inputs, outputs, tuple(faults))


def _detailed(
    model: Model, file: ModelFile | None, told: TensorType, found: Sequence[FileTensor] | None
) -> TensorType:
    """A tensor of the spec with the type and the dims that the file has for its name."""
    here = next((each for each in found or () if each.name == told.name), None)
    if file is None or here is None or (told.data_type is not None and told.dims):
        return told
    filled = _tensor(model, file, here, told.name)
    if isinstance(filled, Unsayable):
        return told
    dims = told.dims if told.dims or told.reshape is not None else filled.dims
    data_type = told.data_type or filled.data_type
    return told.model_copy(update={"data_type": data_type, "dims": dims})


def _fill(
    model: Model, file: ModelFile | None, word: str, path: str, faults: list[Fault]
) -> tuple[ModelInput, ...]:
    """All tensors of one direction, or none of them and the reasons."""
    found = None if file is None else file.inputs if word == "input" else _outputs(model, file)
    place = f"{path}.{word}s"
    if file is None or not found:
        unsaid = f"{file.name} does not say them" if file else "no file was read that says them"
        faults.append(Fault(place, None, f"the {word}s are left out, and {unsaid}", _write(word)))
        return ()
    filled = []
    for index, tensor in enumerate(found):
        result = _tensor(model, file, tensor, f"{tensor.name or word}__{index}")
        if isinstance(result, Unsayable):
            what = f"{word} {cut(tensor.name or str(index))} of the model file {file.name}"
            faults.append(Fault(place, None, f"{what} {result.message}", result.remedy))
        else:
            filled.append(result)
    return tuple(filled) if len(filled) == len(found) else ()


def _outputs(model: Model, file: ModelFile) -> tuple[FileTensor, ...] | None:
    """The file's outputs; a forest's one has a size that the backend's parameters decide.

    Source: "Inputs and Outputs" of model_config.md of Triton's fil backend.
    """
    classes = file.forest.classes if file.forest else None
    if not file.outputs or classes is None:
        return file.outputs
    if _is_set(model, "predict_proba") or classes == 1:
        size = classes
    elif _is_set(model, "output_class"):
        size = 1
    else:
        return file.outputs
    return (file.outputs[0].model_copy(update={"dims": (-1, size)}),)


def _is_set(model: Model, parameter: str) -> bool:
    return model.parameters.get(parameter, "").strip().lower() == "true"


def _tensor(
    model: Model, file: ModelFile, found: FileTensor, indexed_name: str
) -> ModelInput | Unsayable:
    """Unsayable where the file does not say enough, or what no spec can say."""
    if not found.is_tensor:
        return Unsayable(f"is {found.type_name}, and no tensor", "Export it with tensors only")
    if found.data_type is None and found.type_name is not None:
        return Unsayable(
            f"is {found.type_name}, which backend {model.backend} does not take",
            "Export the model with another element type",
        )
    if found.data_type is None or found.dims is None:
        unsaid = "shape" if found.data_type else "data type"
        return Unsayable(f"has no {unsaid} there", "Write it with name, dataType and dims")
    dims = configured_dims(model, found.dims)
    if isinstance(dims, Unsayable):
        return dims
    name = None if file.format in _POSITIONAL else found.name
    try:
        return ModelInput(
            name=name or indexed_name,
            data_type=found.data_type,
            dims=dims,
            optional=found.optional,
        )
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        return Unsayable(f"is nothing that a spec can say: {reason}", "Export the model again")


def _write(word: str) -> str:
    return f"Write {word}s with name, dataType and dims"
