"""Two answers to one request, in each spelling of the protocol, and what is made of them."""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2
from tritonclient.utils import serialize_byte_tensor

from trireme.comparer.compare import (
    Answer,
    Aspect,
    Different,
    Failed,
    NotComparable,
    Rules,
    Same,
    Verdict,
    compare,
)
from trireme.comparer.tensors import Outputs, Unreadable, of_bytes, of_grpc, of_http

RULES = Rules(absolute=0.001, relative=0.01, ignored=frozenset({"clock"}))
NUMPY = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
}
INFINITE, NAN = float("inf"), float("nan")
reals = st.floats(width=64)


def output(data_type: str, values: list[Any], name: str = "y", **more: Any) -> dict[str, Any]:
    return {"name": name, "datatype": data_type, "shape": [len(values)], "data": values, **more}


def answer(*outputs: dict[str, Any]) -> Outputs:
    return of_http(json.dumps({"model_name": "m", "outputs": outputs}).encode(), None)


def raw_of(data_type: str, values: list[Any]) -> bytes:
    if data_type == "BYTES":
        packed: bytes = serialize_byte_tensor(np.array(values, dtype=np.object_)).item()
        return packed
    if data_type == "BF16":
        halves = np.array(values, dtype="<f4").view("<u4") >> 16
        return halves.astype("<u2").tobytes()
    return np.array(values, dtype=NUMPY[data_type]).tobytes()


def binary(data_type: str, values: list[Any]) -> Outputs:
    """Over HTTP, the values behind the JSON."""
    raw = raw_of(data_type, values)
    described = {"name": "y", "datatype": data_type, "shape": [len(values)]}
    described["parameters"] = {"binary_data_size": len(raw)}
    header = json.dumps({"outputs": [described]}).encode()
    return of_http(header + raw, str(len(header)))


def called(data_type: str, values: list[Any]) -> Outputs:
    """Over gRPC."""
    message = service_pb2.ModelInferResponse(raw_output_contents=[raw_of(data_type, values)])
    message.outputs.add(name="y", datatype=data_type, shape=[len(values)])
    return of_grpc(message.SerializeToString())


@pytest.mark.parametrize(
    ("data_type", "values"),
    [
        ("BOOL", [True, False]),
        ("UINT8", [0, 255]),
        ("UINT16", [0, 65535]),
        ("UINT32", [0, 2**32 - 1]),
        ("UINT64", [0, 2**64 - 1]),
        ("INT8", [-128, 127]),
        ("INT16", [-32768, 32767]),
        ("INT32", [-(2**31), 2**31 - 1]),
        ("INT64", [-(2**63), 2**63 - 1]),
        ("FP16", [0.5, -2.0, NAN, INFINITE]),
        ("BF16", [0.5, -2.0, NAN, -INFINITE]),
        ("FP32", [0.5, -2.0, NAN, INFINITE]),
        ("FP64", [0.1, -2e300, NAN, -INFINITE]),
        ("BYTES", ["", "müßig", "x" * 70000]),
    ],
)
def test_an_answer_is_the_same_in_every_spelling(data_type: str, values: list[Any]) -> None:
    exact = Rules(absolute=0.0, relative=0.0)
    raw = [v.encode() if isinstance(v, str) else v for v in values]
    in_json, in_binary = answer(output(data_type, values)), binary(data_type, raw)
    assert compare(in_json, in_binary, exact) == Same()
    assert compare(in_json, called(data_type, raw), exact) == Same()


def test_typed_contents_of_grpc_are_read_as_raw_ones_are() -> None:
    message = service_pb2.ModelInferResponse()
    message.outputs.add(name="y", datatype="INT16", shape=[2]).contents.int_contents.extend([3, -4])
    assert compare(of_grpc(message.SerializeToString()), called("INT16", [3, -4]), RULES) == Same()


def test_nested_json_is_in_row_major_order() -> None:
    nested = answer({"name": "y", "datatype": "INT32", "shape": [2, 2], "data": [[1, 2], [3, 4]]})
    flat = answer({"name": "y", "datatype": "INT32", "shape": [2, 2], "data": [1, 2, 3, 4]})
    assert compare(nested, flat, RULES) == Same()


@pytest.mark.parametrize(
    ("stable", "canary", "verdict"),
    [
        pytest.param(
            answer(output("FP32", [1.0, 100.0])),
            answer(output("FP32", [1.0005, 100.9])),
            Same(),
            id="within the absolute difference, or within the relative one",
        ),
        pytest.param(
            answer(output("FP32", [1.0, 100.0])),
            answer(output("FP32", [1.0, 102.0])),
            Different("y", Aspect.VALUES, 2.0),
            id="further apart than both",
        ),
        pytest.param(
            answer(output("INT64", [100])),
            answer(output("INT64", [101])),
            Different("y", Aspect.VALUES, 1.0),
            id="integers, whatever is allowed of reals",
        ),
        pytest.param(
            answer(output("INT64", [-(2**63)])),
            answer(output("INT64", [2**63 - 1])),
            Different("y", Aspect.VALUES, float(2**64)),
            id="integers whose difference is none of 64 bits",
        ),
        pytest.param(
            answer(output("UINT64", [2**64 - 1])),
            answer(output("UINT64", [2**64 - 2])),
            Different("y", Aspect.VALUES, 1.0),
            id="integers that are one float",
        ),
        pytest.param(
            answer(output("FP32", [NAN])),
            answer(output("FP32", [1.0])),
            Different("y", Aspect.VALUES, INFINITE),
            id="not a number beside a number",
        ),
        pytest.param(
            answer(output("FP32", [INFINITE])),
            answer(output("FP32", [1e38])),
            Different("y", Aspect.VALUES, INFINITE),
            id="infinite beside finite",
        ),
        pytest.param(
            answer(output("BYTES", ["cat"])),
            answer(output("BYTES", ["dog"])),
            Different("y", Aspect.VALUES),
            id="text",
        ),
        pytest.param(
            answer(output("FP32", [1.0])),
            answer(output("FP64", [1.0])),
            Different("y", Aspect.DATA_TYPE),
            id="another data type",
        ),
        pytest.param(
            answer(output("FP32", [1.0, 2.0])),
            answer({**output("FP32", [1.0, 2.0]), "shape": [2, 1]}),
            Different("y", Aspect.SHAPE),
            id="another shape",
        ),
        pytest.param(
            answer(output("FP32", [1.0])),
            answer(),
            Different("y", Aspect.PRESENCE),
            id="an output that the canary lacks",
        ),
        pytest.param(
            answer(),
            answer(output("FP32", [1.0])),
            Different("y", Aspect.PRESENCE),
            id="an output that the canary has besides",
        ),
        pytest.param(
            answer(output("FP32", [1.0]), output("INT64", [1], "clock")),
            answer(output("FP32", [1.0]), output("INT64", [2], "clock")),
            Same(),
            id="an output that is ignored",
        ),
        pytest.param(
            answer(output("FP32", [1.0], "a"), output("FP32", [1.0], "b")),
            answer(output("FP32", [2.0], "a"), output("FP32", [5.0], "b")),
            Different("b", Aspect.VALUES, 4.0),
            id="the output that differs most is named",
        ),
        pytest.param(
            Failed.FAILED, answer(), NotComparable(("stable",)), id="the stable pods fail"
        ),
        pytest.param(answer(), Failed.FAILED, NotComparable(("canary",)), id="the canary fails"),
        pytest.param(
            Failed.FAILED, Failed.FAILED, NotComparable(("stable", "canary")), id="both fail"
        ),
    ],
)
def test_what_two_answers_say(stable: Answer, canary: Answer, verdict: Verdict) -> None:
    assert compare(stable, canary, RULES) == verdict


@given(st.lists(reals, max_size=20), st.lists(reals, max_size=20))
def test_the_order_of_the_tracks_is_of_no_matter(a: list[float], b: list[float]) -> None:
    first, second = answer(output("FP64", a)), answer(output("FP64", b))
    assert compare(first, second, RULES) == compare(second, first, RULES)


@given(st.lists(reals, max_size=20))
def test_an_answer_is_the_same_as_itself(values: list[float]) -> None:
    exact = Rules(absolute=0.0, relative=0.0)
    assert compare(binary("FP64", values), called("FP64", values), exact) == Same()


@given(reals, reals, st.floats(0, 10), st.floats(0, 1))
def test_two_numbers_are_as_near_as_pythons_own_judgement_says(
    a: float, b: float, absolute: float, relative: float
) -> None:
    verdict = compare(called("FP64", [a]), called("FP64", [b]), Rules(absolute, relative))
    near = math.isclose(a, b, abs_tol=absolute, rel_tol=relative) or math.isnan(a) & math.isnan(b)
    assert (verdict == Same()) == near


@given(st.lists(st.integers(-128, 127), min_size=1), st.data())
def test_one_wrong_number_among_many_is_found(values: list[int], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(values) - 1))
    wrong = [*values]
    wrong[at] = 127 if values[at] < 0 else -128
    found = compare(called("INT8", values), called("INT8", wrong), RULES)
    assert found == Different("y", Aspect.VALUES, abs(values[at] - wrong[at]))


def test_a_wrong_number_far_behind_is_found() -> None:
    right, wrong = [1.0] * 200_000, [1.0] * 199_999 + [3.0]
    found = compare(called("FP32", right), called("FP32", wrong), RULES)
    assert found == Different("y", Aspect.VALUES, 2.0)


BY_MEANING = Rules(0.0, 0.0, by_class=frozenset({"scores"}), by_direction={"vectors": 0.9})


def rows(name: str, *values: list[float], data_type: str = "FP32") -> Outputs:
    flat = [each for row in values for each in row]
    return answer({**output(data_type, flat, name), "shape": [len(values), len(values[0])]})


@pytest.mark.parametrize(
    ("stable", "canary", "verdict"),
    [
        pytest.param(
            rows("scores", [1.0, 5.0, 2.0], [3.0, 1.0, 1.0]),
            rows("scores", [1.5, 4.0, 2.5], [2.0, 1.5, 0.5]),
            Same(),
            id="each row names the same class",
        ),
        pytest.param(
            rows("scores", [1.0, 5.0], [3.0, 1.0]),
            rows("scores", [1.0, 5.0], [3.0, 3.1]),
            Different("scores", Aspect.CLASS),
            id="one row names another class",
        ),
        pytest.param(
            rows("scores", [NAN, 5.0]),
            rows("scores", [9.0, 5.0]),
            Different("scores", Aspect.CLASS),
            id="a row that names none beside one that does",
        ),
        pytest.param(
            rows("scores", [3, 1], data_type="INT64"),
            rows("scores", [2, 1], data_type="INT64"),
            Same(),
            id="integers are scores, too",
        ),
        pytest.param(
            rows("scores", [0.25], [0.5]),
            rows("scores", [0.25], [0.75]),
            Different("scores", Aspect.VALUES, 0.25),
            id="rows of one number name no class",
        ),
        pytest.param(
            rows("vectors", [1.0, 2.0], [0.0, -1.0]),
            rows("vectors", [3.0, 6.5], [0.0, -9.0]),
            Same(),
            id="vectors that point to the same place, whatever their lengths",
        ),
        pytest.param(
            rows("vectors", [1.0, 0.0], [1.0, 0.0]),
            rows("vectors", [1.0, 0.0], [0.0, 1.0]),
            Different("vectors", Aspect.DIRECTION, 1.0),
            id="one vector that points elsewhere",
        ),
        pytest.param(
            rows("vectors", [0.0, 0.0], [NAN, 1.0]),
            rows("vectors", [0.0, 0.0], [NAN, 1.0]),
            Same(),
            id="equal vectors that point nowhere",
        ),
        pytest.param(
            rows("vectors", [0.0, 0.0]),
            rows("vectors", [0.0, 1.0]),
            Different("vectors", Aspect.DIRECTION, 2.0),
            id="one that points nowhere beside one that does",
        ),
        pytest.param(
            rows("others", [1.0, 5.0]),
            rows("others", [1.0, 5.5]),
            Different("others", Aspect.VALUES, 0.5),
            id="other outputs are compared number by number",
        ),
    ],
)
def test_what_outputs_mean_is_compared(stable: Answer, canary: Answer, verdict: Verdict) -> None:
    assert compare(stable, canary, BY_MEANING) == verdict


def test_a_vector_far_behind_that_points_elsewhere_is_found() -> None:
    right = np.tile([3.0, 4.0], 100_000)
    wrong = right.copy()
    wrong[-2:] = [-3.0, -4.0]
    stable, canary = (
        {"vectors": of_bytes("FP64", [100_000, 2], values.tobytes())} for values in (right, wrong)
    )
    found = compare(stable, canary, BY_MEANING)
    assert found == Different("vectors", Aspect.DIRECTION, 2.0)


HEADER = json.dumps(
    {"outputs": [output("FP32", [1.0]) | {"parameters": {"binary_data_size": 4}}]}
).encode()


@pytest.mark.parametrize(
    ("body", "header_length"),
    [
        pytest.param(b"", None, id="nothing"),
        pytest.param(b"[" * 100_000, None, id="deep brackets"),
        pytest.param(b"[]", None, id="another JSON"),
        pytest.param(b'{"outputs": [1]}', None, id="an output that is a number"),
        pytest.param(b"{}", "3", id="a header longer than the body"),
        pytest.param(b"{}", "-1", id="a header of a negative length"),
        pytest.param(b"{}", "two", id="a length that is no number"),
        pytest.param(HEADER + b"\0\0", str(len(HEADER)), id="too little binary data"),
        pytest.param(
            json.dumps({"outputs": [output("FP32", [1.0]) | {"shape": [2]}]}).encode(),
            None,
            id="fewer values than the shape says",
        ),
        pytest.param(
            json.dumps({"outputs": [output("INT8", [300])]}).encode(), None, id="a number too large"
        ),
        pytest.param(
            json.dumps({"outputs": [output("FP12", [1.0])]}).encode(), None, id="no data type"
        ),
        pytest.param(
            json.dumps({"outputs": [output("BYTES", [1])]}).encode(), None, id="a number for text"
        ),
        pytest.param(
            json.dumps({"outputs": [output("FP32", [[1.0], [1.0, 2.0]])]}).encode(),
            None,
            id="ragged lists",
        ),
    ],
)
def test_an_http_answer_that_cannot_be_read_is_said_to_be(
    body: bytes, header_length: str | None
) -> None:
    with pytest.raises(Unreadable, match=r"not of the protocol|as many"):
        of_http(body, header_length)


@pytest.mark.parametrize(
    "raw", [[b"\0\0\0"], [], [b"\0\0\0\0"] * 2], ids=["cut off", "typed, but none", "one too many"]
)
def test_a_grpc_answer_that_cannot_be_read_is_said_to_be(raw: list[bytes]) -> None:
    message = service_pb2.ModelInferResponse(raw_output_contents=raw)
    message.outputs.add(name="y", datatype="FP32", shape=[1])
    with pytest.raises(Unreadable):
        of_grpc(message.SerializeToString())


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_said_to_be_unreadable(body: bytes) -> None:
    for read in (of_grpc, lambda b: of_http(b, None)):
        try:
            read(body)
        except Unreadable:
            continue


def test_an_element_of_text_that_is_cut_off_is_no_tensor() -> None:
    with pytest.raises(ValueError, match="cut off"):
        of_bytes("BYTES", [1], b"\x05\0\0\0abc")
