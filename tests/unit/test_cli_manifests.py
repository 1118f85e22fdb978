"""YAML in and out as kubectl reads it."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from trireme.cli.manifests import ManifestError, from_yaml, to_yaml

TEXT = st.text(max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(TEXT, children, max_size=3),
    max_leaves=10,
)


@given(st.lists(st.dictionaries(st.text(min_size=1), JSON), max_size=3))
def test_what_is_written_is_read_back(objects: list[dict[str, object]]) -> None:
    assert list(from_yaml(to_yaml(*objects))) == objects


@pytest.mark.parametrize("word", ["y", "n", "Y", "N", "yes", "No", "on", "OFF", "true", "null"])
def test_a_word_that_is_no_text_to_yaml_is_quoted(word: str) -> None:
    assert to_yaml({"name": word}) == f"name: '{word}'\n"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("y", True, id="y is true, as to kubectl"),
        pytest.param("N", False, id="N is false, as to kubectl"),
        pytest.param("off", False, id="off is false"),
        pytest.param("2026-01-31", "2026-01-31", id="a date is text, as to kubectl"),
        pytest.param("'y'", "y", id="quoted text is text"),
    ],
)
def test_a_scalar_is_read_as_kubectl_reads_it(text: str, value: object) -> None:
    assert list(from_yaml(f"a: {text}")) == [{"a": value}]


@pytest.mark.parametrize(
    ("text", "key"), [("1", "1"), ("1.5", "1.5"), ("true", "true"), ("y", "true"), ("a", "a")]
)
def test_a_key_is_text_as_to_kubectl(text: str, key: str) -> None:
    assert list(from_yaml(f"a: {{{text}: b}}")) == [{"a": {key: "b"}}]


def test_texts_of_several_lines_are_written_as_blocks() -> None:
    assert to_yaml({"data": {"model.py": "a\nb\n"}}) == "data:\n  model.py: |\n    a\n    b\n"


def test_a_value_that_stands_twice_is_written_twice() -> None:
    shared = {"app": "a"}
    assert to_yaml({"labels": shared, "selector": shared}) == (
        "labels:\n  app: a\nselector:\n  app: a\n"
    )


def test_empty_documents_are_passed_over() -> None:
    assert list(from_yaml("---\n---\na: 1\n---\n# nothing\n")) == [{"a": 1}]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("a: 1\nb:\n  c: 1\n  c: 2\n", "line 4, column 3: the key c", id="a key twice"),
        pytest.param("a: [1\nb: 2", "line 2, column 2: expected ',' or ']'", id="an open bracket"),
        pytest.param("a: b: c", "line 1, column 5: mapping values", id="a colon too many"),
        pytest.param("\ta: 1", "line 1, column 1", id="a tab"),
        pytest.param("a: *b", "line 1, column 4: found undefined alias", id="an unknown alias"),
        pytest.param("a: !!python/name:os.system", "line 1, column 4", id="a tag that would run"),
        pytest.param("- a", "an object is expected", id="a list at the top"),
        pytest.param("a: 0b_", "invalid literal", id="a number without digits"),
        pytest.param("a: \x00", "special characters are not allowed", id="a control character"),
    ],
)
def test_what_is_no_manifest_is_refused_with_its_place(text: str, says: str) -> None:
    with pytest.raises(ManifestError, match=says.replace("[", r"\[")):
        list(from_yaml(text))


def test_merge_keys_work() -> None:
    text = "base: &base {a: 1, b: 2}\nmore: {<<: *base, b: 3}"
    assert list(from_yaml(text)) == [{"base": {"a": 1, "b": 2}, "more": {"a": 1, "b": 3}}]


def test_what_is_written_is_plain_yaml() -> None:
    assert list(yaml.safe_load_all(to_yaml({"a": 1}, {"b": [2]}))) == [{"a": 1}, {"b": [2]}]
