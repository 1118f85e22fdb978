"""One HTTP request to a port on a pod's loopback, through the API server's port-forward.

kubernetes.aio knows no port-forward. The protocol is that of its WebSockets, as `kubectl` spoke it
and every kubelet does (`v4.channel.k8s.io`): each message begins with a byte for its channel, 0 for
data and 1 for errors; the first message of a channel is the port, in two bytes.
"""

import asyncio
import http.client
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio import client
from kubernetes.aio.stream.ws_client import get_websocket_url

from trireme.api import kinds
from trireme.errors import ClusterError

_PROTOCOL = "v4.channel.k8s.io"
_DATA, _ERROR = 0, 1
_PORT_BYTES = 2
_TIMEOUT_SECONDS = 20
_HEAD_ENDS = b"\r\n\r\n"


async def get(
    api: client.ApiClient, namespace: str, pod: str, port: int, target: str
) -> tuple[int, str]:
    """The status and the body that the pod answers `target` with.

    Raises ClusterError: with the HTTP status where the API server refused, with 0 where it or the
    pod did not answer.
    """
    path = f"{kinds.POD.path(namespace, pod)}/portforward"
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            async with _forwarded(api, path, port) as websocket:
                raw = await _answer(websocket, _request(target))
    except aiohttp.WSServerHandshakeError as error:
        raise ClusterError(error.status, f"no port-forward to pod {namespace}/{pod}") from error
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        words = f"the port-forward to pod {namespace}/{pod} failed: {error!r}"
        raise ClusterError(0, words) from error
    return _parsed(raw)


@asynccontextmanager
async def _forwarded(
    api: client.ApiClient, path: str, port: int
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """Closed at its end, and cut at once: TLS waits for a last word from the other side, for which
    the event loop of a command may not live long enough.
    """
    websocket = await _forward(api, path, port)
    connection = websocket._conn
    transport = connection.transport if connection else None
    try:
        yield websocket
    finally:
        try:
            await websocket.close()
        finally:
            if transport is not None:
                transport.abort()


async def _forward(api: client.ApiClient, path: str, port: int) -> aiohttp.ClientWebSocketResponse:
    _, url, headers, *_ = await api.param_serialize(
        method="GET", resource_path=path, auth_settings=["BearerToken"]
    )
    rest = api.rest_client
    if rest.pool_manager is None:
        rest.pool_manager = rest._create_pool_manager()  # as the library's own WebSockets do
    return await rest.pool_manager.ws_connect(
        f"{get_websocket_url(url)}?{urlencode({'ports': port})}",
        protocols=[_PROTOCOL],
        headers=headers,
        proxy=rest.proxy,
        max_msg_size=0,
    )


def _request(target: str) -> bytes:
    head = (f"GET {target} HTTP/1.1", "Host: localhost", "Connection: close", "", "")
    return "\r\n".join(head).encode("ascii")


async def _answer(websocket: aiohttp.ClientWebSocketResponse, request: bytes) -> bytes:
    """The whole answer: a kubelet may leave the connection open after its end."""
    await websocket.send_bytes(bytes([_DATA]) + request)
    received, opened = bytearray(), set()
    async for message in websocket:
        if message.type is not aiohttp.WSMsgType.BINARY or not message.data:
            continue
        channel, data = message.data[0], message.data[1:]
        if channel not in opened and len(data) == _PORT_BYTES:
            opened.add(channel)
        elif channel == _ERROR and data:
            raise OSError(data.decode(errors="replace"))
        elif channel == _DATA:
            received += data
            if _is_whole(received):
                break
    return bytes(received)


def _is_whole(received: bytearray) -> bool:
    head, ends, body = received.partition(_HEAD_ENDS)
    if not ends:
        return False
    _, _, fields = head.partition(b"\r\n")
    length = http.client.parse_headers(io.BytesIO(fields + _HEAD_ENDS))["Content-Length"]
    return length is not None and len(body) >= int(length)


class _Received:
    """Bytes in the place of a socket, for the standard library's reader of answers."""

    def __init__(self, received: bytes) -> None:
        self._received = received

    def makefile(self, mode: str) -> io.BytesIO:
        """As a socket has it."""
        return io.BytesIO(self._received)


def _parsed(raw: bytes) -> tuple[int, str]:
    answer = http.client.HTTPResponse(_Received(raw))  # type: ignore[arg-type]
    try:
        answer.begin()
        return answer.status, answer.read().decode()
    except (http.client.HTTPException, OSError, UnicodeDecodeError) as error:
        raise ClusterError(0, f"the pod's answer is no whole one of HTTP: {error!r}") from error
