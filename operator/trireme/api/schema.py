"""What all types of the API are made of: their base class, and the schema extras of Kubernetes."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Preserved = Annotated[
    dict[str, Any],
    Field(json_schema_extra={"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
]
"""An object handed on as it is, whose fields this API does not name."""

LARGEST_INT = 2**31 - 1  # of int32, which most of Triton's own configuration is


def list_map(*keys: str) -> dict[str, Any]:
    """A list whose items are identified by `keys`, so that appliers merge instead of replace."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


def cel(*rules: tuple[str, str]) -> dict[str, Any]:
    """CEL rules the API server checks, each with the message it answers."""
    return {"x-kubernetes-validations": [{"rule": rule, "message": text} for rule, text in rules]}


def one_of(*fields: str) -> tuple[str, str]:
    """A CEL rule: one of these fields is there, and no other of them."""
    count = " + ".join(f"(has(self.{field}) ? 1 : 0)" for field in fields)
    named = f"{', '.join(fields[:-1])} and {fields[-1]}"  # uri, configMap and image
    return f"{count} == 1", f"exactly one of {named} must be set"


class ApiModel(BaseModel):
    """Immutable, camelCase in YAML, and refusing fields it does not know."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )
