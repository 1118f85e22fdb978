"""The CustomResourceDefinition of AgentDeployment, made from the models of `api.agent`.

Pure. What pydantic writes as JSON schema differs from the structural schema Kubernetes asks for:
references must be inlined, null and titles left out, unknown fields left to the API server
(which prunes them, and refuses them under kubectl's strict validation), and exclusive bounds
written in OpenAPI's older way. `kubectl explain` reads every description from here.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from trireme.api import names
from trireme.api.agent import AgentSpec
from trireme.api.conditions import ConditionType
from trireme.api.status import AgentStatus

_STRUCTURAL_ROOT = {
    "apiVersion": {
        "type": "string",
        "description": f"Group and version this object is written in: {names.API_VERSION}.",
    },
    "kind": {"type": "string", "description": f"The kind of this object: {names.KIND}."},
    "metadata": {"type": "object"},  # the API server describes it itself, and refuses more here
}
_NAME_RULES = [
    {
        "rule": f"size(self.metadata.name) <= {names.AGENT_NAME_MAX_LENGTH}",
        "message": f"metadata.name must have at most {names.AGENT_NAME_MAX_LENGTH} characters, "
        "since the names of its children are made from it: choose a shorter name",
    },
    {
        "rule": f"self.metadata.name.matches('{names.AGENT_NAME_PATTERN}')",
        "message": "metadata.name must begin with a lower-case letter, end with a letter or digit "
        "and hold only lower-case letters, digits and hyphens, since a Service is named after it: "
        "choose a name such as support-agent",
    },
]


class _FieldSchema(GenerateJsonSchema):
    """JSON schema in which what may be None is optional, and defaults are written as a user would
    write them (`5m`, where pydantic writes `PT5M`).
    """

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        result = super().model_schema(schema)
        defaults = _defaults(schema["cls"])
        for name, field in result["properties"].items():
            field.pop("default", None)
            if name in defaults:
                field["default"] = defaults[name]
        return result


def _defaults(model: type[BaseModel]) -> dict[str, Any]:
    """The defaults of a model's fields, by their names in YAML."""
    return model.model_construct().model_dump(mode="json", by_alias=True, exclude_none=True)


def crd() -> dict[str, Any]:
    """The CustomResourceDefinition as the plain object that `kubectl apply` takes."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names.PLURAL}.{names.GROUP}"},
        "spec": {
            "group": names.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": names.KIND,
                "listKind": f"{names.KIND}List",
                "plural": names.PLURAL,
                "singular": names.KIND.lower(),
                "shortNames": [names.SHORT_NAME],
                "categories": ["trireme"],
            },
            "versions": [
                {
                    "name": names.VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {
                        "status": {},
                        "scale": {
                            "specReplicasPath": ".spec.replicas",
                            "statusReplicasPath": ".status.replicas",
                            "labelSelectorPath": ".status.selector",
                        },
                    },
                    "additionalPrinterColumns": _printer_columns(),
                    "schema": {"openAPIV3Schema": _schema()},
                }
            ],
        },
    }


def _schema() -> dict[str, Any]:
    status = _structural(AgentStatus)
    # Without this default an object just created has no observedGeneration, which kstatus reads
    # as "nothing to wait for": `helm --wait` and Flux would call it healthy before it was seen.
    status["default"] = {"observedGeneration": _defaults(AgentStatus)["observedGeneration"]}
    return {
        "type": "object",
        "description": "An agent: models served by Triton pods whose number follows their latency.",
        "required": ["spec"],
        "properties": {**_STRUCTURAL_ROOT, "spec": _structural(AgentSpec), "status": status},
        "x-kubernetes-validations": _NAME_RULES,
    }


def _structural(model: type[BaseModel]) -> dict[str, Any]:
    """The structural schema of one model."""
    schema = model.model_json_schema(schema_generator=_FieldSchema)
    return _node(schema, schema.pop("$defs"))


def _node(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """One node of the schema, with references replaced by what they name.

    What stands beside a reference (a field's own description, its default) wins.
    """
    node = dict(schema)
    while reference := node.pop("$ref", None):
        node = {**definitions[reference.rpartition("/")[2]], **node}
    node.pop("title", None)
    if isinstance(node.get("additionalProperties"), bool):
        del node["additionalProperties"]
    if "exclusiveMinimum" in node:
        node["minimum"], node["exclusiveMinimum"] = node["exclusiveMinimum"], True
    if "items" in node:
        node["items"] = _node(node["items"], definitions)
        node.setdefault("x-kubernetes-list-type", "atomic")
    if "additionalProperties" in node:
        node["additionalProperties"] = _node(node["additionalProperties"], definitions)
    if "properties" in node:
        node["properties"] = {
            name: _node(field, definitions) for name, field in node["properties"].items()
        }
    return node


def _printer_columns() -> list[dict[str, Any]]:
    """What `kubectl get agd` shows; the last three only with `-o wide`."""
    ready = f'.status.conditions[?(@.type=="{ConditionType.READY}")]'
    return [
        _column("Ready", "string", f"{ready}.status"),
        _column("Mode", "string", ".spec.scaling.mode"),
        _column("Desired", "integer", ".status.scaling.desiredReplicas"),
        _column("Current", "integer", ".status.replicas"),
        _column("Ready Pods", "integer", ".status.readyReplicas"),
        _column("Latency (ms)", "number", ".status.scaling.observed.latencyMilliseconds"),
        _column("Target", "string", ".spec.objectives[*].latency.target"),
        _column("Age", "date", ".metadata.creationTimestamp"),
        _column("Rate (1/s)", "number", ".status.scaling.observed.requestRatePerSecond", wide=True),
        _column("Reason", "string", f"{ready}.reason", wide=True),
        _column("Message", "string", f"{ready}.message", wide=True),
    ]


def _column(name: str, kind: str, path: str, *, wide: bool = False) -> dict[str, Any]:
    return {"name": name, "type": kind, "jsonPath": path, "priority": int(wide)}
