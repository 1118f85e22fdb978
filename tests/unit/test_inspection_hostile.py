"""Files that nobody vouches for: none runs code, costs without bound, or ends an inspection."""

import ast
import io
import json
import pickle
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto

import trireme.admission.inspection as package
from model_files import BACKENDS, CountingReader, inspected, onnx_encoder, onnx_file, real
from trireme.admission.inspection.compare import compare
from trireme.admission.inspection.complete import complete
from trireme.admission.inspection.directory import inspect
from trireme.admission.inspection.model_file import Inspection
from trireme.admission.inspection.reader import Limits
from trireme.admission.inspection.report import LONGEST_REPORT_BYTES, to_report
from trireme.api.models import Model
from trireme.api.releases import Release

LIMITS = Limits()
SPEC = Model.model_validate(
    {
        "name": "model",
        "source": {"configMap": "model"},
        "backend": "onnxruntime",
        "inputs": [{"name": "input_ids", "dataType": "INT64", "dims": [-1, 3]}],
        "outputs": [{"name": "output__1", "dataType": "FP32", "dims": [4]}],
    }
)

CONTENTS = {name: real(name) for name in BACKENDS} | {
    "model.onnx": onnx_encoder(),
    "model.plan": b"ftrt" + bytes(20) + bytes([10, 3, 0, 26]) + bytes(100),
    "model.py": b"class TritonPythonModel:\n    def execute(self, requests):\n        return []\n",
    "weights.pt": real("weights.pt"),
    "pickled_module.pt": real("pickled_module.pt"),
}
BACKEND_OF = BACKENDS | {
    "model.onnx": "onnxruntime",
    "model.plan": "tensorrt",
    "model.py": "python",
    "weights.pt": "pytorch",
    "pickled_module.pt": "pytorch",
}


def inspect_counted(content: bytes, backend: str, name: str = "model") -> Inspection:
    """Whatever the file, an Inspection comes out, and no more is read than is allowed.

    It can be reported, held against a spec, and completes one, or says why not.
    """
    reader = CountingReader(content)
    result = inspect({name: reader}, backend, name)
    assert reader.bytes_read <= LIMITS.fetched_bytes
    assert reader.reads <= LIMITS.fetches
    assert (result.file is None) == bool(
        [each for each in result.findings if "loads:" in each.message] or result.not_inspected
    )
    assert len(to_report(result).encode()) <= LONGEST_REPORT_BYTES
    for max_batch_size in (0, 8):
        spec = SPEC.model_copy(update={"backend": backend, "max_batch_size": max_batch_size})
        said = compare(spec, result, "spec.models[0]", Release(24, 4))
        left_out = spec.model_copy(update={"inputs": [], "outputs": []})
        filled = complete(left_out, result.file, "spec.models[0]")
        for fault in (*said.faults, *said.warnings, *filled.faults):
            assert len(str(fault)) < 4096
    return result


@given(st.sampled_from(sorted(CONTENTS)), st.data())
def test_a_file_that_is_cut_short_is_told_or_read(name: str, data: st.DataObject) -> None:
    content = CONTENTS[name]
    length = data.draw(st.integers(0, len(content) - 1))
    inspect_counted(content[:length], BACKEND_OF[name], name)


@settings(max_examples=400)
@given(st.sampled_from(sorted(CONTENTS)), st.data())
def test_a_file_with_wrong_bytes_is_told_or_read(name: str, data: st.DataObject) -> None:
    content = bytearray(CONTENTS[name])
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    inspect_counted(bytes(content), BACKEND_OF[name], name)


@settings(max_examples=200)
@given(st.sampled_from(sorted(CONTENTS)), st.sampled_from(sorted(CONTENTS)), st.data())
def test_parts_of_files_put_together_are_told_or_read(
    name: str, other: str, data: st.DataObject
) -> None:
    first, second = CONTENTS[name], CONTENTS[other]
    at = data.draw(st.integers(0, len(first)))
    start = data.draw(st.integers(0, len(second)))
    inspect_counted(first[:at] + second[start:], BACKEND_OF[name], name)


@given(st.binary(max_size=2000), st.sampled_from(sorted(set(BACKEND_OF.values()))))
def test_any_bytes_are_told_or_read(content: bytes, backend: str) -> None:
    inspect_counted(content, backend)


def nested_protobuf(field: int, depth: int) -> bytes:
    content = b""
    for _ in range(depth):
        content = bytes([field << 3 | 2]) + varint(len(content)) + content
    return content


def varint(number: int) -> bytes:
    content = bytearray()
    while number >= 0x80:
        content.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*content, number])


def archive(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in members.items():
            made.writestr(name, content)
    return buffer.getvalue()


def exported(program: bytes) -> bytes:
    return archive({"x/models/model.json": program})


ENTITIES = (
    b'<?xml version="1.0"?><!DOCTYPE net [<!ENTITY a "aaaaaaaaaa">'
    + b"".join(f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">'.encode() for i in range(9))
    + b"]><net>&j;</net>"
)
EXTERNAL_ENTITY = (
    b'<?xml version="1.0"?><!DOCTYPE net [<!ENTITY a SYSTEM "file:///etc/passwd">]><net>&a;</net>'
)

BOMBS = {
    "protobuf nested 20,000 deep": ("onnxruntime", nested_protobuf(7, 20_000)),
    "protobuf that promises 2^62 bytes": ("onnxruntime", b"\x08\x08\x3a" + varint(1 << 62)),
    "graph of empty inputs": (
        "onnxruntime",
        b"\x08\x08\x3a" + varint(4_000_000) + b"\x5a\x00" * 2_000_000,
    ),
    "tensor of a million dimensions": (
        "onnxruntime",
        b"\x08\x08\x3a"
        + (
            lambda dims: (
                (shape := b"\x12" + varint(len(dims)) + dims)
                and (kind := b"\x0a" + varint(len(shape)) + shape)
                and (info := b"\x12" + varint(len(kind)) + kind)
                and (value := b"\x5a" + varint(len(info)) + info)
                and varint(len(value)) + value
            )
        )(b"\x0a\x00" * 1_000_000),
    ),
    "zip bomb": (
        "pytorch",
        archive(
            {
                "m/data.pkl": b"\x80\x02c__torch__\nNet\n.",
                "m/code/__torch__.py": b"class Net(Module):\n" + b" " * 20_000_000,
            }
        ),
    ),
    "json of a million lists": ("pytorch", exported(b"[" + b"[]," * 2_000_000 + b"0]")),
    "json nested deeply": ("pytorch", exported(b"[" * 500_000)),
    "python of many dimensions": (
        "python",
        b"class TritonPythonModel:\n    def auto_complete_config(c):\n"
        b"        c.add_input({'name': 'x', 'data_type': 'TYPE_FP32', 'dims': ["
        + b"1," * 50_000
        + b"]})\n",
    ),
    "json of a tensor of many dimensions": (
        "pytorch",
        exported(
            b'{"graph_module": {"signature": {"input_specs": [{"user_input": {"arg": '
            b'{"as_tensor": {"name": "x"}}}}]}, "graph": {"tensor_values": {"x": {"sizes": ['
            + b"0," * 100_000
            + b"0]}}}}}"
        ),
    ),
    "json with a huge number": ("pytorch", exported(b"9" * 1_000_000)),
    "xml of entities": ("openvino", ENTITIES),
    "xml with an external entity": ("openvino", EXTERNAL_ENTITY),
    "xml nested deeply": ("openvino", b"<net>" + b"<a>" * 1_000_000),
    "xml of one long tag": ("openvino", b"<net " + b"a" * 8_000_000),
    "xml of a million edges": (
        "openvino",
        b"<net><edges>" + b'<edge to-layer="1"/>' * 200_000,
    ),
    "xml in an unknown encoding": ("openvino", b'<?xml version="1.0" encoding="pig"?><net/>'),
    "python nested deeply": ("python", b"(" * 100_000),
    "python of many signs": ("python", b"x = " + b"-" * 190_000 + b"1"),
    "python of a long sum": ("python", b"x = " + b"1+" * 99_000 + b"1"),
    "python of a long path": ("python", b"x = a" + b".a" * 99_000),
    "python of many names": ("python", b"a," * 99_000),
    "python of too many names": ("python", b"a," * 250_000),
    "python of long calls": ("python", b"x = a" + b"()" * 99_000),
    "lightgbm of one line": ("fil", b"tree\n" + b"=" * 10_000_000),
    "xgboost of braces": ("fil", b"{" * 10_000_000),
}


@pytest.mark.parametrize("name", sorted(BOMBS))
def test_a_bomb_ends_early_within_its_memory(name: str) -> None:
    backend, content = BOMBS[name]
    tracemalloc.start()
    try:
        inspect_counted(content, backend)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 160 * 1024 * 1024


def test_a_file_of_endless_small_pieces_ends_after_so_many_steps() -> None:
    result = inspect_counted(b"\x08\x08" + b"\x12\x00" * 1_000_000, "onnxruntime")
    assert result.not_inspected is not None
    assert "over 1000000 pieces" in result.not_inspected


def test_names_as_long_and_as_many_as_a_file_may_have_keep_messages_short() -> None:
    names = [f"{index} {'x' * 5000}" for index in range(1000)]
    tensors = {name: (TensorProto.FLOAT, ["n"] * 60) for name in names}
    inspect_counted(onnx_file(tensors, tensors), "onnxruntime")


class Armed:
    """Unpickled, it would end the test run."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (SystemExit, ("a pickle ran",))


def test_a_pickle_is_never_unpickled() -> None:
    armed = pickle.dumps(Armed(), protocol=2)
    for members in (
        {"m/data.pkl": armed},
        {"m/data.pkl": armed, "m/code/__torch__.py": b"", "m/constants.pkl": armed},
    ):
        inspect_counted(archive(members), "pytorch")
    inspect_counted(armed, "pytorch")


def test_the_package_neither_unpickles_nor_runs_what_it_reads() -> None:
    forbidden_modules = {"pickle", "pickletools", "marshal", "shelve", "importlib", "subprocess"}
    forbidden_calls = {"eval", "exec", "compile", "__import__"}
    files = sorted(Path(str(package.__file__)).parent.rglob("*.py"))
    assert len(files) > 10
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert not {alias.name.split(".")[0] for alias in node.names} & forbidden_modules
            elif isinstance(node, ast.ImportFrom):
                assert (node.module or "").split(".")[0] not in forbidden_modules
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in forbidden_calls


def test_what_is_too_large_is_no_fault() -> None:
    limits = Limits(fetched_bytes=8_000)
    content = onnx_encoder()[:-1] + b"\x12\x00" * 20_000
    result = inspected(content, "onnxruntime", "model.onnx", limits)
    assert result.findings == ()
    assert result.not_inspected is not None
    assert result.not_inspected.startswith("model.onnx was not inspected: its structure takes")


def test_an_exported_program_with_wrong_types_is_told_or_read() -> None:
    program = json.loads(
        zipfile.ZipFile(io.BytesIO(real("exported.pt2"))).read("exported/models/model.json")
    )
    for wrong in (None, 1, "text", [], {}, [[]], [None], {"user_input": 1}):
        for path in (
            ["graph_module"],
            ["graph_module", "graph"],
            ["graph_module", "graph", "tensor_values"],
            ["graph_module", "graph", "tensor_values", "features"],
            ["graph_module", "graph", "tensor_values", "features", "sizes"],
            ["graph_module", "graph", "tensor_values", "features", "dtype"],
            ["graph_module", "signature"],
            ["graph_module", "signature", "input_specs"],
            ["torch_version"],
        ):
            changed = json.loads(json.dumps(program))
            place = changed
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = wrong
            inspect_counted(exported(json.dumps(changed).encode()), "pytorch")
