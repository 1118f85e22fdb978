"""Which backend executes a model, as Triton takes it from the configuration and the files."""

from typing import Any

import pytest

from trireme.api.models import Model
from trireme.api.sources import Source
from trireme.modelrepo.backends import backend_of, file_of, likely_backend, loaded_files


def model(**fields: Any) -> Model:
    return Model.model_validate({"name": "m", "source": {"configMap": "files"}, **fields})


@pytest.mark.parametrize(
    ("fields", "files", "backend"),
    [
        ({"backend": "fil"}, ["model.onnx"], "fil"),
        ({"platform": "onnxruntime_onnx"}, [], "onnxruntime"),
        ({"platform": "tensorflow_savedmodel"}, [], "tensorflow"),
        ({"platform": "torch_aoti"}, [], "pytorch"),
        ({"platform": "onnx"}, [], ""),
        ({}, ["a.bin", "model.py"], "python"),
        ({}, ["model.pt2"], "pytorch"),
        ({}, ["model.graphdef"], "tensorflow"),
        ({}, ["diabetes.onnx"], ""),
        ({"config": {"default_model_filename": "model.plan"}}, [], "tensorrt"),
        ({"config": {"default_model_filename": "a.bin"}}, ["model.py"], ""),
        ({"config": {"default_model_filename": 4}}, ["model.py"], "python"),
        ({"source": {"uri": "s3://models/m/model.xml"}}, [], "openvino"),
        ({"source": {"uri": "s3://models/m/"}}, [], ""),
        (
            {
                "source": None,
                "versions": [
                    {"version": 1, "source": {"uri": "s3://models/1/"}},
                    {"version": 2, "source": {"uri": "s3://models/2/model.py"}},
                ],
            },
            [],
            "python",
        ),
    ],
)
def test_a_backend_is_said_or_known_by_a_file(
    fields: dict[str, Any], files: list[str], backend: str
) -> None:
    assert backend_of(model(**fields), files) == backend


@pytest.mark.parametrize(
    ("uri", "file"),
    [
        ("s3://models/encoder/model.onnx", "model.onnx"),
        ("https://models.example/a/model.pt?download=1", "model.pt"),
        ("hf://team/model@main/onnx/model.onnx", "model.onnx"),
        ("pvc://models/model.plan", "model.plan"),
        ("hf://team/model@main", ""),
        ("oci://registry.example/models/encoder:3", ""),
        ("s3://models/encoder/", ""),
        ("s3://models/encoder.tar.gz", ""),
        ("pvc://models", ""),
    ],
)
def test_a_uri_names_a_file_or_not(uri: str, file: str) -> None:
    assert file_of(Source(uri=uri)) == file


@pytest.mark.parametrize(
    ("fields", "files"),
    [
        ({"backend": "python"}, ("model.py",)),
        ({"platform": "pytorch_libtorch"}, ("model.pt",)),
        ({"platform": "torch_aoti"}, ("model.pt2",)),
        ({"backend": "tensorflow"}, ("model.savedmodel", "model.graphdef")),
        ({"platform": "tensorflow_graphdef"}, ("model.graphdef",)),
        ({"backend": "tensorflow", "platform": "tensorflow_savedmodel"}, ("model.savedmodel",)),
        ({"backend": "python", "config": {"default_model_filename": "a.py"}}, ("a.py",)),
        ({"backend": "vllm"}, ()),
    ],
)
def test_a_backend_loads_files_of_these_names(fields: dict[str, Any], files: tuple[str]) -> None:
    assert loaded_files(model(**fields)) == files


def test_a_files_ending_is_a_hint() -> None:
    assert likely_backend(["README", "diabetes.onnx"]) == "onnxruntime"
    assert likely_backend(["README", "weights.bin"]) == ""
