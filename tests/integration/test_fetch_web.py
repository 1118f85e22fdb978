"""Fetching over HTTP from servers that break, stall, lie and change: real sockets on loopback."""

from collections.abc import Callable
from pathlib import Path

import pytest

from integration.fetching import Pod, noise, sha256
from integration.file_server import FileServer, Request, authority, file_server
from ports import free_port
from trireme.api.fetch import FetchFailed, FetchReason, FetchSource
from trireme.edge.stores.credentials import Credentials
from trireme.edge.stores.open import open_store
from trireme.edge.stores.reader import Reader
from trireme.edge.stores.types import Access

MODEL = noise(40 * 1024 * 1024 + 123)  # two whole blocks, and a part of a third
SMALL = noise(200_000, seed=2)
Behaviour = Callable[[Request], object]


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    return Pod(tmp_path / "pod")


def fetched(pod: Pod, server: FileServer, path: str = "/encoder.onnx", **fields: object) -> None:
    pod.fetch(server.url + path, file_name="model.onnx", **fields)


def content(behave: Behaviour) -> Behaviour:
    """A behaviour for requests of content alone, not for the one that tells the size."""

    def only_content(request: Request) -> None:
        if request.headers.get("Range") != "bytes=0-0":
            behave(request)

    return only_content


def answering(*statuses: int) -> Behaviour:
    """Each request gets the next of these, and all further ones the last; 0 is good."""

    def behave(request: Request) -> None:
        status = statuses[min(request.number, len(statuses) - 1)]
        request.status = status or None

    return behave


def test_a_file_arrives_in_parallel_ranges_under_the_name_that_the_backend_loads(pod: Pod) -> None:
    with file_server({"/encoder.onnx": MODEL}) as server:
        result = pod.fetch(f"{server.url}/encoder.onnx", file_name="model.onnx")
    assert pod.files() == {"model.onnx": MODEL}
    assert (result.bytes, result.source) == (len(MODEL), FetchSource.NETWORK)
    asked = sorted(r.headers["Range"] for r in server.bytes_requests)
    assert asked == ["bytes=0-16777215", "bytes=16777216-33554431", "bytes=33554432-41943162"]


@pytest.mark.parametrize(
    "behave",
    [
        pytest.param(content(answering(500, 503, 0)), id="500, 503, then good"),
        pytest.param(content(answering(429, 0)), id="too many requests, then good"),
        pytest.param(answering(500, 0), id="500 to the first question"),
    ],
)
def test_what_may_pass_is_tried_again(pod: Pod, behave: Behaviour) -> None:
    with file_server({"/encoder.onnx": SMALL}) as server:
        server.behave = behave
        fetched(pod, server)
    assert pod.files() == {"model.onnx": SMALL}


def test_a_server_that_cuts_every_answer_short_is_asked_for_the_rest_each_time(pod: Pod) -> None:
    def cut(request: Request) -> None:
        request.cut_after = 30_000

    with file_server({"/encoder.onnx": SMALL}) as server:
        server.behave = content(cut)
        fetched(pod, server)
    assert pod.files() == {"model.onnx": SMALL}
    starts = [r.headers["Range"].partition("-")[0] for r in server.bytes_requests]
    assert starts == [f"bytes={n}" for n in range(0, len(SMALL), 30_000)]


def test_a_server_without_ranges_sends_all_at_once(pod: Pod) -> None:
    def whole(request: Request) -> None:
        request.ignore_range = True

    with file_server({"/encoder.onnx": MODEL}) as server:
        server.behave = whole
        fetched(pod, server, sha256=sha256(MODEL))
    assert pod.files() == {"model.onnx": MODEL}
    assert len(server.bytes_requests) == 1


def test_a_server_without_ranges_that_breaks_off_begins_anew(pod: Pod) -> None:
    def whole(request: Request) -> None:
        request.ignore_range = True
        request.cut_after = 100_000 if request.number == 1 else None

    with file_server({"/encoder.onnx": SMALL}) as server:
        server.behave = whole
        fetched(pod, server)
    assert pod.files() == {"model.onnx": SMALL}


def cut_always(request: Request) -> None:
    request.cut_after = 0


def hold(request: Request) -> None:
    request.hold_after = 1000


def overwritten(request: Request) -> None:
    request.content = SMALL[::-1]


def unknown_size(request: Request) -> None:
    request.ignore_range, request.extra = True, {"Content-Length": "", "Connection": "close"}


def page(request: Request) -> None:
    request.status, request.body = 200, b"<html>Sign in</html>"
    request.extra = {"Content-Type": "text/html; charset=utf-8"}


def another_range(request: Request) -> None:
    request.extra = {"Content-Range": f"bytes 7-200006/{len(SMALL)}"}


def longer(request: Request) -> None:
    request.content = SMALL + b"more"


@pytest.mark.parametrize(
    ("behave", "reason", "words"),
    [
        pytest.param(answering(401), FetchReason.CREDENTIALS_REJECTED, "401", id="401"),
        pytest.param(answering(403), FetchReason.CREDENTIALS_REJECTED, "403", id="403"),
        pytest.param(answering(404), FetchReason.NOT_FOUND, "404", id="404"),
        pytest.param(answering(410), FetchReason.NOT_FOUND, "410", id="gone"),
        pytest.param(answering(400), FetchReason.UNSUPPORTED, "400", id="400"),
        pytest.param(answering(503), FetchReason.SERVER_ERROR, "503", id="503 for ever"),
        pytest.param(content(answering(403)), FetchReason.CREDENTIALS_REJECTED, "403", id="late"),
        pytest.param(content(cut_always), FetchReason.TRUNCATED, "early", id="cut off for ever"),
        pytest.param(content(hold), FetchReason.STALLED, "nothing", id="stalled"),
        pytest.param(content(overwritten), FetchReason.CHANGED, "not what it", id="overwritten"),
        pytest.param(content(longer), FetchReason.CHANGED, "not what it was", id="appended to"),
        pytest.param(unknown_size, FetchReason.UNSUPPORTED, "size", id="no Content-Length"),
        pytest.param(page, FetchReason.UNSUPPORTED, "web page", id="a login page"),
        pytest.param(
            content(another_range), FetchReason.SERVER_ERROR, "another range", id="another range"
        ),
    ],
)
def test_a_failure_that_stays_is_told_by_its_own_reason(
    pod: Pod, behave: Behaviour, reason: FetchReason, words: str
) -> None:
    if reason is FetchReason.STALLED:
        pod = Pod(pod.folder, stall_seconds=0.2)
    with file_server({"/encoder.onnx": SMALL}) as server:
        server.behave = behave
        with pytest.raises(FetchFailed) as failed:
            fetched(pod, server)
    assert failed.value.reason is reason
    assert words in failed.value.message
    assert not pod.files()


def test_another_version_from_a_server_that_ignores_conditions_is_noticed_by_its_etag(
    pod: Pod,
) -> None:
    def behave(request: Request) -> None:
        """The handler compares with the file's own tag, so that the condition holds."""
        request.extra = {"ETag": '"another"'}

    with file_server({"/encoder.onnx": SMALL}) as server:
        server.behave = content(behave)
        with pytest.raises(FetchFailed) as failed:
            fetched(pod, server)
    assert failed.value.reason is FetchReason.CHANGED


def test_wrong_bytes_are_told_with_both_digests_and_fetched_anew_by_the_next_run(pod: Pod) -> None:
    with file_server({"/encoder.onnx": SMALL}) as server:
        server.behave = content(lambda request: setattr(request, "extra", {}))
        wrong = bytes(len(SMALL))
        server.files["/encoder.onnx"] = wrong
        with pytest.raises(FetchFailed) as failed:
            fetched(pod, server, sha256=sha256(SMALL))
        assert failed.value.reason is FetchReason.CHECKSUM
        assert sha256(wrong) in failed.value.message
        assert sha256(SMALL) in failed.value.message
        server.files["/encoder.onnx"] = SMALL
        fetched(pod, server, sha256=sha256(SMALL))
    assert pod.files() == {"model.onnx": SMALL}


def test_an_empty_file_is_no_model(pod: Pod) -> None:
    with file_server({"/encoder.onnx": b""}) as server, pytest.raises(FetchFailed) as failed:
        fetched(pod, server)
    assert failed.value.reason is FetchReason.EMPTY


def test_a_server_that_is_not_there(pod: Pod) -> None:
    with pytest.raises(FetchFailed) as failed:
        pod.fetch(f"http://127.0.0.1:{free_port()}/a")
    assert failed.value.reason is FetchReason.UNREACHABLE
    assert "refused" in failed.value.message


def test_a_host_that_dns_does_not_know(pod: Pod) -> None:
    with pytest.raises(FetchFailed) as failed:
        pod.fetch("https://files.invalid/model.onnx")
    assert failed.value.reason is FetchReason.UNREACHABLE
    assert "DNS" in failed.value.message


def test_a_user_and_a_password_or_a_token_go_to_the_host_and_nowhere_else(pod: Pod) -> None:
    with file_server({"/m": SMALL}) as storage, file_server({}) as front:
        front.behave = lambda request: request.__dict__.update(
            status=302, extra={"Location": storage.url.replace("127.0.0.1", "localhost") + "/m"}
        )
        Pod(pod.folder, secret={"token": "s3cr3t"}).fetch(f"{front.url}/m")
        Pod(pod.folder, secret={"username": "u", "password": "p"}).fetch(
            f"{front.url}/m", version=2
        )
    shown = {request.headers.get("Authorization") for request in front.requests}
    assert shown == {"Bearer s3cr3t", "Basic dTpw"}
    assert {request.headers.get("Authorization") for request in storage.requests} == {None}


def test_what_a_signed_url_carries_is_sent_and_never_told(pod: Pod) -> None:
    with file_server({}) as server, pytest.raises(FetchFailed) as failed:
        pod.fetch(f"{server.url}/m.onnx?X-Amz-Signature=s3cr3t")
    assert server.requests[0].path == "/m.onnx?X-Amz-Signature=s3cr3t"
    assert "s3cr3t" not in failed.value.message


def test_an_authority_of_ones_own_is_trusted_where_the_secret_holds_it(
    pod: Pod, tmp_path: Path
) -> None:
    pem, tls = authority(tmp_path)
    with file_server({"/m.onnx": SMALL}, tls) as server:
        with pytest.raises(FetchFailed) as failed:
            pod.fetch(f"{server.url}/m.onnx")
        assert failed.value.reason is FetchReason.UNTRUSTED
        Pod(pod.folder, secret={"ca.crt": pem}).fetch(f"{server.url}/m.onnx")
    assert pod.files() == {"m.onnx": SMALL}


def test_what_speaks_no_tls_is_told(pod: Pod) -> None:
    with file_server({"/m": SMALL}) as server, pytest.raises(FetchFailed) as failed:
        pod.fetch(server.url.replace("http:", "https:") + "/m")
    assert failed.value.reason is FetchReason.UNTRUSTED
    assert "does not speak TLS" in failed.value.message


def test_a_server_with_tls_that_sends_on_to_one_without_is_not_followed(
    pod: Pod, tmp_path: Path
) -> None:
    pem, tls = authority(tmp_path)
    with file_server({"/m": SMALL}) as plain, file_server({}, tls) as front:
        front.behave = lambda request: request.__dict__.update(
            status=302, extra={"Location": f"{plain.url}/m"}
        )
        with pytest.raises(FetchFailed) as failed:
            Pod(pod.folder, secret={"ca.crt": pem}).fetch(f"{front.url}/m")
    assert failed.value.reason is FetchReason.UNTRUSTED


def test_a_ca_file_that_is_none_is_told_before_anything_is_asked(pod: Pod) -> None:
    with pytest.raises(FetchFailed) as failed:
        Pod(pod.folder, secret={"ca.crt": "rubbish"}).fetch("https://127.0.0.1:1/m")
    assert failed.value.reason is FetchReason.CREDENTIALS_INVALID


def test_a_proxy_of_the_environment_is_used(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    with file_server({"http://models.example/m.onnx": SMALL}) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        pod.fetch("http://models.example/m.onnx")
    assert pod.files() == {"m.onnx": SMALL}


def test_a_header_is_read_by_ranges_without_the_rest() -> None:
    with file_server({"/m.onnx": MODEL}) as server:
        store = open_store(f"{server.url}/m.onnx", Access(), Credentials())
        reader = Reader(store, store.list().objects[0])
        assert reader.size == len(MODEL)
        assert reader.read(100, 50) == MODEL[100:150]
        assert reader.read(len(MODEL) - 3, 50) == MODEL[-3:]
        assert reader.read(len(MODEL), 1) == b""
    assert len(server.requests) == 3


def test_more_than_the_plan_allows_is_refused_before_it_is_downloaded(pod: Pod) -> None:
    with file_server({"/m": SMALL}) as server, pytest.raises(FetchFailed) as failed:
        Pod(pod.folder, limit_bytes=100_000).fetch(f"{server.url}/m")
    assert failed.value.reason is FetchReason.TOO_LARGE
    assert not server.bytes_requests


def test_more_than_the_volume_has_free_is_refused_before_it_is_downloaded(pod: Pod) -> None:
    def huge(request: Request) -> None:
        request.extra = {"Content-Range": f"bytes 0-0/{10**17}"}

    with file_server({"/m": SMALL}) as server:
        server.behave = huge
        with pytest.raises(FetchFailed) as failed:
            fetched(pod, server, "/m")
    assert failed.value.reason is FetchReason.DISK_FULL
    assert "needs 100.0 PB, and the volume has" in failed.value.message
    assert not server.bytes_requests
