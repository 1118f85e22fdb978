"""Sample inputs and their labels; every array's first dimension counts the samples. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]
Arrays = Mapping[str, Array]

_TRAINING, _SELECTION = 0.3, 0.2  # the rest, half of all, is what the gate judges by


@dataclass(frozen=True, slots=True)
class Samples:
    """Inputs by name, and the labels if there are any; as many of each."""

    inputs: Arrays
    labels: Array | None = None

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def take(self, chosen: npt.NDArray[np.int64] | slice) -> "Samples":
        """Some of the samples."""
        labels = None if self.labels is None else self.labels[chosen]
        return Samples({name: array[chosen] for name, array in self.inputs.items()}, labels)

    def batch(self, size: int) -> Arrays:
        """A batch of a size, of the first samples, over and over where there are fewer."""
        chosen = np.arange(size) % len(self)
        return {name: array[chosen] for name, array in self.inputs.items()}


def sort_of(array: Array) -> str:
    """What a sample is in an array: its type, in whatever order of bytes, and its shape."""
    return f"{array.dtype.type.__name__} {list(array.shape[1:])}"


@dataclass(frozen=True, slots=True)
class Folds:
    """Samples in three parts that share none: what techniques learn by, what candidates are chosen
    by, and what the gate judges by, which nothing before it has seen.
    """

    training: Samples
    selection: Samples
    held_out: Samples


def split(samples: Samples, seed: int) -> Folds:
    """Deal the samples out by a seed."""
    order = np.random.default_rng(seed).permutation(len(samples))
    first = round(_TRAINING * len(samples))
    second = first + round(_SELECTION * len(samples))
    return Folds(
        samples.take(order[:first]),
        samples.take(order[first:second]),
        samples.take(order[second:]),
    )
