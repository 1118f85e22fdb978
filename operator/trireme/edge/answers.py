"""What Prometheus answers, from JSON: vectors, scalars, matrices, or nothing that is asked for.

A scaling round's answers are megabytes, and the labels in them, which are most of that, are those
of the round before. So they are read where their text is new, and looked up by it from then on.

Whatever is of another shape than what is asked for raises msgspec.ValidationError or ValueError, a
native histogram included; what is no JSON at all raises NotJson. NaN and infinities are kept:
`signals` judges them.
"""

from typing import Generic, TypeVar

import msgspec

from trireme.autoscaler.past_demand import Past
from trireme.autoscaler.queries import Labels
from trireme.autoscaler.samples import Named, Series, read_labels

T = TypeVar("T")


class NotJson(Exception):
    """The answer is no JSON: something else than Prometheus answered."""


class _Data(msgspec.Struct, Generic[T]):
    result: T


class _Answer(msgspec.Struct, Generic[T]):
    data: _Data[T]


class _Sample(msgspec.Struct, gc=False):
    """An element of an instant vector, with the time and the text of its value."""

    metric: msgspec.Raw
    value: tuple[float, str]


class _Samples(msgspec.Struct):
    """An element of a matrix."""

    metric: dict[str, str]
    values: list[tuple[float, str]]


_VECTOR = msgspec.json.Decoder(_Answer[list[_Sample]])
_SCALAR = msgspec.json.Decoder(_Answer[tuple[float, str]])
_MATRIX = msgspec.json.Decoder(_Answer[list[_Samples]])
_LABELS = msgspec.json.Decoder(dict[str, str])

_NO_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Vectors:
    """Reads the instant vectors of rounds, whose series are mostly those of the round before."""

    def __init__(self, labels: Labels) -> None:
        self._labels = labels
        self._named: dict[bytes, Named] = {}

    def __len__(self) -> int:
        """How many different labels are remembered."""
        return len(self._named)

    def read(self, answer: bytes) -> tuple[Series, ...]:
        """The elements of an instant vector."""
        samples = _decoded(_VECTOR, answer).data.result
        texts = [*map(bytes, [sample.metric for sample in samples])]
        values = [float(sample.value[1]) for sample in samples]
        try:
            named = [*map(self._named.__getitem__, texts)]
        except KeyError:
            for text in set(texts) - self._named.keys():
                labels = _decoded(_LABELS, text)
                self._named[text] = read_labels(labels, self._labels)
            named = [*map(self._named.__getitem__, texts)]
        return tuple(zip(named, values, strict=True))

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
        return tuple(float(sample.value[1]) for sample in _decoded(_VECTOR, answer).data.result)
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
