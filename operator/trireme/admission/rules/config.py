"""Faults of `config`: fields of Triton's ModelConfig beside those that the API names. Pure.

The fields are checked against the protobuf's own descriptors, one by one, so that each fault has
the path of its field.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from trireme.admission.places import Owner, models, owners, pipelines
from trireme.admission.words import below, did_you_mean
from trireme.api.agent import AgentSpec
from trireme.api.pipelines import Pipeline
from trireme.errors import Fault
from trireme.modelrepo.plan import typed_model_config, typed_pipeline_config
from trireme.modelrepo.proto import ModelConfig, json_format, message_factory
from trireme.modelrepo.read import ALWAYS_TYPED, MODEL_FIELDS, PIPELINE_FIELDS

_NOT_OF_ENSEMBLES = ("instance_group", "optimization", "model_warmup")  # ValidateEnsembleScheduling
_MOST_OF_ONE = 20  # faults of one `config` that are looked for: it may be of any size


def parsed_config(owner: Owner) -> ModelConfig:
    """What `config` alone says; nothing where it is no ModelConfig, which is a fault of its own."""
    try:
        return json_format.ParseDict(owner.config, ModelConfig())
    except json_format.ParseError:
        return ModelConfig()


def config_holds_what_is_always_typed(spec: AgentSpec) -> Iterator[Fault]:
    """One of the two would be lost without a word. An empty name stands for what an imported file
    left out, as it may: the directory says it. It may not leave out that it is an ensemble.
    """
    for path, owner in owners(spec):
        for field, typed in ALWAYS_TYPED.items():
            value = owner.config.get(field)
            is_left_out = field == "name" and value == ""
            if field not in owner.config or is_left_out:
                continue
            place = f"{path}.config.{field}"
            if field in ("platform", "backend") and isinstance(owner, Pipeline):
                told = "Triton loads an ensemble only as platform ensemble, which a pipeline says"
                yield Fault(place, value, told, "Remove it from config")
            else:
                told = f"{field} follows from the typed {typed}"
                yield Fault(place, value, told, f"Remove it from config, and set {typed}")


def config_repeats_a_typed_field(spec: AgentSpec) -> Iterator[Fault]:
    """The same field in both, however deep, or one of the kinds of scheduling beside another."""
    for path, model in models(spec):
        typed = typed_model_config(model)
        yield from _overlaps(f"{path}.config", model.config, typed, MODEL_FIELDS)
    for path, pipeline in pipelines(spec):
        typed = typed_pipeline_config(pipeline)
        yield from _overlaps(f"{path}.config", pipeline.config, typed, PIPELINE_FIELDS)


def _overlaps(
    path: str, free: Mapping[str, Any], typed: Any, attributes: Mapping[str, str]
) -> Iterator[Fault]:
    """`attributes` maps the attributes of the API to the outermost fields they are written to."""
    named = {field: attribute for attribute, field in reversed(list(attributes.items()))}
    for field, value in free.items():
        if field in ALWAYS_TYPED:
            continue
        chosen = _chosen_instead(typed, field)
        for place, each in _common(below(path, field), {field: value}, typed):
            inside = place.removeprefix(f"{path}.")
            yield _repeats(place, inside, each, _camel(named.get(field, field)))
        if chosen is not None:
            typed_as = _camel(named[chosen].partition(".")[0])
            yield _repeats(below(path, field), field, value, typed_as)


def _repeats(path: str, field: str, value: object, typed: str) -> Fault:
    return Fault(
        path,
        value,
        f"{field} follows from the typed {typed}",
        f"Remove it from config, or say all of {typed} there",
    )


def _chosen_instead(typed: Any, name: str) -> str | None:
    """The other member of a oneof that the typed fields have chosen."""
    field = typed.DESCRIPTOR.fields_by_name.get(name)
    oneof = field.containing_oneof if field is not None else None
    chosen: str | None = typed.WhichOneof(oneof.name) if oneof is not None else None
    return chosen if chosen != name else None


def _common(path: str, free: Mapping[str, Any], typed: Any) -> Iterator[tuple[str, object]]:
    """Path and value of each field that is set on both sides; `path` is that of the one field."""
    for name, value in free.items():
        field = typed.DESCRIPTOR.fields_by_name.get(name)
        if field is None or not _is_set(typed, field):
            continue
        inner = getattr(typed, name)
        is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
        if is_map and isinstance(value, Mapping):
            yield from ((below(path, key), each) for key, each in value.items() if key in inner)
        elif field.message_type is not None and not field.is_repeated:
            members = value if isinstance(value, Mapping) else {}
            for key, each in members.items():
                yield from _common(below(path, key), {key: each}, inner)
        else:
            yield path, value


def _is_set(message: Any, field: Any) -> bool:
    """Whether a message sets a field; where it is the only one of its message, by being there."""
    is_only = len(message.DESCRIPTOR.fields) == 1
    return is_only or any(each.name == field.name for each, _ in message.ListFields())


def _camel(attribute: str) -> str:
    head, *rest = attribute.split("_")
    return head + "".join(word.capitalize() for word in rest)


def config_makes_an_ensemble(spec: AgentSpec) -> Iterator[Fault]:
    """An ensemble has steps, not a backend."""
    for path, model in models(spec):
        if "ensemble_scheduling" in model.config:
            yield Fault(
                f"{path}.config.ensemble_scheduling",
                model.config["ensemble_scheduling"],
                "a model cannot be an ensemble",
                "Describe it in spec.pipelines",
            )


def config_gives_an_ensemble_what_it_cannot_have(spec: AgentSpec) -> Iterator[Fault]:
    """An ensemble executes nothing itself."""
    for path, pipeline in pipelines(spec):
        for field in _NOT_OF_ENSEMBLES:
            if field in pipeline.config:
                yield Fault(
                    f"{path}.config.{field}",
                    pipeline.config[field],
                    f"Triton refuses {field} for an ensemble",
                    "Say it of the models that the steps call",
                )


def config_is_no_model_config(spec: AgentSpec) -> Iterator[Fault]:
    """A field that ModelConfig does not have, or a value that it does not take."""
    for path, owner in owners(spec):
        place = f"{path}.config"
        found = _message_faults(place, ModelConfig.DESCRIPTOR, owner.config)
        faults = list(islice(found, _MOST_OF_ONE))
        yield from faults or _whole_faults(place, owner)


def _whole_faults(path: str, owner: Owner) -> Iterator[Fault]:
    """What only all fields together break, such as two scheduling choices."""
    try:
        json_format.ParseDict(owner.config, ModelConfig())
    except json_format.ParseError as error:
        yield Fault(
            path, None, _first_line(error), "Keep one of the fields that exclude each other"
        )


def _message_faults(path: str, descriptor: Any, value: object) -> Iterator[Fault]:
    """The faults of one protobuf message written as a mapping; `descriptor` is the message's."""
    if not isinstance(value, Mapping):
        yield Fault(path, value, "a mapping is wanted", "Write a mapping of fields to values")
        return
    for name, each in value.items():
        field = descriptor.fields_by_name.get(name)
        if field is None:
            yield Fault(
                below(path, name),
                name,
                f"Triton's {descriptor.name} has no field {name}",
                did_you_mean(name, descriptor.fields_by_name, otherwise="Its fields are"),
            )
        else:
            yield from _field_faults(below(path, name), field, each)


def _field_faults(path: str, field: Any, value: object) -> Iterator[Fault]:
    """The faults of one field; messages are followed inwards, lists and maps item by item."""
    message = field.message_type
    if message is None:
        yield from _leaf_faults(path, field, value)
    elif message.GetOptions().map_entry:
        yield from _map_faults(path, message.fields_by_name["value"], value)
    elif field.is_repeated:
        yield from _list_faults(path, message, value)
    else:
        yield from _message_faults(path, message, value)


def _map_faults(path: str, value_field: Any, value: object) -> Iterator[Fault]:
    if not isinstance(value, Mapping):
        yield Fault(path, value, "a mapping is wanted", "Write a mapping of keys to values")
        return
    for key, each in value.items():
        yield from _field_faults(below(path, key), value_field, each)


def _list_faults(path: str, message: Any, value: object) -> Iterator[Fault]:
    if not isinstance(value, list):
        yield Fault(path, value, "a list is wanted", "Write a list, each item after a hyphen")
        return
    for index, each in enumerate(value):
        yield from _message_faults(below(path, index), message, each)


def _leaf_faults(path: str, field: Any, value: object) -> Iterator[Fault]:
    """Numbers, text, booleans, enums and lists of them, in the protobuf library's own judgement."""
    owner = message_factory.GetMessageClass(field.containing_type)()
    try:
        json_format.ParseDict({field.name: value}, owner)
    except json_format.ParseError as error:
        kind = field.enum_type
        remedy = (
            f"Write one of {', '.join(kind.values_by_name)}"
            if kind is not None
            else "Write a value of the field's type in Triton's model_config.proto"
        )
        yield Fault(path, value, _first_line(error), remedy)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(". ")


def runtime_leaves_its_directory(spec: AgentSpec) -> Iterator[Fault]:
    """A backend's library is loaded into the server: it must not come from just anywhere."""
    for path, owner in owners(spec):
        for field in ("runtime", "default_model_filename"):
            value = owner.config.get(field)
            if isinstance(value, str) and ("/" in value or "\\" in value or value == ".."):
                yield Fault(
                    f"{path}.config.{field}",
                    value,
                    f"{field} {value!r} leaves its directory",
                    "Write a file name without separators",
                )
