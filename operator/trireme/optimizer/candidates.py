"""From a recipe to a form that can be run, each step once however many recipes share it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from trireme.optimizer.forms import Form, Signature
from trireme.optimizer.loading import Original
from trireme.optimizer.recipes import Recipe
from trireme.optimizer.runners import Runner, answers, runner_of
from trireme.optimizer.samples import Arrays, Samples
from trireme.optimizer.technique import Stage, Technique, Workbench


@dataclass(frozen=True, slots=True)
class Built:
    """A form, and what runs it."""

    form: Form
    run: Runner


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a recipe is out, in words; `step` is where, empty where it is the whole."""

    step: str
    reason: str

    def __str__(self) -> str:
        return f"{self.step}: {self.reason}" if self.step else self.reason


@dataclass
class Builder:
    """Applies recipes to a model. Forms that training had no part in are kept for the next."""

    original: Original
    training: Samples
    scratch: Path
    max_batch: int
    threads: int
    seed: int
    _kept: dict[tuple[tuple[str, ...], float], Form | Refused] = field(default_factory=dict)

    def build(self, recipe: Recipe, effort: float, seconds: float) -> Built | Refused:
        """The form of a recipe; `seconds` is what each training in it may take."""
        bench = Workbench(
            signature=self.original.signature,
            training=self.training,
            original=self.original.form,
            scratch=self.scratch,
            max_batch=self.max_batch,
            seed=self.seed,
            effort=effort,
            seconds=seconds,
        )
        form = self.original.form
        for number in range(1, len(recipe.steps) + 1):
            made = self._made(recipe.techniques[:number], form, bench)
            if isinstance(made, Refused):
                return made
            form = made
        try:
            return Built(form, runner_of(form, bench.names, self.threads))
        except Exception as error:
            return Refused("", f"cannot be loaded: {_first_line(error)}")

    def _made(self, steps: Sequence[Technique], form: Form, bench: Workbench) -> Form | Refused:
        """What the last of these steps makes of a form that those before it have made."""
        is_trained = any(each.stage is Stage.TRAINING for each in steps)
        key = (tuple(each.name for each in steps), bench.effort if is_trained else 0.0)
        if key not in self._kept:
            self._kept[key] = _applied(steps[-1], form, bench)
        return self._kept[key]


def _applied(technique: Technique, form: Form, bench: Workbench) -> Form | Refused:
    if reason := technique.unfit(form):
        return Refused(technique.name, reason)
    try:
        return technique.apply(form, bench)
    except Exception as error:  # libraries fail in many ways; what one cannot do is no one's fault
        return Refused(technique.name, f"failed: {_first_line(error)}")


def sound_answers(run: Runner, samples: Samples, signature: Signature) -> Arrays | Refused:
    """A candidate's answers to samples; or what is wrong with them, whatever the metric says."""
    try:
        found = answers(run, samples.inputs)
    except Exception as error:
        return Refused("", f"fails on the samples: {_first_line(error)}")
    expected = {each.name: each for each in signature.outputs}
    if len(found) != len(expected):
        return Refused("", f"has {len(found)} outputs instead of {len(expected)}")
    for (name, array), spec in zip(found.items(), signature.outputs, strict=True):
        if array.shape[1:] != spec.dims:
            return Refused("", f"{name} has the shape {array.shape[1:]} instead of {spec.dims}")
        if array.dtype != spec.data_type:
            return Refused("", f"{name} is {array.dtype} instead of {spec.data_type}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            return Refused("", f"{name} holds NaN or infinity")
    return dict(zip(expected, found.values(), strict=True))


def _first_line(error: BaseException) -> str:
    return (next(iter(str(error).splitlines()), "") or type(error).__name__)[:200]
