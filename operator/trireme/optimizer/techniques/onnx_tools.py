"""What the techniques on ONNX graphs share."""

from collections.abc import Iterable
from pathlib import Path

import onnx
from onnxruntime.quantization.shape_inference import quant_pre_process

from trireme.optimizer.forms import quiet


def multiplies(content: bytes, operators: Iterable[str]) -> bool:
    """Whether a graph has one of these operators with weights that are stored in it."""
    graph = onnx.load_from_string(content).graph
    stored = {each.name for each in graph.initializer}
    stored |= {name for node in graph.node if node.op_type == "Constant" for name in node.output}
    wanted = set(operators)
    return any(node.op_type in wanted and stored & set(node.input) for node in graph.node)


def prepared(content: bytes, scratch: Path) -> bytes:
    """A graph with shapes inferred and constants folded, as the quantiser likes it."""
    before, after = scratch / "before.onnx", scratch / "after.onnx"
    before.write_bytes(content)
    try:
        with quiet():
            quant_pre_process(before, after, skip_symbolic_shape=True)
        return after.read_bytes()
    finally:
        before.unlink(missing_ok=True)
        after.unlink(missing_ok=True)
