"""Structured pruning: whole channels go, together with all that depends on them.

torch-pruning follows the graph from each layer to those whose shapes must change with it, so that
the tensors really are smaller, on any hardware. The channels of least norm go; what the model
answers with keeps its shape.
"""

import copy
from dataclasses import dataclass

import torch
import torch_pruning

from trireme.optimizer.forms import Form, Module, quiet
from trireme.optimizer.runners import named
from trireme.optimizer.technique import Stage, Workbench

_ROUND_TO = 4  # channels: kernels for vectors are no faster for odd numbers
_LAYERS = (torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d, torch.nn.Linear)


@dataclass(frozen=True, slots=True)
class Pruning:
    """A share of the channels of every layer removed."""

    share: float
    stage: Stage = Stage.STRUCTURE

    @property
    def name(self) -> str:
        """`prune-25` removes a quarter."""
        return f"prune-{self.share * 100:.0f}"

    def unfit(self, form: Form) -> str | None:
        """It needs a module with layers in a row."""
        if not isinstance(form, Module):
            return "needs the module itself: give a FILE.py:FUNCTION that makes it"
        if sum(isinstance(layer, _LAYERS) for layer in form.module.modules()) < 2:
            return "has no two layers in a row whose channels could go"
        return None

    def apply(self, form: Form, bench: Workbench) -> Form:
        """Remove the channels of least norm."""
        assert isinstance(form, Module)  # noqa: S101  # what unfit says
        module = copy.deepcopy(form.module)
        example = bench.tensors(2)
        with quiet():
            pruner = torch_pruning.pruner.BasePruner(
                module,
                example,
                importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
                pruning_ratio=self.share,
                ignored_layers=_last_layers(module, example),
                round_to=_ROUND_TO,
            )
            pruner.step()
        if _parameters(module) >= _parameters(form.module):
            raise ValueError("no channel could go without changing the shape of the answer")
        return Module(module.eval())


def _parameters(module: torch.nn.Module) -> int:
    return sum(each.numel() for each in module.parameters())


def _last_layers(
    module: torch.nn.Module, example: tuple[torch.Tensor, ...]
) -> list[torch.nn.Module]:
    """The layers whose output is the model's, or has its width: those must stay as they are. The
    width is in the second dimension after convolutions, in the last after linear layers.
    """
    with torch.inference_mode():
        shapes = [each.shape for each in named(module(*example)).values() if each.ndim > 1]
    widths = {width for shape in shapes for width in (shape[1], shape[-1])}
    last = None
    kept = []
    for layer in module.modules():
        if isinstance(layer, _LAYERS):
            last = layer
            if getattr(layer, "out_features", getattr(layer, "out_channels", None)) in widths:
                kept.append(layer)
    return [*kept, last] if last is not None and last not in kept else kept
