"""What Prometheus answers, from JSON: vectors, scalars, matrices, or nothing that is asked for.

A scaling round's answers are megabytes, and the labels in them, which are most of that, are those
of the round before, mostly in the same order. So they are read where their text is new, looked up
by it where their order is, and else only compared.

Whatever is of another shape than what is asked for raises msgspec.ValidationError or ValueError, a
native histogram included; what is no JSON at all raises NotJson. NaN and infinities are kept:
`signals` judges them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from trireme.autoscaler.past_demand import Past
from trireme.autoscaler.queries import Labels
from trireme.autoscaler.samples import Named, Shape, Vector, read_labels

T = TypeVar("T")


class NotJson(Exception):
    """The answer is no JSON: something else than Prometheus answered."""


class _Data(msgspec.Struct, Generic[T]):
    result: T


class _Answer(msgspec.Struct, Generic[T]):
    data: _Data[T]


class _Value(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    """When a value was, and its text."""

    at: float
    text: str


class _Sample(msgspec.Struct, gc=False):
    """An element of an instant vector. Hundreds of thousands come in a round, and hold nothing that
    Python would have to look for garbage in.
    """

    metric: msgspec.Raw
    value: _Value


class _Samples(msgspec.Struct):
    """An element of a matrix."""

    metric: dict[str, str]
    values: list[tuple[float, str]]


_VECTOR = msgspec.json.Decoder(_Answer[list[_Sample]])
_SCALAR = msgspec.json.Decoder(_Answer[tuple[float, str]])
_MATRIX = msgspec.json.Decoder(_Answer[list[_Samples]])
_LABELS = msgspec.json.Decoder(dict[str, str])

_NO_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


@dataclass(frozen=True, slots=True)
class _Seen:
    """The labels of an answer's series, as they stand in it, and what they say. The text of it is
    kept with them, until its query has other series.
    """

    metrics: list[msgspec.Raw]
    shape: Shape


class Vectors:
    """Reads the instant vectors of rounds, by the names of their queries. Their series are mostly
    those of the round before, or of the query before, in the same order: it takes one comparison to
    see that, and only the values are new then.
    """

    def __init__(self, labels: Labels) -> None:
        self._labels = labels
        self._named: dict[bytes, Named] = {}
        self._seen: dict[str, _Seen] = {}
        self._last = _Seen([], Shape.of([]))

    def __len__(self) -> int:
        """How many different labels are remembered."""
        return len(self._named)

    def read(self, name: str, answer: bytes) -> Vector:
        """The elements of an instant vector."""
        samples = _decoded(_VECTOR, answer).data.result
        metrics = [sample.metric for sample in samples]
        values = [float(sample.value.text) for sample in samples]
        seen = self._seen.get(name, self._last)
        if seen.metrics != metrics:
            seen = self._last
        if seen.metrics != metrics:
            seen = _Seen(metrics, Shape.of(self._read(metrics)))
        self._seen[name] = self._last = seen
        return Vector(seen.shape, values)

    def _read(self, metrics: Iterable[msgspec.Raw]) -> list[Named]:
        """What labels say; those that are known as they are written are not read again."""
        texts = [*map(bytes, metrics)]
        for text in texts:
            if text not in self._named:
                labels = _decoded(_LABELS, text)
                self._named[text] = read_labels(labels, self._labels)
        return [*map(self._named.__getitem__, texts)]

    def keep(self, most: int) -> None:
        """Forget all labels where there are more than `most` different ones: those of pods that are
        gone are among them. What is still in use is read once more.
        """
        if len(self._named) > most:
            self._named.clear()


def values(answer: bytes) -> tuple[float, ...]:
    """The values of an instant vector, or the one of a scalar, which is `[time, "text"]`."""
    try:
        _, text = _decoded(_SCALAR, answer).data.result
    except msgspec.ValidationError:
        return tuple(float(sample.value.text) for sample in _decoded(_VECTOR, answer).data.result)
    return (float(text),)


def matrix(answer: bytes) -> list[Past]:
    """The elements of a matrix, by whole seconds."""
    return [
        Past(each.metric, {round(at): float(text) for at, text in each.values})
        for each in _decoded(_MATRIX, answer).data.result
    ]


def _decoded(decoder: "msgspec.json.Decoder[T]", text: bytes) -> T:
    try:
        return decoder.decode(text)
    except msgspec.ValidationError:
        _check_json(text)  # it is refused at the first byte of another shape
        raise
    except _NO_JSON:
        raise NotJson from None


def _check_json(text: bytes) -> None:
    try:
        msgspec.json.decode(text)
    except _NO_JSON:
        raise NotJson from None
