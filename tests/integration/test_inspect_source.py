"""`trireme inspect`: what a model file in a store says, of which only a little is read."""

import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from onnx import TensorProto, helper
from typer.testing import CliRunner

from archives import add, stored, tarred, zipped
from integration.fetching import AT_ONCE
from integration.file_server import Request, file_server
from integration.s3_server import BUCKET, KEYS, S3Server, s3_server
from model_files import onnx_encoder, onnx_file
from trireme.admission.inspection.model_file import Inspection
from trireme.admission.inspection.report import from_report
from trireme.admission.inspection.summary import summary
from trireme.api.fetch import Fetch, FetchFailed, FetchReason, FetchResult
from trireme.api.inspect import InspectPlan
from trireme.cli import app
from trireme.edge.stores.credentials import Credentials
from trireme.edge.stores.open import open_store
from trireme.edge.stores.types import Access, Listing, Named, Object, Store
from trireme.fetcher.inspection import Patience, inspect_source

WEIGHTS_BYTES = 60_000_000
ONCE = Patience(AT_ONCE, lambda seconds: None)


def large_onnx() -> bytes:
    """A file that is nearly all weights, in the middle of the graph."""
    weights = helper.make_tensor(
        "w", TensorProto.FLOAT, [WEIGHTS_BYTES // 4], bytes(WEIGHTS_BYTES), raw=True
    )
    return onnx_file(
        {"x": (TensorProto.INT64, ["n", "m"])},
        {"y": (TensorProto.FLOAT, ["n", 384])},
        initializers=[weights],
    )


def encoder_in_a_folder(archive: zipfile.ZipFile) -> None:
    archive.writestr("encoder/encoder.onnx", onnx_encoder())
    archive.writestr("encoder/labels.txt", b"cat\ndog\n")


def large_tree(archive: zipfile.ZipFile) -> None:
    archive.writestr("m/config.pbtxt", b"")
    archive.writestr("m/1/model.onnx", large_onnx())


def two_models(archive: zipfile.ZipFile) -> None:
    archive.writestr("a.onnx", onnx_encoder())
    archive.writestr("b.onnx", onnx_encoder())


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with s3_server() as server:
        server.put("large.onnx", large_onnx())
        server.put("encoder/3/encoder.onnx", onnx_encoder())
        server.put("encoder/3/labels.txt", b"cat\ndog\n")
        server.put("two/a.onnx", onnx_encoder())
        server.put("two/b.onnx", onnx_encoder())
        server.put("encoder.zip", zipped(encoder_in_a_folder))
        server.put("large.zip", stored(large_tree))
        server.put("encoder.tar", tarred(lambda tar: add(tar, "model.onnx", onnx_encoder())))
        server.put("encoder.tar.gz", b"\x1f\x8b" + bytes(100))
        server.put("two.zip", zipped(two_models))
        server.put("damaged.zip", b"PK\x03\x04" + bytes(100))
        server.put("page.onnx", b"<!doctype html><html></html>")
        yield server


@dataclass
class Counted:
    """A store that knows what was read through it."""

    store: Store
    bytes_read: int = 0
    reads: list[tuple[int, int]] = field(default_factory=list)

    @property
    def location(self) -> Named:
        return self.store.location

    @property
    def pinned(self) -> bool:
        return self.store.pinned

    def list(self) -> Listing:
        return self.store.list()

    def read(self, item: Object, offset: int, length: int) -> Iterator[bytes]:
        self.reads.append((offset, length))
        for chunk in self.store.read(item, offset, length):
            self.bytes_read += len(chunk)
            yield chunk


def plan(uri: str, endpoint: str | None, **fields: str | None) -> InspectPlan:
    wanted = Fetch(
        model="m",
        version=1,
        uri=uri,
        endpoint=endpoint,
        file_name="model.onnx",
        sha256=fields.get("sha256"),
        credentials=fields.get("credentials"),
    )
    return InspectPlan(fetch=wanted, backend="onnxruntime")


def opened(asked: InspectPlan) -> Counted:
    access = Access(endpoint=asked.fetch.endpoint)
    return Counted(open_store(asked.fetch.uri, access, Credentials(KEYS)))


def inspected(asked: InspectPlan) -> Inspection:
    return inspect_source(asked, opened(asked), ONCE)


def test_of_a_large_object_a_few_kilobytes_are_read(s3: S3Server) -> None:
    asked = plan(f"s3://{BUCKET}/large.onnx", s3.url)
    store = opened(asked)
    found = inspect_source(asked, store, ONCE)
    assert summary(found) == "ONNX, IR 8, opset 17, 60.0 MB: x INT64[-1,-1] → y FP32[-1,384]"
    assert found.total_bytes > WEIGHTS_BYTES
    assert (store.bytes_read <= 16 * 1024, len(store.reads) <= 4) == (True, True)


def test_the_file_is_found_in_a_folder_by_the_name_it_will_get(s3: S3Server) -> None:
    found = inspected(plan(f"s3://{BUCKET}/encoder/3/", s3.url))
    assert found.file is not None
    assert found.file.name == "model.onnx"
    assert found.total_bytes == len(onnx_encoder()) + len(b"cat\ndog\n")


def test_of_a_large_archive_a_few_kilobytes_are_read(s3: S3Server) -> None:
    asked = plan(f"s3://{BUCKET}/large.zip", s3.url)
    asked = asked.model_copy(update={"fetch": asked.fetch.model_copy(update={"tree": True})})
    store = opened(asked)
    found = inspect_source(asked, store, ONCE)
    assert summary(found) == "ONNX, IR 8, opset 17, 60.0 MB: x INT64[-1,-1] → y FP32[-1,384]"
    assert (store.bytes_read <= 32 * 1024, len(store.reads) <= 8) == (True, True)


@pytest.mark.parametrize(
    ("path", "size"),
    [
        pytest.param(
            "encoder.zip", len(onnx_encoder()) + len(b"cat\ndog\n"), id="a folder, zipped"
        ),
        pytest.param("encoder.tar", len(onnx_encoder()), id="one file in a tar"),
    ],
)
def test_an_archives_model_file_is_read_by_the_name_it_will_get(
    s3: S3Server, path: str, size: int
) -> None:
    found = inspected(plan(f"s3://{BUCKET}/{path}", s3.url))
    alone = inspected(plan(f"s3://{BUCKET}/encoder/3/encoder.onnx", s3.url))
    assert found == alone.model_copy(update={"total_bytes": size})


def test_what_is_compressed_as_a_whole_is_not_looked_into_and_its_size_is_told(
    s3: S3Server,
) -> None:
    found = inspected(plan(f"s3://{BUCKET}/encoder.tar.gz", s3.url))
    assert (found.file, found.total_bytes) == (None, 102)
    assert found.not_inspected == (
        "encoder.tar.gz is compressed as a whole, and only the pods unpack it"
    )


def test_what_is_no_model_is_a_finding(s3: S3Server) -> None:
    (finding,) = inspected(plan(f"s3://{BUCKET}/page.onnx", s3.url)).findings
    assert "it is a web page" in finding.message


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        pytest.param("nothing.onnx", FetchReason.NOT_FOUND, id="no such object"),
        pytest.param("two/", FetchReason.LAYOUT, id="which of two files is meant?"),
        pytest.param("two.zip", FetchReason.LAYOUT, id="which of two files of an archive?"),
        pytest.param("damaged.zip", FetchReason.ARCHIVE_DAMAGED, id="no archive"),
    ],
)
def test_what_a_fetch_would_fail_of_fails_here(
    s3: S3Server, path: str, reason: FetchReason
) -> None:
    with pytest.raises(FetchFailed) as failed:
        inspected(plan(f"s3://{BUCKET}/{path}", s3.url))
    assert failed.value.reason is reason


def test_a_server_without_ranges_is_not_asked_for_the_whole_file() -> None:
    content = onnx_encoder()

    def whole(request: Request) -> None:
        request.ignore_range = True

    with file_server({"/model.onnx": content}) as server:
        server.behave = whole
        found = inspected(plan(f"{server.url}/model.onnx", None))
    assert (found.file, found.total_bytes) == (None, len(content))
    assert found.not_inspected == "the server sends files whole only"


def command(tmp_path: Path, asked: InspectPlan) -> tuple[int, str]:
    """`trireme inspect` with the Secret as files: its exit status and what it leaves."""
    secret = tmp_path / "credentials" / "keys"
    secret.mkdir(parents=True)
    for key, value in KEYS.items():
        (secret / key).write_text(value)
    file, result = tmp_path / "plan.json", tmp_path / "result"
    file.write_text(asked.model_dump_json(by_alias=True))
    options = [f"--plan={file}", f"--credentials={secret.parent}", f"--result={result}"]
    ended = CliRunner().invoke(app, ["inspect", *options])
    return ended.exit_code, result.read_text()


def test_the_command_leaves_a_report(s3: S3Server, tmp_path: Path) -> None:
    asked = plan(f"s3://{BUCKET}/encoder/3/encoder.onnx", s3.url, credentials="keys")
    exit_code, text = command(tmp_path, asked)
    assert exit_code == 0
    assert from_report(text) == inspected(asked)


def test_the_command_leaves_why_it_failed_without_a_secret(s3: S3Server, tmp_path: Path) -> None:
    asked = plan(f"s3://{BUCKET}/nothing.onnx", s3.url, credentials="keys")
    exit_code, text = command(tmp_path, asked)
    assert exit_code == 1
    (model,) = FetchResult.model_validate(json.loads(text)).models
    assert model.failure is not None
    assert model.failure.reason is FetchReason.NOT_FOUND
    assert KEYS["AWS_SECRET_ACCESS_KEY"] not in text


def test_a_plan_that_is_none_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text("{}")
    ended = CliRunner().invoke(app, ["inspect", f"--plan={tmp_path / 'plan.json'}"])
    assert ended.exit_code == 2
    assert "--plan: fetch: Field required" in ended.stderr
