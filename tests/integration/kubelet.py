"""A node that is nothing but a kubelet's port-forward: the API server's own half of it is real.

It speaks the kubelet's side of `v4.channel.k8s.io` (k8s.io/kubelet, pkg/cri/streaming/portforward):
the port first, on the data and on the error channel, then what the port says.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from threading import Event, Thread

from aiohttp import WSMsgType, web

from certificates import certificate
from kube import Kube
from ports import free_port

_PROTOCOL = "v4.channel.k8s.io"
_DATA, _ERROR = b"\x00", b"\x01"


@contextmanager
def node(kube: Kube, folder: Path, name: str = "node") -> Iterator[None]:
    """A node by this name, whose pods' ports are those of this machine's loopback."""
    made = certificate(folder, "IP:127.0.0.1")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(made.certificate, made.key)
    port = free_port()
    kube.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
    status = {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
    }
    kube.set_status("node", name, status)
    ready, over = Event(), Event()
    thread = Thread(target=lambda: asyncio.run(_serve(context, port, ready, over)))
    thread.start()
    assert ready.wait(60)
    try:
        yield
    finally:
        over.set()
        thread.join()


async def _serve(context: ssl.SSLContext, port: int, ready: Event, over: Event) -> None:
    application = web.Application()
    application.router.add_get("/portForward/{namespace}/{pod}", _forward)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context).start()
    ready.set()
    await asyncio.to_thread(over.wait)
    await runner.cleanup()


async def _forward(request: web.Request) -> web.WebSocketResponse:
    port = int(request.query["port"])
    websocket = web.WebSocketResponse(protocols=[_PROTOCOL])
    await websocket.prepare(request)
    for channel in (_DATA, _ERROR):
        await websocket.send_bytes(channel + port.to_bytes(2, "little"))
    try:
        async with _connection(port) as (reader, writer):
            answering = asyncio.create_task(_answer(reader, websocket))
            async for message in websocket:
                if message.type is WSMsgType.BINARY and message.data[:1] == _DATA:
                    writer.write(message.data[1:])
            answering.cancel()
    except OSError as error:
        await websocket.send_bytes(_ERROR + str(error).encode())
    await websocket.close()
    return websocket


@asynccontextmanager
async def _connection(
    port: int,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def _answer(reader: asyncio.StreamReader, websocket: web.WebSocketResponse) -> None:
    while data := await reader.read(1000):  # in several messages, as large answers come
        await websocket.send_bytes(_DATA + data)
