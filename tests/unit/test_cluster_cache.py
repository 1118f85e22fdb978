"""What the launcher keeps is found by what went in, and never half made."""

import fcntl
from pathlib import Path

import pytest

from cluster import cache


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIREME_CACHE", str(tmp_path / "cache"))


def _tree(root: Path, **files: str) -> Path:
    for name, content in files.items():
        (root / "inner").mkdir(parents=True, exist_ok=True)
        (root / "inner" / name).write_text(content)
    return root


def test_the_key_is_the_same_wherever_the_files_lie(tmp_path: Path) -> None:
    here = _tree(tmp_path / "here", module="one", sums="two")
    there = _tree(tmp_path / "there", sums="two", module="one")
    assert cache.key("flags", here) == cache.key("flags", there)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"module": "one!", "sums": "two"}, id="another content"),
        pytest.param({"modules": "one", "sums": "two"}, id="another name"),
        pytest.param({"module": "onet", "sums": "wo"}, id="the same bytes, cut elsewhere"),
    ],
)
def test_the_key_differs_with_what_went_in(tmp_path: Path, other: dict[str, str]) -> None:
    first = _tree(tmp_path / "first", module="one", sums="two")
    assert cache.key(first) != cache.key(_tree(tmp_path / "second", **other))


def test_the_key_knows_a_program_from_a_file(tmp_path: Path) -> None:
    tree = _tree(tmp_path / "tree", entrypoint="#!/bin/sh")
    before = cache.key(tree)
    (tree / "inner" / "entrypoint").chmod(0o755)
    assert cache.key(tree) != before


def test_an_entry_is_made_once() -> None:
    made: list[Path] = []

    def make(into: Path) -> None:
        made.append(into)
        (into / "program").write_text("content")

    first, second = (cache.entry("bin", "key", make) for _ in range(2))
    assert first == second
    assert (first / "program").read_text() == "content"
    assert len(made) == 1


def test_what_is_there_is_had_while_another_launcher_is_at_work() -> None:
    with cache.only_one():
        made = cache.entry("bin", "key", lambda into: None)
        assert cache.shared("bin", "key", lambda into: pytest.fail("made again")) == made


def test_what_is_not_there_is_made_alone() -> None:
    def make(into: Path) -> None:
        with (cache.root() / "lock").open("w") as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    assert cache.shared("bin", "key", make).exists()


def test_an_entry_that_fails_leaves_nothing() -> None:
    def fail(into: Path) -> None:
        (into / "half").write_text("")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        cache.entry("bin", "key", fail)
    assert list((cache.root() / "bin").iterdir()) == []


def test_what_a_killed_launcher_left_is_swept() -> None:
    left = cache.root() / "bin" / ".unfinished-abc"
    left.mkdir(parents=True)
    kept = cache.entry("bin", "whole", lambda into: None)
    with cache.only_one():
        assert not left.exists()
        assert kept.exists()
