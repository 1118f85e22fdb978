"""What is sent, and whether the answer is right. Pure: the seed is an argument.

Several inputs are made beforehand and used in turn: cheap, and yet an answer that was meant for
another request is found out.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tritonclient.utils import triton_to_np_dtype

Tensor = NDArray[Any]


@dataclass(frozen=True, slots=True)
class InputSpec:
    """An input's name, Triton element type, and shape with the batch dimension."""

    name: str
    data_type: str
    shape: tuple[int, ...]


def parse_input(text: str) -> InputSpec:
    """Read `x:FP32:1x16`. Raises ValueError where the text is no such input."""
    parts = text.split(":")
    try:
        name, data_type, shape = parts
        spec = InputSpec(name, data_type, tuple(int(size) for size in shape.split("x")))
    except ValueError as error:
        raise ValueError(f"{text!r} is no input such as x:FP32:1x16") from error
    if not name or min(spec.shape) < 1 or triton_to_np_dtype(data_type) is None:
        raise ValueError(f"{text!r}: needs a name, a type such as FP32 or BYTES, sizes from 1 on")
    return spec


def random_tensor(spec: InputSpec, draw: np.random.Generator) -> Tensor:
    """Small whole numbers from 0 to 9 in the spec's type, which every numeric type holds exactly
    (BOOL takes them as true and false, BYTES as their digits).
    """
    numbers = draw.integers(0, 10, size=spec.shape)
    if spec.data_type == "BYTES":
        return numbers.astype("S").astype(np.object_)
    return numbers.astype(triton_to_np_dtype(spec.data_type))


class Expectation(StrEnum):
    """What a right answer is."""

    ANY = "any"  # any answer without an error
    ECHO = "echo"  # the output equals the input
    DOUBLE = "double"  # the output is twice the input
    SCORE = "score"  # what examples/pipeline.yaml makes of a text


_SCORED_BYTES = 16


def _score(texts: Tensor) -> Tensor:
    """The mean of the codes of each text's first 16 bytes, zero-padded: b"7" is 55 / 16."""
    scores = [sum(text[:_SCORED_BYTES]) / _SCORED_BYTES for text in texts.flat]
    return np.array(scores, np.float32).reshape(texts.shape)


_RIGHT_ANSWERS: dict[Expectation, Callable[[Tensor], Tensor]] = {
    Expectation.ECHO: lambda sent: sent,
    Expectation.DOUBLE: lambda sent: 2 * sent,
    Expectation.SCORE: _score,
}


class WrongAnswer(Exception):
    """The server answered without an error, but not what it should have."""


def check(
    expectation: Expectation,
    inputs: Mapping[str, Tensor],
    output_name: str,
    output_of: Callable[[str], Tensor | None],
) -> None:
    """Compare the output with what the first input makes it.

    Raises WrongAnswer with a text that does not depend on the values, so that equal faults count
    as one.
    """
    if expectation is Expectation.ANY:
        return
    output = output_of(output_name)
    if output is None:
        raise WrongAnswer(f"the answer has no output {output_name!r}")
    wanted = _RIGHT_ANSWERS[expectation](next(iter(inputs.values())))
    if output.shape != wanted.shape:
        raise WrongAnswer(f"output of shape {output.shape} instead of {wanted.shape}")
    if not np.array_equal(output, wanted):  # exact: small numbers
        raise WrongAnswer(f"the output is not the {expectation} of the input")
