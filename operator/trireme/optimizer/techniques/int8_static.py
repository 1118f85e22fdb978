"""Static quantisation: weights and activations of 8 bits, ranges found on the training samples.

The ranges are those that hold nearly all values seen in calibration. The first and the last layer
bear most of the loss, and little of the work: a variant leaves them as they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnxruntime import quantization

from trireme.optimizer.forms import Form, Graph, quiet, written
from trireme.optimizer.samples import Arrays, Samples
from trireme.optimizer.technique import Stage, Workbench
from trireme.optimizer.techniques.onnx_tools import multiplies, prepared

_OPERATORS = ["Conv", "MatMul", "Gemm"]
_CALIBRATION = 256  # samples: ranges change little beyond
_BATCH = 32


class _Reader(quantization.CalibrationDataReader):
    """Hands the calibration samples to onnxruntime, a batch at a time."""

    def __init__(self, samples: Samples) -> None:
        count = min(len(samples), _CALIBRATION)
        self._batches = iter(
            [
                {
                    name: np.ascontiguousarray(array[start : min(start + _BATCH, count)])
                    for name, array in samples.inputs.items()
                }
                for start in range(0, count, _BATCH)
            ]
        )

    def get_next(self) -> Arrays | None:
        """The next batch; None after the last."""
        return next(self._batches, None)


@dataclass(frozen=True, slots=True)
class Int8Static:
    """Convolutions and matrices in 8 bits; of `inner`, all but the first and the last."""

    inner: bool = False
    stage: Stage = Stage.PARAMETERS

    @property
    def name(self) -> str:
        """`int8-static`, or `int8-inner`."""
        return "int8-inner" if self.inner else "int8-static"

    def unfit(self, form: Form) -> str | None:
        """It needs an ONNX graph with weights to round."""
        if not isinstance(form, Graph):
            return "needs an ONNX graph"
        if not multiplies(form.content, _OPERATORS):
            return "has no convolution and multiplies by no constant matrix"
        if self.inner and len(_layers(onnx.load_from_string(form.content))) < 3:
            return "has nothing between its first layer and its last"
        return None

    def apply(self, form: Form, bench: Workbench) -> Form:
        """Calibrate and quantise, by onnxruntime's tools."""
        assert isinstance(form, Graph)  # noqa: S101  # what unfit says
        model = onnx.load_from_string(prepared(form.content, bench.scratch))
        layers = _layers(model)
        kept = [layers[0], layers[-1]] if self.inner else []

        def quantise(file: object) -> None:
            quantization.quantize_static(
                model,
                file,
                _Reader(bench.training),
                quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=_OPERATORS,
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                nodes_to_exclude=kept,
                calibrate_method=quantization.CalibrationMethod.MinMax,
                extra_options={"CalibMovingAverage": True},
            )

        with quiet():
            return Graph(written(bench.scratch, "int8.onnx", quantise))


def _layers(model: onnx.ModelProto) -> Sequence[str]:
    """The names of the nodes with weights, in the order of the graph."""
    stored = {each.name for each in model.graph.initializer}
    return [
        node.name
        for node in model.graph.node
        if node.op_type in _OPERATORS and stored & set(node.input)
    ]
