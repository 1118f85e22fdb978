"""The gateway's Envoy configuration. Pure.

Requests go to clusters by what they are, all on the same pods, so that Envoy's statistics of a
cluster speak of one thing:

  cluster           requests                                                  timeout
  inference_http    POST /v2/models/M[/versions/V]/infer, /generate           gateway.requestTimeout
  inference_grpc    ModelInfer                                                gateway.requestTimeout
  stream_http       POST /v2/models/M[/versions/V]/generate_stream            none, but idle
  stream_grpc       ModelStreamInfer                                          none, but idle
  management_http   GET /v2...: health, metadata, configuration, statistics   gateway.requestTimeout
  management_grpc   the same by gRPC                                          gateway.requestTimeout

Anything else is answered 403: loading and unloading models, shared memory, trace and log settings
are not for clients. A stream lasts as long as its client likes, so it has no place in a histogram
of latencies.

In strategy Canary the first four have a twin, such as inference_http_canary, and the routes are
files that Envoy watches, since they say how many of a hundred requests a twin gets. What else is
configured is the same with and without a canary. A twin's pods are the canary's, and the stable
ones where it has none that answer: whatever becomes of a canary, its share of the requests is
served. So what is counted of a twin is the canary's only while that has ready pods.

With rollout.canary.mirror a share of inference (no streams, no /generate) is copied to
comparer_http and comparer_grpc while a canary has a share. Envoy waits for no answer of these, and
where they have no pod, or do not keep up, a copy is lost and nothing else.

What Prometheus finds at :9902/stats/prometheus (seen with Envoy 1.40; all have the label
envoy_cluster_name):

  envoy_cluster_upstream_rq_total            requests handed to a pod
  envoy_cluster_upstream_rq_pending_overflow, envoy_cluster_upstream_cx_none_healthy
                                             requests never handed to one: queue full, no pod
  envoy_cluster_upstream_rq_retry            second and later tries; most followed a connection
                                             that was refused, which is not in upstream_rq_total
  envoy_cluster_upstream_rq_completed        answers, Envoy's own (503, 504) included
  envoy_cluster_upstream_rq_active, envoy_cluster_upstream_rq_pending_active
                                             requests at the pods, and waiting for a connection
  envoy_cluster_upstream_rq_xx{envoy_response_code_class="5"}
                                             failed HTTP answers: pods' 5xx and Envoy's own 503
                                             (overflow, no pod, reset) and 504 (timeout)
  envoy_cluster_grpc_N                       gRPC answers by status N, Envoy's own (14) included;
                                             those are in upstream_rq_xx too, so read only one
  envoy_cluster_upstream_rq_time_{bucket,sum,count}
                                             latency in milliseconds, from the request's last byte
                                             to the answer's, retries and waiting included. Answers
                                             of Envoy's own, timeouts above all, are not in it: read
                                             it beside the failures. The sum is made of the bins'
                                             middles, so it is right to about 5 %

A counter that is labelled by an outcome (rq_xx, grpc_N) appears with that outcome's first case.
"""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from trireme.api import names
from trireme.api.agent import AgentDeployment, AgentSpec
from trireme.api.gateway_clusters import Protocol, Purpose
from trireme.modelrepo.histogram import latency_edges_milliseconds
from trireme.resources.envoy_clusters import (
    ADMIN_CLUSTER,
    ADMIN_PORT,
    LOOPBACK,
    admin_cluster,
    canary_cluster,
    comparer_clusters,
    pods_cluster,
)
from trireme.resources.envoy_routes import (
    CLIENT_PREFIX,
    ROUTES_DIRECTORY,
    client,
    client_routes,
    method,
    route_configuration,
    routes_file,
)
from trireme.resources.envoy_terms import TRITON_PORTS, TYPES, address, duration
from trireme.resources.gateway_canary import has_routes_of_its_own
from trireme.resources.monitoring import GATEWAY_METRICS_PATH
from trireme.resources.options import ResourceOptions

READY_PATH = "/ready"

_NODE = "gateway"
_ANY_ADDRESS = "0.0.0.0"  # noqa: S104  # a pod's own network
_NOBODY = {"address_prefix": "192.0.2.0", "prefix_len": 24}
"""Addresses kept for documentation (RFC 5737): an empty list would be all private addresses."""
_STATS_FLUSH_INTERVAL = timedelta(seconds=1)  # histograms are as old as this when scraped
_MOST_CLIENT_CONNECTIONS = 50_000


def configuration_text(agent: AgentDeployment, options: ResourceOptions) -> str:
    """The configuration as the file that Envoy reads: JSON in one line, which Python writes seven
    times faster than indented and a hundred times faster than YAML. That counts where thousands
    of agents are rendered at the operator's start.
    """
    return json.dumps(configuration(agent, options), separators=(",", ":"))


def configuration(agent: AgentDeployment, options: ResourceOptions) -> dict[str, Any]:
    """Envoy's bootstrap configuration: all of it static but the addresses of the pods,
    and the routes where they are files.
    """
    # Envoy asks nobody about itself, but reads no file of routes without a name of its own.
    node = {"node": {"id": _NODE, "cluster": _NODE}} if has_routes_of_its_own(agent.spec) else {}
    return {
        **node,
        # Only from within the pod: this port can drain, and tell everything.
        "admin": {"address": address(LOOPBACK, ADMIN_PORT)},
        "stats_flush_interval": duration(_STATS_FLUSH_INTERVAL),
        "stats_config": {
            "stats_matcher": {"inclusion_list": {"patterns": _kept_statistics(agent.spec)}},
            "histogram_bucket_settings": [_buckets(agent.spec)],
        },
        "overload_manager": _connection_limit(),
        "static_resources": {
            "listeners": [
                *(_client_listener(agent.spec, protocol) for protocol in Protocol),
                _metrics_listener(),
            ],
            "clusters": [
                *(
                    pods_cluster(agent, options, purpose, protocol)
                    for purpose in Purpose
                    for protocol in Protocol
                ),
                *(
                    canary_cluster(agent, options, purpose, protocol)
                    for purpose in Purpose
                    for protocol in Protocol
                    if purpose.is_shared and has_routes_of_its_own(agent.spec)
                ),
                *comparer_clusters(agent, options),
                admin_cluster(),
            ],
        },
    }


# ------------------------------------------------------------------------------------ statistics


def _kept_statistics(spec: AgentSpec) -> list[Mapping[str, Any]]:
    """What is worth keeping: all that the table above lists, and what tells a person whether it is
    the gateway or Triton that is slow. Envoy's full set is ten times as long at every scrape.
    """
    clusters = rf"cluster\.(inference|stream|management)_(http|grpc){_twins(spec)}\."
    connections = "upstream_cx_(active|total|connect_fail|connect_timeout|none_healthy)"
    requests = r"upstream_rq_.*|grpc\.[0-9]+"
    pods = r"membership_(total|healthy)|outlier_detection\.ejections_active"
    return [
        {"safe_regex": {"regex": f"{clusters}({requests}|{connections}|{pods})"}},
        {"safe_regex": {"regex": rf"http\.{CLIENT_PREFIX}_(http|grpc)\.downstream_(cx|rq)_.*"}},
        {"prefix": "server."},
    ]


def _buckets(spec: AgentSpec) -> Mapping[str, Any]:
    """The edges for the latency of inference; other histograms keep Envoy's own."""
    targets = [objective.latency.target for objective in spec.objectives]
    return {
        "match": {
            "safe_regex": {
                "regex": rf"cluster\.inference_(http|grpc){_twins(spec)}\.upstream_rq_time"
            }
        },
        "buckets": latency_edges_milliseconds(targets),
    }


def _twins(spec: AgentSpec) -> str:
    return f"(_{names.TRACK_CANARY})?" if has_routes_of_its_own(spec) else ""


def _connection_limit() -> Mapping[str, Any]:
    monitor = f"{TYPES}.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"
    return {
        "resource_monitors": [
            {
                "name": "envoy.resource_monitors.global_downstream_max_connections",
                "typed_config": {
                    "@type": monitor,
                    "max_active_downstream_connections": _MOST_CLIENT_CONNECTIONS,
                },
            }
        ]
    }


# ------------------------------------------------------------------------------------- listeners


def _client_listener(spec: AgentSpec, protocol: Protocol) -> Mapping[str, Any]:
    name = client(protocol)
    if has_routes_of_its_own(spec):
        source = {
            "path": f"{ROUTES_DIRECTORY}/{routes_file(protocol)}",
            # The kubelet replaces a link in it; the file's own directory it never touches.
            "watched_directory": {"path": ROUTES_DIRECTORY},
        }
        config_source = {"path_config_source": source, "resource_api_version": "V3"}
        routes = {"rds": {"config_source": config_source, "route_config_name": name}}
    else:
        routes = {"route_config": route_configuration(name, client_routes(spec, protocol))}
    filters = [_router()]
    if protocol is Protocol.GRPC:
        filters.insert(0, _grpc_statistics())
    return _listener(
        name,
        TRITON_PORTS[protocol],
        {
            "codec_type": "HTTP1" if protocol is Protocol.HTTP else "HTTP2",
            # A request that is being answered may be silent for as long as its route allows.
            "stream_idle_timeout": "0s",
            # One spelling of a path, so that no route can be slipped past.
            "normalize_path": True,
            "merge_slashes": True,
            "path_with_escaped_slashes_action": "REJECT_REQUEST",
            # Nobody is trusted to change timeouts and retries by x-envoy headers.
            "use_remote_address": True,
            "internal_address_config": {"cidr_ranges": [_NOBODY]},
            "generate_request_id": False,
            "server_header_transformation": "PASS_THROUGH",
            "http_filters": filters,
        },
        routes,
        traffic_direction="INBOUND",  # what /drain_listeners?inboundonly drains
    )


def _metrics_listener() -> Mapping[str, Any]:
    """Of the admin interface, only what Prometheus and the kubelet ask."""
    routes = [
        {
            "match": {"path": path, "headers": [method("GET")]},
            "route": {"cluster": ADMIN_CLUSTER},
        }
        for path in (GATEWAY_METRICS_PATH, READY_PATH)
    ]
    manager = {"codec_type": "HTTP1", "http_filters": [_router()]}
    route_config = {"route_config": route_configuration("metrics", routes)}
    return _listener("metrics", names.GATEWAY_METRICS_PORT, manager, route_config)


def _listener(
    name: str,
    port: int,
    manager: Mapping[str, Any],
    routes: Mapping[str, Any],
    **more: Any,
) -> Mapping[str, Any]:
    http_connection_manager = {
        "@type": f"{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        **manager,
        **routes,
    }
    connection_filter = {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": http_connection_manager,
    }
    return {
        "name": name,
        "address": address(_ANY_ADDRESS, port),
        **more,
        "filter_chains": [{"filters": [connection_filter]}],
    }


def _router() -> dict[str, Any]:
    return {
        "name": "envoy.filters.http.router",
        "typed_config": {
            "@type": f"{TYPES}.filters.http.router.v3.Router",
            "suppress_envoy_headers": True,
        },
    }


def _grpc_statistics() -> dict[str, Any]:
    """A gRPC failure is HTTP 200 with a status: counted by this filter. Not by method, since the
    clusters tell methods apart.
    """
    return {
        "name": "envoy.filters.http.grpc_stats",
        "typed_config": {
            "@type": f"{TYPES}.filters.http.grpc_stats.v3.FilterConfig",
            "stats_for_all_methods": False,
        },
    }
