"""Prometheus and the Kubernetes API as far as a scaling round goes, in a process of their own.

They answer on loopback and at once, so that what is measured beside them is the operator's own. The
Prometheus answers each query of a round with the series of so many agents, made once; the API takes
every write, and counts it. `load` multiplies what is asked of the agents from then on.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count, cycle
from multiprocessing import get_context
from multiprocessing.connection import Connection
from threading import Thread
from urllib.parse import parse_qs, urlsplit

from ports import LOOPBACK
from trireme.autoscaler.promql import queries
from trireme.autoscaler.queries import Labels, Query, window

NAMESPACE, MODEL = "team", "double"
SERVERS = 2  # ready pods of an agent, beside one of its gateway
RATE_PER_SECOND = 50.0  # of an agent
LATENCY_SECONDS, EXECUTING_SECONDS = 0.06, 0.04
TARGET = timedelta(milliseconds=100)
PERCENTILE = 95
SCRAPE_SECONDS, SAMPLES = 5, 6  # in a window of 30 s


def server_pods(agent: str) -> list[str]:
    """The names of an agent's server pods."""
    return [f"{agent}-{number}" for number in range(SERVERS)]


def gateway_pod(agent: str) -> str:
    """The name of the one pod of its gateway."""
    return f"{agent}-gateway-0"


@dataclass(frozen=True)
class StandIn:
    """The two, at one address."""

    port: int

    @property
    def url(self) -> str:
        """The base of both."""
        return f"http://{LOOPBACK}:{self.port}"

    def load(self, times: float) -> None:
        """Multiply what is asked of every agent."""
        self._ask("POST", f"/load/{times:g}")

    def writes(self) -> int:
        """How many writes the API took so far."""
        return int(self._ask("GET", "/writes"))

    def _ask(self, method: str, path: str) -> str:
        connection = HTTPConnection(LOOPBACK, self.port)
        connection.request(method, path)
        text = connection.getresponse().read().decode()
        connection.close()
        return text


@contextmanager
def stand_in(agents: int, sampled_at: float) -> Iterator[StandIn]:
    """Both, for so many agents whose pods were last scraped at this Unix time."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(agents, sampled_at, theirs), daemon=True)
    process.start()
    theirs.close()  # one end in each process: who waits for the other learns that it has ended
    try:
        yield StandIn(ours.recv())
    finally:
        process.terminate()
        process.join()


# ------------------------------------------------------------------------------------ the process


@dataclass
class _State:
    agents: int
    sampled_at: float
    answers: Mapping[str, Iterator[bytes]] = field(default_factory=dict)  # by the query's text
    writes: Iterator[int] = field(default_factory=lambda: count(1))  # a step of it is atomic
    written: int = 0


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024
    state: _State


def _serve(agents: int, sampled_at: float, ready: Connection) -> None:
    server = _Server((LOOPBACK, 0), _Handler)
    server.state = _State(agents, sampled_at, _answers(agents, 1.0, sampled_at))
    ready.send(server.server_address[1])
    Thread(target=_end_with, args=(ready,), daemon=True).start()
    server.serve_forever()


def _end_with(other: Connection) -> None:
    """End as soon as the other process does, however it does."""
    with suppress(EOFError):
        other.recv()
    os._exit(0)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept
    wbufsize = -1  # headers and body in one packet: Nagle's algorithm waits for the first's receipt
    server: _Server

    def handle(self) -> None:
        """All requests of a connection, until its client goes, however it does."""
        with suppress(ConnectionResetError):
            super().handle()

    def do_GET(self) -> None:
        """A query, or how many writes there were."""
        asked, state = urlsplit(self.path), self.server.state
        if asked.path == "/writes":
            self._answer(str(state.written).encode())
        else:
            self._answer(next(state.answers[parse_qs(asked.query)["query"][0]]))

    def do_POST(self) -> None:
        """An object that is made, or another load."""
        state = self.server.state
        if self.path.startswith("/load/"):
            state.answers = _answers(state.agents, float(self.path[6:]), state.sampled_at)
            self._answer(b"")
        else:
            self.do_PATCH()

    def do_PATCH(self) -> None:
        """A write."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.state.written = next(self.server.state.writes)
        self._answer(b"{}")

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""


def _answers(agents: int, load: float, sampled_at: float) -> Mapping[str, Iterator[bytes]]:
    found: dict[Query, list[object]] = {query: [] for query in Query}
    for number in range(agents):
        for query, labels, value in _series(f"agent-{number}", load, sampled_at):
            metric = {"namespace": NAMESPACE} | dict(labels)
            found[query].append({"metric": metric, "value": [sampled_at, str(value)]})
    texts = queries(window(timedelta(seconds=SCRAPE_SECONDS)), Labels(), (PERCENTILE,), (TARGET,))
    return {
        text: cycle([_written(each) for each in _orders(query, found[query])])
        for query, text in texts.items()
    }


def _orders(query: Query, series: list[object]) -> list[list[object]]:
    """Prometheus tells series in the same order again, but for quantiles: in that of a Go map
    (promql, funcHistogramQuantile), another one each time.
    """
    if query in (Query.SERVER_HISTOGRAM, Query.GATEWAY_HISTOGRAM):
        return [series, series[::-1]]
    return [series]


def _written(series: list[object]) -> bytes:
    told = {"status": "success", "data": {"resultType": "vector", "result": series}}
    return json.dumps(told).encode()


def _series(
    agent: str, load: float, sampled_at: float
) -> Iterator[tuple[Query, Mapping[str, str], float]]:
    """What Prometheus has of an agent behind a gateway, of a Triton with histograms."""
    names, rate = Labels(), load * RATE_PER_SECOND
    of_agent, of_gateway = {names.agent: agent}, {names.gateway: agent}
    of_model = {**of_agent, "model": MODEL}
    quantile, edge = {"quantile": f"{PERCENTILE / 100:g}"}, {"le": f"{TARGET.microseconds / 1e3:g}"}
    pods = [{**of_agent, names.pod: pod} for pod in server_pods(agent)]
    for of_pod in (*pods, {**of_gateway, names.pod: gateway_pod(agent)}):
        yield Query.SAMPLE_TIME, of_pod, sampled_at
        yield Query.SAMPLE_COUNT, of_pod, SAMPLES
    for owner in (of_agent, of_gateway):
        yield Query.SCRAPE_INTERVAL, owner, SCRAPE_SECONDS
    yield Query.SERVER_REQUESTS, of_model, rate
    yield Query.SERVER_FAILURES, of_model, 0.0
    yield Query.SERVER_DURATION, of_model, rate * LATENCY_SECONDS
    yield Query.SERVER_QUEUE, of_model, rate * (LATENCY_SECONDS - EXECUTING_SECONDS)
    yield Query.SERVER_PENDING, of_model, rate * (LATENCY_SECONDS - EXECUTING_SECONDS)
    for part in ("waiting", "cancelled"):
        yield Query.SERVER_UNANSWERED, {**of_model, "part": part}, 0.0
    yield Query.SERVER_HISTOGRAM, {**of_model, **quantile}, LATENCY_SECONDS
    yield Query.SERVER_LATE, {**of_model, **edge}, 0.01
    yield Query.GATEWAY_ARRIVALS, of_gateway, rate
    yield Query.GATEWAY_ANSWERS, of_gateway, rate
    yield Query.GATEWAY_FAILURES, of_gateway, 0.0
    yield Query.GATEWAY_DURATION, of_gateway, rate * LATENCY_SECONDS
    yield Query.GATEWAY_IN_FLIGHT, of_gateway, rate * LATENCY_SECONDS
    yield Query.GATEWAY_HISTOGRAM, {**of_gateway, **quantile}, LATENCY_SECONDS
    yield Query.GATEWAY_LATE, {**of_gateway, **edge}, 0.01
