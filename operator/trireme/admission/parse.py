"""A resource as the API server gives it, read into its types; each mistake a fault with its path.

Pure. The API server has refused most of these mistakes already; `trireme validate` and `render`
read files it has never seen, and a CRD may be older than the operator.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from trireme.admission.words import below, did_you_mean, shown_uri
from trireme.api.agent import AgentDeployment
from trireme.api.server import EnvVar
from trireme.api.status import AgentStatus
from trireme.errors import Fault, InvalidSpec

_REMEDIES = {
    "missing": "Add it",
    "greater_than": "Write more than {gt}",
    "greater_than_equal": "Write {ge} or more",
    "less_than": "Write less than {lt}",
    "less_than_equal": "Write {le} or less",
    "string_pattern_mismatch": "Write it as {pattern} matches",
    "string_too_long": "Shorten it to {max_length} characters",
    "string_too_short": "Write at least {min_length} characters",
    "too_long": "Keep at most {max_length}",
    "too_short": "Give at least {min_length}",
    "list_type": "Write a list, each item after a hyphen",
    "int_type": "Write a whole number",
    "int_parsing": "Write a whole number",
    "int_from_float": "Write a whole number",
    "bool_type": "Write true or false",
    "bool_parsing": "Write true or false",
}
"""What to do, by pydantic's error type; the braces take the error's own context."""

_DEEPEST = 64  # levels: a pod template with all its fields has a dozen, and two around it
_NESTED_DEEPLY = Fault(
    "spec",
    None,
    f"it is nested more than {_DEEPEST} levels deep",
    "Remove what is nested so deeply: neither Kubernetes nor Triton has such fields",
)


def parse_agent(body: Mapping[str, Any]) -> AgentDeployment:
    """Read an AgentDeployment.

    Raises InvalidSpec with one fault for each mistake in metadata and spec. A status never fails:
    see `readable_status`.
    """
    if _is_nested_deeply(body.get("spec")):
        raise InvalidSpec([_NESTED_DEEPLY])
    try:
        return AgentDeployment.model_validate(
            {**body, "status": readable_status(body.get("status"))}, by_alias=True, by_name=False
        )
    except ValidationError as error:
        raise InvalidSpec([_fault(details) for details in error.errors()]) from None


def _is_nested_deeply(part: object) -> bool:
    """Whether a part has more levels than anything of use. It is walked level by level: what calls
    itself for each would not come to the ground.
    """
    level = [part]
    for _ in range(_DEEPEST):
        level = [
            inner
            for each in level
            if isinstance(each, Mapping | list)
            for inner in (each.values() if isinstance(each, Mapping) else each)
        ]
    return bool(level)


def readable_status(status: object) -> AgentStatus:
    """What can be read of a status that another version of the operator may have written.

    Fields this version does not know are passed over, and a top-level field that does not
    validate is left at its default: the next pass writes the status anew, and refusing the whole
    resource for what the operator itself wrote would help nobody.
    """
    fields = dict(status) if isinstance(status, Mapping) else {}
    try:
        return AgentStatus.model_validate(fields, extra="ignore")
    except ValidationError as error:
        unreadable = {details["loc"][0] for details in error.errors()}
        readable = {key: value for key, value in fields.items() if key not in unreadable}
        return AgentStatus.model_validate(readable, extra="ignore")


def _fault(details: ErrorDetails) -> Fault:
    location, kind = details["loc"], details["type"]
    path = below("", *location)
    value = _shown(location, details["input"])
    if kind == "missing":
        return Fault(path, None, "it is required", _REMEDIES[kind])
    if kind in ("model_type", "dict_type"):
        remedy = _mapping(_model_at(location), details["input"])
        return Fault(path, value, "a mapping of keys to values is wanted", remedy)
    if kind == "extra_forbidden":
        # Without what stands there: a misspelt `env` holds secrets too.
        known = _field_names(location[:-1])
        remedy = did_you_mean(str(location[-1]), known, otherwise="Remove it; known here are")
        return Fault(path, None, "there is no such field", remedy)
    if kind == "enum" and isinstance(value, str):
        remedy = f"Write one of {details['ctx']['expected']}"
        return Fault(path, value, "there is no such value", remedy)
    if _wants_text(details):
        read = "a boolean" if isinstance(details["input"], bool) else "a number"
        remedy = _quote(details["input"])
        return Fault(path, value, f"text is wanted, and YAML read {read}", remedy)
    if kind == "value_error":
        message, _, remedy = details["msg"].removeprefix("Value error, ").partition(": ")
        return Fault(path, value, message, remedy[:1].upper() + remedy[1:])
    message = f"{details['msg'][:1].lower()}{details['msg'][1:]}"
    remedy = _REMEDIES.get(kind, "").format(**details.get("ctx", {})) or _explain(location)
    return Fault(path, value, message, remedy)


def _shown(location: Sequence[str | int], value: object) -> object:
    """What was received, for a fault; None where it may be or hold a secret, by what the field is.

    A mapping or a list in a wrong place may hold anything, and a text in the place of one may be it
    in one piece. A URI is shown without the parts that may be secret.
    """
    kind = _kind_at(location)
    if not isinstance(value, str | int | float) or _has_secrets(kind):
        return None
    if isinstance(value, str) and "://" in value:
        return shown_uri(value) if _model_in(kind) is None else None
    return value


def _kind_at(location: Sequence[str | int]) -> object:
    """What a field is, by its location; of a variable's fields all but its name are the variable,
    whose value is a secret.
    """
    kind: object = AgentDeployment
    for part in location:
        model = _model_in(kind)
        if not isinstance(part, str) or model is None:
            continue
        if model is EnvVar and part != "name":
            return EnvVar
        fields = {field.alias: field for field in model.model_fields.values()}
        kind = fields[part].annotation if part in fields else kind
    return kind


def _has_secrets(kind: object) -> bool:
    """Whether variables, or an object that is handed on as it is, are in what a field is to be."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        fields = kind.model_fields.values()
        return kind is EnvVar or any(_has_secrets(field.annotation) for field in fields)
    return kind == dict[str, Any] or any(map(_has_secrets, get_args(kind)))


def _wants_text(details: ErrorDetails) -> bool:
    """Whether YAML made a number or a boolean of what was meant as text."""
    is_scalar = isinstance(details["input"], bool | int | float)
    return is_scalar and details["type"] in ("string_type", "enum")


def _quote(value: object) -> str:
    if isinstance(value, bool):
        return "Quote it: YAML takes unquoted on, off, yes, no, y, n, true and false for booleans"
    return "Quote it: unquoted, YAML takes it for a number, and 24.10 becomes 24.1"


def _explain(location: Sequence[str | int]) -> str:
    fields = ".".join(part for part in location if isinstance(part, str))
    return f"See kubectl explain agd.{fields}"


def _mapping(model: type[BaseModel] | None, written: object) -> str:
    """How a mapping is written, by the model's own field: the one whose value was written in its
    place, or its first. Only words of the API and numbers are shown: other text may be a secret.
    """
    if model is None:
        return "Write keys with their values"
    for field in model.model_fields.values():
        if (told := _value_of(field.annotation, written)) is not None:
            return f"Write {{{field.alias}: {told}}}"
    field = next(iter(model.model_fields.values()))
    first = _value_of(field.annotation, field.default)
    return f"Write keys with their values, such as {{{field.alias}: {first or '...'}}}"


def _value_of(annotation: object, written: object) -> str | None:
    """What was written, as a field of this type has it; None where it is none of its values."""
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        known = {value.lower(): value for value in annotation}
        return known.get(str(written).lower())
    if annotation is bool and isinstance(written, bool):
        return str(written).lower()
    is_number = annotation is int and isinstance(written, int) and not isinstance(written, bool)
    return str(written) if is_number else None


def _field_names(location: Sequence[str | int]) -> list[str]:
    """The names YAML may hold at a location of the resource."""
    model = _model_at(location)
    return [field.alias or "" for field in model.model_fields.values()] if model else []


def _model_at(location: Sequence[str | int]) -> type[BaseModel] | None:
    """The API model that a location of the resource holds; None where it holds none."""
    return _model_in(_kind_at(location))


def _model_in(annotation: object) -> type[BaseModel] | None:
    """The API model inside `Model`, `list[Model]`, `Model | None`, ..., if there is one."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)
