"""The table of techniques, and the combinations of them that are worth a try."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest

from trireme.errors import Fault, InvalidSpec
from trireme.optimizer.forms import Exported, Form, Graph, Script
from trireme.optimizer.technique import Stage, Technique
from trireme.optimizer.techniques.aot_inductor import AotInductor
from trireme.optimizer.techniques.dead_branches import DeadBranches
from trireme.optimizer.techniques.distillation import Distillation
from trireme.optimizer.techniques.fusion import Fusion
from trireme.optimizer.techniques.half import Bf16, Fp16
from trireme.optimizer.techniques.int8_dynamic import Int8Dynamic
from trireme.optimizer.techniques.int8_static import Int8Static
from trireme.optimizer.techniques.low_rank import LowRank
from trireme.optimizer.techniques.onnx_export import OnnxExport
from trireme.optimizer.techniques.pruning import Pruning
from trireme.optimizer.techniques.quantisation_aware import QuantisationAware
from trireme.optimizer.techniques.torchscript import TorchScript
from trireme.optimizer.techniques.weight_only import WeightOnly
from trireme.optimizer.wishes import Backend

_ALL: Sequence[Technique] = (
    Pruning(0.25),
    Pruning(0.5),
    Pruning(0.75),
    LowRank(),
    Distillation(),
    QuantisationAware(),
    Bf16(),
    OnnxExport(),
    TorchScript(),
    AotInductor(),
    DeadBranches(),
    Fusion(),
    Fp16(),
    Int8Dynamic(),
    Int8Static(),
    Int8Static(inner=True),
    WeightOnly(8),
    WeightOnly(4),
)

TECHNIQUES: Mapping[str, Technique] = {each.name: each for each in _ALL}
"""By name, in the order in which they are tried."""

_STRUCTURES = ("prune-50", "low-rank", "prune-25", "prune-75")
_TAILS = (
    "int8-static",
    "int8-dynamic",
    "fuse",
    "int8-inner",
    "int8-weights",
    "int4-weights",
    "fp16",
)
_OF_A_CUT = ("fuse", "int8-static", "int8-dynamic")  # what a model with fewer channels is tried by
_LOWERED = {
    Backend.ONNXRUNTIME: ("onnx",),
    Backend.PYTHON: ("onnx",),
    Backend.PYTORCH: ("torchscript", "aot-inductor"),
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """Techniques one after another, none of them being the model as it was given."""

    steps: tuple[str, ...]

    def __str__(self) -> str:
        return " + ".join(self.steps) or "as given"

    @property
    def techniques(self) -> tuple[Technique, ...]:
        """The units that its steps name."""
        return tuple(TECHNIQUES[step] for step in self.steps)


def recipes(form: Form, backend: Backend, chosen: frozenset[str] | None) -> list[Recipe]:
    """What to try for a model in this form, the simplest first.

    `chosen` are the techniques that a user allows; what a backend needs is always allowed, of
    several ways to lower a model those that are chosen, if any is. What a model cannot be cut or
    trained by is tried all the same, so that a report has the reason. Raises InvalidSpec for what
    no recipe for this backend has.
    """
    check_names(chosen)
    lowered = [()] if isinstance(form, Graph) else [(step,) for step in _ways(backend, chosen)]
    is_module = not isinstance(form, Graph | Script | Exported)
    if backend is Backend.PYTORCH:
        found = _of_torch(lowered, is_module)
    else:
        found = _of_onnx(lowered, is_module)
    _check_fit(backend, chosen, found)
    always = {step for steps in lowered for step in steps} | {"dead-branches", "distill"}
    return [
        Recipe(steps)
        for steps in dict.fromkeys(found)
        if steps and (chosen is None or set(steps) <= chosen | always)
    ]


def _ways(backend: Backend, chosen: frozenset[str] | None) -> Sequence[str]:
    """How a model that is no graph is lowered to what a backend loads."""
    return [step for step in _LOWERED[backend] if step in (chosen or ())] or _LOWERED[backend]


def _check_fit(
    backend: Backend, chosen: frozenset[str] | None, found: Sequence[tuple[str, ...]]
) -> None:
    """Raise InvalidSpec for techniques that are chosen and would never be tried."""
    fitting = {step for steps in found for step in steps}
    told = ", ".join(each for each in TECHNIQUES if each in fitting)
    faults = [
        Fault(
            "optimization.techniques",
            name,
            f"is not for this form of a model and the backend {backend}",
            f"Write some of {told}",
        )
        for name in sorted((chosen or frozenset()) - fitting)
    ]
    if faults:
        raise InvalidSpec(faults)


def _of_onnx(lowered: Sequence[tuple[str, ...]], is_module: bool) -> list[tuple[str, ...]]:
    """Plain and cut models in turns: where time runs out, something of each was tried."""
    plain = [(*step, "dead-branches", tail) for step in lowered for tail in _TAILS]
    cut: list[tuple[str, ...]] = []
    if is_module:
        cut = [
            (cut, "distill", *step, "dead-branches", tail)
            for tail in _OF_A_CUT
            for cut in _STRUCTURES
            for step in lowered
        ]
        cut[2:2] = [("qat", *step, "dead-branches", "int8-static") for step in lowered]
    turns = (each for pair in zip_longest(plain, cut) for each in pair)
    return [*lowered, *(each for each in turns if each is not None)]


def _of_torch(lowered: Sequence[tuple[str, ...]], is_module: bool) -> list[tuple[str, ...]]:
    found = list(lowered)
    if is_module:
        found += [("bf16", *step) for step in lowered]
        found += [(cut, "distill", *step) for cut in _STRUCTURES for step in lowered]
    return found


def recipe_of(text: str) -> Recipe:
    """The recipe that a report names, as it is written there. Raises InvalidSpec."""
    steps = tuple(step.strip() for step in text.split("+"))
    check_names(frozenset(steps))
    stages = [TECHNIQUES[step].stage for step in steps]
    if any(later <= earlier for earlier, later in pairwise(stages)):
        raise InvalidSpec(
            [
                Fault(
                    "optimization.techniques",
                    text,
                    "has its steps in an order that is none",
                    f"Write them in the order of {', '.join(TECHNIQUES)}",
                )
            ]
        )
    return Recipe(steps)


def check_served(recipe: Recipe, form: Form, backend: Backend) -> None:
    """Raise InvalidSpec where a backend does not load what a recipe ends in."""
    is_graph, is_script = isinstance(form, Graph), isinstance(form, Script)
    for step in recipe.steps:
        if TECHNIQUES[step].stage is Stage.EXPORT:
            is_graph, is_script = step == "onnx", step != "onnx"
    if is_script if backend is Backend.PYTORCH else is_graph:
        return
    raise InvalidSpec(
        [
            Fault(
                "optimization.recipe",
                str(recipe),
                f"ends in nothing that the backend {backend} loads",
                f"Export it by {' or '.join(_LOWERED[backend])}, or take another backend",
            )
        ]
    )


def check_names(chosen: frozenset[str] | None) -> None:
    """Raise InvalidSpec where there is no technique of a name."""
    faults = [
        Fault(
            "optimization.techniques",
            name,
            "is no technique",
            f"Write some of {', '.join(TECHNIQUES)}",
        )
        for name in sorted((chosen or frozenset()) - TECHNIQUES.keys())
    ]
    if faults:
        raise InvalidSpec(faults)
