"""Which requests the gateway passes on, where to, and how they are shared with a canary. Pure.

Part of the configuration that `envoy` tells of.
"""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from trireme.api import names
from trireme.api.agent import AgentSpec
from trireme.api.gateway_clusters import Protocol, Purpose, cluster_name
from trireme.resources.envoy_terms import TYPES, duration
from trireme.resources.gateway_canary import (
    comparer_cluster,
    has_routes_of_its_own,
    largest_copy_bytes,
    mirror_of,
)

CLIENT_PREFIX = "client"  # of the statistics of what clients ask; the metrics port has its own
ROUTES_DIRECTORY = "/etc/envoy-routes"

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
_STREAM_IDLE_TIMEOUT = timedelta(hours=1)
_RETRIES = 3
_PARTS = 1_000_000  # that the requests are shared out in: a thousandth of a percent is a number
_REFUSED = (
    "The gateway passes on inference and reading only: model loading, shared memory, trace and log "
    "settings are closed to clients.\n"
)


def route_files(spec: AgentSpec, weight: float, *, mirrors: bool = True) -> dict[str, str]:
    """The files of the routes, by name, where a canary gets `weight` of the requests, from 0 to 1,
    and is compared, if it `mirrors`: the answer of a control plane, as JSON, to each client port.
    """
    return {
        routes_file(protocol): json.dumps(
            {
                "resources": [
                    {
                        "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
                        **route_configuration(
                            client(protocol), client_routes(spec, protocol, weight, mirrors)
                        ),
                    }
                ]
            },
            separators=(",", ":"),
        )
        for protocol in Protocol
    }


def client(protocol: Protocol) -> str:
    """The name of a client port's listener, of its statistics and of its routes."""
    return f"{CLIENT_PREFIX}_{protocol}"


def routes_file(protocol: Protocol) -> str:
    """The name of the file with a client port's routes."""
    return f"{protocol}.json"


def route_configuration(name: str, routes: list[dict[str, Any]]) -> dict[str, Any]:
    """The routes of one port, whatever host is asked for."""
    return {
        "name": name,
        "virtual_hosts": [{"name": name, "domains": ["*"], "routes": routes}],
    }


def client_routes(
    spec: AgentSpec, protocol: Protocol, weight: float = 0.0, mirrors: bool = False
) -> list[dict[str, Any]]:
    """The routes of a client port, where a canary gets `weight` of the requests."""
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
            "headers": [method("POST"), _length_below(largest_copy_bytes(mirror))],
        },
        Protocol.GRPC: {"path": f"{_SERVICE}/ModelInfer"},
    }
    route = _route(matches[protocol], Purpose.INFERENCE, protocol, spec, weight)
    share = {"numerator": round(mirror.share * _PARTS), "denominator": "MILLION"}
    policy = {
        "cluster": comparer_cluster(protocol),
        "runtime_fraction": {"default_value": share},
        "disable_shadow_host_suffix_append": True,  # a model may be given the name
    }
    yield {**route, "route": {**route["route"], "request_mirror_policies": [policy]}}


def _http_routes(spec: AgentSpec, weight: float) -> list[dict[str, Any]]:
    post, get = [method("POST")], [method("GET")]
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
            "timeout": duration(timeout),
            "idle_timeout": duration(_STREAM_IDLE_TIMEOUT if streaming else timedelta(0)),
            "retry_policy": {
                "retry_on": "connect-failure,refused-stream,reset-before-request",
                "num_retries": _RETRIES,
                "retry_back_off": {"base_interval": "0.010s", "max_interval": "0.100s"},
                "retry_host_predicate": [
                    {
                        "name": "envoy.retry_host_predicates.previous_hosts",
                        "typed_config": {
                            "@type": f"{TYPES}.retry.host.previous_hosts.v3.PreviousHostsPredicate"
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
            "@type": f"{TYPES}.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
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


def method(name: str) -> dict[str, Any]:
    """The match of a request's HTTP method."""
    return {"name": ":method", "string_match": {"exact": name}}


def _length_below(size: int) -> dict[str, Any]:
    return {"name": "content-length", "range_match": {"start": 0, "end": size}}
