"""Quantisation-aware fine-tuning: the weights learn to lie where 8 bits can tell them.

While it is trained, every convolution and linear layer computes with weights rounded per output
channel, as `int8-static` and `int8-dynamic` round them later; the gradient passes the rounding as
if it were not there. What remains is a plain module whose weights are on that grid.
"""

import copy
from dataclasses import dataclass

import torch
from torch.nn.utils import parametrize

from trireme.optimizer.forms import Form, Module
from trireme.optimizer.technique import Stage, Workbench
from trireme.optimizer.techniques.teaching import teach

_LAYERS = (torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Linear)
_LARGEST = 127  # of a signed byte, symmetric


class _Rounded(torch.nn.Module):
    """Weights on a grid of 255 steps per output channel."""

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        flat = weight.detach().flatten(1).abs().amax(1).clamp_min(1e-12) / _LARGEST
        scale = flat.reshape(-1, *[1] * (weight.ndim - 1))
        rounded = (weight / scale).round().clamp(-_LARGEST, _LARGEST) * scale
        return weight + (rounded - weight).detach()


@dataclass(frozen=True, slots=True)
class QuantisationAware:
    """A short training with rounded weights."""

    name: str = "qat"
    stage: Stage = Stage.TRAINING

    def unfit(self, form: Form) -> str | None:
        """It needs a module with layers to round."""
        if not isinstance(form, Module):
            return "needs the module itself: give a FILE.py:FUNCTION that makes it"
        if not any(isinstance(layer, _LAYERS) for layer in form.module.modules()):
            return "has no convolution or linear layer"
        return None

    def apply(self, form: Form, bench: Workbench) -> Form:
        """Train a copy, and leave plain weights."""
        assert isinstance(form, Module)  # noqa: S101  # what unfit says
        module = copy.deepcopy(form.module).requires_grad_(True)
        layers = [layer for layer in module.modules() if isinstance(layer, _LAYERS)]
        for layer in layers:
            parametrize.register_parametrization(layer, "weight", _Rounded())
        teach(self.name, module, bench)
        for layer in layers:
            parametrize.remove_parametrizations(layer, "weight")
        return Module(module.eval())
