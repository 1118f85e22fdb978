"""Whether a metric can tell anything of a model: by the shapes of answers and labels, and by what
the original scores. A metric that cannot would let every candidate pass.
"""

import math

import numpy as np

from trireme.errors import Fault, InvalidSpec
from trireme.optimizer.metrics import Metric, Truth, first
from trireme.optimizer.samples import Array, Arrays, Samples


def suited(metric: Metric, samples: Samples, original: Arrays) -> Samples:
    """The samples with labels as the metric reads them, given what the original answers to them.
    Raises InvalidSpec.
    """
    labels = samples.labels
    if metric.places:
        labels = _classes(metric, labels, first(original))
    elif metric.is_relative and labels is not None:
        labels = _numbers(labels, first(original))
    if metric.name == "cosine":
        _has_directions(original)
    truth = Truth(labels, original)
    score = metric.value(original, truth)
    if not math.isfinite(score):
        raise _invalid(
            "metric", metric.name, f"answers {score} for the original", "Make it answer a number"
        )
    if metric.places:
        _is_better_than_the_commonest(metric, score, truth)
    return Samples(samples.inputs, labels)


def _classes(metric: Metric, labels: Array | None, logits: Array) -> Array:
    """The labels as numbers of classes, in the shape of the answers without their classes."""
    assert labels is not None  # noqa: S101  # metric_of says so
    classes = logits.shape[-1]
    if logits.ndim < 2 or classes < 2:
        raise _invalid(
            "metric",
            metric.name,
            f"needs a number for each class, and the first output is {_shape(logits)}",
            "Make the model answer so, or write a metric of your own: FILE.py:FUNCTION",
        )
    if metric.places >= classes:
        raise _invalid(
            "metric",
            metric.name,
            f"is always right where there are {classes} classes",
            f"Take top-{classes - 1} or less",
        )
    if labels.shape == (*logits.shape[:-1], 1):
        labels = labels[..., 0]
    if labels.dtype.kind not in "iub":
        raise _invalid("labels", None, f"are {labels.dtype}", "Give the numbers of classes, from 0")
    if labels.shape != logits.shape[:-1]:
        raise _invalid(
            "labels",
            None,
            f"are {_shape(labels)}, and the first output is {_shape(logits)}",
            f"Give the number of a class, not one-hot: {_shape(logits[..., 0])}",
        )
    least, most = int(labels.min()), int(labels.max())
    if least < 0 or most >= classes:
        raise _invalid(
            "labels",
            None,
            f"are from {least} to {most}, and the model tells {classes} classes apart",
            f"Number them from 0 to {classes - 1}, in the order of its answers",
        )
    return labels.astype(np.int64)


def _numbers(labels: Array, answers: Array) -> Array:
    """The labels as what the first output should have been."""
    if labels.dtype.kind not in "iubf":
        raise _invalid("labels", None, f"are {labels.dtype}", "Give numbers")
    if labels.reshape(len(labels), -1).shape != answers.reshape(len(answers), -1).shape:
        raise _invalid(
            "labels",
            None,
            f"are {_shape(labels)}, and the first output is {_shape(answers)}",
            "Give what it should answer; or none, to compare with what it answers",
        )
    return labels


def _has_directions(original: Arrays) -> None:
    for name, answers in original.items():
        if math.prod(answers.shape[1:]) < 2:
            raise _invalid(
                "metric",
                "cosine",
                f"tells only the sign of {name}, which is {_shape(answers)}",
                "Take mean-error",
            )


def _is_better_than_the_commonest(metric: Metric, score: float, truth: Truth) -> None:
    assert truth.labels is not None  # noqa: S101  # metric_of says so
    logits = first(truth.reference)
    counts = np.bincount(truth.labels.ravel(), minlength=logits.shape[-1])
    constant = np.broadcast_to(counts, logits.shape)
    by_chance = metric.value({"": constant}, truth)
    if score <= by_chance:
        raise _invalid(
            "labels",
            None,
            f"are not what the model answers: {metric.name} is {score:.4g}, and {by_chance:.4g} "
            "for always answering the commonest",
            "Number the classes in the order of its answers, and give the model's own samples",
        )


def _shape(array: Array) -> str:
    return f"[{', '.join(['samples', *map(str, array.shape[1:])])}]"


def _invalid(field: str, value: object, message: str, remedy: str) -> InvalidSpec:
    return InvalidSpec([Fault(f"optimization.{field}", value, message, remedy)])
