"""Weight-only quantisation: matrices are stored in 8 or 4 bits and multiplied in floats.

The file shrinks to a quarter or an eighth, and where memory is what a model waits for, it gets
faster, too. Blocks of weights share a scale.
"""

from dataclasses import dataclass

import onnx
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

from trireme.optimizer.forms import Form, Graph, quiet
from trireme.optimizer.technique import Stage, Workbench
from trireme.optimizer.techniques.onnx_tools import multiplies

_BLOCK = 32  # weights that share a scale
_INT8_ACTIVATIONS = 4  # onnxruntime's accuracy_level: it may round activations while multiplying


@dataclass(frozen=True, slots=True)
class WeightOnly:
    """Matrices of so many bits."""

    bits: int
    stage: Stage = Stage.PARAMETERS

    @property
    def name(self) -> str:
        """`int8-weights` or `int4-weights`."""
        return f"int{self.bits}-weights"

    def unfit(self, form: Form) -> str | None:
        """It needs an ONNX graph that multiplies by constant matrices."""
        if not isinstance(form, Graph):
            return "needs an ONNX graph"
        if not multiplies(form.content, ["MatMul", "Gemm"]):
            return "multiplies by no constant matrix"
        return None

    def apply(self, form: Form, bench: Workbench) -> Form:
        """Quantise, by onnxruntime's tool; it knows MatMul, so a Gemm is written as one first."""
        assert isinstance(form, Graph)  # noqa: S101  # what unfit says
        with quiet():
            quantiser = MatMulNBitsQuantizer(
                _as_matmul(onnx.load_from_string(form.content)),
                bits=self.bits,
                block_size=_BLOCK,
                is_symmetric=True,
                accuracy_level=_INT8_ACTIVATIONS,
            )
            quantiser.process()
        return Graph(quantiser.model.model.SerializeToString(deterministic=True))


def _as_matmul(model: onnx.ModelProto) -> onnx.ModelProto:
    """Each plain Gemm by a stored matrix as MatMul and Add."""
    stored = {each.name: each for each in model.graph.initializer}
    nodes = []
    for node in model.graph.node:
        attributes = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
        is_plain = (
            node.op_type == "Gemm"
            and node.input[1] in stored
            and attributes.get("alpha", 1.0) == 1.0
            and attributes.get("beta", 1.0) == 1.0
            and not attributes.get("transA", 0)
        )
        if not is_plain:
            nodes.append(node)
            continue
        weight = onnx.numpy_helper.to_array(stored[node.input[1]])
        name = f"{node.input[1]}_{node.name}_matmul"
        turned = weight.T.copy() if attributes.get("transB", 0) else weight
        model.graph.initializer.append(onnx.numpy_helper.from_array(turned, name))
        has_bias = len(node.input) > 2 and bool(node.input[2])
        product = f"{node.output[0]}_product" if has_bias else node.output[0]
        nodes.append(
            onnx.helper.make_node("MatMul", [node.input[0], name], [product], f"{node.name}_matmul")
        )
        if has_bias:
            nodes.append(
                onnx.helper.make_node("Add", [product, node.input[2]], [node.output[0]], node.name)
            )
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    read = {name for node in nodes for name in node.input}
    kept = [each for each in model.graph.initializer if each.name in read]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    return model
