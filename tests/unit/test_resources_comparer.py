"""What compares mirrored answers, as Kubernetes objects and in the gateway's routes."""

import json
from typing import Any

import pytest

from agents import agent_of, repository_of
from kubernetes_schemas import validate
from trireme.api.agent import AgentDeployment
from trireme.resources.canary import canary_objects
from trireme.resources.comparer import comparer_objects
from trireme.resources.desired import desired_objects
from trireme.resources.envoy import configuration
from trireme.resources.envoy_routes import route_files
from trireme.resources.options import ResourceOptions
from trireme.resources.routes import Share, config_map

OPTIONS = ResourceOptions("envoy", operator_image="registry.example/trireme:1")


def mirroring(strategy: str = "Canary", **mirror: Any) -> AgentDeployment:
    canary = {"mirror": {"share": "12.5%", **mirror}}
    return agent_of(rollout={"strategy": strategy, "canary": canary})


def made(agent: AgentDeployment, *, is_reachable: bool = True) -> set[str]:
    objects = canary_objects(
        agent,
        repository_of(),
        OPTIONS,
        digest="c" * 64,
        initial_replicas=1,
        is_reachable=is_reachable,
    )
    names = {f"{o['kind']} {o['metadata']['name']}" for o in objects}
    return {name for name in names if name.endswith("-comparer")}


@pytest.mark.parametrize(
    ("agent", "reachable", "objects"),
    [
        pytest.param(
            mirroring(),
            True,
            {"ServiceAccount echo-comparer", "Service echo-comparer", "Deployment echo-comparer"},
            id="while a canary may be asked",
        ),
        pytest.param(mirroring(), False, set(), id="not before it may be asked"),
        pytest.param(
            agent_of(rollout={"strategy": "Canary"}), True, set(), id="not without mirroring"
        ),
    ],
)
def test_a_comparer_is_there(agent: AgentDeployment, reachable: bool, objects: set[str]) -> None:
    assert made(agent, is_reachable=reachable) == objects


def test_without_a_canary_there_is_none() -> None:
    objects = desired_objects(mirroring(), repository_of(), OPTIONS, initial_replicas={})
    assert not [o for o in objects if "comparer" in o["metadata"]["name"]]


def test_its_objects_are_valid_and_its_pod_is_no_servers() -> None:
    account, service, deployment = comparer_objects(mirroring(), OPTIONS)
    for manifest in (account, service, deployment):
        validate(manifest)
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert labels["app.kubernetes.io/component"] == "comparer"
    assert "trireme.dev/agent" not in labels
    assert "trireme.dev/gateway" not in labels
    assert service["spec"]["selector"].items() <= labels.items()


def container_of(agent: AgentDeployment) -> dict[str, Any]:
    deployment = comparer_objects(agent, OPTIONS)[-1]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return dict(container)


def test_it_is_told_whom_to_ask_and_how_to_compare() -> None:
    agent = mirroring(
        maxInFlight=16,
        maxSize="1Mi",
        tolerance={"absolute": 0.5, "relative": "2%"},
        ignoreOutputs=["clock"],
        outputs=[
            {"name": "logits", "by": "Class"},
            {"name": "embedding", "by": "Direction", "minCosine": 0.95},
        ],
    )
    assert container_of(agent)["args"] == [
        "compare",
        "--stable=echo-pods.default.svc.cluster.local.",
        "--canary=echo-canary.default.svc.cluster.local.",
        "--max-in-flight=16",
        "--max-bytes=1048576",
        "--timeout-seconds=60",
        "--absolute=0.5",
        "--relative=0.02",
        "--ignore-output=clock",
        "--by-class=logits",
        "--by-direction=embedding=0.95",
    ]


@pytest.mark.parametrize(
    ("mirror", "memory"),
    [
        ({}, "384Mi"),
        ({"maxInFlight": 1, "maxSize": "64Mi"}, "1472Mi"),
        ({"maxInFlight": 100, "maxSize": "1Ki"}, "193Mi"),
    ],
)
def test_its_memory_holds_what_may_be_in_flight(mirror: dict[str, Any], memory: str) -> None:
    assert container_of(mirroring(**mirror))["resources"]["limits"] == {"memory": memory}


def policies(agent: AgentDeployment, weight: float) -> dict[str, list[Any]]:
    """By file, the routes' mirror policies, from the first route on."""
    found = {}
    for name, text in route_files(agent.spec, weight).items():
        (resource,) = json.loads(text)["resources"]
        (host,) = resource["virtual_hosts"]
        routes = [r.get("route", {}).get("request_mirror_policies") for r in host["routes"]]
        found[name] = [each for each in routes if each]
    return found


def test_a_share_of_inference_is_copied_while_a_canary_has_a_share() -> None:
    assert policies(mirroring(), 0.05) == {
        f"{protocol}.json": [
            [
                {
                    "cluster": f"comparer_{protocol}",
                    "runtime_fraction": {
                        "default_value": {"numerator": 125_000, "denominator": "MILLION"}
                    },
                    "disable_shadow_host_suffix_append": True,
                }
            ]
        ]
        for protocol in ("http", "grpc")
    }
    assert policies(mirroring(), 0.0) == {"http.json": [], "grpc.json": []}


def test_nothing_is_copied_for_a_canary_that_is_promoted_whatever_its_share() -> None:
    for share, is_copied in ((Share(0.5), True), (Share(0.5, mirrors=False), False)):
        for text in config_map(mirroring(), share)["data"].values():
            assert ("request_mirror_policies" in text) is is_copied


def clusters(agent: AgentDeployment) -> set[str]:
    resources = configuration(agent, OPTIONS)["static_resources"]
    return {cluster["name"] for cluster in resources["clusters"]}


def test_the_gateway_is_the_same_with_and_without_a_canary_and_knows_the_comparer() -> None:
    assert {"comparer_http", "comparer_grpc"} <= clusters(mirroring())
    assert not [n for n in clusters(agent_of(rollout={"strategy": "Canary"})) if "comparer" in n]
    assert not [n for n in clusters(mirroring("RollingUpdate")) if "comparer" in n]
    without, with_one = (
        desired_objects(
            mirroring(), repository_of(), OPTIONS, initial_replicas={}, share=Share(weight)
        )
        for weight in (0.0, 0.5)
    )
    assert _gateway(without) == _gateway(with_one)


def _gateway(objects: Any) -> Any:
    return next(o for o in objects if o["metadata"]["name"] == "echo-gateway")
