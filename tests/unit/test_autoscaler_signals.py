"""What is made of odd samples; the regular ones are in integration/test_prometheus_signals.py.

A value of None takes the series away.
"""

from collections.abc import Mapping
from datetime import timedelta
from math import inf, nan

import pytest

from trireme.api.conditions import Reason
from trireme.autoscaler.promql import queries
from trireme.autoscaler.queries import Labels, Query, window
from trireme.autoscaler.samples import Index, Round, Series, Vector, read_labels, scrape_interval
from trireme.autoscaler.signals import Limits, Subject, assemble
from trireme.autoscaler.types.signals import ModelSignals, NoSignals, Signals
from unit.autoscaling import NOW, WINDOW, objective, seconds

LABELS = Labels()
LONG_AGO = NOW - timedelta(hours=1)
Values = Mapping[Query, float | None]


def series(value: float, **labels: str) -> Series:
    return read_labels({"namespace": "shop", **labels}, LABELS), value


def of_server(value: float, **labels: str) -> Series:
    return series(value, trireme_dev_agent="agent", **labels)


def of_gateway(value: float, **labels: str) -> Series:
    return series(value, trireme_dev_gateway="agent", **labels)


def a_round(values: Values, *more: tuple[Query, Series]) -> Round:
    """A round of one agent with two server pods, a gateway pod, one model and nothing odd."""
    time = NOW.timestamp() - 3
    answers: dict[Query, tuple[Series, ...]] = {
        Query.SAMPLE_TIME: (
            of_server(time, pod="a"),
            of_server(time, pod="b"),
            of_gateway(time, pod="g"),
        ),
        Query.SAMPLE_COUNT: (
            of_server(6, pod="a"),
            of_server(6, pod="b"),
            of_gateway(6, pod="g"),
        ),
        Query.SCRAPE_INTERVAL: (of_server(5), of_gateway(5)),
    }
    usual: Values = {
        Query.SERVER_REQUESTS: 100.0,
        Query.SERVER_FAILURES: 0.0,
        Query.SERVER_DURATION: 5.0,
        Query.SERVER_QUEUE: 1.0,
        Query.SERVER_PENDING: 1.0,
        Query.GATEWAY_ARRIVALS: 100.0,
        Query.GATEWAY_ANSWERS: 100.0,
        Query.GATEWAY_FAILURES: 0.0,
        Query.GATEWAY_DURATION: 6.0,
        Query.GATEWAY_IN_FLIGHT: 6.0,
        Query.GATEWAY_HISTOGRAM: 0.08,
    }
    for query, value in {**usual, **values}.items():
        if value is None:
            answers[query] = ()
        elif query is Query.GATEWAY_HISTOGRAM:
            answers[query] = (of_gateway(value, quantile="0.95"),)
        elif query.startswith("gateway"):
            answers[query] = (of_gateway(value),)
        else:
            answers[query] = (of_server(value, model="m"),)
    for query, one in more:
        answers[query] = (*answers.get(query, ()), one)
    return {query: Vector.of(each) for query, each in answers.items()}


def assembled(
    answers: Round, *, gateway: bool = True, ready: tuple[str, ...] = ("a", "b")
) -> Signals | NoSignals:
    subject = Subject(
        "shop",
        "agent",
        (objective(),),
        {},
        dict.fromkeys(ready, LONG_AGO),
        {"g": LONG_AGO} if gateway else None,
    )
    samples = Index(LABELS, answers).of("shop", "agent")
    return assemble(samples, subject, now=NOW, window=WINDOW)


def model_of(signals: Signals | NoSignals) -> ModelSignals:
    assert isinstance(signals, Signals), signals
    return signals.models[0]


@pytest.mark.parametrize(
    ("values", "gateway", "reason", "message"),
    [
        pytest.param(
            {Query.GATEWAY_ARRIVALS: None},
            True,
            Reason.NO_SERIES,
            "Prometheus has no gateway_arrivals of the gateway: check that its scrape job keeps "
            "that metric and every label",
            id="a metric of the gateway is dropped",
        ),
        pytest.param(
            {Query.SERVER_QUEUE: None},
            False,
            Reason.NO_SERIES,
            "Prometheus has no server_queue of model m: check that its scrape job keeps that "
            "metric and every label",
            id="a metric of Triton is dropped",
        ),
        pytest.param(
            {Query.GATEWAY_DURATION: None},
            True,
            Reason.NO_SERIES,
            "Prometheus has no gateway_duration of the gateway: check that its scrape job keeps "
            "that metric and every label",
            id="answers without a histogram",
        ),
        pytest.param(
            {Query.GATEWAY_DURATION: nan},
            True,
            Reason.NOT_A_NUMBER,
            "gateway_duration of the gateway is nan",
            id="a figure of the gateway is no number",
        ),
        pytest.param(
            {Query.SERVER_REQUESTS: inf},
            False,
            Reason.NOT_A_NUMBER,
            "server_requests of model m is inf",
            id="a figure of Triton is infinite",
        ),
        pytest.param(
            {Query.GATEWAY_HISTOGRAM: nan},
            True,
            Reason.NOT_A_NUMBER,
            "requests ended, but p95 of the gateway's histogram is nan: check that Prometheus "
            "keeps the buckets of envoy_cluster_upstream_rq_time",
            id="a percentile of requests that ended is no number",
        ),
        pytest.param(
            {Query.GATEWAY_HISTOGRAM: None},
            True,
            Reason.NOT_A_NUMBER,
            "requests ended, but p95 of the gateway's histogram is missing: check that Prometheus "
            "keeps the buckets of envoy_cluster_upstream_rq_time",
            id="the buckets are dropped",
        ),
    ],
)
def test_what_is_missing_or_no_number_is_said(
    values: Values, gateway: bool, reason: Reason, message: str
) -> None:
    assert assembled(a_round(values), gateway=gateway) == NoSignals(reason, message)


def test_before_a_gateway_has_failed_it_has_no_failure_counter() -> None:
    model = model_of(assembled(a_round({Query.GATEWAY_FAILURES: None})))
    assert model.failure_ratio == 0.0


def test_before_its_first_answer_a_gateway_has_no_histogram_and_is_idle() -> None:
    idle: Values = {
        Query.GATEWAY_ARRIVALS: 0.0,
        Query.GATEWAY_ANSWERS: 0.0,
        Query.GATEWAY_IN_FLIGHT: 0.0,
        Query.GATEWAY_DURATION: None,
        Query.GATEWAY_HISTOGRAM: None,
        Query.GATEWAY_FAILURES: None,
        Query.SERVER_REQUESTS: 0.0,
        Query.SERVER_DURATION: 0.0,
        Query.SERVER_QUEUE: 0.0,
        Query.SERVER_PENDING: 0.0,
    }
    model = model_of(assembled(a_round(idle)))
    assert (model.latency, model.in_flight, model.request_rate_per_second) == (None, 0.0, 0.0)


def test_while_nothing_ends_at_the_gateway_the_latency_is_unknown() -> None:
    stuck: Values = {
        Query.GATEWAY_ANSWERS: 0.0,
        Query.GATEWAY_DURATION: 0.0,
        Query.GATEWAY_IN_FLIGHT: 70.0,
        Query.GATEWAY_HISTOGRAM: nan,
    }
    model = model_of(assembled(a_round(stuck)))
    assert (model.latency, model.in_flight, model.mean_latency_seconds) == (None, 70.0, None)
    assert model.request_rate_per_second == 100.0


def test_failures_before_any_pod_count_as_requests() -> None:
    refused: Values = {
        Query.GATEWAY_ARRIVALS: 0.0,
        Query.GATEWAY_ANSWERS: 50.0,
        Query.GATEWAY_FAILURES: 50.0,
        Query.GATEWAY_DURATION: 0.0,
        Query.GATEWAY_IN_FLIGHT: 0.0,
        Query.GATEWAY_HISTOGRAM: nan,
        Query.SERVER_REQUESTS: 0.0,
    }
    model = model_of(assembled(a_round(refused)))
    assert (model.request_rate_per_second, model.failure_ratio) == (50.0, 1.0)


def test_a_histogram_that_is_not_fed_gives_way_to_the_mean() -> None:
    empty = (Query.SERVER_HISTOGRAM, of_server(nan, model="m", quantile="0.95"))
    model = model_of(assembled(a_round({}, empty), gateway=False))
    assert str(model.latency) == "mean 50 ms"


def over(value: float, le: str) -> tuple[Query, Series]:
    return Query.GATEWAY_LATE, of_gateway(value, le=le)


@pytest.mark.parametrize(
    ("values", "edges", "share"),
    [
        pytest.param({}, [over(0.2, "100")], 0.2, id="over the target of 100 ms"),
        pytest.param(
            {Query.GATEWAY_FAILURES: 50.0},
            [over(0.2, "100")],
            0.6,
            id="half of the requests failed, and a fifth of the answers was late",
        ),
        pytest.param(
            {Query.GATEWAY_FAILURES: 100.0},
            [over(nan, "100")],
            1.0,
            id="every request failed, so that the histogram counted nothing",
        ),
        pytest.param({}, [over(-1e-9, "100.0")], 0.0, id="rate() extrapolates below nothing"),
        pytest.param({}, [over(0.3, "120"), over(0.2, "100")], 0.2, id="another agent's edge"),
        pytest.param({}, [over(0.3, "120")], None, id="no edge at the target"),
        pytest.param({}, [], None, id="no histogram"),
        pytest.param({}, [over(nan, "100")], None, id="the histogram counted nothing"),
        pytest.param(
            {Query.GATEWAY_ANSWERS: 0.0, Query.GATEWAY_DURATION: 0.0, Query.GATEWAY_HISTOGRAM: nan},
            [over(nan, "100")],
            None,
            id="no request ended",
        ),
    ],
)
def test_late_requests_are_those_over_the_target_and_those_that_failed(
    values: Values, edges: list[tuple[Query, Series]], share: float | None
) -> None:
    late = model_of(assembled(a_round(values, *edges))).late_share
    assert late == (None if share is None else pytest.approx(share))


def test_without_a_gateway_the_share_of_late_requests_is_tritons() -> None:
    edge = (Query.SERVER_LATE, of_server(0.2, model="m", le="100"))
    model = model_of(assembled(a_round({Query.SERVER_FAILURES: 100.0}, edge), gateway=False))
    assert model.late_share == pytest.approx(0.6)


def summary(value: float, pod: str, quantile: str) -> tuple[Query, Series]:
    labels = {"model": "m", "pod": pod, "quantile": quantile}
    return Query.SERVER_SUMMARY, of_server(value, **labels)


@pytest.mark.parametrize(
    ("summaries", "latency"),
    [
        pytest.param(
            [summary(0.1, "a", "0.95"), summary(0.2, "b", "0.95")],
            "estimated p95 200 ms",
            id="the slowest pod",
        ),
        pytest.param(
            [summary(0.1, "a", "0.95"), summary(nan, "b", "0.95")],
            "estimated p95 100 ms",
            id="an idle pod has nothing to say",
        ),
        pytest.param(
            [summary(0.1, "a", "0.95"), summary(0.9, "gone", "0.95")],
            "estimated p95 100 ms",
            id="a pod that is not ready does not count",
        ),
        pytest.param(
            [summary(0.1, "a", "0.9"), summary(0.3, "a", "0.999"), summary(0.2, "a", "0.99")],
            "estimated p99 200 ms",
            id="the smallest quantile that is not below the objective's",
        ),
        pytest.param([summary(0.1, "a", "0.9")], "mean 50 ms", id="only smaller quantiles"),
        pytest.param([summary(nan, "a", "0.95")], "mean 50 ms", id="nothing was summarised"),
        pytest.param([summary(0.1, "a", "half")], "mean 50 ms", id="a quantile that is no number"),
    ],
)
def test_summaries_are_read_truthfully(summaries: list[tuple[Query, Series]], latency: str) -> None:
    model = model_of(assembled(a_round({}, *summaries), gateway=False))
    assert str(model.latency) == latency


def test_an_old_triton_without_the_gauge_has_its_queue_only() -> None:
    model = model_of(assembled(a_round({Query.SERVER_PENDING: None}), gateway=False))
    assert (model.in_flight, model.pending) == (5.0, None)


def test_without_ready_pods_there_is_nothing_to_observe() -> None:
    assert assembled(a_round({}), ready=()) == NoSignals(
        Reason.NO_PODS, "no server pod is ready, so there is nothing to observe", awaited=True
    )


def test_of_many_missing_pods_three_are_named() -> None:
    ready = ("a", *(f"x{i}" for i in range(9)))
    signals = assembled(a_round({}), gateway=False, ready=ready)
    assert signals == NoSignals(
        Reason.PARTIAL,
        "9 of 10 ready server pods have no two samples in the last 30s: x0, x1, x2 and 6 more; "
        "check their scrape targets",
    )


def test_an_unknown_interval_is_taken_for_the_longest() -> None:
    assert Limits().patience(None) == seconds(70)
    assert Limits().patience(seconds(5)) == seconds(20)


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        pytest.param(None, 30, id="unknown"),
        pytest.param(5, 30, id="short intervals have 30 s"),
        pytest.param(15, 60, id="long ones four of them"),
        pytest.param(30, 120, id="the longest accepted"),
    ],
)
def test_the_window_holds_four_scrapes(interval: float | None, expected: int) -> None:
    measured = None if interval is None else seconds(interval)
    assert window(measured) == seconds(expected)


def test_an_interval_beyond_the_limit_does_not_lengthen_everybodys_window() -> None:
    told = (of_server(5), of_gateway(15), of_server(60), of_server(nan))
    answers = {Query.SCRAPE_INTERVAL: Vector.of(told)}
    assert scrape_interval(answers, seconds(30)) == seconds(15)
    assert scrape_interval({}, seconds(30)) is None


def test_agents_of_the_same_name_in_two_namespaces_are_apart() -> None:
    labels = {"namespace": "lab", "trireme_dev_agent": "agent", "model": "m"}
    other = (read_labels(labels, LABELS), 7.0)
    indexed = Index(LABELS, a_round({}, (Query.SERVER_REQUESTS, other)))
    assert indexed.of("lab", "agent").value(Query.SERVER_REQUESTS, "m") == 7.0
    assert indexed.of("shop", "agent").value(Query.SERVER_REQUESTS, "m") == 100.0
    assert indexed.of("shop", "nobody").value(Query.SERVER_REQUESTS, "m") is None


def test_every_query_is_asked_with_the_labels_that_are_set() -> None:
    asked = queries(WINDOW, Labels("ns", "po", "ag", "gw"), (95,))
    assert list(asked) == list(Query)
    for text in asked.values():
        assert "trireme_dev" not in text
        assert "namespace" not in text
        assert "ns, " in text
