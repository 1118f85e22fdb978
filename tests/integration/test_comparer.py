"""The comparer between stand-ins for both tracks: what it asks them, compares, drops and counts."""

import asyncio
import json
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
from aiohttp import web
from tritonclient.grpc import service_pb2
from yarl import URL

from ports import LOOPBACK, free_port
from trireme.comparer.compare import Rules
from trireme.comparer.metrics import Metrics
from trireme.comparer.program import Ports, Settings, running
from trireme.edge.tracks import INFER_METHOD, TrackAddress

SECONDS = 60  # the machine may be busy
LARGEST = 65536
_SAMPLE = re.compile(r'^(trireme_\w+)\{\w+="([^"]*)"\} (\S+)$', re.MULTILINE)


@dataclass
class Model:
    """A stand-in for the pods of one track: what it answers, and what it was asked."""

    values: Callable[[int], list[float]]
    status: int = 200
    address: TrackAddress = field(
        default_factory=lambda: TrackAddress(LOOPBACK, free_port(), free_port())
    )
    asked: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    async def http(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.read())
        self.asked.append({"target": request.raw_path, **request.headers})
        await self.released.wait()
        values = self.values(len(self.asked))
        output = {"name": "y", "datatype": "FP32", "shape": [len(values)], "data": values}
        return web.json_response({"outputs": [output]}, status=self.status)

    async def infer(self, body: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        self.bodies.append(body)
        self.asked.append(dict(context.invocation_metadata() or ()))
        await self.released.wait()
        if self.status != 200:
            await context.abort(grpc.StatusCode.INTERNAL, "the model failed")
        answer = service_pb2.ModelInferResponse()
        output = answer.outputs.add(name="y", datatype="FP32")
        output.contents.fp32_contents.extend(self.values(len(self.asked)))
        output.shape.append(len(output.contents.fp32_contents))
        serialized: bytes = answer.SerializeToString()
        return serialized

    def service(self, _: grpc.HandlerCallDetails) -> Any:
        return grpc.unary_unary_rpc_method_handler(self.infer)


@asynccontextmanager
async def served(model: Model) -> AsyncIterator[None]:
    app = web.Application(client_max_size=2**30)
    app.router.add_post("/{rest:.*}", model.http)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, model.address.http_port).start()
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((model,))
    server.add_insecure_port(f"{LOOPBACK}:{model.address.grpc_port}")
    await server.start()
    try:
        yield
    finally:
        await server.stop(None)
        await runner.cleanup()


@dataclass
class Comparing:
    """A comparer that runs."""

    ports: Ports
    metrics: Metrics
    client: aiohttp.ClientSession

    async def http(self, body: bytes = b"{}", path: str = "/v2/models/m/infer", **more: Any) -> int:
        url = URL(f"http://{LOOPBACK}:{self.ports.http}{path}", encoded=True)
        async with self.client.post(url, data=body, **more) as response:
            return response.status

    async def grpc(self, message: bytes, metadata: Any = ()) -> None:
        async with grpc.aio.insecure_channel(f"{LOOPBACK}:{self.ports.grpc}") as channel:
            await channel.unary_unary(INFER_METHOD)(message, metadata=metadata)

    def counted(self) -> dict[str, float]:
        """What is not 0, by metric and label."""
        found = _SAMPLE.findall(self.metrics.text().decode())
        return {f"{m} {label}": float(v) for m, label, v in found if float(v) and "_total" in m}

    async def counts(self, **wanted: float) -> None:
        """Wait until exactly this is counted."""
        named = {_NAMES[name]: value for name, value in wanted.items()}
        deadline = time.monotonic() + SECONDS
        while (counted := self.counted()) != named:
            assert time.monotonic() < deadline, f"never so; last: {counted}"
            await asyncio.sleep(0.02)


_NAMES = {
    "compared": "trireme_compared_requests_total m",
    "different": "trireme_different_answers_total m",
    "stable_failed": "trireme_comparer_failed_total stable",
    "canary_failed": "trireme_comparer_failed_total canary",
    "full": "trireme_comparer_dropped_total full",
    "too_large": "trireme_comparer_dropped_total tooLarge",
    "unreadable": "trireme_comparer_dropped_total unreadable",
    "sequence": "trireme_comparer_dropped_total sequence",
    "unreachable": "trireme_comparer_dropped_total unreachable",
    "unsteady": "trireme_comparer_dropped_total unsteady",
}


@asynccontextmanager
async def comparing(
    stable: Model,
    canary: Model,
    *,
    absent: bool = False,
    most_in_flight: int = 4,
    timeout_seconds: float = SECONDS,
    held: bool = False,
) -> AsyncIterator[Comparing]:
    """A comparer before both tracks; the canary may be `absent`, and both hold their answers."""
    settings = Settings(
        stable.address,
        canary.address,
        Rules(absolute=0.001, relative=0.01),
        most_in_flight,
        LARGEST,
        timeout_seconds,
    )
    ports = Ports(free_port(), free_port(), free_port())
    async with AsyncExitStack() as stack:
        for model in (stable,) if absent else (stable, canary):
            if not held:
                model.released.set()
            await stack.enter_async_context(served(model))
        metrics = await stack.enter_async_context(
            running(settings, ports, asyncio.Event(), LOOPBACK)
        )
        client = await stack.enter_async_context(aiohttp.ClientSession())
        yield Comparing(ports, metrics, client)


def always(*values: float) -> Callable[[int], list[float]]:
    return lambda _: list(values)


def message(**fields: Any) -> bytes:
    request = service_pb2.ModelInferRequest(model_name="m", **fields)
    serialized: bytes = request.SerializeToString()
    return serialized


async def test_answers_that_agree_are_counted() -> None:
    async with comparing(Model(always(1.0, 2.0)), Model(always(1.0, 2.0))) as comparer:
        assert await comparer.http() == 202
        await comparer.grpc(message())
        await comparer.counts(compared=2)
        assert "trireme_different_answers_total{" in comparer.metrics.text().decode()


async def test_answers_that_differ_are_counted_and_told_without_what_they_hold(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stable = Model(always(1234.5))
    async with comparing(stable, Model(always(1300.0))) as comparer:
        await comparer.http()
        await comparer.grpc(message())
        await comparer.counts(compared=2, different=2)
        assert len(stable.asked) == 4  # a difference is looked at twice
    (line,) = [r.getMessage() for r in caplog.records if r.name == "trireme.comparer.work"]
    assert line == "model m, output 'y': the canary's answer differs in values, by 65.5 at most"


async def test_a_model_that_differs_from_itself_says_nothing_of_the_canary() -> None:
    counting = Model(lambda asked: [float(asked)])
    async with comparing(counting, Model(always(9.0))) as comparer:
        await comparer.http()
        await comparer.counts(unsteady=1)


async def test_both_tracks_are_asked_what_the_client_asked() -> None:
    stable, canary = Model(always(1.0)), Model(always(1.0))
    async with comparing(stable, canary) as comparer:
        header = b'{"inputs":[]}'
        await comparer.http(
            header + b"\0\1",
            "/v2/models/m/versions/3/infer?a=%2F",
            headers={
                "Inference-Header-Content-Length": str(len(header)),
                "Tenant": "t",
                "X-Envoy-Internal": "true",
                "Connection": "keep-alive, private",
                "Private": "p",
            },
        )
        await comparer.grpc(message(id="7"), (("tenant", "t"), ("x-envoy-internal", "true")))
        await comparer.counts(compared=2)
    for track in (stable, canary):
        assert track.bodies == [header + b"\0\1", message(id="7")]
        over_http, over_grpc = track.asked
        assert over_http["target"] == "/v2/models/m/versions/3/infer?a=%2F"
        assert over_http["Inference-Header-Content-Length"] == str(len(header))
        assert over_http["Tenant"] == over_grpc["tenant"] == "t"
        assert not {"Private", "X-Envoy-Internal"} & over_http.keys()
        assert "x-envoy-internal" not in over_grpc


async def test_a_packed_request_is_asked_unpacked() -> None:
    stable = Model(always(1.0))
    async with comparing(stable, Model(always(1.0))) as comparer:
        await comparer.http(b'{"inputs":[]}', compress="gzip")
        await comparer.counts(compared=1)
    assert stable.bodies == [b'{"inputs":[]}']
    assert "Content-Encoding" not in stable.asked[0]


async def test_a_track_that_fails_is_counted_apart() -> None:
    async with comparing(Model(always(1.0)), Model(always(1.0), status=500)) as comparer:
        await comparer.http()
        await comparer.grpc(message())
        await comparer.counts(canary_failed=2)


async def test_where_both_fail_both_are_counted() -> None:
    async with comparing(Model(always(1.0), 400), Model(always(1.0), 400)) as comparer:
        await comparer.http()
        await comparer.counts(stable_failed=1, canary_failed=1)


async def test_a_track_that_does_not_answer_in_time_fails() -> None:
    stable, canary = Model(always(1.0)), Model(always(1.0))
    async with comparing(stable, canary, held=True, timeout_seconds=3) as comparer:
        stable.released.set()  # it answers at once, which may take a busy machine a moment
        await comparer.http()
        await comparer.grpc(message())
        await comparer.counts(canary_failed=2)


async def test_a_track_without_pods_is_no_failure_of_it() -> None:
    async with comparing(Model(always(1.0)), Model(always(1.0)), absent=True) as comparer:
        await comparer.http()
        await comparer.grpc(message())
        await comparer.counts(unreachable=2)


async def test_a_sequence_is_asked_of_nobody() -> None:
    stable = Model(always(1.0))
    async with comparing(stable, Model(always(1.0))) as comparer:
        await comparer.http(json.dumps({"parameters": {"sequence_id": 1}}).encode())
        request = service_pb2.ModelInferRequest(model_name="m")
        request.parameters["sequence_id"].int64_param = 1
        await comparer.grpc(request.SerializeToString())
        await comparer.counts(sequence=2)
    assert not stable.asked


async def test_one_too_many_is_dropped_unread() -> None:
    stable, canary = Model(always(1.0)), Model(always(1.0))
    async with comparing(stable, canary, held=True, most_in_flight=2) as comparer:
        assert [await comparer.http() for _ in range(3)] == [202, 202, 503]
        await comparer.grpc(message())
        await comparer.counts(full=2)
        stable.released.set()
        canary.released.set()
        await comparer.counts(full=2, compared=2)
        assert await comparer.http() == 202
        await comparer.counts(full=2, compared=3)


async def test_what_is_too_large_is_dropped() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b" " * (LARGEST // 2)

    answering_much = Model(always(*[1.0] * LARGEST))
    async with comparing(answering_much, Model(always(1.0))) as comparer:
        await comparer.http(b" " * (LARGEST + 1))
        await comparer.counts(too_large=1)
        await comparer.http(pieces())  # type: ignore[arg-type]  # of a length that is not told
        await comparer.counts(too_large=2)
        await comparer.http()
        await comparer.counts(too_large=3)


async def test_a_large_message_over_grpc_is_refused_and_the_next_is_compared() -> None:
    async with comparing(Model(always(1.0)), Model(always(1.0))) as comparer:
        with pytest.raises(grpc.aio.AioRpcError):
            await comparer.grpc(message(id="x" * 2 * LARGEST))
        await comparer.grpc(message())
        await comparer.counts(unreadable=1, compared=1)


async def test_what_is_no_inference_is_not_taken() -> None:
    async with comparing(Model(always(1.0)), Model(always(1.0))) as comparer:
        assert await comparer.http(path="/v2/models/m/generate") == 404
        assert await comparer.http(path="/v2/repository/models/m/load") == 404
        assert not comparer.counted()


async def test_the_program_is_ready_tells_its_metrics_and_ends_when_told() -> None:
    ports = Ports(free_port(), free_port(), free_port())
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("trireme")),
        "compare",
        f"--stable={LOOPBACK}",
        f"--canary={LOOPBACK}",
        "--max-in-flight=2",
        "--max-bytes=1000",
        "--timeout-seconds=1",
        "--absolute=0",
        "--relative=0.01",
        "--ignore-output=clock",
        f"--http-port={ports.http}",
        f"--grpc-port={ports.grpc}",
        f"--metrics-port={ports.metrics}",
    )
    try:
        async with aiohttp.ClientSession() as client:
            base = f"http://{LOOPBACK}:{ports.metrics}"
            await _until_ready(client, f"{base}/readyz")
            async with client.get(f"{base}/metrics") as response:
                assert 'trireme_comparer_dropped_total{reason="full"} 0.0' in await response.text()
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), SECONDS) == 0
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _until_ready(client: aiohttp.ClientSession, url: str) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        try:
            async with client.get(url) as response:
                if response.status == 200:
                    return
        except aiohttp.ClientConnectionError:
            pass  # it is still starting
        await asyncio.sleep(0.05)
    raise AssertionError(f"{url} was never ready")
