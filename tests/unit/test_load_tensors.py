"""What is sent, and whether the answer is right."""

import numpy as np
import pytest

from load.tensors import (
    Expectation,
    InputSpec,
    Tensor,
    WrongAnswer,
    check,
    parse_input,
    random_tensor,
)


def test_an_input_is_read_from_text() -> None:
    assert parse_input("x:FP32:1x16") == InputSpec("x", "FP32", (1, 16))


@pytest.mark.parametrize("text", ["x", "x:FP32", "x:FP32:1xN", "x:FP31:1", ":INT8:1", "x:INT8:0"])
def test_an_input_that_cannot_be_sent_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(ValueError, match=text):
        parse_input(text)


@pytest.mark.parametrize("data_type", ["BOOL", "UINT8", "INT64", "FP16", "FP32", "FP64"])
def test_a_tensor_has_the_type_and_shape_asked_for_and_differs_by_draw(data_type: str) -> None:
    draw = np.random.default_rng(3)
    spec = parse_input(f"x:{data_type}:2x64")
    first, second = random_tensor(spec, draw), random_tensor(spec, draw)
    assert first.shape == (2, 64)
    assert first.dtype == {"BOOL": np.bool_, "FP16": np.float16}.get(data_type, first.dtype)
    assert not np.array_equal(first, second)


X: Tensor = np.array([[1, 2, 3]], dtype=np.float32)
TEXTS: Tensor = np.array([[b"7"], [b"0123456789abcdefgh"]], dtype=np.object_)
SCORES: Tensor = np.array([[55 / 16], [1122 / 16]], dtype=np.float32)  # "gh" does not count


@pytest.mark.parametrize(
    ("expectation", "sent", "answer"),
    [
        pytest.param(Expectation.ANY, X, None, id="anything goes"),
        pytest.param(Expectation.ECHO, X, X, id="the input itself"),
        pytest.param(Expectation.DOUBLE, X, 2 * X, id="twice the input"),
        pytest.param(Expectation.SCORE, TEXTS, SCORES, id="the scores of the texts"),
    ],
)
def test_a_right_answer_passes(
    expectation: Expectation, sent: Tensor, answer: Tensor | None
) -> None:
    check(expectation, {"x": sent}, "y", {"y": answer}.get)


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        pytest.param({"z": 2 * X}, "has no output 'y'", id="another output"),
        pytest.param({"y": X}, "is not the double", id="the wrong values"),
        pytest.param({"y": 2 * X[0]}, r"shape \(3,\) instead of \(1, 3\)", id="the wrong shape"),
        pytest.param({"y": 2 * X[:, ::-1]}, "is not the double", id="another request's answer"),
    ],
)
def test_a_wrong_answer_is_told_in_words_that_equal_faults_share(
    answers: dict[str, Tensor], words: str
) -> None:
    with pytest.raises(WrongAnswer, match=words):
        check(Expectation.DOUBLE, {"x": X}, "y", answers.get)


def test_the_score_of_another_text_is_a_wrong_answer() -> None:
    with pytest.raises(WrongAnswer, match="is not the score"):
        check(Expectation.SCORE, {"text": TEXTS}, "score", {"score": SCORES[::-1]}.get)


def test_texts_are_sent_as_bytes() -> None:
    text = random_tensor(parse_input("text:BYTES:1x2"), np.random.default_rng(1))
    assert text.dtype == np.object_
    assert all(isinstance(item, bytes) and item.isdigit() for item in text.flat)
