"""Fetching from a Hugging Face hub: its own client, and a server that answers so."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.fetching import Pod, noise, sha256
from integration.file_server import FileServer, Request, authority, file_server
from ports import free_port
from trireme.api.fetch import FetchFailed, FetchReason, FetchSource

COMMIT = "0123456789abcdef0123456789abcdef01234567"
MODEL = noise(150_000)
FILES = {"README.md": b"# Encoder", "onnx/model.onnx": MODEL, "onnx/labels.txt": b"cat"}
API = "/api/models/acme/encoder"


def tree(folder: str = "") -> list[dict[str, object]]:
    """The hub's list of files: large ones with their own digest, small ones with git's."""
    return [
        {"type": "file", "path": path, "size": len(content), "oid": "0" * 40}
        | ({"lfs": {"oid": sha256(content), "size": len(content), "pointerSize": 130}}
           if content is MODEL else {})
        for path, content in FILES.items()
        if path.startswith(folder)
    ]  # fmt: skip


def hub(server: FileServer, token: str | None = None) -> None:
    """Make a file server answer as the hub for one repository."""
    answers = {
        f"{API}/revision/main": {"id": "acme/encoder", "sha": COMMIT, "siblings": []},
        f"{API}/revision/{COMMIT}": {"id": "acme/encoder", "sha": COMMIT, "siblings": []},
        f"{API}/tree/{COMMIT}": tree(),
        f"{API}/tree/{COMMIT}/onnx": tree("onnx/"),
    }
    server.files = {f"/acme/encoder/resolve/{COMMIT}/{p}": c for p, c in FILES.items()}

    def behave(request: Request) -> None:
        path = request.path.partition("?")[0]
        shown = {k.lower(): v for k, v in request.headers.items()}.get("authorization")
        if token and shown != f"Bearer {token}":
            request.status = 401
        elif path in answers:
            request.status, request.body = 200, json.dumps(answers[path]).encode()
            request.extra = {"Content-Type": "application/json"}
        elif path == f"{API}/paths-info/{COMMIT}":
            request.status, request.body = 200, json.dumps(tree("onnx/model.onnx")).encode()
            request.extra = {"Content-Type": "application/json"}
        elif path.startswith("/api/"):
            request.status, request.body = 404, b'{"error": "not found"}'
            request.extra = {
                "X-Error-Code": "EntryNotFound" if "/tree/" in path else "RepoNotFound"
            }

    server.behave = behave


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server({}) as running:
        hub(running)
        yield running


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    return Pod(tmp_path / "pod", cache=tmp_path / "cache")


def test_a_folder_of_a_branch_is_fetched_as_of_its_commit_which_is_told(
    server: FileServer, pod: Pod
) -> None:
    result = pod.fetch("hf://acme/encoder/onnx", endpoint=server.url, file_name="model.onnx")
    assert pod.files() == {"model.onnx": MODEL, "labels.txt": b"cat"}
    assert result.revision == COMMIT


def test_a_file_of_a_pinned_commit_is_had_from_the_cache_without_the_network(
    server: FileServer, pod: Pod
) -> None:
    uri = f"hf://acme/encoder@{COMMIT}/onnx/model.onnx"
    pod.fetch(uri, endpoint=server.url)
    asked = len(server.requests)
    other = pod.another("other")
    result = other.fetch(uri, endpoint=server.url)
    assert other.files() == {"model.onnx": MODEL}
    assert (result.source, result.revision) == (FetchSource.CACHE, COMMIT)
    assert len(server.requests) == asked


def test_a_branch_is_asked_for_its_commit_before_the_cache_is_used(
    server: FileServer, pod: Pod
) -> None:
    pod.fetch("hf://acme/encoder/onnx", endpoint=server.url)
    asked = len(server.requests)
    result = pod.another("other").fetch("hf://acme/encoder/onnx", endpoint=server.url)
    assert result.source is FetchSource.CACHE
    assert server.requests[asked:]
    assert all(request.path.startswith("/api/") for request in server.requests[asked:])


def test_other_bytes_than_the_hub_lists_are_refused(server: FileServer, pod: Pod) -> None:
    path = f"/acme/encoder/resolve/{COMMIT}/onnx/model.onnx"
    server.files[path] = MODEL[::-1]
    with pytest.raises(FetchFailed) as failed:
        pod.fetch("hf://acme/encoder/onnx", endpoint=server.url)
    assert failed.value.reason is FetchReason.CHECKSUM


def test_a_private_repository_is_read_by_the_secrets_token(
    server: FileServer, pod: Pod, tmp_path: Path
) -> None:
    hub(server, token="hf_s3cr3t")  # noqa: S106  # a test's
    with pytest.raises(FetchFailed, match="wants HF_TOKEN") as failed:
        pod.fetch("hf://acme/encoder", endpoint=server.url)
    assert failed.value.reason is FetchReason.CREDENTIALS_REJECTED
    Pod(tmp_path / "pod", {"HF_TOKEN": "hf_s3cr3t"}).fetch(
        "hf://acme/encoder/onnx", endpoint=server.url
    )


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        pytest.param("hf://acme", FetchReason.UNSUPPORTED, id="no repository"),
        pytest.param("hf://acme/none", FetchReason.NOT_FOUND, id="unknown repository"),
        pytest.param("hf://acme/encoder@v9", FetchReason.NOT_FOUND, id="unknown revision"),
        pytest.param("hf://ac me/enc..oder", FetchReason.UNSUPPORTED, id="no such name"),
    ],
)
def test_what_the_hub_does_not_have(
    server: FileServer, pod: Pod, uri: str, reason: FetchReason
) -> None:
    with pytest.raises(FetchFailed) as failed:
        pod.fetch(uri, endpoint=server.url)
    assert failed.value.reason is reason


def test_a_hub_that_is_not_there(pod: Pod) -> None:
    with pytest.raises(FetchFailed) as failed:
        pod.fetch("hf://acme/encoder", endpoint=f"http://127.0.0.1:{free_port()}")
    assert failed.value.reason is FetchReason.UNREACHABLE


def test_a_mirror_with_an_authority_of_its_own(tmp_path: Path) -> None:
    pem, tls = authority(tmp_path)
    with file_server({}, tls) as server:
        hub(server)
        with pytest.raises(FetchFailed) as failed:
            Pod(tmp_path / "pod").fetch("hf://acme/encoder/onnx", endpoint=server.url)
        assert failed.value.reason is FetchReason.UNTRUSTED
        pod = Pod(tmp_path / "pod", {"ca.crt": pem})
        pod.fetch("hf://acme/encoder/onnx", endpoint=server.url)
    assert pod.files() == {"model.onnx": MODEL, "labels.txt": b"cat"}
