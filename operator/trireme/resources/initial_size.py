"""The sizes that new Deployments of server pods are made with. Pure."""

from collections.abc import Iterable, Mapping

from trireme.api.agent import AgentDeployment
from trireme.api.scaling import ScalingMode
from trireme.resources.pod_sets import pod_sets


def initial_sizes(
    agent: AgentDeployment,
    desired: int | None,
    existing: Iterable[str] = (),
    by_class: Mapping[str, int] | None = None,
) -> dict[str, int]:
    """By name, the sizes of the agent's server Deployments that are not `existing` yet.

    A node class has what was last wanted of it, `by_class`. One that is new has its min where pods
    serve already, and the autoscaler says what more; of a new agent the cheapest pods are made.
    """
    known, sets = frozenset(existing), pod_sets(agent)
    total = initial_replicas(agent, desired)
    if not agent.spec.server.node_classes:
        return {pods.name: total for pods in sets if pods.name not in known}
    if by_class is None and agent.status.scaling is not None:
        by_class = {e.name: e.desired_replicas for e in agent.status.scaling.node_classes}
    rules = {each.name: each for each in agent.spec.server.node_classes}
    sizes = {name: (by_class or {}).get(name, rule.min) for name, rule in rules.items()}
    if not known and not by_class:
        left = total - sum(sizes.values())
        for rule in sorted(rules.values(), key=lambda rule: rule.price):
            room = left if rule.max is None else min(left, rule.max - rule.min)
            sizes[rule.name] += max(0, room)
            left -= max(0, room)
    return {p.name: sizes[p.node_class] for p in sets if p.name not in known}


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
