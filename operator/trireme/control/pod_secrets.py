"""The Secrets that an agent's pods mount or name: made of the operator's keys, and never read."""

from dataclasses import dataclass

from trireme.api.agent import AgentDeployment
from trireme.api.conditions import Reason
from trireme.api.node_cache import NodeCacheKey
from trireme.control.store import AgentView
from trireme.edge.cluster import Cluster
from trireme.resources.control import OperatorKey, control_secret
from trireme.resources.node_cache import node_cache_secret, wants_node_cache


@dataclass(frozen=True, slots=True)
class Keys:
    """What agents' keys are derived from, and their tokens, where nodes have a cache."""

    control: OperatorKey
    node_cache: NodeCacheKey | None = None


async def ensure_secrets(
    cluster: Cluster, keys: Keys, view: AgentView, agent: AgentDeployment
) -> None:
    """Create the Secrets that the pods mount or name. Raises ClusterError.

    They are not watched, for the operator may read no Secret: that one is gone shows in pods.
    """
    secrets = [control_secret(agent, keys.control)]
    if keys.node_cache is not None and wants_node_cache(agent):
        secrets.append(node_cache_secret(agent, keys.node_cache))
    for secret in secrets:
        name = secret["metadata"]["name"]
        if name not in view.secrets or _some_container_fails(view):
            await cluster.ensure(secret)
            view.secrets.add(name)


def _some_container_fails(view: AgentView) -> bool:
    pods = view.server_pods
    return any(p.trouble is not None and p.trouble.reason is Reason.CONTAINER_FAILED for p in pods)
