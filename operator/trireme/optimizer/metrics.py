"""How well a model answers: scores of which more is better.

With labels a model is judged by them; without, by how near its answers are to the original's. What
counts is the drop, the original's score less the candidate's, in the metric's own unit. Errors are
relative to the size of what is compared with: 0.005 is half a percent of its root mean square.
"""

import importlib.util
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trireme.errors import Fault, InvalidSpec
from trireme.optimizer.samples import Array, Arrays

Floats = npt.NDArray[np.float64]

KNOWN = "accuracy, top-K, f1, cosine, mean-error, max-error, or FILE.py:FUNCTION"

_TOP = re.compile(r"top-([1-9][0-9]{0,3})")
_TINY = 1e-12  # what a root mean square of nothing but zeros is taken for


class Kind(Enum):
    """What a metric can say of one sample, which decides how a drop is bounded."""

    HIT = "right or wrong"
    SCORE = "a number"
    WORST = "a number, of which the lowest counts"
    WHOLE = "nothing: only sets of samples have a score"


@dataclass(frozen=True, slots=True)
class Truth:
    """What answers are compared with: labels, and what the original answered."""

    labels: Array | None
    reference: Arrays

    def take(self, chosen: npt.NDArray[np.int64]) -> "Truth":
        """Some of the samples."""
        labels = None if self.labels is None else self.labels[chosen]
        return Truth(labels, {name: array[chosen] for name, array in self.reference.items()})


Scorer = Callable[[Arrays, Truth], Floats]
"""A score for each sample, or a single one for all."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric by its name."""

    name: str
    kind: Kind
    needs_labels: bool
    scorer: Scorer
    places: int = 0
    """Among how many of the strongest answers the right class must be; 0 where there are none."""
    is_relative: bool = False
    """Whether it compares numbers, with the labels where there are any."""

    def scores(self, answers: Arrays, truth: Truth) -> Floats:
        """Each sample's score; of kind WHOLE, the one score of the set."""
        return self.scorer(answers, truth)

    def value(self, answers: Arrays, truth: Truth) -> float:
        """The score of a set of samples."""
        scores = self.scores(answers, truth)
        return float(scores.min() if self.kind is Kind.WORST else scores.mean())


def metric_of(text: str, has_labels: bool) -> Metric:
    """The metric of a name. Raises InvalidSpec where there is none, or it lacks labels."""
    metric = _named(text)
    if metric.needs_labels and not has_labels:
        raise _invalid(
            text, "needs labels, and there are none", "Give labels, or take cosine or mean-error"
        )
    return metric


def _named(text: str) -> Metric:
    if text == "accuracy":
        return Metric(text, Kind.HIT, True, _hits(1), places=1)
    if match := _TOP.fullmatch(text):
        places = int(match[1])
        return Metric(text, Kind.HIT, True, _hits(places), places)
    if text == "f1":
        return Metric(text, Kind.WHOLE, True, _f1, places=1)
    if text == "cosine":
        return Metric(text, Kind.SCORE, False, _cosine)
    if text == "mean-error":
        return Metric(text, Kind.SCORE, False, _mean_error, is_relative=True)
    if text == "max-error":
        return Metric(text, Kind.WORST, False, _max_error, is_relative=True)
    if ":" in text:
        return _of_the_user(text)
    raise _invalid(text, "is no metric", f"Write {KNOWN}")


def first(answers: Arrays) -> Array:
    """The output that labels belong to: the model's first."""
    return next(iter(answers.values()))


def _labels(truth: Truth) -> Array:
    if truth.labels is None:
        raise ValueError("the metric needs labels")
    return truth.labels


# ---------------------------------------------------------------------------------- classification


def _hits(places: int) -> Scorer:
    def hits(answers: Arrays, truth: Truth) -> Floats:
        logits = first(answers).astype(np.float64)
        best = np.argsort(-logits, axis=-1, kind="stable")[..., :places]
        found = (best == _labels(truth).astype(np.int64)[..., None]).any(axis=-1)
        per_sample: Floats = found.reshape(len(found), -1).mean(axis=1)
        return per_sample

    return hits


def _f1(answers: Arrays, truth: Truth) -> Floats:
    """The mean of the classes' F1, over those that labels or answers name."""
    predicted = first(answers).argmax(axis=-1).ravel()
    labels = _labels(truth).astype(np.int64).ravel()
    values = []
    for each in np.union1d(labels, predicted):
        both = np.sum((predicted == each) & (labels == each))
        values.append(2 * both / (np.sum(predicted == each) + np.sum(labels == each)))
    return np.array([np.mean(values)])


# ------------------------------------------------------------------------------------ as before


def _rows(array: Array) -> Floats:
    return array.reshape(len(array), -1).astype(np.float64)


def _cosine(answers: Arrays, truth: Truth) -> Floats:
    """Each sample's cosine, of the output that is furthest from the original's."""

    def of_one(ours: Floats, theirs: Floats) -> Floats:
        norms = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
        cosine: Floats = (ours * theirs).sum(axis=1) / np.maximum(norms, _TINY)
        return cosine

    pairs = zip(answers.values(), truth.reference.values(), strict=True)
    least: Floats = np.min([of_one(_rows(a), _rows(b)) for a, b in pairs], axis=0)
    return least


def _mean_error(answers: Arrays, truth: Truth) -> Floats:
    return -_worst(answers, truth, lambda errors: errors.mean(axis=1))


def _max_error(answers: Arrays, truth: Truth) -> Floats:
    return -_worst(answers, truth, lambda errors: errors.max(axis=1))


def _worst(answers: Arrays, truth: Truth, of_sample: Callable[[Floats], Floats]) -> Floats:
    """Each sample's error relative to the root mean square of what is right: that of the first
    output where there are labels, which belong to it, else that of the worst output.
    """
    if truth.labels is not None:
        pairs = [(first(answers), truth.labels)]
    else:
        pairs = list(zip(answers.values(), truth.reference.values(), strict=True))
    found = []
    for ours, theirs in pairs:
        right = _rows(theirs)
        scale = max(float(np.sqrt(np.mean(right**2))), _TINY)
        found.append(of_sample(np.abs(_rows(ours) - right)) / scale)
    worst: Floats = np.max(found, axis=0)
    return worst


# ---------------------------------------------------------------------------------------- others


def _of_the_user(text: str) -> Metric:
    """`FILE.py:FUNCTION`: called with the outputs by name, the labels (or None) and what the
    original answered; answers a score, or one for each sample. More must be better.
    """
    function = load_function("metric", text)

    def scores(answers: Arrays, truth: Truth) -> Floats:
        try:
            given = function(answers, truth.labels, truth.reference)
            found = np.asarray(given, dtype=np.float64)
        except Exception as error:  # the user's own code
            raise _invalid(text, f"fails: {error!r}", "Mend it") from error
        if found.shape not in ((), (1,), (len(first(answers)),)):
            raise _invalid(
                text,
                f"answered an array of shape {found.shape}",
                "Answer one number, or one for each sample",
            )
        return found.reshape(-1)

    return Metric(text, Kind.WHOLE, False, scores)


def load_function(field: str, text: str) -> Callable[..., object]:
    """The function that `FILE.py:NAME` means. It is the user's own code, and is run."""
    file, _, name = text.rpartition(":")
    place = Path(file)
    if place.suffix != ".py" or not place.is_file():
        raise _invalid(text, f"names no Python file ({file})", "Write FILE.py:FUNCTION", field)
    spec = importlib.util.spec_from_file_location(f"trireme_user_{place.stem}", place)
    if spec is None or spec.loader is None:
        raise _invalid(text, "cannot be loaded", "Write FILE.py:FUNCTION", field)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise _invalid(text, f"fails as it is loaded: {error!r}", f"Mend {file}", field) from error
    function = getattr(module, name, None)
    if not callable(function):
        raise _invalid(text, f"has no function {name}", f"Name one that {file} has", field)
    return function


def _invalid(value: str, message: str, remedy: str, field: str = "metric") -> InvalidSpec:
    return InvalidSpec([Fault(f"optimization.{field}", value, message, remedy)])
