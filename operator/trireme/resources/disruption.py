"""PodDisruptionBudgets: one pod of a kind at a time leaves for a node's sake. Pure."""

from trireme.api import kinds, names
from trireme.api.agent import AgentDeployment
from trireme.resources.metadata import Manifest, child, gateway_selector


def disruption_budgets(agent: AgentDeployment) -> tuple[Manifest, ...]:
    """One for the servers of every track, one for the gateway."""
    name = agent.metadata.name
    budgets = [_budget(agent, names.server(name), {names.AGENT: name})]
    if agent.spec.gateway.enabled:
        budgets.append(_budget(agent, names.gateway(name), gateway_selector(agent)))
    return tuple(budgets)


def _budget(agent: AgentDeployment, name: str, selector: dict[str, str]) -> Manifest:
    # maxUnavailable, since minAvailable 1 would block the drain of a node for ever where there is
    # one pod; AlwaysAllow, so that a pod that never became ready does not block it either.
    return child(
        agent,
        kinds.POD_DISRUPTION_BUDGET,
        name,
        spec={
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": selector},
        },
    )
