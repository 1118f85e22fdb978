"""The sizes that new Deployments of server pods are made with. Pure."""

from collections.abc import Iterable

from trireme.api.types import AgentDeployment, ScalingMode
from trireme.resources.pod_sets import pod_sets


def initial_sizes(
    agent: AgentDeployment, desired: int | None, existing: Iterable[str] = ()
) -> dict[str, int]:
    """By name, the sizes of the agent's server Deployments that are not `existing` yet."""
    known = frozenset(existing)
    size = initial_replicas(agent, desired)
    return {pods.name: size for pods in pod_sets(agent) if pods.name not in known}


def initial_replicas(agent: AgentDeployment, desired: int | None) -> int:
    """The size a new Deployment is made with: what was last wanted, so that one that was deleted
    by hand at 5 comes back as 5. Which bounds hold by now, if some have their times, is the
    autoscaler's to say: until its next round any of them may.
    """
    scaling = agent.spec.scaling
    if scaling.mode is not ScalingMode.AUTOMATIC and agent.spec.replicas is not None:
        return agent.spec.replicas
    if desired is None and agent.status.scaling is not None:
        desired = agent.status.scaling.desired_replicas
    if desired is None:
        return max(1, scaling.min)  # of one that may have none: its models are seen to load once
    least = min([scaling.min, *(s.min for s in scaling.schedules if s.min is not None)])
    most = max([scaling.max, *(s.max for s in scaling.schedules if s.max is not None)])
    return min(most, max(least, desired))
