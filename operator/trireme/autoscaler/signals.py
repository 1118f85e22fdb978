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
from collections.abc import Collection, Mapping, Sequence, Sized
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from trireme.api import names
from trireme.api.conditions import Reason
from trireme.api.scalars import format_duration
from trireme.autoscaler.expressions import GATEWAY, SERVER, PodKind
from trireme.autoscaler.queries import CANCELLED, WAITING, Query
from trireme.autoscaler.samples import AgentSamples, Series
from trireme.autoscaler.types.policy import ObjectivePolicy
from trireme.autoscaler.types.signals import (
    Coverage,
    Latency,
    LatencyKind,
    ModelSignals,
    NoSignals,
    Signals,
    Source,
)
from trireme.autoscaler.values import frozen

RATE_SAMPLES = 2  # what rate() needs in its window

# To look a member up in its enumeration takes half as long as to read a sample, for every agent.
_SAMPLE_TIME, _SAMPLE_COUNT = Query.SAMPLE_TIME, Query.SAMPLE_COUNT
_SCRAPE_INTERVAL = Query.SCRAPE_INTERVAL
_GATEWAY_LOAD = Query.GATEWAY_ARRIVALS, Query.GATEWAY_ANSWERS, Query.GATEWAY_IN_FLIGHT
_GATEWAY_DURATION, _GATEWAY_FAILURES = Query.GATEWAY_DURATION, Query.GATEWAY_FAILURES
_GATEWAY_HISTOGRAM, _GATEWAY_LATE = Query.GATEWAY_HISTOGRAM, Query.GATEWAY_LATE
_SERVER_LOAD = Query.SERVER_REQUESTS, Query.SERVER_FAILURES, Query.SERVER_DURATION
_STEP_LOAD = Query.SERVER_QUEUE, Query.SERVER_DURATION
_SERVER_PENDING, _SERVER_UNANSWERED = Query.SERVER_PENDING, Query.SERVER_UNANSWERED


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


def is_by_gateway(objectives: Sized, *, has_gateway: bool) -> bool:
    """Whether the rate, the latency and the failures are the gateway's: its figures are of all
    models together, so it cannot tell several objectives apart.
    """
    return has_gateway and len(objectives) == 1


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
    by_gateway = is_by_gateway(subject.objectives, has_gateway=subject.gateway_pods is not None)
    if not subject.ready_pods:
        return NoSignals(
            Reason.NO_PODS, "no server pod is ready, so there is nothing to observe", awaited=True
        )
    scraped = _scraped(_scrape_seconds(samples), window, limits)
    if scraped.interval is not None and scraped.interval > limits.longest_scrape_interval:
        return NoSignals(
            Reason.SCRAPE_INTERVAL_TOO_LONG,
            f"the pods are {_WORDS[samples.source].read} every {_seconds(scraped.interval)}, and "
            f"scaling needs at most {_seconds(limits.longest_scrape_interval)}: "
            f"{_WORDS[samples.source].oftener}",
        )
    times, counts = samples.by_pod(_SAMPLE_TIME), samples.by_pod(_SAMPLE_COUNT)
    judge = _Judge(samples, now, _unix_seconds(now), window, scraped, times, counts)
    servers_gap, servers = judge.judged(_SERVERS, subject.ready_pods)
    if not by_gateway:
        models = servers_gap or _by_servers(samples, subject)
        covered: tuple[Coverage, ...] = (servers,)
    elif not subject.gateway_pods:
        return NoSignals(
            Reason.NO_PODS, "no gateway pod is ready, so no request can be observed", awaited=True
        )
    else:
        gap, gateways = judge.judged(_GATEWAYS, subject.gateway_pods)
        models = gap or _by_gateway(samples, subject, servers_gap)
        covered = gateways, servers
    if isinstance(models, NoSignals):
        return models
    return Signals(now, window, models, samples.source, covered)


@lru_cache(maxsize=8)  # it takes a while, and a round asks once for each agent
def _unix_seconds(moment: datetime) -> float:
    return moment.timestamp()


@frozen
class _Scraped:
    """How often an agent's pods are scraped, and what follows: for how long a missing or old sample
    is accepted, and how many are `due` in the window; None where that is not known.
    """

    interval: timedelta | None
    patience: timedelta
    patience_seconds: float
    due: float | None


@lru_cache(maxsize=128)  # most agents' pods are scraped alike
def _scraped(seconds: float | None, window: timedelta, limits: Limits) -> _Scraped:
    interval = None if seconds is None else timedelta(seconds=seconds)
    patience = limits.patience(interval)
    due = window / interval if interval else None
    return _Scraped(interval, patience, patience.total_seconds(), due)


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
class _Kind:
    """One kind of pods, and where Prometheus should find their samples."""

    pods: PodKind
    port: int

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.pods.name


_SERVERS = _Kind(SERVER, names.METRICS_PORT)
_GATEWAYS = _Kind(GATEWAY, names.GATEWAY_METRICS_PORT)


@frozen
class _Judge:
    """Tells whether every ready pod has fresh samples, but for those that only just became ready.

    `now_seconds` is the Unix time of `now`; `times` and `counts` are of the samples, by pod.
    """

    samples: AgentSamples
    now: datetime
    now_seconds: float
    window: timedelta
    scraped: _Scraped
    times: Mapping[str, float]
    counts: Mapping[str, float]

    @property
    def _words(self) -> "_Words":
        return _WORDS[self.samples.source]

    def judged(
        self, kind: _Kind, ready_since: Mapping[str, datetime]
    ) -> tuple[NoSignals | None, Coverage]:
        """What is missing of the ready pods' samples, None where nothing is; and how many of them
        there are rates of.

        A pod has a gap where more than one sample is missing of it in the window: with 5 s between
        them, 5 in 30 s are as good as all, and 4 are not.
        """
        times, counts, due = self.times, self.counts, self.scraped.due
        long_ago = self.now - self.window
        covered, gaps = {}, 0
        for pod, since in ready_since.items():
            count = counts.get(pod, 0)
            if count >= RATE_SAMPLES and pod in times:
                covered[pod] = times[pod]
            if due is not None and count + 1 < due and since < long_ago:
                gaps += 1
        age = self.now_seconds - min(covered.values()) if covered else None
        coverage = Coverage(
            kind.name,
            len(covered),
            len(ready_since),
            None if age is None else max(0.0, age),
            gaps,
        )
        all_well = (
            age is not None
            and age <= self.scraped.patience_seconds
            and len(covered) == len(ready_since)
            and not self.samples.refused
        )
        return None if all_well else self._gap(kind, ready_since, covered), coverage

    def _gap(
        self, kind: _Kind, ready_since: Mapping[str, datetime], covered: Collection[str]
    ) -> NoSignals | None:
        refused = self.samples.refused
        if refused and (of_these := sorted(refused.keys() & ready_since.keys())):
            return NoSignals(
                Reason.TOO_MANY_SERIES,
                f"{kind.name} pod {of_these[0]} {refused[of_these[0]]}: have Prometheus scrape it",
            )
        times = self.times
        heard = [pod for pod in ready_since if pod in times]
        if heard:
            oldest = min(heard, key=times.__getitem__)
            age = timedelta(seconds=self.now_seconds - times[oldest])
            if age > self.scraped.patience:
                return NoSignals(
                    Reason.STALE,
                    f"the newest sample of {kind.name} pod {oldest} is {_seconds(age)} old, and "
                    f"at most {_seconds(self.scraped.patience)} is accepted: {self._words.late}",
                )
        if len(covered) == len(ready_since):
            return None
        missing = ready_since.keys() - covered
        overdue = sorted(
            pod for pod in missing if self.now - ready_since[pod] > self.scraped.patience
        )
        if not covered:
            words = self._nothing(kind, len(ready_since), awaited=not overdue)
            return NoSignals(Reason.NO_SERIES, words, awaited=not overdue)
        if overdue:
            return NoSignals(
                Reason.PARTIAL,
                f"{len(overdue)} of {len(ready_since)} ready {kind.name} pods have no two "
                f"samples in the last {_seconds(self.window)}: {_listed(overdue)}; check their "
                "scrape targets",
            )
        return None

    def _nothing(self, kind: _Kind, count: int, *, awaited: bool) -> str:
        fleet = f"the ready {kind.name} pod" if count == 1 else f"{count} ready {kind.name} pods"
        if awaited:
            return f"{self._words.has_no} two samples yet of {fleet}, which only just became ready"
        label = self.samples.labels.owner(kind.pods)
        remedy = self._words.scraped.format(port=kind.port, label=label)
        return (
            f"{self._words.has_no} two samples of {fleet} in the last {_seconds(self.window)}: "
            f"{remedy}"
        )


def _scrape_seconds(samples: AgentSamples) -> float | None:
    """The longer of the server pods' and the gateway pods' scrape intervals, where measured."""
    longest = None
    for _, seconds in samples.of(_SCRAPE_INTERVAL):
        if math.isfinite(seconds) and seconds > (longest or 0):
            longest = seconds
    return longest


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
    figures = _figures(samples, _GATEWAY_LOAD)
    if isinstance(figures, NoSignals):
        return figures
    arrivals, answers, in_flight = figures
    duration = 0.0
    # Envoy makes the histogram when the first request ends: absent, none has ended.
    if answers or samples.value(_GATEWAY_DURATION) is not None:
        ended = _figures(samples, (_GATEWAY_DURATION,))
        if isinstance(ended, NoSignals):
            return ended
        (duration,) = ended
    # Envoy makes a failure counter when the first failure happens: absent, none has happened.
    failures = samples.value(_GATEWAY_FAILURES) or 0.0
    seconds = _percentile(samples.of(_GATEWAY_HISTOGRAM), objective.percentile)
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
    queue_share = pending = slowest_step = None
    server = servers_gap or _server_load(samples, subject, objective.model)
    if isinstance(server, _ServerLoad):
        rate, in_flight = max(rate, server.per_second), max(in_flight, server.in_flight)
        queue_share, pending, slowest_step = server.queue_share, server.pending, server.slowest_step
    elif not rate and not in_flight:
        return server
    mean_seconds = duration / answers if answers else None
    late_share = _late_share(
        samples.of(_GATEWAY_LATE), objective, failure_ratio if answers else None
    )
    seen = ModelSignals(  # by name, here and below, it would take three times as long
        objective.model,
        rate,
        in_flight,
        latency,
        failure_ratio,
        mean_seconds,
        queue_share,
        pending,
        slowest_step,
        late_share,
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


@frozen
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
    figures = _figures(samples, _SERVER_LOAD, model)
    if isinstance(figures, NoSignals):
        return figures
    successes, failures, duration = figures
    # A pipeline's own queue and gauge are always 0: its requests wait in its steps.
    calls = subject.pipelines.get(model)
    steps = (model,) if calls is None else tuple(dict.fromkeys(calls))
    queueing = 0.0
    executing = {}
    for step in steps:
        figures = _figures(samples, _STEP_LOAD, step)
        if isinstance(figures, NoSignals):
            return figures
        queueing += figures[0]
        executing[step] = figures[1] - figures[0]
    slowest = max(steps, key=executing.__getitem__) if len(steps) > 1 else None
    pending = _pending(samples, steps)
    requests = successes + failures
    per_second = requests + _unanswered(samples, model, steps)
    # Executing by Little's law, and waiting by the larger of it and the gauge.
    in_flight = max(duration - queueing, 0.0) + max(queueing, pending or 0.0)
    failure_ratio = failures / requests if requests else None
    queue_share = min(queueing / duration, 1.0) if duration else None
    return _ServerLoad(
        per_second,
        in_flight,
        successes,
        duration,
        failure_ratio,
        queue_share,
        pending,
        slowest if slowest is not None and executing[slowest] > 0 else None,
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
        (named.quantile, value)
        for named, value in samples.of(Query.SERVER_SUMMARY, model)
        # Not a number: this pod answered nothing in the last minute.
        if named.pod in subject.ready_pods and math.isfinite(value)
    ]
    # Triton offers the quantiles it was told to: of 0.5, 0.9 and 0.99, p95 is read off 0.99.
    offered = [quantile for quantile, _ in summaries if quantile >= percentile / 100]
    if offered:
        quantile = min(offered)
        slowest = max(value for of, value in summaries if of == quantile)
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
    for named, value in over_edges:
        if math.isclose(named.edge, target):
            if not math.isfinite(value):
                return None
            on_time = 1 - min(max(value, 0.0), 1.0)  # rate() extrapolates: it may be -1e-9
            return 1 - on_time * (1 - failure_ratio)
    return None


def _pending(samples: AgentSamples, models: Sequence[str]) -> float | None:
    """Requests waiting in Triton; None for releases that have no such gauge (before 23.09)."""
    pending = None
    for model in models:
        gauge = samples.value(_SERVER_PENDING, model)
        if gauge is not None and math.isfinite(gauge):
            pending = (pending or 0.0) + gauge
    return pending


def _unanswered(samples: AgentSamples, model: str, steps: Sequence[str]) -> float:
    """Requests that arrived and did not end, or were given up by their clients, per second.

    A queue that shrinks takes nothing off the rate: it may be a pod's that has gone with it.
    Releases without the gauge or the reason (before 23.09, 24.07) have no part here: their rate is
    what ended, and the decision adds their backlog as it does everybody's.
    """
    waiting = cancelled = 0.0
    for named, value in samples.of(_SERVER_UNANSWERED):
        if not math.isfinite(value):
            continue
        if named.part == WAITING and named.model in steps:
            waiting += value
        elif named.part == CANCELLED and named.model == model:
            cancelled += value
    return max(waiting, 0.0) + max(cancelled, 0.0)


# ------------------------------------------------------------------------------------- reading


def _figures(
    samples: AgentSamples, queries: Sequence[Query], model: str | None = None
) -> list[float] | NoSignals:
    """The values of several queries, which must all be there and be finite."""
    figures = []
    for query in queries:
        value = samples.value(query, model)
        if value is None or not math.isfinite(value):
            return _unusable(query, value, model, samples.source)
        figures.append(value)
    return figures


def _unusable(query: Query, value: float | None, model: str | None, source: Source) -> NoSignals:
    """What is said of a figure that is missing, or no number."""
    of = f"model {model}" if model else "the gateway"
    if value is None:
        words = _WORDS[source]
        return NoSignals(Reason.NO_SERIES, f"{words.has_no} {query} of {of}: {words.kept}")
    return NoSignals(Reason.NOT_A_NUMBER, f"{query} of {of} is {value}")


def _percentile(answers: Sequence[Series], percentile: int) -> float | None:
    """The value whose label `quantile` is the percentile, in whatever spelling."""
    for named, value in answers:
        if math.isclose(named.quantile, percentile / 100):
            return value
    return None


# ------------------------------------------------------------------------------------- wording


def _seconds(duration: timedelta) -> str:
    """A duration to the second, for reading: 95.4 s is `1m35s`."""
    return format_duration(timedelta(seconds=round(duration.total_seconds())))


def _listed(pods: Sequence[str]) -> str:
    """At most three names, so that a message about hundreds of pods stays readable."""
    shown = ", ".join(pods[:3])
    return shown if len(pods) <= 3 else f"{shown} and {len(pods) - 3} more"
