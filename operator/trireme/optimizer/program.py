"""From a user's files to a model that is ready to be served, and the report beside it."""

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import yaml

from trireme.api.models import Model
from trireme.errors import Fault, InvalidSpec
from trireme.optimizer.candidates import Builder
from trireme.optimizer.forms import Artefact
from trireme.optimizer.loading import Original, open_model
from trireme.optimizer.metrics import Metric, metric_of
from trireme.optimizer.page import page
from trireme.optimizer.recipes import Recipe, check_served, recipe_of, recipes
from trireme.optimizer.report import Subject, report
from trireme.optimizer.runners import answers
from trireme.optimizer.sample_files import read_samples
from trireme.optimizer.samples import Folds, split
from trireme.optimizer.search import FINALISTS, Outcome, Search, Told
from trireme.optimizer.serving import config_of, files_of, model_of, on_tensorrt, suits_tensorrt
from trireme.optimizer.suitability import suited
from trireme.optimizer.wishes import Backend, Request


@dataclass(frozen=True, slots=True)
class Result:
    """The report, and whether there is something to serve."""

    report: dict[str, Any]
    outcome: Outcome


def optimise(
    request: Request,
    told: Told = lambda *_: None,
    clock: Callable[[], float] = time.monotonic,
) -> Result:
    """Search, write the result and the report. Raises InvalidSpec where the request has faults."""
    wishes = request.wishes
    told("reading the model and its samples", 0.0)
    samples = read_samples(request.samples, request.labels)
    metric = metric_of(request.metric, samples.labels is not None)
    torch.manual_seed(wishes.seed)
    original = open_model(request.model, samples, wishes.threads)
    told("judging the original", 0.0)
    answered = answers(original.run, original.samples.inputs, wishes.max_batch)
    original = replace(original, samples=suited(metric, original.samples, answered))
    folds = split(original.samples, wishes.seed)
    tried = _tried(request, original)
    with (
        _place_for(request.into) as place,
        tempfile.TemporaryDirectory(prefix="trireme-optimize-") as scratch,
    ):
        builder = Builder(
            original, folds.training, Path(scratch), wishes.max_batch, wishes.threads, wishes.seed
        )
        judged = 1 if request.recipe is None else FINALISTS  # a report chose it on these samples
        search = Search(original, folds, metric, wishes, builder, clock, told, judged)
        outcome = search.run(tried)
        found = _report(request, original, folds, metric, outcome)
        _write(Path(place), request, original, outcome, found)
        _replace(request.into, Path(place))
    return Result(found, outcome)


def _tried(request: Request, original: Original) -> Sequence[Recipe]:
    if request.recipe is not None:
        recipe = recipe_of(request.recipe)
        check_served(recipe, original.form, request.wishes.backend)
        return [recipe]
    found = recipes(original.form, request.wishes.backend, request.wishes.techniques)
    if not found:
        raise InvalidSpec(
            [
                Fault(
                    "optimization.backend",
                    request.wishes.backend.value,
                    f"serves nothing that can be made of {request.model.path}",
                    "Take onnxruntime or python for an ONNX model, or allow more techniques",
                )
            ]
        )
    return found


def _report(
    request: Request, original: Original, folds: Folds, metric: Metric, outcome: Outcome
) -> dict[str, Any]:
    files = {
        "model": request.model.path.rpartition(":")[0] or request.model.path,
        "weights": request.model.weights,
        "samples": str(request.samples),
        "labels": request.labels,
    }
    digests = {
        what: _digest(Path(file))
        for what, file in files.items()
        if file is not None and Path(file).exists()
    }
    subject = Subject(request.name, request.model.path, digests, original.signature)
    return report(subject, folds, metric, request.wishes, outcome)


def _digest(place: Path) -> str:
    """Of a file's content; of a directory, of its files' names and contents."""
    if place.is_file():
        return hashlib.sha256(place.read_bytes()).hexdigest()
    whole = hashlib.sha256()
    for file in sorted(place.iterdir()):
        if file.is_file():
            whole.update(f"{file.name}\0{_digest(file)}\n".encode())
    return whole.hexdigest()


# --------------------------------------------------------------------------------------- writing

_PARTS = ("model_repository", "configurations", "model.yaml", "report.html", "report.json")
"""What a result has, the last to come being what says that it is whole."""


def _place_for(into: Path) -> tempfile.TemporaryDirectory[str]:
    """A folder beside the old result, which is made before the search that is to be kept there."""
    try:
        into.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(prefix=".new-", dir=into)
    except OSError as error:
        raise InvalidSpec(
            [
                Fault(
                    "optimization.into",
                    str(into),
                    f"cannot be written to: {error.strerror}",
                    "Give a folder that is yours",
                )
            ]
        ) from error


def _replace(into: Path, place: Path) -> None:
    """Put a result where an older one may be, of which nothing stays."""
    for part in reversed(_PARTS):
        old = into / part
        if old.is_dir():
            shutil.rmtree(old)
        else:
            old.unlink(missing_ok=True)
    for part in _PARTS:
        if (place / part).exists():
            (place / part).rename(into / part)


def _write(
    into: Path, request: Request, original: Original, outcome: Outcome, found: dict[str, Any]
) -> None:
    """The report; and of a winner the repository, the spec's part, and what else could serve it."""
    _text(into / "report.json", json.dumps(found, indent=2) + "\n")
    _text(into / "report.html", page(found))
    if outcome.winner is None:
        return
    artefact = outcome.winner.artefact
    model = _model(request, original, artefact, request.wishes.backend)
    folder = into / "model_repository" / request.name
    _text(folder / "config.pbtxt", config_of(model))
    for name, content in files_of(artefact, request.wishes.backend).items():
        (folder / "1").mkdir(exist_ok=True)
        (folder / "1" / name).write_bytes(content)
    _text(into / "model.yaml", _fragment(model, outcome))
    for name, other in _others(request, original, artefact).items():
        _text(into / "configurations" / f"{name}.pbtxt", _NOT_RUN + config_of(other))


_NOT_RUN = "# Written, not run: try it before you serve by it.\n"


def _model(request: Request, original: Original, artefact: Artefact, backend: Backend) -> Model:
    return model_of(
        request.name,
        artefact,
        original.signature,
        backend,
        request.wishes.max_batch,
        request.wishes.threads,
        request.uri,
    )


def _others(request: Request, original: Original, artefact: Artefact) -> dict[str, Model]:
    """How other servers would serve the same file."""
    if artefact.file != "model.onnx":
        return {}
    by_onnxruntime = _model(request, original, artefact, Backend.ONNXRUNTIME)
    others = {
        "onnxruntime": by_onnxruntime,
        "python": _model(request, original, artefact, Backend.PYTHON),
    }
    if suits_tensorrt(artefact.content):
        others["tensorrt"] = on_tensorrt(by_onnxruntime)
    return others


def _fragment(model: Model, outcome: Outcome) -> str:
    """The entry of spec.models."""
    assert outcome.winner is not None  # noqa: S101  # who calls this has one
    entry = model.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return (
        f"# {outcome.winner.recipe}; sha256 {outcome.winner.artefact.sha256}\n"
        "# source: the folder model_repository/NAME/1, where you put it.\n"
        + yaml.safe_dump([entry], sort_keys=False)
    )


def _text(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
