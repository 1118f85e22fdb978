"""A version directory: which of its files the backend loads, and what that file says. Pure."""

import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping

from trireme.admission.inspection.archive import ZIP_TAG
from trireme.admission.inspection.formats.forests import read_forest
from trireme.admission.inspection.formats.onnx import read_onnx
from trireme.admission.inspection.formats.openvino import read_openvino
from trireme.admission.inspection.formats.python_model import read_python_model
from trireme.admission.inspection.formats.saved_model import read_saved_model
from trireme.admission.inspection.formats.tensorrt import TAG as PLAN_TAG
from trireme.admission.inspection.formats.tensorrt import read_tensorrt
from trireme.admission.inspection.formats.torch_file import LEGACY_TAG, read_torch
from trireme.admission.inspection.model_file import (
    Finding,
    Format,
    Inspection,
    ModelFile,
    cut,
)
from trireme.admission.inspection.reader import BoundedReader, Budget, Limits, Reader
from trireme.admission.inspection.recognise import refuse_what_is_no_model
from trireme.admission.words import some
from trireme.errors import InspectionLimit, UnreadableModel
from trireme.modelrepo.backends import CANONICAL_FILES

Read = Callable[[str, BoundedReader], ModelFile]

_READ: Mapping[str, Read] = {
    "python": read_python_model,
    "onnxruntime": read_onnx,
    "pytorch": read_torch,
    "tensorrt": read_tensorrt,
    "openvino": read_openvino,
    "tensorflow": read_saved_model,
    "fil": read_forest,
}
_BY_ENDING: Mapping[str, Read] = {".onnx": read_onnx}
"""What the openvino backend also loads."""

_IN_FOLDER = {"onnxruntime": "model.onnx", "tensorflow": "saved_model.pb"}
"""Where the model's file is a folder (weights beside it): the file in it."""

_TAGS = {
    PLAN_TAG: ("a TensorRT plan", "tensorrt"),
    ZIP_TAG: ("an archive, such as torch writes", "pytorch"),
    LEGACY_TAG: ("a pickle that torch wrote", "pytorch"),
    b"<?xml": ("XML, such as an OpenVINO IR", "openvino"),
    b"tree\nversion": ("a LightGBM model", "fil"),
}
"""Formats that their first bytes tell, each with the backend that loads it."""


def inspect(
    files: Mapping[str, Reader],
    backend: str,
    default_model_filename: str | None = None,
    limits: Limits | None = None,
) -> Inspection:
    """What the model file of a version directory says of itself.

    `files` maps a path below the version directory to its reader. What a reader itself raises is
    passed on; everything that is wrong with a file is in the result.
    """
    total = sum(reader.size for reader in files.values())
    if backend not in _READ:
        why = f"files of backend {backend} are of no format known here"
        return Inspection(
            total_bytes=total,
            not_inspected=why if backend else "nothing says which backend loads it",
        )
    name = _model_file(files, backend, default_model_filename)
    if name is None:
        missing = _missing(files, backend, default_model_filename)
        return Inspection(total_bytes=total, findings=(missing,))
    reader = BoundedReader(files[name], Budget(limits or Limits()))
    try:
        if name.endswith(".graphdef"):
            raise InspectionLimit("a GraphDef does not say which of its nodes are the inputs")
        file = _read(name, reader, backend)
    except UnreadableModel as error:
        return Inspection(
            total_bytes=total,
            findings=(
                Finding(
                    message=f"{name} is not what backend {backend} loads: {error.message}",
                    remedy=error.remedy,
                    is_warning=error.is_doubtful,
                ),
            ),
        )
    except InspectionLimit as error:
        return Inspection(total_bytes=total, not_inspected=f"{name} was not inspected: {error}")
    return Inspection(file=file, total_bytes=total, findings=tuple(_absent_data(file, files)))


def _read(name: str, reader: BoundedReader, backend: str) -> ModelFile:
    refuse_what_is_no_model(reader)
    read = _READ[backend]
    if backend == "openvino":
        read = next((each for end, each in _BY_ENDING.items() if name.endswith(end)), read)
    try:
        return read(name, reader)
    except UnreadableModel as error:
        what, other = _another_format(name, reader)
        if other in (None, backend):
            raise
        remedy = f"Set backend: {other}, or name the right file"
        raise UnreadableModel(f"it is {what}", remedy) from error


def _another_format(name: str, reader: BoundedReader) -> tuple[str, str | None]:
    """What a file is that is not of its backend's format, and the backend that loads it, if any."""
    head = reader.head(16)
    for tag, found in _TAGS.items():
        if head.startswith(tag):
            return found
    try:
        read_onnx(name, reader)
    except (UnreadableModel, InspectionLimit):
        return "", None
    return "an ONNX model", "onnxruntime"


def _model_file(
    files: Mapping[str, Reader], backend: str, default_model_filename: str | None
) -> str | None:
    """The path of the file to read; None where it is not there."""
    wanted = (default_model_filename,) if default_model_filename else CANONICAL_FILES[backend]
    for name in wanted:
        if name in files:
            return name
        inner = f"{name}/{_IN_FOLDER.get(backend, '')}"
        if inner in files:
            return inner
    return None


def _missing(
    files: Mapping[str, Reader], backend: str, default_model_filename: str | None
) -> Finding:
    wanted = default_model_filename or " or ".join(CANONICAL_FILES[backend])
    first = default_model_filename or CANONICAL_FILES[backend][0]
    ending = first[first.rfind(".") :]
    alike = [name for name in sorted(files) if name.endswith(ending) and "/" not in name]
    below = [name for name in sorted(files) if name.partition("/")[2] == first]
    if below:
        folder = below[0].partition("/")[0]
        remedy = f"Name the version's own folder, {folder}, as the source"
    elif len(alike) == 1:
        remedy = f"Name it {first}, or set config.default_model_filename: {alike[0]}"
    else:
        remedy = f"Name the file {first}, or set config.default_model_filename"
    return Finding(
        message=f"backend {backend} loads {wanted}, but the version directory holds "
        f"{some(cut(name) for name in sorted(files))}",
        remedy=remedy,
    )


def _absent_data(file: ModelFile, files: Iterable[str]) -> Iterator[Finding]:
    """Files beside the model's own that hold its weights, and are not there.

    An OpenVINO graph without any constant has none, hence a warning.
    """
    folder = file.name.rpartition("/")[0]
    present = set(files)
    weights = f"{file.name.removesuffix('.xml')}.bin"
    if file.format is Format.OPENVINO and weights not in present:
        yield Finding(
            message=f"{file.name} keeps its weights in {weights}, which is not beside it",
            remedy=f"Copy {weights} too",
            is_warning=True,
        )
    absent = [
        location
        for location in (file.onnx.external_data if file.onnx else ())
        if posixpath.normpath(posixpath.join(folder, location)) not in present
    ]
    if absent:
        yield Finding(
            message=f"{file.name} keeps weights in {some(map(cut, absent))}, not there beside it",
            remedy="Copy what is missing, under the same name, or save the model as one file",
        )
