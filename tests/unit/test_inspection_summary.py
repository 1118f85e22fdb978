"""One line for people of what a model file says."""

import pytest

from model_files import inspected, onnx_encoder, real
from trireme.admission.inspection.model_file import FileTensor, Format, Inspection, ModelFile
from trireme.admission.inspection.summary import LONGEST_SUMMARY, summary


@pytest.mark.parametrize(
    ("inspection", "line"),
    [
        pytest.param(
            inspected(onnx_encoder(ir_version=9), "onnxruntime").model_copy(
                update={"total_bytes": 412_000_000}
            ),
            "ONNX, IR 9, opset 17, 412.0 MB: input_ids INT64[-1,-1], attention_mask INT64[-1,-1] "
            "→ embedding FP32[-1,384]",
            id="ONNX",
        ),
        pytest.param(
            Inspection(total_bytes=7_400_000_000, not_inspected="model.zip is an archive"),
            "not inspected, 7.4 GB: model.zip is an archive",
            id="what could not be inspected",
        ),
        pytest.param(
            inspected(b"<html>", "onnxruntime"),
            "not inspected, 6 B: model is not what backend onnxruntime loads: it is a web page, "
            "probably of an error or a login",
            id="what is no model",
        ),
        pytest.param(
            inspected(real("xgboost.json"), "fil", "xgboost.json"),
            "XGBoost JSON, 4 features, 5.2 kB: input__0 FP32[-1,4] → output__0 FP32",
            id="a forest",
        ),
    ],
)
def test_a_summary_is_one_line(inspection: Inspection, line: str) -> None:
    assert summary(inspection) == line


def test_a_summary_is_short_whatever_the_file_holds() -> None:
    tensors = tuple(FileTensor(name="n" * 500, dims=(-1,) * 64) for _ in range(1000))
    file = ModelFile(
        name="model.onnx", format=Format.ONNX, size_bytes=1, inputs=tensors, outputs=tensors
    )
    assert len(summary(Inspection(file=file, total_bytes=1))) <= LONGEST_SUMMARY
