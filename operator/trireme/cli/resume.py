"""`trireme resume`: tell a running agent to take its size back."""

from trireme.api import names
from trireme.cli.command import Agent, Namespace, tell


def resume(agent: Agent, namespace: Namespace = None) -> None:
    """Scale an agent again whose size somebody else has set.

    It annotates the AgentDeployment; the operator consumes that and answers by an Event.
    """
    tell(agent, namespace, names.RESUME)
