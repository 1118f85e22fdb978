"""How Prometheus finds the pods: annotations or PodMonitors. Pure."""

from trireme.api import kinds, names
from trireme.api.agent import AgentDeployment
from trireme.resources.metadata import Manifest, child, gateway_selector, owner_labels
from trireme.resources.options import Discovery, ResourceOptions

SERVER_METRICS_PATH = "/metrics"
GATEWAY_METRICS_PATH = "/stats/prometheus"


def scrape_annotations(options: ResourceOptions, port: int, path: str) -> dict[str, str]:
    """Pod annotations that the usual `kubernetes-pods` scrape job reads, where they are wanted."""
    if options.discovery is not Discovery.ANNOTATIONS:
        return {}
    return {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(port),
        "prometheus.io/path": path,
    }


def pod_monitors(agent: AgentDeployment, options: ResourceOptions) -> tuple[Manifest, ...]:
    """One PodMonitor for the servers and one for the gateway, where PodMonitors are wanted."""
    if options.discovery is not Discovery.POD_MONITOR:
        return ()
    name = agent.metadata.name
    server = _monitor(
        agent,
        options,
        names.server(name),
        selector={names.AGENT: name},
        target_label=names.AGENT,
        path=SERVER_METRICS_PATH,
    )
    if not agent.spec.gateway.enabled:
        return (server,)
    gateway = _monitor(
        agent,
        options,
        names.gateway(name),
        selector=gateway_selector(agent),
        target_label=names.GATEWAY,
        path=GATEWAY_METRICS_PATH,
    )
    return server, gateway


def _monitor(
    agent: AgentDeployment,
    options: ResourceOptions,
    name: str,
    *,
    selector: dict[str, str],
    target_label: str,
    path: str,
) -> Manifest:
    interval = f"{options.scrape_interval_seconds}s"
    return child(
        agent,
        kinds.POD_MONITOR,
        name,
        # Those the operator was given, by which a Prometheus selects; ours win.
        labels={**options.pod_monitor_labels, **owner_labels(agent)},
        spec={
            "selector": {"matchLabels": selector},
            # Copied onto every sample, with . and / as _: trireme_dev_agent, trireme_dev_gateway.
            "podTargetLabels": [target_label],
            "podMetricsEndpoints": [
                {"port": "metrics", "path": path, "interval": interval, "scrapeTimeout": interval}
            ],
        },
    )
