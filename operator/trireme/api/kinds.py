"""The Kubernetes kinds Trireme reads and writes, each with the path that reaches it."""

from dataclasses import dataclass

from trireme.api import names


@dataclass(frozen=True, slots=True)
class Kind:
    """A namespaced kind: `plural` is the last word of its REST path."""

    api_version: str
    name: str
    plural: str

    def path(self, namespace: str | None, name: str | None = None) -> str:
        """The REST path of one object, or of the collection where `name` is None.

        Without a namespace: of the collection over all namespaces.
        """
        root = (
            f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"
        )
        within = f"/namespaces/{namespace}" if namespace is not None else ""
        return f"{root}{within}/{self.plural}" + (f"/{name}" if name is not None else "")


AGENT_DEPLOYMENT = Kind(names.API_VERSION, names.KIND, names.PLURAL)
CONFIG_MAP = Kind("v1", "ConfigMap", "configmaps")
SECRET = Kind("v1", "Secret", "secrets")
SERVICE_ACCOUNT = Kind("v1", "ServiceAccount", "serviceaccounts")
SERVICE = Kind("v1", "Service", "services")
POD = Kind("v1", "Pod", "pods")
DEPLOYMENT = Kind("apps/v1", "Deployment", "deployments")
JOB = Kind("batch/v1", "Job", "jobs")
PERSISTENT_VOLUME_CLAIM = Kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims")
NETWORK_POLICY = Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies")
POD_DISRUPTION_BUDGET = Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
POD_MONITOR = Kind("monitoring.coreos.com/v1", "PodMonitor", "podmonitors")
EVENT = Kind("events.k8s.io/v1", "Event", "events")
POD_METRICS = Kind("metrics.k8s.io/v1beta1", "PodMetrics", "pods")
LEASE = Kind("coordination.k8s.io/v1", "Lease", "leases")

CHILD_KINDS = (
    CONFIG_MAP,
    SERVICE_ACCOUNT,
    SERVICE,
    NETWORK_POLICY,
    POD_DISRUPTION_BUDGET,
    DEPLOYMENT,
)
"""The kinds of children that are watched: a change to one is drift, and is repaired at once."""

_BY_NAME = {
    (kind.api_version, kind.name): kind
    for kind in (
        AGENT_DEPLOYMENT,
        *CHILD_KINDS,
        JOB,
        PERSISTENT_VOLUME_CLAIM,
        SECRET,
        POD,
        POD_MONITOR,
        EVENT,
        LEASE,
    )
}


def kind_of(api_version: str, name: str) -> Kind:
    """The kind of a manifest. Raises KeyError for one that Trireme does not handle."""
    return _BY_NAME[api_version, name]
