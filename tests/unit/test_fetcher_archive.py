"""Archives, most of them hostile."""

import gzip
import os
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from backports import zstd

from archives import DAMAGED, UNSAFE_TARS, UNSAFE_ZIPS, Fill, add, good, member, tarred, zipped
from trireme.api.fetch import FetchFailed, FetchReason
from trireme.fetcher.archive import Limits, unpack, unpacked_size

LIMITS = Limits(bytes=10_000_000, entries=50, ratio=100, always_bytes=1_000_000)


def unpacked(
    folder: Path, content: bytes, kind: str = "m.tar", limits: Limits = LIMITS
) -> list[str]:
    (folder / "archive").write_bytes(content)
    return unpack(folder / "archive", kind, folder / "out", limits, lambda count: None)


@pytest.mark.parametrize(
    ("kind", "pack"),
    [
        pytest.param("m.tar", bytes, id="tar"),
        pytest.param("m.tar.gz", gzip.compress, id="tar.gz"),
        pytest.param("m.TGZ", gzip.compress, id="tgz"),
        pytest.param("m.tar.zst", zstd.compress, id="tar.zst"),
    ],
)
def test_files_folders_and_links_inside_are_taken_over(
    tmp_path: Path, kind: str, pack: Callable[[bytes], bytes]
) -> None:
    paths = unpacked(tmp_path, pack(tarred(good)), kind)
    assert paths == ["m/hard", "m/model.onnx", "m/soft", "m/stub"]
    assert {p: (tmp_path / "out" / p).read_bytes() for p in paths} == {
        "m/model.onnx": b"graph", "m/hard": b"graph", "m/soft": b"graph", "m/stub": b"#!"
    }  # fmt: skip
    assert os.access(tmp_path / "out/m/stub", os.X_OK)
    assert not (tmp_path / "out/m/model.onnx").stat().st_mode & 0o111


def test_a_zip_and_what_it_says_it_comes_to(tmp_path: Path) -> None:
    def fill(archive: zipfile.ZipFile) -> None:
        archive.mkdir("m")
        archive.writestr("m/model.onnx", b"graph" * 100)
        archive.writestr("__MACOSX/m/._model.onnx", b"")

    assert unpacked(tmp_path, zipped(fill), "m.zip") == ["m/model.onnx"]
    assert unpacked_size(tmp_path / "archive", "m.zip") == 500
    assert unpacked_size(tmp_path / "archive", "m.tar") is None


@pytest.mark.parametrize("fill", UNSAFE_TARS)
def test_what_is_not_safe_is_refused_and_nothing_is_written_outside(
    tmp_path: Path, fill: Fill
) -> None:
    (tmp_path / "secret").write_text("s3cr3t")
    with pytest.raises(FetchFailed) as failed:
        unpacked(tmp_path, tarred(fill))
    assert failed.value.reason is FetchReason.ARCHIVE_UNSAFE
    assert {path.name for path in tmp_path.iterdir()} == {"secret", "archive", "out"}


def test_a_bomb_is_stopped_at_its_limit(tmp_path: Path) -> None:
    zeros = gzip.compress(tarred(lambda tar: add(tar, "a", bytes(5_000_000))))
    with pytest.raises(FetchFailed, match="grows beyond") as failed:
        unpacked(tmp_path, zeros, "m.tar.gz")
    assert failed.value.reason is FetchReason.ARCHIVE_UNSAFE
    assert (tmp_path / "out/a").stat().st_size <= 1_000_000


def test_a_zip_that_lies_about_its_sizes_is_stopped_at_its_limit(tmp_path: Path) -> None:
    content = zipped(lambda archive: archive.writestr("a", bytes(5_000_000)))
    lying = content.replace(struct.pack("<L", 5_000_000), struct.pack("<L", 5))
    with pytest.raises(FetchFailed) as failed:
        unpacked(tmp_path, lying, "m.zip")
    assert failed.value.reason in (FetchReason.ARCHIVE_UNSAFE, FetchReason.ARCHIVE_DAMAGED)


def test_more_than_the_plan_allows_is_too_large(tmp_path: Path) -> None:
    content = tarred(lambda tar: add(tar, "a", bytes(20_000)))
    with pytest.raises(FetchFailed, match=r"more than 10\.0 kB") as failed:
        unpacked(tmp_path, content, limits=Limits(bytes=10_000))
    assert failed.value.reason is FetchReason.TOO_LARGE


def test_an_extended_header_does_not_ask_for_memory(tmp_path: Path) -> None:
    header = member("././@PaxHeader", 8 * 2**30, tarfile.XHDTYPE).tobuf(tarfile.GNU_FORMAT)
    with pytest.raises(FetchFailed, match=r"extended header of 8\.6 GB") as failed:
        unpacked(tmp_path, header + bytes(10_240))
    assert failed.value.reason is FetchReason.ARCHIVE_UNSAFE


def test_a_zips_table_of_contents_does_not_ask_for_memory(tmp_path: Path) -> None:
    (tmp_path / "archive").touch()
    size = 200 * 2**20
    os.truncate(tmp_path / "archive", size)
    with (tmp_path / "archive").open("r+b") as file:
        file.seek(size)
        file.write(struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, size, 0, 0))
    with pytest.raises(FetchFailed, match="table of contents") as failed:
        unpack(tmp_path / "archive", "m.zip", tmp_path / "out", LIMITS, lambda count: None)
    assert failed.value.reason is FetchReason.ARCHIVE_UNSAFE


@pytest.mark.parametrize("fill", UNSAFE_ZIPS)
def test_an_unsafe_zip_is_refused(
    tmp_path: Path, fill: Callable[[zipfile.ZipFile], object]
) -> None:
    with pytest.raises(FetchFailed) as failed:
        unpacked(tmp_path, zipped(fill), "m.zip")
    assert failed.value.reason is FetchReason.ARCHIVE_UNSAFE


@pytest.mark.parametrize(("content", "kind"), DAMAGED)
def test_a_damaged_archive_is_told_as_such(tmp_path: Path, content: bytes, kind: str) -> None:
    with pytest.raises(FetchFailed, match="what its name says") as failed:
        unpacked(tmp_path, content, kind)
    assert failed.value.reason is FetchReason.ARCHIVE_DAMAGED
