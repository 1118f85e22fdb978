"""The two spellings of ModelConfig in a spec, its typed fields and `config`, judged as one. Pure.

A model is read again from what it renders, as an import does, so that what `config` says is typed
wherever a typed field can say it. Every rule of typed fields then holds for both spellings, and for
one part typed and the other in `config`; what it finds is led back to where it was written.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pydantic.alias_generators import to_camel

from trireme.admission.places import Owner
from trireme.admission.words import below
from trireme.api.agent import AgentSpec
from trireme.api.models import Model
from trireme.api.pipelines import Pipeline
from trireme.errors import Fault
from trireme.modelrepo.codec import Codec
from trireme.modelrepo.fields import MODEL, PIPELINE
from trireme.modelrepo.plan import (
    model_config,
    pipeline_config,
    typed_model_config,
    typed_pipeline_config,
)
from trireme.modelrepo.proto import json_format
from trireme.modelrepo.read import (
    ALWAYS_TYPED,
    MODEL_FIELDS,
    PIPELINE_FIELDS,
    UnreadableConfig,
    read_model,
    read_pipeline,
)

Some = TypeVar("Some", Model, Pipeline)

_PLACE = re.compile(r"spec\.(models|pipelines)\[(\d+)\]\.([\w.\[\]-]*[\w\]])")
_PART = re.compile(r"([^.\[\]]+)|\[([^\]]*)\]")
_CAMEL = re.compile(r"\b[a-z]+[A-Z]\w*")


@dataclass(frozen=True, slots=True)
class Reading:
    """A spec as it was written, and as rules of typed fields read it."""

    written: AgentSpec
    typed: AgentSpec

    @classmethod
    def of(cls, spec: AgentSpec, faults: Sequence[Fault]) -> "Reading":
        """`faults` are those of `config` itself; a model that has one is read as it was written."""
        models = [
            each if _is_faulty(f"spec.models[{index}]", faults) else _typed_model(each)
            for index, each in enumerate(spec.models)
        ]
        pipelines = [
            each if _is_faulty(f"spec.pipelines[{index}]", faults) else _typed_pipeline(each)
            for index, each in enumerate(spec.pipelines)
        ]
        return cls(spec, spec.model_copy(update={"models": models, "pipelines": pipelines}))

    def back(self, fault: Fault) -> Fault:
        """A fault of the typed reading, at the place where it was written."""
        place = self._place(fault.path)
        if place is None:
            return fault
        path, value = place
        message = _PLACE.sub(lambda found: (self._place(found[0]) or found)[0], fault.message)
        return replace(
            fault,
            path=path,
            value=fault.value if fault.value is None or value is None else value,
            message=_respelt(message),
            remedy=_respelt(fault.remedy),
        )

    def _place(self, path: str) -> tuple[str, object] | None:
        """The place in `config` that is read as a typed field, and what stands there; None where
        the typed field is what was written.
        """
        found = _PLACE.fullmatch(path)
        if found is None:
            return None
        kind, index, rest = found[1], int(found[2]), found[3]
        owner: Owner = getattr(self.written, kind)[index]
        typed: Owner = getattr(self.typed, kind)[index]
        if not owner.config or rest.startswith("config"):
            return None
        field = _field([name or key for name, key in _PART.findall(rest)], owner, typed)
        depth, value = _reach(owner.config, field)
        if depth <= _reach(_typed_alone(owner), field)[0]:
            return None
        there = below(f"spec.{kind}[{index}].config", *(_part(each) for each in field))
        is_leaf = depth == len(field) and not isinstance(value, Mapping)
        return there, value if is_leaf else None


def _is_faulty(path: str, faults: Sequence[Fault]) -> bool:
    return any(fault.path.startswith(f"{path}.config") for fault in faults)


def _typed_model(model: Model) -> Model:
    if not model.config:
        return model
    try:
        read = Model.model_validate(read_model(model_config(model), model.name))
    except (json_format.ParseError, UnreadableConfig):
        return model
    return _with_typed(model, read, MODEL_FIELDS)


def _typed_pipeline(pipeline: Pipeline) -> Pipeline:
    if not pipeline.config:
        return pipeline
    try:
        read = Pipeline.model_validate(read_pipeline(pipeline_config(pipeline), pipeline.name))
    except (json_format.ParseError, UnreadableConfig):
        return pipeline
    return _with_typed(pipeline, read, PIPELINE_FIELDS)


def _with_typed(owner: Some, read: Some, fields: Mapping[str, str]) -> Some:
    """What was read of the fields that `config` holds; the others stay as they were written."""
    moved = {
        attribute.partition(".")[0]
        for attribute, field in fields.items()
        if field in owner.config and field not in ALWAYS_TYPED
    }
    values = {attribute: getattr(read, attribute) for attribute in moved}
    return owner.model_copy(update={**values, "config": read.config})


def _typed_alone(owner: Owner) -> dict[str, Any]:
    """What the typed fields say, as `config` would say it."""
    alone = typed_model_config(owner) if isinstance(owner, Model) else typed_pipeline_config(owner)
    said: dict[str, Any] = json_format.MessageToDict(alone, preserving_proto_field_name=True)
    return said


def _field(parts: Sequence[str], owner: Owner, typed: Owner) -> list[str]:
    """The field of ModelConfig, from the outermost inwards, that a typed field is written to."""
    codec: Codec[Any] = MODEL if isinstance(owner, Model) else PIPELINE
    if path := _path(parts, codec, typed):
        return path
    fields = MODEL_FIELDS if isinstance(owner, Model) else PIPELINE_FIELDS
    around = (
        field
        for attribute, field in fields.items()
        if _camel(attribute.partition(".")[0]) == parts[0] and field in owner.config
    )
    outermost = next(around, None)
    return [outermost, *parts[1:2]] if outermost else []


def _path(parts: Sequence[str], codec: Codec[Any], value: Any) -> list[str]:
    """By the table that rendering uses; empty where no row is for it, shorter where none inside."""
    for row in codec.rows:
        names = [_camel(each) for each in row.attribute.split(".")]
        rest = list(parts[len(names) :])
        if parts[: len(names)] != names:
            continue
        path = row.field.split(".")
        for name in row.attribute.split("."):
            value = getattr(value, name, None)
        if rest and isinstance(value, list):
            index = rest.pop(0)
            value = value[int(index)]
            path.append(str(getattr(value, row.key)) if row.key else index)
        inner = _path(rest, row.spelt, value) if rest and isinstance(row.spelt, Codec) else rest
        return [*path, *inner]
    return []


def _reach(tree: Any, path: Sequence[str]) -> tuple[int, Any]:
    """How far a path leads into nested mappings and lists, and what stands there."""
    for depth, part in enumerate(path):
        if isinstance(tree, Mapping):
            inside = {str(key): each for key, each in tree.items()}
        elif isinstance(tree, list):
            inside = {str(index): each for index, each in enumerate(tree)}
        else:
            inside = {}
        if part not in inside:
            return depth, tree
        tree = inside[part]
    return len(path), tree


def _part(text: str) -> str | int:
    return int(text) if text.isdecimal() else text


def _camel(attribute: str) -> str:
    return to_camel(attribute).rstrip("_")


def _words(codec: Codec[Any]) -> Iterator[tuple[str, str]]:
    for row in codec.rows:
        if row.field not in ALWAYS_TYPED:
            yield _camel(row.attribute.rpartition(".")[2]), row.field
            if isinstance(row.spelt, Codec):
                yield from _words(row.spelt)


_RESPELT = dict(_words(MODEL))


def _respelt(text: str) -> str:
    """Words for the user of `config`, whose fields have Triton's own names."""
    return _CAMEL.sub(lambda word: _RESPELT.get(word[0], word[0]), text)
