"""A request through a port-forward, to a server that ends it in every way a kubelet may."""

from collections.abc import AsyncIterator, Coroutine

import pytest
from aiohttp import web
from kubernetes.aio import client

from ports import LOOPBACK, free_port
from trireme.edge import port_forward
from trireme.errors import ClusterError

PORTS = (b"\x00\x91\x1f", b"\x01\x91\x1f")  # 8081, on the data and on the error channel
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"
CHUNKED = b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"


class Api:
    """Forwards to a pod that says the same whatever it is asked; `stays` when all is said."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.stays = False
        self.asked = b""
        self.query = ""

    async def forward(self, request: web.Request) -> web.WebSocketResponse:
        self.query = request.query_string
        websocket = web.WebSocketResponse(protocols=["v4.channel.k8s.io"])
        await websocket.prepare(request)
        self.asked = await websocket.receive_bytes()
        for message in (*PORTS, *self.messages):
            await websocket.send_bytes(message)
        if self.stays:
            await websocket.receive()
        await websocket.close()
        return websocket


@pytest.fixture
async def api() -> AsyncIterator[tuple[Api, client.ApiClient]]:
    server, application, port = Api(), web.Application(), free_port()
    path = "/api/v1/namespaces/system/pods/one/portforward"
    application.router.add_get(path, server.forward)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, port).start()
    configuration = client.Configuration(host=f"http://{LOOPBACK}:{port}")
    async with client.ApiClient(configuration) as asking:
        yield server, asking
    await runner.cleanup()


def get(api: client.ApiClient, pod: str = "one") -> Coroutine[None, None, tuple[int, str]]:
    return port_forward.get(api, "system", pod, 8081, "/decisions?agent=a")


@pytest.mark.parametrize(
    ("messages", "stays", "answer"),
    [
        pytest.param([b"\x00" + HEAD + b"four"], True, (200, "four"), id="in one message"),
        pytest.param(
            [b"\x00" + HEAD[:30], b"\x00" + HEAD[30:] + b"fo", b"\x00ur"],
            True,
            (200, "four"),
            id="in pieces",
        ),
        pytest.param([b"\x00" + CHUNKED], False, (404, "abc"), id="ended by the connection"),
        pytest.param(
            [b"", b"\x00" + HEAD, b"\x01", b"\x00four"], True, (200, "four"), id="empty messages"
        ),
    ],
)
async def test_a_whole_answer_is_read_to_its_end(
    api: tuple[Api, client.ApiClient], messages: list[bytes], stays: bool, answer: tuple[int, str]
) -> None:
    server, asking = api
    server.messages, server.stays = messages, stays
    assert await get(asking) == answer
    assert server.query == "ports=8081"
    assert server.asked.startswith(b"\x00GET /decisions?agent=a HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        pytest.param([], "the pod's answer is no whole one of HTTP", id="no answer"),
        pytest.param([b"\x00" + HEAD + b"fo"], "no whole one of HTTP", id="half an answer"),
        pytest.param([b"\x00SSH-2.0-OpenSSH\r\n"], "no whole one of HTTP", id="not HTTP"),
        pytest.param(
            [b"\x01connection refused"],
            "the port-forward to pod system/one failed: OSError('connection refused')",
            id="the kubelet's error",
        ),
    ],
)
async def test_anything_less_is_told(
    api: tuple[Api, client.ApiClient], messages: list[bytes], words: str
) -> None:
    server, asking = api
    server.messages = messages
    with pytest.raises(ClusterError) as failed:
        await get(asking)
    assert failed.value.status == 0
    assert words in str(failed.value)


async def test_a_refusal_of_the_api_server_has_its_status(
    api: tuple[Api, client.ApiClient],
) -> None:
    with pytest.raises(ClusterError, match="no port-forward to pod system/two") as refused:
        await get(api[1], "two")
    assert refused.value.status == 404
