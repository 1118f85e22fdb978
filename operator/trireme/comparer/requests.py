"""A mirrored request: the model it asks, and why it is not to be asked twice. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from google.protobuf.message import DecodeError
from tritonclient.grpc import service_pb2

from trireme.comparer.decode import TooManyParts, from_json, from_wire
from trireme.comparer.tensors import split


class Dropped(StrEnum):
    """Why a copy is not compared, as the metric's label says it."""

    FULL = "full"  # as many as may be are being compared
    TOO_LARGE = "tooLarge"  # it, or an answer: in bytes, or in parts
    UNREADABLE = "unreadable"  # cut off, or not of the protocol
    SEQUENCE = "sequence"  # a second answer would change the sequence's state
    SHARED_MEMORY = "sharedMemory"  # a second answer would be written where the client reads
    CLASSIFICATION = "classification"  # the answer is numbers written as text
    UNREACHABLE = "unreachable"  # one of the tracks has no pod that could be asked
    UNSTEADY = "unsteady"  # the stable pods answer it otherwise each time
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Request:
    """The model that is asked, and `unfit` where the request is not to be asked twice."""

    model: str
    unfit: Dropped | None


def of_http(model: str, body: bytes, header_length: str | None) -> Request:
    """What an inference request over HTTP is; the model is in its path."""
    try:
        head = from_json(split(body, header_length)[0])
        parameters = head.get("parameters", {})
        inputs = [each.get("parameters", {}) for each in head.get("inputs", [])]
        outputs = [each.get("parameters", {}) for each in head.get("outputs", [])]
        sequence = parameters.get("sequence_id")
        return Request(model, _unfit(sequence, inputs, outputs))
    except TooManyParts:
        return Request(model, Dropped.TOO_LARGE)
    except (AttributeError, TypeError, ValueError, RecursionError):
        return Request(model, Dropped.UNREADABLE)


def of_grpc(body: bytes) -> Request:
    """What a ModelInferRequest is."""
    try:
        request = from_wire(service_pb2.ModelInferRequest, body)
    except TooManyParts:
        return Request("", Dropped.TOO_LARGE)
    except (DecodeError, ValueError):
        return Request("", Dropped.UNREADABLE)
    sequence = request.parameters.get("sequence_id")
    named = sequence is not None and any(
        (sequence.string_param, sequence.int64_param, sequence.uint64_param)
    )
    inputs = [each.parameters for each in request.inputs]
    outputs = [each.parameters for each in request.outputs]
    return Request(request.model_name, _unfit(named, inputs, outputs))


def _unfit(
    sequence: Any, inputs: Iterable[Mapping[str, Any]], outputs: Iterable[Mapping[str, Any]]
) -> Dropped | None:
    outputs = tuple(outputs)
    if sequence:  # 0 and "" are Triton's words for none
        return Dropped.SEQUENCE
    if any("shared_memory_region" in parameters for parameters in (*inputs, *outputs)):
        return Dropped.SHARED_MEMORY
    if any("classification" in parameters for parameters in outputs):
        return Dropped.CLASSIFICATION
    return None
