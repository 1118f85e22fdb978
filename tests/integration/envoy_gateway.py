"""The real Envoy on loopback with the configuration that Trireme generates, and pods behind it
that misbehave on demand.

Only addresses and ports are replaced: all else is what a cluster gets.
"""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import envoy  # type: ignore[import-untyped]
import grpc
from aiohttp import web

from ports import LOOPBACK, free_port
from trireme.api import names
from trireme.resources.envoy_routes import ROUTES_DIRECTORY

BINARY = Path(envoy.__file__).parent / "_bin" / "envoy"
_SAMPLE = re.compile(r"^(envoy_cluster_\w+){(.*)} (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
FLAGS = ("--concurrency", "1", "--log-level", "warning")
SERVICE = "/inference.GRPCInferenceService"
SECONDS = 60
"""What Envoy may take for anything; the machine may be busy."""


# -------------------------------------------------------------------------------------- the pods

_ANSWERS_AFTER_SECONDS = {"a-second": 1.0, "stream": 1.5, "too-late": 20.0}


@dataclass
class Pod:
    """A stand-in for one Triton pod. What a request names decides its fate: a model over HTTP, the
    body over gRPC. What is `held` is answered once the test releases it.
    """

    http_port: int
    grpc_port: int
    host: str = LOOPBACK
    paths: list[str] = field(default_factory=list)
    refused: int = 0
    released: asyncio.Event = field(default_factory=asyncio.Event)

    async def http(self, request: web.Request) -> web.Response:
        self.paths.append(f"{request.method} {request.path}")
        await request.read()
        model = request.match_info.get("model", "")
        if model == "fails":
            return web.Response(status=500)
        if model == "unknown":
            self.refused += 1
            return web.Response(status=404)
        if model == "full":
            return web.Response(status=503)
        if model == "resets":
            assert request.transport is not None
            request.transport.abort()
        if model == "held":
            await self.released.wait()
        if model in _ANSWERS_AFTER_SECONDS:
            await asyncio.sleep(_ANSWERS_AFTER_SECONDS[model])
        return web.Response(text="answer")

    async def call(self, body: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        self.paths.append("gRPC")
        if (model := body.decode()) in _ANSWERS_AFTER_SECONDS:
            await asyncio.sleep(_ANSWERS_AFTER_SECONDS[model])
        if body == b"fails":
            await context.abort(grpc.StatusCode.INTERNAL, "the model failed")
        if body == b"unknown":
            self.refused += 1
            await context.abort(grpc.StatusCode.NOT_FOUND, "there is no such model")
        return b"answer"

    async def stream(
        self, bodies: AsyncIterator[bytes], _context: grpc.aio.ServicerContext[bytes, bytes]
    ) -> AsyncIterator[bytes]:
        async for _ in bodies:
            await asyncio.sleep(_ANSWERS_AFTER_SECONDS["stream"])
            yield b"answer"


class _Calls(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc ships no types
    """Every method of every service."""

    def __init__(self, pod: Pod) -> None:
        self._pod = pod

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        if details.method.endswith("ModelStreamInfer"):
            return grpc.stream_stream_rpc_method_handler(self._pod.stream)
        return grpc.unary_unary_rpc_method_handler(self._pod.call)


@asynccontextmanager
async def running_pod(pod: Pod | None = None) -> AsyncIterator[Pod]:
    """Serve a pod, by default one at free ports."""
    pod = pod or Pod(free_port(), free_port())
    app = web.Application(client_max_size=2**30)
    app.router.add_route("*", "/v2/models/{model}{rest:/.*}", pod.http)
    app.router.add_route("*", "/{rest:.*}", pod.http)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, pod.host, pod.http_port).start()
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])  # as Triton's
    server.add_generic_rpc_handlers((_Calls(pod),))
    server.add_insecure_port(f"{pod.host}:{pod.grpc_port}")
    await server.start()
    try:
        yield pod
    finally:
        await server.stop(None)
        await runner.cleanup()


# ------------------------------------------------------------------------------------- the Envoy


@dataclass(frozen=True)
class Gateway:
    """A running Envoy: where it listens, and what it says of itself."""

    http_port: int
    grpc_port: int
    metrics_port: int
    admin_port: int
    client: aiohttp.ClientSession

    def url(self, path: str) -> str:
        return f"http://{LOOPBACK}:{self.http_port}{path}"

    async def infer(self, model: str) -> int:
        """POST an inference; the status."""
        async with self.client.post(self.url(f"/v2/models/{model}/infer"), data=b"x") as response:
            await response.read()
            return response.status

    async def status(self, method: str, path: str) -> int:
        async with self.client.request(method, self.url(path)) as response:
            return response.status

    async def call(self, method: str, body: bytes = b"") -> grpc.StatusCode:
        """Call a gRPC method; the status."""
        async with grpc.aio.insecure_channel(f"{LOOPBACK}:{self.grpc_port}") as channel:
            try:
                await channel.unary_unary(method)(body)
            except grpc.aio.AioRpcError as error:
                return error.code()
            return grpc.StatusCode.OK

    async def metrics(self) -> "Metrics":
        url = f"http://{LOOPBACK}:{self.metrics_port}/stats/prometheus"
        async with self.client.get(url) as response:
            return Metrics.parse(await response.text())

    async def metrics_once(self, shown: Callable[["Metrics"], bool]) -> "Metrics":
        """The metrics as soon as they show something: Envoy brings histograms up to date once a
        second.
        """
        deadline = time.monotonic() + SECONDS
        while not shown(metrics := await self.metrics()):
            assert time.monotonic() < deadline, f"never shown; last seen: {metrics}"
            await asyncio.sleep(0.05)
        return metrics


@dataclass(frozen=True)
class Metrics:
    """Samples by name and cluster, and the text they were read from."""

    samples: dict[tuple[str, str, str], float]

    @classmethod
    def parse(cls, text: str) -> "Metrics":
        """Line by line: Prometheus' own parser would write _total behind each counter."""
        samples: dict[tuple[str, str, str], float] = {}
        for name, labels, value in _SAMPLE.findall(text):
            found: dict[str, str] = dict(_LABEL.findall(labels))
            kind = found.get("envoy_response_code_class") or found.get("le", "")
            samples[name, found.get("envoy_cluster_name", ""), kind] = float(value)
        return cls(samples)

    def of(self, cluster: str, metric: str, kind: str = "") -> float | None:
        """A value; `kind` is the response class or the bucket's edge. None where it is absent."""
        return self.samples.get((f"envoy_cluster_{metric}", cluster, kind))

    def edges(self, cluster: str, metric: str) -> list[float]:
        wanted = (f"envoy_cluster_{metric}_bucket", cluster)
        return sorted(float(le) for *key, le in self.samples if tuple(key) == wanted)


@dataclass(frozen=True)
class Routes:
    """The folder of the routes' files, kept as the kubelet keeps that of a ConfigMap: the files are
    links into a folder that is a link itself, and a change replaces that one.
    """

    folder: Path

    def write(self, files: Mapping[str, str]) -> None:
        self.folder.mkdir(exist_ok=True)
        generation = self.folder / f"..{len(list(self.folder.iterdir()))}"
        generation.mkdir()
        for name, text in files.items():
            (generation / name).write_text(text)
            link = self.folder / name
            if not link.is_symlink():
                link.symlink_to(f"..data/{name}")
        (self.folder / "..data_tmp").symlink_to(generation.name)
        (self.folder / "..data_tmp").rename(self.folder / "..data")

    def read_by(self, configuration: dict[str, Any]) -> dict[str, Any]:
        """The configuration, with its routes in this folder."""
        text = json.dumps(configuration).replace(ROUTES_DIRECTORY, str(self.folder))
        replaced: dict[str, Any] = json.loads(text)
        return replaced


def on_loopback(
    configuration: dict[str, Any],
    pods: Sequence[tuple[int, int]],
    canary: Sequence[tuple[int, int]] = (),
) -> tuple[dict[str, Any], dict[str, int]]:
    """The configuration with free ports, before pods at these HTTP and gRPC ports, and those of a
    canary; and the ports by listener, with that of the admin interface.
    """
    ports = {"admin": free_port()}
    replaced: dict[str, Any] = json.loads(json.dumps(configuration))
    replaced["admin"]["address"] = _address(ports["admin"])
    for listener in replaced["static_resources"]["listeners"]:
        ports[listener["name"]] = free_port()
        listener["address"] = _address(ports[listener["name"]])
    for cluster in replaced["static_resources"]["clusters"]:
        localities = cluster["load_assignment"]["endpoints"]
        for locality, track in zip(reversed(localities), (pods, canary), strict=False):
            (endpoint,) = locality["lb_endpoints"]
            port = endpoint["endpoint"]["address"]["socket_address"]["port_value"]
            if cluster["name"] == "admin":
                targets = [ports["admin"]]
            else:
                targets = [h if port == names.HTTP_PORT else g for h, g in track]
            locality["lb_endpoints"] = [{"endpoint": {"address": _address(p)}} for p in targets]
    return replaced, ports


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": LOOPBACK, "port_value": port}}


@asynccontextmanager
async def running_gateway(
    configuration: dict[str, Any],
    pods: Sequence[tuple[int, int]],
    folder: Path,
    flags: Sequence[str] = FLAGS,
) -> AsyncIterator[Gateway]:
    replaced, ports = on_loopback(configuration, pods)
    async with running_envoy(replaced, ports, folder, flags) as gateway:
        yield gateway


@asynccontextmanager
async def running_envoy(
    configuration: dict[str, Any],
    ports: dict[str, int],
    folder: Path,
    flags: Sequence[str] = FLAGS,
) -> AsyncIterator[Gateway]:
    file = folder / "envoy.json"
    file.write_text(json.dumps(configuration))
    with (folder / "envoy.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            str(BINARY),
            *("--config-path", str(file), "--disable-hot-restart", *flags),
            stderr=log,
        )
    try:
        async with aiohttp.ClientSession() as client:
            gateway = Gateway(
                ports["client_http"], ports["client_grpc"], ports["metrics"], ports["admin"], client
            )
            await _until_ready(gateway, process)
            yield gateway
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _until_ready(gateway: Gateway, process: asyncio.subprocess.Process) -> None:
    url = f"http://{LOOPBACK}:{gateway.metrics_port}/ready"
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        assert process.returncode is None, "Envoy ended: see its log"
        try:
            async with gateway.client.get(url) as response:
                if response.status == 200:
                    return
        except aiohttp.ClientConnectionError:
            pass  # it is still starting
        await asyncio.sleep(0.05)
    raise AssertionError(f"Envoy did not become ready in {SECONDS} s")
