"""Model files for tests: real ones of tests/data/models, ONNX files made to measure, readers."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from trireme.admission.inspection.directory import inspect
from trireme.admission.inspection.model_file import Inspection
from trireme.admission.inspection.reader import BytesReader, Limits

MODELS = Path(__file__).parent / "data" / "models"

BACKENDS = {
    "scripted.pt": "pytorch",
    "scripted_dict.pt": "pytorch",
    "traced.pt": "pytorch",
    "exported.pt2": "pytorch",
    "exported_by_torch_2_5.pt2": "pytorch",
    "saved_model.pb": "tensorflow",
    "xgboost.json": "fil",
    "xgboost.ubj": "fil",
    "xgboost_regression.json": "fil",
    "lightgbm.txt": "fil",
    "openvino.xml": "openvino",
}
"""The real files that can be served, each with its backend."""

Shape = Sequence[int | str | None]


class CountingReader:
    """A file in memory that knows what was read of it, and refuses what is outside of it."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.bytes_read = 0
        self.reads = 0

    @property
    def size(self) -> int:
        return len(self.content)

    def read(self, offset: int, length: int) -> bytes:
        assert 0 <= offset <= offset + length <= self.size
        self.bytes_read += length
        self.reads += 1
        return self.content[offset : offset + length]


def real(name: str) -> bytes:
    return (MODELS / name).read_bytes()


def inspected(
    content: bytes, backend: str, name: str = "model", limits: Limits | None = None
) -> Inspection:
    """A version directory of one file."""
    return inspect({name: BytesReader(content)}, backend, name, limits)


def onnx_file(
    inputs: Mapping[str, tuple[int, Shape | None]],
    outputs: Mapping[str, tuple[int, Shape | None]],
    *,
    ir_version: int = 8,
    opset: int = 17,
    initializers: Sequence[TensorProto] = (),
) -> bytes:
    """An ONNX file with these tensors (element type, shape); its one node means nothing."""
    graph = helper.make_graph(
        [helper.make_node("Identity", [next(iter(inputs), "")], [next(iter(outputs), "")])],
        "graph",
        [helper.make_tensor_value_info(name, *info) for name, info in inputs.items()],
        [helper.make_tensor_value_info(name, *info) for name, info in outputs.items()],
        initializer=list(initializers),
    )
    model = helper.make_model(
        graph,
        producer_name="pytorch",
        producer_version="2.4.0",
        opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3)],
    )
    model.ir_version = ir_version
    return bytes(model.SerializeToString())


def onnx_encoder(**options: int) -> bytes:
    """Two integer inputs of [batch, sequence], one output of [batch, 384]."""
    integers = (onnx.TensorProto.INT64, ("batch", "sequence"))
    return onnx_file(
        {"input_ids": integers, "attention_mask": integers},
        {"embedding": (onnx.TensorProto.FLOAT, ("batch", 384))},
        **options,
    )
