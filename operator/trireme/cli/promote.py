"""`trireme promote`: tell an agent to take its canary for good."""

from trireme.api import names
from trireme.cli.command import Agent, Namespace, tell


def promote(agent: Agent, namespace: Namespace = None) -> None:
    """Make an agent's pods what its canary is.

    It is done whatever the analysis says. It annotates the AgentDeployment; the operator consumes
    that and answers by an Event.
    """
    tell(agent, namespace, names.PROMOTE)
