"""Write the table of a pod template's fields, which admission checks podTemplate against.

tools/pod_fields.py prints a Python module: `make generate` puts it into the package. Its source is
the schema of the newest Kubernetes that kubernetes-validate ships, with the types of fields as the
API server takes them.
"""

import json
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

from kubernetes_validate.utils import latest_version

ROOT = "io.k8s.api.core.v1.PodTemplateSpec"
SPECIAL = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "quantity",
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "integer or string",
    "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1": "anything",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Time": "string",
}
HEADER = '''"""The fields of a PodTemplateSpec and all within it, by type, in Kubernetes {version}.

Written by tools/pod_fields.py from Kubernetes' own schema: run make generate.

A field's type is string, integer, boolean, quantity, "integer or string", anything, or the name of
another type of this table; in [] where it is a list of that, in {{}} where it is a map.
"""

FIELDS: dict[str, dict[str, str]] = {{
'''

Schema = Mapping[str, Any]


def fields(definitions: Mapping[str, Schema]) -> dict[str, dict[str, str]]:
    """The types reachable from a pod template: by short name, the type of each field."""
    found: dict[str, dict[str, str]] = {}
    waiting = [ROOT]
    for name in waiting:  # grows while it is walked
        properties = definitions[name]["properties"]
        found[short(name)] = {field: kind(schema) for field, schema in properties.items()}
        for schema in properties.values():
            waiting += [each for each in references(schema) if each not in (*waiting, *SPECIAL)]
    assert len(found) == len(waiting), "two types have the same short name"  # noqa: S101
    return found


def kind(schema: Schema) -> str:
    """A field's type, in the words of the table."""
    for name in references(schema, deep=False):
        return SPECIAL.get(name) or short(name)
    types = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    (only,) = (each for each in types if each != "null")  # null deletes, whatever the type
    if only == "array":
        return f"[{kind(schema['items'])}]"
    if only == "object":
        return f"{{{kind(schema['additionalProperties'])}}}"
    return str(only)


def references(schema: Schema, *, deep: bool = True) -> Iterator[str]:
    """The full names of the types that a field is of."""
    if "$ref" in schema:
        yield schema["$ref"].rpartition("/")[2]
    elif deep:
        for inner in (schema.get("items"), schema.get("additionalProperties")):
            if isinstance(inner, dict):
                yield from references(inner)


def short(name: str) -> str:
    """The last word of a type's name: `Container`."""
    return name.rpartition(".")[2]


def module(version: str) -> str:
    """The whole module."""
    file = f"kubernetes-json-schema/v{version}-local-strict/_definitions.json"
    text = resources.files("kubernetes_validate").joinpath(file).read_text(encoding="utf-8")
    lines = [HEADER.format(version=version.rpartition(".")[0])]
    for name, types in sorted(fields(json.loads(text)["$defs"]).items()):
        lines.append(f'    "{name}": {{\n')
        lines += [f'        "{field}": "{types[field]}",\n' for field in sorted(types)]
        lines.append("    },\n")
    return "".join([*lines, "}\n"])


if __name__ == "__main__":
    print(module(latest_version()), end="")
