"""What a server is given: complete configurations, and a model.py that answers as the file does."""

import importlib.util
import json
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trireme.modelrepo.plan import is_complete, model_config
from trireme.optimizer.forms import Artefact, Graph, Signature, TensorSpec
from trireme.optimizer.loading import Original
from trireme.optimizer.recipes import TECHNIQUES
from trireme.optimizer.samples import Samples
from trireme.optimizer.serving import config_of, files_of, model_of, on_tensorrt, suits_tensorrt
from trireme.optimizer.technique import Workbench
from trireme.optimizer.wishes import Backend

SIGNATURE = Signature(
    inputs=(
        TensorSpec("tokens", np.dtype(np.int64), (48,)),
        TensorSpec("weight", np.dtype(np.float32), ()),
    ),
    outputs=(TensorSpec("score", np.dtype(np.float32), (4,)),),
)


@pytest.mark.parametrize(
    ("name", "file", "backend"),
    [
        pytest.param("onnxruntime", "model.onnx", Backend.ONNXRUNTIME, id="onnxruntime"),
        pytest.param("python", "model.onnx", Backend.PYTHON, id="the Python backend"),
        pytest.param("pytorch", "model.pt", Backend.PYTORCH, id="TorchScript"),
        pytest.param("aot-inductor", "model.pt2", Backend.PYTORCH, id="AOTInductor"),
        pytest.param("tensorrt", "model.onnx", Backend.ONNXRUNTIME, id="TensorRT"),
    ],
)
def test_configurations_are_as_the_golden_files_have_them(
    name: str, file: str, backend: Backend, golden: Callable[[str, str], None]
) -> None:
    model = model_of("text", Artefact(file, b""), SIGNATURE, backend, 16, 2, "s3://m/text/1/")
    if name == "tensorrt":
        model = on_tensorrt(model)
    assert is_complete(model_config(model))
    golden(f"optimizer/{name}.pbtxt", config_of(model))


@pytest.mark.parametrize(
    ("technique", "suits"),
    [
        pytest.param("dead-branches", True, id="plain ONNX"),
        pytest.param("fp16", True, id="half precision"),
        pytest.param("int8-static", False, id="unsigned activations"),
        pytest.param("int8-dynamic", False, id="integer operators"),
        pytest.param("int8-weights", False, id="onnxruntime's own operators"),
    ],
)
def test_tensorrt_has_a_configuration_only_for_what_it_takes(
    technique: str, suits: bool, graph: Graph, bench: Workbench
) -> None:
    made = TECHNIQUES[technique].apply(graph, bench)
    assert isinstance(made, Graph)
    assert suits_tensorrt(made.content) is suits


# ---------------------------------------------------------------------- what Triton's Python has


@dataclass
class Tensor:
    """As triton_python_backend_utils has it."""

    name: str
    array: np.ndarray

    def as_numpy(self) -> np.ndarray:
        return self.array


@dataclass
class Response:
    """Likewise."""

    tensors: list[Tensor]


@pytest.fixture
def served(graph: Graph, original: Original, tmp_path: Path) -> Iterator[Any]:
    """The generated model.py beside its file, loaded as Triton loads it."""
    utils = types.ModuleType("triton_python_backend_utils")
    utils.Tensor = Tensor  # type: ignore[attr-defined]
    utils.InferenceResponse = Response  # type: ignore[attr-defined]
    utils.get_input_tensor_by_name = (  # type: ignore[attr-defined]
        lambda request, name: next(each for each in request if each.name == name)
    )
    sys.modules[utils.__name__] = utils
    artefact = Artefact("model.onnx", graph.content)
    for name, content in files_of(artefact, Backend.PYTHON).items():
        (tmp_path / name).write_bytes(content)
    spec = importlib.util.spec_from_file_location("served", tmp_path / "model.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    instance = module.TritonPythonModel()
    config = model_config(
        model_of("m", artefact, original.signature, Backend.PYTHON, 8, 1, "s3://m/1/")
    )
    parameters = {
        name: {"string_value": value.string_value} for name, value in config.parameters.items()
    }
    instance.initialize({"model_config": json.dumps({"parameters": parameters})})
    yield instance
    del sys.modules[utils.__name__]


def test_the_requests_of_a_batch_each_have_their_own_answer(
    served: Any, original: Original, unseen: Samples
) -> None:
    images = unseen.inputs["image"]
    parts = [images[:1], images[1:4], images[4:6]]
    responses = served.execute([[Tensor("image", part)] for part in parts])
    assert len(responses) == 3
    for part, response in zip(parts, responses, strict=True):
        expected = original.run({"image": part})["output_0"]
        (tensor,) = response.tensors
        assert tensor.name == "output_0"
        np.testing.assert_allclose(tensor.array, expected, atol=1e-4)
