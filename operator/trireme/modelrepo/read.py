"""Triton's ModelConfig as the values of a spec: the way back of `plan`. Pure.

A field is typed where its typed form gives back the very same protobuf. Where it does not (an empty
message, a value beyond the API's bounds, a field the API does not name) it goes into `config`. So
what is read here is written again as it was, field for field.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from trireme.api.models import Model
from trireme.api.pipelines import Pipeline
from trireme.errors import TriremeError
from trireme.modelrepo.fields import INPUT, MODEL, PIPELINE
from trireme.modelrepo.histogram import read_latency_metrics
from trireme.modelrepo.plan import ENSEMBLE, typed_model_config, typed_pipeline_config
from trireme.modelrepo.proto import ModelConfig, json_format, text_format
from trireme.modelrepo.warmup import read_warmup

Read = TypeVar("Read", bound=BaseModel)

ALWAYS_TYPED = {
    "name": "name",
    "platform": "platform",
    "backend": "backend",
    "max_batch_size": "maxBatchSize",
    "input": "inputs",
    "output": "outputs",
}
"""Fields of ModelConfig that `config` may not hold, and the API's own names for them."""


class UnreadableConfig(TriremeError):
    """A config.pbtxt is no ModelConfig, or holds what the API cannot say; the text says where."""


def parse_config(text: str) -> ModelConfig:
    """Read a config.pbtxt. Raises UnreadableConfig with line and column where it is none."""
    try:
        return text_format.Parse(text, ModelConfig())
    except text_format.ParseError as error:
        raise UnreadableConfig(_with_line(str(error), error.GetLine(), text)) from None
    except UnicodeEncodeError as error:  # half a surrogate pair in an escape
        raise UnreadableConfig(str(error)) from None


def _with_line(message: str, number: int | None, text: str) -> str:
    """The protobuf library's words, and the line that they are about."""
    lines = text.splitlines()
    if number is None or not 1 <= number <= len(lines):
        return message
    return f"line {message}: {lines[number - 1].strip():.80}"


def is_ensemble(config: ModelConfig) -> bool:
    """Whether a configuration is a pipeline's."""
    return config.platform == ENSEMBLE or bool(config.HasField("ensemble_scheduling"))


def read_model(config: ModelConfig, name: str) -> dict[str, Any]:
    """The values of spec.models[] for a model's configuration, as YAML holds them, without source.

    `name` is that of its directory, which counts where the configuration names none. Raises
    UnreadableConfig where the API cannot say it.
    """
    return _read(config, name, Model, _model_values, typed_model_config, MODEL_FIELDS)


def read_pipeline(config: ModelConfig, name: str) -> dict[str, Any]:
    """The values of spec.pipelines[] for an ensemble's configuration; see `read_model`."""
    return _read(config, name, Pipeline, PIPELINE.values, typed_pipeline_config, PIPELINE_FIELDS)


MODEL_FIELDS = {
    **{row.attribute: row.outermost for row in MODEL.rows},
    "warmup": "model_warmup",
    "latency_buckets": "model_metrics",
}
"""The fields of ModelConfig that a model's attributes are written to, the outermost of each."""

PIPELINE_FIELDS = {row.attribute: row.outermost for row in PIPELINE.rows}
"""The same of a pipeline's."""


def _model_values(config: ModelConfig) -> dict[str, Any]:
    inputs = [INPUT.read(tensor) for tensor in config.input]
    return {
        **MODEL.values(config),
        "warmup": [
            read_warmup(index, request, inputs) for index, request in enumerate(config.model_warmup)
        ],
        "latency_buckets": read_latency_metrics(config.model_metrics),
    }


def _read(
    config: ModelConfig,
    name: str,
    api_type: type[Read],
    values: Callable[[ModelConfig], dict[str, Any]],
    typed: Callable[[Read], ModelConfig],
    fields: Mapping[str, str],
) -> dict[str, Any]:
    """Move what does not come back from its typed form into `config`, until all the rest does.

    `fields` maps an attribute of the API's type to the field of ModelConfig it is written to.
    """
    left = ModelConfig()
    left.CopyFrom(config)
    left.name = config.name or name
    free: dict[str, Any] = {} if config.name else {"name": ""}
    while True:
        try:
            read = api_type.model_validate(values(left), by_name=True)
        except ValidationError as error:
            wrong = {_field_of(details, fields) for details in error.errors()}
            if wrong <= free.keys():  # it is wrong without a value, too
                first = error.errors()[0]
                raise UnreadableConfig(f"{_where(first)}: {first['msg']}") from error
        else:
            wrong = _differing(typed(read), left)
        if not wrong - free.keys():
            break
        for field in sorted(wrong):
            free[field] = _free_value(left, field)
            left.ClearField(field)
    told = read.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return {**told, "config": free} if free else told


def _where(details: ErrorDetails) -> str:
    return ".".join(map(str, details["loc"]))


def _field_of(details: ErrorDetails, fields: Mapping[str, str]) -> str:
    where = _where(details)
    of = (field for attribute, field in fields.items() if f"{where}.".startswith(f"{attribute}."))
    field = next(of, None)
    if field is None or field in ALWAYS_TYPED:
        raise UnreadableConfig(f"{where}: {details['msg']}")
    return field


def _differing(first: ModelConfig, second: ModelConfig) -> set[str]:
    """The top-level fields in which two configurations differ."""
    fields = ModelConfig.DESCRIPTOR.fields
    return {each.name for each in fields if _alone(first, each.name) != _alone(second, each.name)}


def _alone(config: ModelConfig, field: str) -> ModelConfig:
    """A configuration of this one field."""
    copied = ModelConfig()
    copied.CopyFrom(config)
    for other, _ in config.ListFields():
        if other.name != field:
            copied.ClearField(other.name)
    return copied


def _free_value(config: ModelConfig, field: str) -> Any:
    """A field as `config` holds it; empty text where the typed fields say more than was there."""
    written = json_format.MessageToDict(_alone(config, field), preserving_proto_field_name=True)
    if field in ALWAYS_TYPED and field in written:
        raise UnreadableConfig(f"{field}: the API cannot say {written[field]}")
    return written.get(field, "")
