"""Programs of torch.export: user inputs and outputs, from the JSON of the archive.

Pure. Source of the layout: torch/_export/serde/schema.py and torch/export/pt2_archive of PyTorch.
"""

from trireme.admission.inspection.archive import Archive
from trireme.admission.inspection.bounded_json import Json, member, parse_json
from trireme.admission.inspection.model_file import (
    MOST_DIMS,
    MOST_TENSORS,
    FileTensor,
    Format,
    ModelFile,
    cut,
)
from trireme.api.tensors import DataType
from trireme.errors import InspectionLimit

_OLD_PROGRAM = "serialized_exported_program.json"  # up to torch 2.7, at the archive's root
_MODELS = "models/"

_DATA_TYPES = {
    1: DataType.UINT8,
    2: DataType.INT8,
    3: DataType.INT16,
    4: DataType.INT32,
    5: DataType.INT64,
    6: DataType.FP16,
    7: DataType.FP32,
    8: DataType.FP64,
    12: DataType.BOOL,
    13: DataType.BF16,
    28: DataType.UINT16,
}
"""ScalarType of schema.py, for those that Triton has."""


def program_member(archive: Archive) -> str | None:
    """The member that holds the exported program; None where the archive has none."""
    candidates = [
        name
        for name in sorted(archive.names)
        if name.endswith(".json")
        and (name.rpartition("/")[2] == _OLD_PROGRAM or f"/{_MODELS}" in f"/{name}")
    ]
    return candidates[0] if candidates else None


def read_torch_export(name: str, size_bytes: int, archive: Archive, program: str) -> ModelFile:
    """What an exported program says; raises UnreadableModel where its JSON is broken."""
    parsed = parse_json(archive.read(program))
    signature = member(parsed, "graph_module", "signature")
    values = member(parsed, "graph_module", "graph", "tensor_values")
    version = member(parsed, "torch_version")
    return ModelFile(
        name=name,
        format=Format.TORCH_EXPORT,
        size_bytes=size_bytes,
        producer=cut(f"torch {version}") if isinstance(version, str) else None,
        inputs=_tensors(member(signature, "input_specs"), "user_input", values),
        outputs=_tensors(member(signature, "output_specs"), "user_output", values),
    )


def _tensors(specs: Json, kind: str, values: Json) -> tuple[FileTensor, ...] | None:
    """The user's own among the specs; weights and buffers are others."""
    if not isinstance(specs, list):
        return None
    arguments = [member(spec, kind, "arg") for spec in specs if member(spec, kind) is not None]
    if len(arguments) > MOST_TENSORS:
        raise InspectionLimit(f"it has over {MOST_TENSORS} inputs or outputs")
    return tuple(_tensor(argument, values, kind == "user_input") for argument in arguments)


def _tensor(argument: Json, values: Json, is_input: bool) -> FileTensor:
    """Names of outputs are those of graph nodes, which nobody outside knows: they are left out."""
    name = member(argument, "as_tensor", "name")
    if not isinstance(name, str):
        kind = cut(next(iter(argument), "")) if isinstance(argument, dict) else ""
        return FileTensor(type_name=kind or None, is_tensor=False)
    value = member(values, name)
    number = member(value, "dtype")
    data_type = _DATA_TYPES.get(number) if isinstance(number, int) else None
    return FileTensor(
        name=name[:512] if is_input else None,
        data_type=data_type,
        type_name=None if data_type or number is None else cut(f"type {number}"),
        dims=_dims(member(value, "sizes")),
    )


def _dims(sizes: Json) -> tuple[int, ...] | None:
    """Sizes; -1 where one is an expression of symbols."""
    if not isinstance(sizes, list):
        return None
    if len(sizes) > MOST_DIMS:
        raise InspectionLimit(f"a tensor has over {MOST_DIMS} dimensions")
    fixed = (member(size, "as_int") for size in sizes)
    return tuple(max(-1, size) if isinstance(size, int) else -1 for size in fixed)
