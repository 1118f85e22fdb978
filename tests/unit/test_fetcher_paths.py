"""Names that somebody else chose, and manifests of them."""

import hashlib
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trireme.api.fetch import FetchFailed, FetchReason
from trireme.api.sizes import shown
from trireme.fetcher.manifest import Entry, digest, parse, text
from trireme.fetcher.paths import refuse_clashes, safe

UNSAFE = [
    pytest.param("/etc/passwd", id="absolute"),
    pytest.param("a/../../b", id="leads out"),
    pytest.param("..", id="the parent"),
    pytest.param("C:/x", id="a drive"),
    pytest.param("a\\b", id="a backslash"),
    pytest.param("a\nb", id="a line end"),
    pytest.param("a\0b", id="a NUL"),
    pytest.param("", id="nothing"),
    pytest.param("./.", id="nothing but dots"),
    pytest.param("x" * 256, id="too long a name"),
    pytest.param("x/" * 40 + "y", id="too deep"),
    pytest.param(("y" * 200 + "/") * 6 + "y", id="too long a path"),
    pytest.param("\udcff", id="no UTF-8"),
]


@pytest.mark.parametrize("path", UNSAFE)
def test_a_name_that_cannot_be_a_file_of_its_folder_is_refused(path: str) -> None:
    with pytest.raises(FetchFailed) as failed:
        safe(path)
    assert failed.value.reason is FetchReason.UNSAFE_PATH
    assert failed.value.message.isprintable()


@pytest.mark.parametrize(
    ("path", "clean"), [("./a//b", "a/b"), ("a b%20ü#", "a b%20ü#"), ("..a", "..a"), ("a/.", "a")]
)
def test_a_name_that_can_is_kept(path: str, clean: str) -> None:
    assert safe(path) == clean


@given(st.text())
def test_what_is_kept_stays_in_its_folder(path: str) -> None:
    try:
        clean = safe(path)
    except FetchFailed:
        return
    assert (Path("/folder") / clean).resolve().is_relative_to("/folder")
    assert safe(clean) == clean


@pytest.mark.parametrize("paths", [["a", "a"], ["a", "a/b"], ["a/b/c", "a/b"]])
def test_names_that_cannot_be_there_together_are_refused(paths: list[str]) -> None:
    with pytest.raises(FetchFailed):
        refuse_clashes(paths)


names = st.lists(
    st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/\\"), min_size=1)
    .map(lambda name: name[:50])
    .filter(lambda name: name not in (".", "..") and name[1:2] != ":"),
    unique=True,
    max_size=8,
)


@given(names)
def test_a_manifest_is_read_as_it_is_written(paths: list[str]) -> None:
    entries = [Entry(path, hashlib.sha256(path.encode()).hexdigest()) for path in paths]
    assert sorted(parse(text(entries)), key=str) == sorted(entries, key=str)


@pytest.mark.parametrize(
    "written",
    [
        pytest.param("rubbish\n", id="rubbish"),
        pytest.param(f"{'0' * 64}  ../a\n", id="a path that leads out"),
        pytest.param(f"{'0' * 64}  b\n{'0' * 64}  a\n", id="not sorted"),
        pytest.param(f"{'0' * 64}  a\n{'1' * 64}  a\n", id="twice the same"),
        pytest.param(f"{'0' * 64}  a", id="no line end"),
    ],
)
def test_a_manifest_that_is_none_of_ours_is_refused(written: str) -> None:
    with pytest.raises((ValueError, FetchFailed)):
        parse(written)


def test_a_folders_digest_is_what_the_documented_command_prints(tmp_path: Path) -> None:
    for name in ("b", "a c/ü", "a", "A"):
        (tmp_path / "m" / name).parent.mkdir(parents=True, exist_ok=True)
        if name != "a":
            (tmp_path / "m" / name).write_text(name)
    command = (
        "cd m && find . -type f -printf '%P\\0' | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum"
    )
    printed = subprocess.run(
        ["sh", "-c", command], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    entries = [Entry(name, hashlib.sha256(name.encode()).hexdigest()) for name in ("b", "A")] + [
        Entry("a c/ü", hashlib.sha256("a c/ü".encode()).hexdigest())
    ]
    assert printed.stdout.split()[0] == digest(entries)


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0 B"), (999, "999 B"), (7_400_000_000, "7.4 GB"), (999_950, "1.0 MB"),
     (999_949, "999.9 kB"), (10**18, "1000.0 PB")],
)  # fmt: skip
def test_sizes_are_told_in_decimal_units(size: int, words: str) -> None:
    assert shown(size) == words
