"""Low-rank factors: a wide linear layer as two narrow ones.

By singular values: the factors keep a share of the squared sum of them, and a layer is replaced
only where that makes it cheaper to multiply by.
"""

import copy
from dataclasses import dataclass

import torch

from trireme.optimizer.forms import Form, Module
from trireme.optimizer.technique import Stage, Workbench

_LEAST_WIDTH = 64  # below, the second call costs more than it saves


@dataclass(frozen=True, slots=True)
class LowRank:
    """Linear layers factored, with a share of what they do kept."""

    kept: float = 0.95
    name: str = "low-rank"
    stage: Stage = Stage.STRUCTURE

    def unfit(self, form: Form) -> str | None:
        """It needs a module with wide linear layers."""
        if not isinstance(form, Module):
            return "needs the module itself: give a FILE.py:FUNCTION that makes it"
        if not any(self._rank(layer) for layer in form.module.modules()):
            return "no linear layer gets cheaper by factors"
        return None

    def apply(self, form: Form, bench: Workbench) -> Form:
        """Replace each layer that gets cheaper."""
        assert isinstance(form, Module)  # noqa: S101  # what unfit says
        module = copy.deepcopy(form.module)
        if rank := self._rank(module):
            return Module(_factored(module, rank).eval())
        for parent in list(module.modules()):
            for name, child in list(parent.named_children()):
                if rank := self._rank(child):
                    setattr(parent, name, _factored(child, rank))
        return Module(module.eval())

    def _rank(self, layer: torch.nn.Module) -> int:
        """The rank a layer is to have; 0 where it stays."""
        if type(layer) is not torch.nn.Linear or min(layer.weight.shape) < _LEAST_WIDTH:
            return 0
        values = torch.linalg.svdvals(layer.weight.detach().float()) ** 2
        shares = torch.cumsum(values, 0) / values.sum()
        rank = int(torch.searchsorted(shares, self.kept)) + 1
        wide, narrow = layer.weight.shape
        return rank if rank * (wide + narrow) < 0.8 * wide * narrow else 0


def _factored(layer: torch.nn.Module, rank: int) -> torch.nn.Sequential:
    weight = layer.weight.detach()
    left, values, right = torch.linalg.svd(weight.float(), full_matrices=False)
    first = torch.nn.Linear(weight.shape[1], rank, bias=False)
    second = torch.nn.Linear(rank, weight.shape[0], bias=layer.bias is not None)
    with torch.no_grad():
        root = values[:rank].sqrt()
        first.weight.copy_(root[:, None] * right[:rank])
        second.weight.copy_(left[:, :rank] * root)
        if layer.bias is not None:
            second.bias.copy_(layer.bias)
    return torch.nn.Sequential(first, second)
