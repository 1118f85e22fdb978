"""Every query parses in a real Prometheus and means what `signals` takes it for.

Each agent below has a history of its own, scraped every 5 s for ten minutes (unless said), whose
signals follow by arithmetic.
"""

import asyncio
import functools
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from integration.prometheus_server import prometheus
from trireme.api.conditions import Reason
from trireme.autoscaler import samples
from trireme.autoscaler.direct import PodHistory, Sample, agent_samples
from trireme.autoscaler.expressions import GATEWAY, SERVER
from trireme.autoscaler.promql import queries
from trireme.autoscaler.queries import Labels, Query, window
from trireme.autoscaler.samples import AgentSamples, Round
from trireme.autoscaler.signals import Subject, assemble
from trireme.autoscaler.types.policy import ObjectivePolicy
from trireme.autoscaler.types.signals import ModelSignals, NoSignals, Signals, Source
from trireme.edge.prometheus import Access, Prometheus

NOW = datetime(2026, 1, 1, 12, 0, 1, tzinfo=UTC)  # one second after the newest scrape
HISTORY = 600
LABELS = Labels()
LONG_AGO = NOW - timedelta(hours=1)
JUST_NOW = NOW - timedelta(seconds=15)
LABEL = re.compile(r'(\w+)="([^"]*)"')
TARGET = ("namespace", "pod", "job")


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


Growth = Callable[[float], float]
"""A sample's value by the seconds since the pod's start."""


def per_second(rate: float) -> Growth:
    return lambda age: rate * age


def always(value: float) -> Growth:
    return lambda age: value


def triton_histogram(rate: float, share_up_to: Mapping[str, float]) -> dict[str, Growth]:
    buckets = histogram("nv_inference_first_response_histogram_ms", share_up_to, rate)
    return {key.replace("}", ',model="m",version="1"}'): g for key, g in buckets.items()}


def histogram(name: str, share_up_to: Mapping[str, float], rate: float) -> dict[str, Growth]:
    """Cumulative buckets, from the share of requests up to each edge."""
    buckets = {le: per_second(rate * share) for le, share in share_up_to.items()}
    return {f'{name}_bucket{{le="{le}"}}': growth for le, growth in buckets.items()}


def scrapes(
    pod: str,
    owner: Mapping[str, str],
    metrics: Mapping[str, Growth],
    *,
    every: int = 5,
    start: int = 0,
    end: int = HISTORY,
    job: str = "pods",
) -> Iterator[str]:
    """The samples of one pod that was scraped from `start` to `end`, of ten minutes."""
    labels = {"namespace": "shop", "pod": pod, "job": job, **owner}
    target = ",".join(f'{name}="{value}"' for name, value in labels.items())
    begin = NOW.timestamp() - 1 - HISTORY
    for metric, growth in metrics.items():
        name, _, own = metric.partition("{")
        series = f"{name}{{{target}{',' if own else ''}{own.rstrip('}')}}}"
        for second in range(start, end + 1, every):
            yield f"{series} {growth(second - start)} {begin + second}"


def server(agent: str) -> dict[str, str]:
    return {LABELS.agent: agent}


def gateway(agent: str) -> dict[str, str]:
    return {LABELS.gateway: agent}


def triton(
    model: str = "m",
    *,
    successes: float = 10.0,
    failures: float = 0.0,
    cancelled: float = 0.0,
    in_flight: float = 2.0,
    waiting: float = 0.5,
    pending: float = 0.5,
    gpu: str = "",
) -> dict[str, Growth]:
    """The metrics of one model in one pod, from its rates per second."""
    of = f'model="{model}",version="1"'
    counted = f'{of},gpu_uuid="{gpu}"' if gpu else of
    return {
        f"nv_inference_request_success{{{counted}}}": per_second(successes),
        f'nv_inference_request_failure{{{counted},reason="REJECTED"}}': per_second(failures),
        f'nv_inference_request_failure{{{counted},reason="CANCELED"}}': per_second(cancelled),
        f"nv_inference_request_duration_us{{{counted}}}": per_second(in_flight * 1e6),
        f"nv_inference_queue_duration_us{{{counted}}}": per_second(waiting * 1e6),
        f"nv_inference_pending_request_count{{{of}}}": always(pending),
    }


def summary(quantiles: Mapping[str, float], model: str = "m") -> dict[str, Growth]:
    of = f'model="{model}",version="1"'
    name = "nv_inference_request_summary_us"
    return {f'{name}{{{of},quantile="{q}"}}': always(us) for q, us in quantiles.items()}


def envoy(
    cluster: str,
    *,
    arrivals: float = 0.0,
    answers: float = 0.0,
    milliseconds: float = 0.0,
    active: float = 0.0,
    waiting: float = 0.0,
) -> dict[str, Growth]:
    """The metrics of one cluster in one gateway pod."""
    of = f'{{envoy_cluster_name="{cluster}"}}'
    return {
        f"envoy_cluster_upstream_rq_total{of}": per_second(arrivals),
        f"envoy_cluster_upstream_rq_completed{of}": per_second(answers),
        f"envoy_cluster_upstream_rq_time_sum{of}": per_second(milliseconds),
        f"envoy_cluster_upstream_rq_active{of}": always(active),
        f"envoy_cluster_upstream_rq_pending_active{of}": always(waiting),
    }


def envoy_histogram(
    cluster: str, rate: float, share_up_to: Mapping[str, float]
) -> dict[str, Growth]:
    of = f',envoy_cluster_name="{cluster}"}}'
    buckets = histogram("envoy_cluster_upstream_rq_time", share_up_to, rate)
    return {key.replace("}", of): growth for key, growth in buckets.items()}


def history() -> Iterator[str]:
    # plain: two pods on GPUs (a series each per GPU), a third deleted 5 minutes ago.
    for pod in ("plain-a", "plain-b"):
        yield from scrapes(pod, server("plain"), triton(gpu="GPU-0", failures=0.5, cancelled=3))
    yield from scrapes("plain-gone", server("plain"), triton(), end=300)
    # summed: 80 ms and 120 ms at the 0.99 quantile, and a pod that is no longer ready with more.
    for pod, p99 in (("sum-a", 80e3), ("sum-b", 120e3), ("sum-old", 900e3)):
        yield from scrapes(
            pod, server("summed"), {**triton(), **summary({"0.5": 1e3, "0.99": p99})}
        )
    # buckets: 90 % within 50 ms, all within 100 ms: p95 is half-way, 75 ms.
    shares = {"50": 0.9, "100": 1.0, "+Inf": 1.0}
    yield from scrapes("buckets-a", server("buckets"), {**triton(), **triton_histogram(10, shares)})
    # edges: of two pods the older one has no edge at 50 ms yet, which is a new target; Prometheus 3
    # spells it with a dot. Of 10 successes a second 9 are within it; 2.5 more fail.
    spelled = {"50.0": 0.9, "100.0": 1.0, "+Inf": 1.0}
    for pod, told in (("edges-a", spelled), ("edges-old", {"100.0": 1.0, "+Inf": 1.0})):
        yield from scrapes(
            pod, server("edges"), {**triton(failures=2.5), **triton_histogram(10, told)}
        )
    # twice: one pod, scraped by two jobs.
    for job in ("pods", "also-pods"):
        yield from scrapes("twice-a", server("twice"), triton(), job=job)
    # idle: everything is there, and nothing happens.
    yield from scrapes(
        "idle-a", server("idle"), triton(successes=0, in_flight=0, waiting=0, pending=0)
    )
    # stuck: nothing ends, and requests pile up.
    yield from scrapes(
        "stuck-a", server("stuck"), triton(successes=0, in_flight=0, waiting=0, pending=40)
    )
    # flooded: 10 answers and 2.5 rejections a second, 4 a second given up by their clients, and a
    # queue that grows by 20 a second.
    flooded = triton(failures=2.5, cancelled=4)
    flooded['nv_inference_pending_request_count{model="m",version="1"}'] = per_second(20)
    yield from scrapes("flooded-a", server("flooded"), flooded)
    # drained: the same queue shrinks.
    drained = triton()
    drained['nv_inference_pending_request_count{model="m",version="1"}'] = lambda age: 9e3 - 3 * age
    yield from scrapes("drained-a", server("drained"), drained)
    # restarted: its counters began anew 12 s before the end, and then grew as before.
    yield from scrapes("restarted-a", server("restarted"), triton(), end=HISTORY - 15)
    yield from scrapes("restarted-a", server("restarted"), triton(), start=HISTORY - 10)
    # rolled: within the window the pods of another version went, and new ones came.
    yield from scrapes("rolled-old", server("rolled"), triton(), end=HISTORY - 20)
    newer = {key.replace('version="1"', 'version="2"'): g for key, g in triton().items()}
    yield from scrapes("rolled-new", server("rolled"), newer, start=HISTORY - 20)
    # chain: a pipeline of two steps. Its own queue and gauge are always 0 (seen in Triton 2.51:
    # of 740 ms in 200 requests of a pipeline 0.15 ms were queueing, and 547 ms in its steps).
    yield from scrapes(
        "chain-a",
        server("chain"),
        {
            **triton("agent", in_flight=6, waiting=0, pending=0),
            **triton("encoder", pending=3),
            **triton("policy", pending=4, in_flight=3),
        },
    )
    # young: an old pod, and one with a single sample so far.
    yield from scrapes("young-a", server("young"), triton())
    yield from scrapes("young-b", server("young"), triton(), start=HISTORY)
    # slow: scraped once a minute.
    yield from scrapes("slow-a", server("slow"), triton(), every=60)
    # halted: Prometheus took its last sample 25 s ago.
    yield from scrapes("halted-a", server("halted"), triton(), end=HISTORY - 25)
    # web: a gateway of two pods; 100 req/s HTTP and 20 gRPC each, 2 and 1 of them failing. A
    # quarter of the HTTP requests goes to a canary.
    shares = {"50": 0.9, "100": 1.0, "+Inf": 1.0}
    for pod in ("web-gateway-a", "web-gateway-b"):
        yield from scrapes(
            pod,
            gateway("web"),
            {
                **envoy("inference_http", arrivals=75, answers=74, milliseconds=3000, active=2),
                **envoy(
                    "inference_http_canary", arrivals=25, answers=24, milliseconds=1000, active=1
                ),
                **envoy("inference_grpc", arrivals=20, answers=22, milliseconds=1000, waiting=1),
                **envoy("admin", arrivals=1e6, answers=1e6, milliseconds=1e9, active=1e6),
                **envoy_histogram("inference_http", 74, shares),
                **envoy_histogram("inference_http_canary", 24, shares),
                **envoy_histogram("inference_grpc", 22, shares),
                'envoy_cluster_upstream_rq_xx{envoy_response_code_class="5",'
                'envoy_cluster_name="inference_http"}': per_second(0.5),
                'envoy_cluster_upstream_rq_xx{envoy_response_code_class="5",'
                'envoy_cluster_name="inference_http_canary"}': per_second(1.5),
                # Envoy books a gRPC answer it made itself twice: here, and as a status.
                'envoy_cluster_upstream_rq_xx{envoy_response_code_class="5",'
                'envoy_cluster_name="inference_grpc"}': per_second(0.6),
                'envoy_cluster_grpc_14{envoy_cluster_name="inference_grpc"}': per_second(0.6),
                'envoy_cluster_grpc_13{envoy_cluster_name="inference_grpc_canary"}': per_second(
                    0.4
                ),
                'envoy_cluster_grpc_3{envoy_cluster_name="inference_grpc"}': per_second(7),
            },
        )
    yield from scrapes("web-a", server("web"), triton(waiting=1, pending=4))
    # Two gateways that never had a request, so that their histograms are empty and no failure
    # counter exists: idle-web is idle, and streams serves streams.
    no_requests = {
        **envoy("inference_http"),
        **envoy("inference_grpc"),
        **envoy_histogram("inference_http", 0, shares),
    }
    nothing = triton(successes=0, in_flight=0, waiting=0, pending=0)
    yield from scrapes("idle-gateway-a", gateway("idle-web"), no_requests)
    yield from scrapes("idle-web-a", server("idle-web"), nothing)
    yield from scrapes("streams-gateway-a", gateway("streams"), no_requests)
    yield from scrapes("streams-a", server("streams"), triton(in_flight=12))


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Round:
    """What a Prometheus with all of these histories answers."""
    directory: Path = tmp_path_factory.mktemp("prometheus")
    with prometheus(directory, history()) as url:
        return asyncio.run(ask(url))


async def ask(url: str) -> Round:
    async with Prometheus(Access(url, timeout_seconds=30)) as client:
        asked = queries(window(None), LABELS, (95, 99), (seconds(0.1), seconds(0.05)))
        return await client.round(asked, LABELS, NOW)


def objective(model: str = "m", percentile: int = 95, target: float = 0.1) -> ObjectivePolicy:
    return ObjectivePolicy(model, percentile, target, 0.001, 8.0, fixed_target=False)


def signals_of(
    answers: Round,
    agent: str,
    *ready_pods: str,
    gateway_pods: tuple[str, ...] | None = None,
    objectives: tuple[ObjectivePolicy, ...] = (objective(),),
    ready_since: datetime = LONG_AGO,
) -> Signals | NoSignals:
    told = samples.Index(LABELS, answers).of("shop", agent)
    return assembled(told, agent, ready_pods, gateway_pods, objectives, ready_since)


def assembled(
    told: AgentSamples,
    agent: str,
    ready_pods: tuple[str, ...],
    gateway_pods: tuple[str, ...] | None,
    objectives: tuple[ObjectivePolicy, ...],
    ready_since: datetime,
) -> Signals | NoSignals:
    subject = Subject(
        "shop",
        agent,
        objectives,
        {"agent": ("encoder", "policy")},
        dict.fromkeys(ready_pods, ready_since),
        None if gateway_pods is None else dict.fromkeys(gateway_pods, LONG_AGO),
    )
    return assemble(told, subject, now=NOW, window=window(None))


def the_model(signals: Signals | NoSignals) -> ModelSignals:
    assert isinstance(signals, Signals), signals
    (model,) = signals.models
    return model


def rounded(model: ModelSignals) -> dict[str, object]:
    """A model's fields to six digits, which is what rate()'s extrapolation leaves exact."""
    names = [name for name in ModelSignals.__dataclass_fields__ if name != "slowest_step"]
    fields = {name: getattr(model, name) for name in names}
    fields["latency"] = None if model.latency is None else str(model.latency)
    return {k: round(v, 6) if isinstance(v, float) else v for k, v in fields.items()}


@functools.cache
def pods_by_agent() -> Mapping[str, Mapping[str, PodHistory]]:
    """The same samples, as if the pods of each agent had told them."""
    told: dict[tuple[str, str, float], list[Sample]] = {}
    pods: defaultdict[str, dict[str, PodHistory]] = defaultdict(dict)
    for line in history():
        series, value, time = line.rsplit(" ", 2)
        metric, _, text = series.partition("{")
        labels = dict(LABEL.findall(text))
        kind = GATEWAY if LABELS.gateway in labels else SERVER
        if labels["job"] == "pods":
            agent, pod = labels[LABELS.owner(kind)], labels["pod"]
            pods[agent].setdefault(pod, PodHistory(kind))
            own = [(n, v) for n, v in labels.items() if n not in (*TARGET, LABELS.owner(kind))]
            sample = Sample(metric, tuple(sorted(own)), float(value))
            told.setdefault((agent, pod, float(time)), []).append(sample)
    for (agent, pod, time), read in sorted(told.items(), key=lambda item: item[0][2]):
        pods[agent][pod].add(datetime.fromtimestamp(time, UTC), read)
    return pods


def read_directly(agent: str) -> AgentSamples:
    pods = pods_by_agent()[agent]
    asked = (objective(), objective(percentile=99, target=0.05))
    return agent_samples(pods, LABELS, now=NOW, window=window(None), objectives=asked)


@pytest.mark.parametrize(
    ("agent", "servers", "gateways"),
    [
        pytest.param("plain", ("plain-a", "plain-b"), None, id="several GPUs and pods"),
        pytest.param("summed", ("sum-a", "sum-b"), None, id="summaries"),
        pytest.param("buckets", ("buckets-a",), None, id="a histogram"),
        pytest.param("edges", ("edges-a", "edges-old"), None, id="edges that not all have"),
        pytest.param("idle", ("idle-a",), None, id="no request"),
        pytest.param("stuck", ("stuck-a",), None, id="nothing ends"),
        pytest.param("flooded", ("flooded-a",), None, id="a queue that grows"),
        pytest.param("drained", ("drained-a",), None, id="a queue that shrinks"),
        pytest.param("restarted", ("restarted-a",), None, id="a counter that was reset"),
        pytest.param("rolled", ("rolled-new",), None, id="pods that went and came in the window"),
        pytest.param("chain", ("chain-a",), None, id="a pipeline"),
        pytest.param("young", ("young-a", "young-b"), None, id="a pod without two samples"),
        pytest.param("web", ("web-a",), ("web-gateway-a", "web-gateway-b"), id="a gateway"),
        pytest.param("idle-web", ("idle-web-a",), ("idle-gateway-a",), id="an idle gateway"),
        pytest.param("streams", ("streams-a",), ("streams-gateway-a",), id="streams"),
    ],
)
def test_pods_that_are_read_directly_tell_the_very_same(
    answers: Round, agent: str, servers: tuple[str, ...], gateways: tuple[str, ...] | None
) -> None:
    objectives = (objective("agent" if agent == "chain" else "m"),)
    expected = signals_of(
        answers, agent, *servers, gateway_pods=gateways, objectives=objectives, ready_since=JUST_NOW
    )
    signals = assembled(
        read_directly(agent), agent, servers, gateways, objectives, ready_since=JUST_NOW
    )
    assert isinstance(expected, Signals), expected
    assert isinstance(signals, Signals), signals
    assert [rounded(m) for m in signals.models] == [rounded(m) for m in expected.models]
    assert signals.coverage == expected.coverage
    assert (expected.source, signals.source) == (Source.PROMETHEUS, Source.PODS)


def test_every_query_is_answered_by_a_prometheus(answers: Round) -> None:
    assert [query for query in Query if not answers[query]] == []


def test_triton_alone_gives_means_and_sums_over_pods_and_gpus(answers: Round) -> None:
    # Two pods: 20 successes/s, 1 failure/s, and 6 cancelled/s (no failures), 4 in flight by
    # Little's law, of which 1 waits, as the gauge says too; a deleted pod has left the window.
    model = the_model(signals_of(answers, "plain", "plain-a", "plain-b"))
    assert rounded(model) == {
        "model": "m",
        "request_rate_per_second": 27.0,
        "in_flight": 4.0,
        "latency": "mean 200 ms",
        "failure_ratio": round(1 / 21, 6),
        "late_share": None,
        "mean_latency_seconds": 0.2,
        "queue_share": 0.25,
        "pending": 1.0,
    }


def test_summaries_give_the_slowest_ready_pod_at_the_quantile_that_is_offered(
    answers: Round,
) -> None:
    model = the_model(signals_of(answers, "summed", "sum-a", "sum-b"))
    assert str(model.latency) == "estimated p99 120 ms"


def test_the_servers_histogram_gives_a_fleet_wide_percentile(answers: Round) -> None:
    model = the_model(signals_of(answers, "buckets", "buckets-a"))
    assert str(model.latency) == "p95 75 ms"


def test_the_share_of_late_requests_is_of_pods_that_have_the_edge(answers: Round) -> None:
    pods = ("edges-a", "edges-old")
    model = the_model(signals_of(answers, "edges", *pods, objectives=(objective(target=0.05),)))
    assert model.failure_ratio == 0.2
    assert round(model.late_share or 0, 6) == round(1 - 0.9 * 0.8, 6)
    model = the_model(signals_of(answers, "edges", *pods, objectives=(objective(target=0.07),)))
    assert model.late_share is None, "no histogram has an edge there"


def test_each_percentile_asked_for_is_answered(answers: Round) -> None:
    model = the_model(
        signals_of(answers, "buckets", "buckets-a", objectives=(objective(percentile=99),))
    )
    assert str(model.latency) == "p99 95 ms"


def test_a_pod_that_two_jobs_scrape_counts_once(answers: Round) -> None:
    model = the_model(signals_of(answers, "twice", "twice-a"))
    assert round(model.request_rate_per_second, 6) == 10.0
    assert round(model.in_flight, 6) == 2.0
    assert model.pending == 0.5


def test_an_idle_agent_has_signals_and_no_latency(answers: Round) -> None:
    model = the_model(signals_of(answers, "idle", "idle-a"))
    assert rounded(model) == {
        "model": "m",
        "request_rate_per_second": 0.0,
        "in_flight": 0.0,
        "latency": None,
        "failure_ratio": 0.0,
        "late_share": None,
        "mean_latency_seconds": None,
        "queue_share": None,
        "pending": 0.0,
    }


def test_a_server_that_answers_nothing_shows_its_demand_by_what_waits(answers: Round) -> None:
    model = the_model(signals_of(answers, "stuck", "stuck-a"))
    assert (model.in_flight, model.latency) == (40.0, None)


def test_answers_are_not_the_demand_while_a_queue_grows(answers: Round) -> None:
    model = the_model(signals_of(answers, "flooded", "flooded-a"))
    assert round(model.request_rate_per_second, 6) == 10 + 2.5 + 4 + 20
    assert model.failure_ratio == 0.2, "of those that ended: what was given up is no failure"


def test_a_queue_that_shrinks_takes_nothing_off_the_demand(answers: Round) -> None:
    model = the_model(signals_of(answers, "drained", "drained-a"))
    assert round(model.request_rate_per_second, 6) == 10


def test_a_pipelines_requests_wait_in_its_steps(answers: Round) -> None:
    # 6 in flight by Little's law, 0.5 + 0.5 of them waiting in the steps, where the gauges show
    # 3 + 4: 5 are executing and 7 waiting.
    model = the_model(signals_of(answers, "chain", "chain-a", objectives=(objective("agent"),)))
    assert model.pending == 7.0
    assert round(model.in_flight, 6) == 12.0
    assert round(model.queue_share or 0, 6) == round(1 / 6, 6)
    assert model.slowest_step == "policy"


def test_several_objectives_have_signals_each(answers: Round) -> None:
    signals = signals_of(
        answers,
        "chain",
        "chain-a",
        objectives=(objective("encoder"), objective("policy")),
        gateway_pods=(),
    )
    assert isinstance(signals, Signals)
    assert [(m.model, m.pending) for m in signals.models] == [("encoder", 3.0), ("policy", 4.0)]


def test_the_gateway_gives_arrivals_failures_and_a_percentile_of_both_protocols(
    answers: Round,
) -> None:
    # 240 requests/s start and are answered; failures are 2 x (2 HTTP + 0.6 + 0.4 gRPC); 10 s of
    # requests a second by Little's law, more than the gauges' 2 x (3 + 1).
    model = the_model(
        signals_of(answers, "web", "web-a", gateway_pods=("web-gateway-a", "web-gateway-b"))
    )
    assert rounded(model) == {
        "model": "m",
        "request_rate_per_second": 240.0,
        "in_flight": 10.0,
        "latency": "p95 75 ms",
        "failure_ratio": round(6 / 240, 6),
        "late_share": round(6 / 240, 6),
        "mean_latency_seconds": round(10 / 240, 6),
        "queue_share": 0.5,
        "pending": 4.0,
    }


def test_the_gateway_speaks_for_servers_that_are_not_scraped(answers: Round) -> None:
    model = the_model(
        signals_of(
            answers, "web", "web-a", "web-b", gateway_pods=("web-gateway-a", "web-gateway-b")
        )
    )
    assert round(model.request_rate_per_second, 6) == 240.0
    assert (model.queue_share, model.pending) == (None, None)


def test_a_gateway_without_a_first_request_is_idle_as_its_servers_are(answers: Round) -> None:
    model = the_model(
        signals_of(answers, "idle-web", "idle-web-a", gateway_pods=("idle-gateway-a",))
    )
    assert (model.request_rate_per_second, model.in_flight, model.latency) == (0.0, 0.0, None)


def test_an_idle_gateway_is_not_believed_without_its_servers(answers: Round) -> None:
    signals = signals_of(answers, "idle-web", "unscraped", gateway_pods=("idle-gateway-a",))
    assert isinstance(signals, NoSignals)
    assert signals.reason is Reason.NO_SERIES
    assert "ready server pod" in signals.message


def test_streams_are_demand_that_only_the_servers_see(answers: Round) -> None:
    model = the_model(
        signals_of(answers, "streams", "streams-a", gateway_pods=("streams-gateway-a",))
    )
    assert (model.latency, round(model.in_flight, 6)) == (None, 12.0)


def test_a_pod_without_two_samples_is_awaited_and_then_missed(answers: Round) -> None:
    pods = ("young-a", "young-b")
    just_now = signals_of(answers, "young", *pods, ready_since=NOW - timedelta(seconds=20))
    assert isinstance(just_now, Signals)
    later = signals_of(answers, "young", *pods, ready_since=NOW - timedelta(seconds=21))
    assert later == NoSignals(
        Reason.PARTIAL,
        "1 of 2 ready server pods have no two samples in the last 30s: young-b; check their "
        "scrape targets",
    )


def test_a_missing_gateway_pod_is_partial(answers: Round) -> None:
    signals = signals_of(answers, "web", "web-a", gateway_pods=("web-gateway-a", "web-gateway-c"))
    assert isinstance(signals, NoSignals)
    assert signals.reason is Reason.PARTIAL


def test_an_agent_that_is_not_scraped_has_no_series(answers: Round) -> None:
    assert signals_of(answers, "nobody", "nobody-a") == NoSignals(
        Reason.NO_SERIES,
        "Prometheus has no two samples of the ready server pod in the last 30s: check that it "
        "scrapes their port 8002 and gives them the label trireme_dev_agent",
    )


def test_an_agent_scraped_every_minute_is_told_so(answers: Round) -> None:
    assert signals_of(answers, "slow", "slow-a") == NoSignals(
        Reason.SCRAPE_INTERVAL_TOO_LONG,
        "the pods are scraped every 1m, and scaling needs at most 30s: set the scrape interval "
        "of their job or PodMonitor to 5s",
    )


def test_samples_that_stopped_coming_are_stale(answers: Round) -> None:
    assert signals_of(answers, "halted", "halted-a") == NoSignals(
        Reason.STALE,
        "the newest sample of server pod halted-a is 26s old, and at most 20s is accepted: check "
        "Prometheus and the clocks",
    )


def test_the_windows_interval_is_the_longest_that_is_still_accepted(answers: Round) -> None:
    assert samples.scrape_interval(answers, timedelta(seconds=30)) == timedelta(seconds=5)
