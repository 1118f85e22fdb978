"""An inspection as a text that travels: at most 4 KiB, and read back with suspicion."""

import base64
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto

from model_files import BACKENDS, inspected, onnx_file, real
from trireme.admission.inspection.model_file import Finding, Inspection
from trireme.admission.inspection.report import LONGEST_REPORT_BYTES, from_report, to_report
from trireme.errors import UnreadableModel


@pytest.mark.parametrize("name", sorted(BACKENDS))
def test_a_report_is_read_back_as_it_was(name: str) -> None:
    result = inspected(real(name), BACKENDS[name], name)
    assert from_report(to_report(result)) == result


def test_a_long_report_is_compressed() -> None:
    cache = {
        f"past_key_values.{layer}.{part}": (TensorProto.FLOAT16, ["batch", 8, "past", 128])
        for layer in range(64)
        for part in ("key", "value")
    }
    result = inspected(onnx_file(cache, {}), "onnxruntime")
    assert len(result.model_dump_json(exclude_defaults=True)) > LONGEST_REPORT_BYTES
    text = to_report(result)
    assert len(text) <= LONGEST_REPORT_BYTES
    assert from_report(text) == result


def test_a_report_that_is_too_long_even_so_says_that_and_no_more() -> None:
    chance = random.Random(0)
    names = [chance.randbytes(200).hex() for _ in range(60)]
    content = onnx_file({name: (TensorProto.FLOAT, [1]) for name in names}, {})
    text = to_report(inspected(content, "onnxruntime"))
    assert len(text.encode()) <= LONGEST_REPORT_BYTES
    assert from_report(text) == Inspection(
        not_inspected="what the model file says of itself is over 4096 bytes",
        total_bytes=len(content),
    )


def test_findings_too_long_for_a_report_leave_the_size() -> None:
    chance = random.Random(0)
    long = Finding(message=chance.randbytes(4000).hex(), remedy="Shorten it")
    back = from_report(to_report(Inspection(findings=(long,), total_bytes=7)))
    assert (back.findings, back.total_bytes) == ((), 7)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "{",
        '{"unknown": 1}',
        "[" * 100_000,
        "zlib:",
        "zlib:%%%",
        "zlib:AAAA",
        "zlib:" + base64.b64encode(zlib.compress(b" " * 50_000_000)).decode(),
    ],
    ids=["empty", "null", "cut", "unknown", "deep", "nothing", "no base64", "no zlib", "bomb"],
)
def test_a_report_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UnreadableModel):
        from_report(text)


@given(st.text(), st.sampled_from(["", "zlib:"]))
def test_any_text_is_read_or_refused(text: str, prefix: str) -> None:
    with pytest.raises(UnreadableModel):
        from_report(prefix + "x" + text)
