"""A fault in one sentence: field, what is wrong, what was received, what to write instead."""

import pytest

from trireme.api.instances import InstanceKind
from trireme.errors import Fault


def text(value: object, message: str = "it is wrong") -> str:
    return str(Fault("spec.a", value, message, "Correct it"))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        pytest.param("a b", "'a b'", id="text"),
        pytest.param("", "''", id="empty text"),
        pytest.param(3, "3", id="a number"),
        pytest.param(True, "True", id="a boolean"),
        pytest.param(InstanceKind.GPU, "'GPU'", id="a value of an enum, as the user wrote it"),
        pytest.param([1, -1], "[1, -1]", id="a list"),
        pytest.param("x" * 200, f"'{'x' * 76}...", id="a long one, clipped to 80 characters"),
    ],
)
def test_the_value_received_is_said(value: object, shown: str) -> None:
    assert text(value) == f"spec.a: it is wrong (received {shown}). Correct it"


def test_where_something_is_missing_nothing_was_received() -> None:
    assert text(None) == "spec.a: it is wrong. Correct it"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("agnet", "there is no model agnet"),
        ("a b", "'a b' holds whitespace"),
        (9, "a batch of 9 exceeds 8"),
        ([4, 16], "sizes [4, 16] exceed 8"),
    ],
)
def test_a_value_that_the_message_names_is_not_said_twice(value: object, message: str) -> None:
    assert text(value, message) == f"spec.a: {message}. Correct it"


def test_a_value_within_another_word_of_the_message_is_not_taken_for_named() -> None:
    assert text(1, "it must be below 16").startswith("spec.a: it must be below 16 (received 1).")
