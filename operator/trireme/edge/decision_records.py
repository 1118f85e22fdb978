"""The records of decisions that the operator remembers, asked of the replica that leads."""

from urllib.parse import urlencode

from kubernetes.aio import client

from trireme.api import kinds, names
from trireme.edge import port_forward
from trireme.edge.cluster import Cluster
from trireme.errors import ClusterError, RecordsUnavailable
from trireme.settings import Settings

_OK, _FORBIDDEN, _NOT_FOUND = 200, 403, 404


async def decision_records(
    api: client.ApiClient, settings: Settings, namespace: str, agent: str
) -> list[str]:
    """The lines that the operator has of one agent, oldest first.

    Raises RecordsUnavailable where none leads, none may be asked, or it does not know the agent.
    """
    operator_namespace = settings.operator_namespace
    try:
        lease = await Cluster(api).get(kinds.LEASE, operator_namespace, settings.lease_name)
        holder = (lease or {}).get("spec", {}).get("holderIdentity")
        if not holder:
            words = f"no operator leads in namespace {operator_namespace} by the Lease"
            raise RecordsUnavailable(
                f"{words} {settings.lease_name} (TRIREME_OPERATOR_NAMESPACE and "
                "TRIREME_LEASE_NAME name others)"
            )
        query = urlencode({"namespace": namespace, "agent": agent})
        target = f"{names.DECISIONS_PATH}?{query}"
        status, body = await port_forward.get(
            api, operator_namespace, holder, settings.decisions_port, target
        )
    except ClusterError as error:
        if error.status == _FORBIDDEN:
            may = f"get leases, and get and create pods/portforward, in {operator_namespace}"
            raise RecordsUnavailable(f"{error}: your account needs to {may}") from error
        raise RecordsUnavailable(str(error)) from error
    if status == _NOT_FOUND:
        raise RecordsUnavailable(body.strip())
    if status != _OK:
        raise RecordsUnavailable(f"the operator answered with HTTP {status}")
    return body.splitlines()
