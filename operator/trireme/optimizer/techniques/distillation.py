"""Recovery by distillation: what was cut learns from the original to answer as it did."""

import copy
from dataclasses import dataclass

from trireme.optimizer.forms import Form, Module
from trireme.optimizer.technique import Stage, Workbench
from trireme.optimizer.techniques.teaching import teach


@dataclass(frozen=True, slots=True)
class Distillation:
    """A short training of all weights."""

    name: str = "distill"
    stage: Stage = Stage.TRAINING

    def unfit(self, form: Form) -> str | None:
        """It needs a module that can be trained."""
        if not isinstance(form, Module):
            return "needs the module itself: give a FILE.py:FUNCTION that makes it"
        return None

    def apply(self, form: Form, bench: Workbench) -> Form:
        """Train a copy."""
        assert isinstance(form, Module)  # noqa: S101  # what unfit says
        return Module(teach(self.name, copy.deepcopy(form.module).requires_grad_(True), bench))
