"""The Service that clients use, and the headless ones that the gateway resolves. Pure."""

from trireme.api import kinds, names
from trireme.api.agent import AgentDeployment
from trireme.resources.metadata import Manifest, child, gateway_selector, server_selector
from trireme.resources.options import ResourceOptions
from trireme.resources.pod_sets import canary_set


def services(agent: AgentDeployment, *, through_gateway: bool) -> tuple[Manifest, ...]:
    """Both Services. Without a gateway clients reach the pods of every track, so that a canary
    takes its share; the gateway knows the tracks apart.
    """
    name = agent.metadata.name
    front = gateway_selector(agent) if through_gateway else {names.AGENT: name}
    return (
        child(
            agent,
            kinds.SERVICE,
            names.service(name),
            spec={"type": "ClusterIP", "selector": front, "ports": _PORTS},
        ),
        headless_service(agent, names.pods_service(name), server_selector(agent)),
    )


def canary_service(agent: AgentDeployment) -> Manifest:
    """The headless Service over the canary's pods: the gateway reaches them while it exists."""
    return headless_service(agent, names.canary(agent.metadata.name), canary_set(agent).selector)


def service_host(agent: AgentDeployment, options: ResourceOptions, service: str) -> str:
    """The name that a Service of the agent is resolved by.

    Complete, with its last dot: one question instead of one for each search domain, and none that
    leaves the cluster while no pod is ready.
    """
    return f"{service}.{agent.metadata.namespace}.svc.{options.cluster_domain}."


def headless_service(agent: AgentDeployment, name: str, selector: dict[str, str]) -> Manifest:
    """A Service by whose name the ready pods' addresses are found."""
    return child(
        agent,
        kinds.SERVICE,
        name,
        spec={
            "type": "ClusterIP",
            "clusterIP": "None",
            # A pod that is not ready, or is terminating, leaves the DNS answer, and with it the
            # gateway.
            "publishNotReadyAddresses": False,
            "selector": selector,
            "ports": _PORTS,
        },
    )


_PORTS = [
    {
        "name": "http",
        "port": names.HTTP_PORT,
        "targetPort": "http",
        "protocol": "TCP",
        "appProtocol": "http",
    },
    {
        "name": "grpc",
        "port": names.GRPC_PORT,
        "targetPort": "grpc",
        "protocol": "TCP",
        "appProtocol": "kubernetes.io/h2c",  # KEP-3726: HTTP/2 without TLS
    },
]
