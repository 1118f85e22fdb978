"""Metrics that could tell nothing of a model are refused before anything is searched."""

from pathlib import Path

import numpy as np
import pytest

from trireme.errors import InvalidSpec
from trireme.optimizer.metrics import Truth, metric_of
from trireme.optimizer.samples import Samples
from trireme.optimizer.suitability import suited

COUNT = 40
CLASSES = np.arange(COUNT) % 4
RIGHT = np.eye(4, dtype=np.float32)[CLASSES]


def samples(labels: np.ndarray | None) -> Samples:
    return Samples({"x": np.zeros((COUNT, 2), np.float32)}, labels)


@pytest.mark.parametrize(
    ("metric", "labels", "answers", "told"),
    [
        pytest.param("accuracy", CLASSES, RIGHT[:, :1], "is [samples, 1]", id="a single logit"),
        pytest.param("f1", CLASSES, RIGHT[:, 0], "is [samples]", id="no dimension of classes"),
        pytest.param("top-5", CLASSES, RIGHT, "Take top-3 or less", id="more places than classes"),
        pytest.param("top-4", CLASSES, RIGHT, "Take top-3 or less", id="as many places"),
        pytest.param("accuracy", RIGHT.astype(int), RIGHT, "not one-hot", id="one-hot labels"),
        pytest.param("accuracy", CLASSES.astype(str), RIGHT, "numbers of classes", id="text"),
        pytest.param("f1", CLASSES.astype(float), RIGHT, "are float64", id="fractions"),
        pytest.param("accuracy", CLASSES + 1, RIGHT, "from 0 to 3", id="counted from 1"),
        pytest.param("accuracy", CLASSES - 1, RIGHT, "from -1 to 2", id="a label below 0"),
        pytest.param(
            "accuracy", (CLASSES + 1) % 4, RIGHT, "always answering the commonest", id="shifted"
        ),
        pytest.param("top-2", CLASSES, RIGHT * 0, "the commonest", id="a model that tells nothing"),
        pytest.param("f1", CLASSES, RIGHT * 0, "the commonest", id="likewise by f1"),
        pytest.param("cosine", None, RIGHT[:, 0], "Take mean-error", id="one number has no angle"),
        pytest.param("mean-error", CLASSES, RIGHT, "are [samples], and", id="labels of one number"),
        pytest.param("max-error", RIGHT.astype(str), RIGHT, "Give numbers", id="text for numbers"),
    ],
)
def test_what_a_metric_cannot_judge_is_told(
    metric: str, labels: np.ndarray | None, answers: np.ndarray, told: str
) -> None:
    with pytest.raises(InvalidSpec) as raised:
        suited(metric_of(metric, labels is not None), samples(labels), {"output_0": answers})
    assert told in str(raised.value)
    assert all(fault.remedy for fault in raised.value.faults)


def test_labels_in_a_column_are_taken_as_a_row() -> None:
    found = suited(metric_of("accuracy", True), samples(CLASSES[:, None]), {"output_0": RIGHT})
    np.testing.assert_array_equal(found.labels, CLASSES)


def test_a_label_for_each_part_of_a_sample_is_judged() -> None:
    parts = RIGHT.reshape(COUNT // 2, 2, 4)
    given = Samples({"x": np.zeros((COUNT // 2, 2))}, CLASSES.reshape(-1, 2))
    assert suited(metric_of("accuracy", True), given, {"output_0": parts}).labels is not None


@pytest.mark.parametrize("metric", ["cosine", "mean-error", "max-error"])
def test_an_output_that_is_not_the_first_is_judged_too(metric: str) -> None:
    before = {"a": RIGHT, "b": RIGHT}
    after = {"a": RIGHT, "b": RIGHT[::-1]}
    judged = metric_of(metric, False)
    truth = Truth(None, before)
    assert judged.value(after, truth) < judged.value(before, truth)


def test_a_metric_of_ones_own_that_fails_is_told(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def nothing(*_):\n    return 1 / 0\n")
    metric = metric_of(f"{tmp_path}/own.py:nothing", False)
    with pytest.raises(InvalidSpec, match="fails: ZeroDivisionError"):
        suited(metric, samples(None), {"output_0": RIGHT})
