"""Requests over HTTP keep-alive and over gRPC by tritonclient's asyncio clients, never retried.

aiohttp does not repeat a POST. gRPC core would by itself repeat a call that the server never saw;
that is switched off, so that such a loss is seen.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import tritonclient.grpc as triton_grpc
import tritonclient.grpc.aio as triton_grpc_aio
import tritonclient.http as triton_http
import tritonclient.http.aio as triton_http_aio

from load.generator import Limits, Send
from load.results import Protocol
from load.tensors import Expectation, Tensor, check

_GRPC_OPTIONS = [
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),  # else all channels share one connection
    ("grpc.keepalive_time_ms", 30_000),  # a dead peer is noticed without a request having to wait
    ("grpc.keepalive_timeout_ms", 10_000),
]


_CONNECT_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Target:
    """What is called: addresses as host:port, the model, its inputs' types and its output."""

    http: str
    grpc: str
    model: str
    data_types: Mapping[str, str]
    output: str
    expectation: Expectation


async def open_clients(
    stack: AsyncExitStack,
    target: Target,
    requests: Sequence[Mapping[str, Tensor]],
    limits: Limits,
    grpc_channels: int,
) -> dict[Protocol, Send]:
    """One sender a protocol, which `stack` closes. `requests` are sent in turn, and gRPC calls
    take the channels in turn.
    """
    http = await stack.enter_async_context(
        triton_http_aio.InferenceServerClient(
            target.http,
            conn_limit=limits.in_flight,  # never a wait for a connection of the client's own
            conn_timeout=limits.request_seconds + 5,  # the generator's limit comes first
        )
    )
    channels = [
        await stack.enter_async_context(
            triton_grpc_aio.InferenceServerClient(target.grpc, channel_args=_GRPC_OPTIONS)
        )
        for _ in range(grpc_channels)
    ]
    await _connect([http, *channels])
    return {
        Protocol.HTTP: _sender(target, requests, triton_http.InferInput, [http.infer]),
        Protocol.GRPC: _sender(
            target, requests, triton_grpc.InferInput, [channel.infer for channel in channels]
        ),
    }


async def _connect(clients: Sequence[Any]) -> None:
    """Look up names and connect before the clock starts: gRPC asks the name servers about each
    search domain, which takes seconds where they have no answer. What fails here is left to the
    requests to tell.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(_CONNECT_SECONDS):
            await asyncio.gather(
                *(client.is_server_ready() for client in clients), return_exceptions=True
            )


def _sender(
    target: Target,
    requests: Sequence[Mapping[str, Tensor]],
    infer_input: Callable[[str, list[int], str], Any],
    infers: Sequence[Callable[..., Awaitable[Any]]],
) -> Send:
    """Encode each request once; the two clients have the same interface."""

    def encode(name: str, tensor: Tensor) -> Any:
        encoded = infer_input(name, list(tensor.shape), target.data_types[name])
        encoded.set_data_from_numpy(tensor)
        return encoded

    encoded = cycle(
        [(tensors, [encode(*item) for item in tensors.items()]) for tensors in requests]
    )
    turns = cycle(infers)

    async def send() -> None:
        tensors, inputs = next(encoded)
        result = await next(turns)(target.model, inputs)
        check(target.expectation, tensors, target.output, result.as_numpy)

    return send
