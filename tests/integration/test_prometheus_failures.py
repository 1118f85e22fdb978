"""What the operator says when Prometheus, or what is taken for it, answers badly: real HTTP."""

import asyncio
import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import inf, isnan
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from trireme.autoscaler.past_demand import Past
from trireme.autoscaler.queries import Labels, Query
from trireme.autoscaler.samples import Round, Vector
from trireme.edge.demand import DemandQueries
from trireme.edge.line import MOST_HANGING
from trireme.edge.prometheus import Access, Prometheus
from trireme.errors import SignalsUnavailable

LABELS = Labels()
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
ONE = {Query.SAMPLE_TIME: "vector(1)"}
TWO = {**ONE, Query.SAMPLE_COUNT: "vector(2)"}


@dataclass(frozen=True)
class Answer:
    """What the server says to each request; `body` None never answers. `slowly` is byte by byte."""

    body: str | None
    status: int = 200
    slowly: bool = False


@dataclass
class Server:
    """A web server on loopback, and what it was asked."""

    url: str
    answer: Answer
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    @property
    def parameters(self) -> list[dict[str, list[str]]]:
        return [parse_qs(urlsplit(path).query) for path in self.asked]


@contextmanager
def serving(answer: Answer, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    over = threading.Event()
    server = Server("", answer)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.asked.append(self.path)
            server.headers.append(dict(self.headers))
            answer = server.answer
            if answer.body is None:
                over.wait(30)
                return
            body = answer.body.encode()
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if not answer.slowly:
                self.wfile.write(body)
                return
            for byte in body:
                self.wfile.write(bytes([byte]))
                if over.wait(0.02):
                    return

        def log_message(self, format: str, *args: object) -> None:
            """Keep the test's output to itself."""

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """A client that refuses our certificate is what some tests want."""

    with Quiet(("127.0.0.1", 0), Handler) as web:
        if tls:
            web.socket = tls.wrap_socket(web.socket, server_side=True)
        server.url = f"{'https' if tls else 'http'}://127.0.0.1:{web.server_port}"
        thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            over.set()
            web.shutdown()
            thread.join()


def result(*elements: object) -> Answer:
    data = {"resultType": "vector", "result": elements}
    return Answer(json.dumps({"status": "success", "data": data}))


def sample(value: object) -> dict[str, object]:
    return {"metric": {"pod": "a"}, "value": [NOW.timestamp(), value]}


async def ask(access: Access, queries: dict[Query, str] = ONE) -> Round:
    async with Prometheus(access) as prometheus:
        return await prometheus.round(queries, LABELS, NOW)


async def problem(access: Access, queries: dict[Query, str] = ONE) -> str:
    """What is said of a round that fails, without the address it begins with."""
    with pytest.raises(SignalsUnavailable) as raised:
        await ask(access, queries)
    assert raised.value.__cause__ is None
    start, _, text = str(raised.value).partition(access.name)
    assert start == "Prometheus at "
    return text.strip()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        pytest.param(
            Answer("<html>Sign in</html>"),
            "answered something other than JSON: a login page, or another server?",
            id="a login page",
        ),
        pytest.param(
            Answer('{"status":"error","error":"parse error"}', 400),
            "refused the query sample_time: HTTP Status Code 400 "
            '(b\'{"status":"error","error":"parse error"}\')',
            id="a query it cannot parse",
        ),
        pytest.param(
            Answer("x" * 10_000, 503),
            f"refused the query sample_time: HTTP Status Code 503 (b'{'x' * 176}...",
            id="a long error page is cut",
        ),
        pytest.param(
            Answer("{}"),
            "answered the query sample_time with something other than an instant vector",
            id="JSON of something else",
        ),
        pytest.param(
            Answer("[]"),
            "answered the query sample_time with something other than an instant vector",
            id="a JSON list",
        ),
        pytest.param(
            Answer("[" * 200_000),
            "answered something other than JSON: a login page, or another server?",
            id="JSON without a bottom",
        ),
        pytest.param(
            result(NOW.timestamp(), "1"),
            "answered the query sample_time with something other than an instant vector",
            id="a scalar",
        ),
        pytest.param(
            result({"metric": {}, "values": [[0, "1"]]}),
            "answered the query sample_time with something other than an instant vector",
            id="a matrix",
        ),
        pytest.param(
            result({"metric": {}, "histogram": [0, {"count": "1"}]}),
            "answered the query sample_time with something other than an instant vector",
            id="a native histogram",
        ),
        pytest.param(
            result(sample("many")),
            "answered the query sample_time with something other than an instant vector",
            id="a value that is no number",
        ),
        pytest.param(
            result(sample(1)),
            "answered the query sample_time with something other than an instant vector",
            id="a value that is no text",
        ),
        pytest.param(
            result({"metric": {}, "value": []}),
            "answered the query sample_time with something other than an instant vector",
            id="a sample without a value",
        ),
        pytest.param(
            Answer(None),
            "did not answer the query sample_time within 1 s",
            id="no answer at all",
        ),
    ],
)
async def test_a_useless_answer_is_told_in_one_sentence(answer: Answer, said: str) -> None:
    patience = 1 if answer.body is None else 60
    with serving(answer) as server:
        assert await problem(Access(server.url, timeout_seconds=patience)) == said
        assert len(server.asked) == 1, "a failed request is not tried again"


async def test_an_answer_that_comes_slowly_is_given_up_and_the_next_is_read() -> None:
    with serving(Answer(" " * 10_000, slowly=True)) as server:
        access = Access(server.url, timeout_seconds=0.5)
        async with Prometheus(access) as prometheus:
            for _ in range(MOST_HANGING + 1):  # each of them is ended, so none is one too many
                with pytest.raises(SignalsUnavailable) as raised:
                    await prometheus.round(ONE, LABELS, NOW)
                assert str(raised.value).endswith("did not answer every query within 0.5 s")
            server.answer = result()
            assert await answered(prometheus) == {Query.SAMPLE_TIME: Vector.of([])}


async def answered(prometheus: Prometheus) -> Round:
    """A round that is answered in time, as not each may be on a busy machine."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await prometheus.round(ONE, LABELS, NOW)
            except SignalsUnavailable as late:
                if not str(late).endswith(" within 0.5 s"):  # it was not even asked
                    raise


async def test_an_answer_that_comes_a_little_late_is_none() -> None:
    with serving(Answer('{"data":{"result":[]}}', slowly=True)) as server:  # takes 0.4 s
        said = await problem(Access(server.url, timeout_seconds=0.3))
    assert said.startswith("did not answer ")
    assert said.endswith(" within 0.3 s")


async def test_a_failed_query_fails_the_round() -> None:
    with serving(Answer("", 500)) as server:
        await problem(Access(server.url, timeout_seconds=5), TWO)
        assert len(server.asked) == 1


async def test_a_closed_port_is_told_without_the_query() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        access = Access(f"http://127.0.0.1:{closed.getsockname()[1]}", timeout_seconds=5)
        assert await problem(access) == "does not answer: [Errno 111] Connection refused"


async def test_not_a_number_and_infinities_are_handed_on() -> None:
    with serving(result(sample("NaN"), sample("+Inf"), sample("0.5"))) as server:
        answers = await ask(Access(server.url, timeout_seconds=5))
    nan, infinity, half = (value for _, value in answers[Query.SAMPLE_TIME])
    assert isnan(nan)
    assert (infinity, half) == (inf, 0.5)


async def past(access: Access, steps: int) -> tuple[Past, ...]:
    step = timedelta(minutes=1)
    async with Prometheus(access) as prometheus:
        return await prometheus.past(
            Query.GATEWAY_ARRIVALS, "vector(1)", NOW, NOW + (steps - 1) * step, step
        )


async def test_a_long_past_is_asked_in_parts_that_follow_one_another() -> None:
    with serving(result()) as server:
        assert await past(Access(server.url, timeout_seconds=60), 20_001) == ()
    begin = NOW.timestamp()
    asked = [(float(each["start"][0]), float(each["end"][0])) for each in server.parameters]
    parts = ((0, 9_999), (10_000, 19_999), (20_000, 20_000))
    assert asked == [(begin + 60 * first, begin + 60 * last) for first, last in parts]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        pytest.param(
            result(sample("1")),
            "answered the query gateway_arrivals with something other than a matrix",
            id="an instant vector",
        ),
        pytest.param(
            Answer('{"status":"error"}', 422),
            'refused the query gateway_arrivals: HTTP Status Code 422 (b\'{"status":"error"}\')',
            id="a query over too much",
        ),
    ],
)
async def test_a_useless_past_is_told_in_one_sentence(answer: Answer, said: str) -> None:
    with serving(answer) as server:
        access = Access(server.url, timeout_seconds=60)
        with pytest.raises(SignalsUnavailable) as raised:
            await past(access, 2)
    assert str(raised.value) == f"Prometheus at {access.name} {said}"


async def test_all_queries_of_a_round_are_asked_for_the_same_time() -> None:
    with serving(result()) as server:
        await ask(Access(f"{server.url}/prometheus/", timeout_seconds=5), TWO)
        assert [urlsplit(path).path for path in server.asked] == ["/prometheus/api/v1/query"] * 2
        assert [p["query"] for p in server.parameters] == [["vector(1)"], ["vector(2)"]]
        assert [p["time"] for p in server.parameters] == [["1767268800.000"]] * 2
        assert [p["partial_response"] for p in server.parameters] == [["false"]] * 2


async def test_the_token_is_read_anew_and_headers_are_sent(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    with serving(result()) as server:
        access = Access(server.url, 5, token_file=token, headers={"X-Scope-OrgID": "shop"})
        async with Prometheus(access) as prometheus:
            await prometheus.round(ONE, LABELS, NOW)
            token.write_text("second\n")
            await prometheus.round(ONE, LABELS, NOW)
        assert [h["Authorization"] for h in server.headers] == ["Bearer first", "Bearer second"]
        assert [h["X-Scope-OrgID"] for h in server.headers] == ["shop", "shop"]


async def test_a_missing_token_file_is_named(tmp_path: Path) -> None:
    token = tmp_path / "token"
    access = Access("http://127.0.0.1:1", 5, token_file=token)
    assert await problem(access) == f"was not asked: [Errno 2] No such file or directory: '{token}'"


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(
            lambda url, token: Access(url, 5, token_file=token), id="a token in two lines"
        ),
        pytest.param(
            lambda url, token: Access(url, 5, headers={"X-Key": "hunter2\nrest"}),
            id="a header in two lines",
        ),
        pytest.param(
            lambda url, token: Access("http://user:hunter2@127.0.0.1:1", 5),
            id="a password in the URL",
        ),
        pytest.param(
            lambda url, token: Access("user:hunter2@127.0.0.1:1", 5),
            id="a password in a URL that is none",
        ),
    ],
)
async def test_no_secret_is_in_a_message(
    make: Callable[[str, Path], Access], tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("hunter2\nrest")
    access = make("http://127.0.0.1:1", token)
    assert "hunter2" not in await problem(access)
    assert "hunter2" not in repr(access)


async def test_demands_that_are_not_answered_are_given_up_together() -> None:
    with serving(Answer(None)) as server:
        async with DemandQueries(Access(server.url, timeout_seconds=1)) as demand:
            answers = await demand.round([f"vector({n})" for n in range(9)], NOW)
        assert len(server.asked) == 4, "no more at a time than there are connections"
    told = sorted(str(answer).partition(" did not ")[2] for answer in answers.values())
    asked = [f"answer the query vector({n}) within 1 s" for n in range(4)]
    assert told == asked + [f"come to the query vector({n}) within 1 s" for n in range(4, 9)]


async def test_a_demand_is_asked_for_two_series_at_most() -> None:
    with serving(result()) as server:
        async with DemandQueries(Access(server.url, timeout_seconds=5)) as demand:
            assert await demand.round(["vector(1)", "vector(1)"], NOW) == {"vector(1)": ()}
        (parameters,) = server.parameters
        assert (parameters["limit"], parameters["query"]) == (["2"], ["vector(1)"])


async def test_a_demand_of_many_series_is_not_read_to_its_end_where_no_limit_is_known() -> None:
    query = "a_metric_of_each_user"
    with serving(result(*(sample("1") for _ in range(10_000)))) as server:
        access = Access(server.url, timeout_seconds=30)
        async with DemandQueries(access) as demand:
            answer = (await demand.round([query], NOW))[query]
    assert str(answer) == (
        f"Prometheus at {access.name} answered the query {query} with more than 262144 bytes, and "
        "one value is needed: put sum(...) around it"
    )


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate of 127.0.0.1, and its key."""
    directory: Path = tmp_path_factory.mktemp("tls")
    certificate, key = directory / "tls.crt", directory / "tls.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-subj", "/CN=prometheus", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-addext", "keyUsage=critical,digitalSignature,keyCertSign", "-days", "2"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command, *files], check=True, capture_output=True)
    return certificate, key


def server_tls(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


async def test_a_certificate_nobody_vouches_for_is_refused(certificate: tuple[Path, Path]) -> None:
    with serving(result(), server_tls(certificate)) as server:
        said = await problem(Access(server.url, 5))
    assert said.startswith("has no TLS that is trusted: ")
    assert "self-signed certificate" in said


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda url, ca: Access(url, 5, ca_file=ca), id="by its CA file"),
        pytest.param(
            lambda url, ca: Access(url, 5, insecure_skip_verify=True), id="by not verifying"
        ),
    ],
)
async def test_a_certificate_is_accepted(
    make: Callable[[str, Path], Access], certificate: tuple[Path, Path]
) -> None:
    with serving(result(), server_tls(certificate)) as server:
        assert await ask(make(server.url, certificate[0])) == {Query.SAMPLE_TIME: Vector.of([])}


async def test_a_client_certificate_is_shown(certificate: tuple[Path, Path]) -> None:
    tls = server_tls(certificate)
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.load_verify_locations(certificate[0])
    crt, key = certificate
    with serving(result(), tls) as server:
        access = Access(server.url, 5, ca_file=crt, client_cert_file=crt, client_key_file=key)
        assert await ask(access) == {Query.SAMPLE_TIME: Vector.of([])}


async def test_a_missing_ca_file_is_named(tmp_path: Path) -> None:
    ca = tmp_path / "ca.crt"
    said = await problem(Access("https://127.0.0.1:1", 5, ca_file=ca))
    assert said == (
        f"was not asked: Could not find a suitable TLS CA certificate bundle, invalid path: {ca}"
    )
