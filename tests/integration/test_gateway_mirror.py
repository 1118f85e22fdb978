"""Requests that the real Envoy copies, and a comparer that keeps up, does not, or is away."""

import asyncio
import contextlib
import io
import json
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from agents import agent_of
from integration.envoy_gateway import (
    SECONDS,
    SERVICE,
    Gateway,
    Pod,
    Routes,
    on_loopback,
    running_envoy,
    running_pod,
)
from integration.test_comparer import Model, always, served
from ports import LOOPBACK, free_port
from trireme.api.agent import AgentDeployment
from trireme.comparer.compare import Rules
from trireme.comparer.program import Ports, Settings, running
from trireme.edge.tracks import TrackAddress
from trireme.resources.envoy import configuration
from trireme.resources.envoy_routes import route_files
from trireme.resources.options import ResourceOptions

INFER = "/v2/models/m/infer"
OPTIONS = ResourceOptions("envoy", cluster_domain="cluster.example")
REQUESTS = 40


def mirroring(share: str = "100%", **more: Any) -> AgentDeployment:
    mirror = {"share": share, "maxInFlight": 64, **more}
    return agent_of(rollout={"strategy": "Canary", "canary": {"mirror": mirror}})


@asynccontextmanager
async def gateway_before(
    folder: Path,
    pod: TrackAddress,
    comparer: Sequence[tuple[int, int]],
    agent: AgentDeployment | None = None,
    weight: float = 0.000001,
) -> AsyncIterator[Gateway]:
    """Envoy before stable pods and a comparer at these ports; the canary's share is next to none,
    so that whatever is answered is the stable pod's.
    """
    agent = agent or mirroring()
    routes = Routes(folder / "routes")
    routes.write(route_files(agent.spec, weight))
    read = routes.read_by(configuration(agent, OPTIONS))
    replaced, ports = on_loopback(read, [(pod.http_port, pod.grpc_port)])
    for cluster in replaced["static_resources"]["clusters"]:
        if cluster["name"].startswith("comparer_"):
            at = 0 if cluster["name"] == "comparer_http" else 1
            (locality,) = cluster["load_assignment"]["endpoints"]
            locality["lb_endpoints"] = [_endpoint(each[at]) for each in comparer]
    async with running_envoy(replaced, ports, folder) as gateway:
        yield gateway


def _endpoint(port: int) -> dict[str, Any]:
    address = {"socket_address": {"address": LOOPBACK, "port_value": port}}
    return {"endpoint": {"address": address}}


async def eventually(shown: Any) -> None:
    deadline = time.monotonic() + SECONDS
    while not shown():
        assert time.monotonic() < deadline, "never so"
        await asyncio.sleep(0.02)


async def infer(gateway: Gateway, body: bytes = b"{}") -> tuple[int, bytes]:
    async with gateway.client.post(gateway.url(INFER), data=io.BytesIO(body)) as response:
        return response.status, await response.read()


async def test_copies_are_compared_and_clients_get_the_stable_answer(tmp_path: Path) -> None:
    stable, canary = Model(always(1.0)), Model(always(2.0))
    stable.released.set()
    canary.released.set()
    rules = Rules(absolute=0.001, relative=0.01)
    settings = Settings(stable.address, canary.address, rules, 64, 2**20, SECONDS)
    ports = Ports(free_port(), free_port(), free_port())
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(served(stable))
        await stack.enter_async_context(served(canary))
        metrics = await stack.enter_async_context(
            running(settings, ports, asyncio.Event(), LOOPBACK)
        )
        comparer = [(ports.http, ports.grpc)]
        gateway = await stack.enter_async_context(
            gateway_before(tmp_path, stable.address, comparer)
        )
        for _ in range(5):
            status, answer = await infer(gateway)
            assert (status, json.loads(answer)["outputs"][0]["data"]) == (200, [1.0])
            await gateway.call(f"{SERVICE}/ModelInfer")
        # Over gRPC the copy names no model, which a pod would refuse.
        different = 'trireme_different_answers_total{model="m"} 5.0'
        of_grpc = 'trireme_different_answers_total{model=""} 5.0'
        await eventually(lambda: {different, of_grpc} <= set(metrics.text().decode().split("\n")))


@dataclass
class Sink:
    """Takes copies, as a comparer does that says nothing of them."""

    pod: Pod

    @property
    def address(self) -> tuple[int, int]:
        return self.pod.http_port, self.pod.grpc_port

    def taken(self, path: str) -> int:
        return self.pod.paths.count(path)


@asynccontextmanager
async def pod_and_sink() -> AsyncIterator[tuple[Pod, Sink]]:
    async with running_pod() as pod, running_pod() as sink:
        yield pod, Sink(sink)


def at(pod: Pod) -> TrackAddress:
    return TrackAddress(LOOPBACK, pod.http_port, pod.grpc_port)


async def test_inference_alone_is_copied(tmp_path: Path) -> None:
    async with (
        pod_and_sink() as (pod, sink),
        gateway_before(tmp_path, at(pod), [sink.address]) as gateway,
    ):
        assert await gateway.status("POST", "/v2/models/m/generate") == 200
        assert await gateway.status("POST", "/v2/models/m/generate_stream") == 200
        assert await gateway.status("GET", "/v2/models/m") == 200
        await gateway.call(f"{SERVICE}/ServerReady")
        assert await gateway.infer("m") == 200
        await gateway.call(f"{SERVICE}/ModelInfer")
        await eventually(lambda: sorted(sink.pod.paths) == ["POST /v2/models/m/infer", "gRPC"])


async def test_a_share_of_the_requests_is_copied(tmp_path: Path) -> None:
    async with (
        pod_and_sink() as (pod, sink),
        gateway_before(tmp_path, at(pod), [sink.address], mirroring("50%")) as gateway,
    ):
        statuses = [await gateway.infer("m") for _ in range(200)]
        assert statuses == [200] * 200
        # 100 +- 7.1: six deviations, and a lower bound that copies under way do not touch
        await eventually(lambda: sink.taken("POST /v2/models/m/infer") > 57)
        assert sink.taken("POST /v2/models/m/infer") < 143


async def test_nothing_is_copied_while_no_canary_has_a_share(tmp_path: Path) -> None:
    async with (
        pod_and_sink() as (pod, sink),
        gateway_before(tmp_path, at(pod), [sink.address], weight=0.0) as gateway,
    ):
        assert await gateway.infer("m") == 200
        assert not sink.pod.paths


@pytest.mark.parametrize("pods", [0, 1], ids=["it has no pod", "nobody listens"])
async def test_nothing_is_lost_while_the_comparer_is_away(tmp_path: Path, pods: int) -> None:
    away = [(free_port(), free_port())] * pods
    async with running_pod() as pod, gateway_before(tmp_path, at(pod), away) as gateway:
        assert [await gateway.infer("m") for _ in range(REQUESTS)] == [200] * REQUESTS
        answers = {str(await gateway.call(f"{SERVICE}/ModelInfer")) for _ in range(REQUESTS)}
        assert answers == {"StatusCode.OK"}
        metrics = await gateway.metrics_once(
            lambda m: m.of("inference_http", "upstream_rq_completed") == REQUESTS
        )
        assert metrics.of("inference_http", "upstream_rq_xx", "5") is None


@pytest.mark.parametrize("size", [2**22 - 1, 2**23], ids=["copied", "too large to be copied"])
async def test_no_request_waits_for_a_comparer_that_reads_nothing(
    tmp_path: Path, size: int
) -> None:
    """Larger than what sockets keep, so that a copy cannot end."""
    body = b"x" * size
    with socket.create_server((LOOPBACK, 0)) as unread:
        port = unread.getsockname()[1]
        async with (
            running_pod() as pod,
            gateway_before(tmp_path, at(pod), [(port, port)]) as gateway,
        ):
            for _ in range(5):
                async with asyncio.timeout(SECONDS / 2):
                    assert await infer(gateway, body) == (200, b"answer")


async def test_a_large_grpc_request_waits_for_a_frozen_comparer_for_some_seconds_at_most(
    tmp_path: Path,
) -> None:
    """It does not tell its length, so that it is copied whatever that is; so many bytes are none
    that Envoy has read before it stops to.
    """
    body = b"x" * (40 * 2**20)
    with socket.create_server((LOOPBACK, 0)) as unread:
        port = unread.getsockname()[1]
        agent = mirroring(maxSize="64Ki")
        async with (
            running_pod() as pod,
            gateway_before(tmp_path, at(pod), [(port, port)], agent) as gateway,
            asyncio.timeout(SECONDS / 2),
        ):
            assert str(await gateway.call(f"{SERVICE}/ModelInfer", body)) == "StatusCode.OK"


async def test_a_copy_keeps_the_host_that_the_client_named(tmp_path: Path) -> None:
    hosts: list[str] = []

    async def take(request: web.Request) -> web.Response:
        hosts.append(request.headers["Host"])
        return web.Response(status=202)

    app = web.Application()
    app.router.add_post(INFER, take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, LOOPBACK, port).start()
    async with (
        running_pod() as pod,
        gateway_before(tmp_path, at(pod), [(port, port)]) as gateway,
    ):
        await gateway.infer("m")
        await eventually(lambda: hosts == [f"{LOOPBACK}:{gateway.http_port}"])
    await runner.cleanup()
