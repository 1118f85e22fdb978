"""model.py of Triton's python backend: parsed, never run.

Pure. What `auto_complete_config` declares is taken only where it is written out as literals.
"""

import ast
import platform
import re
import warnings
from collections import deque
from collections.abc import Iterator

from trireme.admission.inspection.model_file import (
    MOST_DIMS,
    MOST_NAMES,
    MOST_TENSORS,
    FileTensor,
    Format,
    ModelFile,
    PythonFacts,
    cut,
)
from trireme.admission.inspection.reader import BoundedReader
from trireme.api.tensors import DataType
from trireme.errors import InspectionLimit, UnreadableModel

MODEL_CLASS = "TritonPythonModel"

PYTHON_VERSION = ".".join(platform.python_version_tuple()[:2])
"""The Python that parses here; the server's may be newer."""

_LARGEST_BYTES = 1024 * 1024
_MOST_TOKENS = 200_000
"""Parsed, two tokens take up to 1.3 kB of memory, so that these are 130 MB."""

_TOKEN = re.compile(rb"\w+|[^\w\s]")

_DECLARE = "auto_complete_config"
_DATA_TYPES = {f"TYPE_{data_type}": data_type for data_type in DataType}


def read_python_model(name: str, reader: BoundedReader) -> ModelFile:
    """What a model.py says; raises UnreadableModel where it cannot be parsed."""
    if reader.size > _LARGEST_BYTES:
        raise InspectionLimit(f"it is over {_LARGEST_BYTES} bytes")
    source = reader.read(0, reader.size)
    if sum(1 for _ in _TOKEN.finditer(source)) > _MOST_TOKENS:
        raise InspectionLimit(f"it has over {_MOST_TOKENS} words and signs")
    module = _parse(source)
    model = next(_classes(module), None)
    methods = {each.name: each for each in _functions(model)} if model else {}
    declared = _Declared(methods[_DECLARE]) if _DECLARE in methods else None
    return ModelFile(
        name=name,
        format=Format.PYTHON,
        size_bytes=reader.size,
        inputs=declared.tensors("add_input") if declared else None,
        outputs=declared.tensors("add_output") if declared else None,
        python=PythonFacts(
            has_class=model is not None or _is_imported(module),
            methods=tuple(each[:512] for each in methods)[:MOST_NAMES]
            if model and not model.bases
            else None,
        ),
    )


def _parse(source: bytes) -> ast.Module:
    try:
        with warnings.catch_warnings(action="ignore"):  # an odd escape is no concern of ours
            return ast.parse(source)
    except SyntaxError as error:
        reason = f"line {error.lineno}: {error.msg}" if error.lineno else error.msg
    except (ValueError, RecursionError, MemoryError) as error:
        reason = str(error) or "it is nested too deeply"
    raise UnreadableModel(
        f"Python {PYTHON_VERSION} cannot read it: {cut(reason)}",
        "Correct the file, unless it is written for a newer Python that the server has",
        is_doubtful=True,
    )


def _statements(module: ast.Module) -> Iterator[ast.AST]:
    """All of them, also those within others; no expression holds one, and most nodes are such."""
    waiting = deque[ast.AST]([module])
    while waiting:
        each = waiting.popleft()
        yield each
        waiting.extend(
            child
            for child in ast.iter_child_nodes(each)
            if isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case)
        )


def _classes(module: ast.Module) -> Iterator[ast.ClassDef]:
    """The model's class, also where it is defined under a condition."""
    for each in _statements(module):
        if isinstance(each, ast.ClassDef) and each.name == MODEL_CLASS:
            yield each


def _is_imported(module: ast.Module) -> bool:
    """Whether the class may come from another module."""
    return any(
        alias.name in ("*", MODEL_CLASS) or alias.asname == MODEL_CLASS
        for each in _statements(module)
        if isinstance(each, ast.ImportFrom)
        for alias in each.names
    )


def _functions(model: ast.ClassDef) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for each in model.body:
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
            yield each


class _Declared:
    """What `auto_complete_config` adds to the configuration, where it is literal.

    A name counts where the function gives it one literal value, or runs it over a list of those.
    """

    def __init__(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._values: dict[str, list[object]] = {}
        self._calls: dict[str, list[ast.expr]] = {}
        nodes = list(ast.walk(function))
        for node in nodes:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                self._assign(node.targets[0].id, _literal(node.value))
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
                self._calls.setdefault(node.func.attr, []).append(node.args[0])
        for node in nodes:
            if isinstance(node, ast.For) and isinstance(node.target, ast.Name):
                for value in self._resolve(node.iter):
                    for item in value if isinstance(value, list | tuple) else [None]:
                        self._assign(node.target.id, item)

    def tensors(self, method: str) -> tuple[FileTensor, ...] | None:
        """The tensors that `add_input` or `add_output` adds; None where one is not literal."""
        values = [value for call in self._calls.get(method, []) for value in self._resolve(call)]
        tensors = [self._tensor(value) for value in values]
        if not tensors or len(tensors) > MOST_TENSORS or None in tensors:
            return None
        return tuple(tensor for tensor in tensors if tensor is not None)

    def _tensor(self, value: object) -> FileTensor | None:
        if not isinstance(value, dict):
            return None
        name, data_type, dims = (value.get(key) for key in ("name", "data_type", "dims"))
        if not (isinstance(name, str) and isinstance(dims, list | tuple)):
            return None
        if len(dims) > MOST_DIMS or not all(isinstance(size, int) for size in dims):
            return None
        known = _DATA_TYPES.get(data_type) if isinstance(data_type, str) else None
        return FileTensor(
            name=name[:512],
            data_type=known,
            dims=tuple(dims),
            optional=value.get("optional") is True,
        )

    def _assign(self, name: str, value: object) -> None:
        self._values.setdefault(name, []).append(value)

    def _resolve(self, expression: ast.expr) -> list[object]:
        if isinstance(expression, ast.Name):
            return self._values.get(expression.id, [None])
        return [_literal(expression)]


def _literal(expression: ast.expr) -> object:
    """The value of a literal; None where it is none."""
    try:
        value: object = ast.literal_eval(expression)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
    return value
