"""All children of an agent together."""

import re
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agents import agent_of, directory_of, repository_of
from trireme.api import names
from trireme.modelrepo.repository import ClaimFolder
from trireme.resources.desired import desired_objects
from trireme.resources.initial_size import initial_sizes
from trireme.resources.options import Discovery, ResourceOptions

OPTIONS = ResourceOptions("registry.example/envoy:v1.36.2", discovery=Discovery.POD_MONITOR)
DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
CONFIG_KEY = re.compile(r"(?!\.\.)[-._a-zA-Z0-9]{1,253}")

AGENT_NAMES = st.from_regex(names.AGENT_NAME_PATTERN, fullmatch=True).filter(
    lambda name: len(name) <= names.AGENT_NAME_MAX_LENGTH
)
MODEL_NAMES = st.from_regex(names.MODEL_NAME_PATTERN, fullmatch=True)


def objects(**spec: Any) -> tuple[dict[str, Any], ...]:
    return desired_objects(agent_of(**spec), repository_of(), OPTIONS, initial_replicas={})


def test_what_a_pod_needs_is_applied_before_it() -> None:
    kinds = [found["kind"] for found in objects()]

    assert list(dict.fromkeys(kinds)) == [
        "ConfigMap",
        "ServiceAccount",
        "Service",
        "PodDisruptionBudget",
        "Deployment",
        "PodMonitor",
    ]


def test_pod_monitors_have_the_labels_that_prometheus_selects_by_and_keep_their_own() -> None:
    chosen = {"release": "prometheus", names.OWNER: "nobody"}
    options = replace(OPTIONS, pod_monitor_labels=chosen)
    found = desired_objects(agent_of(), repository_of(), options, initial_replicas={})
    monitors = [each["metadata"]["labels"] for each in found if each["kind"] == "PodMonitor"]
    assert len(monitors) == 2
    for labels in monitors:
        assert labels["release"] == "prometheus"
        assert labels[names.OWNER] == "echo"


def test_every_child_is_labelled_and_owned() -> None:
    for found in objects():
        metadata = found["metadata"]
        assert metadata["namespace"] == "default"
        assert metadata["labels"]["trireme.dev/owner"] == "echo"
        assert metadata["labels"]["app.kubernetes.io/managed-by"] == "trireme"
        (owner,) = metadata["ownerReferences"]
        assert owner == {
            "apiVersion": "trireme.dev/v1alpha1",
            "kind": "AgentDeployment",
            "name": "echo",
            "uid": "0f5e",
            "controller": True,
            "blockOwnerDeletion": True,
        }


def test_the_same_agent_gives_the_same_objects() -> None:
    assert objects() == objects()


def test_without_a_gateway_the_service_selects_the_servers_and_nothing_of_it_is_left() -> None:
    found = objects(gateway={"enabled": False})

    assert not [o for o in found if "gateway" in o["metadata"]["name"]]
    service = next(o for o in found if o["kind"] == "Service" and o["metadata"]["name"] == "echo")
    assert service["spec"]["selector"] == {"trireme.dev/agent": "echo"}


def test_gateway_pods_are_not_server_pods() -> None:
    found = objects()

    gateway = next(
        o for o in found if o["kind"] == "Deployment" and o["metadata"]["name"] == "echo-gateway"
    )
    labels = gateway["spec"]["template"]["metadata"]["labels"]
    assert "trireme.dev/agent" not in labels
    assert labels["trireme.dev/gateway"] == "echo"


def test_an_account_of_the_users_is_used_and_none_is_made() -> None:
    image = "registry.example/triton:24.10-py3"

    found = objects(server={"image": image, "serviceAccountName": "bucket-reader"})

    accounts = [o["metadata"]["name"] for o in found if o["kind"] == "ServiceAccount"]
    assert accounts == ["echo-gateway"]


@given(AGENT_NAMES, MODEL_NAMES)
def test_every_allowed_name_gives_allowed_names(agent_name: str, model_name: str) -> None:
    models = (
        directory_of(model_name),
        directory_of(f"{model_name[:120]}.claim", files={}, mounts={1: ClaimFolder("c.d", "")}),
    )
    agent = agent_of(name=agent_name, model=model_name)

    found = desired_objects(
        agent, repository_of(*models), OPTIONS, initial_replicas=initial_sizes(agent, None)
    )

    identities = [(o["kind"], o["metadata"]["name"]) for o in found]
    assert len(set(identities)) == len(identities)
    assert all(DNS_LABEL.fullmatch(name) for _, name in identities)
    for each in found:
        assert all(CONFIG_KEY.fullmatch(key) for key in each.get("data", {}))
        if each["kind"] == "Deployment":
            volumes = [v["name"] for v in each["spec"]["template"]["spec"]["volumes"]]
            assert len(set(volumes)) == len(volumes)
            assert all(DNS_LABEL.fullmatch(volume) for volume in volumes)
