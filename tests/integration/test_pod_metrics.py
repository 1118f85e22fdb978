"""What real servers tell of themselves becomes signals; what is no metrics is refused."""

import asyncio
import socket
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from aiohttp import web

from agents import agent_of
from integration.envoy_gateway import SECONDS, running_gateway, running_pod
from integration.test_triton_server import infer, repository
from integration.triton_server import TritonServer, triton
from ports import LOOPBACK, LOOPBACK_6, free_port, own_address
from trireme.api import names
from trireme.autoscaler.direct import PodHistory, Sample, agent_samples, metrics_of
from trireme.autoscaler.expressions import GATEWAY, SERVER, PodKind
from trireme.autoscaler.queries import Labels
from trireme.autoscaler.signals import Subject, assemble
from trireme.autoscaler.types.policy import ObjectivePolicy
from trireme.autoscaler.types.signals import ModelSignals, Signals, Source
from trireme.control.direct import PodReader
from trireme.control.queue import Key
from trireme.control.store import Store
from trireme.edge.pod_metrics import PodMetrics
from trireme.errors import ServerError
from trireme.resources.envoy import configuration
from trireme.resources.monitoring import GATEWAY_METRICS_PATH, SERVER_METRICS_PATH
from trireme.resources.options import ResourceOptions
from trireme.rollout.counters import SERVER_METRICS, Counts, server_reading

__all__ = ["repository"]  # a fixture

BEGAN = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = BEGAN + timedelta(seconds=10)
"""When two readings are taken to be made, however quickly one follows the other."""

Reading = tuple[Sample, ...]
T = TypeVar("T")


def the_model(pods: dict[str, PodHistory], model: str, target: float = 0.1) -> ModelSignals:
    objectives = (ObjectivePolicy(model, 95, target, 0.001, 8.0, fixed_target=False),)
    ready = dict.fromkeys((name for name, pod in pods.items() if pod.kind is SERVER), BEGAN)
    gateways = dict.fromkeys((name for name, pod in pods.items() if pod.kind is GATEWAY), BEGAN)
    over = timedelta(seconds=30)
    told = agent_samples(pods, Labels(), now=LATER, window=over, objectives=objectives)
    subject = Subject("shop", "agent", objectives, {}, ready or {"a": BEGAN}, gateways or None)
    signals = assemble(told, subject, now=LATER, window=over)
    assert isinstance(signals, Signals), signals
    assert signals.source is Source.PODS
    return signals.models[0]


def history(kind: PodKind, before: Reading, after: Reading) -> PodHistory:
    pod = PodHistory(kind)
    pod.add(BEGAN, before)
    pod.add(LATER, after)
    return pod


async def read_once(read: Callable[[], Awaitable[T]], shown: Callable[[T], bool]) -> T:
    """What is read as soon as it shows something: Triton answers a request, and then counts it."""
    deadline = time.monotonic() + SECONDS
    while not shown(told := await read()):
        assert time.monotonic() < deadline, f"never shown; last read: {told}"
        await asyncio.sleep(0.02)
    return told


def successes(told: Reading) -> float:
    return sum(sample.value for sample in told if sample.metric == "nv_inference_request_success")


async def test_a_real_triton_is_read(repository: Path, tmp_path: Path) -> None:
    async with PodMetrics() as client:
        with triton(repository, tmp_path) as server:
            port = int(server.metrics_address.rpartition(":")[2])

            async def read() -> Reading:
                wanted = metrics_of(SERVER)
                return await client.read(LOOPBACK, port, SERVER_METRICS_PATH, wanted)

            before = await read()
            for _ in range(20):
                await asyncio.to_thread(infer, server)
            after = await read_once(read, lambda told: successes(told) >= successes(before) + 20)
    model = the_model({"a": history(SERVER, before, after)}, "double")
    assert model.request_rate_per_second == pytest.approx(2), "20 within what counts as 10 s"
    assert (model.failure_ratio, model.pending) == (0, 0)
    assert model.latency is not None
    assert model.latency.name == "mean"


async def test_what_a_real_triton_refuses_is_in_none_of_its_counters(
    repository: Path, tmp_path: Path
) -> None:
    def refused(server: TritonServer, model: str) -> int:
        body = b'{"inputs": [{"name": "renamed", "datatype": "FP32", "shape": [1, 2]}]}'
        request = urllib.request.Request(f"http://{server.address}/v2/models/{model}/infer", body)
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(request, timeout=10)  # noqa: S310  # loopback
        with error.value as answer:
            return answer.status

    async with PodMetrics() as client:
        with triton(repository, tmp_path) as server:
            port = int(server.metrics_address.rpartition(":")[2])

            async def read() -> Counts:
                wanted = SERVER_METRICS
                samples = await client.read(LOOPBACK, port, SERVER_METRICS_PATH, wanted)
                return server_reading(samples, "canary", {"double", "no"})["canary"]

            before = await read()  # its warm-up is counted
            codes = [await asyncio.to_thread(refused, server, model) for model in ("double", "no")]
            await asyncio.to_thread(infer, server)
            after = await read_once(read, lambda told: told.requests > before.requests)
    assert [code // 100 for code in codes] == [4, 4]
    assert (after.requests - before.requests, after.failed) == (1, 0)


async def test_a_real_gateway_is_read(tmp_path: Path) -> None:
    # Of a target just below what the slow answers take at least the quick ones have the most time.
    agent = agent_of(objectives=[{"model": "double", "latency": {"target": "900ms"}}])
    generated = configuration(agent, ResourceOptions("registry.example/envoy:v1.36.2"))
    async with (
        PodMetrics() as client,
        running_pod() as pod,
        running_gateway(generated, [(pod.http_port, pod.grpc_port)], tmp_path) as gateway,
    ):

        async def read(answers: int) -> Reading:
            counted = "upstream_rq_time_count"
            await gateway.metrics_once(lambda m: m.of("inference_http", counted) == answers)
            wanted = metrics_of(GATEWAY)
            return await client.read(LOOPBACK, gateway.metrics_port, GATEWAY_METRICS_PATH, wanted)

        # A series of Envoy's begins with the first of its events: one of each.
        for name in ("double", "fails", "a-second"):
            await gateway.infer(name)
        before = await read(3)
        for name in ("double", "double", "fails", "a-second"):
            await gateway.infer(name)
        after = await read(7)
    model = the_model({"g": history(GATEWAY, before, after)}, "double", 0.9)
    assert model.request_rate_per_second == pytest.approx(0.4)
    assert model.failure_ratio == pytest.approx(0.25)
    assert model.late_share == pytest.approx(1 - 0.75 * 0.75), "one of four late, and one failed"
    assert model.latency is not None
    assert model.latency.seconds > 0.9


Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def answering(
    answer: Answer, host: str = LOOPBACK, port: int | None = None
) -> AsyncIterator[int]:
    """A pod that answers in this way; its port."""
    app = web.Application()
    app.router.add_get("/metrics", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    port = port or free_port()
    await web.TCPSite(runner, host, port).start()
    try:
        yield port
    finally:
        await runner.cleanup()


def text(body: str, status: int = 200) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(text=body, status=status)

    return answer


async def elsewhere(_: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("/metrics?again")


async def without_end(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    while True:
        await answer.write(b"# a comment\n" * 10_000)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        pytest.param(text("busy", 503), "answers 503", id="an error"),
        pytest.param(elsewhere, "answers 302", id="a redirect is not followed"),
        pytest.param(without_end, "tells more than 4194304 bytes", id="an answer without end"),
        pytest.param(text('up{a="b" 1\n'), "no metrics that can be read", id="broken labels"),
        pytest.param(text("up one\n"), "no metrics that can be read", id="a value of letters"),
    ],
)
async def test_what_is_no_metrics_is_refused(answer: Answer, words: str) -> None:
    async with PodMetrics() as client, answering(answer) as port:
        with pytest.raises(ServerError, match=words):
            await client.read(LOOPBACK, port, "/metrics", frozenset({"up"}))


async def test_a_pod_that_is_not_there_is_said_to_be_so() -> None:
    async with PodMetrics() as client:
        with pytest.raises(ServerError, match="does not answer"):
            await client.read(LOOPBACK, free_port(), "/metrics", frozenset({"up"}))


async def test_only_what_is_wanted_is_read_and_a_time_stamp_is_not() -> None:
    body = '# TYPE up counter\nup{a="x,}"} 1 1700000000000\nup 2\nupper 3\nother NaN\n'
    async with PodMetrics() as client, answering(text(body)) as port:
        read = await client.read(LOOPBACK, port, "/metrics", frozenset({"up"}))
    assert read == (Sample("up", (("a", "x,}"),), 1.0), Sample("up", (), 2.0))


@contextmanager
def dropping() -> Iterator[int]:
    """A port of loopback that answers no attempt to connect, as behind a NetworkPolicy: as many
    connections wait to be accepted as may.
    """
    with ExitStack() as sockets:
        listener = sockets.enter_context(socket.socket())
        listener.bind((LOOPBACK, free_port()))
        listener.listen(0)
        for _ in range(2):
            waiting = sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            with suppress(BlockingIOError):
                waiting.connect(listener.getsockname())
        yield listener.getsockname()[1]


async def test_a_port_that_is_dropped_is_waited_for_less_long_than_an_answer() -> None:
    given_up: list[int] = []

    async def read(client: PodMetrics, port: int) -> None:
        with pytest.raises(ServerError, match="does not answer"):
            await client.read(LOOPBACK, port, "/metrics", frozenset({"up"}))
        given_up.append(port)

    with dropping() as dropped, socket.create_server((LOOPBACK, 0)) as silent:
        ports, began = (silent.getsockname()[1], dropped), time.monotonic()
        async with PodMetrics() as client:
            reads = [asyncio.create_task(read(client, port)) for port in ports]
            await asyncio.wait(reads, return_when=asyncio.FIRST_COMPLETED)
            assert given_up[0] == dropped
            assert time.monotonic() - began > 1, "the kernel's second attempt is waited for"
            for each in reads:
                each.cancel()
            await asyncio.gather(*reads, return_exceptions=True)


def pod(agent: str, name: str, address: str) -> dict[str, Any]:
    at = BEGAN.isoformat()
    return {
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": name,
            "creationTimestamp": at,
            "labels": {names.AGENT: agent, names.OWNER: agent},
        },
        "status": {
            "podIP": address,
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": at}],
        },
    }


def is_given_up(listener: socket.socket) -> bool:
    """Whether somebody has connected there, and gone."""
    listener.setblocking(False)
    with suppress(BlockingIOError):  # nobody has, or who has waits
        connection, _ = listener.accept()
        with connection:
            connection.setblocking(False)
            while connection.recv(65536):
                pass
            return True
    return False


async def test_an_agent_whose_pods_do_not_answer_holds_up_no_other() -> None:
    hanging, quick = [own_address(n) for n in range(20, 68)], own_address(68)
    read, store = asyncio.Event(), Store()
    for address in hanging:
        store.pod_event(Key("shop", "hangs"), pod("hangs", address, address), deleted=False)
    store.pod_event(Key("shop", "quick"), pod("quick", "q", quick), deleted=False)

    async def answer(_: web.Request) -> web.StreamResponse:
        read.set()
        return web.Response(text="up 1\n")

    with ExitStack() as sockets:
        listeners = [
            sockets.enter_context(socket.create_server((address, names.METRICS_PORT)))
            for address in hanging
        ]  # they accept, and say nothing
        async with (
            PodMetrics() as client,
            answering(answer, quick, names.METRICS_PORT),
            asyncio.timeout(SECONDS),
        ):
            reader = PodReader(
                store=store, pod_metrics=client, labels=Labels(), clock=lambda: BEGAN
            )
            rounds = []
            for agents in (["hangs"], ["hangs", "quick"]):  # the one after the other
                reader.want([Key("shop", agent) for agent in agents])
                rounds.append(asyncio.create_task(reader.round()))
                await asyncio.sleep(0)
            await read.wait()
            assert not any(is_given_up(each) for each in listeners), "it waits for none of them"
            for each in rounds:
                each.cancel()
            await asyncio.gather(*rounds, return_exceptions=True)


async def test_a_pod_with_an_ipv6_address_is_read() -> None:
    async with PodMetrics() as client, answering(text("up 1\n"), LOOPBACK_6) as port:
        read = await client.read(LOOPBACK_6, port, "/metrics", frozenset({"up"}))
    assert read == (Sample("up", (), 1.0),)
