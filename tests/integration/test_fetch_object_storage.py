"""Fetching from object storage: a real S3 endpoint, and servers that answer as storages do."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.fetching import SECONDS, Pod, noise, sha256
from integration.file_server import Request, authority, file_server
from integration.s3_server import BUCKET, KEYS, S3Server, s3_server
from ports import free_port
from trireme.api.fetch import FetchFailed, FetchReason
from trireme.edge.stores.credentials import Credentials
from trireme.edge.stores.open import open_store
from trireme.edge.stores.reader import Reader
from trireme.edge.stores.types import Access
from trireme.fetcher.manifest import Entry, digest

MODEL = noise(300_000)
LABELS = b"cat\ndog\n"


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with s3_server() as server:
        server.put("encoder/1/encoder.onnx", MODEL)
        server.put("encoder/1/labels.txt", LABELS)
        server.put("encoder/1/", b"")  # what a console makes of "new folder"
        server.put("tree/config.pbtxt", b'name: "tree"')
        server.put("tree/2/model.onnx", LABELS)
        server.put("tree/3/model.onnx", MODEL)
        server.put("tree/3/data/", b"")
        server.put("tree/3/data/weights.bin", LABELS)
        server.put("large.onnx", noise(20_000_000))
        server.put("odd/a b%20ü#?.onnx", MODEL)
        server.put("only-a-folder/", b"")
        server.put("empty.onnx", b"")
        server.put("bad//name.onnx", MODEL)
        yield server


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    return Pod(tmp_path / "pod", secret=KEYS)


def test_an_object_becomes_the_file_that_the_backend_loads(s3: S3Server, pod: Pod) -> None:
    result = pod.fetch(
        f"s3://{BUCKET}/encoder/1/encoder.onnx",
        endpoint=s3.url,
        file_name="model.onnx",
        sha256=sha256(MODEL),
    )
    assert pod.files() == {"model.onnx": MODEL}
    assert result.digest == digest([Entry("model.onnx", sha256(MODEL))])


def test_an_object_of_several_blocks(s3: S3Server, pod: Pod) -> None:
    pod.fetch(f"s3://{BUCKET}/large.onnx", endpoint=s3.url)
    assert pod.files() == {"large.onnx": noise(20_000_000)}


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_prefix_becomes_a_version_directory(s3: S3Server, pod: Pod, slash: str) -> None:
    wanted = digest([Entry("encoder.onnx", sha256(MODEL)), Entry("labels.txt", sha256(LABELS))])
    pod.fetch(
        f"s3://{BUCKET}/encoder/1{slash}", endpoint=s3.url, file_name="model.onnx", sha256=wanted
    )
    assert pod.files() == {"model.onnx": MODEL, "labels.txt": LABELS}


def test_of_a_model_as_triton_lays_it_out_the_version_is_taken(s3: S3Server, pod: Pod) -> None:
    pod.fetch(f"s3://{BUCKET}/tree", endpoint=s3.url, version=3, tree=True, file_name="model.onnx")
    assert pod.files(3) == {"model.onnx": MODEL, "data/weights.bin": LABELS}


def test_keys_with_characters_that_urls_give_a_meaning(s3: S3Server, pod: Pod) -> None:
    pod.fetch(f"s3://{BUCKET}/odd/a b%20ü#?.onnx", endpoint=s3.url)
    assert pod.files() == {"a b%20ü#?.onnx": MODEL}


def test_a_header_is_read_without_the_rest(s3: S3Server) -> None:
    store = open_store(f"s3://{BUCKET}/large.onnx", Access(endpoint=s3.url), Credentials(KEYS))
    reader = Reader(store, store.list().objects[0])
    assert reader.read(5_000_000, 1000) == noise(20_000_000)[5_000_000:5_001_000]


@pytest.mark.parametrize(
    ("uri", "reason", "words"),
    [
        pytest.param("models/none.onnx", FetchReason.NOT_FOUND, "none.onnx", id="no object"),
        pytest.param("models/none/", FetchReason.NOT_FOUND, "'none/'", id="no prefix"),
        pytest.param("no-such-bucket/m", FetchReason.NOT_FOUND, "bucket", id="no bucket"),
        pytest.param("models/empty.onnx", FetchReason.EMPTY, "no file", id="empty object"),
        pytest.param("models/only-a-folder", FetchReason.NOT_FOUND, "none below", id="a folder"),
        pytest.param("models/tree", FetchReason.LAYOUT, "say tree", id="a tree not said to be one"),
        pytest.param("models/bad", FetchReason.UNSAFE_PATH, "empty path", id="a doubled slash"),
    ],
)
def test_what_is_not_there_is_told(
    s3: S3Server, pod: Pod, uri: str, reason: FetchReason, words: str
) -> None:
    with pytest.raises(FetchFailed) as failed:
        pod.fetch(f"s3://{uri}", endpoint=s3.url, file_name="model.onnx")
    assert failed.value.reason is reason
    assert words in failed.value.message


def test_a_version_that_the_tree_does_not_hold_is_told_with_those_it_does(
    s3: S3Server, pod: Pod
) -> None:
    with pytest.raises(FetchFailed) as failed:
        pod.fetch(f"s3://{BUCKET}/tree/", endpoint=s3.url, version=7, tree=True)
    assert failed.value.message.endswith("holds no version 7, only 2, 3, config.pbtxt")


def refusing(status: int, code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        pytest.param(403, "SignatureDoesNotMatch", FetchReason.CREDENTIALS_REJECTED, id="secret"),
        pytest.param(403, "InvalidAccessKeyId", FetchReason.CREDENTIALS_REJECTED, id="key"),
        pytest.param(400, "ExpiredToken", FetchReason.CREDENTIALS_REJECTED, id="session over"),
        pytest.param(404, "NoSuchBucket", FetchReason.NOT_FOUND, id="bucket"),
        pytest.param(503, "SlowDown", FetchReason.SERVER_ERROR, id="throttled"),
    ],
)
def test_the_storages_own_code_is_told(
    pod: Pod, status: int, code: str, reason: FetchReason
) -> None:
    with file_server({}) as server:
        server.behave = lambda request: request.__dict__.update(
            status=status, body=refusing(status, code)
        )
        with pytest.raises(FetchFailed) as failed:
            pod.fetch(f"s3://{BUCKET}/folder/", endpoint=server.url)
    assert failed.value.reason is reason
    assert f"HTTP {status} {code} from s3://{BUCKET}" in failed.value.message


def test_without_credentials_nothing_is_signed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    with file_server({f"/{BUCKET}/m": MODEL}) as server:
        Pod(tmp_path).fetch(f"s3://{BUCKET}/m", endpoint=server.url)
    assert server.requests
    assert not any("authorization" in map(str.lower, r.headers) for r in server.requests)


def test_half_a_key_pair_is_told(tmp_path: Path) -> None:
    pod = Pod(tmp_path, secret={"AWS_ACCESS_KEY_ID": "a"})
    with pytest.raises(FetchFailed, match="holds no AWS_SECRET_ACCESS_KEY") as failed:
        pod.fetch("s3://models/m")
    assert failed.value.reason is FetchReason.CREDENTIALS_INVALID


def test_an_endpoint_that_is_not_there(pod: Pod) -> None:
    with pytest.raises(FetchFailed, match="refused") as failed:
        pod.fetch(f"s3://{BUCKET}/m", endpoint=f"http://127.0.0.1:{free_port()}")
    assert failed.value.reason is FetchReason.UNREACHABLE


def test_an_endpoint_that_dns_does_not_know(pod: Pod) -> None:
    with pytest.raises(FetchFailed, match="DNS") as failed:
        pod.fetch(f"s3://{BUCKET}/m", endpoint="https://storage.invalid")
    assert failed.value.reason is FetchReason.UNREACHABLE


def test_a_private_authority_is_trusted_where_the_secret_holds_it(tmp_path: Path) -> None:
    pem, tls = authority(tmp_path)
    with file_server({}, tls) as server:
        with pytest.raises(FetchFailed) as failed:
            Pod(tmp_path, KEYS).fetch(f"s3://{BUCKET}/m", endpoint=server.url)
        assert failed.value.reason is FetchReason.UNTRUSTED
        assert "UnknownIssuer" in failed.value.message
        with pytest.raises(FetchFailed) as failed:
            Pod(tmp_path, {**KEYS, "ca.crt": pem}).fetch(f"s3://{BUCKET}/m/", endpoint=server.url)
        assert failed.value.reason is FetchReason.NOT_FOUND


def s3_like(content: bytes) -> dict[str, bytes]:
    return {f"/{BUCKET}/m.onnx": content}


def modified(request: Request) -> None:
    """obstore wants a time of change from whatever is S3."""
    request.extra = {"Last-Modified": "Tue, 24 Nov 2026 12:00:00 GMT"}


def only(method: str, change: dict[str, object]) -> object:
    def behave(request: Request) -> None:
        modified(request)
        if request.method == method:
            request.__dict__.update(change)

    return behave


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param({"cut_after": 10}, FetchReason.TRUNCATED, id="cut off"),
        pytest.param({"hold_after": 10}, FetchReason.STALLED, id="stalled"),
        pytest.param({"content": MODEL[::-1]}, FetchReason.CHANGED, id="overwritten"),
        pytest.param({"ignore_range": True}, FetchReason.SERVER_ERROR, id="no ranges"),
    ],
)
def test_a_storage_that_breaks_off_stalls_or_changes(
    tmp_path: Path, change: dict[str, object], reason: FetchReason
) -> None:
    pod = Pod(tmp_path, KEYS, stall_seconds=0.3 if reason is FetchReason.STALLED else SECONDS)
    with file_server(s3_like(MODEL)) as server:
        server.behave = only("GET", change)  # type: ignore[assignment]
        with pytest.raises(FetchFailed) as failed:
            pod.fetch(f"s3://{BUCKET}/m.onnx", endpoint=server.url)
    assert failed.value.reason is reason


def test_google_storage_is_asked_as_nobody_and_then_by_the_pods_identity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The identity is the metadata server's, which answers with a token."""
    token = {"access_token": "t0k3n", "expires_in": 3600, "token_type": "Bearer"}
    with file_server({}) as metadata, file_server({f"/{BUCKET}/m.onnx": MODEL}) as storage:
        metadata.behave = lambda r: r.__dict__.update(status=200, body=json.dumps(token).encode())
        monkeypatch.setenv("GCE_METADATA_HOST", metadata.url.removeprefix("http://"))

        def behave(request: Request) -> None:
            modified(request)
            if {k.lower(): v for k, v in request.headers.items()}.get("authorization") is None:
                request.status = 401

        storage.behave = behave
        Pod(tmp_path).fetch(f"gs://{BUCKET}/m.onnx", endpoint=storage.url)
    assert Pod(tmp_path).files() == {"m.onnx": MODEL}
    assert metadata.requests


def test_azure_by_a_shared_access_signature_which_is_never_told(tmp_path: Path) -> None:
    secret = {
        "AZURE_STORAGE_ACCOUNT_NAME": "account",
        "AZURE_STORAGE_SAS_TOKEN": "sv=2024&sig=s3cr3tsig",
    }
    with file_server({f"/{BUCKET}/m.onnx": MODEL}) as server:
        server.behave = modified
        Pod(tmp_path, secret).fetch(f"az://{BUCKET}/m.onnx", endpoint=server.url)
        assert Pod(tmp_path).files() == {"m.onnx": MODEL}
        assert all("sig=s3cr3tsig" in request.path for request in server.requests)
        server.behave = lambda request: setattr(request, "status", 403)
        with pytest.raises(FetchFailed) as failed:
            Pod(tmp_path, secret).fetch(f"az://{BUCKET}/n.onnx", endpoint=server.url)
    assert "s3cr3tsig" not in failed.value.message


@pytest.mark.parametrize(
    ("uri", "secret"),
    [
        pytest.param("gs://b/m", {"GOOGLE_SERVICE_ACCOUNT": "rubbish"}, id="a google key"),
        pytest.param("s3://b/m", {**KEYS, "ca.crt": "rubbish"}, id="an authority"),
        pytest.param(
            "az://b/m",
            {"AZURE_STORAGE_ACCOUNT_NAME": "a", "AZURE_STORAGE_ACCOUNT_KEY": "%%"},
            id="an azure key",
        ),
    ],
)
def test_what_of_a_secret_cannot_be_used_is_told_before_anybody_is_asked(
    tmp_path: Path, uri: str, secret: dict[str, str]
) -> None:
    with pytest.raises(FetchFailed, match="the Secret cannot be used") as failed:
        Pod(tmp_path, secret).fetch(uri)
    assert failed.value.reason is FetchReason.CREDENTIALS_INVALID


def test_azure_needs_the_accounts_name(tmp_path: Path) -> None:
    with pytest.raises(FetchFailed, match="AZURE_STORAGE_ACCOUNT_NAME"):
        Pod(tmp_path).fetch("az://container/m")
