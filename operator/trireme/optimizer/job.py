"""`trireme optimize-job`: one model of an agent, from its mounted files to a result.

The plan says what is wanted (`api.optimize`); what came of it is the container's termination
message. Here a model that may be hostile is opened, so there are no credentials at hand, and what
is told of it is words and numbers to whoever reads it.
"""

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trireme.api.fetch import TERMINATION_MESSAGE_BYTES
from trireme.api.optimization import LONGEST_REFUSAL, MOST_TRIED, Gain, TriedForm
from trireme.api.optimize import (
    FITTING,
    PROGRAM_FILE,
    RESULT_FILE,
    OptimizedBackend,
    OptimizePlan,
    OptimizeResult,
    optimize_message,
)
from trireme.errors import Fault, InvalidSpec
from trireme.optimizer.candidates import Refused
from trireme.optimizer.program import Result, optimise
from trireme.optimizer.recipes import Recipe
from trireme.optimizer.report import summary
from trireme.optimizer.search import Finalist, Outcome
from trireme.optimizer.serving import GENERATED
from trireme.optimizer.wishes import Backend, ModelSource, Request, Wishes

logger = logging.getLogger(__name__)

_MODEL_ENDINGS = (".onnx", ".pt", ".pth", ".ts", ".pt2")


@dataclass(frozen=True, slots=True)
class Mounts:
    """Where what the job works with is mounted."""

    model: Path
    samples: Path
    into: Path
    result: Path


def run(plan: OptimizePlan, mounts: Mounts) -> bool:
    """Search, write what was made, leave what came of it; False where nothing could be searched."""
    try:
        file = _model_file(plan, mounts.model)
        request = _request(plan, file, mounts)
        made = optimise(request, lambda what, _: logger.info("%s: %s", plan.model, what))
        found = _result(made)
    except InvalidSpec as error:
        found = _failed(str(error))
    except Exception as error:  # of libraries, on a file that they cannot take
        logger.exception("%s: the search failed", plan.model)
        found = _failed(f"{type(error).__name__}: {error}")
    logger.info("%s: %s", plan.model, found.failure or found.summary)
    for place in (mounts.into / RESULT_FILE, mounts.result):
        try:
            place.write_text(optimize_message(found), encoding="utf-8")
        except OSError as error:
            logger.warning("the result cannot be left at %s: %s", place, error.strerror)
    return found.failure is None


def _failed(words: str) -> OptimizeResult:
    # A model or a sample may have the words; of more characters than bytes no message can tell.
    return OptimizeResult(failure=words[:TERMINATION_MESSAGE_BYTES])


def _request(plan: OptimizePlan, file: Path, mounts: Mounts) -> Request:
    # What needs a compiler, or a module, is no part of this.
    techniques = frozenset(each.value for each in plan.techniques or FITTING[plan.backend])
    return Request(
        name=plan.model,
        model=ModelSource(str(file)),
        samples=_single(mounts.samples),
        labels=plan.labels,
        metric=plan.metric,
        wishes=Wishes(
            max_drop=plan.max_drop,
            budget_seconds=plan.budget.total_seconds(),
            max_batch=plan.max_batch,
            latency_seconds=None if plan.latency is None else plan.latency.total_seconds(),
            size_bytes=plan.size_bytes,
            backend=Backend(plan.backend.value),
            techniques=techniques,
            threads=plan.threads,
        ),
        into=mounts.into,
        uri=f"pvc://CLAIM/{plan.model}/1/",
    )


def _model_file(plan: OptimizePlan, folder: Path) -> Path:
    """The one file of a version that is a model. Raises InvalidSpec."""
    files = [file for file in _files(folder) if file.suffix in _MODEL_ENDINGS]
    if len(files) != 1:
        there = ", ".join(file.name for file in _files(folder)) or "nothing"
        raise _invalid(
            plan.model,
            f"its version holds {there}",
            f"Have one file that ends in one of {', '.join(_MODEL_ENDINGS)}",
        )
    program = folder / PROGRAM_FILE
    is_own = program.is_file() and program.read_bytes() == GENERATED.read_bytes()
    if plan.backend is OptimizedBackend.PYTHON and not is_own:
        raise _invalid(
            plan.model,
            f"its {PROGRAM_FILE} is a program of your own, whose answers are not those of "
            f"{files[0].name} alone",
            "Serve the file by onnxruntime, or by the model.py that `trireme optimize` writes",
        )
    return files[0]


def _single(folder: Path) -> Path:
    """The one file of a folder, or the folder: Parquet is read from a file alone."""
    files = list(_files(folder))
    return files[0] if len(files) == 1 else folder


def _files(folder: Path) -> Iterator[Path]:
    """A folder's files; the kubelet's own links in a ConfigMap begin with two dots."""
    return (
        file
        for file in sorted(folder.iterdir())
        if file.is_file() and not file.name.startswith("..")
    )


def _result(made: Result) -> OptimizeResult:
    winner, tried = made.outcome.winner, _tried(made.outcome)
    if winner is None:
        return OptimizeResult(summary=summary(made.outcome), tried=tried)
    return OptimizeResult(
        summary=summary(made.outcome),
        tried=tried,
        gain=_gain(made.outcome, winner),
        file=winner.artefact.file,
        sha256=winner.artefact.sha256,
    )


def _tried(outcome: Outcome) -> list[TriedForm]:
    """Those that were judged at last; where none came so far, the first of those that went the
    farthest.
    """
    original = outcome.original_bytes
    if outcome.finalists:
        return [
            _form(
                each.recipe,
                each.ratio,
                _share(len(each.artefact.content), original),
                each.refused,
                each.verdict.most_drop,
            )
            for each in outcome.finalists
        ]
    farthest = sorted(outcome.trials, key=lambda each: each.ratio is None)
    return [
        _form(each.recipe, each.ratio, _share(each.size_bytes, original), each.refused)
        for each in farthest[:MOST_TRIED]
    ]


def _form(
    recipe: Recipe,
    ratio: float | None,
    size_ratio: float | None,
    refused: Refused | None,
    most_drop: float = math.nan,
) -> TriedForm:
    """What of it is a finite number, as only such can be told."""
    return TriedForm(
        techniques=list(recipe.steps),
        throughput_ratio=_figure(1 / ratio) if ratio and math.isfinite(ratio) else None,
        size_ratio=size_ratio,
        most_drop=_figure(most_drop) if math.isfinite(most_drop) else None,
        refused=str(refused)[:LONGEST_REFUSAL] if refused is not None else None,
    )


def _share(size: int | None, of: int | None) -> float | None:
    return _figure(size / of) if size and of else None


def _gain(outcome: Outcome, winner: Finalist) -> Gain:
    before, size = outcome.original_speed.seconds, outcome.original_bytes
    assert size is not None  # noqa: S101  # a Job's model is a file
    return Gain(
        techniques=list(winner.recipe.steps),
        throughput_ratio=_figure(1 / winner.ratio),
        latency_ratio=_figure(winner.speed.seconds[1] / before[1]),
        size_ratio=_figure(len(winner.artefact.content) / size),
        score_before=_figure(outcome.original_score),
        score_after=_figure(winner.verdict.score),
        most_drop=_figure(winner.verdict.most_drop),
        samples=winner.verdict.samples,
        missed=list(winner.missed),
    )


def _figure(value: float) -> float:
    """Four digits, which no measurement is better than."""
    return float(f"{value:.4g}")


def _invalid(model: str, message: str, remedy: str) -> InvalidSpec:
    return InvalidSpec([Fault(f"optimization.models.{model}", None, message, remedy)])
