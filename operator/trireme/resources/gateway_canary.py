"""What a gateway has for canaries: changing routes, and copies of requests. Pure."""

from trireme.api.agent import AgentSpec
from trireme.api.gateway_clusters import Protocol
from trireme.api.rollout import Mirror, RolloutStrategy
from trireme.api.scalars import quantity_value


def has_routes_of_its_own(spec: AgentSpec) -> bool:
    """Whether the gateway reads its routes from files, so that they change while it runs."""
    return spec.gateway.enabled and spec.rollout.strategy is RolloutStrategy.CANARY


def mirror_of(spec: AgentSpec) -> Mirror | None:
    """How requests are copied while a canary runs; None where none are."""
    return spec.rollout.canary.mirror if has_routes_of_its_own(spec) else None


def largest_copy_bytes(mirror: Mirror) -> int:
    """The largest request that is copied."""
    return int(quantity_value(mirror.max_size))


def comparer_cluster(protocol: Protocol) -> str:
    """The name of the cluster that copies go to."""
    return f"comparer_{protocol}"
