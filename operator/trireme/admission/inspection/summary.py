"""What a model file says of itself, in one line for people. Pure."""

from collections.abc import Sequence

from trireme.admission.inspection.model_file import FileTensor, Inspection, ModelFile, cut
from trireme.admission.words import some
from trireme.api.sizes import shown

LONGEST_SUMMARY = 512
_MOST_TENSORS = 4


def summary(inspection: Inspection) -> str:
    """`ONNX, IR 9, opset 17, 412.0 MB: ids INT64[-1,-1] → embedding FP32[-1,384]`.

    The size is that of all files of the version. What the file does not say is left out.
    """
    size = shown(inspection.total_bytes)
    file = inspection.file
    if file is None:
        line = f"not inspected, {size}: {inspection.not_inspected or _findings(inspection)}"
    else:
        line = ", ".join([str(file.format), *_facts(file), size])
        if file.inputs is not None or file.outputs is not None:
            line += f": {_tensors(file.inputs)} → {_tensors(file.outputs)}"
    return line if len(line) <= LONGEST_SUMMARY else f"{line[: LONGEST_SUMMARY - 3]}..."


def _findings(inspection: Inspection) -> str:
    return "; ".join(finding.message for finding in inspection.findings) or "nothing is known of it"


def _facts(file: ModelFile) -> list[str]:
    facts = []
    if file.onnx is not None:
        facts.append(f"IR {file.onnx.ir_version}")
        if opset := file.onnx.opsets.get("ai.onnx"):
            facts.append(f"opset {opset}")
    if file.plan is not None and file.plan.version:
        facts.append(f"TensorRT {file.plan.version}")
    if file.forest is not None and file.forest.features:
        facts.append(f"{file.forest.features} features")
    return facts


def _tensors(tensors: Sequence[FileTensor] | None) -> str:
    if tensors is None:
        return "?"
    words = (_tensor(each, index) for index, each in enumerate(tensors))
    return some(words, most=_MOST_TENSORS)


def _tensor(tensor: FileTensor, index: int) -> str:
    name = cut(tensor.name) if tensor.name else str(index)
    kind = tensor.data_type or tensor.type_name or ""
    dims = "" if tensor.dims is None else f"[{','.join(map(str, tensor.dims))}]"
    return f"{name} {kind}{dims}".strip()
