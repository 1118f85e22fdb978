"""The cache that pods share: checked on every read, filled by races, emptied by age."""

import fcntl
import io
import os
import signal
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integration.fetching import SECONDS, Pod, noise, sha256, until
from integration.file_server import FileServer, file_server
from trireme.api.fetch import FetchFailed, FetchSource
from trireme.fetcher.folder_shelf import Blob, victims
from trireme.fetcher.manifest import Entry, digest

MODEL = noise(200_000)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server({"/m.onnx": MODEL}) as running:
        yield running


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    return Pod(tmp_path / "pod", cache=tmp_path / "cache")


def blob(pod: Pod, content: bytes) -> Path:
    assert pod.cache
    return pod.cache / "blobs" / sha256(content)


def test_a_second_pod_asks_only_whether_it_is_still_the_same(server: FileServer, pod: Pod) -> None:
    pod.fetch(f"{server.url}/m.onnx")
    asked = len(server.requests)
    other = pod.another("other")
    assert other.fetch(f"{server.url}/m.onnx").source is FetchSource.CACHE
    assert other.files() == {"m.onnx": MODEL}
    assert [r.headers["Range"] for r in server.requests[asked:]] == ["bytes=0-0"]


def test_with_a_sha256_a_second_pod_asks_nobody(server: FileServer, pod: Pod) -> None:
    pod.fetch(f"{server.url}/m.onnx", sha256=sha256(MODEL))
    asked = len(server.requests)
    result = pod.another("other").fetch("s3://elsewhere/m.onnx", sha256=sha256(MODEL))
    assert result.source is FetchSource.CACHE
    assert len(server.requests) == asked


def test_a_folder_is_known_by_the_sha256_of_its_manifest(tmp_path: Path, pod: Pod) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source/a").write_bytes(b"a")
    (tmp_path / "source/b").write_bytes(MODEL)
    whole = digest([Entry("a", sha256(b"a")), Entry("b", sha256(MODEL))])
    pod.fetch(f"file://{tmp_path}/source", sha256=whole)
    other = pod.another("other")
    assert other.fetch("s3://elsewhere/folder/", sha256=whole).source is FetchSource.CACHE
    assert other.files() == {"a": b"a", "b": MODEL}


def test_what_changed_at_its_source_is_fetched_again(server: FileServer, pod: Pod) -> None:
    pod.fetch(f"{server.url}/m.onnx")
    server.files["/m.onnx"] = MODEL[::-1]
    other = pod.another("other")
    assert other.fetch(f"{server.url}/m.onnx").source is FetchSource.NETWORK
    assert other.files() == {"m.onnx": MODEL[::-1]}


def test_where_the_source_does_not_answer_the_cached_copy_is_used_and_that_is_said(
    pod: Pod,
) -> None:
    with file_server({"/m.onnx": MODEL}) as server:
        pod.fetch(f"{server.url}/m.onnx")
    other = pod.another("other")
    result = other.fetch(f"{server.url}/m.onnx")
    assert other.files() == {"m.onnx": MODEL}
    assert result.note is not None
    assert result.note.startswith("the cached copy is used, unchecked for age")
    assert "refused" in result.note


@pytest.mark.parametrize("status", [401, 403, 404])
def test_where_the_source_refuses_the_cache_does_not_stand_in(
    server: FileServer, pod: Pod, status: int
) -> None:
    pod.fetch(f"{server.url}/m.onnx")
    server.behave = lambda request: setattr(request, "status", status)
    with pytest.raises(FetchFailed):
        pod.another("other").fetch(f"{server.url}/m.onnx")


@pytest.mark.parametrize("pinned", [True, False])
def test_a_copy_that_a_neighbour_damaged_is_removed_fetched_again_and_told(
    server: FileServer, pod: Pod, pinned: bool
) -> None:
    wanted = sha256(MODEL) if pinned else None
    pod.fetch(f"{server.url}/m.onnx", sha256=wanted)
    blob(pod, MODEL).write_bytes(b"evil" * 50_000)
    other = pod.another("other")
    result = other.fetch(f"{server.url}/m.onnx", sha256=wanted)
    assert other.files() == {"m.onnx": MODEL}
    assert (result.source, result.note) == (
        FetchSource.NETWORK,
        "the cached copy of m.onnx was damaged: fetched again",
    )
    assert blob(pod, MODEL).read_bytes() == MODEL


@pytest.mark.parametrize("made", ["link", "pipe", "folder"])
def test_what_a_neighbour_puts_in_a_blobs_place_is_not_followed(
    server: FileServer, pod: Pod, made: str, tmp_path: Path
) -> None:
    pod.fetch(f"{server.url}/m.onnx", sha256=sha256(MODEL))
    path = blob(pod, MODEL)
    path.unlink()
    if made == "link":
        (tmp_path / "same").write_bytes(MODEL)
        path.symlink_to(tmp_path / "same")
    elif made == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    other = pod.another("other")
    assert other.fetch(f"{server.url}/m.onnx", sha256=sha256(MODEL)).source is FetchSource.NETWORK
    assert other.files() == {"m.onnx": MODEL}


def test_a_manifest_that_a_neighbour_forged_is_not_believed(server: FileServer, pod: Pod) -> None:
    pod.fetch(f"{server.url}/m.onnx")
    assert pod.cache
    for manifest in (pod.cache / "manifests").iterdir():
        manifest.write_text(f"{sha256(MODEL)}  ../../up\n")
    other = pod.another("other")
    assert other.fetch(f"{server.url}/m.onnx").source is FetchSource.NETWORK


@pytest.mark.parametrize(
    "forged",
    [
        pytest.param('{"manifest": "../../../victim", "single": true}', id="leads out"),
        pytest.param('{"manifest": "/etc/passwd", "single": true}', id="absolute"),
        pytest.param("rubbish", id="rubbish"),
        pytest.param("[" * 5000, id="too long"),
    ],
)
def test_a_memo_that_a_neighbour_forged_harms_nobody(
    server: FileServer, pod: Pod, tmp_path: Path, forged: str
) -> None:
    pod.fetch(f"{server.url}/m.onnx")
    assert pod.cache
    (tmp_path / "victim").write_text("precious")
    for memo in (pod.cache / "memos").iterdir():
        memo.write_text(forged)
    other = pod.another("other")
    assert other.fetch(f"{server.url}/m.onnx").source is FetchSource.NETWORK
    assert other.files() == {"m.onnx": MODEL}
    assert (tmp_path / "victim").read_text() == "precious"


def test_the_limit_is_kept_by_removing_what_was_not_used_for_longest(
    server: FileServer, pod: Pod
) -> None:
    contents = [noise(200_000, seed=n) for n in range(4)]
    server.files |= {f"/{n}": content for n, content in enumerate(contents)}
    small = Pod(pod.folder, cache=pod.cache, cache_limit=650_000)
    for n in range(3):
        small.fetch(f"{server.url}/{n}", version=n)
        os.utime(blob(pod, contents[n]), (1000 + n, 1000 + n))
    small.another("other").fetch(f"{server.url}/0")  # used again, so it is the youngest
    small.fetch(f"{server.url}/3", version=3)
    kept = {n for n in range(4) if blob(pod, contents[n]).exists()}
    assert kept == {0, 2, 3}


def test_what_is_being_read_is_not_removed(server: FileServer, pod: Pod) -> None:
    contents = [noise(200_000, seed=n) for n in range(2)]
    server.files |= {f"/{n}": content for n, content in enumerate(contents)}
    small = Pod(pod.folder, cache=pod.cache, cache_limit=300_000)
    small.fetch(f"{server.url}/0")
    with blob(pod, contents[0]).open("rb") as reader:
        fcntl.flock(reader, fcntl.LOCK_SH)
        result = small.fetch(f"{server.url}/1", version=2)
    assert blob(pod, contents[0]).exists()
    assert result.note == "not kept in the cache: it does not fit within its limit"


def test_what_is_larger_than_the_cache_is_fetched_and_not_kept(
    server: FileServer, pod: Pod
) -> None:
    tiny = Pod(pod.folder, cache=pod.cache, cache_limit=1000)
    assert "not kept" in str(tiny.fetch(f"{server.url}/m.onnx").note)
    assert tiny.files() == {"m.onnx": MODEL}


def test_a_cache_that_cannot_be_used_costs_the_cache_not_the_fetch(
    server: FileServer, pod: Pod
) -> None:
    pod.folder.mkdir()
    assert pod.cache
    pod.cache.write_bytes(b"no folder")
    assert pod.process(f"{server.url}/m.onnx").wait(SECONDS) == 0
    (model,) = pod.result.models
    assert pod.files() == {"m.onnx": MODEL}
    assert model.note == "the cache cannot be used: Not a directory"


def test_two_pods_that_start_at_once_fetch_it_once(server: FileServer, tmp_path: Path) -> None:
    pods = [Pod(tmp_path / f"p{n}", cache=tmp_path / "cache") for n in range(2)]
    for pod in pods:
        pod.folder.mkdir()
    large = noise(20_000_000)
    server.files["/m.onnx"] = large
    server.behave = lambda r: setattr(
        r, "hold_after", None if r.headers["Range"] == "bytes=0-0" else 1000
    )
    processes = [pod.process(f"{server.url}/m.onnx") for pod in pods]
    assert server.held.wait(SECONDS)
    until("both asked what is there", lambda: len(server.requests) - 2 == 2)
    server.released.set()
    assert [process.wait(SECONDS) for process in processes] == [0, 0]
    assert [pod.files() for pod in pods] == [{"m.onnx": large}] * 2
    assert sorted(str(p.result.models[0].source) for p in pods) == ["cache", "network"]
    assert len(server.bytes_requests) == 2


def test_one_of_two_pods_dies_and_the_other_fetches_it(server: FileServer, tmp_path: Path) -> None:
    pods = [Pod(tmp_path / f"p{n}", cache=tmp_path / "cache") for n in range(2)]
    for pod in pods:
        pod.folder.mkdir()
    server.behave = lambda r: setattr(r, "hold_after", None if len(server.bytes_requests) > 1
                                      else 1000)  # fmt: skip
    first = pods[0].process(f"{server.url}/m.onnx")
    assert server.held.wait(SECONDS)
    second = pods[1].process(f"{server.url}/m.onnx")
    until("the second asked what is there", lambda: len(server.requests) == 3)
    first.send_signal(signal.SIGKILL)
    first.wait(SECONDS)
    assert second.wait(SECONDS) == 0
    assert pods[1].files() == {"m.onnx": MODEL}


def test_an_archive_is_kept_packed(tmp_path: Path, pod: Pod) -> None:
    with tarfile.open(tmp_path / "m.tar.gz", "w:gz") as tar:
        member = tarfile.TarInfo("encoder/encoder.onnx")
        member.size = len(MODEL)
        tar.addfile(member, io.BytesIO(MODEL))
    packed = (tmp_path / "m.tar.gz").read_bytes()
    uri = f"file://{tmp_path}/m.tar.gz"
    pod.fetch(uri, sha256=sha256(packed), file_name="model.onnx")
    (tmp_path / "m.tar.gz").unlink()
    other = pod.another("other")
    result = other.fetch(uri, sha256=sha256(packed), file_name="model.onnx")
    assert result.source is FetchSource.CACHE
    assert other.files() == {"model.onnx": MODEL}


def test_the_cache_keeps_no_address(server: FileServer, pod: Pod) -> None:
    pod.fetch(f"{server.url}/m.onnx?signature=s3cr3t")
    assert pod.cache
    kept = b"".join(f.read_bytes() + f.name.encode() for f in pod.cache.rglob("*") if f.is_file())
    assert b"s3cr3t" not in kept
    assert server.url.encode() not in kept


blobs = st.lists(
    st.builds(
        Blob,
        digest=st.uuids().map(str),
        size=st.integers(0, 100),
        last_used=st.integers(0, 20).map(float),
    ),
    max_size=20,
)


@given(blobs, st.integers(0, 500), st.integers(0, 500))
def test_as_few_as_possible_are_removed_oldest_first(
    there: list[Blob], limit: int, incoming: int
) -> None:
    gone = victims(there, limit, incoming)
    left = sum(blob.size for blob in there) - sum(blob.size for blob in gone)
    assert left + incoming <= limit or gone == sorted(
        there, key=lambda each: (each.last_used, each.digest)
    )
    if gone:
        assert left + gone[-1].size + incoming > limit
        assert max(b.last_used for b in gone) <= min(
            (b.last_used for b in there if b not in gone), default=99
        )
