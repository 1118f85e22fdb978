"""Faults of what is handed on to Kubernetes as it is: fields and types it does not know. Pure.

The API server answers them with an error of its own, for ever, and only once the pods are applied.
"""

from collections.abc import Iterator, Mapping

from trireme.admission.pod_fields import FIELDS
from trireme.admission.words import below, did_you_mean, unless_secret
from trireme.api.agent import AgentSpec
from trireme.errors import Fault

TEMPLATE = "PodTemplateSpec"

_TAKEN: dict[str, tuple[tuple[type, ...], str, str]] = {
    "string": ((str,), "text is wanted", "Write text, in quotes where YAML reads something else"),
    "integer": ((int,), "a whole number is wanted", "Write a whole number, without quotes"),
    "boolean": ((bool,), "true or false is wanted", "Write true or false, without quotes"),
    "quantity": ((str, int, float), "a quantity is wanted", "Write it as 4, 500m or 16Gi"),
    "integer or string": ((int, str), "a number or a name is wanted", "Write a port, or its name"),
}
"""What Python makes of each type's values, what is said of others, and the remedy."""

_GIVEN = {Mapping: "a mapping", list: "a list", str: "text", object: "a single value"}


def template_has_unknown_field(spec: AgentSpec) -> Iterator[Fault]:
    """Mostly a slip in a name, or a field that belongs elsewhere."""
    yield from _faults("spec.server.podTemplate", TEMPLATE, spec.server.pod_template)


def toleration_has_unknown_field(spec: AgentSpec) -> Iterator[Fault]:
    """Tolerations are handed on too."""
    for index, toleration in enumerate(spec.server.placement.tolerations):
        yield from _faults(f"spec.server.placement.tolerations[{index}]", "Toleration", toleration)


def source_of_variable_has_unknown_field(spec: AgentSpec) -> Iterator[Fault]:
    """So is what a variable's value comes from."""
    for index, variable in enumerate(spec.server.env):
        path = f"spec.server.env[{index}].valueFrom"
        yield from _faults(path, "EnvVarSource", variable.value_from)


def field_type(kind: str, field: str) -> str | None:
    """The type of a field of a type; None where there is no such field."""
    return FIELDS.get(kind, {}).get(field)


def item_type(kind: str) -> str | None:
    """The type of a list's items; None of what is no list."""
    return kind[1:-1] if kind.startswith("[") else None


def _faults(path: str, kind: str, value: object) -> Iterator[Fault]:
    """The faults of one value that should be of a type; null is nothing, and nothing is no fault.

    Strategic merge takes null for "delete this".
    """
    if value is None:
        return
    if kind in FIELDS:
        yield from _mapping_faults(path, kind, value)
    elif item := item_type(kind):
        yield from _list_faults(path, item, value)
    elif kind.startswith("{"):
        yield from _map_faults(path, kind[1:-1], value)
    elif kind in _TAKEN:
        types, message, remedy = _TAKEN[kind]
        is_taken = isinstance(value, types) and (bool in types or not isinstance(value, bool))
        if not is_taken:
            yield Fault(path, unless_secret(path, value), message, remedy)


def _mapping_faults(path: str, kind: str, value: object) -> Iterator[Fault]:
    if not isinstance(value, Mapping):
        yield _misshapen(path, "a mapping", value, f"Its fields are {', '.join(FIELDS[kind])}")
        return
    for name, each in value.items():
        field = field_type(kind, name)
        if field is not None:
            yield from _faults(below(path, name), field, each)
        elif name != "$patch":  # of that a rule of the template's speaks
            message = f"Kubernetes' {kind} has no field {name}"
            yield Fault(below(path, name), name, message, _remedy(kind, name))


def _list_faults(path: str, item: str, value: object) -> Iterator[Fault]:
    if not isinstance(value, list):
        yield _misshapen(path, "a list", value, "Write a list, each item after a hyphen")
        return
    for index, each in enumerate(value):
        here = below(path, index)
        if each is None:
            yield Fault(here, None, "the item is empty", "Fill it, or remove it")
        yield from _faults(here, item, each)


def _map_faults(path: str, inner: str, value: object) -> Iterator[Fault]:
    if not isinstance(value, Mapping):
        yield _misshapen(path, "a mapping", value, "Write a mapping of keys to values")
        return
    for key, each in value.items():
        yield from _faults(below(path, key), inner, each)


def _remedy(kind: str, name: str) -> str:
    if kind == TEMPLATE and name in FIELDS["PodSpec"]:
        return "Write it below spec"
    return did_you_mean(name, FIELDS[kind], otherwise="Its fields are")


def _misshapen(path: str, wanted: str, value: object, remedy: str) -> Fault:
    """Without the value: whoever writes a container as text writes its secrets there."""
    given = next(words for type_, words in _GIVEN.items() if isinstance(value, type_))
    return Fault(path, None, f"{wanted} is wanted, and {given} was given", remedy)
