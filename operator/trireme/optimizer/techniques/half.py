"""Half precision: 16 bits for weights and for what flows between operators.

For GPUs, and processors with instructions for it; elsewhere it is measured and found slower.
Inputs and outputs keep their types, so that clients see no difference.
"""

import copy
from dataclasses import dataclass

import onnx
import torch
from onnxruntime.transformers.float16 import convert_float_to_float16

from trireme.optimizer.forms import Form, Graph, Module, quiet
from trireme.optimizer.runners import named
from trireme.optimizer.technique import Stage, Workbench


@dataclass(frozen=True, slots=True)
class Fp16:
    """An ONNX graph in IEEE half precision."""

    name: str = "fp16"
    stage: Stage = Stage.PARAMETERS

    def unfit(self, form: Form) -> str | None:
        """It needs an ONNX graph."""
        return None if isinstance(form, Graph) else "needs an ONNX graph"

    def apply(self, form: Form, bench: Workbench) -> Form:
        """Convert, by onnxruntime's tool."""
        assert isinstance(form, Graph)  # noqa: S101  # what unfit says
        with quiet():
            model = convert_float_to_float16(
                onnx.load_from_string(form.content), keep_io_types=True
            )
        return Graph(model.SerializeToString(deterministic=True))


class _Cast(torch.nn.Module):
    """A module in bfloat16 that takes and answers what the original does."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        cast = (each.bfloat16() if each.is_floating_point() else each for each in inputs)
        answer = named(self.module(*cast)).values()
        return tuple(each.float() if each.is_floating_point() else each for each in answer)


@dataclass(frozen=True, slots=True)
class Bf16:
    """A module in bfloat16, to be exported by torch: onnxruntime has few such kernels on CPUs."""

    name: str = "bf16"
    stage: Stage = Stage.CASTING

    def unfit(self, form: Form) -> str | None:
        """It needs a module of one type of floats."""
        if not isinstance(form, Module):
            return "needs the module itself: give a FILE.py:FUNCTION that makes it"
        floats = {each.dtype for each in form.module.parameters() if each.is_floating_point()}
        return None if floats == {torch.float32} else "has no weights of 32 bits alone"

    def apply(self, form: Form, bench: Workbench) -> Form:
        """Cast a copy, and its inputs and outputs around it."""
        assert isinstance(form, Module)  # noqa: S101  # what unfit says
        return Module(_Cast(copy.deepcopy(form.module).bfloat16()).eval())
