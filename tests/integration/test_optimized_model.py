"""A real Triton 24.10 serves an ONNX file by the program that the optimiser writes beside it."""

import json
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from integration.triton_server import triton
from trireme import optimizer
from trireme.api.models import Model
from trireme.modelrepo.plan import model_config
from trireme.modelrepo.render import config_text

PROGRAM = Path(optimizer.__file__).with_name("served_model.py")
WEIGHT = np.arange(12, dtype=np.float32).reshape(4, 3)


def scaled() -> bytes:
    """y = (x W) s for each request, and z = x: two inputs and two outputs."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["xw"]),
        helper.make_node("Mul", ["xw", "s"], ["y"]),
        helper.make_node("Identity", ["x"], ["z"]),
    ]
    tensors = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", size])
        for name, size in (("x", 4), ("s", 1), ("y", 3), ("z", 4))
    }
    graph = helper.make_graph(
        nodes,
        "scaled",
        [tensors["x"], tensors["s"]],
        [tensors["y"], tensors["z"]],
        [numpy_helper.from_array(WEIGHT, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    content: bytes = model.SerializeToString()
    return content


@pytest.mark.parametrize("rows", [pytest.param(1, id="alone"), pytest.param(3, id="in a batch")])
def test_the_program_that_the_optimiser_writes_answers_as_its_file_does(
    rows: int, tmp_path: Path
) -> None:
    model = Model.model_validate(
        {
            "name": "scaled",
            "source": {"uri": "pvc://models/scaled/1/"},
            "backend": "python",
            "maxBatchSize": 4,
            "inputs": [
                {"name": "x", "dataType": "FP32", "dims": [4]},
                {"name": "s", "dataType": "FP32", "dims": [1]},
            ],
            "outputs": [
                {"name": "y", "dataType": "FP32", "dims": [3]},
                {"name": "z", "dataType": "FP32", "dims": [4]},
            ],
            "instances": [{"kind": "CPU", "count": 1}],
            "parameters": {"threads": "1"},
        }
    )
    version = tmp_path / "repository" / "scaled" / "1"
    version.mkdir(parents=True)
    (version / "model.onnx").write_bytes(scaled())
    (version / "model.py").write_bytes(PROGRAM.read_bytes())
    (version.parent / "config.pbtxt").write_text(config_text(model_config(model)))
    x = np.arange(4 * rows, dtype=np.float32).reshape(rows, 4)
    s = np.arange(1, rows + 1, dtype=np.float32).reshape(rows, 1)
    with triton(tmp_path / "repository", tmp_path) as server:
        answers = infer(server.address, {"x": x, "s": s})
    np.testing.assert_allclose(answers["y"], (x @ WEIGHT * s).ravel())
    np.testing.assert_allclose(answers["z"], x.ravel())


def infer(address: str, inputs: dict[str, np.ndarray]) -> dict[str, list[float]]:
    """Triton's answer to one request, by the names of its outputs."""
    asked = [
        {
            "name": name,
            "datatype": "FP32",
            "shape": list(value.shape),
            "data": value.ravel().tolist(),
        }
        for name, value in inputs.items()
    ]
    request = urllib.request.Request(
        f"http://{address}/v2/models/scaled/infer", json.dumps({"inputs": asked}).encode()
    )
    with urllib.request.urlopen(request) as answer:  # noqa: S310  # of loopback
        outputs = json.load(answer)["outputs"]
    return {each["name"]: each["data"] for each in outputs}
