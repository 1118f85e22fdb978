"""`trireme simulate --prometheus`: an agent's own past, from a real Prometheus on loopback."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from integration.prometheus_server import prometheus
from specs import valid_body
from trireme.cli import app
from trireme.cli.manifests import to_yaml

END = datetime(2026, 1, 2, tzinfo=UTC).timestamp()
HOUR = 3600
GATEWAY = 'namespace="{}",pod="{}-gateway",trireme_dev_gateway="{}",envoy_cluster_name="{}"'
SERVER = 'namespace="shop",pod="bare-1",trireme_dev_agent="bare",model="{}",version="1"'


def counter(series: str, rate: float, silent: range = range(0)) -> Iterator[str]:
    """Two hours of scrapes every 30 s, but for the `silent` seconds."""
    for second in range(0, 2 * HOUR + 1, 30):
        if second not in silent:
            yield f"{series} {rate * second} {END - 2 * HOUR + second}"


def history() -> Iterator[str]:
    """All samples of a metric's family stand together, as OpenMetrics wants it."""
    name = "envoy_cluster_upstream_rq_total"
    for namespace, agent, cluster, rate, silent in (
        ("shop", "cart", "inference_http", 300.0, range(0)),
        ("shop", "cart", "inference_grpc", 100.0, range(0)),
        ("shop", "other", "inference_http", 5000.0, range(0)),
        ("else", "cart", "inference_http", 7000.0, range(0)),
        ("shop", "holes", "inference_http", 400.0, range(HOUR, HOUR + 600)),
    ):
        labels = GATEWAY.format(namespace, agent, agent, cluster)
        yield from counter(f"{name}{{{labels}}}", rate, silent)
    for model, rate in (("a", 30.0), ("b", 800.0)):
        yield from counter(f"nv_inference_request_success{{{SERVER.format(model)}}}", rate)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with prometheus(tmp_path_factory.mktemp("prometheus"), history()) as base:
        yield base


def simulate(url: str, agent: str, *options: str) -> Result:
    given = ["--prometheus", url, "--agent", agent, "--days", "0.05"]
    given += ["--until", "2026-01-02T00:00:00Z", "--curve", "6ms,2ms,16", "--slo", "p95=100ms"]
    given += ["--lead-time", "30s", "--policies", "hpa-rps", "-o", "json", *options]
    return CliRunner().invoke(app, ["simulate", *given])


def hours(result: Result) -> float:
    """What the clairvoyant pays: 395 requests a second are one pod's."""
    assert result.exit_code == 0, result.stderr
    (score,) = json.loads(result.stdout)
    upper = score["clairvoyant_upper"]
    assert isinstance(upper, float)
    return upper


def test_an_agent_s_demand_is_all_that_came_to_its_own_gateway(url: str) -> None:
    """400 a second through 72 minutes need two pods; its neighbours would need 13 and 18."""
    assert hours(simulate(url, "shop/cart")) == pytest.approx(2 * 1.2, rel=0.02)


def test_a_past_is_scaled_where_that_is_asked_for(url: str) -> None:
    assert hours(simulate(url, "shop/cart", "--peak-replicas", "5")) == pytest.approx(6, rel=0.02)


def test_without_a_gateway_one_model_is_counted(url: str) -> None:
    refused = simulate(url, "shop/bare")
    assert refused.exit_code == 1
    assert "has no gateway that counts what comes, and the models a, b: say which" in refused.stderr
    assert hours(simulate(url, "shop/bare", "--model", "b")) == pytest.approx(3 * 1.2, rel=0.02)


def test_a_gap_is_refused_until_it_is_filled_knowingly(url: str) -> None:
    refused = simulate(url, "shop/holes")
    assert refused.exit_code == 1
    assert refused.stdout == ""
    assert "shop/holes has 1 gap: 2026-01-01T22:59:00Z to 2026-01-01T23:13:00Z (14m)" in (
        refused.stderr
    )
    filled = simulate(url, "shop/holes", "--fill-gaps", "15m")
    assert hours(filled) == pytest.approx(2 * 1.2, rel=0.02)
    assert filled.stderr == "filled: 2026-01-01T22:59:00Z to 2026-01-01T23:13:00Z (14m)\n"


def test_a_longer_past_is_asked_in_parts(url: str) -> None:
    """Prometheus refuses more than 11,000 points a series; these are 17,280."""
    result = simulate(url, "shop/cart", "--step", "5s", "--days", "1")
    assert hours(result) == pytest.approx(2 * 2.0, rel=0.03)


def learnt(agent: str, *models: str) -> dict[str, Any]:
    """An agent as kubectl prints it, which has learnt what the options say otherwise."""
    body = valid_body({"metadata.name": agent, "metadata.namespace": "shop"})
    model = body["spec"]["models"][0]
    batching = {"maxBatchSize": 16, "batching": {"dynamic": {}}}
    body["spec"]["models"] = [{**model, **batching, "name": name} for name in models]
    slo = {"latency": {"target": "100ms"}}
    body["spec"]["objectives"] = [{"model": name, **slo} for name in models]
    del body["spec"]["pipelines"]
    times = {"fixedMilliseconds": 6, "perRequestMilliseconds": 2, "maxBatch": 16, "noise": 0}
    about = {"modelDigest": "d", "executions": 4000, "instances": 1}
    stages = dict.fromkeys(("scheduleSeconds", "pullSeconds", "fetchSeconds", "loadSeconds"), 10)
    lead = {"template": "t", "p95Seconds": 30, "medianSeconds": 30, "samples": 9}
    body["status"] = {
        "scaling": {
            "desiredReplicas": 1,
            "curves": [{"model": name, **times, **about} for name in models],
            "leadTime": {**lead, "stages": stages},
        }
    }
    return body


@pytest.mark.parametrize(
    ("agent", "models", "options", "pods"),
    [
        pytest.param("cart", ("m",), (), 2, id="all that came to its gateway"),
        pytest.param("bare", ("b",), (), 3, id="its one objective's model"),
        pytest.param("bare", ("a", "b"), ("--model", "a"), 1, id="of several the one that is said"),
    ],
)
def test_an_agents_file_says_whose_past_it_is(
    url: str,
    tmp_path: Path,
    agent: str,
    models: tuple[str, ...],
    options: tuple[str, ...],
    pods: int,
) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text(to_yaml(learnt(agent, *models)), encoding="utf-8")
    given = ["simulate", "-f", str(path), "--prometheus", url, "--days", "0.05"]
    given += ["--until", "2026-01-02T00:00:00Z", "--policies", "hpa-rps", "-o", "json", *options]
    result = CliRunner().invoke(app, given)
    assert hours(result) == pytest.approx(pods * 1.2, rel=0.03)


@pytest.mark.parametrize(
    ("agent", "options", "status", "said"),
    [
        pytest.param("shop/none", (), 1, "shop/none has 0 values of 72", id="an unknown agent"),
        pytest.param("cart", (), 2, "'cart' is not a namespace and a name", id="no namespace"),
        pytest.param('a"/b', (), 2, "is not a namespace and a name", id="no name at all"),
        pytest.param("shop/cart", ("--step", "1s"), 2, "1s is too short", id="a short step"),
        pytest.param("shop/cart", ("--trace", __file__), 2, "say one of them", id="two sources"),
        pytest.param("shop/cart", ("--until", "today"), 2, "'today' does not match", id="no time"),
    ],
)
def test_a_bad_question_is_refused(
    url: str, agent: str, options: tuple[str, ...], status: int, said: str
) -> None:
    result = simulate(url, agent, *options)
    assert (result.exit_code, result.stdout) == (status, "")
    assert said in " ".join(result.stderr.replace("│", " ").split())


def test_a_prometheus_that_does_not_answer_is_told_in_one_sentence() -> None:
    result = simulate("http://127.0.0.1:9", "shop/cart")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "Prometheus at http://127.0.0.1:9 does not answer: [Errno 111] Connection refused\n"
    )


def test_the_agent_must_be_named() -> None:
    command = ["simulate", "--prometheus", "http://127.0.0.1:9", "--curve", "6ms,2ms,16"]
    result = CliRunner().invoke(app, [*command, "--slo", "p95=100ms", "--lead-time", "30s"])
    assert result.exit_code == 2
    assert "--agent" in result.stderr
