"""What `explain` and `replay` ask the cluster for: an agent, and the records of its decisions."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from trireme.admission.parse import parse_agent, readable_status
from trireme.api import kinds
from trireme.api.agent import AgentSpec
from trireme.api.conditions import ConditionType
from trireme.api.status import AgentStatus
from trireme.autoscaler.explain_known import Agent
from trireme.errors import ClusterError, InvalidSpec, RecordsUnavailable
from trireme.settings import read_settings

if TYPE_CHECKING:
    from trireme.edge.cluster import Cluster


async def read_agent(
    name: str, namespace: str | None
) -> tuple[Agent, list[str], RecordsUnavailable | None]:
    """An agent, and the lines that the operator has of its decisions, or why there are none.

    Raises ClusterError where the cluster does not tell of the agent.
    """
    from trireme.edge.cluster import Cluster, connect, current_namespace  # the API client: slow
    from trireme.edge.decision_records import decision_records

    namespace = namespace or current_namespace()
    settings = read_settings()
    async with await connect() as api:
        body = await Cluster(api).get(kinds.AGENT_DEPLOYMENT, namespace, name)
        if body is None:
            raise ClusterError(0, f"there is no AgentDeployment {namespace}/{name}")
        status = readable_status(body.get("status"))
        agent = Agent(namespace, name, await _accepted_spec(Cluster(api), body, status), status)
        try:
            lines = await decision_records(api, settings, namespace, name)
        except RecordsUnavailable as error:
            return agent, [], error
    return agent, lines, None


async def _accepted_spec(
    cluster: "Cluster", body: Mapping[str, Any], status: AgentStatus
) -> AgentSpec | None:
    """The spec that the agent runs by; None where it cannot be had."""
    from trireme.control.adopting import as_kept
    from trireme.control.recorded import remembered

    accepted = next((c for c in status.conditions if c.type == ConditionType.ACCEPTED), None)
    generation = body["metadata"].get("generation")
    try:
        if accepted and accepted.status == "True" and accepted.observed_generation == generation:
            return as_kept(parse_agent(body), status).spec
        ran_by = await remembered(cluster, dict(body))
    except (ClusterError, InvalidSpec):
        return None
    return ran_by.agent.spec if ran_by else None
