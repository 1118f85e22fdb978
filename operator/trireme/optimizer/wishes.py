"""What is asked of the optimiser. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from trireme.api.optimization import MissedTarget, TargetName


class Backend(StrEnum):
    """What will execute the result in Triton, which says what form it must have."""

    ONNXRUNTIME = "onnxruntime"
    PYTHON = "python"
    PYTORCH = "pytorch"


@dataclass(frozen=True, slots=True)
class Wishes:
    """The limits that a result must keep, what is wished of it, and what may be spent to find it.

    `max_drop` is in the metric's own unit: 0.005 of accuracy is half a point. `confidence` is how
    sure the held-out samples must make it that the drop is no larger. `latency_seconds`, of the
    batch size that takes the least, and `size_bytes` of the file are wishes: what misses one is
    taken where nothing that passes keeps it. `threads` are those that an instance computes by, here
    and where it is served. `techniques` None is all of them.
    """

    max_drop: float = 0.005
    confidence: float = 0.95
    budget_seconds: float = 300.0
    max_batch: int = 16
    backend: Backend = Backend.ONNXRUNTIME
    latency_seconds: float | None = None
    size_bytes: int | None = None
    techniques: frozenset[str] | None = None
    threads: int = 1
    seed: int = 1

    @property
    def batches(self) -> tuple[int, ...]:
        """The batch sizes measured: powers of two up to the largest, and that itself."""
        powers = [2**n for n in range(self.max_batch.bit_length()) if 2**n < self.max_batch]
        return (*powers, self.max_batch)

    def missed(self, seconds: float, size_bytes: int | None) -> tuple[MissedTarget, ...]:
        """Which wishes a form of the model misses, whose fastest batch takes so long, and whose
        file has so many bytes; None is of a form that is no file.
        """
        return tuple(self._missed(seconds, size_bytes))

    def _missed(self, seconds: float, size_bytes: int | None) -> Iterator[MissedTarget]:
        for target, wanted, found in (
            (TargetName.LATENCY, self.latency_seconds, seconds),
            (TargetName.SIZE, self.size_bytes, size_bytes),
        ):
            if wanted is not None and found is not None and found > wanted:
                yield MissedTarget(target=target, wanted=wanted, found=found)


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Where a model is: a file, or `FILE.py:FUNCTION` with a file of weights or without."""

    path: str
    weights: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What to optimise, by what, and where the result goes.

    `uri` is where the pods will find it; `recipe` names one that a report had, to be made again
    instead of searched for.
    """

    name: str
    model: ModelSource
    samples: Path
    labels: str | None
    metric: str
    wishes: Wishes
    into: Path
    uri: str
    recipe: str | None = None
