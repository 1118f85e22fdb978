"""Export to ONNX, with the batch size left open.

What names the exporter makes up by the run is taken out, so that the same model gives the same
bytes.
"""

from dataclasses import dataclass

import onnx
import torch

from trireme.optimizer.forms import Exported, Form, Graph, Module, Script, quiet, written
from trireme.optimizer.technique import Stage, Workbench

_BATCH = "batch"


@dataclass(frozen=True, slots=True)
class OnnxExport:
    """The model as an ONNX graph."""

    name: str = "onnx"
    stage: Stage = Stage.EXPORT

    def unfit(self, form: Form) -> str | None:
        """It needs something of torch."""
        return None if isinstance(form, Module | Exported | Script) else "is no model of torch"

    def apply(self, form: Form, bench: Workbench) -> Form:
        """Export by torch.onnx."""
        example = bench.example()
        inputs = list(bench.names)
        outputs = [each.name for each in bench.signature.outputs]
        batch = {0: torch.export.Dim.DYNAMIC}
        with quiet():
            match form:
                case Module():
                    content = _by_export(
                        torch.export.export(
                            form.module, example, dynamic_shapes=tuple(batch for _ in example)
                        ),
                        inputs,
                        outputs,
                    )
                case Exported():
                    content = _by_export(form.program, inputs, outputs)
                case Script():
                    content = written(
                        bench.scratch,
                        "exported.onnx",
                        lambda file: torch.onnx.export(
                            form.module,
                            example,
                            str(file),
                            input_names=inputs,
                            output_names=outputs,
                            dynamic_axes={name: {0: _BATCH} for name in (*inputs, *outputs)},
                            dynamo=False,
                        ),
                    )
                case _:
                    raise TypeError(form)
        return Graph(stable(content))


def _by_export(
    program: torch.export.ExportedProgram, inputs: list[str], outputs: list[str]
) -> bytes:
    exported = torch.onnx.export(
        program, (), input_names=inputs, output_names=outputs, verbose=False, optimize=True
    )
    content: bytes = exported.model_proto.SerializeToString()
    return content


def stable(content: bytes) -> bytes:
    """A graph without what tells of the run it came from: traces of its source, and the names of
    open sizes.
    """
    model = onnx.load_from_string(content)
    for node in (*model.graph.node, *(node for each in model.functions for node in each.node)):
        del node.metadata_props[:]
        node.doc_string = ""
    del model.graph.metadata_props[:]
    del model.metadata_props[:]
    del model.graph.value_info[:]  # runtimes infer them
    for value in (*model.graph.input, *model.graph.output):
        del value.metadata_props[:]
        for number, size in enumerate(value.type.tensor_type.shape.dim):
            if size.HasField("dim_param"):
                size.dim_param = _BATCH if number == 0 else f"{value.name}_{number}"
    for tensor in model.graph.initializer:
        del tensor.metadata_props[:]
        tensor.doc_string = ""
    stable_bytes: bytes = model.SerializeToString(deterministic=True)
    return stable_bytes
