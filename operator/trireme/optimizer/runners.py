"""How each form is run: arrays in by name, arrays out by name."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from trireme.optimizer.forms import Compiled, Exported, Form, Graph, Module, Script, quiet
from trireme.optimizer.samples import Arrays

Runner = Callable[[Arrays], Arrays]


def runner_of(form: Form, inputs: Sequence[str], threads: int) -> Runner:
    """What runs a form by so many threads, which torch knows for its whole process only."""
    torch.set_num_threads(threads)
    match form:
        case Graph():
            return _onnx(form, threads)
        case Module():
            return of_torch(form.module, inputs)
        case Exported():
            with quiet():
                return of_torch(form.program.module(), inputs)
        case Script():
            return of_torch(form.module, inputs)
        case Compiled():
            return _compiled(form, inputs)


def session_options(threads: int) -> onnxruntime.SessionOptions:
    """As the generated model.py sets them; but idle threads of one model do not spin while another
    is measured.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _onnx(form: Graph, threads: int) -> Runner:
    session = onnxruntime.InferenceSession(
        form.content, session_options(threads), providers=["CPUExecutionProvider"]
    )
    names = [each.name for each in session.get_outputs()]

    def run(inputs: Arrays) -> Arrays:
        return dict(zip(names, session.run(names, dict(inputs)), strict=True))

    return run


def of_torch(module: Callable[..., object], inputs: Sequence[str]) -> Runner:
    """What runs a module of torch."""

    def run(arrays: Arrays) -> Arrays:
        with torch.inference_mode():
            answer = module(*(torch.from_numpy(arrays[name]) for name in inputs))
        return {name: tensor.numpy() for name, tensor in named(answer).items()}

    return run


def _compiled(form: Compiled, inputs: Sequence[str]) -> Runner:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.pt2"
        file.write_bytes(form.content)
        with quiet():
            loaded = torch._inductor.aoti_load_package(str(file))
    return of_torch(loaded, inputs)


def named(answer: object) -> dict[str, torch.Tensor]:
    """A module's outputs by name: its own where it answers a mapping, else output_0, output_1."""
    if isinstance(answer, torch.Tensor):
        return {"output_0": answer}
    if isinstance(answer, Mapping):
        return {str(name): value for name, value in answer.items() if value is not None}
    if isinstance(answer, Sequence):
        return {f"output_{number}": value for number, value in enumerate(answer)}
    raise TypeError(f"the model answers a {type(answer).__name__}, and not tensors")


def answers(run: Runner, inputs: Arrays, batch: int) -> Arrays:
    """The answers to all samples, so many at a time."""
    count = len(next(iter(inputs.values())))
    parts = [
        run({name: array[start : start + batch] for name, array in inputs.items()})
        for start in range(0, count, batch)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
