"""Which mirrored requests are not asked twice."""

import json
from typing import Any

import pytest
from tritonclient.grpc import service_pb2

from trireme.comparer.requests import Dropped, Request, of_grpc, of_http


def http(**body: Any) -> Request:
    return of_http("m", json.dumps({"inputs": [], **body}).encode(), None)


def grpc(**parameters: Any) -> Request:
    request = service_pb2.ModelInferRequest(model_name="m")
    for name, value in parameters.items():
        kind = "string_param" if isinstance(value, str) else "int64_param"
        setattr(request.parameters[name], kind, value)
    return of_grpc(request.SerializeToString())


@pytest.mark.parametrize(
    ("request_", "unfit"),
    [
        pytest.param(http(), None, id="HTTP"),
        pytest.param(http(parameters={"priority": 1}), None, id="HTTP, with other parameters"),
        pytest.param(http(parameters={"sequence_id": 0}), None, id="HTTP, of no sequence"),
        pytest.param(http(parameters={"sequence_id": 7}), Dropped.SEQUENCE, id="HTTP, sequence"),
        pytest.param(http(parameters={"sequence_id": "a"}), Dropped.SEQUENCE, id="HTTP, a name"),
        pytest.param(
            http(inputs=[{"parameters": {"shared_memory_region": "r"}}]),
            Dropped.SHARED_MEMORY,
            id="HTTP, input in shared memory",
        ),
        pytest.param(
            http(outputs=[{"parameters": {"shared_memory_region": "r"}}]),
            Dropped.SHARED_MEMORY,
            id="HTTP, output in shared memory",
        ),
        pytest.param(
            http(outputs=[{"parameters": {"classification": 3}}]),
            Dropped.CLASSIFICATION,
            id="HTTP, classification",
        ),
        pytest.param(of_http("m", b"{", None), Dropped.UNREADABLE, id="HTTP, no JSON"),
        pytest.param(of_http("m", b"{}", "9"), Dropped.UNREADABLE, id="HTTP, cut off"),
        pytest.param(of_http("m", b"[" * 99_999, None), Dropped.UNREADABLE, id="HTTP, deep"),
        pytest.param(grpc(), None, id="gRPC"),
        pytest.param(grpc(sequence_id=0), None, id="gRPC, of no sequence"),
        pytest.param(grpc(sequence_id=7), Dropped.SEQUENCE, id="gRPC, sequence"),
        pytest.param(grpc(sequence_id="a"), Dropped.SEQUENCE, id="gRPC, a name"),
    ],
)
def test_what_a_request_is(request_: Request, unfit: Dropped | None) -> None:
    assert request_ == Request("m", unfit)


def test_shared_memory_is_seen_over_grpc() -> None:
    request = service_pb2.ModelInferRequest(model_name="m")
    request.outputs.add(name="y").parameters["shared_memory_region"].string_param = "r"
    assert of_grpc(request.SerializeToString()).unfit is Dropped.SHARED_MEMORY


def test_binary_data_behind_the_json_is_not_read_as_json() -> None:
    header = json.dumps({"inputs": [{"name": "x"}]}).encode()
    assert of_http("m", header + b"\xff\xfe", str(len(header))) == Request("m", None)
