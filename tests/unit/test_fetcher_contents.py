"""What an archive holds, read by ranges: little is read, and hostile ones cost little."""

import struct
import tarfile
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archives import (
    DAMAGED,
    UNSAFE_TARS,
    UNSAFE_ZIPS,
    Fill,
    add,
    good,
    member,
    stored,
    tarred,
    zipped,
)
from model_files import CountingReader, onnx_encoder, real
from trireme.admission.inspection.directory import inspect
from trireme.api.fetch import FetchFailed, FetchReason
from trireme.errors import InspectionLimit
from trireme.fetcher.archive import Limits
from trireme.fetcher.contents import contents

MIB = 1024 * 1024
WEIGHTS = bytes(range(256)) * 4096 * 20  # 20 MiB


def zip_of(archive: zipfile.ZipFile) -> None:
    archive.mkdir("m")
    archive.writestr("m/weights.bin", WEIGHTS)
    archive.writestr("m/model.onnx", onnx_encoder())
    archive.writestr("__MACOSX/m/._model.onnx", b"")


def tar_of(tar: tarfile.TarFile) -> None:
    tar.addfile(member("m", kind=tarfile.DIRTYPE))
    add(tar, "m/weights.bin", WEIGHTS)
    add(tar, "m/model.onnx", onnx_encoder())
    add(tar, "m/._model.onnx")


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        pytest.param("m.zip", stored(zip_of), id="a zip of files as they are"),
        pytest.param("m.ZIP", zipped(zip_of), id="a zip of compressed files"),
        pytest.param("m.tar", tarred(tar_of), id="a tar"),
    ],
)
def test_of_a_large_archive_its_list_and_the_model_file_are_read(kind: str, content: bytes) -> None:
    reader = CountingReader(content)
    found = contents(reader, kind)
    sizes = {path: file.size for path, file in found.items()}
    assert sizes == {"m/weights.bin": len(WEIGHTS), "m/model.onnx": len(onnx_encoder())}
    inspection = inspect({"model.onnx": found["m/model.onnx"]}, "onnxruntime")
    assert inspection == inspect({"model.onnx": CountingReader(onnx_encoder())}, "onnxruntime")
    assert inspection.file is not None
    assert (reader.bytes_read <= 32 * 1024, reader.reads <= 8) == (True, True)


@given(
    st.sampled_from([(stored, "m.zip"), (zipped, "m.zip")]),
    st.lists(st.tuples(st.integers(0, 300_000), st.integers(0, 70_000)), min_size=1, max_size=8),
)
def test_what_is_read_of_a_member_is_what_it_has_there(
    packed: tuple[Callable[[Callable[[zipfile.ZipFile], object]], bytes], str],
    places: list[tuple[int, int]],
) -> None:
    pack, kind = packed
    content = bytes(index * index % 251 for index in range(300_000))
    archive = pack(lambda each: each.writestr("a", content))
    file = contents(CountingReader(archive), kind)["a"]
    for offset, length in places:
        assert file.read(offset, length) == content[offset : offset + length]


def test_torchs_own_archives_are_read_inside_of_archives() -> None:
    content = zipped(lambda archive: archive.writestr("model.pt", real("scripted.pt")))
    found = inspect(dict(contents(CountingReader(content), "m.zip")), "pytorch")
    assert found == inspect({"model.pt": CountingReader(real("scripted.pt"))}, "pytorch")
    assert found.file is not None


def test_links_of_a_tar_are_the_files_that_they_lead_to() -> None:
    found = contents(CountingReader(tarred(good)), "m.tar")
    assert {path: file.read(0, 99) for path, file in found.items()} == {
        "m/hard": b"graph", "m/model.onnx": b"graph", "m/soft": b"graph", "m/stub": b"#!"
    }  # fmt: skip


def test_long_names_are_read_whole() -> None:
    name = "/".join(["folder" * 8] * 5)
    found = contents(CountingReader(tarred(lambda tar: add(tar, name))), "m.tar")
    assert list(found) == [name]


@pytest.mark.parametrize("kind", ["m.tar.gz", "m.tgz", "m.tar.zst", "m.tzst"])
def test_what_is_compressed_as_a_whole_is_not_read_at_all(kind: str) -> None:
    reader = CountingReader(b"\x1f\x8b" + bytes(100))
    with pytest.raises(InspectionLimit, match="compressed as a whole, and only the pods"):
        contents(reader, kind)
    assert reader.reads == 0


@pytest.mark.parametrize("fill", UNSAFE_TARS)
def test_an_unsafe_tar_is_refused_or_left_to_the_pods_if_its_links_are(fill: Fill) -> None:
    with pytest.raises((FetchFailed, InspectionLimit)) as failed:
        contents(CountingReader(tarred(fill)), "m.tar", Limits(bytes=10_000_000, entries=50))
    if isinstance(failed.value, FetchFailed):
        assert failed.value.reason is FetchReason.ARCHIVE_UNSAFE
    else:
        assert "links that lead to no file directly" in str(failed.value)


@pytest.mark.parametrize("fill", UNSAFE_ZIPS)
def test_an_unsafe_zip_is_refused(fill: Callable[[zipfile.ZipFile], object]) -> None:
    with pytest.raises(FetchFailed) as failed:
        contents(CountingReader(zipped(fill)), "m.zip")
    assert failed.value.reason is FetchReason.ARCHIVE_UNSAFE


RANGED = [row for row in DAMAGED if str(row.values[1]).endswith((".zip", "m.tar"))]


@pytest.mark.parametrize(("content", "kind"), RANGED)
def test_a_damaged_archive_is_told_as_such(content: bytes, kind: str) -> None:
    with pytest.raises(FetchFailed, match="what its name says") as failed:
        contents(CountingReader(content), kind)
    assert failed.value.reason is FetchReason.ARCHIVE_DAMAGED


def deflated(raw: bytes, size: int) -> bytes:
    """A zip of one member, `a`, of these compressed bytes, which says that it comes to `size`."""
    local = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 8, 0, 0, 0, len(raw), size, 1, 0) + b"a"
    entry = struct.pack(
        "<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 8, 0, 0, 0, len(raw), size, 1, 0, 0, 0, 0, 0, 0
    )
    at = len(local) + len(raw)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(entry) + 1, at, 0)
    return local + raw + entry + b"a" + end


def bare(content: bytes) -> bytes:
    squeezed = zlib.compressobj(9, zlib.DEFLATED, -15)
    return squeezed.compress(content) + squeezed.flush()


def chain(depth: int) -> bytes:
    """Extended headers of extended headers."""
    header = member("x", 6, tarfile.XHDTYPE).tobuf(tarfile.GNU_FORMAT)
    return (header + b"6 a=b\n".ljust(512, b"\0")) * depth


def sized(size: str) -> bytes:
    """A tar whose member has any size, as an extended header gives it."""
    header = member("a", pax_headers={"size": size}).tobuf(tarfile.PAX_FORMAT)
    return header + bytes(1024)


HOSTILE = {
    "a bomb": ("m.zip", deflated(bare(bytes(40 * MIB)), 40 * MIB)),
    "a bomb that says it is small": ("m.zip", deflated(bare(bytes(40 * MIB)), 100)),
    "a file that says it is larger than it is": ("m.zip", deflated(bare(b"x" * 99), 30 * MIB)),
    "compressed blocks of nothing": ("m.zip", deflated(b"\0\0\0\xff\xff" * 10 * MIB, 100)),
    "compressed rubbish": ("m.zip", deflated(b"\xff" * 100, 100)),
    "a file of 4 GiB that is not there": ("m.zip", deflated(bare(b"x"), 2**32 - 2)),
    "headers of headers": ("m.tar", chain(5_000)),
    "a size below zero": ("m.tar", sized("-99999")),
    "a size beyond all": ("m.tar", sized("9" * 30)),
    "a size that is no number": ("m.tar", sized("many")),
    "long names, again and again": (
        "m.tar",
        (member("x", MIB, tarfile.GNUTYPE_LONGNAME).tobuf(tarfile.GNU_FORMAT) + b"n" * MIB) * 60,
    ),
}


def looked_into(content: bytes, kind: str) -> str:
    """How it ends: the reason that it is refused for, or what comes of its files, read in full."""
    reader = CountingReader(content)
    try:
        found = contents(reader, kind)
        inspections = [inspect({"model.onnx": file}, "onnxruntime") for file in found.values()]
    except FetchFailed as failure:
        return failure.reason
    except InspectionLimit:
        return "limit"
    finally:
        assert reader.bytes_read <= 33 * MIB
        assert reader.reads <= 2_048
    assert all(len(str(each)) < 4096 for one in inspections for each in one.findings)
    return "read"


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_a_hostile_archive_ends_early_within_its_memory(name: str) -> None:
    kind, content = HOSTILE[name]
    tracemalloc.start()
    try:
        looked_into(content, kind)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 80 * MIB


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        pytest.param("a file of 4 GiB that is not there", "ArchiveUnsafe", id="a bomb is refused"),
        pytest.param("headers of headers", "ArchiveDamaged", id="headers do not nest"),
        pytest.param("a size below zero", "ArchiveUnsafe", id="no file has less than no bytes"),
    ],
)
def test_a_hostile_archive_is_told_as_what_it_is(name: str, ending: str) -> None:
    kind, content = HOSTILE[name]
    assert looked_into(content, kind) == ending


def test_of_a_compressed_file_only_the_beginning_is_looked_at() -> None:
    content = zipped(lambda archive: archive.writestr("model.onnx", b"\x3a" + bytes(40 * MIB)))
    file = contents(CountingReader(content), "m.zip")["model.onnx"]
    assert file.read(0, 2) == b"\x3a\0"
    with pytest.raises(InspectionLimit, match="zip -0 packs it as it is"):
        file.read(33 * MIB, 1)


SMALL = {
    "m.zip": zipped(lambda archive: archive.writestr("m/model.onnx", onnx_encoder())),
    "m.tar": tarred(good),
}


@settings(max_examples=300)
@given(st.sampled_from(sorted(SMALL)), st.data())
def test_an_archive_with_wrong_bytes_is_refused_or_read(kind: str, data: st.DataObject) -> None:
    content = bytearray(SMALL[kind])
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    length = data.draw(st.integers(0, len(content)))
    looked_into(bytes(content[:length]), kind)
