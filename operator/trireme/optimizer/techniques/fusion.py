"""Operators fused ahead of time: batch norms into convolutions, activations into what they follow,
attention and layer norms of transformers into one operator each, by onnxruntime.
"""

from dataclasses import dataclass

import onnxruntime

from trireme.optimizer.forms import Form, Graph, quiet, written
from trireme.optimizer.technique import Stage, Workbench


@dataclass(frozen=True, slots=True)
class Fusion:
    """onnxruntime's own optimised graph, which loads faster and runs wherever onnxruntime does."""

    name: str = "fuse"
    stage: Stage = Stage.PARAMETERS

    def unfit(self, form: Form) -> str | None:
        """It needs an ONNX graph."""
        return None if isinstance(form, Graph) else "needs an ONNX graph"

    def apply(self, form: Form, bench: Workbench) -> Form:
        """Write the graph that a session makes of it, at the last level that is portable."""
        assert isinstance(form, Graph)  # noqa: S101  # what unfit says
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED

        def write(file: object) -> None:
            options.optimized_model_filepath = str(file)
            onnxruntime.InferenceSession(form.content, options, providers=["CPUExecutionProvider"])

        with quiet():
            return Graph(written(bench.scratch, "fused.onnx", write))
