"""Bodies become types; each mistake becomes a fault with kubectl's path, and a status never one."""

from typing import Any

import pytest
import yaml

from specs import REMOVED, valid_body
from trireme.admission.parse import parse_agent, readable_status
from trireme.errors import InvalidSpec


def faults(edits: dict[str, Any]) -> list[str]:
    with pytest.raises(InvalidSpec) as refused:
        parse_agent(valid_body(edits))
    return [str(fault) for fault in refused.value.faults]


def test_a_valid_body_is_read() -> None:
    agent = parse_agent(valid_body())
    assert agent.metadata.name == "support"
    assert [model.name for model in agent.spec.models] == ["encoder", "scorer"]


def test_metadata_that_trireme_does_not_read_is_ignored() -> None:
    agent = parse_agent(valid_body({"metadata.managedFields": [], "metadata.labels": {"a": "b"}}))
    assert agent.metadata.namespace == "team"


@pytest.mark.parametrize(
    ("edits", "fault"),
    [
        pytest.param(
            {"spec.models.1.maxBatchsize": 3},
            "spec.models[1].maxBatchsize: there is no such field. Did you mean maxBatchSize?",
            id="a slip in a field's name",
        ),
        pytest.param(
            {"spec.models.0.max_batch_size": 3},
            "spec.models[0].max_batch_size: there is no such field. Did you mean maxBatchSize?",
            id="snake_case",
        ),
        pytest.param(
            {"spec.gateway.zzz": 1},
            "spec.gateway.zzz: there is no such field. Remove it; known here are enabled, "
            "replicas, image, resources, requestTimeout, maxPendingRequests",
            id="a field that resembles none",
        ),
        pytest.param(
            {"spec.models.0.name": REMOVED},
            "spec.models[0].name: it is required. Add it",
            id="a field left out",
        ),
        pytest.param(
            {"spec.models.0.maxBatchSize": -1},
            "spec.models[0].maxBatchSize: input should be greater than or equal to 0 (received -1)"
            ". Write 0 or more",
            id="a number below its bound",
        ),
        pytest.param(
            {"spec.rollout": "canary"},
            "spec.rollout: a mapping of keys to values is wanted (received 'canary'). Write "
            "{strategy: Canary}",
            id="the value of a mapping's own field, in its place",
        ),
        pytest.param(
            {"spec.tuning": "Apply"},
            "spec.tuning: a mapping of keys to values is wanted (received 'Apply'). Write "
            "{mode: Apply}",
            id="a mode in its mapping's place",
        ),
        pytest.param(
            {"spec.gateway": False},
            "spec.gateway: a mapping of keys to values is wanted (received False). Write "
            "{enabled: false}",
            id="a boolean in a mapping's place",
        ),
        pytest.param(
            {"spec.server.gpus": 2},
            "spec.server.gpus: a mapping of keys to values is wanted (received 2). Write "
            "{count: 2}",
            id="a number in a mapping's place",
        ),
        pytest.param(
            {"spec.models.0.source": "s3://models/model.onnx"},
            "spec.models[0].source: a mapping of keys to values is wanted. Write keys with their "
            "values, such as {uri: ...}",
            id="text in a mapping's place",
        ),
        pytest.param(
            {"spec.models.0.parameters": "a=b"},
            "spec.models[0].parameters: a mapping of keys to values is wanted (received 'a=b'). "
            "Write keys with their values",
            id="text for keys that the user names",
        ),
        pytest.param(
            {"spec.models.0.outputs.0.dims": ["x"]},
            "spec.models[0].outputs[0].dims[0]: input should be a valid integer, unable to parse "
            "string as an integer (received 'x'). Write a whole number",
            id="text for a number in a list",
        ),
        pytest.param(
            {"spec.scaling.paused": "Scale-In"},
            "spec.scaling.paused: there is no such value (received 'Scale-In'). Write one of "
            "'None', 'All', 'ScaleIn' or 'ScaleOut'",
            id="a value that does not exist",
        ),
        pytest.param(
            {"spec.server.startupTimeout": 30},
            "spec.server.startupTimeout: 30 is not a duration. Write it with a unit, such as 100ms "
            "or 5m",
            id="a duration without a unit",
        ),
        pytest.param(
            {"spec.server.startupTimeout": "99999999999h"},
            "spec.server.startupTimeout: '99999999999h' is too long a duration. Write 8760h "
            "or less",
            id="a duration of a million years",
        ),
        pytest.param(
            {"spec.models.0.parameters": {"a.b/c": 3}},
            "spec.models[0].parameters[a.b/c]: text is wanted, and YAML read a number (received 3)"
            ". Quote it: unquoted, YAML takes it for a number, and 24.10 becomes 24.1",
            id="a number for text, under a key with dots",
        ),
        pytest.param(
            {"metadata.name": "a" * 46},
            f"metadata.name: string should have at most 45 characters (received {'a' * 46!r}). "
            "Shorten it to 45 characters",
            id="a name that leaves no room for suffixes",
        ),
    ],
)
def test_a_mistake_has_its_path_value_and_remedy(edits: dict[str, Any], fault: str) -> None:
    assert faults(edits) == [fault]


def test_a_release_that_yaml_read_as_a_number_is_told_to_be_quoted() -> None:
    assert faults({"spec.server.release": yaml.safe_load("24.10")}) == [
        "spec.server.release: text is wanted, and YAML read a number (received 24.1). Quote it: "
        "unquoted, YAML takes it for a number, and 24.10 becomes 24.1"
    ]


@pytest.mark.parametrize("word", ["off", "on", "no", "yes", "true"])
def test_a_word_that_yaml_read_as_a_boolean_is_told_to_be_quoted(word: str) -> None:
    value = yaml.safe_load(word)
    assert faults({"spec.scaling.mode": value}) == [
        f"spec.scaling.mode: text is wanted, and YAML read a boolean (received {value}). Quote it: "
        "YAML takes unquoted on, off, yes, no, y, n, true and false for booleans"
    ]


def test_all_mistakes_are_reported_at_once() -> None:
    edits = {"spec.models.0.nam": "x", "spec.models.1.version": 0, "spec.scaling.min": -1}
    assert [fault.partition(":")[0] for fault in faults(edits)] == [
        "spec.models[0].nam",
        "spec.models[1].version",
        "spec.scaling.min",
    ]


@pytest.mark.parametrize("body", [{}, {"spec": None, "metadata": None}, {"spec": []}])
def test_a_body_of_any_shape_is_refused_by_faults_only(body: dict[str, Any]) -> None:
    with pytest.raises(InvalidSpec):
        parse_agent(body)


def test_a_status_of_a_newer_version_is_read_without_its_new_fields() -> None:
    status = {"replicas": 3, "new": {"a": 1}, "scaling": {"desiredReplicas": 5, "newer": True}}
    agent = parse_agent({**valid_body(), "status": status})
    assert agent.status.replicas == 3
    assert agent.status.scaling is not None
    assert agent.status.scaling.desired_replicas == 5


def test_a_part_of_a_status_that_cannot_be_read_is_left_out_alone() -> None:
    status = {"conditions": "none", "models": [{"nam": "a"}], "scaling": {"desiredReplicas": 5}}
    read = readable_status(status)
    assert (read.conditions, read.models) == ([], [])
    assert read.scaling is not None
    assert read.scaling.desired_replicas == 5


@pytest.mark.parametrize("status", [None, {}, [], "x"])
def test_no_status_at_all_is_an_empty_one(status: object) -> None:
    assert readable_status(status).observed_generation == -1
