"""The demo's manifests: accepted by their own schemas, and fitted to a cluster."""

import ast
from pathlib import Path

import pytest
import yaml
from demo import manifests
from demo.manifests import (
    Manifest,
    image,
    is_ours,
    one,
    profile_of,
    read,
    with_profile,
    with_registry,
)

from kubernetes_schemas import validate
from load.arrivals import parse_profile
from trireme.admission.check import check
from trireme.api import names
from trireme.api.agent import AgentDeployment
from trireme.settings import Settings

FILES = [manifests.PROMETHEUS, manifests.LOAD, manifests.AGENT]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_kubernetes_objects_keep_to_the_schema_of_their_kind(file: Path) -> None:
    objects = [manifest for manifest in read(file) if manifest["kind"] != names.KIND]
    assert objects
    for manifest in objects:
        validate(manifest)


@pytest.mark.parametrize("file", [manifests.PROMETHEUS, manifests.LOAD], ids=lambda file: file.name)
def test_pods_are_restricted(file: Path) -> None:
    (pod,) = (m["spec"]["template"]["spec"] for m in read(file) if "template" in m.get("spec", {}))
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def agent() -> AgentDeployment:
    return AgentDeployment.model_validate(one(read(manifests.AGENT), names.KIND))


def test_the_example_is_accepted_without_a_fault() -> None:
    assert check(agent().spec) == ()


def test_the_example_s_model_file_is_python_and_its_config_map_is_the_one_named() -> None:
    source = one(read(manifests.AGENT), "ConfigMap")
    (model,) = agent().spec.models
    assert model.source.config_map == source["metadata"]["name"]
    tree = ast.parse(source["data"]["model.py"])
    assert [node.name for node in tree.body if isinstance(node, ast.ClassDef)] == [
        "TritonPythonModel"
    ]


def test_the_load_calls_what_the_example_serves() -> None:
    (job,) = read(manifests.LOAD)
    arguments = job["spec"]["template"]["spec"]["containers"][0]["args"]
    (model,) = agent().spec.models
    (tensor,) = model.inputs
    size = "x".join(str(dim) for dim in [1, *tensor.dims])
    assert f"--host={names.service(agent().metadata.name)}" in arguments
    assert f"--model={model.name}" in arguments
    assert f"--input={tensor.name}:{tensor.data_type}:{size}" in arguments
    assert f"--output={model.outputs[0].name}" in arguments


def test_the_peak_of_the_load_needs_several_pods_but_no_more_than_may_be_had() -> None:
    (job,) = read(manifests.LOAD)
    peak = max(step.rate_per_second for step in parse_profile(profile_of(job)).steps)
    pods = peak / 36  # what one pod holds within its objective: examples/demo-agent.yaml
    assert 3 < pods < agent().spec.scaling.max


def test_prometheus_makes_the_labels_that_the_operator_looks_for_by_default() -> None:
    text = one(read(manifests.PROMETHEUS), "ConfigMap")["data"]["prometheus.yml"]
    (job,) = yaml.safe_load(text)["scrape_configs"]
    rules = job["relabel_configs"]
    settings = Settings()
    assert {"regex": "__meta_kubernetes_pod_label_(.+)", "action": "labelmap"} in rules
    assert {settings.label_namespace, settings.label_pod} <= {
        rule.get("target_label") for rule in rules
    }
    service = one(read(manifests.PROMETHEUS), "Service")["metadata"]
    assert settings.prometheus_url == f"http://{service['name']}.{service['namespace']}:9090"


def test_only_the_demo_s_own_images_come_from_the_registry() -> None:
    assert image("trireme/envoy:1.40", "r.example.com/team/") == "r.example.com/team/envoy:1.40"
    assert image("trireme/envoy:1.40", "") == "trireme/envoy:1.40"
    assert image("nvcr.io/nvidia/tritonserver:26.08-py3", "r.example.com") == (
        "nvcr.io/nvidia/tritonserver:26.08-py3"
    )


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_image_of_a_manifest_comes_from_the_registry_and_nothing_else_changes(
    file: Path,
) -> None:
    before = read(file)
    after = [with_registry(manifest, "r.example.com") for manifest in before]
    text = yaml.safe_dump_all(after)
    assert "trireme/" not in text
    assert text.replace("r.example.com/", "trireme/") == yaml.safe_dump_all(before)


def test_another_profile_replaces_that_of_the_job_only() -> None:
    (job,) = read(manifests.LOAD)
    changed = with_profile(job, "5s@1")
    assert profile_of(changed) == "5s@1"
    assert with_profile(changed, profile_of(job)) == job


@pytest.mark.parametrize(
    ("found", "ours"),
    [
        pytest.param(manifests.namespace("demo"), True, id="the agent's namespace"),
        pytest.param(one(read(manifests.PROMETHEUS), "Namespace"), True, id="Prometheus'"),
        pytest.param({"metadata": {"name": "monitoring"}}, False, id="one without labels"),
        pytest.param({"metadata": {"labels": None}}, False, id="one with null labels"),
    ],
)
def test_a_namespace_is_the_demo_s_where_it_says_so(found: Manifest, ours: bool) -> None:
    assert is_ours(found) is ours
