"""Fetching OCI artefacts: oras against a server that answers as a registry does."""

import base64
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.fetching import Pod, noise, sha256
from integration.file_server import FileServer, Request, file_server
from trireme.api.fetch import FetchFailed, FetchReason, FetchSource

MODEL = noise(150_000)
TITLE = "org.opencontainers.image.title"
TYPE = "application/vnd.oci.image.manifest.v1+json"


def layer(content: bytes, title: str | None, **annotations: str) -> dict[str, object]:
    named = {TITLE: title, **annotations} if title else annotations
    return {
        "mediaType": "application/octet-stream" if title else f"{TYPE[:23]}.layer.v1.tar+gzip",
        "digest": f"sha256:{sha256(content)}",
        "size": len(content),
        "annotations": named,
    }


def manifest(*layers: dict[str, object]) -> bytes:
    config = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": "", "size": 2}
    return json.dumps(
        {"schemaVersion": 2, "mediaType": TYPE, "config": config, "layers": layers}
    ).encode()


def push(server: FileServer, text: bytes, *blobs: bytes) -> str:
    """Put an artefact at acme/encoder:v1; answers its digest."""
    digest = f"sha256:{sha256(text)}"
    base = "/v2/acme/encoder"
    server.files |= {f"{base}/manifests/v1": text, f"{base}/manifests/{digest}": text}
    server.files |= {f"{base}/blobs/sha256:{sha256(blob)}": blob for blob in blobs}
    return digest


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server({}) as running:
        yield running


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    return Pod(tmp_path / "pod", cache=tmp_path / "cache")


def uri(server: FileServer, reference: str = ":v1") -> str:
    return f"oci://{server.url.removeprefix('http://')}/acme/encoder{reference}"


def test_each_titled_layer_becomes_a_file_and_the_digest_is_told(
    server: FileServer, pod: Pod
) -> None:
    text = manifest(layer(MODEL, "encoder.onnx"), layer(b"cat", "labels.txt"))
    digest = push(server, text, MODEL, b"cat")
    result = pod.fetch(uri(server), endpoint=server.url, file_name="model.onnx")
    assert pod.files() == {"model.onnx": MODEL, "labels.txt": b"cat"}
    assert result.revision == digest


def test_what_is_named_by_digest_is_had_from_the_cache_without_the_network(
    server: FileServer, pod: Pod
) -> None:
    digest = push(server, manifest(layer(MODEL, "encoder.onnx")), MODEL)
    pod.fetch(uri(server, f"@{digest}"), endpoint=server.url)
    asked = len(server.requests)
    result = pod.another("other").fetch(uri(server, f"@{digest}"), endpoint=server.url)
    assert (result.source, result.revision) == (FetchSource.CACHE, digest)
    assert len(server.requests) == asked


@pytest.mark.parametrize("title", ["encoder", None], ids=["packed by oras", "an image's layer"])
def test_a_packed_folder_is_unpacked(server: FileServer, pod: Pod, title: str | None) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        member = tarfile.TarInfo("encoder/encoder.onnx")
        member.size = len(MODEL)
        tar.addfile(member, io.BytesIO(MODEL))
    blob = packed.getvalue()
    annotations = {"io.deis.oras.content.unpack": "true"} if title else {}
    push(server, manifest(layer(blob, title, **annotations)), blob)
    pod.fetch(uri(server), endpoint=server.url, file_name="model.onnx")
    assert pod.files() == {"model.onnx": MODEL}


def test_a_registry_with_logins_gives_a_token_for_them(server: FileServer, tmp_path: Path) -> None:
    push(server, manifest(layer(MODEL, "model.onnx")), MODEL)
    basic = f"Basic {base64.b64encode(b'robot:s3cr3t').decode()}"

    def behave(request: Request) -> None:
        shown = {k.lower(): v for k, v in request.headers.items()}.get("authorization")
        if request.path.startswith("/token"):
            request.status = 200 if shown == basic else 401
            request.body = json.dumps({"token": "t0k3n"}).encode()
        elif shown != "Bearer t0k3n":
            request.status = 401
            challenge = f'Bearer realm="{server.url}/token",service="r",scope="repository:acme"'
            request.extra = {"Www-Authenticate": challenge}

    server.behave = behave
    host = server.url.removeprefix("http://")
    auth = base64.b64encode(b"robot:s3cr3t").decode()
    docker = json.dumps({"auths": {host: {"auth": auth}}, "credsStore": "must-not-be-run"})
    for number, secret in enumerate(
        ({"username": "robot", "password": "s3cr3t"}, {".dockerconfigjson": docker})
    ):
        pod = Pod(tmp_path / str(number), secret)
        pod.fetch(uri(server), endpoint=server.url)
        assert pod.files() == {"model.onnx": MODEL}
    with pytest.raises(FetchFailed) as failed:
        Pod(tmp_path / "none", {"username": "robot", "password": "wrong"}).fetch(
            uri(server), endpoint=server.url
        )
    assert failed.value.reason is FetchReason.CREDENTIALS_REJECTED


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param(b"rubbish", FetchReason.UNSUPPORTED, id="no JSON"),
        pytest.param(b'{"manifests": []}', FetchReason.UNSUPPORTED, id="an index"),
        pytest.param(manifest(), FetchReason.EMPTY, id="no layer"),
        pytest.param(
            manifest(layer(b"x", "../up")), FetchReason.UNSAFE_PATH, id="a title leads out"
        ),
        pytest.param(
            manifest({**layer(b"x", "a"), "digest": "sha256:../../x"}),
            FetchReason.UNSUPPORTED,
            id="a digest that is none",
        ),
        pytest.param(
            manifest(layer(b"x", "a"), layer(b"y", "b", **{"io.deis.oras.content.unpack": "true"})),
            FetchReason.UNSUPPORTED,
            id="a packed folder beside a file",
        ),
    ],
)
def test_a_manifest_that_is_no_models(
    server: FileServer, pod: Pod, text: bytes, reason: FetchReason
) -> None:
    push(server, text, b"x", b"y")
    with pytest.raises(FetchFailed) as failed:
        pod.fetch(uri(server), endpoint=server.url)
    assert failed.value.reason is reason


def test_a_tag_that_is_not_there(server: FileServer, pod: Pod) -> None:
    with pytest.raises(FetchFailed) as failed:
        pod.fetch(uri(server, ":v2"), endpoint=server.url)
    assert failed.value.reason is FetchReason.NOT_FOUND


def test_another_manifest_than_the_digest_says_is_refused(server: FileServer, pod: Pod) -> None:
    digest = push(server, manifest(layer(MODEL, "model.onnx")), MODEL)
    server.files[f"/v2/acme/encoder/manifests/{digest}"] = manifest(layer(b"x", "model.onnx"))
    with pytest.raises(FetchFailed) as failed:
        pod.fetch(uri(server, f"@{digest}"), endpoint=server.url)
    assert failed.value.reason is FetchReason.CHECKSUM
