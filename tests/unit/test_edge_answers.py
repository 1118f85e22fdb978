"""What is read of Prometheus' answers: what any JSON reader reads, and nothing of other shapes."""

import json
from collections.abc import Callable, Iterable
from math import inf, isinf, isnan, nan
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trireme.autoscaler.past_demand import Past
from trireme.autoscaler.queries import Labels, Query
from trireme.autoscaler.samples import AgentSamples, Series, Vector, read_labels
from trireme.edge.answers import NotJson, Vectors, matrix, values

LABELS = Labels()
NAMES = ("namespace", "pod", LABELS.agent, LABELS.gateway, "model", "quantile", "le", "part", "job")

texts = st.text(st.characters(exclude_categories=["Cs"]))
labels = st.dictionaries(st.sampled_from(NAMES) | texts, texts | st.sampled_from(["0.95", "100"]))
times = st.floats(0, 4e9) | st.integers(0, 4_000_000_000)
numbers = st.floats().map(repr) | st.sampled_from(["NaN", "+Inf", "-Inf", "0", "1e-9", "1.5e+300"])
samples = st.tuples(times, numbers).map(list)
vectors = st.lists(st.fixed_dictionaries({"metric": labels, "value": samples}), max_size=5)
matrices = st.lists(
    st.fixed_dictionaries({"metric": labels, "values": st.lists(samples, max_size=4)}), max_size=4
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | texts | numbers,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


def written(result: object, *, escaped: bool = True, spaced: bool = True) -> bytes:
    """An answer of Prometheus with this result."""
    data = {"resultType": "vector", "result": result}
    told = {"status": "success", "data": data, "warnings": ["a metric may be no counter"]}
    separators = (", ", ": ") if spaced else (",", ":")
    return json.dumps(told, ensure_ascii=escaped, separators=separators).encode()


def read(answer: bytes) -> Vector:
    """An answer that is the first one."""
    return Vectors(LABELS).read("name", answer)


def shown(series: Iterable[Series]) -> list[str]:
    """So that what is no number equals itself."""
    return [repr(each) for each in series]


def plainly(vector: list[dict[str, Any]]) -> list[str]:
    """The same by Python's own JSON."""
    return shown(
        tuple((read_labels(each["metric"], LABELS), float(each["value"][1])) for each in vector)
    )


@given(st.lists(vectors, max_size=4), st.booleans(), st.booleans())
def test_vectors_are_what_a_plain_reader_reads(
    answers: list[Any], escaped: bool, spaced: bool
) -> None:
    reader = Vectors(LABELS)
    for vector in (*answers, *answers):  # the second time no labels are new
        told = written(vector, escaped=escaped, spaced=spaced)
        assert shown(reader.read("name", told)) == plainly(json.loads(told)["data"]["result"])
        assert repr(values(told)) == repr(tuple(float(each["value"][1]) for each in vector))


few_series = st.lists(labels, min_size=1, max_size=3).flatmap(
    lambda few: st.lists(
        st.tuples(
            st.sampled_from(["one", "other"]),
            st.lists(
                st.fixed_dictionaries({"metric": st.sampled_from(few), "value": samples}),
                max_size=4,
            ),
        ),
        max_size=6,
    )
)


@given(few_series)
def test_whatever_came_before_each_agent_has_its_own_series(
    answers: list[tuple[str, list[dict[str, Any]]]],
) -> None:
    reader = Vectors(LABELS)
    for name, told in answers:
        vector = reader.read(name, written(told))
        assert shown(vector) == plainly(told)
        for agent in {named.agent for named, _ in vector}:
            found = AgentSamples(LABELS, {Query.SAMPLE_TIME: vector}, agent).of(Query.SAMPLE_TIME)
            assert shown(found) == shown(each for each in vector if each[0].agent == agent)


def test_series_that_come_again_are_not_sorted_again() -> None:
    reader, pods = Vectors(LABELS), ["a", "b"]
    first = reader.read("one", written([element("1", pod=pod) for pod in pods]))
    others = written([element("2", model="m")])
    again = written([element("3", pod=pod) for pod in pods])
    assert reader.read("other", again).shape is first.shape
    assert reader.read("other", others).shape is not first.shape
    assert reader.read("one", again).shape is first.shape


@given(matrices)
def test_matrices_are_what_a_plain_reader_reads(told: list[Any]) -> None:
    found = [
        Past(each["metric"], {round(at): float(text) for at, text in each["values"]})
        for each in told
    ]
    assert repr(matrix(written(told))) == repr(found)


def is_vector(told: Any) -> bool:
    return isinstance(told, list) and all(
        isinstance(each, dict)
        and is_sample(each.get("value"))
        and isinstance(each.get("metric"), dict)
        and all(isinstance(value, str) for value in each["metric"].values())
        for each in told
    )


def is_sample(told: Any) -> bool:
    if not isinstance(told, list) or len(told) != 2 or not isinstance(told[1], str):
        return False
    return type(told[0]) in (int, float) and is_number(told[1])


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


@given(
    anything
    | st.lists(
        st.fixed_dictionaries({"metric": labels | anything, "value": samples | anything})
        | st.fixed_dictionaries({"metric": labels, "histogram": anything}),
        max_size=3,
    )
)
def test_a_vector_is_read_or_refused_as_a_whole(told: Any) -> None:
    answer = written(told)
    if is_vector(told):
        assert shown(read(answer)) == plainly(told)
    else:
        with pytest.raises((msgspec.ValidationError, ValueError)):
            read(answer)


READERS = [
    pytest.param(read, id="a vector"),
    pytest.param(values, id="values"),
    pytest.param(matrix, id="a matrix"),
]


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"<html>", id="a page"),
        pytest.param(b'{"data": {"result": [', id="the beginning of an answer"),
        pytest.param(b'{"data": {"result": []}} {}', id="an answer, and more"),
        pytest.param(b"[" * 200_000, id="lists without a bottom"),
        pytest.param(b'{"data": {"x": ' + b"[" * 200_000, id="a part without a bottom"),
        pytest.param(b'["\xff"]', id="text that is no UTF-8"),
        pytest.param(b'{"data": {"result": NaN}}', id="a number that JSON does not have"),
    ],
)
def test_what_is_no_json_is_told_apart(read: Callable[[bytes], object], answer: bytes) -> None:
    with pytest.raises(NotJson):
        read(answer)


@pytest.mark.parametrize(
    "label",
    [pytest.param(rb'"\x"', id="an escape"), pytest.param(b'"\xff"', id="text that is no UTF-8")],
)
def test_labels_that_are_no_json_are_told_apart(label: bytes) -> None:
    answer = b'{"data": {"result": [{"metric": {"pod": ' + label + b'}, "value": [1, "1"]}]}}'
    with pytest.raises(NotJson):
        read(answer)


def element(value: str, **told: str) -> dict[str, object]:
    return {"metric": told, "value": [1.5, value]}


def test_what_is_no_number_and_infinities_are_handed_on() -> None:
    told = written([element("NaN"), element("+Inf"), element("-Inf")])
    no_number, largest, least = (value for _, value in read(told))
    assert isnan(no_number)
    assert (largest, least) == (inf, -inf)


def test_a_series_that_comes_twice_is_handed_on_twice() -> None:
    told = written([element("1", pod="a"), element("2", pod="a")])
    (one, first), (other, second) = read(told)
    assert (one.pod, first, other.pod, second) == ("a", 1.0, "a", 2.0)


def test_escaped_labels_are_read() -> None:
    ((named, _),) = read(written([element("1", pod='a"}\\\n\u2603', model="{")]))
    assert (named.pod, named.model) == ('a"}\\\n\u2603', "{")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        pytest.param("0.95", 0.95, id="a number"),
        pytest.param("+Inf", inf, id="the last edge"),
        pytest.param("NaN", nan, id="a number that is none"),
        pytest.param("half", nan, id="a word"),
        pytest.param("", nan, id="nothing"),
    ],
)
def test_a_quantile_and_an_edge_are_numbers_or_none(text: str, number: float) -> None:
    read = read_labels({"quantile": text, "le": text}, LABELS)
    for found in (read.quantile, read.edge):
        assert (isnan(found), isinf(found)) == (isnan(number), isinf(number))
        assert isnan(number) or found == number


def test_a_scalar_is_one_value() -> None:
    assert values(written([1.5, "7"])) == (7.0,)


def test_labels_of_series_that_are_gone_are_forgotten() -> None:
    reader = Vectors(LABELS)
    for number in range(100):
        pods = [element("1", pod=f"{number}-{pod}") for pod in range(10)]
        answers = [reader.read(name, written(pods)) for name in ("one", "other")]
        reader.keep(most=sum(map(len, answers)))
        assert len(reader) <= 20
