"""What is asked in one scaling round: a fixed number of figures for all agents at once.

Pure. Two rules hold for every figure, besides those of `expressions`:

* Missing stays absent. What is not known has no series, and `signals` decides what that means.
* Units are seconds and requests per second; Triton's microseconds and Envoy's milliseconds are
  converted here and nowhere else.

The rate of a deleted pod goes on contributing until its samples leave the window. That is meant:
its requests were demand. The rate of a pod with a single sample in the window is absent, hence
`SAMPLE_COUNT`.

A figure is a query of its own, 19 in all, which a refusal can name. `rate` drops the names of
metrics, so figures could be joined by labels and `or` alone: three of them, of 1,000 agents, took a
Prometheus 1.3 times as long that way, and the operator as long to read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from trireme.api.gateway_clusters import CLUSTER_LABEL, Protocol, inference_clusters
from trireme.autoscaler.expressions import (
    GATEWAY,
    SERVER,
    Both,
    Each,
    Expression,
    Function,
    Largest,
    PodKind,
    Quantiles,
    ShareOver,
    Total,
    Where,
)

SHORTEST_WINDOW = timedelta(seconds=30)
SCRAPES_PER_WINDOW = 4

WAITING, CANCELLED = "waiting", "cancelled"  # parts of SERVER_UNANSWERED

# Of the stable pods, and what a canary gets: demand of one agent, whoever answers it.
_HTTP_CLUSTERS = inference_clusters(Protocol.HTTP)
_GRPC_CLUSTERS = inference_clusters(Protocol.GRPC)
_GRPC_FAULTS = (2, 4, 8, 12, 13, 14, 15)
"""The gRPC status codes that are the server's fault, as 5xx is in HTTP: UNKNOWN, DEADLINE_EXCEEDED,
RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS."""
_GRPC_REFUSALS = (3, 5, 6, 7, 9, 10, 11, 16)
"""Those that are the client's, as 4xx is: INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS,
PERMISSION_DENIED, FAILED_PRECONDITION, ABORTED, OUT_OF_RANGE, UNAUTHENTICATED. OK and CANCELLED are
nobody's."""


class Query(StrEnum):
    """What is asked in each round; the comment gives the labels of an answer and its unit.

    `agent` and `gateway` stand for the two labels that hold the agent's name, on server pods and
    on gateway pods. All have the namespace.
    """

    # Of both kinds of pods.
    SAMPLE_TIME = "sample_time"  # agent or gateway, pod: Unix time of the newest sample
    SAMPLE_COUNT = "sample_count"  # agent or gateway, pod: samples in the window
    SCRAPE_INTERVAL = "scrape_interval"  # agent or gateway: seconds

    # Of Triton.
    SERVER_REQUESTS = "server_requests"  # agent, model: successful requests per second
    SERVER_FAILURES = "server_failures"  # agent, model: failed requests per second
    SERVER_DURATION = "server_duration"  # agent, model: seconds of requests per second (in-flight)
    SERVER_QUEUE = "server_queue"  # agent, model: seconds of queueing per second (waiting)
    SERVER_PENDING = "server_pending"  # agent, model: requests waiting, mean of the gauge
    SERVER_UNANSWERED = "server_unanswered"  # agent, model, part: requests that arrived, per second
    SERVER_HISTOGRAM = "server_histogram"  # agent, model, quantile: seconds, fleet-wide
    SERVER_LATE = "server_late"  # agent, model, le: share of answers over `le` milliseconds
    SERVER_SUMMARY = "server_summary"  # agent, model, pod, quantile: seconds, of one pod

    # Of the gateway, HTTP and gRPC together.
    GATEWAY_ARRIVALS = "gateway_arrivals"  # gateway: requests handed to a pod, per second
    GATEWAY_ANSWERS = "gateway_answers"  # gateway: requests answered, of whatever code, per second
    GATEWAY_FAILURES = "gateway_failures"  # gateway: answers that are failures, per second
    GATEWAY_DURATION = "gateway_duration"  # gateway: seconds of requests per second (in-flight)
    GATEWAY_IN_FLIGHT = "gateway_in_flight"  # gateway: requests, mean of the gauges
    GATEWAY_HISTOGRAM = "gateway_histogram"  # gateway, quantile: seconds, fleet-wide
    GATEWAY_LATE = "gateway_late"  # gateway, le: share of answers over `le` milliseconds


SERVER_LATENCIES = frozenset({Query.SERVER_HISTOGRAM, Query.SERVER_LATE, Query.SERVER_SUMMARY})
"""Of agents whose gateway tells the latency nobody reads these."""


@dataclass(frozen=True, slots=True)
class Labels:
    """The names of the metric labels: namespace, pod, and the agent on either kind of pod."""

    namespace: str = "namespace"
    pod: str = "pod"
    agent: str = "trireme_dev_agent"
    gateway: str = "trireme_dev_gateway"

    def owner(self, kind: PodKind) -> str:
        """The label that holds the agent's name on one kind of pods."""
        return self.gateway if kind is GATEWAY else self.agent


def window(scrape_interval: timedelta | None) -> timedelta:
    """The window of rates: max(30 s, 4 scrape intervals), 30 s while the interval is unknown.

    Four intervals, since a rate needs two samples, and one failed scrape must not blind it.
    """
    if scrape_interval is None:
        return SHORTEST_WINDOW
    return max(SHORTEST_WINDOW, SCRAPES_PER_WINDOW * scrape_interval)


def _of_server(function: Function, metric: str, *where: Where, part: str = "") -> Each:
    return Each(SERVER, function, metric, where, part)


def _of_clusters(
    function: Function,
    metric: str,
    *where: Where,
    clusters: tuple[str, ...] = (*_HTTP_CLUSTERS, *_GRPC_CLUSTERS),
    part: str = "",
) -> Each:
    return Each(GATEWAY, function, metric, (Where(CLUSTER_LABEL, clusters), *where), part)


def _server_rate(metric: str, per: float = 1) -> Total:
    return Total((_of_server(Function.RATE, metric),), ("model",), per)


def _gateway_rate(metric: str, per: float = 1) -> Total:
    return Total((_of_clusters(Function.RATE, metric),), (), per)


def _gateway_mean(metric: str) -> Total:
    return Total((_of_clusters(Function.MEAN, metric),))


_CANCELLED_ONLY = Where("reason", ("CANCELED",))
_SERVER_BUCKETS = _of_server(Function.RATE, "nv_inference_first_response_histogram_ms_bucket")
_GATEWAY_BUCKETS = _of_clusters(Function.RATE, "envoy_cluster_upstream_rq_time_bucket")


def _gateway_answers(http_class: str, grpc_codes: tuple[int, ...]) -> Total:
    """Answers of one class over HTTP, and of these statuses over gRPC.

    Envoy books an answer that it makes itself for a gRPC request (no pod, time-out) under both 503
    and a gRPC status, so each cluster is read in its own protocol's terms only.
    """
    return Total(
        (
            _of_clusters(
                Function.RATE,
                "envoy_cluster_upstream_rq_xx",
                Where("envoy_response_code_class", (http_class,)),
                clusters=_HTTP_CLUSTERS,
            ),
            *(
                _of_clusters(
                    Function.RATE,
                    f"envoy_cluster_grpc_{code}",
                    clusters=_GRPC_CLUSTERS,
                    part=str(code),
                )
                for code in grpc_codes
            ),
        )
    )


GATEWAY_REFUSALS = _gateway_answers("4", _GRPC_REFUSALS)
"""Answers that are the client's fault. No figure of a scaling round, which they say nothing to: of
a canary they are compared with those of the stable pods."""

FIGURES: Mapping[Query, Expression] = {
    Query.SERVER_REQUESTS: _server_rate("nv_inference_request_success"),
    Query.SERVER_FAILURES: Total(
        (
            _of_server(
                Function.RATE,
                "nv_inference_request_failure",
                Where("reason", ("CANCELED",), other=True),
            ),
        ),
        ("model",),
    ),
    Query.SERVER_DURATION: _server_rate("nv_inference_request_duration_us", 1e6),
    Query.SERVER_QUEUE: _server_rate("nv_inference_queue_duration_us", 1e6),
    Query.SERVER_PENDING: Total(
        (_of_server(Function.MEAN, "nv_inference_pending_request_count"),), ("model",)
    ),
    Query.SERVER_UNANSWERED: Total(
        (
            _of_server(Function.GROWTH, "nv_inference_pending_request_count", part=WAITING),
            _of_server(
                Function.RATE, "nv_inference_request_failure", _CANCELLED_ONLY, part=CANCELLED
            ),
        ),
        ("model", "part"),
    ),
    Query.SERVER_HISTOGRAM: Quantiles(_SERVER_BUCKETS, ("model",), 1e3),
    Query.SERVER_LATE: ShareOver(_SERVER_BUCKETS, ("model",)),
    Query.SERVER_SUMMARY: Largest(
        _of_server(
            Function.LAST,
            "nv_inference_request_summary_us",
            Where("quantile", ("",), other=True),
        ),
        ("model", "quantile"),
        1e6,
    ),
    Query.GATEWAY_ARRIVALS: _gateway_rate("envoy_cluster_upstream_rq_total"),
    Query.GATEWAY_ANSWERS: _gateway_rate("envoy_cluster_upstream_rq_completed"),
    Query.GATEWAY_FAILURES: _gateway_answers("5", _GRPC_FAULTS),
    Query.GATEWAY_DURATION: _gateway_rate("envoy_cluster_upstream_rq_time_sum", 1e3),
    Query.GATEWAY_IN_FLIGHT: Both(
        _gateway_mean("envoy_cluster_upstream_rq_active"),
        _gateway_mean("envoy_cluster_upstream_rq_pending_active"),
    ),
    Query.GATEWAY_HISTOGRAM: Quantiles(_GATEWAY_BUCKETS, (), 1e3),
    Query.GATEWAY_LATE: ShareOver(_GATEWAY_BUCKETS),
}
"""How each figure is had from the pods' metrics; the first three queries are of samples as such."""

PRESENCE: Mapping[PodKind, Each] = {
    SERVER: _of_server(Function.LAST, "nv_inference_request_success"),
    GATEWAY: _of_clusters(Function.LAST, "envoy_cluster_upstream_rq_total"),
}
"""The series that a pod of each kind always has: by its samples, the pod counts as covered."""
