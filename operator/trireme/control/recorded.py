"""What an agent runs by, read from the cluster: its record, or the spec that it has now."""

import logging
from collections.abc import Iterable, Mapping

from trireme.admission.inspection.model_file import Inspection
from trireme.admission.inspection.report import from_report
from trireme.admission.parse import parse_agent
from trireme.admission.sources import AGENT_LIMIT_BYTES, too_much_for_an_agent
from trireme.api import kinds, names
from trireme.api.agent import AgentDeployment
from trireme.api.inspect import InspectPlan
from trireme.control.agent_state import Accepted
from trireme.control.examining import examined
from trireme.control.observed import owned_by
from trireme.control.store import Object
from trireme.edge.cluster import Cluster
from trireme.errors import InvalidSpec, UnreadableModel
from trireme.modelrepo.render import render
from trireme.modelrepo.sources import SourceFiles, config_map_names, source_files
from trireme.resources.preflight import recorded_reports
from trireme.resources.record import recorded_copies, recorded_sources, recorded_spec, rollback_of

logger = logging.getLogger(__name__)


async def remembered(cluster: Cluster, body: Object) -> Accepted | None:
    """What an agent last ran by, as an operator left it; None where nothing is left, or nothing
    that this version can read. Raises ClusterError.
    """
    return await _remembered(cluster, body, names.accepted_record(body["metadata"]["name"]))


async def remembered_candidate(cluster: Cluster, body: Object) -> Accepted | None:
    """The same of what its canary runs by."""
    return await _remembered(cluster, body, names.candidate_record(body["metadata"]["name"]))


async def _remembered(cluster: Cluster, body: Object, name: str) -> Accepted | None:
    namespace, agent_name = body["metadata"]["namespace"], body["metadata"]["name"]
    record = await cluster.get(kinds.CONFIG_MAP, namespace, name)
    if record is None or not owned_by(record, body["metadata"]["uid"]):
        return None
    try:
        agent = parse_agent({**body, "spec": recorded_spec(record)})
        copies = {
            model: await cluster.get(kinds.CONFIG_MAP, namespace, copy) or {}
            for model, copy in recorded_copies(record).items()
        }
        sources = recorded_sources(agent, copies)
        found = await examined(agent.spec, sources)
        if found.faults:
            raise InvalidSpec(found.faults)
    except (InvalidSpec, KeyError, ValueError) as error:
        logger.warning("%s/%s: its record %s is of no use: %s", namespace, agent_name, name, error)
        return None
    return Accepted(agent.model_copy(update={"spec": found.spec}), render(found.spec, sources))


async def recorded_rollback(cluster: Cluster, body: Object) -> str:
    """The digest of the candidate that an agent is not to try again, as an operator left it; empty
    where there is none. Raises ClusterError.
    """
    namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
    record = await cluster.get(kinds.CONFIG_MAP, namespace, names.accepted_record(name))
    if record is None or not owned_by(record, body["metadata"]["uid"]):
        return ""
    return rollback_of(record)


async def recorded_inspections(cluster: Cluster, body: Object) -> dict[str, str]:
    """Reports of what an agent's models' files say, by the digests of what was inspected, as an
    operator left them and as far as they can be read. Raises ClusterError.
    """
    namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
    record = await cluster.get(kinds.CONFIG_MAP, namespace, names.inspected_record(name))
    if record is None or not owned_by(record, body["metadata"]["uid"]):
        return {}
    return {key: text for key, text in recorded_reports(record).items() if is_report(text)}


def inspections_of(
    plans: Iterable[InspectPlan], reports: Mapping[str, str]
) -> dict[tuple[str, int], Inspection]:
    """What is known of each version that was inspected."""
    return {
        (plan.fetch.model, plan.fetch.version): from_report(reports[plan.digest])
        for plan in plans
        if plan.digest in reports
    }


def is_report(text: str) -> bool:
    """Whether a text is of an inspection."""
    try:
        from_report(text)
    except UnreadableModel:
        return False
    return True


async def live_sources(cluster: Cluster, agent: AgentDeployment) -> dict[str, SourceFiles | None]:
    """The files of each ConfigMap that an agent's models name; None where there is none. Raises
    ClusterError, and InvalidSpec where they are more than an agent may have.
    """
    found: dict[str, SourceFiles | None] = {}
    size = 0
    for name in config_map_names(agent.spec):
        config_map = await cluster.get(kinds.CONFIG_MAP, agent.metadata.namespace, name)
        files = None if config_map is None else source_files(config_map)
        size += sum(map(len, (files or {}).values()))
        if size > AGENT_LIMIT_BYTES:  # no more is read of it
            raise InvalidSpec([too_much_for_an_agent(size)])
        found[name] = files
    return found
