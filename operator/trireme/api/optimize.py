"""What the Job that optimises one model is told, and what its containers leave.

Its pod has four, one after the other: the first sees that the destination can be written, `fetch`
brings the model and the samples, `optimize` searches and has neither credentials nor the
destination mounted, `deliver` puts the result there.
Plans are annotations of the pod and hold no secret; what a container comes to is its termination
message. What `optimize` says is no more to be trusted than the model it has opened: it is parsed
within bounds, and used for nothing but words and numbers in a status.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from trireme.api.fetch import TERMINATION_MESSAGE_BYTES, Fetch, FetchFailure
from trireme.api.fields import ModelName
from trireme.api.optimization import (
    LARGEST_BATCH,
    METRIC_PATTERN,
    MOST_TRIED,
    Gain,
    Technique,
    TriedForm,
)
from trireme.api.scalars import Duration
from trireme.api.schema import ApiModel
from trireme.api.texts import cut

_PROGRAM = 1
"""Raised when the optimiser learns to do more, so that what was searched before is tried again."""

_SHORTEST_TEXT = 128  # characters that a text is cut to at most: two of them always fit
_DIGEST = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_FILE_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
_FILE = Annotated[str, Field(pattern=_FILE_PATTERN)]

DELIVERED_FILE = re.compile(_FILE_PATTERN)
"""How the files of a result may be called."""

DELIVERED_FILES = 8
"""How many a folder of a result may hold."""

RESULT_FILE = "result.json"
"""What `optimize` leaves beside what it made, for `deliver`: an `OptimizeResult`."""

PROGRAM_FILE = "model.py"
"""What the Python backend loads."""

PROGRAM_SHA256 = "8b28347bb691f38db6e14777f3209a6d7a878fe9803f43ac5814067decda6f2f"
"""Of the program that the optimiser writes (optimizer/served_model.py), the only one that is
delivered.
"""


# ----------------------------------------------------------------------------------------- plans


class OptimizedBackend(StrEnum):
    """The backends whose models can be optimised, each executing the result as well.

    Of python only a model that the optimiser made itself: its generated model.py executes the ONNX
    file beside it.
    """

    ONNXRUNTIME = "onnxruntime"
    PYTHON = "python"
    PYTORCH = "pytorch"


_OF_ONNX = tuple(each for each in Technique if each is not Technique.TORCHSCRIPT)

FITTING: Mapping[OptimizedBackend, tuple[Technique, ...]] = {
    OptimizedBackend.ONNXRUNTIME: _OF_ONNX,
    OptimizedBackend.PYTHON: _OF_ONNX,
    OptimizedBackend.PYTORCH: (Technique.TORCHSCRIPT,),
}
"""What can be done to the file that each backend serves. The optimiser's own tests compare it with
what it tries."""


class OptimizePlan(ApiModel):
    """What the container `optimize` is to do; where its files are it is told by its arguments."""

    model: ModelName
    labels: str | None = Field(None, max_length=1024)
    metric: str = Field(pattern=METRIC_PATTERN)
    max_drop: float = Field(ge=0, le=1)
    budget: Duration = timedelta(minutes=10)
    techniques: list[Technique] = []
    backend: OptimizedBackend
    max_batch: int = Field(ge=1, le=LARGEST_BATCH)
    latency: Duration | None = None
    size_bytes: int | None = Field(None, ge=1)
    threads: int = Field(1, ge=1, le=256)


class DeliveryPlan(ApiModel):
    """What the container `deliver` is to take of what was made of a model, and where it is to put
    it: `file` is the model's own, as its backend calls it, `program` the digest of the model.py
    that is to lie beside it.
    """

    model: ModelName
    file: _FILE
    program: _DIGEST | None = None
    uri: str = Field(min_length=1, max_length=1024)
    endpoint: str | None = Field(None, max_length=2048)
    region: str | None = Field(None, max_length=64)
    credentials: str | None = Field(None, max_length=253)


class OptimizationPlan(ApiModel):
    """All of one model's Job: what is fetched, tried and delivered.

    `contents` are the digests of ConfigMaps that the pod mounts instead of fetching: by `model`
    and `samples`.
    """

    fetches: list[Fetch] = Field(max_length=2)
    contents: dict[str, str] = {}
    optimize: OptimizePlan
    deliver: DeliveryPlan

    @property
    def digest(self) -> str:
        """Of all that decides what comes of it: sha256, hex."""
        text = f"{_PROGRAM}\n{self.model_dump_json(by_alias=True)}"
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def made_from(self) -> str | None:
        """Of what the ConfigMaps hold: sha256, hex; None where there are none. Not of what the
        optimiser does with it, which another version does otherwise.
        """
        if not self.contents:
            return None
        text = "".join(f"{self.contents[what]}  {what}\n" for what in sorted(self.contents))
        return hashlib.sha256(text.encode()).hexdigest()


# --------------------------------------------------------------------------------------- results


class OptimizeResult(ApiModel):
    """What the container `optimize` came to: `gain` and the artefact, or neither where nothing is
    cheaper and passes the gate; or why it could not search, which is the user's to mend.
    """

    summary: str = Field("", max_length=TERMINATION_MESSAGE_BYTES)
    tried: list[TriedForm] = Field([], max_length=MOST_TRIED)
    gain: Gain | None = None
    file: _FILE | None = None
    sha256: _DIGEST | None = None
    failure: str | None = Field(None, max_length=TERMINATION_MESSAGE_BYTES)


class DeliveryResult(ApiModel):
    """What the container `deliver` came to: the folder's URI and the digest of each file in it that
    is served, none where there was nothing to deliver; or why it could not.
    """

    uri: str | None = Field(None, max_length=2048)
    files: dict[_FILE, _DIGEST] = Field({}, max_length=DELIVERED_FILES)
    failure: FetchFailure | None = None


def optimize_message(result: OptimizeResult) -> str:
    """The result as JSON of at most 4096 bytes of UTF-8: its texts are cut to fit."""

    def shortened(longest: int) -> OptimizeResult:
        failure = None if result.failure is None else cut(result.failure, longest)
        tried = [
            each.model_copy(update={"refused": each.refused and cut(each.refused, longest // 8)})
            for each in result.tried
        ]
        summary = cut(result.summary, longest)
        return result.model_copy(update={"summary": summary, "failure": failure, "tried": tried})

    return _message(shortened)


def delivery_message(result: DeliveryResult) -> str:
    """The same of a delivery, of which only a failure can have a long text."""

    def shortened(longest: int) -> DeliveryResult:
        if result.failure is None:
            return result
        shorter = {"message": cut(result.failure.message, longest)}
        return result.model_copy(update={"failure": result.failure.model_copy(update=shorter)})

    return _message(shortened)


def _message(shortened: Callable[[int], ApiModel]) -> str:
    """What fits, of texts that are cut in half until it does."""
    longest = TERMINATION_MESSAGE_BYTES
    while True:
        text = shortened(longest).model_dump_json(by_alias=True, exclude_none=True)
        if len(text.encode()) <= TERMINATION_MESSAGE_BYTES or longest <= _SHORTEST_TEXT:
            return text
        longest //= 2
