"""The records of decisions that the operator remembers, asked of the replica that leads."""

from urllib.parse import urlencode

from kubernetes.aio import client

from trireme.api import kinds, names
from trireme.edge import port_forward
from trireme.edge.cluster import Cluster
from trireme.edge.leader import LEASE_NAME
from trireme.errors import ClusterError, RecordsUnavailable

_OK, _FORBIDDEN, _NOT_FOUND = 200, 403, 404


async def decision_records(
    api: client.ApiClient, operator_namespace: str, port: int, namespace: str, agent: str
) -> list[str]:
    """The lines that the operator has of one agent, oldest first.

    Raises RecordsUnavailable where none leads, none may be asked, or it does not know the agent.
    """
    try:
        lease = await Cluster(api).get(kinds.LEASE, operator_namespace, LEASE_NAME)
        holder = (lease or {}).get("spec", {}).get("holderIdentity")
        if not holder:
            words = f"no operator leads in namespace {operator_namespace}"
            raise RecordsUnavailable(f"{words} (TRIREME_OPERATOR_NAMESPACE names another)")
        query = urlencode({"namespace": namespace, "agent": agent})
        target = f"{names.DECISIONS_PATH}?{query}"
        status, body = await port_forward.get(api, operator_namespace, holder, port, target)
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
