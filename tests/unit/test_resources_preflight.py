"""The Jobs that inspect models' files: what they are told, and what they may do."""

from typing import Any

import pytest

from agents import agent_of, model_of, pods_of
from kubernetes_schemas import validate
from trireme.api.agent import AgentDeployment
from trireme.api.inspect import InspectPlan
from trireme.modelrepo.render import render
from trireme.resources.options import Discovery, ResourceOptions
from trireme.resources.preflight import (
    inspect_plans,
    inspected_record,
    inspection_objects,
    recorded_reports,
)
from trireme.resources.server import pod_template

OPTIONS = ResourceOptions(gateway_image="envoy", discovery=Discovery.NONE, operator_image="own:1")
S3 = {
    "uri": "s3://models/encoder/model.onnx",
    "endpoint": "https://minio.example.com",
    "secretRef": {"name": "keys"},
}


def agent(source: dict[str, Any] | None = None, **spec: Any) -> AgentDeployment:
    model = model_of("encoder", source=source or S3, backend="onnxruntime", version=3)
    return agent_of(models=[model], objectives=[], **spec)


def job_of(made: AgentDeployment) -> dict[str, Any]:
    (plan,) = inspect_plans(made)
    return dict(inspection_objects(made, plan, OPTIONS)[-1])


def pod_of(made: AgentDeployment) -> dict[str, Any]:
    found: dict[str, Any] = job_of(made)["spec"]["template"]["spec"]
    return found


@pytest.mark.parametrize(
    "source",
    [
        pytest.param({"uri": "pvc://models/encoder/"}, id="a folder of a claim"),
        pytest.param({"configMap": "files"}, id="a ConfigMap, which the operator reads itself"),
        pytest.param({"image": {"reference": "example.com/encoder:3"}}, id="an image"),
    ],
)
def test_what_is_not_fetched_is_not_inspected(source: dict[str, Any]) -> None:
    assert inspect_plans(agent(source)) == ()


def test_inspection_can_be_switched_off() -> None:
    assert inspect_plans(agent(download={"inspect": False})) == ()


def test_a_job_is_named_by_what_it_inspects_and_by_nothing_else() -> None:
    name = job_of(agent())["metadata"]["name"]
    assert name.startswith("echo-inspect-")
    other_model = agent_of(
        models=[model_of("ranker", source=S3, backend="onnxruntime", version=9)], objectives=[]
    )
    assert job_of(other_model)["metadata"]["name"] == name
    for changed in (
        agent({**S3, "uri": "s3://models/encoder/other.onnx"}),
        agent({**S3, "secretRef": {"name": "others"}}),
        agent_of(models=[model_of("encoder", source=S3, backend="openvino", version=3)]),
    ):
        assert job_of(changed)["metadata"]["name"] != name


def test_the_plan_is_an_annotation_that_the_pod_reads_as_a_file() -> None:
    job = job_of(agent())
    template = job["spec"]["template"]
    plan = template["metadata"]["annotations"]["trireme.dev/inspection-plan"]
    assert (InspectPlan.model_validate_json(plan),) == inspect_plans(agent())
    (item,) = template["spec"]["volumes"][0]["downwardAPI"]["items"]
    assert item["fieldRef"]["fieldPath"] == "metadata.annotations['trireme.dev/inspection-plan']"
    assert template["spec"]["containers"][0]["args"] == [
        "inspect",
        "--plan=/etc/trireme/inspect/plan.json",
    ]


def test_the_pod_has_what_the_init_container_has_and_no_gpu() -> None:
    made = agent(
        server={
            "image": "example.com/triton:24.10-py3",
            "gpus": {"count": 2},
            "imagePullSecrets": [{"name": "registry"}],
            "placement": {"tolerations": [{"key": "team", "operator": "Exists"}]},
        },
        download={"env": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}]},
    )
    pod = pod_of(made)
    server = pod_template(pods_of(made), render(made.spec, {}), OPTIONS)["spec"]
    (own,), (init,) = pod["containers"], server["initContainers"]
    for part in ("image", "imagePullPolicy", "env", "resources", "securityContext"):
        assert own[part] == init[part]
    for part in (
        "serviceAccountName",
        "automountServiceAccountToken",
        "securityContext",
        "imagePullSecrets",
        "tolerations",
    ):
        assert pod[part] == server[part]
    assert "nvidia" not in str(pod)
    mounts = {each["mountPath"]: each["name"] for each in own["volumeMounts"]}
    assert mounts["/credentials/keys"] in {each["name"] for each in pod["volumes"]}
    assert "/fetched" not in mounts


def test_it_is_no_server_pod_and_no_gateway() -> None:
    labels = job_of(agent())["spec"]["template"]["metadata"]["labels"]
    assert labels["trireme.dev/owner"] == "echo"
    assert not {"trireme.dev/agent", "trireme.dev/gateway", "trireme.dev/track"} & set(labels)


def test_labels_of_the_users_template_reach_it_for_workload_identities() -> None:
    fragment = {"metadata": {"labels": {"azure.workload.identity/use": "true"}}}
    made = agent(server={"image": "example.com/triton:24.10-py3", "podTemplate": fragment})
    labels = job_of(made)["spec"]["template"]["metadata"]["labels"]
    assert labels["azure.workload.identity/use"] == "true"


@pytest.mark.parametrize("named", ["", "reader"])
def test_our_own_service_account_is_made_first(named: str) -> None:
    server = {"image": "example.com/triton:24.10-py3", "serviceAccountName": named}
    made = agent(server=server)
    (plan,) = inspect_plans(made)
    kinds = [each["kind"] for each in inspection_objects(made, plan, OPTIONS)]
    assert kinds == (["Job"] if named else ["ServiceAccount", "Job"])


def test_the_objects_are_what_kubernetes_knows() -> None:
    (plan,) = inspect_plans(agent())
    for manifest in inspection_objects(agent(), plan, OPTIONS):
        validate(manifest)


def test_reports_come_back_from_their_record() -> None:
    reports = {"a" * 64: '{"totalBytes":1}', "b" * 64: "zlib:x"}
    assert recorded_reports(inspected_record(agent(), reports)) == reports


@pytest.mark.parametrize("data", [None, {}, {"reports.json": "[1]"}, {"reports.json": "{"}])
def test_a_record_that_was_tampered_with_is_none(data: Any) -> None:
    assert recorded_reports({"data": data}) == {}
