"""What every technique is: a small unit that makes one form of another, or says why it does not."""

from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from trireme.optimizer.forms import Form, Signature
from trireme.optimizer.samples import Samples

_EXAMPLE_SAMPLES = 3


class Stage(IntEnum):
    """When a technique is applied; within a recipe each stage comes once at most."""

    STRUCTURE = 1
    TRAINING = 2
    CASTING = 3
    EXPORT = 4
    CLEANING = 5
    PARAMETERS = 6


@dataclass(frozen=True, slots=True)
class Workbench:
    """What techniques have to work with.

    `original` is the model as it was given, which training teaches by. `effort` from 0 to 1 is how
    much of its training a technique is to do, `seconds` how long that may take at most,
    `compile_seconds` how long a compiler may. Techniques whose training the clock ended put their
    names into `hurried`.
    """

    signature: Signature
    training: Samples
    original: Form
    scratch: Path
    max_batch: int
    seed: int
    effort: float
    seconds: float
    compile_seconds: float
    hurried: list[str] = field(default_factory=list)

    def tensors(self, count: int) -> tuple[torch.Tensor, ...]:
        """A batch of training samples in the model's order."""
        batch = self.training.batch(count)
        return tuple(torch.from_numpy(np.ascontiguousarray(batch[n])) for n in self.names)

    def example(self) -> tuple[torch.Tensor, ...]:
        """What a model is traced or exported with; exporters take a size of 0 or 1 for constant."""
        return self.tensors(_EXAMPLE_SAMPLES)

    @property
    def names(self) -> tuple[str, ...]:
        """The model's inputs in its order."""
        return tuple(each.name for each in self.signature.inputs)


class Technique(Protocol):
    """One technique."""

    @property
    def name(self) -> str:
        """What recipes, reports and users call it by."""
        ...

    @property
    def stage(self) -> Stage:
        """When it is applied."""
        ...

    def unfit(self, form: Form) -> str | None:
        """Why it does not apply to a form; None where it does."""
        ...

    def apply(self, form: Form, bench: Workbench) -> Form:
        """The form it makes. The one given is left as it is."""
        ...
