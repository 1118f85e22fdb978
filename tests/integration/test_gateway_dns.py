"""How the real Envoy follows the pods through DNS."""

import asyncio
from pathlib import Path
from typing import Any

from agents import agent_of
from integration.dns_server import NameServer, running_name_server
from integration.envoy_gateway import (
    SECONDS,
    Gateway,
    Pod,
    on_loopback,
    running_envoy,
    running_pod,
)
from ports import LOOPBACK, free_port
from trireme.resources.envoy import configuration
from trireme.resources.options import ResourceOptions

OTHER_ADDRESS = "127.0.0.2"
C_ARES = "type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig"
GENERATED = configuration(
    agent_of(), ResourceOptions("registry.example/envoy:v1.36.2", cluster_domain="cluster.example")
)


def asking(server: NameServer, pod: Pod) -> tuple[dict[str, Any], dict[str, int]]:
    """The configuration with its names as generated, resolved by this server."""
    replaced, ports = on_loopback(GENERATED, [(pod.http_port, pod.grpc_port)])
    originals = GENERATED["static_resources"]["clusters"]
    for cluster, original in zip(replaced["static_resources"]["clusters"], originals, strict=True):
        if "cluster_type" not in cluster:
            continue
        (endpoint,) = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
        (generated,) = original["load_assignment"]["endpoints"][0]["lb_endpoints"]
        name = generated["endpoint"]["address"]["socket_address"]["address"]
        endpoint["endpoint"]["address"]["socket_address"]["address"] = name
        resolver = {"socket_address": {"address": LOOPBACK, "port_value": server.port}}
        cluster["cluster_type"]["typed_config"]["typed_dns_resolver_config"] = {
            "name": "envoy.network.dns_resolver.cares",
            "typed_config": {"@type": C_ARES, "resolvers": [resolver]},
        }
    return replaced, ports


async def infer_until(gateway: Gateway, pod: Pod) -> list[int]:
    """Infer again and again until a request has reached the pod; all statuses."""
    statuses = []
    async with asyncio.timeout(SECONDS):
        while not pod.paths:
            statuses.append(await gateway.infer("double"))
            await asyncio.sleep(0.01)
    return statuses


async def test_a_pod_that_left_the_answer_gets_no_more_requests_and_none_is_lost(
    tmp_path: Path,
) -> None:
    old = Pod(free_port(), free_port())
    new = Pod(old.http_port, old.grpc_port, host=OTHER_ADDRESS)
    async with (
        running_pod(old),
        running_pod(new),
        running_name_server(LOOPBACK) as server,
        running_envoy(*asking(server, old), tmp_path) as gateway,
    ):
        assert await gateway.infer("double") == 200
        in_flight = asyncio.create_task(gateway.infer("held"))
        await gateway.metrics_once(
            lambda found: found.of("inference_http", "upstream_rq_active") == 1
        )

        server.addresses = [OTHER_ADDRESS]
        moving = await infer_until(gateway, new)
        old.paths.clear()
        moved = [await gateway.infer("double") for _ in range(20)]

        assert set(moving + moved) == {200}
        assert old.paths == []
        old.released.set()
        assert await in_flight == 200  # by the pod that has left


async def test_the_one_name_asked_is_complete_and_asked_despite_its_time_to_live(
    tmp_path: Path,
) -> None:
    pod = Pod(free_port(), free_port())
    async with (
        running_name_server() as server,
        running_envoy(*asking(server, pod), tmp_path) as gateway,
    ):
        assert await gateway.infer("double") == 503  # no pod yet
        async with running_pod(pod):
            server.addresses = [LOOPBACK]
            await infer_until(gateway, pod)

    assert set(server.questions) == {"echo-pods.default.svc.cluster.example."}
