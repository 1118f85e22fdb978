"""TorchScript, traced and frozen: weights are constants.

torch.jit.optimize_for_inference would fuse layers, too, but what it makes is for the process that
made it: saved, it cannot be loaded.
"""

import copy
from dataclasses import dataclass

import torch

from trireme.optimizer.forms import Form, Module, Script, quiet
from trireme.optimizer.technique import Stage, Workbench


@dataclass(frozen=True, slots=True)
class TorchScript:
    """The model as Triton's pytorch backend loads it."""

    name: str = "torchscript"
    stage: Stage = Stage.EXPORT

    def unfit(self, form: Form) -> str | None:
        """It needs a module, or a program that is not frozen."""
        return None if isinstance(form, Module | Script) else "is no module of torch"

    def apply(self, form: Form, bench: Workbench) -> Form:
        """Trace and freeze."""
        assert isinstance(form, Module | Script)  # noqa: S101  # what unfit says
        with quiet(), torch.no_grad():
            module = copy.deepcopy(form.module).eval()
            if isinstance(form, Module):
                module = torch.jit.trace(module, bench.example(), strict=False)
            if hasattr(module, "training"):  # a frozen one has no such attribute
                module = torch.jit.freeze(module)
            return Script(module)
