"""`trireme abort`: tell an agent to take its canary back."""

from trireme.api import names
from trireme.cli.command import Agent, Namespace, tell


def abort(agent: Agent, namespace: Namespace = None) -> None:
    """Take an agent's canary back.

    It is tried again once the spec changes. It annotates the AgentDeployment; the operator consumes
    that and answers by an Event.
    """
    tell(agent, namespace, names.ABORT)
