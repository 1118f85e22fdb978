"""The pods that the gateway sends requests to, and how it chooses among them. Pure.

Part of the configuration that `envoy` tells of.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from trireme.api import names
from trireme.api.agent import AgentDeployment, AgentSpec
from trireme.api.gateway_clusters import Protocol, Purpose, cluster_name
from trireme.resources.drain import DNS_REFRESH_SECONDS
from trireme.resources.envoy_terms import TRITON_PORTS, TYPES, address, duration
from trireme.resources.gateway_canary import comparer_cluster, largest_copy_bytes, mirror_of
from trireme.resources.options import ResourceOptions
from trireme.resources.services import service_host

ADMIN_PORT = 9901
LOOPBACK = "127.0.0.1"
ADMIN_CLUSTER = "admin"

_DNS_REFRESH = f"{DNS_REFRESH_SECONDS}s"
_CONNECT_TIMEOUT = timedelta(seconds=2)
_CHOICES_OF_CLASSES = 16  # so that nearly all pods of a usual fleet are seen
_UPSTREAM_IDLE_TIMEOUT = timedelta(seconds=30)  # Triton itself never closes an idle connection
_COMPARER_PING = {"interval": "2s", "timeout": "3s"}  # one that is frozen takes nothing any more
_MOST_CONNECTIONS = 1_000_000


def pods_cluster(
    agent: AgentDeployment, options: ResourceOptions, purpose: Purpose, protocol: Protocol
) -> dict[str, Any]:
    """The stable pods."""
    name = cluster_name(purpose, protocol)
    pods = _endpoints(agent, options, names.pods_service(agent.metadata.name), protocol)
    return _cluster(agent.spec, name, protocol, [pods])


def canary_cluster(
    agent: AgentDeployment, options: ResourceOptions, purpose: Purpose, protocol: Protocol
) -> dict[str, Any]:
    """The canary's pods; the stable ones where none of these answers, and for as many requests as
    is the part of these that does not, less a reserve of 40 %.
    """
    name = cluster_name(purpose, protocol, names.TRACK_CANARY)
    canary = _endpoints(agent, options, names.canary(agent.metadata.name), protocol)
    stable = _endpoints(agent, options, names.pods_service(agent.metadata.name), protocol)
    return _cluster(agent.spec, name, protocol, [canary, {"priority": 1, **stable}])


def comparer_clusters(agent: AgentDeployment, options: ResourceOptions) -> Iterator[dict[str, Any]]:
    """Where copies go. What is under way to it is bounded, so that the gateway never holds many."""
    mirror = mirror_of(agent.spec)
    if mirror is None:
        return
    bounds = ("max_connections", "max_requests", "max_pending_requests")
    thresholds = {**dict.fromkeys(bounds, mirror.max_in_flight), "max_retries": 0}
    for protocol in Protocol:
        comparer = _endpoints(agent, options, names.comparer(agent.metadata.name), protocol)
        name = comparer_cluster(protocol)
        cluster = _cluster(agent.spec, name, protocol, [comparer], ping=_COMPARER_PING)
        yield {
            **cluster,
            "circuit_breakers": {"thresholds": [thresholds]},
            # Envoy stops reading a request whose copy fills its buffer, until the copy is taken or
            # its connection is given up.
            "per_connection_buffer_limit_bytes": largest_copy_bytes(mirror),
        }


def _endpoints(
    agent: AgentDeployment, options: ResourceOptions, service: str, protocol: Protocol
) -> dict[str, Any]:
    host = service_host(agent, options, service)
    return {"lb_endpoints": [{"endpoint": {"address": address(host, TRITON_PORTS[protocol])}}]}


def _cluster(
    spec: AgentSpec,
    name: str,
    protocol: Protocol,
    endpoints: list[dict[str, Any]],
    ping: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    http_options = f"{TYPES}.upstreams.http.v3.HttpProtocolOptions"
    return {
        "name": name,
        "cluster_type": {
            "name": "envoy.clusters.dns",
            "typed_config": {
                "@type": f"{TYPES}.clusters.dns.v3.DnsCluster",
                "dns_lookup_family": "V4_ONLY",  # Triton listens on 0.0.0.0
                "dns_refresh_rate": _DNS_REFRESH,
                "dns_failure_refresh_rate": {
                    "base_interval": _DNS_REFRESH,
                    "max_interval": _DNS_REFRESH,
                },
                "respect_dns_ttl": False,
            },
        },
        "connect_timeout": duration(_CONNECT_TIMEOUT),
        "lb_policy": "LEAST_REQUEST",
        **_choices(spec),
        "circuit_breakers": {"thresholds": [_thresholds(spec)]},
        "outlier_detection": _outlier_detection(),
        # A node that died answers nothing; noticed after 10 + 3 x 5 = 25 s instead of two hours.
        "upstream_connection_options": {
            "tcp_keepalive": {
                "keepalive_time": 10,
                "keepalive_interval": 5,
                "keepalive_probes": 3,
            }
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": http_options,
                "common_http_protocol_options": {"idle_timeout": duration(_UPSTREAM_IDLE_TIMEOUT)},
                "explicit_http_config": (
                    {"http_protocol_options": {}}
                    if protocol is Protocol.HTTP
                    else {"http2_protocol_options": {"connection_keepalive": ping} if ping else {}}
                ),
            }
        },
        "load_assignment": {"cluster_name": name, "endpoints": endpoints},
    }


def _thresholds(spec: AgentSpec) -> Mapping[str, Any]:
    """Only waiting is bounded here: what a pod has accepted is Triton's to queue or refuse."""
    return {
        "max_connections": _MOST_CONNECTIONS,
        "max_requests": _MOST_CONNECTIONS,
        "max_pending_requests": spec.gateway.max_pending_requests,
        # As many as may wait: when a pod goes, each request that waited for it tries another.
        "max_retries": spec.gateway.max_pending_requests,
    }


def _choices(spec: AgentSpec) -> dict[str, Any]:
    """Of how many pods taken at random the least busy has a request: two, unless their classes
    differ. Of two, no more than 1 - (1 - f)^2 of the requests would go to a share f of the pods,
    and a few fast ones could not have their part: of 6 pods two that are three times as fast.
    """
    if not spec.server.node_classes:
        return {}
    return {"least_request_lb_config": {"choice_count": _CHOICES_OF_CLASSES}}


def _outlier_detection() -> Mapping[str, Any]:
    """A pod that cannot be reached is left out for a while, but never more than half of them.

    Only what Envoy itself sees counts (refused, reset, timed out). A 503 of Triton's is its full
    queue: to leave that pod out would push its load onto the next one, until none is left.
    """
    return {
        "split_external_local_origin_errors": True,
        "consecutive_local_origin_failure": 5,
        "enforcing_consecutive_local_origin_failure": 100,
        "enforcing_local_origin_success_rate": 0,
        "enforcing_consecutive_5xx": 0,
        "enforcing_consecutive_gateway_failure": 0,
        "enforcing_success_rate": 0,
        "interval": "1s",
        "base_ejection_time": "5s",
        "max_ejection_time": "30s",
        "max_ejection_percent": 50,
        "always_eject_one_host": False,
    }


def admin_cluster() -> Mapping[str, Any]:
    """Envoy's own administration, of which the metrics port passes some on."""
    endpoint = {"endpoint": {"address": address(LOOPBACK, ADMIN_PORT)}}
    return {
        "name": ADMIN_CLUSTER,
        "type": "STATIC",
        "connect_timeout": duration(_CONNECT_TIMEOUT),
        "load_assignment": {
            "cluster_name": ADMIN_CLUSTER,
            "endpoints": [{"lb_endpoints": [endpoint]}],
        },
    }
