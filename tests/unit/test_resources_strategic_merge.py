"""Strategic merge of a user's fragment into a pod template."""

import json
from importlib import resources
from typing import Any

import pytest
from kubernetes_validate.utils import latest_version

from trireme.admission.pod_fields import FIELDS
from trireme.resources.strategic_merge import MERGE_KEYS, RETAIN_KEYS, strategic_merge

BASE: dict[str, Any] = {
    "metadata": {"labels": {"app": "a"}},
    "spec": {
        "containers": [
            {
                "name": "triton",
                "image": "one",
                "args": ["a", "b"],
                "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
                "ports": [{"containerPort": 8000, "name": "http"}],
                "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108
            }
        ],
        "tolerations": [{"key": "gpu"}],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    },
}


def container(**fields: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "triton", **fields}]}}


@pytest.mark.parametrize(
    ("fragment", "path", "expected"),
    [
        pytest.param(
            {"metadata": {"labels": {"team": "x"}}},
            ["metadata", "labels"],
            {"app": "a", "team": "x"},
            id="maps are merged key by key",
        ),
        pytest.param(
            {"metadata": {"labels": {"app": None}}},
            ["metadata", "labels"],
            {},
            id="null deletes a key",
        ),
        pytest.param(
            container(args=["c"]),
            ["spec", "containers", 0, "args"],
            ["c"],
            id="a list without identities is replaced",
        ),
        pytest.param(
            {"spec": {"tolerations": [{"key": "x"}]}},
            ["spec", "tolerations"],
            [{"key": "x"}],
            id="tolerations are replaced",
        ),
        pytest.param(
            container(env=[{"name": "B", "value": "3"}, {"name": "C", "value": "4"}]),
            ["spec", "containers", 0, "env"],
            [
                {"name": "A", "value": "1"},
                {"name": "B", "value": "3"},
                {"name": "C", "value": "4"},
            ],
            id="env is merged by name, new ones last",
        ),
        pytest.param(
            container(volumeMounts=[{"mountPath": "/data", "name": "data"}]),
            ["spec", "containers", 0, "volumeMounts"],
            [
                {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
                {"mountPath": "/data", "name": "data"},
            ],
            id="volume mounts are merged by path",
        ),
        pytest.param(
            container(ports=[{"containerPort": 8000, "hostPort": 80}]),
            ["spec", "containers", 0, "ports"],
            [{"containerPort": 8000, "name": "http", "hostPort": 80}],
            id="ports are merged by number",
        ),
        pytest.param(
            {"spec": {"volumes": [{"name": "tmp", "emptyDir": {"medium": "Memory"}}]}},
            ["spec", "volumes"],
            [{"name": "tmp", "emptyDir": {"medium": "Memory"}}],
            id="a volume takes the place of the one it names",
        ),
        pytest.param(
            {"spec": {"volumes": [{"name": "tmp", "$patch": "delete"}]}},
            ["spec", "volumes"],
            [],
            id="an item can be deleted",
        ),
        pytest.param(
            {"metadata": {"labels": {"$patch": "replace", "only": "this"}}},
            ["metadata", "labels"],
            {"only": "this"},
            id="a map can be replaced",
        ),
    ],
)
def test_a_fragment_is_merged(
    fragment: dict[str, Any], path: list[str | int], expected: object
) -> None:
    found: Any = strategic_merge(BASE, fragment)
    for step in path:
        found = found[step]

    assert found == expected


def test_a_sidecar_comes_after_the_server() -> None:
    merged = strategic_merge(BASE, {"spec": {"containers": [{"name": "sidecar"}]}})

    assert [c["name"] for c in merged["spec"]["containers"]] == ["triton", "sidecar"]
    assert merged["spec"]["containers"][0] == BASE["spec"]["containers"][0]


def test_an_empty_fragment_changes_nothing() -> None:
    assert strategic_merge(BASE, {}) == BASE


def test_neither_side_is_changed_by_merging() -> None:
    before = repr(BASE)

    strategic_merge(BASE, container(env=[{"name": "A", "value": "9"}]))

    assert repr(BASE) == before


def test_lists_are_merged_as_kubernetes_own_schema_says() -> None:
    file = f"kubernetes-json-schema/v{latest_version()}-local-strict/_definitions.json"
    text = resources.files("kubernetes_validate").joinpath(file).read_text(encoding="utf-8")
    keys, retained = {}, set()
    for name, definition in json.loads(text)["$defs"].items():
        kind = name.removeprefix("io.k8s.api.core.v1.")
        if kind not in FIELDS:
            continue
        for field, schema in definition["properties"].items():
            if "x-kubernetes-patch-merge-key" in schema:
                keys[field] = schema["x-kubernetes-patch-merge-key"]
            if "retainKeys" in schema.get("x-kubernetes-patch-strategy", ""):
                retained.add(field)
    assert (keys, retained) == (MERGE_KEYS, RETAIN_KEYS)
