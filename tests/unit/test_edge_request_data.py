"""What requests hold: drawn, or read from a file."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trireme.edge.request_data import RANDOM, drawn, read
from trireme.errors import InvalidSamples
from trireme.modelrepo.proto import ModelConfig, text_format

CONFIG = """
name: "m" max_batch_size: 8
input { name: "x" data_type: TYPE_FP32 dims: 2 dims: 3 }
input { name: "ids" data_type: TYPE_INT64 dims: -1 }
input { name: "text" data_type: TYPE_STRING dims: 1 }
input { name: "maybe" data_type: TYPE_BOOL dims: 1 optional: true }
"""
WHOLE = {"x": [[1, 2, 3], [4, 5, 6]], "ids": [7, 8], "text": ["a word"]}


def config(text: str = CONFIG) -> ModelConfig:
    return text_format.Parse(text, ModelConfig())


def written(folder: Path, samples: Any) -> Path:
    file = folder / "samples.json"
    file.write_text(json.dumps(samples))
    return file


def test_random_requests_have_one_row_of_what_is_required() -> None:
    requests = drawn(config(), {"ids": (4,)}, seed=1)
    assert len(requests) == RANDOM
    shapes = {name: (kind, value.shape) for name, (kind, value) in requests[0].items()}
    assert shapes == {
        "x": ("FP32", (1, 2, 3)),
        "ids": ("INT64", (1, 4)),
        "text": ("BYTES", (1, 1)),
    }
    _, ids = requests[0]["ids"]
    assert set(ids.flat) <= set(range(10))


def test_they_are_the_same_each_time_and_differ_from_each_other() -> None:
    one, other = drawn(config(), {}, seed=1), drawn(config(), {}, seed=1)
    np.testing.assert_array_equal(one[0]["x"][1], other[0]["x"][1])
    assert not np.array_equal(one[0]["x"][1], one[1]["x"][1])


def test_a_model_without_batches_has_no_row() -> None:
    (name, (_, value)) = next(iter(drawn(config(CONFIG.replace("8", "0", 1)), {}, 1)[0].items()))
    assert (name, value.shape) == ("x", (2, 3))


@pytest.mark.parametrize("whole", [WHOLE, {**WHOLE, "x": [1, 2, 3, 4, 5, 6]}], ids=["rows", "flat"])
@pytest.mark.parametrize("listed", [False, True], ids=["a list", "as perf_analyzer has it"])
def test_samples_are_read_from_json(tmp_path: Path, whole: dict[str, Any], listed: bool) -> None:
    samples = [whole, whole]
    requests = read(written(tmp_path, {"data": samples} if listed else samples), config())
    assert len(requests) == 2
    np.testing.assert_array_equal(requests[0]["x"][1], np.float32([WHOLE["x"]]))
    assert requests[0]["x"][1].dtype == np.float32
    assert requests[0]["text"][1].tolist() == [[b"a word"]]


def test_samples_are_read_from_arrays(tmp_path: Path) -> None:
    file = tmp_path / "samples.npz"
    np.savez(file, x=np.zeros((5, 2, 3)), ids=np.zeros((5, 9)), text=np.array([["a"]] * 5, np.str_))
    requests = read(file, config())
    assert len(requests) == 5
    assert requests[0]["ids"][1].shape == (1, 9)
    assert requests[0]["text"][1].tolist() == [[b"a"]]


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        pytest.param([], "there is no sample", id="none"),
        pytest.param(3, "a list of objects", id="no list"),
        pytest.param([{"x": WHOLE["x"]}], "input ids is missing", id="an input is missing"),
        pytest.param([{**WHOLE, "y": 1}], "the model has no input y", id="one that is not there"),
        pytest.param([{**WHOLE, "x": [[1, 2]]}], "cannot reshape", id="of another size"),
        pytest.param([{**WHOLE, "ids": 7}], "ids: shape .. is not of .-1.", id="of another rank"),
        pytest.param([{**WHOLE, "ids": ["no"]}], "invalid literal", id="no number"),
    ],
)
def test_samples_that_do_not_fit_are_told(tmp_path: Path, samples: Any, words: str) -> None:
    with pytest.raises(InvalidSamples, match=words):
        read(written(tmp_path, samples), config())


def test_a_pickle_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "samples.npz"
    np.savez(file, x=np.array([{"a": 1}], np.object_))
    with pytest.raises(InvalidSamples, match="pickle"):
        read(file, config())


def test_arrays_of_different_lengths_are_told(tmp_path: Path) -> None:
    file = tmp_path / "samples.npz"
    np.savez(file, x=np.zeros((5, 2, 3)), ids=np.zeros((4, 1)), text=np.zeros((5, 1)))
    with pytest.raises(InvalidSamples, match="different numbers of samples"):
        read(file, config())


def test_a_size_that_the_model_does_not_have_is_told() -> None:
    with pytest.raises(InvalidSamples, match="--shape x"):
        drawn(config(), {"x": (2, 4)}, seed=1)
