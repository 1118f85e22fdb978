"""What `explain` and `replay` ask the cluster for: an agent, and the records of its decisions."""

from trireme.admission.parse import parse_agent, readable_status
from trireme.api import kinds
from trireme.api.types import AgentSpec
from trireme.autoscaler.explain import Agent
from trireme.errors import ClusterError, InvalidSpec, RecordsUnavailable
from trireme.settings import Settings


async def read_agent(
    name: str, namespace: str | None
) -> tuple[Agent, list[str], RecordsUnavailable | None]:
    """An agent, and the lines that the operator has of its decisions, or why there are none.

    Raises ClusterError where the cluster does not tell of the agent.
    """
    from trireme.edge.cluster import Cluster, connect, current_namespace  # the API client: slow
    from trireme.edge.decision_records import decision_records

    namespace = namespace or current_namespace()
    settings = Settings()
    async with await connect() as api:
        body = await Cluster(api).get(kinds.AGENT_DEPLOYMENT, namespace, name)
        if body is None:
            raise ClusterError(0, f"there is no AgentDeployment {namespace}/{name}")
        status = readable_status(body.get("status"))
        agent = Agent(namespace, name, _spec(body), status)
        try:
            lines = await decision_records(
                api, settings.operator_namespace, settings.decisions_port, namespace, name
            )
        except RecordsUnavailable as error:
            return agent, [], error
    return agent, lines, None


def _spec(body: dict[str, object]) -> AgentSpec | None:
    """The spec as it is now, which may be one that was refused; None where it cannot be read."""
    try:
        return parse_agent(body).spec
    except InvalidSpec:
        return None
