"""The size that a new Deployment is made with. Pure."""

from trireme.api.types import AgentDeployment, ScalingMode


def initial_replicas(agent: AgentDeployment, desired: int | None) -> int:
    """The size a new Deployment is made with: what was last wanted, so that one that was deleted
    by hand at 5 comes back as 5.
    """
    scaling = agent.spec.scaling
    if scaling.mode is not ScalingMode.AUTOMATIC and agent.spec.replicas is not None:
        return agent.spec.replicas
    if desired is None and agent.status.scaling is not None:
        desired = agent.status.scaling.desired_replicas
    return min(scaling.max, max(scaling.min, desired or 0))
