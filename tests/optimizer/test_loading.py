"""Models as users give them, and what is told of those that cannot be used."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from trireme.errors import InvalidSpec
from trireme.optimizer.forms import Exported, Graph, Script, quiet
from trireme.optimizer.loading import Original, open_model
from trireme.optimizer.runners import answers
from trireme.optimizer.samples import Samples
from trireme.optimizer.wishes import ModelSource


def test_every_form_is_read_and_answers_alike(
    original: Original,
    graph: Graph,
    exported: Exported,
    script: Script,
    unseen: Samples,
    tmp_path: Path,
) -> None:
    (tmp_path / "model.onnx").write_bytes(graph.content)
    with quiet():
        torch.export.save(exported.program, str(tmp_path / "model.pt2"))
        script.module.save(str(tmp_path / "model.pt"))
    expected = answers(original.run, unseen.inputs, 8)["output_0"]
    for name in ("model.onnx", "model.pt2", "model.pt"):
        read = open_model(ModelSource(str(tmp_path / name)), unseen, 1)
        assert [str(each) for each in read.signature.inputs] == ["image: float32 [1, 8, 8]"], name
        assert read.signature.outputs == original.signature.outputs, name
        found = answers(read.run, unseen.inputs, 8)["output_0"]
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_nameless_array_is_the_only_input(graph: Graph, unseen: Samples, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(graph.content)
    nameless = Samples({"input": unseen.inputs["image"].astype(np.float64)}, unseen.labels)
    read = open_model(ModelSource(str(tmp_path / "model.onnx")), nameless, 1)
    assert [str(each) for each in read.signature.inputs] == ["image: float32 [1, 8, 8]"]


@pytest.mark.parametrize(
    ("path", "weights", "told"),
    [
        pytest.param("no.onnx", None, "does not exist", id="no file"),
        pytest.param("model.h5", None, "is of no known kind", id="a kind that is not known"),
        pytest.param("broken.onnx", None, "cannot be read", id="no ONNX"),
        pytest.param("broken.pt", None, "cannot be read", id="no TorchScript"),
        pytest.param("digits.weights.pt", None, "may be weights alone", id="weights alone"),
        pytest.param("broken.pt2", None, "cannot be read", id="no archive"),
        pytest.param("digits.py:absent", None, "has no function absent", id="no such function"),
        pytest.param(
            "digits.py:wrong", None, "answered a int", id="a function that makes no module"
        ),
        pytest.param("syntax.py:make", None, "fails as it is loaded", id="code that fails"),
        pytest.param("no.py:make", None, "names no Python file", id="no such code"),
        pytest.param("digits.py:make", "other.weights", "cannot be loaded", id="others' weights"),
        pytest.param("digits.py:make", "no.weights", "cannot be loaded", id="no weights"),
        pytest.param("digits.py:make", "hostile.weights", "cannot be loaded", id="hostile weights"),
        pytest.param("broken.onnx", "other.weights", "belong to no factory", id="weights twice"),
    ],
)
def test_a_model_that_cannot_be_used_is_told(
    path: str, weights: str | None, told: str, source: ModelSource, unseen: Samples, folder: Path
) -> None:
    for name in ("model.h5", "broken.onnx", "broken.pt", "broken.pt2"):
        (folder / name).write_bytes(b"no model")
    (folder / "digits.weights.pt").write_bytes((folder / "digits.weights").read_bytes())
    (folder / "syntax.py").write_text("def make(:", encoding="utf-8")
    torch.save({"weight": torch.zeros(1)}, folder / "other.weights")
    (folder / "hostile.weights").write_bytes(pickle.dumps(Hostile(folder / "ran")))
    place = None if weights is None else str(folder / weights)
    with pytest.raises(InvalidSpec) as raised:
        open_model(ModelSource(str(folder / path), place), unseen, 1)
    assert told in str(raised.value)
    assert not (folder / "ran").exists()


class Hostile:
    """A pickle that makes a directory when it is loaded."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.place),)


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        pytest.param({"picture": (1, 8, 8)}, "lack the input image", id="another name"),
        pytest.param(
            {"image": (1, 8, 8), "mask": (8,)}, "samples.mask: is no input", id="one too many"
        ),
        pytest.param({"image": (3, 8, 8)}, "fails on the samples", id="another shape"),
    ],
)
def test_samples_that_do_not_fit_the_model_are_told(
    inputs: dict[str, tuple[int, ...]], told: str, source: ModelSource
) -> None:
    samples = Samples({name: np.zeros((30, *shape), np.float32) for name, shape in inputs.items()})
    with pytest.raises(InvalidSpec, match=told):
        open_model(source, samples, 1)


def cast(folder: Path, given: int, answered: int) -> ModelSource:
    """A graph that turns one type into another."""
    value = onnx.helper.make_tensor_value_info("x", given, ["batch", 2])
    answer = onnx.helper.make_tensor_value_info("y", answered, ["batch", 2])
    node = onnx.helper.make_node("Cast", ["x"], ["y"], to=answered)
    graph = onnx.helper.make_graph([node], "cast", [value], [answer])
    opset = [onnx.helper.make_opsetid("", 20)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=10)
    (folder / "cast.onnx").write_bytes(model.SerializeToString())
    return ModelSource(str(folder / "cast.onnx"))


def test_a_model_that_answers_text_is_told_at_once(tmp_path: Path) -> None:
    source = cast(tmp_path, onnx.TensorProto.FLOAT, onnx.TensorProto.STRING)
    with pytest.raises(InvalidSpec, match="answers y as object, and not as an array of numbers"):
        open_model(source, Samples({"x": np.ones((30, 2), np.float32)}), 1)


def test_samples_that_would_lose_their_fractions_are_told(tmp_path: Path) -> None:
    source = cast(tmp_path, onnx.TensorProto.UINT8, onnx.TensorProto.FLOAT)
    with pytest.raises(InvalidSpec, match="uint8, the model's type, would lose something"):
        open_model(source, Samples({"x": np.full((30, 2), 0.5, np.float32)}), 1)
    read = open_model(source, Samples({"x": np.full((30, 2), 3.0)}), 1)
    assert read.samples.inputs["x"].dtype == np.uint8


BAD = """
import torch


class Answers(torch.nn.Module):
    def __init__(self, how):
        super().__init__()
        self.how = how

    def forward(self, image):
        found = image.flatten(1)
        return {"nan": found / 0 * 0, "summed": found.sum(0), "scalar": found.sum()}[self.how]


def nan():
    return Answers("nan")


def summed():
    return Answers("summed")


def scalar():
    return Answers("scalar")
"""


@pytest.mark.parametrize(
    ("function", "told"),
    [
        pytest.param("nan", "answers NaN or infinity in output_0", id="not a number"),
        pytest.param("summed", r"answers output_0 of shape \[64\]", id="no batch dimension"),
        pytest.param("scalar", r"answers output_0 of shape \[\]", id="a single number"),
    ],
)
def test_a_model_whose_answers_cannot_be_kept_is_told(
    function: str, told: str, unseen: Samples, tmp_path: Path
) -> None:
    (tmp_path / "bad.py").write_text(BAD, encoding="utf-8")
    with pytest.raises(InvalidSpec, match=told):
        open_model(ModelSource(f"{tmp_path}/bad.py:{function}"), unseen, 1)
