"""The ServiceAccounts of the pods: without rights and without a mounted token. Pure."""

from trireme.api import kinds, names
from trireme.api.agent import AgentDeployment
from trireme.resources.metadata import Manifest, child


def service_accounts(agent: AgentDeployment) -> tuple[Manifest, ...]:
    """One for the servers, unless the user names one, and one for the gateway."""
    made = []
    if not agent.spec.server.service_account_name:
        made.append(server_account(agent))
    if agent.spec.gateway.enabled:
        made.append(names.gateway(agent.metadata.name))
    return tuple(
        child(agent, kinds.SERVICE_ACCOUNT, name, automountServiceAccountToken=False)
        for name in made
    )


def server_account(agent: AgentDeployment) -> str:
    """The name of the ServiceAccount that the server pods run as."""
    return agent.spec.server.service_account_name or names.server(agent.metadata.name)
