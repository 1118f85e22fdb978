"""What a stranger's body comes to in memory is bounded before it is decoded."""

import json
from collections.abc import Callable

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2

from trireme.comparer import requests, tensors
from trireme.comparer.compare import Rules
from trireme.comparer.decode import TooManyParts, from_wire
from trireme.comparer.metrics import Metrics
from trireme.comparer.requests import Dropped, Request
from trireme.comparer.tensors import Outputs
from trireme.comparer.work import Comparer, Copy
from trireme.edge.tracks import Track, TrackAddress

SIZE = 4 * 2**20  # the default of maxSize
NAMED = b"\n\x01m"


def within(*path: int) -> Callable[[bytes], bytes]:
    """A message in messages, by the numbers of their fields."""

    def wrapped(body: bytes) -> bytes:
        for number in reversed(path):
            size, length = len(body), b""
            while size > 0x7F:
                length, size = length + bytes([size & 0x7F | 0x80]), size >> 7
            body = bytes([number << 3 | 2]) + length + bytes([size]) + body
        return body

    return wrapped


def filled(part: bytes) -> bytes:
    return part * (SIZE // len(part))


HOSTILE = [
    pytest.param(filled(within(5)(b"")), id="inputs"),
    pytest.param(filled(within(6)(b"")), id="outputs"),
    pytest.param(filled(within(4)(b"")), id="parameters"),
    pytest.param(filled(within(7)(b"")), id="raw inputs"),
    pytest.param(within(5)(filled(within(4)(b""))), id="parameters of an input"),
    pytest.param(within(6)(filled(within(2, 2)(b""))), id="parameters of an output"),
    pytest.param(within(5, 5)(filled(within(8)(b""))), id="elements of an input"),
    pytest.param(filled(b"\xf8\x06\x00"), id="fields that nobody knows"),
]


@pytest.mark.parametrize("body", HOSTILE)
def test_a_message_of_very_many_parts_is_not_decoded(body: bytes) -> None:
    assert requests.of_grpc(NAMED + body).unfit is Dropped.TOO_LARGE


@pytest.mark.parametrize("number", [5, 6])
def test_an_answer_of_very_many_parts_is_not_decoded(number: int) -> None:
    with pytest.raises(TooManyParts):
        tensors.of_grpc(filled(within(number)(b"")))


async def test_a_copy_with_such_an_answer_is_dropped_and_no_failure_of_a_track() -> None:
    metrics = Metrics()

    async def ask(_: Track) -> Callable[[], Outputs]:
        return lambda: tensors.of_grpc(filled(within(5)(b"")))

    async def read() -> Copy:
        return Copy(lambda: Request("m", None), ask)

    async with Track(TrackAddress("127.0.0.1", 1, 2), 1, SIZE) as track:
        comparer = Comparer(track, track, Rules(0, 0), 1, metrics)
        await comparer.take(read)
        await comparer.end(grace_seconds=60)

    text = metrics.text().decode()
    assert 'trireme_comparer_dropped_total{reason="tooLarge"} 1.0' in text
    assert 'trireme_comparer_failed_total{track="stable"} 0.0' in text


@pytest.mark.parametrize("part", [b"{}", b"[]", b'""', b'{"":0}'])
def test_json_of_very_many_parts_is_not_decoded(part: bytes) -> None:
    body = b'{"outputs":[' + b",".join([part] * 2**18) + b"]}"
    assert requests.of_http("m", body, None).unfit is Dropped.TOO_LARGE
    with pytest.raises(TooManyParts):
        tensors.of_http(body, None)


def test_large_tensors_are_few_parts() -> None:
    image = np.zeros((3, 512, 512), "<f4")
    request = service_pb2.ModelInferRequest(model_name="m")
    request.inputs.add(name="x", datatype="FP32", shape=image.shape)
    request.raw_input_contents.append(image.tobytes())
    request.inputs.add(name="z").contents.fp32_contents.extend(image.reshape(-1))
    assert requests.of_grpc(request.SerializeToString()).unfit is None

    nested = {"inputs": [{"name": "x", "data": np.zeros((224, 224, 3)).tolist()}]}
    assert requests.of_http("m", json.dumps(nested).encode(), None).unfit is None


@given(st.binary(max_size=64))
def test_what_is_counted_is_decoded_as_ever(body: bytes) -> None:
    try:
        message = from_wire(service_pb2.ModelInferRequest, body)
    except (DecodeError, ValueError):
        return
    assert message == service_pb2.ModelInferRequest.FromString(body)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"\x0a", id="no length"),
        pytest.param(b"\xff" * 11, id="a number that does not end"),
        pytest.param(b"\x0b\x0c", id="a group"),
        pytest.param(b"\x0a\x05m", id="cut off"),
    ],
)
def test_what_is_no_message_is_unreadable(body: bytes) -> None:
    assert requests.of_grpc(body).unfit is Dropped.UNREADABLE
