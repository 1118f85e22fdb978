"""The sets of an agent's server pods: its Deployments, and what tells their pods apart. Pure.

Here alone it is said how many there are. All of them serve the same models behind the same Service;
whoever means every server pod of an agent selects by `trireme.dev/agent`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from trireme.api import names
from trireme.api.agent import AgentDeployment
from trireme.api.node_classes import by_class
from trireme.resources.metadata import owner_labels


@dataclass(frozen=True, slots=True)
class PodSet:
    """The server pods of one Deployment, which is called `name`.

    `agent` is the agent as these pods have it: its `spec.server` is theirs. `node_class` is empty
    where the agent has no classes.
    """

    name: str
    agent: AgentDeployment
    node_class: str = ""
    track: str = names.TRACK_STABLE

    @property
    def selector(self) -> dict[str, str]:
        """Selects the pods; immutable once a Deployment has it."""
        of_class = {names.NODE_CLASS: self.node_class} if self.node_class else {}
        return {names.AGENT: self.agent.metadata.name, names.TRACK: self.track, **of_class}

    def selects(self, labels: Mapping[str, str]) -> bool:
        """Whether a server pod of the agent with these labels is of this set."""
        is_of_class = labels.get(names.NODE_CLASS, "") == self.node_class
        return is_of_class and all(labels.get(k) == value for k, value in self.selector.items())

    @property
    def is_canary(self) -> bool:
        """Whether they try a spec beside the stable pods."""
        return self.track == names.TRACK_CANARY

    @property
    def labels(self) -> dict[str, str]:
        """The labels of the pods and of their Deployment."""
        return {
            **owner_labels(self.agent),
            **self.selector,
            names.COMPONENT: names.COMPONENT_SERVER,
        }


def canary_set(agent: AgentDeployment, node_class: str = "") -> PodSet:
    """The pods that try an agent's spec beside the stable ones, as those of one class. That is none
    of their selector, which no later canary could change.
    """
    name = names.canary(agent.metadata.name)
    return PodSet(name, _as_of(agent, node_class), track=names.TRACK_CANARY)


def pod_sets(agent: AgentDeployment) -> tuple[PodSet, ...]:
    """The stable sets that an agent's spec asks for, in the order of the spec."""
    name = agent.metadata.name
    return tuple(
        PodSet(names.server_set(name, node_class), _as_of(agent, node_class), node_class)
        for node_class in by_class(agent.spec.server)
    )


def _as_of(agent: AgentDeployment, node_class: str) -> AgentDeployment:
    """The agent as the pods of a class have it."""
    if not node_class:
        return agent
    server = by_class(agent.spec.server)[node_class]
    return agent.model_copy(update={"spec": agent.spec.model_copy(update={"server": server})})
