"""Forests of decision trees, for Triton's fil backend: how many features and classes. Pure.

XGBoost writes its few parameters after its trees, so they are read from the file's end. Sources:
XGBoost's documentation, "Introduction to Model IO"; the head of LightGBM's model text.
"""

import json
import re

from trireme.admission.inspection.model_file import (
    FileTensor,
    ForestFacts,
    Format,
    ModelFile,
    cut,
)
from trireme.admission.inspection.reader import BoundedReader
from trireme.api.tensors import DataType
from trireme.errors import UnreadableModel

XGBOOST_BINARY_TAG = b"binf"
LIGHTGBM_TAG = b"tree\n"

INPUT_NAME, OUTPUT_NAME = "input__0", "output__0"
"""What the fil backend calls its tensors, whatever the file."""

_TAIL_BYTES = 64 * 1024
_HEAD_BYTES = 64 * 1024
_JSON_PARAMETERS = re.compile(rb'"learner_model_param"\s*:\s*(\{[^{}]*\})')
_UBJSON_PARAMETERS = re.compile(rb"learner_model_param\{([^{}]*)\}")
_UBJSON_NUMBER = re.compile(rb"(num_class|num_feature|num_target)SL.{8}(\d{1,18})", re.S)
_EXPORT_AGAIN = "Save the model again, or name the right file"


def read_forest(name: str, reader: BoundedReader) -> ModelFile:
    """What a forest's file says; raises UnreadableModel where it is of no kind known here."""
    head = reader.head(_HEAD_BYTES)
    if head.startswith(LIGHTGBM_TAG):
        return _forest(name, reader, Format.LIGHTGBM, _lightgbm(head))
    if head.startswith(XGBOOST_BINARY_TAG):
        return _forest(name, reader, Format.XGBOOST_BINARY, ForestFacts())
    if head.startswith(b"{L\0\0\0\0\0\0\0"):
        return _forest(name, reader, Format.XGBOOST_UBJSON, _xgboost_ubjson(reader))
    if head.lstrip().startswith(b"{"):
        return _forest(name, reader, Format.XGBOOST_JSON, _xgboost_json(reader))
    if name.endswith(".tl"):
        return _forest(name, reader, Format.TREELITE, ForestFacts())
    raise UnreadableModel(
        "it is no forest of a format that Triton's fil backend reads", _EXPORT_AGAIN
    )


def _forest(name: str, reader: BoundedReader, kind: Format, facts: ForestFacts) -> ModelFile:
    dims = (-1, facts.features) if facts.features is not None else None
    return ModelFile(
        name=name,
        format=kind,
        size_bytes=reader.size,
        inputs=(FileTensor(name=INPUT_NAME, data_type=DataType.FP32, dims=dims),),
        outputs=(FileTensor(name=OUTPUT_NAME, data_type=DataType.FP32),),
        forest=facts,
    )


def _lightgbm(head: bytes) -> ForestFacts:
    """From the head, which ends at the first empty line."""
    lines = head.split(b"\n\n")[0].decode("utf-8", "replace").splitlines()
    values = dict(line.split("=", 1) for line in lines if "=" in line)
    largest = _number(values.get("max_feature_idx"))
    return ForestFacts(
        features=None if largest is None else largest + 1, classes=_number(values.get("num_class"))
    )


def _xgboost_json(reader: BoundedReader) -> ForestFacts:
    found = _JSON_PARAMETERS.findall(reader.tail(_TAIL_BYTES))
    if not found:
        raise UnreadableModel(
            "it is JSON, but no XGBoost model: it has no learner_model_param near its end",
            _EXPORT_AGAIN,
        )
    try:
        values = json.loads(found[-1])
    except (ValueError, RecursionError) as error:
        raise UnreadableModel(
            f"its parameters cannot be read: {cut(str(error))}", _EXPORT_AGAIN
        ) from error
    return _facts({key: str(value) for key, value in values.items()})


def _xgboost_ubjson(reader: BoundedReader) -> ForestFacts:
    """Keys and texts in UBJSON are a length of eight bytes, then the characters."""
    found = _UBJSON_PARAMETERS.findall(reader.tail(_TAIL_BYTES))
    if not found:
        raise UnreadableModel(
            "it is UBJSON, but no XGBoost model: it has no learner_model_param near its end",
            _EXPORT_AGAIN,
        )
    pairs = _UBJSON_NUMBER.findall(found[-1])
    return _facts({key.decode(): value.decode() for key, value in pairs})


def _facts(values: dict[str, str]) -> ForestFacts:
    """XGBoost counts no classes (0) for a regression and for two classes."""
    classes = _number(values.get("num_class"))
    is_single = _number(values.get("num_target")) in (None, 0, 1)
    return ForestFacts(
        features=_number(values.get("num_feature")),
        classes=max(1, classes) if classes is not None and is_single else None,
    )


def _number(text: str | None) -> int | None:
    text = cut(text or "")
    return int(text) if text.isdecimal() and len(text) < 19 else None
