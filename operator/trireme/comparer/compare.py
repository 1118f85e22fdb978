"""Two answers to one request: the same, or how they differ. Pure.

Only outputs are compared: a model's version and an answer's parameters may differ.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum

import numpy as np

from trireme.api import names
from trireme.comparer.rows import AT_A_TIME, have_one_class, lowest_cosine
from trireme.comparer.tensors import Numbers, Outputs, Tensor


@dataclass(frozen=True, slots=True)
class Rules:
    """When two numbers of floating point are the same: their difference is at most `absolute`, or
    at most `relative` (0 to 1) of the larger one. `ignored`: outputs that are not compared;
    `by_class`: those of which the classes are that their rows name; `by_direction`: those of which
    the directions are, with the least cosine of two that are the same. What has no rows, of two
    numbers or more, is compared number by number in any case.
    """

    absolute: float
    relative: float
    ignored: frozenset[str] = frozenset()
    by_class: frozenset[str] = frozenset()
    by_direction: Mapping[str, float] = field(default_factory=dict)


class Failed(Enum):
    """A track that did not answer the request, or not well."""

    FAILED = "failed"


Answer = Outputs | Failed


class Aspect(StrEnum):
    """What two outputs of one name differ in, in the words of messages."""

    PRESENCE = "presence"
    DATA_TYPE = "data type"
    SHAPE = "shape"
    VALUES = "values"
    CLASS = "class"
    DIRECTION = "direction"


@dataclass(frozen=True, slots=True)
class Same:
    """Both tracks gave one answer."""


@dataclass(frozen=True, slots=True)
class Different:
    """`output` is the one that differs most; `largest` by how much, None where that is no number,
    infinite where one of the two is no finite number.
    """

    output: str
    aspect: Aspect
    largest: float | None = None


@dataclass(frozen=True, slots=True)
class NotComparable:
    """These tracks failed."""

    failed: tuple[str, ...]


Verdict = Same | Different | NotComparable


def compare(stable: Answer, canary: Answer, rules: Rules) -> Verdict:
    """What two answers to one request say of the canary."""
    if isinstance(stable, Failed) or isinstance(canary, Failed):
        tracks = ((names.TRACK_STABLE, stable), (names.TRACK_CANARY, canary))
        return NotComparable(tuple(t for t, answer in tracks if isinstance(answer, Failed)))
    return max(_differences(stable, canary, rules), key=_size, default=Same())


def _size(difference: Different) -> float:
    return float("inf") if difference.largest is None else difference.largest


def _differences(stable: Outputs, canary: Outputs, rules: Rules) -> Iterator[Different]:
    for name in (*stable, *(name for name in canary if name not in stable)):
        if name in rules.ignored:
            continue
        if name not in stable or name not in canary:
            yield Different(name, Aspect.PRESENCE)
        elif (found := _difference(name, stable[name], canary[name], rules)) is not None:
            yield found


def _difference(name: str, a: Tensor, b: Tensor, rules: Rules) -> Different | None:
    if a.data_type != b.data_type:
        return Different(name, Aspect.DATA_TYPE)
    if a.shape != b.shape:
        return Different(name, Aspect.SHAPE)
    if isinstance(a.values, tuple) or isinstance(b.values, tuple):
        return None if a.values == b.values else Different(name, Aspect.VALUES)
    width = a.shape[-1] if a.shape else 1
    if len(a.values) and width > 1:
        if name in rules.by_class:
            same = have_one_class(a.values, b.values, width)
            return None if same else Different(name, Aspect.CLASS)
        if (least := rules.by_direction.get(name)) is not None:
            cosine = lowest_cosine(a.values, b.values, width)
            return None if cosine >= least else Different(name, Aspect.DIRECTION, 1 - cosine)
    largest = _largest(a.values, b.values, rules)
    return None if largest is None else Different(name, Aspect.VALUES, largest)


def _largest(a: Numbers, b: Numbers, rules: Rules) -> float | None:
    """The largest difference of two numbers that are not the same; None where all are."""
    of_chunk = _largest_of_reals if a.dtype.kind == "f" else _largest_of_integers
    largest = None
    for at in range(0, len(a), AT_A_TIME):
        found = of_chunk(a[at : at + AT_A_TIME], b[at : at + AT_A_TIME], rules)
        if found is not None:
            largest = found if largest is None else max(largest, found)
    return largest


def _largest_of_integers(a: Numbers, b: Numbers, _: Rules) -> float | None:
    if np.array_equal(a, b):
        return None
    # The difference of two 64-bit integers may be no such integer, but is right modulo 2^64.
    gap = np.maximum(a, b).astype("<u8") - np.minimum(a, b).astype("<u8")
    return float(gap.max())


def _largest_of_reals(a: Numbers, b: Numbers, rules: Rules) -> float | None:
    x, y = a.astype("<f8"), b.astype("<f8")
    with np.errstate(over="ignore", invalid="ignore"):
        gap = np.abs(x - y)
        allowed = np.maximum(rules.absolute, rules.relative * np.maximum(np.abs(x), np.abs(y)))
    near = np.isfinite(gap) & (gap <= allowed)
    apart = ~(near | (x == y) | (np.isnan(x) & np.isnan(y)))
    if not apart.any():
        return None
    return float(np.nan_to_num(gap[apart], nan=np.inf, posinf=np.inf).max())
