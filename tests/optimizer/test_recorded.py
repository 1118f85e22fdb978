"""Recorded requests as samples, and what is told of those that cannot be used."""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trireme.errors import InvalidSpec
from trireme.optimizer import recorded
from trireme.optimizer.sample_files import read_samples

X = np.arange(60, dtype=np.float32).reshape(30, 2)


def tensor(
    data: Any, shape: Any = None, data_type: str = "FP32", name: str = "x"
) -> dict[str, Any]:
    shape = np.shape(data) if shape is None else shape
    return {"name": name, "shape": shape, "datatype": data_type, "data": data}


def body(*tensors: dict[str, Any]) -> dict[str, Any]:
    return {"id": "1", "inputs": list(tensors)}


def event(content: dict[str, Any], kind: str = "request", **fields: Any) -> dict[str, Any]:
    """A CloudEvent in JSON, as KServe's logger names it."""
    named = f"org.kubeflow.serving.inference.{kind}"
    return {"specversion": "1.0", "id": "1", "type": named, "data": content, **fields}


def stored(content: dict[str, Any], kind: str = "request") -> dict[str, Any]:
    """A record of KServe's logger in a bucket, by the names of its Go type."""
    text = base64.b64encode(json.dumps(content).encode()).decode()
    return {"Id": "1", "ReqType": f"org.kubeflow.serving.inference.{kind}", "Bytes": text}


def lines(file: Path, *records: Any) -> Path:
    text = "\n".join(each if isinstance(each, str) else json.dumps(each) for each in records)
    file.write_text(text, encoding="utf-8")
    return file


BODIES = [body(tensor(X[:1].tolist())), body(tensor(X[1:].ravel().tolist(), [29, 2]))]
ANSWER = {"outputs": [tensor([[1.0]], name="y")]}


@pytest.mark.parametrize(
    "records",
    [
        pytest.param(BODIES, id="bodies, one of them a batch and flat"),
        pytest.param([BODIES[0], "", "  ", BODIES[1]], id="with empty lines"),
        pytest.param([event(each) for each in BODIES], id="events"),
        pytest.param(
            [event({}, data=json.dumps(each), datacontenttype="text/plain") for each in BODIES],
            id="events with text",
        ),
        pytest.param(
            [
                {**event({}), "data_base64": base64.b64encode(json.dumps(each).encode()).decode()}
                for each in BODIES
            ],
            id="events in base64",
        ),
        pytest.param(
            [event(BODIES[0]), event(ANSWER, "response"), event(BODIES[1])],
            id="events, with the answers",
        ),
        pytest.param(
            [stored(BODIES[0]), stored(ANSWER, "response"), stored(BODIES[1])],
            id="what a bucket has of KServe's logger",
        ),
    ],
)
@pytest.mark.parametrize("kind", ["a line each", "a list"])
def test_every_row_of_every_request_is_a_sample(
    kind: str, records: list[Any], tmp_path: Path
) -> None:
    if kind == "a list":
        records = [each for each in records if not isinstance(each, str)]
        file = lines(tmp_path / "requests.json", records)
    else:
        file = lines(tmp_path / "requests.jsonl", *records)
    samples = read_samples(file)
    assert list(samples.inputs) == ["x"]
    assert samples.inputs["x"].dtype == np.float32
    np.testing.assert_array_equal(samples.inputs["x"], X)


def test_requests_of_several_files_follow_in_the_order_of_names(tmp_path: Path) -> None:
    lines(tmp_path / "0.json", [stored(ANSWER, "response")])  # answers alone: nothing to read
    lines(tmp_path / "a.jsonl", BODIES[0])
    lines(tmp_path / "b.json", BODIES[1])
    np.testing.assert_array_equal(read_samples(tmp_path).inputs["x"], X)


@pytest.mark.parametrize(
    ("data_type", "values"),
    [
        pytest.param("BOOL", [True, False], id="truth values"),
        pytest.param("BOOL", [1, 0], id="truth values as numbers"),
        pytest.param("UINT8", [0, 255], id="bytes"),
        pytest.param("INT64", [-(2**63), 2**63 - 1], id="long integers"),
        pytest.param("UINT64", [0, 2**64 - 1], id="longer ones"),
        pytest.param("INT32", [1.0, 2.0], id="whole numbers with a point"),
        pytest.param("FP16", [0.5, 65504], id="half precision"),
        pytest.param("FP64", [1e300, -1], id="doubles"),
    ],
)
def test_values_have_the_type_that_is_said(
    data_type: str, values: list[Any], tmp_path: Path
) -> None:
    file = lines(tmp_path / "r.jsonl", *[body(tensor([values], None, data_type))] * 20)
    found = read_samples(file).inputs["x"]
    assert found.dtype == np.dtype(recorded._TYPES[data_type])
    np.testing.assert_array_equal(found[0], np.array(values, found.dtype))


def test_labels_may_be_among_the_inputs(tmp_path: Path) -> None:
    with_labels = [
        body(tensor([row.tolist()]), tensor([number], None, "INT64", "label"))
        for number, row in enumerate(X)
    ]
    samples = read_samples(lines(tmp_path / "r.jsonl", *with_labels), "label")
    assert list(samples.inputs) == ["x"]
    np.testing.assert_array_equal(samples.labels, np.arange(30))


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        pytest.param([{"x": row} for row in X.tolist()], "float64", id="lists"),
        pytest.param(
            [{"x": {"content": row, "shape": [2]}} for row in X.tolist()],
            "float64",
            id="contents with shapes",
        ),
        pytest.param([{"x": {"content": row}} for row in X.tolist()], "float64", id="contents"),
        pytest.param([{"x": [int(a), int(b)]} for a, b in X.tolist()], "int64", id="whole numbers"),
        pytest.param(
            [{"x": [0, 1]}, *({"x": row} for row in X[1:].tolist())], "float64", id="both"
        ),
    ],
)
@pytest.mark.parametrize("is_alone", [True, False])
def test_what_perf_analyzer_takes_is_a_sample_an_entry(
    is_alone: bool, data: list[Any], dtype: str, tmp_path: Path
) -> None:
    """With its `data`, or the list alone, which `trireme tune --data` takes."""
    file = lines(tmp_path / "input.json", data if is_alone else {"data": data})
    found = read_samples(file).inputs["x"]
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, X)


def test_a_sample_of_perf_analyzer_may_have_a_shape_of_its_own(tmp_path: Path) -> None:
    data = [{"x": {"content": [1, 2, 3, 4, 5, 6], "shape": [2, 3]}}] * 20
    found = read_samples(lines(tmp_path / "input.json", {"data": data})).inputs["x"]
    assert found.shape == (20, 2, 3)


# ------------------------------------------------------------------------------------------ faults

GOOD = body(tensor([[1.0, 2.0]]))
BINARY = {"name": "x", "shape": [1, 2], "datatype": "FP32", "parameters": {"binary_data_size": 8}}


@pytest.mark.parametrize(
    ("record", "told"),
    [
        pytest.param("{", "line 2 is no JSON", id="a line that is cut off"),
        pytest.param('{"inputs": [NaN]}', "NaN is no number of JSON", id="not a number"),
        pytest.param("[" * 100_000, "line 2 is no JSON", id="brackets without end"),
        pytest.param("[" * 900 + "]" * 900, "line 2 is no", id="deep brackets"),
        pytest.param("9" * 5000, "line 2 is no JSON", id="a number without end"),
        pytest.param("3", "line 2 is no object", id="a number"),
        pytest.param({}, "line 2 has no inputs", id="an empty object"),
        pytest.param({"inputs": {}}, "line 2 has no inputs", id="inputs that are no list"),
        pytest.param(ANSWER, "line 2 has no inputs", id="an answer alone"),
        pytest.param({"inputs": [3]}, "an input that is no object", id="a number for an input"),
        pytest.param({"inputs": [{}]}, "whose name is None", id="an input without a name"),
        pytest.param(
            body(tensor([[1.0]], name="\x1b[2J")),
            r"whose name is '\x1b[2J'",
            id="a name for terminals",
        ),
        pytest.param(body(tensor([[1.0]], name="\ud800")), "whose name is", id="half a character"),
        pytest.param(body(BINARY), "line 2 has no data in JSON for the input x", id="binary data"),
        pytest.param(
            body(tensor([["a"]], None, "BYTES")),
            "line 2 has the input x of the type BYTES, and what can be optimised takes numbers",
            id="text",
        ),
        pytest.param(body(tensor([[1.0]], None, "BF16")), "of the type BF16", id="bfloat16"),
        pytest.param(body({**tensor([[1.0]]), "datatype": 3}), "of the type 3", id="no type"),
        pytest.param(body(tensor([[1.0]], [])), "with the shape []", id="no shape"),
        pytest.param(body(tensor([[1.0]], [1, -1])), "with the shape [1, -1]", id="an open shape"),
        pytest.param(body(tensor([[1.0]], [True, 1])), "with the shape [True", id="a truth value"),
        pytest.param(
            body(tensor([[1.0, 2.0]], [1, 3])),
            "line 2 has 2 values for the input x, and its shape [1, 3] has not",
            id="another shape",
        ),
        pytest.param(
            body(tensor([1.0], [10**30, 10**30])), "has 1 values for the input x", id="a huge shape"
        ),
        pytest.param(
            body(tensor([1.0], [1] * 65)), "with the shape [1, 1", id="more dimensions than any"
        ),
        pytest.param(body(tensor([], [1])), "no list as the data of the input x", id="no values"),
        pytest.param(body(tensor("ab", [1, 2])), "no list as the data", id="text for a list"),
        pytest.param(
            body(tensor([["1"]], [1, 1])), "something else than numbers", id="numbers in quotes"
        ),
        pytest.param(
            body(tensor([[None]])), "something else than numbers", id="nothing for a number"
        ),
        pytest.param(
            body(tensor([[1.0], [1.0, 2.0]], [2, 2])),
            "rows of different lengths in the input x",
            id="uneven rows",
        ),
        pytest.param(body(tensor([[10**30]])), "that no type holds", id="a number of no type"),
        pytest.param(
            body(tensor([[-1, 2**63]])), "that no type holds", id="numbers of no common type"
        ),
        pytest.param(
            body(tensor([[300]], None, "UINT8")),
            "values in the input x that are not of its type UINT8",
            id="more than a byte",
        ),
        pytest.param(
            body(tensor([[1.5]], None, "INT32")), "not of its type INT32", id="a fraction"
        ),
        pytest.param(body(tensor([[1e39]])), "not of its type FP32", id="more than a float"),
        pytest.param(
            body(tensor([[True]])), "not of its type FP32", id="a truth value for a float"
        ),
        pytest.param(
            '{"inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP64", "data": [1e999]}]}',
            "not of its type FP64",
            id="infinity",
        ),
        pytest.param(
            body(tensor([[1.0]]), tensor([[1.0]])), "has the input x twice", id="an input twice"
        ),
        pytest.param(
            body(tensor([[1.0]]), tensor([[1.0], [2.0]], name="y")),
            "batches of different sizes: x 1, y 2",
            id="batches of different sizes",
        ),
        pytest.param(
            body(tensor([[1.0, 2.0]], name="z")),
            "line 2 has the inputs z, and those before it x",
            id="another model's request",
        ),
        pytest.param(
            body(tensor([[1.0, 2.0, 3.0]])),
            "line 2 has the input x as float32 [3], and those before it float32 [2]",
            id="another length",
        ),
        pytest.param(body(tensor([[1.0, 2.0]], None, "FP64")), "as float64 [2]", id="another type"),
        pytest.param(event({}, data=None), "line 2 holds no request", id="an event of nothing"),
        pytest.param(event({}, data="no"), "line 2 is no JSON", id="an event of words"),
        pytest.param({"ReqType": "request", "Bytes": "!"}, "is no base64", id="no base64"),
        pytest.param(
            {"ReqType": "request", "Bytes": "AAAA"}, "line 2 is no JSON", id="a body in binary"
        ),
    ],
)
def test_what_cannot_be_used_is_told_with_its_file_line_and_a_remedy(
    record: Any, told: str, tmp_path: Path
) -> None:
    file = lines(tmp_path / "requests.jsonl", GOOD, record, GOOD)
    with pytest.raises(InvalidSpec) as raised:
        read_samples(file)
    (fault,) = raised.value.faults
    assert told in fault.message
    assert (fault.path, fault.value) == ("optimization.samples", str(file))
    assert fault.remedy
    assert str(fault).isprintable()
    assert len(str(fault)) < 600


@pytest.mark.parametrize(
    ("document", "told"),
    [
        pytest.param("3", "is no list of requests", id="a number"),
        pytest.param("{", "is no JSON", id="no JSON"),
        pytest.param({"data": [3]}, "entry 1 is no object of lists by input", id="numbers"),
        pytest.param(
            {"data": [[{"x": [1]}]]}, "entry 1 is no object of lists by input", id="streams"
        ),
        pytest.param({"data": [{"x": {"b64": "AAAA"}}]}, "nothing says of which type", id="base64"),
        pytest.param(
            {"data": [{"x": {"content": {"b64": "AAAA"}, "shape": [1]}}]},
            "nothing says of which type",
            id="base64 with a shape",
        ),
        pytest.param({"data": [{"x": ["a"]}]}, "something else than numbers", id="text"),
        pytest.param(
            {"data": [{"x": [1]}, {"x": [1, 2]}]},
            "entry 2 has the input x as int64 [2], and those before it int64 [1]",
            id="lengths",
        ),
        pytest.param([GOOD, {"x": [1]}], "entry 2 has no inputs", id="two forms in one file"),
        pytest.param([], "holds no inputs", id="nothing"),
        pytest.param([event(ANSWER, "response")], "holds no inputs", id="answers alone"),
    ],
)
def test_what_cannot_be_used_of_a_document_is_told(
    document: Any, told: str, tmp_path: Path
) -> None:
    file = lines(tmp_path / "input.json", document)
    with pytest.raises(InvalidSpec) as raised:
        read_samples(file)
    assert told in raised.value.faults[0].message
    assert raised.value.faults[0].remedy


def test_bytes_that_are_no_text_are_told(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_bytes(b"\xff\xfe{}\n")
    with pytest.raises(InvalidSpec, match="line 1 is no JSON"):
        read_samples(tmp_path / "r.jsonl")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        pytest.param("r.jsonl", "line 2 is longer than 64 MiB", id="a line"),
        pytest.param("r.json", "is larger than 64 MiB", id="a document"),
    ],
)
def test_what_is_larger_than_any_request_is_not_decoded(
    name: str, told: str, tmp_path: Path
) -> None:
    file = lines(tmp_path / name, GOOD, "")
    with file.open("r+b") as opened:
        opened.truncate(file.stat().st_size + recorded.LARGEST_TEXT + 1)  # zeros that take no room
    with pytest.raises(InvalidSpec, match=told):
        read_samples(file)


def test_more_samples_than_fit_are_not_read_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(recorded, "LARGEST_SAMPLES", 1000)
    file = lines(tmp_path / "r.jsonl", *[GOOD] * 30, "never read")
    with pytest.raises(InvalidSpec, match="line 5 makes the samples larger than 2 GiB"):
        read_samples(file)


@pytest.mark.parametrize(
    ("bound", "most", "told"),
    [
        pytest.param("LARGEST_SAMPLES", 1000, "makes the samples larger than 2 GiB", id="bytes"),
        pytest.param("MOST_REQUESTS", 4, "is one more than the 4 requests", id="requests"),
    ],
)
@pytest.mark.parametrize(
    ("name", "records", "place"),
    [
        pytest.param("b.jsonl", [GOOD, GOOD, "never read"], "line 2", id="lines"),
        pytest.param("b.json", [[GOOD, GOOD, 3]], "entry 2", id="a list of requests"),
        pytest.param("b.json", [[{"x": [1, 2]}, {"x": [1, 2]}, 3]], "entry 2", id="entries"),
    ],
)
def test_the_bounds_are_of_all_files_of_a_folder(
    name: str,
    records: list[Any],
    place: str,
    bound: str,
    most: int,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(recorded, bound, most)
    lines(tmp_path / "a.jsonl", *[GOOD] * 3)
    file = lines(tmp_path / name, *records)
    with pytest.raises(InvalidSpec) as raised:
        read_samples(tmp_path)
    (fault,) = raised.value.faults
    assert fault.value == str(file)
    assert fault.message.startswith(f"{place} {told}")
    assert fault.remedy


@pytest.mark.parametrize(
    ("name", "record", "told"),
    [
        pytest.param(
            "b.jsonl",
            body(tensor([[1.0, 2.0, 3.0]])),
            "line 1 has the input x as float32 [3], and those of a.jsonl float32 [2]",
            id="shapes",
        ),
        pytest.param(
            "b.json",
            body(tensor([[1.0, 2.0]], None, "FP64")),
            "entry 1 has the input x as float64 [2], and those of a.jsonl float32 [2]",
            id="types",
        ),
        pytest.param(
            "b.jsonl",
            body(tensor([[1.0, 2.0]], name="z")),
            "line 1 has the inputs z, and those of a.jsonl x",
            id="inputs",
        ),
        pytest.param(
            "b.json",
            [{"x": [1, 2]}],
            "entry 1 has the input x as int64 [2], and those of a.jsonl float32 [2]",
            id="entries without types beside requests with them",
        ),
    ],
)
def test_files_of_a_folder_that_disagree_are_told(
    name: str, record: Any, told: str, tmp_path: Path
) -> None:
    lines(tmp_path / "a.jsonl", *[GOOD] * 20)
    file = lines(tmp_path / name, record)
    with pytest.raises(InvalidSpec) as raised:
        read_samples(tmp_path)
    (fault,) = raised.value.faults
    assert (fault.path, fault.value) == ("optimization.samples", str(file))
    assert fault.message == told
    assert fault.remedy


def test_a_fraction_in_one_file_makes_doubles_of_all(tmp_path: Path) -> None:
    lines(tmp_path / "a.json", [{"x": [2**53 + 1, 1]}] * 10)
    lines(tmp_path / "b.json", [{"x": [0.5, 1]}] * 10)
    found = read_samples(tmp_path).inputs["x"]
    assert found.dtype == np.float64
    assert len(found) == 20
