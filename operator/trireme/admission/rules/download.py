"""How models' files are brought into pods. Pure."""

from collections.abc import Iterator

from trireme.api.agent import AgentSpec
from trireme.api.server import ModelCache
from trireme.errors import Fault

_PATH = "spec.download.cache"


def cache_is_not_one(spec: AgentSpec) -> Iterator[Fault]:
    """Two places to keep files in, or none."""
    cache = spec.download.cache
    if cache is None:
        return
    places = (cache.claim_name, cache.storage_class_name, cache.node)
    if sum(each is not None for each in places) != 1:
        yield Fault(
            _PATH,
            None,
            "exactly one of claimName, storageClassName and node must be set",
            "Say where fetched files are kept, once",
        )
    if cache.node is False:
        yield Fault(
            f"{_PATH}.node",
            False,
            "node must be true or left out",
            "Leave cache out where nothing is to be kept",
        )


# ------------------------------------------------------------------------------------- warnings


def size_is_the_nodes(spec: AgentSpec) -> Iterator[Fault]:
    """The cache of a node is shared by all agents, so that none of them says its size."""
    cache = spec.download.cache
    if cache is not None and cache.node and cache.size != ModelCache.model_fields["size"].default:
        yield Fault(
            f"{_PATH}.size",
            cache.size,
            "the size of a node's cache is not said here",
            "Set the chart's nodeCache.size, and remove this one",
        )
