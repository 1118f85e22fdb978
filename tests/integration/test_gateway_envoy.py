"""The generated gateway configuration in the real Envoy: routing, statistics, time-outs, draining.

The metric names here are the ones that the autoscaler's queries read.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from yarl import URL

from agents import agent_of
from integration.envoy_gateway import (
    BINARY,
    SECONDS,
    SERVICE,
    Gateway,
    Pod,
    Routes,
    running_gateway,
    running_pod,
)
from ports import LOOPBACK, free_port
from trireme.modelrepo.histogram import latency_edges_milliseconds
from trireme.resources.drain import gateway_drain
from trireme.resources.envoy import configuration
from trireme.resources.envoy_clusters import ADMIN_PORT
from trireme.resources.gateway import drain_script, gateway_arguments
from trireme.resources.options import ResourceOptions

GOLDEN = Path(__file__).parents[1] / "golden" / "resources"
OBJECTIVES = [{"model": "double", "latency": {"target": "125ms"}}]
AGENT = agent_of(objectives=OBJECTIVES, gateway={"maxPendingRequests": 1})
IMPATIENT = agent_of(objectives=OBJECTIVES, gateway={"requestTimeout": "1s"})
REFUSED_PATHS = {
    ("POST", "/v2/repository/models/double/load"): 403,
    ("POST", "/v2/repository/models/double/unload"): 403,
    ("POST", "/v2/repository/index"): 403,
    ("POST", "/v2/systemsharedmemory/region/r/register"): 403,
    ("POST", "/v2/models/double/trace/setting"): 403,
    ("POST", "/v2/logging"): 403,
    ("POST", "/v2/models/x/../../repository/models/x/load"): 403,  # dots
    ("POST", "/v2/models/..%2F..%2Frepository%2Fx/infer"): 400,  # escaped slashes
    ("DELETE", "/v2/models/double"): 403,
    ("GET", "/metrics"): 403,  # the pods' metrics
}


def generated(agent: Any = AGENT) -> dict[str, Any]:
    return configuration(agent, ResourceOptions("registry.example/envoy:v1.36.2"))


@pytest.fixture
async def pod() -> AsyncIterator[Pod]:
    async with running_pod() as running:
        yield running


@pytest.fixture
async def gateway(pod: Pod, tmp_path: Path) -> AsyncIterator[Gateway]:
    async with running_gateway(generated(), [(pod.http_port, pod.grpc_port)], tmp_path) as running:
        yield running


@pytest.fixture
async def impatient(pod: Pod, tmp_path: Path) -> AsyncIterator[Gateway]:
    """A gateway that waits a second for an answer."""
    pods = [(pod.http_port, pod.grpc_port)]
    async with running_gateway(generated(IMPATIENT), pods, tmp_path) as running:
        yield running


def with_golden_routes(file: Path, folder: Path) -> Path:
    """A golden configuration in a folder, beside its routes where it has files of them."""
    routes = Routes(folder / "routes")
    told = file.with_name(file.name.replace(".envoy.", ".routes."))
    if told.exists():
        files = yaml.safe_load(told.read_text())
        routes.write({name: json.dumps(content) for name, content in files.items()})
    placed = folder / file.name
    placed.write_text(yaml.safe_dump(routes.read_by(yaml.safe_load(file.read_text()))))
    return placed


@pytest.mark.parametrize("file", sorted(GOLDEN.glob("*.envoy.yaml")), ids=lambda file: file.name)
async def test_envoy_accepts_the_golden_configuration_without_a_warning(
    file: Path, tmp_path: Path
) -> None:
    placed = with_golden_routes(file, tmp_path)
    process = await asyncio.create_subprocess_exec(
        *(str(BINARY), "--mode", "validate", "--config-path", str(placed)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()

    assert process.returncode == 0, output.decode()
    assert b"[warning]" not in output, output.decode()


async def test_envoy_accepts_the_arguments_of_its_container(tmp_path: Path) -> None:
    file = tmp_path / "envoy.json"
    file.write_text(json.dumps(generated()))
    arguments = gateway_arguments(AGENT.spec)
    arguments[arguments.index("--config-path") + 1] = str(file)

    process = await asyncio.create_subprocess_exec(
        *(str(BINARY), "--mode", "validate", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()

    assert process.returncode == 0, output.decode()


# ---------------------------------------------------------------------------------- what goes where


async def test_inference_is_counted_apart_from_management(gateway: Gateway) -> None:
    assert await gateway.infer("double") == 200
    assert await gateway.status("POST", "/v2/models/double/versions/3/infer") == 200
    assert await gateway.status("GET", "/v2/health/ready") == 200
    assert await gateway.status("GET", "/v2/models/double/config") == 200
    assert await gateway.status("GET", "/v2") == 200
    assert await gateway.call(f"{SERVICE}/ModelInfer") is grpc.StatusCode.OK
    assert await gateway.call(f"{SERVICE}/ServerReady") is grpc.StatusCode.OK
    assert await gateway.call("/grpc.health.v1.Health/Check") is grpc.StatusCode.OK

    metrics = await gateway.metrics()
    assert metrics.of("inference_http", "upstream_rq_total") == 2
    assert metrics.of("management_http", "upstream_rq_total") == 3
    assert metrics.of("inference_grpc", "upstream_rq_total") == 1
    assert metrics.of("management_grpc", "upstream_rq_total") == 2


async def test_what_is_not_for_clients_never_reaches_a_pod(gateway: Gateway, pod: Pod) -> None:
    statuses = {}
    for method, path in REFUSED_PATHS:
        url = URL(gateway.url(path), encoded=True)  # as it is written, not made tidy
        async with gateway.client.request(method, url) as response:
            statuses[method, path] = response.status
    assert statuses == REFUSED_PATHS
    assert pod.paths == []


async def test_control_by_grpc_is_denied(gateway: Gateway, pod: Pod) -> None:
    methods = ("RepositoryModelLoad", "RepositoryModelUnload", "RepositoryIndex", "LogSettings")
    answers = {method: await gateway.call(f"{SERVICE}/{method}") for method in methods}
    assert answers == dict.fromkeys(methods, grpc.StatusCode.PERMISSION_DENIED)
    assert pod.paths == []


async def test_the_metrics_port_tells_nothing_else(gateway: Gateway) -> None:
    for method, path in [
        ("GET", "/config_dump"),
        ("GET", "/stats"),
        ("POST", "/quitquitquit"),
        ("POST", "/ready"),
    ]:
        url = f"http://{LOOPBACK}:{gateway.metrics_port}{path}"
        async with gateway.client.request(method, url) as response:
            assert response.status == 404


async def test_a_client_cannot_lengthen_its_timeout(impatient: Gateway) -> None:
    headers = {"x-envoy-upstream-rq-timeout-ms": "60000"}
    url = impatient.url("/v2/models/too-late/infer")

    async with impatient.client.post(url, headers=headers) as response:
        assert response.status == 504


# --------------------------------------------------------------------------------------- statistics


async def test_the_latency_histogram_has_an_edge_at_the_objective(gateway: Gateway) -> None:
    await gateway.infer("double")
    await gateway.call(f"{SERVICE}/ModelInfer")

    metrics = await gateway.metrics_once(
        lambda found: found.of("inference_grpc", "upstream_rq_time_count") == 1
    )

    target = AGENT.spec.objectives[0].latency.target
    expected = [*latency_edges_milliseconds([target]), float("inf")]
    assert 125.0 in expected
    assert metrics.edges("inference_http", "upstream_rq_time") == expected
    assert metrics.edges("inference_grpc", "upstream_rq_time") == expected


async def test_an_answer_is_counted_in_the_bucket_of_its_latency(pod: Pod, tmp_path: Path) -> None:
    # An edge just below what the slow answer takes at least: the quick one has the most time.
    patient = agent_of(objectives=[{"model": "double", "latency": {"target": "900ms"}}])
    pods = [(pod.http_port, pod.grpc_port)]
    async with running_gateway(generated(patient), pods, tmp_path) as gateway:
        await gateway.infer("double")
        await gateway.infer("a-second")

        metrics = await gateway.metrics_once(
            lambda found: found.of("inference_http", "upstream_rq_time_count") == 2
        )

    assert metrics.of("inference_http", "upstream_rq_time_bucket", "900") == 1
    assert metrics.of("inference_http", "upstream_rq_time_bucket", "5000") is None  # E12: 4700
    assert metrics.of("inference_http", "upstream_rq_time_bucket", "4700") == 2


async def test_requests_at_the_pods_are_in_a_gauge(gateway: Gateway, pod: Pod) -> None:
    waiting = asyncio.create_task(gateway.infer("held"))

    metrics = await gateway.metrics_once(
        lambda found: found.of("inference_http", "upstream_rq_active") == 1
    )

    assert metrics.of("inference_http", "upstream_rq_pending_active") == 0
    pod.released.set()
    assert await waiting == 200


@pytest.mark.parametrize(
    ("model", "status"),
    [
        pytest.param("fails", 500, id="a failure of the model"),
        pytest.param("full", 503, id="a full queue in Triton"),
        pytest.param("resets", 503, id="a pod that goes in the middle"),
    ],
)
async def test_a_failed_http_request_is_an_answer_of_class_5(
    gateway: Gateway, model: str, status: int
) -> None:
    await assert_fails(gateway, model, status)


async def test_an_http_request_that_is_answered_too_late_is_one_too(impatient: Gateway) -> None:
    await assert_fails(impatient, "too-late", 504)


async def assert_fails(gateway: Gateway, model: str, status: int) -> None:
    assert await gateway.infer(model) == status

    metrics = await gateway.metrics()
    assert metrics.of("inference_http", "upstream_rq_xx", "5") == 1
    assert metrics.of("inference_http", "upstream_rq_completed") == 1
    assert metrics.of("inference_http", "upstream_rq_total") == 1


async def test_requests_that_no_pod_can_take_are_failures_too(tmp_path: Path) -> None:
    async with running_gateway(generated(), [], tmp_path) as gateway:
        assert await gateway.infer("double") == 503
        assert await gateway.call(f"{SERVICE}/ModelInfer") is grpc.StatusCode.UNAVAILABLE

        metrics = await gateway.metrics()

    assert metrics.of("inference_http", "upstream_rq_xx", "5") == 1
    assert metrics.of("inference_http", "upstream_cx_none_healthy") == 1
    assert metrics.of("inference_http", "upstream_rq_total") == 0
    assert metrics.of("inference_grpc", "grpc_14") == 1


async def test_a_full_queue_at_the_gateway_is_answered_503_and_counted(
    pod: Pod, tmp_path: Path
) -> None:
    narrow = generated(agent_of(gateway={"maxPendingRequests": 1}))
    for cluster in narrow["static_resources"]["clusters"]:
        for threshold in cluster.get("circuit_breakers", {}).get("thresholds", []):
            threshold["max_connections"] = 1
    async with running_gateway(narrow, [(pod.http_port, pod.grpc_port)], tmp_path) as gateway:
        at_the_pod = asyncio.create_task(gateway.infer("held"))
        await gateway.metrics_once(
            lambda found: found.of("inference_http", "upstream_rq_active") == 1
        )
        waiting = asyncio.create_task(gateway.infer("double"))
        await gateway.metrics_once(
            lambda found: found.of("inference_http", "upstream_rq_pending_active") == 1
        )
        assert await gateway.infer("double") == 503
        pod.released.set()
        assert [await at_the_pod, await waiting] == [200, 200]

        metrics = await gateway.metrics()

    assert metrics.of("inference_http", "upstream_rq_pending_overflow") == 1
    assert metrics.of("inference_http", "upstream_rq_xx", "5") == 1


async def test_a_failed_grpc_request_is_counted_by_its_status(gateway: Gateway) -> None:
    method = f"{SERVICE}/ModelInfer"
    assert await gateway.call(method, b"x") is grpc.StatusCode.OK
    assert await gateway.call(method, b"fails") is grpc.StatusCode.INTERNAL

    metrics = await gateway.metrics()
    assert metrics.of("inference_grpc", "grpc_0") == 1
    assert metrics.of("inference_grpc", "grpc_13") == 1
    assert metrics.of("inference_grpc", "upstream_rq_completed") == 2


async def test_a_grpc_request_that_is_answered_too_late_is_counted_as_unavailable(
    impatient: Gateway,
) -> None:
    method = f"{SERVICE}/ModelInfer"
    assert await impatient.call(method, b"too-late") is grpc.StatusCode.UNAVAILABLE

    metrics = await impatient.metrics()
    assert metrics.of("inference_grpc", "grpc_14") == 1
    assert metrics.of("inference_grpc", "upstream_rq_completed") == 1
    assert metrics.of("inference_grpc", "upstream_rq_xx", "5") == 1  # Envoy's own: the timeout


async def test_a_scrape_is_short(gateway: Gateway) -> None:
    url = f"http://{LOOPBACK}:{gateway.metrics_port}/stats/prometheus"

    async with gateway.client.get(url) as response:
        text = await response.text()

    assert len(text) < 100_000  # Envoy's full set is 275 kB


# ---------------------------------------------------------------------------------------- endurance


async def test_a_request_whose_pod_refuses_the_connection_is_answered_by_another(
    pod: Pod, tmp_path: Path
) -> None:
    gone = (free_port(), free_port())
    pods = [gone, (pod.http_port, pod.grpc_port)]
    async with running_gateway(generated(), pods, tmp_path) as gateway:
        http = [await gateway.infer("double") for _ in range(20)]
        calls = [await gateway.call(f"{SERVICE}/ModelInfer") for _ in range(20)]

        metrics = await gateway.metrics()

    assert http == [200] * 20
    assert calls == [grpc.StatusCode.OK] * 20
    assert (metrics.of("inference_http", "upstream_rq_retry") or 0) > 0
    assert metrics.of("inference_http", "upstream_rq_completed") == 20
    assert metrics.of("inference_http", "upstream_rq_xx", "5") is None


async def test_a_stream_outlives_the_request_timeout_and_stays_out_of_the_latency(
    impatient: Gateway,
) -> None:
    async with grpc.aio.insecure_channel(f"{LOOPBACK}:{impatient.grpc_port}") as channel:
        stream = channel.stream_stream(f"{SERVICE}/ModelStreamInfer")()
        await stream.write(b"x")
        assert await stream.read() == b"answer"  # after 1.5 s, with a request timeout of 1 s
        await stream.done_writing()
        assert await stream.code() is grpc.StatusCode.OK

    metrics = await impatient.metrics()
    assert metrics.of("stream_grpc", "upstream_rq_total") == 1
    assert metrics.of("inference_grpc", "upstream_rq_total") == 0


async def test_draining_answers_what_is_in_flight_and_tells_clients_to_go(
    pod: Pod, tmp_path: Path
) -> None:
    agent = agent_of()
    flags = (*("--concurrency", "1"), *gateway_arguments(agent.spec)[-4:])
    drain_seconds = gateway_drain(agent.spec).drain_seconds
    pods = [(pod.http_port, pod.grpc_port)]
    async with running_gateway(generated(agent), pods, tmp_path, flags) as gateway:
        in_flight = asyncio.create_task(gateway.infer("held"))
        await gateway.metrics_once(
            lambda found: found.of("inference_http", "upstream_rq_active") == 1
        )
        script = drain_script(agent.spec).replace(str(ADMIN_PORT), str(gateway.admin_port))
        script = re.sub(rf"sleep {drain_seconds}\b", "sleep 0.1", script)
        script = re.sub(r"sleep 1\b", "echo waits; sleep 0.1", script)
        draining = await asyncio.create_subprocess_exec(
            *("bash", "-c", script), stdout=asyncio.subprocess.PIPE
        )

        closing = None
        async with asyncio.timeout(SECONDS):
            while closing != "close":  # told as soon as the script has reached Envoy
                async with gateway.client.post(gateway.url("/v2/models/double/infer")) as response:
                    assert response.status == 200
                    closing = response.headers.get("connection")
            assert draining.stdout
            assert await draining.stdout.readline() == b"waits\n"  # for what is in flight

        assert not in_flight.done()
        assert draining.returncode is None
        pod.released.set()
        assert await in_flight == 200
        assert await draining.wait() == 0
        assert (await gateway.metrics()).of("inference_http", "upstream_rq_xx", "2")
