"""TorchScript: the arguments and results of forward(), from the archive's code as text.

Pure. The archive's pickles are never unpickled: of data.pkl only the first name is read, that of
the model's class. Source of the layout: PyTorch's documentation, "TorchScript serialization".
"""

import ast
import re
import textwrap

from trireme.admission.inspection.archive import Archive
from trireme.admission.inspection.model_file import (
    MOST_TENSORS,
    FileTensor,
    Format,
    ModelFile,
    cut,
)
from trireme.errors import InspectionLimit, UnreadableModel

_FIRST_NAME = re.compile(rb"\x80[\x02-\x05](?:\x95.{8})?c([^\n]{1,512})\n([^\n]{1,512})\n", re.S)
"""The head of a pickle whose first part is a class or function: its module and its name."""

_LONGEST_HEADER = 64 * 1024
_TENSOR = "Tensor"

EXPORT_IT = "Export it: torch.jit.script(model).save('model.pt')"


def read_torch_script(name: str, size_bytes: int, archive: Archive, root: str) -> ModelFile:
    """What a TorchScript archive says; `root` is the folder in it that holds all.

    Raises UnreadableModel where it is a pickle, of weights or of a Python object.
    """
    first = _first_name(archive.head(f"{root}/data.pkl", 2048))
    if not any(each.startswith(f"{root}/code/") for each in archive.names):
        raise UnreadableModel(not_torch_script(first), EXPORT_IT)
    signature = _forward(archive, root, first) if first else None
    return ModelFile(
        name=name,
        format=Format.TORCH_SCRIPT,
        size_bytes=size_bytes,
        inputs=_inputs(signature) if signature else None,
        outputs=_outputs(signature) if signature else None,
    )


def _first_name(pickled: bytes) -> str | None:
    """The first name in a pickle, `module.Name`, read and not imported; None where it is none."""
    match = _FIRST_NAME.match(pickled)
    return b".".join(match.groups()).decode("utf-8", "replace") if match else None


def not_torch_script(first: str | None) -> str:
    """What a pickle is instead, by the first name in it."""
    if first is None or first == "collections.OrderedDict":
        return "it is a pickle of weights (a state_dict), not a TorchScript"
    return f"it is a pickled Python object ({cut(first)}), not a TorchScript"


def _forward(archive: Archive, root: str, model_class: str) -> ast.FunctionDef | None:
    """The head of the class's forward(); None where the code has none that can be read."""
    module, _, class_name = model_class.rpartition(".")
    path = f"{root}/code/{module.replace('.', '/')}.py"
    if path not in archive.names:
        return None
    code = archive.read(path).decode("utf-8", "replace")
    body = re.search(rf"^class {re.escape(class_name)}\(.*?(?=^class |\Z)", code, re.M | re.S)
    start = body[0].find("def forward(") if body else -1
    if body is None or start < 0:
        return None
    header = _header(body[0][start : start + _LONGEST_HEADER])
    try:
        parsed = ast.parse(textwrap.dedent(f"{header} pass")).body[0]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return parsed if isinstance(parsed, ast.FunctionDef) else None


def _header(code: str) -> str:
    """A definition up to the colon that ends its head."""
    depth = 0
    for index, character in enumerate(code):
        depth += (character in "([") - (character in ")]")
        if character == ":" and depth == 0:
            return code[: index + 1]
    return code


def _inputs(forward: ast.FunctionDef) -> tuple[FileTensor, ...]:
    """The arguments after self; those with a default may be left out."""
    arguments = forward.args.args[1:]
    first_default = len(arguments) - len(forward.args.defaults)
    if len(arguments) > MOST_TENSORS:
        raise InspectionLimit(f"its forward() takes over {MOST_TENSORS} arguments")
    return tuple(
        _tensor(argument.annotation).model_copy(
            update={"name": argument.arg[:512], "optional": index >= first_default}
        )
        for index, argument in enumerate(arguments)
    )


def _outputs(forward: ast.FunctionDef) -> tuple[FileTensor, ...] | None:
    """One for a tensor, one for each of a tuple's; None for lists and dictionaries."""
    returned = forward.returns
    if _text(returned) == _TENSOR:
        return (FileTensor(),)
    if not isinstance(returned, ast.Subscript) or _text(returned.value) != "Tuple":
        return None
    parts = returned.slice.elts if isinstance(returned.slice, ast.Tuple) else [returned.slice]
    if len(parts) > MOST_TENSORS:
        raise InspectionLimit(f"its forward() returns over {MOST_TENSORS} tensors")
    return tuple(_tensor(part) for part in parts)


def _tensor(annotation: ast.expr | None) -> FileTensor:
    """What an annotation says; a missing one is a tensor in TorchScript."""
    text = _text(annotation)
    if text in ("", _TENSOR):
        return FileTensor()
    return FileTensor(type_name=cut(text), is_tensor=False)


def _text(annotation: ast.expr | None) -> str:
    return ast.unparse(annotation) if annotation is not None else ""
