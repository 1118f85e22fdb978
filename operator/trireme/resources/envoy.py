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
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from trireme.api import names
from trireme.api.gateway_clusters import Protocol, Purpose, cluster_name
from trireme.api.rollout import Mirror, RolloutStrategy
from trireme.api.scalars import quantity_value
from trireme.api.types import AgentDeployment, AgentSpec
from trireme.modelrepo.histogram import latency_edges_milliseconds
from trireme.resources.drain import DNS_REFRESH_SECONDS
from trireme.resources.monitoring import GATEWAY_METRICS_PATH
from trireme.resources.options import ResourceOptions
from trireme.resources.services import service_host

ADMIN_PORT = 9901
READY_PATH = "/ready"
CLIENT_PREFIX = "client"  # of the statistics of what clients ask; the metrics port has its own
ROUTES_DIRECTORY = "/etc/envoy-routes"

_ADMIN_CLUSTER = "admin"
_NODE = "gateway"
_ANY_ADDRESS = "0.0.0.0"  # noqa: S104  # a pod's own network
_LOOPBACK = "127.0.0.1"
_NOBODY = {"address_prefix": "192.0.2.0", "prefix_len": 24}
"""Addresses kept for documentation (RFC 5737): an empty list would be all private addresses."""

_TYPES = "type.googleapis.com/envoy.extensions"
# Any length of name: RE2 would unroll the bound of 128. No %, so no escaped slash.
_MODEL = "/v2/models/[A-Za-z0-9._-]+(/versions/[0-9]+)?"
_SERVICE = "/inference.GRPCInferenceService"
_READING_METHODS = (
    "ServerLive",
    "ServerReady",
    "ServerMetadata",
    "ModelReady",
    "ModelMetadata",
    "ModelConfig",
    "ModelStatistics",
)

_DNS_REFRESH = f"{DNS_REFRESH_SECONDS}s"
_CONNECT_TIMEOUT = timedelta(seconds=2)
_CHOICES_OF_CLASSES = 16  # so that nearly all pods of a usual fleet are seen
_UPSTREAM_IDLE_TIMEOUT = timedelta(seconds=30)  # Triton itself never closes an idle connection
_COMPARER_PING = {"interval": "2s", "timeout": "3s"}  # one that is frozen takes nothing any more
_STREAM_IDLE_TIMEOUT = timedelta(hours=1)
_STATS_FLUSH_INTERVAL = timedelta(seconds=1)  # histograms are as old as this when scraped
_MOST_CONNECTIONS = 1_000_000
_MOST_CLIENT_CONNECTIONS = 50_000
_RETRIES = 3
_PARTS = 1_000_000  # that the requests are shared out in: a thousandth of a percent is a number

_REFUSED = (
    "The gateway passes on inference and reading only: model loading, shared memory, trace and log "
    "settings are closed to clients.\n"
)


_TRITON_PORTS: Mapping[Protocol, int] = {
    Protocol.HTTP: names.HTTP_PORT,
    Protocol.GRPC: names.GRPC_PORT,
}
"""Of a server, and of the gateway in its place."""


def has_routes_of_its_own(spec: AgentSpec) -> bool:
    """Whether the gateway reads its routes from files, so that they change while it runs."""
    return spec.gateway.enabled and spec.rollout.strategy is RolloutStrategy.CANARY


def mirror_of(spec: AgentSpec) -> Mirror | None:
    """How requests are copied while a canary runs; None where none are."""
    return spec.rollout.canary.mirror if has_routes_of_its_own(spec) else None


def route_files(spec: AgentSpec, weight: float, *, mirrors: bool = True) -> dict[str, str]:
    """The files of the routes, by name, where a canary gets `weight` of the requests, from 0 to 1,
    and is compared, if it `mirrors`: the answer of a control plane, as JSON, to each client port.
    """
    return {
        _routes_file(protocol): json.dumps(
            {
                "resources": [
                    {
                        "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
                        **_route_configuration(
                            _client(protocol), _client_routes(spec, protocol, weight, mirrors)
                        ),
                    }
                ]
            },
            separators=(",", ":"),
        )
        for protocol in Protocol
    }


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
        "admin": {"address": _address(_LOOPBACK, ADMIN_PORT)},
        "stats_flush_interval": _duration(_STATS_FLUSH_INTERVAL),
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
                    _pods_cluster(agent, options, purpose, protocol)
                    for purpose in Purpose
                    for protocol in Protocol
                ),
                *(
                    _canary_cluster(agent, options, purpose, protocol)
                    for purpose in Purpose
                    for protocol in Protocol
                    if purpose.is_shared and has_routes_of_its_own(agent.spec)
                ),
                *_comparer_clusters(agent, options),
                _admin_cluster(),
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
    monitor = f"{_TYPES}.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"
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
    name = _client(protocol)
    if has_routes_of_its_own(spec):
        source = {
            "path": f"{ROUTES_DIRECTORY}/{_routes_file(protocol)}",
            # The kubelet replaces a link in it; the file's own directory it never touches.
            "watched_directory": {"path": ROUTES_DIRECTORY},
        }
        config_source = {"path_config_source": source, "resource_api_version": "V3"}
        routes = {"rds": {"config_source": config_source, "route_config_name": name}}
    else:
        routes = {"route_config": _route_configuration(name, _client_routes(spec, protocol))}
    filters = [_router()]
    if protocol is Protocol.GRPC:
        filters.insert(0, _grpc_statistics())
    return _listener(
        name,
        _TRITON_PORTS[protocol],
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
            "match": {"path": path, "headers": [_method("GET")]},
            "route": {"cluster": _ADMIN_CLUSTER},
        }
        for path in (GATEWAY_METRICS_PATH, READY_PATH)
    ]
    manager = {"codec_type": "HTTP1", "http_filters": [_router()]}
    route_config = {"route_config": _route_configuration("metrics", routes)}
    return _listener("metrics", names.GATEWAY_METRICS_PORT, manager, route_config)


def _listener(
    name: str,
    port: int,
    manager: Mapping[str, Any],
    routes: Mapping[str, Any],
    **more: Any,
) -> Mapping[str, Any]:
    http_connection_manager = {
        "@type": f"{_TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
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
        "address": _address(_ANY_ADDRESS, port),
        **more,
        "filter_chains": [{"filters": [connection_filter]}],
    }


def _router() -> dict[str, Any]:
    return {
        "name": "envoy.filters.http.router",
        "typed_config": {
            "@type": f"{_TYPES}.filters.http.router.v3.Router",
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
            "@type": f"{_TYPES}.filters.http.grpc_stats.v3.FilterConfig",
            "stats_for_all_methods": False,
        },
    }


# ---------------------------------------------------------------------------------------- routes


def _client(protocol: Protocol) -> str:
    """The name of a client port's listener, of its statistics and of its routes."""
    return f"{CLIENT_PREFIX}_{protocol}"


def _routes_file(protocol: Protocol) -> str:
    return f"{protocol}.json"


def _route_configuration(name: str, routes: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": name,
        "virtual_hosts": [{"name": name, "domains": ["*"], "routes": routes}],
    }


def _client_routes(
    spec: AgentSpec, protocol: Protocol, weight: float = 0.0, mirrors: bool = False
) -> list[dict[str, Any]]:
    mirrored = _mirrored_routes(spec, protocol, weight) if mirrors else ()
    routes = _http_routes if protocol is Protocol.HTTP else _grpc_routes
    return [*mirrored, *routes(spec, weight)]


def _mirrored_routes(
    spec: AgentSpec, protocol: Protocol, weight: float
) -> Iterator[dict[str, Any]]:
    """What is copied, before the routes that would have it too."""
    mirror = mirror_of(spec)
    if mirror is None or not weight:
        return
    matches: dict[Protocol, dict[str, Any]] = {
        Protocol.HTTP: {
            "safe_regex": {"regex": f"{_MODEL}/infer"},
            "headers": [_method("POST"), _length_below(_largest_copy_bytes(mirror))],
        },
        Protocol.GRPC: {"path": f"{_SERVICE}/ModelInfer"},
    }
    route = _route(matches[protocol], Purpose.INFERENCE, protocol, spec, weight)
    share = {"numerator": round(mirror.share * _PARTS), "denominator": "MILLION"}
    policy = {
        "cluster": _comparer_cluster(protocol),
        "runtime_fraction": {"default_value": share},
        "disable_shadow_host_suffix_append": True,  # a model may be given the name
    }
    yield {**route, "route": {**route["route"], "request_mirror_policies": [policy]}}


def _http_routes(spec: AgentSpec, weight: float) -> list[dict[str, Any]]:
    post, get = [_method("POST")], [_method("GET")]
    infer = {"safe_regex": {"regex": f"{_MODEL}/(infer|generate)"}, "headers": post}
    stream = {"safe_regex": {"regex": f"{_MODEL}/generate_stream"}, "headers": post}
    read = {"prefix": "/v2", "headers": get}
    return [
        _route(infer, Purpose.INFERENCE, Protocol.HTTP, spec, weight),
        _route(stream, Purpose.STREAM, Protocol.HTTP, spec, weight),
        _route(read, Purpose.MANAGEMENT, Protocol.HTTP, spec, weight),
        _refusal(),
    ]


def _grpc_routes(spec: AgentSpec, weight: float) -> list[dict[str, Any]]:
    infer = {"path": f"{_SERVICE}/ModelInfer"}
    stream = {"path": f"{_SERVICE}/ModelStreamInfer"}
    reading = [f"{_SERVICE}/{method}" for method in _READING_METHODS]
    return [
        _route(infer, Purpose.INFERENCE, Protocol.GRPC, spec, weight),
        _route(stream, Purpose.STREAM, Protocol.GRPC, spec, weight),
        *(
            _route({"path": path}, Purpose.MANAGEMENT, Protocol.GRPC, spec, weight)
            for path in (*reading, "/grpc.health.v1.Health/Check")
        ),
        _refusal(),
    ]


def _route(
    match: dict[str, Any],
    purpose: Purpose,
    protocol: Protocol,
    spec: AgentSpec,
    weight: float,
) -> dict[str, Any]:
    """A route to the pods; of a request that no pod has seen yet, another try does no harm.

    For that Envoy keeps a request's body up to its buffer limit of 1 MiB, and no longer one that
    has grown beyond it: a larger request may fail where a pod has just crashed. (A pod that leaves
    in order has left DNS long before it refuses connections.) A higher limit would hold every
    large body in memory until its answer begins.
    """
    streaming = purpose is Purpose.STREAM
    is_shared = purpose.is_shared and has_routes_of_its_own(spec)
    timeout = timedelta(0) if streaming else spec.gateway.request_timeout
    return {
        "match": match,
        "route": {
            **(
                _shared_out(purpose, protocol, weight)
                if is_shared
                else {"cluster": cluster_name(purpose, protocol)}
            ),
            "timeout": _duration(timeout),
            "idle_timeout": _duration(_STREAM_IDLE_TIMEOUT if streaming else timedelta(0)),
            "retry_policy": {
                "retry_on": "connect-failure,refused-stream,reset-before-request",
                "num_retries": _RETRIES,
                "retry_back_off": {"base_interval": "0.010s", "max_interval": "0.100s"},
                "retry_host_predicate": [
                    {
                        "name": "envoy.retry_host_predicates.previous_hosts",
                        "typed_config": {
                            "@type": f"{_TYPES}.retry.host.previous_hosts.v3.PreviousHostsPredicate"
                        },
                    }
                ],
                "host_selection_retry_max_attempts": 3,
                **(_OTHERS_FIRST if is_shared else {}),
            },
        },
    }


_OTHERS_FIRST = {
    "retry_priority": {
        "name": "envoy.retry_priorities.previous_priorities",
        "typed_config": {
            "@type": f"{_TYPES}.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
            "update_frequency": 1,
        },
    }
}
"""The next try goes to pods of another priority: from a canary that goes to stable ones."""


def _shared_out(purpose: Purpose, protocol: Protocol, weight: float) -> dict[str, Any]:
    """Each request by itself goes to the canary with a probability of `weight`."""
    canary = round(weight * _PARTS)
    return {
        "weighted_clusters": {
            "clusters": [
                {"name": cluster_name(purpose, protocol), "weight": _PARTS - canary},
                {"name": cluster_name(purpose, protocol, names.TRACK_CANARY), "weight": canary},
            ]
        }
    }


def _refusal() -> dict[str, Any]:
    """403; for a gRPC call Envoy makes PERMISSION_DENIED of it."""
    return {
        "match": {"prefix": "/"},
        "direct_response": {"status": 403, "body": {"inline_string": _REFUSED}},
    }


def _method(method: str) -> dict[str, Any]:
    return {"name": ":method", "string_match": {"exact": method}}


def _length_below(size: int) -> dict[str, Any]:
    return {"name": "content-length", "range_match": {"start": 0, "end": size}}


# -------------------------------------------------------------------------------------- clusters


def _pods_cluster(
    agent: AgentDeployment, options: ResourceOptions, purpose: Purpose, protocol: Protocol
) -> dict[str, Any]:
    """The stable pods."""
    name = cluster_name(purpose, protocol)
    pods = _endpoints(agent, options, names.pods_service(agent.metadata.name), protocol)
    return _cluster(agent.spec, name, protocol, [pods])


def _canary_cluster(
    agent: AgentDeployment, options: ResourceOptions, purpose: Purpose, protocol: Protocol
) -> dict[str, Any]:
    """The canary's pods; the stable ones where none of these answers, and for as many requests as
    is the part of these that does not, less a reserve of 40 %.
    """
    name = cluster_name(purpose, protocol, names.TRACK_CANARY)
    canary = _endpoints(agent, options, names.canary(agent.metadata.name), protocol)
    stable = _endpoints(agent, options, names.pods_service(agent.metadata.name), protocol)
    return _cluster(agent.spec, name, protocol, [canary, {"priority": 1, **stable}])


def _comparer_clusters(
    agent: AgentDeployment, options: ResourceOptions
) -> Iterator[dict[str, Any]]:
    """Where copies go. What is under way to it is bounded, so that the gateway never holds many."""
    mirror = mirror_of(agent.spec)
    if mirror is None:
        return
    bounds = ("max_connections", "max_requests", "max_pending_requests")
    thresholds = {**dict.fromkeys(bounds, mirror.max_in_flight), "max_retries": 0}
    for protocol in Protocol:
        comparer = _endpoints(agent, options, names.comparer(agent.metadata.name), protocol)
        name = _comparer_cluster(protocol)
        cluster = _cluster(agent.spec, name, protocol, [comparer], ping=_COMPARER_PING)
        yield {
            **cluster,
            "circuit_breakers": {"thresholds": [thresholds]},
            # Envoy stops reading a request whose copy fills its buffer, until the copy is taken or
            # its connection is given up.
            "per_connection_buffer_limit_bytes": _largest_copy_bytes(mirror),
        }


def _largest_copy_bytes(mirror: Mirror) -> int:
    return int(quantity_value(mirror.max_size))


def _comparer_cluster(protocol: Protocol) -> str:
    return f"comparer_{protocol}"


def _endpoints(
    agent: AgentDeployment, options: ResourceOptions, service: str, protocol: Protocol
) -> dict[str, Any]:
    host = service_host(agent, options, service)
    return {"lb_endpoints": [{"endpoint": {"address": _address(host, _TRITON_PORTS[protocol])}}]}


def _cluster(
    spec: AgentSpec,
    name: str,
    protocol: Protocol,
    endpoints: list[dict[str, Any]],
    ping: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    http_options = f"{_TYPES}.upstreams.http.v3.HttpProtocolOptions"
    return {
        "name": name,
        "cluster_type": {
            "name": "envoy.clusters.dns",
            "typed_config": {
                "@type": f"{_TYPES}.clusters.dns.v3.DnsCluster",
                "dns_lookup_family": "V4_ONLY",  # Triton listens on 0.0.0.0
                "dns_refresh_rate": _DNS_REFRESH,
                "dns_failure_refresh_rate": {
                    "base_interval": _DNS_REFRESH,
                    "max_interval": _DNS_REFRESH,
                },
                "respect_dns_ttl": False,
            },
        },
        "connect_timeout": _duration(_CONNECT_TIMEOUT),
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
                "common_http_protocol_options": {"idle_timeout": _duration(_UPSTREAM_IDLE_TIMEOUT)},
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


def _admin_cluster() -> Mapping[str, Any]:
    endpoint = {"endpoint": {"address": _address(_LOOPBACK, ADMIN_PORT)}}
    return {
        "name": _ADMIN_CLUSTER,
        "type": "STATIC",
        "connect_timeout": _duration(_CONNECT_TIMEOUT),
        "load_assignment": {
            "cluster_name": _ADMIN_CLUSTER,
            "endpoints": [{"lb_endpoints": [endpoint]}],
        },
    }


def _address(host: str, port: int) -> Mapping[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


def _duration(duration: timedelta) -> str:
    """As protobuf's JSON writes it: `60s`, `0.5s`."""
    return f"{duration.total_seconds():g}s"
