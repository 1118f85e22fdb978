"""What the generated CustomResourceDefinition promises to the API server and to `kubectl`."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft4Validator  # type: ignore[import-untyped]
from tools import reference

from kubernetes_schemas import validate
from trireme.api.agent import AgentSpec
from trireme.api.crd import crd
from trireme.api.status import AgentStatus

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
YAML_BOOLEANS = {"y", "n", "yes", "no", "on", "off", "true", "false"}  # YAML 1.1, in lower case

Schema = dict[str, Any]
DEFINITION = crd()
(VERSION,) = DEFINITION["spec"]["versions"]
SCHEMA: Schema = VERSION["schema"]["openAPIV3Schema"]


def nodes(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Every node of a schema with its path: `.spec.models[].name`."""
    yield path, schema
    for name, field in schema.get("properties", {}).items():
        yield from nodes(field, f"{path}.{name}")
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")
    if "additionalProperties" in schema:
        yield from nodes(schema["additionalProperties"], f"{path}{{}}")


def fields() -> Iterator[tuple[str, Schema]]:
    """Every node that has a name, so without the items of lists and the values of maps."""
    return ((path, node) for path, node in nodes(SCHEMA) if not path.endswith(("[]", "{}")))


def spec_nodes() -> Iterator[tuple[str, Schema]]:
    return nodes(SCHEMA["properties"]["spec"], ".spec")


def test_the_definition_is_what_kubernetes_calls_one() -> None:
    validate(DEFINITION)


def test_every_field_has_a_description_but_metadata_where_the_api_server_refuses_one() -> None:
    bare = [path for path, node in fields() if not node.get("description", "").strip()]
    assert bare == [".metadata"]
    assert SCHEMA["properties"]["metadata"] == {"type": "object"}


def test_every_node_says_its_type_and_nothing_a_structural_schema_forbids() -> None:
    forbidden = {"$ref", "title", "const", "oneOf", "definitions", "$defs", "nullable"}
    for path, node in nodes(SCHEMA):
        assert not forbidden & node.keys(), path
        if node.get("x-kubernetes-int-or-string"):
            assert "type" not in node, path
            assert node["anyOf"] == [{"type": "integer"}, {"type": "string"}], path
        else:
            assert node["type"] in ("object", "array", "string", "integer", "number", "boolean")
            assert "anyOf" not in node, path
        assert not ("properties" in node and "additionalProperties" in node), path


def test_bounds_that_exclude_are_written_as_openapi_3_0_does() -> None:
    target = SCHEMA["properties"]["spec"]["properties"]["scaling"]["properties"]["target"]
    in_flight = target["properties"]["inFlight"]
    assert (in_flight["minimum"], in_flight["exclusiveMinimum"]) == (0, True)


def test_every_list_says_how_appliers_merge_it() -> None:
    for path, node in nodes(SCHEMA):
        if node.get("type") != "array":
            continue
        assert node["x-kubernetes-list-type"] in ("atomic", "set", "map"), path
        for key in node.get("x-kubernetes-list-map-keys", []):
            assert key in node["items"]["required"], path


def test_nothing_in_the_spec_is_unbounded() -> None:
    """CEL's cost estimate takes the largest possible value where no bound is given."""
    for path, node in spec_nodes():
        if node.get("type") == "array":
            assert "maxItems" in node, path
        if node.get("type") == "string":
            assert "maxLength" in node or "enum" in node, path
        if "additionalProperties" in node:
            assert "maxProperties" in node, path


def test_no_key_and_no_value_a_user_writes_is_a_boolean_to_yaml() -> None:
    words = [(path, word) for path, node in spec_nodes() for word in node.get("enum", [])]
    words += [(path, name) for path, node in nodes(SCHEMA) for name in node.get("properties", {})]
    assert [(path, word) for path, word in words if word.lower() in YAML_BOOLEANS] == []


def test_every_default_is_valid_where_it_stands() -> None:
    defaults = [(path, node) for path, node in nodes(SCHEMA) if "default" in node]
    assert len(defaults) > 40
    for path, node in defaults:
        faults = [error.message for error in Draft4Validator(node).iter_errors(node["default"])]
        assert faults == [], path


def defaulted(schema: Schema, value: Any) -> Any:
    """What the API server stores: `value` with the schema's defaults filled in, at every depth."""
    if isinstance(value, dict):
        filled = dict(value)
        for name, field in schema.get("properties", {}).items():
            if name not in filled and "default" in field:
                filled[name] = field["default"]
            if name in filled:
                filled[name] = defaulted(field, filled[name])
        return filled
    if isinstance(value, list):
        return [defaulted(schema["items"], item) for item in value]
    return value


def paths(value: Any, path: str = "") -> Iterator[str]:
    """Every path at which something stands."""
    yield path
    if isinstance(value, dict):
        for name, child in value.items():
            yield from paths(child, f"{path}.{name}")
    elif isinstance(value, list):
        for child in value:
            yield from paths(child, f"{path}[]")


def agent_of(example: Path) -> Any:
    documents = yaml.safe_load_all(example.read_text(encoding="utf-8"))
    (agent,) = [body for body in documents if body["kind"] == "AgentDeployment"]
    return agent


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_the_schema_accepts_the_example(example: Path) -> None:
    assert [error.message for error in Draft4Validator(SCHEMA).iter_errors(agent_of(example))] == []


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_the_schema_fills_in_the_defaults_that_the_operator_takes(example: Path) -> None:
    spec = agent_of(example)["spec"]
    stored = defaulted(SCHEMA["properties"]["spec"], spec)
    assert AgentSpec.model_validate(stored) == AgentSpec.model_validate(spec)
    own = AgentSpec.model_validate(spec).model_dump(mode="json", by_alias=True, exclude_none=True)
    assert set(paths(stored)) == set(paths(own))  # not the values: 60s is written back as 1m


def test_replicas_has_no_default_since_its_absence_says_that_trireme_decides() -> None:
    assert "default" not in SCHEMA["properties"]["spec"]["properties"]["replicas"]


def test_a_new_object_is_not_yet_observed() -> None:
    status = defaulted(SCHEMA, {"spec": {}})["status"]
    assert status["observedGeneration"] == -1
    assert AgentStatus.model_validate(status) == AgentStatus()


def test_scale_reads_and_writes_fields_that_exist() -> None:
    known = {path for path, _ in fields()}
    assert set(VERSION["subresources"]["scale"].values()) <= known
    assert VERSION["subresources"]["status"] == {}


def test_printer_columns_show_fields_that_exist() -> None:
    known = {path for path, _ in nodes(SCHEMA)} | {".metadata.creationTimestamp"}
    for column in VERSION["additionalPrinterColumns"]:
        path = re.sub(r"\[[^]]*\]", "[]", column["jsonPath"])
        assert path in known, column["name"]


def test_every_rule_has_a_message_that_says_more_than_the_rule() -> None:
    rules = [rule for _, node in nodes(SCHEMA) for rule in node.get("x-kubernetes-validations", [])]
    assert len(rules) >= 8
    assert all(rule["message"] and rule["message"] != rule["rule"] for rule in rules)


@pytest.mark.parametrize(
    "copy",
    [
        pytest.param("crds/trireme.dev_agentdeployments.yaml", id="the generated source"),
        pytest.param(
            "charts/trireme/files/trireme.dev_agentdeployments.yaml", id="the chart's copy"
        ),
    ],
)
def test_what_is_committed_is_what_the_generator_makes(copy: str) -> None:
    committed = yaml.load((ROOT / copy).read_bytes(), yaml.CSafeLoader)
    assert committed == DEFINITION, "run make generate"


def test_the_page_of_all_fields_is_what_the_generator_makes() -> None:
    committed = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    assert committed == reference.page(), "run make generate"


def test_the_page_of_all_fields_tells_defaults_bounds_and_what_must_be_there() -> None:
    lines = reference.page().splitlines()
    assert "How the number of pods is decided. (object)" in lines
    for row in (
        "| `mode` | `Automatic`, `Fixed`, `External`, `Shadow` | `Automatic` |",
        "| `max` | integer, 1 to 10000 | `10` | Most pods in mode Automatic. |",
        "| `target.inFlight` | number, more than 0 |  |",
        "| `[].latency` | object |  | The bound on latency. It *must* be there. |",
    ):
        assert any(line.startswith(row) for line in lines), row
