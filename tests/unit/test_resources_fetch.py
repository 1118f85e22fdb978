"""How a server pod gets its models' files: the plan, the init container, its volumes."""

import hmac
import inspect
import json
from dataclasses import replace
from typing import Any

import pytest

from agents import agent_of, model_of, pods_of
from kubernetes_schemas import validate
from trireme.api import names
from trireme.api.agent import AgentDeployment
from trireme.api.fetch import FetchCache, FetchNodeCache, FetchPlan
from trireme.api.node_cache import NodeCacheKey
from trireme.cli.fetch import fetch
from trireme.modelrepo.render import render
from trireme.resources.control import OperatorKey
from trireme.resources.fetch import fetch_objects, fetch_plan
from trireme.resources.node_cache import missing_node_cache, node_cache_secret
from trireme.resources.options import Discovery, ResourceOptions
from trireme.resources.server import deployment, pod_template

OPTIONS = ResourceOptions(gateway_image="envoy", discovery=Discovery.NONE, operator_image="own:1")
KEY = NodeCacheKey(b"thirty-two bytes that are random")
S3 = {
    "uri": "s3://models/encoder/model.onnx",
    "sha256": "a" * 64,
    "endpoint": "https://minio.example.com",
    "region": "eu-1",
    "secretRef": {"name": "keys"},
}


def agent(source: dict[str, Any], **spec: Any) -> AgentDeployment:
    model = model_of("encoder", source=source, backend="onnxruntime", version=3)
    return agent_of(models=[model], **spec)


def plan_of(source: dict[str, Any], **spec: Any) -> FetchPlan | None:
    made = agent(source, **spec)
    return fetch_plan(made, render(made.spec, {}), OPTIONS)


def pod_of(source: dict[str, Any], **spec: Any) -> dict[str, Any]:
    made = agent(source, **spec)
    template = pod_template(pods_of(made), render(made.spec, {}), OPTIONS)
    found: dict[str, Any] = template["spec"]
    return found


def mount_paths(container: dict[str, Any]) -> dict[str, str]:
    return {each["mountPath"]: each["name"] for each in container["volumeMounts"]}


def test_the_plan_says_all_but_the_secret() -> None:
    plan = plan_of(S3)
    assert plan is not None
    (fetch,) = plan.fetches
    assert (fetch.model, fetch.version, fetch.uri) == ("encoder", 3, S3["uri"])
    assert (fetch.sha256, fetch.endpoint, fetch.region) == ("a" * 64, S3["endpoint"], "eu-1")
    assert (fetch.credentials, fetch.file_name) == ("keys", "model.onnx")


@pytest.mark.parametrize(
    "source",
    [
        pytest.param({"uri": "pvc://models/encoder/"}, id="a folder of a claim"),
        pytest.param({"image": {"reference": "example.com/encoder:3"}}, id="an image"),
    ],
)
def test_what_is_mounted_is_not_fetched(source: dict[str, Any]) -> None:
    assert plan_of(source) is None
    assert "initContainers" not in pod_of(source)


def test_the_server_reads_what_the_fetcher_has_written_and_cannot_write_it() -> None:
    pod = pod_of(S3)
    (fetcher,), (server,) = pod["initContainers"], pod["containers"]
    (version,) = [m for m in server["volumeMounts"] if m["mountPath"] == "/models/encoder/3"]
    assert (version["name"], version["subPath"]) == ("fetched", "encoder/3")
    assert version["readOnly"]
    assert mount_paths(fetcher)["/fetched"] == "fetched"
    assert fetcher["image"] == "own:1"


def test_credentials_are_files_of_a_secret_and_nothing_else_knows_them() -> None:
    pod = pod_of(S3)
    (fetcher,) = pod["initContainers"]
    name = mount_paths(fetcher)["/credentials/keys"]
    (volume,) = [each for each in pod["volumes"] if each["name"] == name]
    assert volume["secret"] == {"secretName": "keys", "defaultMode": 0o440, "optional": True}
    assert [each["name"] for each in fetcher["env"]] == ["HOME"]


def test_the_fetcher_can_be_held_at_an_image_while_the_operators_changes() -> None:
    pinned = replace(OPTIONS, operator_image="own:2", fetcher_image="own:1")
    made = agent(S3)
    pods, repository = pods_of(made), render(made.spec, {})
    assert pod_template(pods, repository, pinned) == pod_template(pods, repository, OPTIONS)


def test_a_file_of_a_claim_is_copied_out_of_it() -> None:
    (fetcher,) = pod_of({"uri": "pvc://models/encoder.onnx"})["initContainers"]
    assert "/claims/models" in mount_paths(fetcher)


def test_the_fetcher_is_as_restricted_as_the_server() -> None:
    pod = pod_of(S3, download={"memory": "1Gi", "env": [{"name": "HTTPS_PROXY", "value": "p"}]})
    (fetcher,) = pod["initContainers"]
    assert fetcher["securityContext"] == pod["containers"][0]["securityContext"]
    assert fetcher["resources"]["limits"] == {"memory": "1Gi"}
    assert {"name": "HTTPS_PROXY", "value": "p"} in fetcher["env"]
    assert pod["automountServiceAccountToken"] is False


@pytest.mark.parametrize(
    ("cache", "claim", "kinds"),
    [
        pytest.param({"claimName": "shared"}, "shared", ["ConfigMap"], id="a claim that exists"),
        pytest.param(
            {"storageClassName": "nfs"},
            "echo-cache",
            ["PersistentVolumeClaim", "ConfigMap"],
            id="one that is made",
        ),
    ],
)
def test_a_cache_is_mounted_where_the_plan_says(
    cache: dict[str, Any], claim: str, kinds: list[str]
) -> None:
    made = agent(S3, download={"cache": {**cache, "size": "1Gi"}})
    repository = render(made.spec, {})
    plan = fetch_plan(made, repository, OPTIONS)
    assert plan is not None
    assert isinstance(plan.cache, FetchCache)
    assert plan.cache.limit_bytes == 1024**3
    pod = pod_template(pods_of(made), repository, OPTIONS)["spec"]
    name = mount_paths(pod["initContainers"][0])[plan.cache.path]
    (volume,) = [each for each in pod["volumes"] if each["name"] == name]
    assert volume["persistentVolumeClaim"] == {"claimName": claim}
    assert [each["kind"] for each in fetch_objects(made, repository, OPTIONS)] == kinds


NODE = {"cache": {"node": True}}


def test_a_node_cache_is_an_address_and_a_token_that_only_the_fetcher_has() -> None:
    made = agent(S3, download=NODE)
    repository = render(made.spec, {})
    options = replace(OPTIONS, node_cache_url="http://cache.trireme:8004")
    plan = fetch_plan(made, repository, options)
    assert plan is not None
    assert plan.cache == FetchNodeCache(url="http://cache.trireme:8004/v1/default")
    pod = pod_template(pods_of(made), repository, options)["spec"]
    (fetcher,), (server,) = pod["initContainers"], pod["containers"]
    name = mount_paths(fetcher)["/etc/trireme/node-cache"]
    assert name not in mount_paths(server).values()
    (volume,) = [each for each in pod["volumes"] if each["name"] == name]
    secret = node_cache_secret(made, KEY)
    assert volume["secret"]["secretName"] == secret["metadata"]["name"]
    assert volume["secret"]["optional"] is True
    (entry,) = secret["stringData"]
    default = inspect.signature(fetch).parameters["cache_token"].default
    assert str(default) == f"/etc/trireme/node-cache/{entry}"
    told = json.dumps([pod, *fetch_objects(made, repository, options)])
    assert KEY.token("default") not in told
    assert "hostPath" not in told


def test_where_the_nodes_have_no_cache_a_spec_that_asks_for_one_is_served_and_warned_of() -> None:
    made, without = agent(S3, download=NODE), agent(S3)
    repository = render(made.spec, {})
    assert pod_template(pods_of(made), repository, OPTIONS) == pod_template(
        pods_of(without), repository, OPTIONS
    )
    (warning,) = missing_node_cache(made, OPTIONS)
    assert str(warning).startswith("spec.download.cache.node: the nodes have no cache")
    assert "nodeCache.enabled: true" in str(warning)
    assert missing_node_cache(without, OPTIONS) == ()
    options = replace(OPTIONS, node_cache_url="http://cache.trireme:8004")
    assert missing_node_cache(made, options) == ()


def test_a_token_is_a_namespaces_own_and_goes_with_its_agent() -> None:
    made = agent(S3, download=NODE)
    secret = node_cache_secret(made, KEY)
    validate(secret)
    assert secret["immutable"] is True
    assert [owner["uid"] for owner in secret["metadata"]["ownerReferences"]] == ["0f5e"]
    (token,) = secret["stringData"].values()
    assert token == hmac.digest(KEY.secret, b"node-cache/default", "sha256").hex()
    assert token not in (KEY.token("others"), OperatorKey(KEY.secret).of_agent("default"))
    assert repr(KEY) == "NodeCacheKey()"
    assert len(names.node_cache_secret("a" * names.AGENT_NAME_MAX_LENGTH, "0f5e")) <= 63
    assert secret["metadata"]["name"] != names.control_secret("echo", "0f5e")


def test_the_objects_are_what_kubernetes_knows() -> None:
    made = agent(S3, download={"cache": {"storageClassName": "nfs"}, "storage": "9Gi"})
    repository = render(made.spec, {})
    objects = (
        *fetch_objects(made, repository, OPTIONS),
        deployment(pods_of(made), repository, OPTIONS, initial_replicas=1),
    )
    for each in objects:
        validate(each)
    (text,) = objects[1]["data"].values()
    assert FetchPlan.model_validate_json(text) == fetch_plan(made, repository, OPTIONS)
    assert json.loads(text)["limitBytes"] == 9 * 1024**3


def test_another_plan_has_another_name_and_so_replaces_pods() -> None:
    one, other = pod_of(S3), pod_of({**S3, "sha256": "b" * 64})
    assert one["volumes"] != other["volumes"]
