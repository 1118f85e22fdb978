"""The Job that optimises a model: what its containers are told, and what they can reach."""

from datetime import timedelta
from typing import Any

import pytest
import yaml

from agents import agent_of, model_of, repository_of
from kubernetes_schemas import validate
from trireme.api.agent import AgentDeployment
from trireme.api.fetch import FetchPlan
from trireme.api.optimization import Destination
from trireme.api.optimize import PROGRAM_SHA256, DeliveryPlan, OptimizationPlan, OptimizePlan
from trireme.api.sources import Source
from trireme.resources.desired import desired_objects
from trireme.resources.egress import Place, egress_rules, place_of, proxy_places
from trireme.resources.optimization import optimization_objects, optimization_policies
from trireme.resources.optimization_plans import (
    config_maps,
    content_digest,
    optimization_plan,
    served_entry,
)
from trireme.resources.options import Discovery, ResourceOptions

OPTIONS = ResourceOptions(
    gateway_image="envoy",
    discovery=Discovery.NONE,
    operator_image="own:1",
    optimizer_image="torch:1",
)
S3 = {
    "uri": "s3://models/encoder/model.onnx",
    "endpoint": "https://minio.example.com:9000",
    "secretRef": {"name": "keys"},
}
SAMPLES = {"uri": "https://data.example.com/samples.npz"}


def agent(
    source: dict[str, Any] | None = None,
    samples: dict[str, Any] | None = None,
    settings: dict[str, Any] | None = None,
    backend: str = "onnxruntime",
    asked: dict[str, Any] | None = None,
    **spec: Any,
) -> AgentDeployment:
    model = model_of("encoder", source=source or S3, backend=backend, version=3, maxBatchSize=8)
    optimization = {
        "destination": {"uri": "pvc://results/optimised/"},
        "models": [
            {
                "model": "encoder",
                "samples": samples or SAMPLES,
                "labels": "label",
                **(asked or {}),
            }
        ],
        **(settings or {}),
    }
    return agent_of(models=[model], objectives=[], optimization=optimization, **spec)


def plan_of(made: AgentDeployment, contents: dict[str, str] | None = None) -> OptimizationPlan:
    assert made.spec.optimization is not None
    (asked,) = made.spec.optimization.models
    return optimization_plan(made, asked, contents or {})


def job_of(made: AgentDeployment, contents: dict[str, str] | None = None) -> dict[str, Any]:
    assert made.spec.optimization is not None
    (asked,) = made.spec.optimization.models
    return dict(optimization_objects(made, asked, plan_of(made, contents), OPTIONS)[-1])


def pod_of(made: AgentDeployment, contents: dict[str, str] | None = None) -> dict[str, Any]:
    found: dict[str, Any] = job_of(made, contents)["spec"]["template"]["spec"]
    return found


def mounts_of(container: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["mountPath"]: each for each in container["volumeMounts"]}


def test_what_opens_the_model_has_neither_credentials_nor_claims_nor_the_destination() -> None:
    pod = pod_of(agent())
    check, fetch, optimize = pod["initContainers"]
    (deliver,) = pod["containers"]
    assert [(each["name"], each["image"]) for each in (check, fetch, optimize, deliver)] == [
        ("check-destination", "own:1"),
        ("fetch", "own:1"),
        ("optimize", "torch:1"),
        ("deliver", "own:1"),
    ]
    assert set(mounts_of(check)) == {"/etc/trireme/optimization", "/claims/results"}
    assert check["args"][-1] == "--check"
    assert "/credentials/keys" in mounts_of(fetch)
    assert set(mounts_of(optimize)) == {
        "/etc/trireme/optimization",
        "/model",
        "/samples",
        "/result",
        "/tmp",  # noqa: S108
    }
    assert mounts_of(optimize)["/model"]["readOnly"] is True
    assert set(mounts_of(deliver)) == {
        "/etc/trireme/optimization",
        "/result",
        "/claims/results",
    }
    assert mounts_of(deliver)["/result"]["readOnly"] is True


def test_the_pod_is_restricted_bounded_and_knows_nothing_of_the_cluster() -> None:
    made = agent(settings={"timeBudget": "10m", "resources": {"cpu": "3", "memory": "6Gi"}})
    pod = pod_of(made)
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    for container in (*pod["initContainers"], *pod["containers"]):
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert "memory" in container["resources"]["limits"]
    amounts = {"cpu": "3", "memory": "6Gi"}
    assert pod["initContainers"][2]["resources"] == {"requests": amounts, "limits": amounts}
    assert job_of(made)["spec"]["backoffLimit"] == 0
    assert job_of(made)["spec"]["ttlSecondsAfterFinished"] == 3600
    # Of the Job: a pod's own would not begin before it has a node.
    assert job_of(made)["spec"]["activeDeadlineSeconds"] == 2 * 600 + 3600 + 1800
    assert "activeDeadlineSeconds" not in pod
    empty = [each["emptyDir"] for each in pod["volumes"] if "emptyDir" in each]
    assert empty.count({"sizeLimit": "20Gi"}) == 3


@pytest.mark.parametrize(
    ("annotations", "eks", "azure"),
    [
        pytest.param({}, "optimize", "optimize", id="alone"),
        pytest.param(
            {
                "eks.amazonaws.com/skip-containers": "istio-proxy,other",
                "azure.workload.identity/skip-containers": "istio-proxy;other",
            },
            "istio-proxy,other,optimize",
            "istio-proxy;other;optimize",
            id="with those of the user",
        ),
        pytest.param(
            {"eks.amazonaws.com/skip-containers": "other,"},
            "other,optimize",
            "optimize",
            id="with none between two commas",
        ),
    ],
)
def test_webhooks_are_told_to_give_no_identity_to_what_opens_the_model(
    annotations: dict[str, str], eks: str, azure: str
) -> None:
    image = "example.com/triton:24.10-py3"
    template = {"metadata": {"annotations": annotations}}
    job = job_of(agent(server={"image": image, "podTemplate": template}))
    told = job["spec"]["template"]["metadata"]["annotations"]
    assert told["eks.amazonaws.com/skip-containers"] == eks
    assert told["azure.workload.identity/skip-containers"] == azure


def test_the_job_runs_where_the_servers_run_and_takes_no_gpu() -> None:
    placement = {"nodeSelector": {"cpu": "vnni"}, "tolerations": [{"key": "x"}]}
    server = {"image": "example.com/triton:24.10-py3", "placement": placement}
    pod = pod_of(agent(server=server))
    assert (pod["nodeSelector"], pod["tolerations"]) == ({"cpu": "vnni"}, [{"key": "x"}])
    assert "nvidia" not in str(pod)


def test_the_plans_are_annotations_that_the_containers_read_as_files() -> None:
    made = agent(settings={"techniques": ["fuse"], "maxAccuracyDrop": "1%"})
    job = job_of(made)
    template = job["spec"]["template"]
    told = template["metadata"]["annotations"]
    fetch = FetchPlan.model_validate_json(told["trireme.dev/fetch-plan"])
    assert [(each.model, each.version, each.file_name) for each in fetch.fetches] == [
        ("model", 1, "model.onnx"),
        ("samples", 1, ""),
    ]
    optimize = OptimizePlan.model_validate_json(told["trireme.dev/optimize-plan"])
    assert optimize == plan_of(made).optimize
    assert (optimize.metric, optimize.max_drop, optimize.max_batch) == ("accuracy", 0.01, 8)
    deliver = DeliveryPlan.model_validate_json(told["trireme.dev/delivery-plan"])
    assert deliver.uri == "pvc://results/optimised/"
    assert (deliver.file, deliver.program) == ("model.onnx", None)
    (items,) = [each["downwardAPI"]["items"] for each in template["spec"]["volumes"][:1]]
    assert {each["path"] for each in items} == {"fetch.json", "optimize.json", "deliver.json"}


@pytest.mark.parametrize(
    ("backend", "file", "program"),
    [
        pytest.param("python", "model.onnx", PROGRAM_SHA256, id="a program that is known"),
        pytest.param("pytorch", "model.pt", None, id="TorchScript"),
    ],
)
def test_what_is_delivered_is_what_the_backend_loads(
    backend: str, file: str, program: str | None
) -> None:
    plan = plan_of(agent(backend=backend)).deliver
    assert (plan.file, plan.program) == (file, program)


def test_files_of_config_maps_are_mounted_and_nothing_is_fetched() -> None:
    made = agent({"configMap": "files"}, {"configMap": "samples"})
    assert made.spec.optimization is not None
    assert config_maps(made, made.spec.optimization.models[0]) == {
        "model": "files",
        "samples": "samples",
    }
    pod = pod_of(made, {"model": "a" * 64, "samples": "b" * 64})
    _, optimize = pod["initContainers"]
    assert mounts_of(optimize)["/model"]["name"] == "model"
    maps = {each["name"]: each["configMap"] for each in pod["volumes"] if "configMap" in each}
    assert maps == {"model": {"name": "files"}, "samples": {"name": "samples"}}


def test_a_claim_that_is_source_and_destination_is_one_volume_read_only_where_it_is_read() -> None:
    source = {"uri": "pvc://results/encoder/"}
    pod = pod_of(agent(source, {"uri": "pvc://results/samples.npz"}))
    claims = [each for each in pod["volumes"] if "persistentVolumeClaim" in each]
    assert [each["persistentVolumeClaim"] for each in claims] == [{"claimName": "results"}]
    assert mounts_of(pod["initContainers"][1])["/claims/results"]["readOnly"] is True
    assert "readOnly" not in mounts_of(pod["containers"][0])["/claims/results"]


def test_the_target_is_told_in_seconds_and_bytes() -> None:
    made = agent(asked={"target": {"latency": "20ms", "size": "50Mi"}})
    optimize = plan_of(made).optimize
    assert (optimize.latency, optimize.size_bytes) == (timedelta(milliseconds=20), 50 * 2**20)
    none = plan_of(agent()).optimize
    assert (none.latency, none.size_bytes) == (None, None)
    assert plan_of(made).digest != plan_of(agent()).digest


def test_a_job_is_named_by_all_that_decides_what_comes_of_it() -> None:
    name = job_of(agent())["metadata"]["name"]
    assert name.startswith("echo-optimize-")
    assert job_of(agent(settings={"resources": {"cpu": "4"}}))["metadata"]["name"] == name
    for changed in (
        agent({**S3, "uri": "s3://models/encoder/other.onnx"}),
        agent(samples={"uri": "https://data.example.com/others.npz"}),
        agent(settings={"maxAccuracyDrop": "1%"}),
        agent(settings={"techniques": ["fuse"]}),
        agent(settings={"destination": {"uri": "pvc://others/"}}),
    ):
        assert job_of(changed)["metadata"]["name"] != name
    of_maps = agent({"configMap": "files"}, {"configMap": "samples"})
    names = {
        job_of(of_maps, {"model": digest * 64, "samples": "b" * 64})["metadata"]["name"]
        for digest in "ac"
    }
    assert len(names) == 2


def test_what_a_result_is_made_from_is_what_config_maps_hold_however_it_is_searched() -> None:
    of_maps = ({"configMap": "files"}, {"configMap": "samples"})
    contents = {"model": "a" * 64, "samples": "b" * 64}
    made_from = plan_of(agent(*of_maps), contents).made_from
    assert made_from is not None
    searched = agent(*of_maps, settings={"techniques": ["fuse"]})
    assert plan_of(searched, contents).made_from == made_from
    for what in contents:
        assert plan_of(agent(*of_maps), {**contents, what: "c" * 64}).made_from != made_from
    assert plan_of(agent()).made_from is None


def test_a_config_maps_digest_is_of_names_and_contents() -> None:
    digest = content_digest({"a": b"1", "b": b"2"})
    assert digest == content_digest({"b": b"2", "a": b"1"})
    assert digest != content_digest({"a": b"2", "b": b"1"})


def test_the_objects_are_what_kubernetes_knows() -> None:
    made = agent()
    assert made.spec.optimization is not None
    found = optimization_objects(made, made.spec.optimization.models[0], plan_of(made), OPTIONS)
    assert [each["kind"] for each in found] == ["ServiceAccount", "Job"]
    for manifest in (*found, *optimization_policies(made)):
        validate(manifest)


# ---------------------------------------------------------------------------------------- network


def test_the_policy_selects_the_pods_and_lets_them_reach_their_sources_ports_alone() -> None:
    made = agent()
    (policy,) = optimization_policies(made)
    labels = job_of(made)["spec"]["template"]["metadata"]["labels"]
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    ports = [
        (each["port"], each["protocol"])
        for rule in policy["spec"]["egress"]
        for each in rule["ports"]
    ]
    assert ports == [(53, "UDP"), (53, "TCP"), (443, "TCP"), (9000, "TCP")]


def test_with_volumes_and_config_maps_alone_nothing_is_reached_not_even_dns() -> None:
    (policy,) = optimization_policies(agent({"uri": "pvc://m/e/"}, {"configMap": "samples"}))
    assert policy["spec"]["egress"] == []


@pytest.mark.parametrize(
    ("optimization", "count"),
    [
        pytest.param(None, 0, id="without optimisation there is no policy"),
        pytest.param("Disabled", 0, id="nor where it is switched off"),
        pytest.param("Recommend", 1, id="it is a child like all others"),
    ],
)
def test_the_policy_is_among_what_is_applied(optimization: str | None, count: int) -> None:
    made = agent_of() if optimization is None else agent(settings={"mode": optimization})
    found = desired_objects(made, repository_of(), OPTIONS, initial_replicas={})
    assert [each["kind"] for each in found].count("NetworkPolicy") == count


@pytest.mark.parametrize(
    ("uri", "endpoint", "place"),
    [
        pytest.param("pvc://models/a/", None, None, id="a volume"),
        pytest.param("s3://bucket:x/a", None, (None, 443), id="a bucket"),
        pytest.param("s3://b/a", "http://minio:9000", (None, 9000), id="another store's port"),
        pytest.param("s3://b/a", "http://minio", (None, 80), id="another store without TLS"),
        pytest.param("s3://b/a", "https://10.1.2.3:9000", ("10.1.2.3", 9000), id="an address"),
        pytest.param("https://[fd00::1]/a", None, ("fd00::1", 443), id="an address of IPv6"),
        pytest.param("https://example.com:8443/a", None, (None, 8443), id="a host's port"),
        pytest.param("https://example.com:no/a", None, (None, 443), id="no number"),
        pytest.param("hf://owner/name@main/a", None, (None, 443), id="the hub"),
        pytest.param("oci://registry:5000/a:1", None, (None, 5000), id="a registry"),
    ],
)
def test_where_a_source_is_reached(uri: str, endpoint: str | None, place: Place | None) -> None:
    assert place_of(uri, endpoint) == place


def test_proxies_are_reached_too() -> None:
    variables = [
        ("HTTPS_PROXY", "http://proxy:3128"),
        ("http_proxy", "10.0.0.1:8080"),
        ("NO_PROXY", "example.com"),
        ("HOME", "/root"),
    ]
    assert proxy_places(variables) == [(None, 3128), ("10.0.0.1", 8080)]


def test_an_address_is_a_network_of_its_own() -> None:
    *_, named, numbered = egress_rules([("10.1.2.3", 9000), (None, 443), (None, 443)])
    assert "to" not in named
    assert numbered["to"] == [{"ipBlock": {"cidr": "10.1.2.3/32"}}]


# ------------------------------------------------------------------------------------------ result


@pytest.mark.parametrize(
    ("destination", "files", "source"),
    [
        pytest.param(
            {"uri": "pvc://results/"},
            {"model.onnx": "a" * 64},
            {"uri": "pvc://results/encoder/0f/1/model.onnx", "sha256": "a" * 64},
            id="a file is named with its digest",
        ),
        pytest.param(
            {"uri": "pvc://results/"},
            {"model.onnx": "a" * 64, "model.py": "b" * 64},
            {"uri": "pvc://results/encoder/0f/1/"},
            id="several files are a folder",
        ),
        pytest.param(
            {
                "uri": "s3://results/",
                "endpoint": "https://minio.example.com",
                "region": "eu-1",
                "secretRef": {"name": "keys"},
            },
            {"model.pt": "a" * 64},
            {
                "uri": "pvc://results/encoder/0f/1/model.pt",
                "sha256": "a" * 64,
                "endpoint": "https://minio.example.com",
                "region": "eu-1",
                "secretRef": {"name": "keys"},
            },
            id="a store is reached as the destination was",
        ),
    ],
)
def test_the_entry_that_serves_a_result(
    destination: dict[str, Any], files: dict[str, str], source: dict[str, Any]
) -> None:
    to = Destination.model_validate(destination)
    entry = yaml.safe_load(served_entry(to, "encoder", "pvc://results/encoder/0f/1/", files))
    assert entry == {"name": "encoder", "source": source}
    Source.model_validate(entry["source"])
