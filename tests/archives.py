"""Archives for tests, most of them hostile."""

import gzip
import io
import os
import tarfile
import zipfile
from collections.abc import Callable

import pytest
from backports import zstd

Fill = Callable[[tarfile.TarFile], object]


def member(
    name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, **fields: object
) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def add(tar: tarfile.TarFile, name: str, content: bytes = b"x", **fields: object) -> None:
    tar.addfile(member(name, len(content), **fields), io.BytesIO(content))  # type: ignore[arg-type]


def tarred(fill: Fill) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        fill(tar)
    return packed.getvalue()


def zipped(fill: Callable[[zipfile.ZipFile], object], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        fill(archive)
    return packed.getvalue()


def stored(fill: Callable[[zipfile.ZipFile], object]) -> bytes:
    """A zip of files as they are."""
    return zipped(fill, zipfile.ZIP_STORED)


def good(tar: tarfile.TarFile) -> None:
    tar.addfile(member("m", kind=tarfile.DIRTYPE))
    add(tar, "m/model.onnx", b"graph")
    add(tar, "m/stub", b"#!", mode=0o755)
    add(tar, "m/.DS_Store")
    add(tar, "m/._model.onnx")
    tar.addfile(member("m/hard", kind=tarfile.LNKTYPE, linkname="m/model.onnx"))
    tar.addfile(member("m/soft", kind=tarfile.SYMTYPE, linkname="./model.onnx"))


def twice(tar: tarfile.TarFile) -> None:
    add(tar, "a")
    add(tar, "./a")


def file_and_folder(tar: tarfile.TarFile) -> None:
    add(tar, "a")
    add(tar, "a/b")


def through_a_link(tar: tarfile.TarFile) -> None:
    tar.addfile(member("a", kind=tarfile.SYMTYPE, linkname="."))
    add(tar, "a/b")


def chained(tar: tarfile.TarFile) -> None:
    """Each link alone stays inside; together they lead out."""
    add(tar, "d/e/f")
    tar.addfile(member("up", kind=tarfile.SYMTYPE, linkname="d/e"))
    tar.addfile(member("out", kind=tarfile.SYMTYPE, linkname="up/../../../secret"))


def circle(tar: tarfile.TarFile) -> None:
    tar.addfile(member("a", kind=tarfile.SYMTYPE, linkname="b"))
    tar.addfile(member("b", kind=tarfile.SYMTYPE, linkname="a"))


def many(tar: tarfile.TarFile) -> None:
    for number in range(60):
        tar.addfile(member(f"d{number}", kind=tarfile.DIRTYPE))


def link(name: str, to: str, kind: bytes = tarfile.SYMTYPE) -> Fill:
    return lambda tar: tar.addfile(member(name, kind=kind, linkname=to))


def special(kind: bytes) -> Fill:
    return lambda tar: tar.addfile(member("a", kind=kind))


def zip_link(archive: zipfile.ZipFile) -> None:
    info = zipfile.ZipInfo("a")
    info.external_attr = 0o120777 << 16
    archive.writestr(info, "/etc/passwd")


UNSAFE_TARS = [
    pytest.param(lambda tar: add(tar, "/etc/passwd"), id="absolute"),
    pytest.param(lambda tar: add(tar, "a/../../b"), id="leads out"),
    pytest.param(lambda tar: add(tar, "a\nb"), id="a line end in a name"),
    pytest.param(lambda tar: add(tar, "x" * 300), id="a name too long"),
    pytest.param(link("a", "/etc/passwd"), id="an absolute link"),
    pytest.param(link("a", "../../etc/passwd"), id="a link out"),
    pytest.param(link("a", "nowhere"), id="a link to nothing"),
    pytest.param(link("a", "/etc/passwd", tarfile.LNKTYPE), id="a hard link out"),
    pytest.param(link("a", "b", tarfile.LNKTYPE), id="a hard link to nothing"),
    pytest.param(through_a_link, id="a file through a link"),
    pytest.param(chained, id="links that lead out together"),
    pytest.param(circle, id="links in a circle"),
    pytest.param(special(tarfile.CHRTYPE), id="a character device"),
    pytest.param(special(tarfile.BLKTYPE), id="a block device"),
    pytest.param(special(tarfile.FIFOTYPE), id="a pipe"),
    pytest.param(many, id="too many entries"),
    pytest.param(twice, id="a file twice"),
    pytest.param(file_and_folder, id="a file that is a folder"),
]
"""Each fills a tar with what must not be unpacked."""

UNSAFE_ZIPS = [
    pytest.param(lambda archive: archive.writestr("../a", b"x"), id="leads out"),
    pytest.param(lambda archive: archive.writestr("/a", b"x"), id="absolute"),
    pytest.param(zip_link, id="a link"),
]

DAMAGED = [
    pytest.param(b"rubbish", "m.zip", id="no zip"),
    pytest.param(b"rubbish", "m.tar.gz", id="no gzip"),
    pytest.param(b"rubbish", "m.tar.zst", id="no zstd"),
    pytest.param(b"rubbish" * 100, "m.tar", id="no tar"),
    pytest.param(gzip.compress(b"rubbish" * 100), "m.tar.gz", id="no tar in gzip"),
    pytest.param(gzip.compress(tarred(good))[:-20], "m.tar.gz", id="cut gzip"),
    pytest.param(zstd.compress(tarred(good))[:-20], "m.tar.zst", id="cut zstd"),
    pytest.param(tarred(good)[:1100], "m.tar", id="cut tar"),
    pytest.param(zipped(lambda a: a.writestr("a", b"xyz" * 99))[:-9], "m.zip", id="cut zip"),
    pytest.param(
        zipped(lambda a: a.writestr("a", os.urandom(99))).replace(b"a", b"b", 1)
        .replace(b"PK\x01\x02", b"PK\x01\x03"), "m.zip", id="a table that is none",
    ),
]  # fmt: skip
"""Archives that are not what their names say."""
