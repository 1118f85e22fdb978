"""What the operator, not the user, decides about every agent's objects."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from trireme.settings import Settings


class Discovery(StrEnum):
    """How Prometheus finds the pods."""

    POD_MONITOR = "PodMonitor"  # prometheus-operator's resource
    ANNOTATIONS = "Annotations"  # prometheus.io/scrape, port and path on the pods
    NONE = "None"  # the user has a scrape configuration


@dataclass(frozen=True, slots=True)
class ResourceOptions:
    """`operator_image` is this program's own, which fetches models in their pods where
    `fetcher_image` is empty; `optimizer_image` is it with torch; `gateway_image` is used where a
    spec names none; `scrape_interval_seconds` is asked for in PodMonitors, and `pod_monitor_labels`
    are theirs; `cluster_domain` ends the name by which the gateway resolves the server pods;
    `node_cache_url` is empty where nodes have no cache.
    """

    gateway_image: str
    discovery: Discovery = Discovery.ANNOTATIONS
    scrape_interval_seconds: int = 5
    cluster_domain: str = "cluster.local"
    pod_monitor_labels: Mapping[str, str] = field(default_factory=dict)
    operator_image: str = "trireme/operator"
    operator_image_pull_policy: str = "IfNotPresent"
    fetcher_image: str = ""
    node_cache_url: str = ""
    optimizer_image: str = "trireme/optimizer"
    optimizer_image_pull_policy: str = "IfNotPresent"

    @classmethod
    def of(cls, settings: Settings) -> "ResourceOptions":
        """What the operator's settings say."""
        return cls(
            gateway_image=settings.gateway_image,
            operator_image=settings.operator_image,
            fetcher_image=settings.fetcher_image,
            operator_image_pull_policy=settings.operator_image_pull_policy,
            discovery=Discovery(settings.discovery),
            scrape_interval_seconds=settings.scrape_interval_seconds,
            cluster_domain=settings.cluster_domain,
            pod_monitor_labels=settings.pod_monitor_labels,
            node_cache_url=settings.node_cache_url,
            optimizer_image=settings.optimizer_image,
            optimizer_image_pull_policy=settings.optimizer_image_pull_policy,
        )
