"""From a recipe to a form that can be run, each step once however many recipes share it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from trireme.optimizer.forms import Artefact, Form, Signature, artefact_of, form_of
from trireme.optimizer.loading import Original
from trireme.optimizer.recipes import Recipe
from trireme.optimizer.runners import Runner, answers, runner_of
from trireme.optimizer.samples import Arrays, Samples
from trireme.optimizer.technique import Stage, Technique, Workbench

_TRAINING_SHARE = 0.1  # of the budget, for one training in full
_COMPILE_SHARE = 0.4  # of the budget, for one run of a compiler


@dataclass(frozen=True, slots=True)
class Built:
    """What a server would load, what runs just that, and whether the clock ended its training: it
    cannot be made again to the byte then.
    """

    artefact: Artefact
    run: Runner
    is_hurried: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a recipe is out, in words; `step` is where, empty where it is the whole."""

    step: str
    reason: str

    def __str__(self) -> str:
        return f"{self.step}: {self.reason}" if self.step else self.reason


@dataclass
class Builder:
    """Applies recipes to a model, each step once for all that are to come: see `keep`."""

    original: Original
    training: Samples
    scratch: Path
    max_batch: int
    threads: int
    seed: int
    _kept: dict[tuple[tuple[str, ...], float], tuple[Form | Refused, bool]] = field(
        default_factory=dict
    )

    def build(self, recipe: Recipe, effort: float, budget_seconds: float) -> Built | Refused:
        """What a recipe makes; trainings and compilers have a share of the budget each."""
        bench = Workbench(
            signature=self.original.signature,
            training=self.training,
            original=self.original.form,
            scratch=self.scratch,
            max_batch=self.max_batch,
            seed=self.seed,
            effort=effort,
            seconds=effort * _TRAINING_SHARE * budget_seconds,
            compile_seconds=_COMPILE_SHARE * budget_seconds,
        )
        form, is_hurried = self.original.form, False
        for number in range(1, len(recipe.steps) + 1):
            made, hurried = self._made(recipe.techniques[:number], form, bench)
            if isinstance(made, Refused):
                return made
            form, is_hurried = made, is_hurried or hurried
        artefact = artefact_of(form, self.scratch)
        if artefact is None:
            return Refused("", "is nothing that a server loads")
        try:
            return Built(
                artefact, runner_of(form_of(artefact), bench.names, self.threads), is_hurried
            )
        except Exception as error:
            return Refused("", f"cannot be loaded: {_first_line(error)}")

    def keep(self, soon: Collection[Recipe], later: Collection[Recipe]) -> None:
        """Forget what was made but for the recipes that come soon, with the effort there is now,
        and later, with another.
        """
        self._kept = {
            (steps, effort): form
            for (steps, effort), form in self._kept.items()
            if any(
                each.steps[: len(steps)] == steps for each in (soon if effort else (*soon, *later))
            )
        }

    def _made(
        self, steps: Sequence[Technique], form: Form, bench: Workbench
    ) -> tuple[Form | Refused, bool]:
        """What the last of these steps makes of a form that those before it have made, and whether
        in a hurry.
        """
        is_trained = any(each.stage is Stage.TRAINING for each in steps)
        key = (tuple(each.name for each in steps), bench.effort if is_trained else 0.0)
        if key not in self._kept:
            made = _applied(steps[-1], form, bench)
            self._kept[key] = made, steps[-1].name in bench.hurried
        return self._kept[key]


def _applied(technique: Technique, form: Form, bench: Workbench) -> Form | Refused:
    if reason := technique.unfit(form):
        return Refused(technique.name, reason)
    try:
        return technique.apply(form, bench)
    except Exception as error:  # libraries fail in many ways; what one cannot do is no one's fault
        return Refused(technique.name, f"failed: {_first_line(error)}")


def sound_answers(
    run: Runner, samples: Samples, signature: Signature, batch: int
) -> Arrays | Refused:
    """A candidate's answers to samples; or what is wrong with them, whatever the metric says."""
    try:
        found = answers(run, samples.inputs, batch)
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
