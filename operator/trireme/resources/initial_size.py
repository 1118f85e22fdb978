"""The size that a new Deployment is made with. Pure."""

from trireme.api.types import AgentDeployment, ScalingMode


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
