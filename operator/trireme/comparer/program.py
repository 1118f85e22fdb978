"""`trireme compare`: takes the copies that the gateway sends, and answers nothing of use.

The gateway forgets these answers, and tells no client of them. A copy is answered once it is read,
so that the gateway keeps nothing of it while both tracks work.
"""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import grpc
from aiohttp import web

from trireme.api.addresses import host_port
from trireme.comparer import requests, tensors
from trireme.comparer.compare import Rules
from trireme.comparer.metrics import Metrics
from trireme.comparer.requests import Dropped
from trireme.comparer.tensors import Outputs
from trireme.comparer.work import Comparer, Copy, NotRead
from trireme.edge.tracks import (
    HEADER_LENGTH,
    INFER_METHOD,
    GrpcRequest,
    HttpRequest,
    Track,
    TrackAddress,
)

logger = logging.getLogger(__name__)

_ANY_ADDRESS = "0.0.0.0"  # noqa: S104  # a pod's own network
_MODEL = r"/v2/models/{model:[A-Za-z0-9._-]+}"
_GRACE_SECONDS = 10

_HOP_BY_HOP = {  # RFC 9110, 7.6.1
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
_OF_THE_COPY = {"host", "content-length", "content-encoding", "accept-encoding", "expect"}
_OF_A_CALL = {"content-type", "user-agent"}
_OF_THE_GATEWAY = ("x-envoy-", "x-forwarded-")
_OF_GRPC = ("grpc-", ":")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the comparer is told; a pod has `timeout_seconds` for an answer."""

    stable: TrackAddress
    canary: TrackAddress
    rules: Rules
    most_in_flight: int
    largest_bytes: int
    timeout_seconds: float


@dataclass(frozen=True, slots=True)
class Ports:
    """Where it listens."""

    http: int
    grpc: int
    metrics: int


def run(settings: Settings, ports: Ports) -> None:
    """Compare until SIGTERM, then end what is in flight."""
    # Its lines about a request that is none of HTTP would hold a part of it.
    logging.getLogger("aiohttp").setLevel(logging.CRITICAL)
    asyncio.run(_run(settings, ports))


async def _run(settings: Settings, ports: Ports) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    async with running(settings, ports, ended):
        logger.info("comparing %s and %s", settings.stable.host, settings.canary.host)
        await ended.wait()


@asynccontextmanager
async def running(
    settings: Settings, ports: Ports, ended: asyncio.Event, host: str = _ANY_ADDRESS
) -> AsyncIterator[Metrics]:
    """A comparer that listens; it says that it is ready until `ended` is set."""
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        stable, canary = [
            await stack.enter_async_context(
                Track(address, settings.timeout_seconds, settings.largest_bytes)
            )
            for address in (settings.stable, settings.canary)
        ]
        comparer = Comparer(stable, canary, settings.rules, settings.most_in_flight, metrics)
        stack.push_async_callback(comparer.end, _GRACE_SECONDS)
        copies = _copies_app(comparer, settings.largest_bytes)
        await stack.enter_async_context(_served(copies, host, ports.http))
        await stack.enter_async_context(_served_grpc(comparer, settings, host, ports.grpc))
        await stack.enter_async_context(_served(_told_app(metrics, ended), host, ports.metrics))
        yield metrics


@asynccontextmanager
async def _served(app: web.Application, host: str, port: int) -> AsyncIterator[None]:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield
    finally:
        await runner.cleanup()


def _told_app(metrics: Metrics, ended: asyncio.Event) -> web.Application:
    async def ready(_: web.Request) -> web.Response:
        return web.Response(status=503 if ended.is_set() else 200)

    async def alive(_: web.Request) -> web.Response:
        return web.Response()

    async def told(_: web.Request) -> web.Response:
        return web.Response(body=metrics.text(), content_type="text/plain", charset="utf-8")

    app = web.Application()
    app.router.add_get("/readyz", ready)
    app.router.add_get("/healthz", alive)
    app.router.add_get("/metrics", told)
    return app


# ------------------------------------------------------------------------------------------ HTTP


def _copies_app(comparer: Comparer, largest_bytes: int) -> web.Application:
    async def infer(request: web.Request) -> web.Response:
        if await comparer.take(lambda: _http_copy(request, largest_bytes)):
            return web.Response(status=202)
        response = web.Response(status=503)
        response.force_close()  # its body is not read
        return response

    app = web.Application(client_max_size=largest_bytes)
    app.router.add_post(f"{_MODEL}/infer", infer)
    app.router.add_post(f"{_MODEL}/versions/{{version:[0-9]+}}/infer", infer)
    return app


async def _http_copy(request: web.Request, largest_bytes: int) -> Copy:
    if (request.content_length or 0) > largest_bytes:
        raise NotRead(Dropped.TOO_LARGE)
    try:
        body = await request.read()  # unpacked, where it was packed
    except web.HTTPRequestEntityTooLarge:
        raise NotRead(Dropped.TOO_LARGE) from None
    except (web.RequestPayloadError, aiohttp.ClientError, ConnectionError):
        raise NotRead(Dropped.UNREADABLE) from None
    asked = HttpRequest(request.raw_path, _passed_on(request), body)
    model, header_length = request.match_info["model"], request.headers.get(HEADER_LENGTH)

    async def ask(track: Track) -> Callable[[], Outputs]:
        answer = await track.http(asked)
        return lambda: tensors.of_http(answer.body, answer.header_length)

    return Copy(lambda: requests.of_http(model, body, header_length), ask)


def _passed_on(request: web.Request) -> dict[str, str]:
    """The request's own headers: a model may be given some of them."""
    named = request.headers.get("Connection", "").lower().split(",")
    left_out = _HOP_BY_HOP | _OF_THE_COPY | {name.strip() for name in named}
    kept = {
        name: value
        for name, value in request.headers.items()
        if name.lower() not in left_out and not name.lower().startswith(_OF_THE_GATEWAY)
    }
    return {**kept, "Accept-Encoding": "identity"}


# ------------------------------------------------------------------------------------------ gRPC


@asynccontextmanager
async def _served_grpc(
    comparer: Comparer, settings: Settings, host: str, port: int
) -> AsyncIterator[None]:
    options = [
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", settings.largest_bytes),
        ("grpc.max_concurrent_streams", settings.most_in_flight),
        ("grpc.http2.max_ping_strikes", 0),  # any number: the gateway pings it every few seconds
    ]
    server = grpc.aio.server(options=options)
    server.add_generic_rpc_handlers((_Calls(comparer),))
    server.add_insecure_port(host_port(host, port))
    await server.start()
    try:
        yield
    finally:
        await server.stop(None)


class _Calls(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc ships no types
    """ModelInfer, whose message is bytes. As if it were a stream: of that, a message is only read
    once there is room for it.
    """

    def __init__(self, comparer: Comparer) -> None:
        self._comparer = comparer

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        if details.method != INFER_METHOD:
            return None
        return grpc.stream_unary_rpc_method_handler(self._infer)

    async def _infer(
        self, messages: AsyncIterator[bytes], context: grpc.aio.ServicerContext[bytes, bytes]
    ) -> bytes:
        await self._comparer.take(lambda: _grpc_copy(messages, context))
        return b""


async def _grpc_copy(
    messages: AsyncIterator[bytes], context: grpc.aio.ServicerContext[bytes, bytes]
) -> Copy:
    body = await anext(aiter(messages), None)
    if body is None:
        raise NotRead(Dropped.UNREADABLE)
    metadata = tuple(
        (key, value)
        for key, value in context.invocation_metadata() or ()
        if key not in _HOP_BY_HOP | _OF_A_CALL and not key.startswith((*_OF_THE_GATEWAY, *_OF_GRPC))
    )
    asked = GrpcRequest(metadata, body)

    async def ask(track: Track) -> Callable[[], Outputs]:
        answer = await track.grpc(asked)
        return lambda: tensors.of_grpc(answer)

    return Copy(lambda: requests.of_grpc(body), ask)
