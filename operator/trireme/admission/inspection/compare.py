"""What a spec says of a model against what its file says of itself. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from trireme.admission.inspection.formats.forests import INPUT_NAME, OUTPUT_NAME
from trireme.admission.inspection.formats.python_model import MODEL_CLASS
from trireme.admission.inspection.model_file import Finding, Format, Inspection, ModelFile
from trireme.admission.inspection.tensors import (
    named_faults,
    torch_export_warnings,
    torch_script_faults,
)
from trireme.admission.words import below
from trireme.api.models import Model
from trireme.api.releases import (
    Release,
    first_release_to_read,
    onnx_runtime_of,
    reads_plans_of,
)
from trireme.api.tensors import DataType
from trireme.errors import Fault

_ONNX_DOMAIN = "ai.onnx"
_MOST_OF_A_FILE = 20  # tensors that differ: a file and a spec may each have a thousand

_MODEL_TYPES = {
    Format.XGBOOST_BINARY: "xgboost",
    Format.XGBOOST_JSON: "xgboost_json",
    Format.XGBOOST_UBJSON: "xgboost_ubj",
    Format.LIGHTGBM: "lightgbm",
    Format.TREELITE: "treelite_checkpoint",
}
"""What the fil backend calls each format in its parameter model_type; the first is its default."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """With any of the faults Triton would not serve the model; warnings are hardly meant."""

    faults: tuple[Fault, ...] = ()
    warnings: tuple[Fault, ...] = ()


def compare(
    model: Model, inspection: Inspection, path: str, release: Release | None = None
) -> Comparison:
    """Faults and warnings of one model; `path` is the model's, such as spec.models[0].

    `release` is the server's, None where it is not known. What a spec leaves out (empty `inputs` or
    `outputs`) is not missed here: `complete` fills it. Where a file says nothing, no claim is made.
    """
    findings = inspection.findings
    faults = [_fault(each, path) for each in findings if not each.is_warning]
    warnings = [_fault(each, path) for each in findings if each.is_warning]
    file = inspection.file
    if file is not None:
        match file.format:
            case Format.ONNX | Format.SAVED_MODEL | Format.OPENVINO:
                faults += islice(named_faults(model, file, path), _MOST_OF_A_FILE)
                if model.backend == "onnxruntime":
                    faults += _onnx_is_too_new(file, path, release)
            case Format.TORCH_SCRIPT:
                faults += torch_script_faults(model, file, path)
            case Format.TORCH_EXPORT:
                warnings += torch_export_warnings(model, file, path)
            case Format.TENSORRT:
                faults += _plan_is_of_another_tensorrt(file, path, release)
            case Format.PYTHON:
                faults += _python_lacks_its_class(file, path)
                warnings += islice(named_faults(model, file, path), _MOST_OF_A_FILE)
            case _:
                faults += _forest_faults(model, file, path)
    return Comparison(tuple(faults), tuple(warnings))


def _fault(finding: Finding, path: str) -> Fault:
    return Fault(f"{path}.source", None, finding.message, finding.remedy)


def _onnx_is_too_new(file: ModelFile, path: str, release: Release | None) -> Iterator[Fault]:
    facts, runtime = file.onnx, onnx_runtime_of(release)
    if facts is None or runtime is None:
        return
    opset = facts.opsets.get(_ONNX_DOMAIN, 0)
    first = first_release_to_read(facts.ir_version, opset)
    later = f", or use Triton {first} or later" if first else ""
    if facts.ir_version > runtime.ir_version:
        yield Fault(
            f"{path}.source",
            None,
            f"{file.name} is of ONNX IR version {facts.ir_version}, and Triton {release} reads "
            f"up to {runtime.ir_version}",
            f"Export it with IR version {runtime.ir_version}{later}",
        )
    if opset > runtime.opset:
        yield Fault(
            f"{path}.source",
            None,
            f"{file.name} uses ONNX opset {opset}, and Triton {release} knows up to "
            f"{runtime.opset}",
            f"Export it with opset {runtime.opset}{later}",
        )


def _plan_is_of_another_tensorrt(
    file: ModelFile, path: str, release: Release | None
) -> Iterator[Fault]:
    version = file.plan.version if file.plan else None
    if version is not None and reads_plans_of(release, int(version.partition(".")[0])) is False:
        yield Fault(
            f"{path}.source",
            None,
            f"{file.name} was built by TensorRT {version}, and Triton {release} has another major "
            "version of it",
            "Build the plan with the TensorRT of the server's image",
        )


def _python_lacks_its_class(file: ModelFile, path: str) -> Iterator[Fault]:
    facts = file.python
    if facts is None:
        return
    if not facts.has_class:
        yield Fault(
            f"{path}.source",
            None,
            f"{file.name} has no class {MODEL_CLASS}",
            f"Define class {MODEL_CLASS} with a method execute",
        )
    elif facts.methods is not None and "execute" not in facts.methods:
        yield Fault(
            f"{path}.source",
            None,
            f"{MODEL_CLASS} in {file.name} has no method execute",
            "Define execute(self, requests), which returns one response for each request",
        )


def _forest_faults(model: Model, file: ModelFile, path: str) -> Iterator[Fault]:
    """The fil backend has one input and one output that matter, of fixed names and type."""
    told_type = model.parameters.get("model_type", _MODEL_TYPES[Format.XGBOOST_BINARY])
    needed_type = _MODEL_TYPES[file.format]
    if told_type != needed_type:
        yield Fault(
            below(path, "parameters", "model_type"),
            told_type,
            f"{file.name} is {file.format}, and model_type is {told_type}",
            f"Set parameters: {{model_type: {needed_type}}}",
        )
    for field, told, name in (
        ("inputs", model.inputs, INPUT_NAME),
        ("outputs", model.outputs, OUTPUT_NAME),
    ):
        if told and name not in {each.name for each in told}:
            yield Fault(
                f"{path}.{field}",
                told[0].name,
                f"the fil backend calls it {name}, the spec {told[0].name}",
                f"Name it {name}",
            )
    features = file.forest.features if file.forest else None
    for index, tensor in enumerate(model.inputs):
        place = f"{path}.inputs[{index}]"
        if tensor.data_type is not DataType.FP32:
            yield Fault(
                f"{place}.dataType",
                tensor.data_type,
                f"the fil backend takes FP32, the spec says {tensor.data_type}",
                "Set dataType: FP32",
            )
        if features is not None and tensor.dims[-1] not in (-1, features):
            dims = [*tensor.dims[:-1], features]
            yield Fault(
                f"{place}.dims",
                tensor.dims,
                f"input {tensor.name}: the model file has {features} features, the spec says "
                f"{tensor.dims[-1]}",
                f"Set dims: {dims}",
            )
