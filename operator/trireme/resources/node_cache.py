"""An agent's access to the caches of the nodes: the Secret with its namespace's token. Pure."""

from trireme.api import kinds, names
from trireme.api.agent import AgentDeployment
from trireme.api.node_cache import NodeCacheKey
from trireme.errors import Fault
from trireme.resources.metadata import Manifest, child, server_labels
from trireme.resources.options import ResourceOptions


def node_cache_secret(agent: AgentDeployment, key: NodeCacheKey) -> Manifest:
    """The Secret with the token; created, never applied, as `control.control_secret` is."""
    metadata = agent.metadata
    return child(
        agent,
        kinds.SECRET,
        names.node_cache_secret(metadata.name, metadata.uid),
        labels=server_labels(agent),
        type="Opaque",
        immutable=True,
        stringData={names.NODE_CACHE_ENTRY: key.token(metadata.namespace)},
    )


def wants_node_cache(agent: AgentDeployment) -> bool:
    """Whether its pods keep what they fetch on their nodes, where these have a cache."""
    cache = agent.spec.download.cache
    return cache is not None and bool(cache.node)


def missing_node_cache(agent: AgentDeployment, options: ResourceOptions) -> tuple[Fault, ...]:
    """A warning: the spec asks for what this operator has not, and is served without it."""
    if not wants_node_cache(agent) or options.node_cache_url:
        return ()
    return (
        Fault(
            "spec.download.cache.node",
            None,
            "the nodes have no cache, so every pod fetches by itself",
            "Install the operator's chart with nodeCache.enabled: true, or name a claim",
        ),
    )
