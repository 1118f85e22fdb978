"""The Service that clients use, and the headless one that the gateway resolves. Pure."""

from trireme.api import kinds, names
from trireme.api.types import AgentDeployment
from trireme.resources.metadata import Manifest, child, gateway_selector


def services(agent: AgentDeployment, *, through_gateway: bool) -> tuple[Manifest, ...]:
    """Both Services. They select pods of every track, so a canary takes its share."""
    pods = {names.AGENT: agent.metadata.name}
    front = gateway_selector(agent) if through_gateway else pods
    return (
        child(
            agent,
            kinds.SERVICE,
            names.service(agent.metadata.name),
            spec={"type": "ClusterIP", "selector": front, "ports": _PORTS},
        ),
        child(
            agent,
            kinds.SERVICE,
            names.pods_service(agent.metadata.name),
            spec={
                "type": "ClusterIP",
                "clusterIP": "None",
                # A pod that is not ready, or is terminating, leaves the DNS answer, and with it
                # the gateway.
                "publishNotReadyAddresses": False,
                "selector": pods,
                "ports": _PORTS,
            },
        ),
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
