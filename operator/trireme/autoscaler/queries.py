"""The PromQL of one scaling round: a fixed number of queries for all agents at once.

Pure. Three rules hold for every query:

* A pod counts once. The innermost aggregation is a `max by (pod, ...)`, so a pod that two jobs
  scrape, or two Prometheus replicas without de-duplication report, is not counted twice.
* Missing stays absent. No `or vector(0)` and no default: what is not known has no series, and
  `signals` decides what that means.
* Units are seconds and requests per second; Triton's microseconds and Envoy's milliseconds are
  converted here and nowhere else.

`rate()` over a deleted pod goes on contributing until its samples leave the window. That is meant:
its requests were demand. `rate()` of a pod with a single sample in the window is absent, hence
`SAMPLE_COUNT`.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

SHORTEST_WINDOW = timedelta(seconds=30)
SCRAPES_PER_WINDOW = 4

_INTERVAL_SPAN = "2m"  # the span over which the scrape interval is measured
_HTTP_CLUSTER = "inference_http"
_GRPC_CLUSTER = "inference_grpc"
_SERVER_SERIES = ("model", "version", "gpu_uuid", "reason")
_GATEWAY_SERIES = ("envoy_cluster_name",)
_GRPC_FAULTS = (2, 4, 8, 12, 13, 14, 15)
"""The gRPC status codes that are the server's fault, as 5xx is in HTTP: UNKNOWN, DEADLINE_EXCEEDED,
RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS."""


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


@dataclass(frozen=True, slots=True)
class Labels:
    """The names of the metric labels: namespace, pod, and the agent on either kind of pod."""

    namespace: str = "namespace"
    pod: str = "pod"
    agent: str = "trireme_dev_agent"
    gateway: str = "trireme_dev_gateway"


def window(scrape_interval: timedelta | None) -> timedelta:
    """The window of rates: max(30 s, 4 scrape intervals), 30 s while the interval is unknown.

    Four intervals, since a rate needs two samples, and one failed scrape must not blind it.
    """
    if scrape_interval is None:
        return SHORTEST_WINDOW
    return max(SHORTEST_WINDOW, SCRAPES_PER_WINDOW * scrape_interval)


def queries(
    window: timedelta,
    labels: Labels,
    percentiles: Iterable[int] = (95,),
    targets: Iterable[timedelta] = (timedelta(milliseconds=100),),
) -> Mapping[Query, str]:
    """Every query of a round, over `window`.

    `percentiles` and `targets` are those that some objective names; all are answered by one query
    each for the servers and the gateways, told apart by the labels `quantile` and `le`.
    """
    w = f"{math.ceil(window.total_seconds())}s"
    wanted = sorted(set(percentiles))
    edges = sorted({target / timedelta(milliseconds=1) for target in targets})
    server = _Source(labels.namespace, labels.agent, labels.pod, _SERVER_SERIES)
    gateway = _Source(labels.namespace, labels.gateway, labels.pod, _GATEWAY_SERIES)
    clusters = f'envoy_cluster_name=~"{_HTTP_CLUSTER}|{_GRPC_CLUSTER}"'
    requests = server.series("nv_inference_request_success")
    arrivals = gateway.series("envoy_cluster_upstream_rq_total", clusters)

    def server_rate(metric: str) -> str:
        return server.total(f"rate({server.series(metric)}[{w}])", "model")

    def gateway_rate(metric: str) -> str:
        return gateway.total(f"rate({gateway.series(metric, clusters)}[{w}])")

    def gateway_gauge(metric: str) -> str:
        return gateway.total(f"avg_over_time({gateway.series(metric, clusters)}[{w}])")

    failures = server.series("nv_inference_request_failure", 'reason!="CANCELED"')
    pending = server.series("nv_inference_pending_request_count")
    server_buckets = server.series("nv_inference_first_response_histogram_ms_bucket")
    gateway_buckets = gateway.series("envoy_cluster_upstream_rq_time_bucket", clusters)
    summary = server.series("nv_inference_request_summary_us", 'quantile!=""')
    return {
        Query.SAMPLE_TIME: _union(
            server.of_pod(f"timestamp({requests})"), gateway.of_pod(f"timestamp({arrivals})")
        ),
        Query.SAMPLE_COUNT: _union(
            server.of_pod(f"count_over_time({requests}[{w}])"),
            gateway.of_pod(f"count_over_time({arrivals}[{w}])"),
        ),
        Query.SCRAPE_INTERVAL: _union(
            server.scrape_interval(requests), gateway.scrape_interval(arrivals)
        ),
        Query.SERVER_REQUESTS: server_rate("nv_inference_request_success"),
        Query.SERVER_FAILURES: server.total(f"rate({failures}[{w}])", "model"),
        Query.SERVER_DURATION: f"{server_rate('nv_inference_request_duration_us')} / 1e6",
        Query.SERVER_QUEUE: f"{server_rate('nv_inference_queue_duration_us')} / 1e6",
        Query.SERVER_PENDING: server.total(f"avg_over_time({pending}[{w}])", "model"),
        Query.SERVER_HISTOGRAM: _quantiles(
            server.total(f"rate({server_buckets}[{w}])", "model", "le"), wanted
        ),
        Query.SERVER_LATE: server.share_over(server_buckets, edges, w, "model"),
        Query.SERVER_SUMMARY: (
            f"max by ({labels.namespace}, {labels.agent}, {labels.pod}, model, quantile) "
            f"({summary}) / 1e6"
        ),
        Query.GATEWAY_ARRIVALS: gateway_rate("envoy_cluster_upstream_rq_total"),
        Query.GATEWAY_ANSWERS: gateway_rate("envoy_cluster_upstream_rq_completed"),
        Query.GATEWAY_FAILURES: _gateway_failures(gateway, w),
        Query.GATEWAY_DURATION: f"{gateway_rate('envoy_cluster_upstream_rq_time_sum')} / 1e3",
        Query.GATEWAY_IN_FLIGHT: (
            f"{gateway_gauge('envoy_cluster_upstream_rq_active')}"
            f" + {gateway_gauge('envoy_cluster_upstream_rq_pending_active')}"
        ),
        Query.GATEWAY_HISTOGRAM: _quantiles(
            gateway.total(f"rate({gateway_buckets}[{w}])", "le"), wanted
        ),
        Query.GATEWAY_LATE: gateway.share_over(gateway_buckets, edges, w),
    }


@dataclass(frozen=True, slots=True)
class _Source:
    """One kind of pods: its labels, and the metric's own labels that make a series of a pod."""

    namespace: str
    owner: str
    pod: str
    own: tuple[str, ...]

    def series(self, metric: str, *matchers: str) -> str:
        """A selector of the metric on pods that belong to some agent."""
        owned = f'{self.owner}!=""'
        return f"{metric}{{{', '.join((owned, *matchers))}}}"

    def total(self, expression: str, *by: str) -> str:
        """The sum over an agent's pods, each series counted once."""
        keep = ", ".join((self.namespace, self.owner, *by))
        return f"sum by ({keep}) ({self.once(expression, *by)})"

    def once(self, expression: str, *also: str) -> str:
        """Each pod's own series, once, whoever scraped it; `also` are labels beyond `own`."""
        keep = dict.fromkeys((self.namespace, self.owner, self.pod, *self.own, *also))
        return f"max by ({', '.join(keep)}) ({expression})"

    def share_over(self, buckets: str, edges: Iterable[float], w: str, *by: str) -> str:
        """Of each edge, the share of the answers that took longer.

        Only of pods that have the edge: while a new target is rolled out, the others' answers
        would all seem late.
        """
        spelled = "|".join(text for edge in edges for text in _spellings(edge))
        at_edge, every = (
            buckets.replace("}", f", {matcher}}}") for matcher in (f'le=~"{spelled}"', 'le="+Inf"')
        )
        within = self.once(f"rate({at_edge}[{w}])", "le")
        series = ", ".join((self.namespace, self.owner, self.pod, *self.own))
        of_all = f"{within} * 0 + on ({series}) group_left () {self.once(f'rate({every}[{w}])')}"
        keep = ", ".join((self.namespace, self.owner, *by, "le"))
        return f"1 - sum by ({keep}) ({within}) / sum by ({keep}) ({of_all})"

    def of_pod(self, expression: str) -> str:
        """The largest of each pod's series: they are scraped together."""
        return f"max by ({self.namespace}, {self.owner}, {self.pod}) ({expression})"

    def scrape_interval(self, series: str) -> str:
        """Per agent, of its best scraped pod: the mean interval over the last two minutes.

        Exact, since both ends are samples: with samples at 0, 15, ..., 120 s and the query at
        127 s, the newest is at 120 s, the newest before the span at 0 s (its start is 7 s), and 8
        samples lie within: (120 - 0) / 8 = 15 s. Pods younger than the span have no answer.
        """
        span = f"timestamp({series}) - timestamp({series} offset {_INTERVAL_SPAN})"
        count = f"count_over_time({series}[{_INTERVAL_SPAN}])"
        return f"min by ({self.namespace}, {self.owner}) (({span}) / {count})"


def _spellings(edge: float) -> tuple[str, ...]:
    """How an edge stands in the label `le`, as a regular expression within a PromQL string.

    Triton writes 100 and 12.3; Envoy 32 digits, 12.300000000000000710542735760100, which is what
    12.3 is in binary; Prometheus from 3.0 on makes it 100.0 and 12.3.
    """
    short = f"{edge:.15g}"
    texts = dict.fromkeys((short, f"{short}.0", f"{edge:.32g}"))
    return tuple(re.escape(text).replace("\\", "\\\\") for text in texts)


def _union(*parts: str) -> str:
    return " or ".join(f"({part})" for part in parts)


def _tagged(expression: str, label: str, value: str) -> str:
    """The expression with one label added, so that several of them can be united."""
    return f'label_replace({expression}, "{label}", "{value}", "", "")'


def _quantiles(buckets_ms: str, percentiles: Iterable[int]) -> str:
    return _union(
        *(
            _tagged(
                f"histogram_quantile({percentile / 100:g}, {buckets_ms}) / 1e3",
                "quantile",
                f"{percentile / 100:g}",
            )
            for percentile in percentiles
        )
    )


def _gateway_failures(gateway: _Source, w: str) -> str:
    """HTTP answers of 5xx and gRPC answers whose status is the server's fault.

    Envoy books an answer that it makes itself for a gRPC request (no pod, time-out) under both
    503 and a gRPC status, so each cluster is read in its own protocol's terms only.
    """
    http = gateway.series(
        "envoy_cluster_upstream_rq_xx",
        'envoy_response_code_class="5"',
        f'envoy_cluster_name="{_HTTP_CLUSTER}"',
    )
    parts = [gateway.once(f"rate({http}[{w}])")]
    for code in _GRPC_FAULTS:
        metric = f"envoy_cluster_grpc_{code}"
        grpc = gateway.series(metric, f'envoy_cluster_name="{_GRPC_CLUSTER}"')
        parts.append(_tagged(gateway.once(f"rate({grpc}[{w}])"), "grpc_status", str(code)))
    return f"sum by ({gateway.namespace}, {gateway.owner}) ({_union(*parts)})"
