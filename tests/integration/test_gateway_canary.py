"""The gateway's routes in the real Envoy: a canary's share, how it changes, and what becomes of it
where the canary has no pod.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest

from agents import agent_of
from integration.dns_server import NameServer, running_name_server
from integration.envoy_gateway import (
    SECONDS,
    SERVICE,
    Gateway,
    Metrics,
    Pod,
    Routes,
    on_loopback,
    running_envoy,
    running_pod,
)
from ports import LOOPBACK, free_port
from trireme.resources.envoy import configuration
from trireme.resources.envoy_routes import route_files
from trireme.resources.options import ResourceOptions

AGENT = agent_of(rollout={"strategy": "Canary"})
GENERATED = configuration(AGENT, ResourceOptions("envoy", cluster_domain="cluster.example"))
C_ARES = "type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig"
OTHER_ADDRESS = "127.0.0.2"
STABLE = "echo-pods.default.svc.cluster.example."
CANARY = "echo-canary.default.svc.cluster.example."
CLIENTS = 4  # of each protocol


@dataclass
class Tracks:
    """The gateway, a stable pod and a canary behind it, and the share of the latter."""

    gateway: Gateway
    stable: Pod
    canary: Pod
    routes: Routes

    def share(self, weight: float) -> None:
        self.routes.write(route_files(AGENT.spec, weight))


@asynccontextmanager
async def tracks(
    folder: Path, weight: float, *, canary_is: str = "running"
) -> AsyncIterator[Tracks]:
    """A canary that is `running`, `absent` (the name has no address) or `gone` (nobody listens)."""
    routes = Routes(folder / "routes")
    routes.write(route_files(AGENT.spec, weight))
    async with contextlib.AsyncExitStack() as stack:
        stable = await stack.enter_async_context(running_pod())
        canary = Pod(free_port(), free_port())
        if canary_is == "running":
            await stack.enter_async_context(running_pod(canary))
        ports = [(canary.http_port, canary.grpc_port)] if canary_is != "absent" else []
        read = routes.read_by(GENERATED)
        replaced = on_loopback(read, [(stable.http_port, stable.grpc_port)], ports)
        gateway = await stack.enter_async_context(running_envoy(*replaced, folder))
        yield Tracks(gateway, stable, canary, routes)


@dataclass
class Load:
    """Clients that ask on and on; what they were answered."""

    gateway: Gateway
    answers: Counter[str] = field(default_factory=Counter)
    is_over: bool = False

    async def http(self) -> None:
        while not self.is_over:
            self.answers[f"HTTP {await self.gateway.infer('double')}"] += 1

    async def grpc(self) -> None:
        target = f"{LOOPBACK}:{self.gateway.grpc_port}"
        async with grpc.aio.insecure_channel(target) as channel:  # one connection for all calls
            infer = channel.unary_unary(f"{SERVICE}/ModelInfer")
            while not self.is_over:
                try:
                    await infer(b"x")
                    self.answers["gRPC OK"] += 1
                except grpc.aio.AioRpcError as error:
                    self.answers[f"gRPC {error.code()}"] += 1


@asynccontextmanager
async def load(gateway: Gateway) -> AsyncIterator[Load]:
    """Load as long as the context; everything that was asked is answered at its end."""
    clients = Load(gateway)
    async with asyncio.TaskGroup() as group:
        for _ in range(CLIENTS):
            group.create_task(clients.http())
            group.create_task(clients.grpc())
        try:
            yield clients
        finally:
            clients.is_over = True


async def until(what: str, holds: Callable[[], bool] | Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + SECONDS
    while True:
        found = holds()
        if found if isinstance(found, bool) else await found:
            return
        assert time.monotonic() < deadline, f"never: {what}"
        await asyncio.sleep(0.02)


async def stays(pod: Pod, count: int) -> bool:
    """Whether a pod gets no more requests while the clients go on."""
    await asyncio.sleep(0.3)
    return len(pod.paths) == count


def by_protocol(pod: Pod) -> Counter[str]:
    return Counter("gRPC" if path == "gRPC" else "HTTP" for path in pod.paths)


async def test_the_canary_gets_its_share_of_the_requests_of_either_protocol(tmp_path: Path) -> None:
    async with tracks(tmp_path, 0.25) as running:
        statuses = {await running.gateway.infer("double") for _ in range(400)}
        target = f"{LOOPBACK}:{running.gateway.grpc_port}"
        async with grpc.aio.insecure_channel(target) as channel:  # all over one connection
            infer = channel.unary_unary(f"{SERVICE}/ModelInfer")
            for _ in range(400):
                assert await infer(b"x") == b"answer"
        metrics = await running.gateway.metrics()

    assert statuses == {200}
    got = by_protocol(running.canary)
    for protocol, cluster in (("HTTP", "inference_http_canary"), ("gRPC", "inference_grpc_canary")):
        assert 55 <= got[protocol] <= 145  # 100, more or less five standard deviations of 8.7
        assert metrics.of(cluster, "upstream_rq_total") == got[protocol]
        assert metrics.of(cluster, "upstream_rq_completed") == got[protocol]
    assert metrics.of("inference_http", "upstream_rq_total") == 400 - got["HTTP"]


async def test_what_is_not_inference_never_asks_a_canary(tmp_path: Path) -> None:
    async with tracks(tmp_path, 1.0) as running:
        assert await running.gateway.status("GET", "/v2/models/double/config") == 200
        assert await running.gateway.call(f"{SERVICE}/ServerReady") is grpc.StatusCode.OK
        assert await running.gateway.status("POST", "/v2/repository/index") == 403

    assert running.canary.paths == []


async def test_a_share_is_changed_by_the_files_alone_and_no_request_is_lost(tmp_path: Path) -> None:
    async with tracks(tmp_path, 0.0) as running, load(running.gateway) as clients:
        await until("both protocols", lambda: len(by_protocol(running.stable)) == 2)
        assert running.canary.paths == []
        for weight in (0.5, 1.0, 0.05, 0.0):
            before = len(running.canary.paths)
            running.share(weight)
            if weight == 0.0:
                await until(
                    "no more for the canary",
                    lambda: stays(running.canary, len(running.canary.paths)),
                )
            elif weight == 1.0:
                await until(
                    "no more for the others",
                    lambda: stays(running.stable, len(running.stable.paths)),
                )
            else:
                wanted = before + 20
                await until("some for it", lambda: len(running.canary.paths) >= wanted)  # noqa: B023

    assert set(clients.answers) == {"HTTP 200", "gRPC OK"}
    assert len(by_protocol(running.canary)) == 2


@pytest.mark.parametrize("canary_is", ["absent", "gone"])
async def test_a_canary_that_has_no_pod_that_answers_costs_no_request(
    tmp_path: Path, canary_is: str
) -> None:
    async with tracks(tmp_path, 0.5, canary_is=canary_is) as running:
        http = Counter([await running.gateway.infer("double") for _ in range(200)])
        target = f"{LOOPBACK}:{running.gateway.grpc_port}"
        async with grpc.aio.insecure_channel(target) as channel:
            infer = channel.unary_unary(f"{SERVICE}/ModelInfer")
            calls = Counter([await infer(b"x") for _ in range(200)])

    assert http == {200: 200}
    assert calls == {b"answer": 200}


def asking(
    server: NameServer, stable: Pod, routes: Routes
) -> tuple[dict[str, Any], dict[str, int]]:
    """The configuration with its names as generated, resolved by this server: the pods of both
    tracks have the same ports, at addresses of their own.
    """
    ports = [(stable.http_port, stable.grpc_port)]
    replaced, listeners = on_loopback(routes.read_by(GENERATED), ports, ports)
    originals = GENERATED["static_resources"]["clusters"]
    for cluster, original in zip(replaced["static_resources"]["clusters"], originals, strict=True):
        if "cluster_type" not in cluster:
            continue
        resolver = {"socket_address": {"address": LOOPBACK, "port_value": server.port}}
        cluster["cluster_type"]["typed_config"]["typed_dns_resolver_config"] = {
            "name": "envoy.network.dns_resolver.cares",
            "typed_config": {"@type": C_ARES, "resolvers": [resolver]},
        }
        for one, other in zip(
            cluster["load_assignment"]["endpoints"],
            original["load_assignment"]["endpoints"],
            strict=True,
        ):
            address = other["lb_endpoints"][0]["endpoint"]["address"]["socket_address"]["address"]
            place = one["lb_endpoints"][0]["endpoint"]["address"]["socket_address"]
            place["address"] = address
    return replaced, listeners


async def test_a_canary_that_leaves_dns_is_replaced_by_the_stable_pods_and_no_request_is_lost(
    tmp_path: Path,
) -> None:
    stable = Pod(free_port(), free_port())
    canary = Pod(stable.http_port, stable.grpc_port, host=OTHER_ADDRESS)
    routes = Routes(tmp_path / "routes")
    routes.write(route_files(AGENT.spec, 0.5))
    async with (
        running_pod(stable),
        running_pod(canary),
        running_name_server() as server,
    ):
        server.of = {STABLE: [LOOPBACK], CANARY: []}
        async with (
            running_envoy(*asking(server, stable, routes), tmp_path) as gateway,
            load(gateway) as clients,
        ):
            await until("both protocols", lambda: len(by_protocol(stable)) == 2)
            assert canary.paths == []  # no Service, no address, and half of the requests are its
            server.of[CANARY] = [OTHER_ADDRESS]
            await until("its share", lambda: min(by_protocol(canary).values(), default=0) >= 20)
            server.of[CANARY] = []
            await until("no more for it", lambda: stays(canary, len(canary.paths)))
            metrics: Metrics = await gateway.metrics()

    assert set(clients.answers) == {"HTTP 200", "gRPC OK"}
    assert (metrics.of("inference_http_canary", "upstream_rq_total") or 0) > len(canary.paths) / 2
    assert {STABLE, CANARY} == set(server.questions)
