"""A classifier whose work is products of matrices, made without training, as an ONNX file.

Each class is a point, each sample a point near that of its class. The network adds up layers of
random matrices, which are most of the work and change little, and reads off which class' point is
nearest. So its answers are right, and what rounds its matrices can be judged.
"""

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper, numpy_helper

INPUT, OUTPUT, LABEL = "x", "logits", "label"
FEATURES, CLASSES, SAMPLES = 64, 10, 260

_TOKENS, _WIDTH, _HIDDEN, _LAYERS = 256, 512, 2048, 4
_ADDED = 0.3  # by a layer, in parts of what it is given
_SPREAD = 0.5  # of samples about their class' point
_OPSET, _IR_VERSION = 17, 8

Floats = npt.NDArray[np.float32]


def model() -> bytes:
    """The file: 34 MB, 4.3 billion multiplications and additions a request."""
    random = np.random.default_rng(1)
    spread = _normal(random, FEATURES, _WIDTH) / np.float32(FEATURES**0.5)
    weights = {
        "spread": spread,
        "tokens": _normal(random, _TOKENS, _WIDTH),
        "classes": spread.T @ _points().T,
        "axis": np.array([1]),
    }
    nodes = [
        helper.make_node("MatMul", [INPUT, "spread"], ["wide"]),
        helper.make_node("Unsqueeze", ["wide", "axis"], ["one"]),
        helper.make_node("Add", ["one", "tokens"], ["h0"]),
    ]
    for n in range(_LAYERS):
        weights[f"up{n}"] = _normal(random, _WIDTH, _HIDDEN) / np.float32(_WIDTH**0.5)
        weights[f"down{n}"] = _normal(random, _HIDDEN, _WIDTH) * np.float32(_ADDED / _HIDDEN**0.5)
        nodes += [
            helper.make_node("MatMul", [f"h{n}", f"up{n}"], [f"u{n}"]),
            helper.make_node("Relu", [f"u{n}"], [f"r{n}"]),
            helper.make_node("MatMul", [f"r{n}", f"down{n}"], [f"d{n}"]),
            helper.make_node("Add", [f"h{n}", f"d{n}"], [f"h{n + 1}"]),
        ]
    nodes += [
        helper.make_node("ReduceMean", [f"h{_LAYERS}"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("MatMul", ["mean", "classes"], [OUTPUT]),
    ]
    graph = helper.make_graph(
        nodes,
        "matrices",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["n", FEATURES])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["n", CLASSES])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    opset = helper.make_opsetid("", _OPSET)
    made = helper.make_model(graph, opset_imports=[opset], ir_version=_IR_VERSION)
    content: bytes = made.SerializeToString()
    return content


def samples() -> bytes:
    """A .npz file of inputs and of their classes."""
    random = np.random.default_rng(2)
    labels = random.integers(0, CLASSES, SAMPLES)
    near = _points()[labels] + np.float32(_SPREAD) * _normal(random, SAMPLES, FEATURES)
    file = io.BytesIO()
    arrays: dict[str, Any] = {INPUT: near, LABEL: labels}
    np.savez(file, **arrays)
    return file.getvalue()


def _points() -> Floats:
    return _normal(np.random.default_rng(0), CLASSES, FEATURES)


def _normal(random: np.random.Generator, *shape: int) -> Floats:
    return random.standard_normal(shape, np.float32)
