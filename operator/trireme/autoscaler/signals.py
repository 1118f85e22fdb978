"""From a round's samples to the signals of one agent, or to the reason why there are none.

Pure. The source is chosen per agent, not per sample, so that a gap never swaps one measure for
another: with a gateway and exactly one objective the gateway's (its figures are per agent, since a
gRPC path names no model), else Triton's, per model. Of Triton's latencies the best that exists is
taken: the histogram (releases from 26.01 on), the pods' summaries, the mean.

In-flight requests are the demand. By Little's law the rate of request duration is their mean
number, but only of requests that ended: while a queue grows it lags behind, and a stuck server has
none at all. So the larger of it and what the gauges saw is taken: the gateway's active requests, or
within Triton the pending ones in place of the queueing part.

The rate is that of the requests that arrive. The gateway counts them; Triton only what ended, so
what waits more at the end of the window than at its beginning is added there, and what was given up
by its client.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from trireme.api import names
from trireme.api.conditions import Reason
from trireme.api.scalars import format_duration
from trireme.autoscaler.queries import CANCELLED, WAITING, Query
from trireme.autoscaler.samples import AgentSamples, Series
from trireme.autoscaler.types import (
    Coverage,
    Latency,
    LatencyKind,
    ModelSignals,
    NoSignals,
    ObjectivePolicy,
    Signals,
    Source,
)

RATE_SAMPLES = 2  # what rate() needs in its window


@dataclass(frozen=True, slots=True)
class Limits:
    """What is still accepted of samples.

    A pod may be without samples, and a sample may be old, for `scrapes` intervals and `margin`:
    with 5 s between scrapes 2 x 5 + 10 = 20 s.
    """

    longest_scrape_interval: timedelta = timedelta(seconds=30)
    scrapes: int = 2
    margin: timedelta = timedelta(seconds=10)

    def patience(self, scrape_interval: timedelta | None) -> timedelta:
        """How long a missing or old sample is accepted; unknown intervals count as the longest."""
        return self.scrapes * (scrape_interval or self.longest_scrape_interval) + self.margin


@dataclass(frozen=True, slots=True)
class Subject:
    """The agent whose signals are wanted, as its spec and the cluster describe it.

    `ready_pods` and `gateway_pods` map the names of ready pods to when they became ready;
    `gateway_pods` is None where the agent has no gateway. `pipelines` maps a pipeline to the
    models that a request to it calls.
    """

    namespace: str
    agent: str
    objectives: tuple[ObjectivePolicy, ...]
    pipelines: Mapping[str, tuple[str, ...]]
    ready_pods: Mapping[str, datetime]
    gateway_pods: Mapping[str, datetime] | None


def assemble(
    samples: AgentSamples,
    subject: Subject,
    *,
    now: datetime,
    window: timedelta,
    limits: Limits = Limits(),
) -> Signals | NoSignals:
    """The signals of one agent over the `window` that ends at `now`.

    `now` is the time the round was evaluated at.
    """
    by_gateway = subject.gateway_pods is not None and len(subject.objectives) == 1
    if not subject.ready_pods:
        return NoSignals(
            Reason.NO_PODS, "no server pod is ready, so there is nothing to observe", awaited=True
        )
    interval = _scrape_interval(samples)
    if interval is not None and interval > limits.longest_scrape_interval:
        return NoSignals(
            Reason.SCRAPE_INTERVAL_TOO_LONG,
            f"the pods are {_WORDS[samples.source].read} every {_seconds(interval)}, and scaling "
            f"needs at most {_seconds(limits.longest_scrape_interval)}: "
            f"{_WORDS[samples.source].oftener}",
        )
    coverage = _Coverage(
        samples,
        now,
        now.timestamp(),
        window,
        limits.patience(interval),
        window / interval if interval else None,
        samples.by_pod(Query.SAMPLE_TIME),
        samples.by_pod(Query.SAMPLE_COUNT),
    )
    servers = _Pods("server", names.METRICS_PORT, samples.labels.agent, subject.ready_pods)
    if not by_gateway:
        signals = coverage.gap(servers) or _by_servers(samples, subject)
        return _told(signals, coverage, servers)
    gateways = _Pods(
        "gateway",
        names.GATEWAY_METRICS_PORT,
        samples.labels.gateway,
        subject.gateway_pods or {},
    )
    if not gateways.ready_since:
        return NoSignals(
            Reason.NO_PODS, "no gateway pod is ready, so no request can be observed", awaited=True
        )
    signals = coverage.gap(gateways) or _by_gateway(samples, subject, coverage.gap(servers))
    return _told(signals, coverage, gateways, servers)


def _told(
    models: tuple[ModelSignals, ...] | NoSignals, coverage: "_Coverage", *pods: "_Pods"
) -> Signals | NoSignals:
    """The figures, with what they cover."""
    if isinstance(models, NoSignals):
        return models
    return Signals(
        coverage.now,
        coverage.window,
        models,
        coverage.samples.source,
        tuple(coverage.of(kind) for kind in pods),
    )


@dataclass(frozen=True, slots=True)
class _Words:
    """What is said of a source: who has nothing, and what helps."""

    has_no: str
    read: str
    oftener: str
    scraped: str
    kept: str
    late: str
    buckets: str


_WORDS = {
    Source.PROMETHEUS: _Words(
        has_no="Prometheus has no",
        read="scraped",
        oftener="set the scrape interval of their job or PodMonitor to 5s",
        scraped="check that it scrapes their port {port} and gives them the label {label}",
        kept="check that its scrape job keeps that metric and every label",
        late="check Prometheus and the clocks",
        buckets="check that Prometheus keeps the buckets of envoy_cluster_upstream_rq_time",
    ),
    Source.PODS: _Words(
        has_no="the operator has no",
        read="read by the operator itself",
        oftener="give it more CPU, or Prometheus their scraping",
        scraped="check that it may reach their port {port}",
        kept="this release does not tell it",
        late="check that the operator may reach its port",
        buckets="its pods' metrics have no buckets of envoy_cluster_upstream_rq_time",
    ),
}


# ----------------------------------------------------------------------------------- coverage


@dataclass(frozen=True, slots=True)
class _Pods:
    """The ready pods of one kind, and where Prometheus should find their samples."""

    kind: str
    port: int
    label: str
    ready_since: Mapping[str, datetime]


@dataclass(frozen=True, slots=True)
class _Coverage:
    """Whether every ready pod has fresh samples, but for those that only just became ready.

    `now_seconds` is the Unix time of `now`, and `due` how many samples the window should hold, None
    where that is not known. `times` and `counts` are of the samples, by pod.
    """

    samples: AgentSamples
    now: datetime
    now_seconds: float
    window: timedelta
    patience: timedelta
    due: float | None
    times: Mapping[str, float]
    counts: Mapping[str, float]

    @property
    def _words(self) -> "_Words":
        return _WORDS[self.samples.source]

    def of(self, pods: _Pods) -> Coverage:
        """How many of the pods there are rates of."""
        times, long_ago = self.times, self.now - self.window
        covered = self._covered(pods)
        oldest = min([times[pod] for pod in covered], default=None)
        age = None if oldest is None else max(0.0, self.now_seconds - oldest)
        short = self._short(pods)
        gaps = sum([pods.ready_since[pod] < long_ago for pod in short])
        return Coverage(pods.kind, len(covered), len(pods.ready_since), age, gaps)

    def _covered(self, pods: _Pods) -> list[str]:
        """The pods that there are rates of."""
        times, counts = self.times, self.counts
        return [
            pod for pod in pods.ready_since if pod in times and counts.get(pod, 0) >= RATE_SAMPLES
        ]

    def _short(self, pods: _Pods) -> list[str]:
        """The pods that more than one sample is missing of in the window: with 5 s between them, 5
        in 30 s are as good as all, and 4 are not.
        """
        due, counts = self.due, self.counts
        if due is None:
            return []
        return [pod for pod in pods.ready_since if counts.get(pod, 0) + 1 < due]

    def gap(self, pods: _Pods) -> NoSignals | None:
        """What is missing of the pods' samples; None where nothing is."""
        refused = self.samples.refused
        if refused and (of_these := sorted(refused.keys() & pods.ready_since.keys())):
            return NoSignals(
                Reason.TOO_MANY_SERIES,
                f"{pods.kind} pod {of_these[0]} {refused[of_these[0]]}: have Prometheus scrape it",
            )
        times = self.times
        heard = [pod for pod in pods.ready_since if pod in times]
        if heard:
            oldest = min(heard, key=times.__getitem__)
            age = timedelta(seconds=self.now_seconds - times[oldest])
            if age > self.patience:
                return NoSignals(
                    Reason.STALE,
                    f"the newest sample of {pods.kind} pod {oldest} is {_seconds(age)} old, and "
                    f"at most {_seconds(self.patience)} is accepted: {self._words.late}",
                )
        covered = self._covered(pods)
        if len(covered) == len(pods.ready_since):
            return None
        missing = pods.ready_since.keys() - covered
        overdue = sorted(pod for pod in missing if self.now - pods.ready_since[pod] > self.patience)
        if not covered:
            words = self._nothing(pods, awaited=not overdue)
            return NoSignals(Reason.NO_SERIES, words, awaited=not overdue)
        if overdue:
            return NoSignals(
                Reason.PARTIAL,
                f"{len(overdue)} of {len(pods.ready_since)} ready {pods.kind} pods have no two "
                f"samples in the last {_seconds(self.window)}: {_listed(overdue)}; check their "
                "scrape targets",
            )
        return None

    def _nothing(self, pods: _Pods, *, awaited: bool) -> str:
        count = len(pods.ready_since)
        fleet = f"the ready {pods.kind} pod" if count == 1 else f"{count} ready {pods.kind} pods"
        if awaited:
            return f"{self._words.has_no} two samples yet of {fleet}, which only just became ready"
        remedy = self._words.scraped.format(port=pods.port, label=pods.label)
        return (
            f"{self._words.has_no} two samples of {fleet} in the last {_seconds(self.window)}: "
            f"{remedy}"
        )


def _scrape_interval(samples: AgentSamples) -> timedelta | None:
    """The longer of the server pods' and the gateway pods' scrape intervals, where measured."""
    seconds = [series.value for series in samples.of(Query.SCRAPE_INTERVAL)]
    known = [value for value in seconds if math.isfinite(value) and value > 0]
    return timedelta(seconds=max(known)) if known else None


# ------------------------------------------------------------------------------------ gateway


def _by_gateway(
    samples: AgentSamples, subject: Subject, servers_gap: NoSignals | None
) -> tuple[ModelSignals, ...] | NoSignals:
    """The gateway's figures, with Triton's beside them where the servers have no gap.

    Streams are in Triton's figures only: an open stream is not a request. So where both are there,
    demand is the larger of the two, and an idle gateway proves an idle agent only with Triton's
    word for it. Otherwise the gateway is enough: an overloaded server that cannot answer its
    scrape must not keep the fleet from growing.
    """
    (objective,) = subject.objectives
    figures = _figures(
        samples, (Query.GATEWAY_ARRIVALS, Query.GATEWAY_ANSWERS, Query.GATEWAY_IN_FLIGHT)
    )
    if isinstance(figures, NoSignals):
        return figures
    arrivals, answers, in_flight = figures
    duration = 0.0
    # Envoy makes the histogram when the first request ends: absent, none has ended.
    if answers or samples.value(Query.GATEWAY_DURATION) is not None:
        ended = _figures(samples, (Query.GATEWAY_DURATION,))
        if isinstance(ended, NoSignals):
            return ended
        (duration,) = ended
    # Envoy makes a failure counter when the first failure happens: absent, none has happened.
    failures = samples.value(Query.GATEWAY_FAILURES) or 0.0
    seconds = _percentile(samples.of(Query.GATEWAY_HISTOGRAM), objective.percentile)
    latency = None
    if seconds is not None and math.isfinite(seconds):
        latency = Latency(seconds, LatencyKind.PERCENTILE, objective.percentile)
    elif duration > 0:
        return NoSignals(
            Reason.NOT_A_NUMBER,
            f"requests ended, but p{objective.percentile} of the gateway's histogram is "
            f"{'missing' if seconds is None else seconds}: {_WORDS[samples.source].buckets}",
        )
    failure_ratio = min(failures / answers, 1.0) if answers else 0.0
    # Requests started outnumber the answers while a queue grows, and the answers those started
    # where requests fail before a pod gets them.
    rate, in_flight = max(arrivals, answers), max(duration, in_flight)
    server = servers_gap or _server_load(samples, subject, objective.model)
    beside = server if isinstance(server, _ServerLoad) else None
    if isinstance(server, NoSignals) and not rate and not in_flight:
        return server
    seen = ModelSignals(
        model=objective.model,
        request_rate_per_second=max(rate, beside.per_second) if beside else rate,
        in_flight=max(in_flight, beside.in_flight) if beside else in_flight,
        latency=latency,
        failure_ratio=failure_ratio,
        late_share=_late_share(
            samples.of(Query.GATEWAY_LATE), objective, failure_ratio if answers else None
        ),
        mean_latency_seconds=duration / answers if answers else None,
        queue_share=beside.queue_share if beside else None,
        pending=beside.pending if beside else None,
        slowest_step=beside.slowest_step if beside else None,
    )
    return (seen,)


# ------------------------------------------------------------------------------------- Triton


def _by_servers(samples: AgentSamples, subject: Subject) -> tuple[ModelSignals, ...] | NoSignals:
    models = []
    for objective in subject.objectives:
        model = _of_model(samples, subject, objective)
        if isinstance(model, NoSignals):
            return model
        models.append(model)
    return tuple(models)


def _of_model(
    samples: AgentSamples, subject: Subject, objective: ObjectivePolicy
) -> ModelSignals | NoSignals:
    model = objective.model
    load = _server_load(samples, subject, model)
    if isinstance(load, NoSignals):
        return load
    successes, duration = load.successes, load.duration
    return ModelSignals(
        model=model,
        request_rate_per_second=load.per_second,
        in_flight=load.in_flight,
        latency=_server_latency(samples, subject, objective, successes, duration),
        failure_ratio=load.failure_ratio or 0.0,
        late_share=_late_share(samples.of(Query.SERVER_LATE, model), objective, load.failure_ratio),
        mean_latency_seconds=duration / successes if successes else None,
        queue_share=load.queue_share,
        pending=load.pending,
        slowest_step=load.slowest_step,
    )


@dataclass(frozen=True, slots=True)
class _ServerLoad:
    """What is asked of a model by Triton's figures, and what it does of that: `successes` a second,
    which take `duration` seconds together. `failure_ratio` is None where no request ended; the rest
    is as `ModelSignals` has it.
    """

    per_second: float
    in_flight: float
    successes: float
    duration: float
    failure_ratio: float | None
    queue_share: float | None
    pending: float | None
    slowest_step: str | None


def _server_load(samples: AgentSamples, subject: Subject, model: str) -> _ServerLoad | NoSignals:
    figures = _figures(
        samples, (Query.SERVER_REQUESTS, Query.SERVER_FAILURES, Query.SERVER_DURATION), model
    )
    if isinstance(figures, NoSignals):
        return figures
    successes, failures, duration = figures
    # A pipeline's own queue and gauge are always 0: its requests wait in its steps.
    steps = tuple(dict.fromkeys(subject.pipelines.get(model, (model,))))
    queueing = 0.0
    executing = {}
    for step in steps:
        figures = _figures(samples, (Query.SERVER_QUEUE, Query.SERVER_DURATION), step)
        if isinstance(figures, NoSignals):
            return figures
        queueing += figures[0]
        executing[step] = figures[1] - figures[0]
    slowest = max(steps, key=lambda step: executing[step])
    pending = _pending(samples, steps)
    requests = successes + failures
    return _ServerLoad(
        per_second=requests + _unanswered(samples, model, steps),
        # Executing by Little's law, and waiting by the larger of it and the gauge.
        in_flight=max(duration - queueing, 0.0) + max(queueing, pending or 0.0),
        successes=successes,
        duration=duration,
        failure_ratio=failures / requests if requests else None,
        queue_share=min(queueing / duration, 1.0) if duration else None,
        pending=pending,
        slowest_step=slowest if len(steps) > 1 and executing[slowest] > 0 else None,
    )


def _server_latency(
    samples: AgentSamples,
    subject: Subject,
    objective: ObjectivePolicy,
    successes: float,
    duration: float,
) -> Latency | None:
    """The best latency that Triton offers; None where no request ended in the window."""
    if not successes:
        return None
    model, percentile = objective.model, objective.percentile
    histogram = _percentile(samples.of(Query.SERVER_HISTOGRAM, model), percentile)
    # Not a number: this release feeds the histogram of other models only (before 26.01).
    if histogram is not None and math.isfinite(histogram):
        return Latency(histogram, LatencyKind.PERCENTILE, percentile)
    summaries = [
        series
        for series in samples.of(Query.SERVER_SUMMARY, model)
        # Not a number: this pod answered nothing in the last minute.
        if series.labels.get(samples.labels.pod) in subject.ready_pods
        and math.isfinite(series.value)
    ]
    # Triton offers the quantiles it was told to: of 0.5, 0.9 and 0.99, p95 is read off 0.99.
    offered = [q for q in map(_quantile, summaries) if q >= percentile / 100]
    if offered:
        quantile = min(offered)
        slowest = max(series.value for series in summaries if _quantile(series) == quantile)
        return Latency(slowest, LatencyKind.ESTIMATED_PERCENTILE, round(quantile * 100, 6))
    return Latency(duration / successes, LatencyKind.MEAN, None)


def _late_share(
    over_edges: Sequence[Series], objective: ObjectivePolicy, failure_ratio: float | None
) -> float | None:
    """The share of the requests that ended which were late or failed; None where none ended
    (`failure_ratio` is None then) or no histogram has an edge at the target.

    A histogram holds what was answered: of the rest, which failed, all were bad. Exact of Triton's,
    which counts successes only, and of requests that the gateway got no answer to. A pod's answer
    that is an error is in the gateway's histogram, too: where it was late itself, it counts twice,
    where not, nearly once. So a model that fails looks a little worse than it is, and never good.
    """
    if failure_ratio is None:
        return None
    if failure_ratio >= 1:
        return 1.0
    target = objective.latency_target_seconds * 1e3
    for series in over_edges:
        if math.isclose(float(series.labels.get("le", "nan")), target):
            if not math.isfinite(series.value):
                return None
            on_time = 1 - min(max(series.value, 0.0), 1.0)  # rate() extrapolates: it may be -1e-9
            return 1 - on_time * (1 - failure_ratio)
    return None


def _pending(samples: AgentSamples, models: Sequence[str]) -> float | None:
    """Requests waiting in Triton; None for releases that have no such gauge (before 23.09)."""
    gauges = [samples.value(Query.SERVER_PENDING, model) for model in models]
    known = [gauge for gauge in gauges if gauge is not None and math.isfinite(gauge)]
    return sum(known) if known else None


def _unanswered(samples: AgentSamples, model: str, steps: Sequence[str]) -> float:
    """Requests that arrived and did not end, or were given up by their clients, per second.

    A queue that shrinks takes nothing off the rate: it may be a pod's that has gone with it.
    Releases without the gauge or the reason (before 23.09, 24.07) have no part here: their rate is
    what ended, and the decision adds their backlog as it does everybody's.
    """
    waiting = cancelled = 0.0
    for labels, value in samples.of(Query.SERVER_UNANSWERED):
        if not math.isfinite(value):
            continue
        part, of = labels.get("part"), labels.get("model")
        if part == WAITING and of in steps:
            waiting += value
        elif part == CANCELLED and of == model:
            cancelled += value
    return max(waiting, 0.0) + max(cancelled, 0.0)


# ------------------------------------------------------------------------------------- reading


def _figures(
    samples: AgentSamples, queries: Sequence[Query], model: str | None = None
) -> tuple[float, ...] | NoSignals:
    """The values of several queries, which must all be there and be finite."""
    figures = []
    for query in queries:
        value = samples.value(query, model)
        if value is None or not math.isfinite(value):
            return _unusable(query, value, model, samples.source)
        figures.append(value)
    return tuple(figures)


def _unusable(query: Query, value: float | None, model: str | None, source: Source) -> NoSignals:
    """What is said of a figure that is missing, or no number."""
    of = f"model {model}" if model else "the gateway"
    if value is None:
        words = _WORDS[source]
        return NoSignals(Reason.NO_SERIES, f"{words.has_no} {query} of {of}: {words.kept}")
    return NoSignals(Reason.NOT_A_NUMBER, f"{query} of {of} is {value}")


def _quantile(series: Series) -> float:
    return float(series.labels.get("quantile", "nan"))


def _percentile(answers: Sequence[Series], percentile: int) -> float | None:
    """The value whose label `quantile` is the percentile, in whatever spelling."""
    for series in answers:
        if math.isclose(_quantile(series), percentile / 100):
            return series.value
    return None


# ------------------------------------------------------------------------------------- wording


def _seconds(duration: timedelta) -> str:
    """A duration to the second, for reading: 95.4 s is `1m35s`."""
    return format_duration(timedelta(seconds=round(duration.total_seconds())))


def _listed(pods: Sequence[str]) -> str:
    """At most three names, so that a message about hundreds of pods stays readable."""
    shown = ", ".join(pods[:3])
    return shown if len(pods) <= 3 else f"{shown} and {len(pods) - 3} more"
