"""The pods of one track, asked past the gateway: each request goes to one of them, once.

A pod is taken at random from what DNS says, which is asked again after a second, and by a
connection of its own: so a pod that leaves its Service is soon asked no more, and none is asked
for ever because it was first.
"""

import asyncio
import random
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import aiohttp
import grpc
from yarl import URL

from trireme.api import names
from trireme.api.addresses import host_port
from trireme.edge.pod_answers import read
from trireme.errors import TriremeError

INFER_METHOD = "/inference.GRPCInferenceService/ModelInfer"
HEADER_LENGTH = "Inference-Header-Content-Length"

_CONNECT_SECONDS = 2
_NAMES_SECONDS = 1


class NoPod(TriremeError):
    """No pod of the track could be reached: it was asked nothing."""


class Unanswered(TriremeError):
    """A pod was asked and failed, or did not answer in time."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """`target` is the path with its query, as it was sent."""

    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An answer of status 200."""

    body: bytes
    header_length: str | None


@dataclass(frozen=True, slots=True)
class GrpcRequest:
    """A ModelInferRequest with the metadata that goes with it."""

    metadata: Sequence[tuple[str, str | bytes]]
    body: bytes


@dataclass(frozen=True, slots=True)
class TrackAddress:
    """`host` is a name of all of the track's pods, or an address."""

    host: str
    http_port: int = names.HTTP_PORT
    grpc_port: int = names.GRPC_PORT


class Track:
    """Asks the pods of a track; close it, or use it in an `async with`."""

    def __init__(self, address: TrackAddress, timeout_seconds: float, largest_bytes: int) -> None:
        self._address = address
        self._timeout_seconds = timeout_seconds
        self._largest_bytes = largest_bytes
        self._hosts: tuple[str, ...] = ()
        self._named_at = float("-inf")
        self._naming = asyncio.Lock()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
        )

    async def __aenter__(self) -> "Track":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def http(self, request: HttpRequest) -> HttpAnswer:
        """Ask one pod. Raises NoPod, Unanswered or LargeAnswer."""
        address = host_port(await self._host(), self._address.http_port)
        url = URL(f"http://{address}{request.target}", encoded=True)
        asked = self._session.post(
            url, data=request.body, headers=request.headers, allow_redirects=False
        )
        try:
            async with asyncio.timeout(self._timeout_seconds), asked as answer:
                if answer.status != 200:
                    raise Unanswered(f"it answered {answer.status}")
                body = await read(answer, self._largest_bytes)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NoPod("no connection") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unanswered("no answer, or a part of one") from error
        return HttpAnswer(body, answer.headers.get(HEADER_LENGTH))

    async def grpc(self, request: GrpcRequest) -> bytes:
        """Ask one pod; the ModelInferResponse. Raises NoPod or Unanswered."""
        target = host_port(await self._host(), self._address.grpc_port)
        options = [
            ("grpc.use_local_subchannel_pool", 1),  # else channels share a connection
            ("grpc.max_receive_message_length", self._largest_bytes),
        ]
        async with grpc.aio.insecure_channel(target, options=options) as channel:
            try:
                async with asyncio.timeout(_CONNECT_SECONDS):
                    await channel.channel_ready()
            except TimeoutError as error:
                raise NoPod("no connection") from error
            infer = channel.unary_unary(INFER_METHOD)
            try:
                answer: bytes = await infer(
                    request.body, metadata=request.metadata, timeout=self._timeout_seconds
                )
            except grpc.aio.AioRpcError as error:
                raise Unanswered(f"it answered {error.code().name}") from error
            return answer

    async def _host(self) -> str:
        """An address of one pod. Raises NoPod where there is none."""
        loop = asyncio.get_running_loop()
        async with self._naming:
            if loop.time() - self._named_at > _NAMES_SECONDS:
                self._hosts = await self._resolved()
                self._named_at = loop.time()
        if not self._hosts:
            raise NoPod("the track has no pod")
        return random.choice(self._hosts)  # noqa: S311  # for balance, not for secrecy

    async def _resolved(self) -> tuple[str, ...]:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(
                self._address.host,
                None,
                family=socket.AF_INET,  # Triton listens on 0.0.0.0
                type=socket.SOCK_STREAM,
            )
        except socket.gaierror:
            return ()
        return tuple(str(address[0]) for *_, address in found)
