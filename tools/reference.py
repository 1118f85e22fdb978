"""Write the page of every field of an AgentDeployment, from its definition.

tools/reference.py prints it: `make generate` puts it into docs/reference.md.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from trireme.api.crd import crd
from trireme.api.schema import LARGEST_INT

HEADER = """\
# Every field of an AgentDeployment

Written by tools/reference.py from the definition: run make generate. `kubectl explain agd.spec
--recursive` tells the same of the version that a cluster has. Durations are written `100ms`, `30s`,
`5m`, `1h`; shares `0.1%`; quantities as in Kubernetes. `[]` is each entry of a list, `KEY` each key
of a map. What *must* be there must where the field is that it belongs to.
"""

Schema = Mapping[str, Any]


class Row(NamedTuple):
    """What is told of a field."""

    path: str
    kind: str
    default: str
    meaning: str


def page() -> str:
    """The whole page, in Markdown."""
    (version,) = crd()["spec"]["versions"]
    properties = version["schema"]["openAPIV3Schema"]["properties"]
    fields = {f"spec.{name}": field for name, field in properties["spec"]["properties"].items()}
    fields["status"] = properties["status"]
    return "\n".join([HEADER, *(section(path, field) for path, field in fields.items())])


def section(path: str, schema: Schema) -> str:
    """A field with all that is within it."""
    itself, *within = rows("", schema, schema.get("default"))
    default = itself.default and f", {itself.default} by default"
    lines = [f"## {path}", "", f"{itself.meaning} ({itself.kind}{default})", ""]
    if within:
        lines += ["| field | is | default | meaning |", "| --- | --- | --- | --- |"]
        lines += [f"| `{path}` | {kind} | {told} | {text} |" for path, kind, told, text in within]
        lines += [""]
    return "\n".join(lines)


def rows(path: str, schema: Schema, default: Any) -> Iterator[Row]:
    """A field and those within it. What a field says of those within it is their default, too."""
    is_told = default not in (None, "", [], {}) and "properties" not in schema
    told = json.dumps(default, ensure_ascii=False).strip('"') if is_told else ""
    meaning = schema.get("description", "").replace("|", "\\|")
    yield Row(path, kind(schema), told and f"`{told}`", meaning)
    for step, child, is_required in children(schema):
        given = default.get(step.removeprefix(".")) if isinstance(default, Mapping) else None
        itself, *within = rows(f"{path}{step}".lstrip("."), child, child.get("default", given))
        must = " It *must* be there." if is_required else ""
        yield itself._replace(meaning=f"{itself.meaning}{must}")
        yield from within


def children(schema: Schema) -> Iterator[tuple[str, Schema, bool]]:
    """What is within a field: what it adds to the path, and whether it must be there."""
    for step, inner in (("[]", "items"), (".KEY", "additionalProperties")):
        if inner in schema:
            for name, child, is_required in children(schema[inner]):
                yield f"{step}{name}", child, is_required
    for name, child in schema.get("properties", {}).items():
        yield f".{name}", child, name in schema.get("required", ())


def kind(schema: Schema) -> str:
    """A type in a word or two, with its bounds."""
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("x-kubernetes-int-or-string"):
        return "number or text"
    match schema["type"]:
        case "array":
            return f"list of {kind(schema['items'])}"
        case "object" if "additionalProperties" in schema:
            return f"map of {kind(schema['additionalProperties'])}"
        case "string":
            return "text"
        case "integer" | "number" as number:
            return f"{number}{bounds(schema)}"
        case other:
            return str(other)


def bounds(schema: Schema) -> str:
    """`, 1 to 64`, where there are any; the largest number that fits is none."""
    least, most = schema.get("minimum"), schema.get("maximum")
    most = None if most == LARGEST_INT else most
    if least is None:
        return "" if most is None else f", {most} or less"
    if schema.get("exclusiveMinimum"):
        return f", more than {least}"
    return f", {least} or more" if most is None else f", {least} to {most}"


if __name__ == "__main__":
    print(page(), end="")
