"""Dynamic quantisation: weights of 8 bits, activations rounded anew for each batch.

It needs no calibration, and pays where matrices are large: linear layers, transformers, recurrent
networks.
"""

from dataclasses import dataclass
from pathlib import Path

import onnx
from onnxruntime import quantization

from trireme.optimizer.forms import Form, Graph, quiet, written
from trireme.optimizer.technique import Stage, Workbench
from trireme.optimizer.techniques.onnx_tools import multiplies, prepared

_OPERATORS = ["MatMul", "Gemm", "Attention", "LSTM", "EmbedLayerNormalization"]
"""Not Conv: onnxruntime's ConvInteger is slower than a convolution of floats."""


@dataclass(frozen=True, slots=True)
class Int8Dynamic:
    """Matrices multiplied in 8 bits."""

    name: str = "int8-dynamic"
    stage: Stage = Stage.PARAMETERS

    def unfit(self, form: Form) -> str | None:
        """It needs an ONNX graph that multiplies by constant matrices."""
        if not isinstance(form, Graph):
            return "needs an ONNX graph"
        if not multiplies(form.content, _OPERATORS):
            return "multiplies by no constant matrix"
        return None

    def apply(self, form: Form, bench: Workbench) -> Form:
        """Quantise, by onnxruntime's tool."""
        assert isinstance(form, Graph)  # noqa: S101  # what unfit says
        model = onnx.load_from_string(prepared(form.content, bench.scratch))

        def quantise(file: Path) -> None:
            quantization.quantize_dynamic(
                model,
                file,
                op_types_to_quantize=_OPERATORS,
                per_channel=True,
                weight_type=quantization.QuantType.QInt8,
            )

        with quiet():
            return Graph(written(bench.scratch, "int8.onnx", quantise))
