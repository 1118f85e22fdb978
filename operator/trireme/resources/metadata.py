"""What every child has in common: kind, name, labels, and the agent as its owner. Pure."""

from collections.abc import Mapping
from typing import Any

from trireme.api import names
from trireme.api.agent import AgentDeployment
from trireme.api.kinds import Kind

Manifest = dict[str, Any]
"""A Kubernetes object, or a part of one, in the API's own camelCase."""


def child(
    agent: AgentDeployment,
    kind: Kind,
    name: str,
    *,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    **body: Any,
) -> Manifest:
    """A child of the agent, in its namespace, which goes when the agent goes."""
    metadata: Manifest = {
        "name": name,
        "namespace": agent.metadata.namespace,
        "labels": {**owner_labels(agent), **(labels or {})},
        "ownerReferences": [
            {
                "apiVersion": names.API_VERSION,
                "kind": names.KIND,
                "name": agent.metadata.name,
                "uid": agent.metadata.uid,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }
    if annotations:
        metadata["annotations"] = dict(annotations)
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata, **body}


def owner_labels(agent: AgentDeployment) -> dict[str, str]:
    """The labels of every child of whatever kind, pods included."""
    return {names.OWNER: agent.metadata.name, names.MANAGED_BY: names.MANAGED_BY_VALUE}


def server_labels(agent: AgentDeployment) -> dict[str, str]:
    """The labels of server pods and of what belongs to them."""
    return {
        **owner_labels(agent),
        **server_selector(agent),
        names.COMPONENT: names.COMPONENT_SERVER,
    }


def server_selector(agent: AgentDeployment) -> dict[str, str]:
    """Selects the server pods of the stable track; immutable once a Deployment has it."""
    return {names.AGENT: agent.metadata.name, names.TRACK: names.TRACK_STABLE}


def gateway_labels(agent: AgentDeployment) -> dict[str, str]:
    """The labels of gateway pods and of what belongs to them."""
    return {
        **owner_labels(agent),
        **gateway_selector(agent),
        names.COMPONENT: names.COMPONENT_GATEWAY,
    }


def gateway_selector(agent: AgentDeployment) -> dict[str, str]:
    """Selects the gateway pods."""
    return {names.GATEWAY: agent.metadata.name}
