"""A user's model, read into one of the forms.

A .py factory is the user's own code and runs here. What can be read without running code is read
so: weights by torch.load(weights_only=True), ONNX as protobuf. A TorchScript program or an export
archive is a program, and torch makes no promise for a hostile one: so this happens at a desk or in
an unprivileged Job, never in the operator.
"""

import inspect
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch

from trireme.errors import Fault, InvalidSpec
from trireme.optimizer.forms import (
    Exported,
    Form,
    Graph,
    Module,
    Script,
    Signature,
    TensorSpec,
    quiet,
)
from trireme.optimizer.metrics import load_function
from trireme.optimizer.runners import Runner, runner_of
from trireme.optimizer.samples import Array, Arrays, Samples
from trireme.optimizer.wishes import ModelSource

KNOWN = "model.onnx, model.pt (TorchScript), model.pt2 (torch.export) or FILE.py:FUNCTION"

_ONNX_TYPES = {
    code: np.dtype(onnx.helper.tensor_dtype_to_np_dtype(code))
    for code in (1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13)  # numbers and truth values
}
_PROBE = 3  # samples of the first run: not 1 nor 2, which a shape could hold by chance


@dataclass(frozen=True, slots=True)
class Original:
    """A model as it was given, its samples in its own order and types, and how it runs.
    `size_bytes` is of its file, with what it keeps beside it; None of a module, which is none.
    """

    form: Form
    signature: Signature
    samples: Samples
    run: Runner
    size_bytes: int | None


def open_model(source: ModelSource, samples: Samples, threads: int) -> Original:
    """Read a model and run it once. Raises InvalidSpec where it or its samples cannot be used."""
    form = read(source)
    names, types = _inputs(form, samples)
    fitted = _fitted(samples, names, types)
    inputs = tuple(
        TensorSpec(name, array.dtype, array.shape[1:]) for name, array in fitted.inputs.items()
    )
    run = runner_of(form, tuple(names), threads)
    outputs = _outputs(run, fitted, source)
    return Original(form, Signature(inputs, outputs), fitted, run, _size_bytes(form, source))


def read(source: ModelSource) -> Form:
    """The form of a file. Raises InvalidSpec."""
    if ":" in source.path and not Path(source.path).exists():
        return _made(source)
    if source.weights is not None:
        raise _invalid(
            "weights", source.weights, "belong to no factory", "Leave them out: the file has them"
        )
    place = Path(source.path)
    if not place.is_file():
        raise _invalid("model", source.path, "does not exist", f"Give {KNOWN}")
    readers: Mapping[str, Callable[[Path], Form]] = {
        ".onnx": _graph,
        ".pt": _script,
        ".pth": _script,
        ".ts": _script,
        ".pt2": _exported,
    }
    if place.suffix not in readers:
        raise _invalid("model", source.path, "is of no known kind", f"Give {KNOWN}")
    try:
        with quiet():
            return readers[place.suffix](place)
    except InvalidSpec:
        raise
    except Exception as error:  # what these libraries raise on a bad file is not written down
        raise _invalid(
            "model", source.path, f"cannot be read: {_first_line(error)}", f"Give {KNOWN}"
        ) from error


def _size_bytes(form: Form, source: ModelSource) -> int | None:
    match form:
        case Graph():
            return len(form.content)
        case Module():
            return None
        case _:
            return Path(source.path).stat().st_size


def _graph(place: Path) -> Graph:
    model = onnx.load(str(place))  # with what it keeps in files beside it, within its folder
    onnx.checker.check_model(model)
    return Graph(model.SerializeToString())


def _script(place: Path) -> Script:
    try:
        module = torch.jit.load(str(place), map_location="cpu")
    except RuntimeError as error:
        if "constants.pkl" in str(error):
            raise _invalid(
                "model",
                str(place),
                "is no TorchScript program; it may be weights alone",
                "Give FILE.py:FUNCTION that makes the module, and this file as weights",
            ) from error
        raise
    return Script(module.eval())


def _exported(place: Path) -> Exported:
    return Exported(torch.export.load(str(place)))


def _made(source: ModelSource) -> Module:
    module = load_function("model", source.path)()
    if not isinstance(module, torch.nn.Module):
        raise _invalid(
            "model",
            source.path,
            f"answered a {type(module).__name__}",
            "Make the function answer a torch.nn.Module",
        )
    if source.weights is not None:
        _load_weights(module, source.weights)
    return Module(module.eval())


def _load_weights(module: torch.nn.Module, file: str) -> None:
    try:
        with quiet():
            module.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, pickle.UnpicklingError, TypeError, AttributeError) as error:
        raise _invalid(
            "weights",
            file,
            f"cannot be loaded into the module: {_first_line(error)}",
            "Give a state_dict of it, saved by torch.save",
        ) from error


# ---------------------------------------------------------------------------------------- inputs


def _inputs(form: Form, samples: Samples) -> tuple[list[str], Mapping[str, np.dtype[np.generic]]]:
    """The names of a model's inputs in its order, and their types as far as it says them."""
    match form:
        case Graph():
            graph = onnx.load_from_string(form.content).graph
            stored = {each.name for each in graph.initializer}
            inputs = [each for each in graph.input if each.name not in stored]
            types = {
                each.name: _ONNX_TYPES[each.type.tensor_type.elem_type]
                for each in inputs
                if each.type.tensor_type.elem_type in _ONNX_TYPES
            }
            return [each.name for each in inputs], types
        case Module():
            parameters = inspect.signature(form.module.forward).parameters.values()
            names = [
                each.name
                for each in parameters
                if each.kind in (each.POSITIONAL_OR_KEYWORD, each.POSITIONAL_ONLY)
                and (each.default is each.empty or each.name in samples.inputs)
            ]
        case Script():
            names = [
                each.name
                for each in form.module.forward.schema.arguments[1:]
                if not each.has_default_value() or each.name in samples.inputs
            ]
        case Exported():
            names = list(form.program.graph_signature.user_inputs)
        case _:
            raise TypeError(form)
    return names, {}


def _fitted(
    samples: Samples, names: list[str], types: Mapping[str, np.dtype[np.generic]]
) -> Samples:
    """The samples in the model's order and types."""
    if len(names) == 1 and list(samples.inputs) == ["input"]:  # a .npy file has no names
        samples = Samples({names[0]: samples.inputs["input"]}, samples.labels)
    faults = [
        _fault(
            "samples",
            None,
            f"lack the input {name}",
            f"Name an array so; they have {', '.join(samples.inputs)}",
        )
        for name in names
        if name not in samples.inputs
    ]
    faults += [
        _fault(
            f"samples.{name}",
            None,
            "is no input of the model",
            f"Leave it out, or say it is the labels; the inputs are {', '.join(names)}",
        )
        for name in samples.inputs
        if name not in names
    ]
    if faults:
        raise InvalidSpec(faults)
    return Samples(
        {name: _as_type(name, samples.inputs[name], types.get(name)) for name in names},
        samples.labels,
    )


def _as_type(name: str, array: Array, wanted: np.dtype[np.generic] | None) -> Array:
    """An array in the type that a model says; where it says none, doubles are taken for floats,
    since numpy makes doubles of all and few models take them.
    """
    if wanted is None:
        return array.astype(np.float32) if array.dtype == np.float64 else array
    if array.dtype.kind not in "biuf":
        raise _invalid(f"samples.{name}", None, f"is {array.dtype}", "Give numbers")
    with np.errstate(invalid="ignore"):  # what does not fit is found below
        found = array.astype(wanted)
    if wanted.kind in "biu" and not np.array_equal(found, array):
        raise _invalid(
            f"samples.{name}",
            None,
            f"is {array.dtype}, of which {wanted}, the model's type, would lose something",
            f"Give it as {wanted}, scaled as the model takes it",
        )
    return found


def _outputs(run: Runner, samples: Samples, source: ModelSource) -> tuple[TensorSpec, ...]:
    try:
        answers: Arrays = run(samples.batch(_PROBE))
    except Exception as error:  # the model's own code, or a runtime's many ways to refuse
        shapes = ", ".join(
            f"{name} {array.dtype} {[_PROBE, *array.shape[1:]]}"
            for name, array in samples.inputs.items()
        )
        raise _invalid(
            "model",
            source.path,
            f"fails on the samples ({shapes}): {_first_line(error)}",
            "Give samples of the shape and type it takes; the first dimension is the batch",
        ) from error
    for name, array in answers.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
            told = array.dtype if isinstance(array, np.ndarray) else f"a {type(array).__name__}"
            raise _invalid(
                "model",
                source.path,
                f"answers {name} as {told}, and not as an array of numbers",
                "Export it without the step that names classes (ZipMap), or without that output",
            )
        if array.ndim == 0 or len(array) != _PROBE:
            raise _invalid(
                "model",
                source.path,
                f"answers {name} of shape {list(array.shape)} to a batch of {_PROBE}",
                "Make the first dimension of every output that of the batch",
            )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise _invalid(
                "model",
                source.path,
                f"answers NaN or infinity in {name}",
                "Mend it first: a model is optimised towards what it answers",
            )
    return tuple(TensorSpec(name, array.dtype, array.shape[1:]) for name, array in answers.items())


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def _fault(field: str, value: object, message: str, remedy: str) -> Fault:
    return Fault(f"optimization.{field}", value, message, remedy)


def _invalid(field: str, value: object, message: str, remedy: str) -> InvalidSpec:
    return InvalidSpec([_fault(field, value, message, remedy)])
