"""What was built once, kept outside the tree and found again by what went into it.

An entry is a directory named for a hash of its ingredients, so that nothing in it ever
goes stale; it is made under another name and renamed when whole, so that half an entry is
never taken for one.
"""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster import progress

_UNFINISHED = ".unfinished-"  # how the names of temporary directories begin


def root() -> Path:
    """Where everything is kept: `TRIREME_CACHE`, or the user's cache directory."""
    if chosen := os.environ.get("TRIREME_CACHE"):
        return Path(chosen).expanduser().resolve()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).resolve() / "trireme"


def key(*ingredients: str | Path) -> str:
    """Name what comes of these ingredients; a path stands for its contents and modes.

    Where a path lies is left out, so that two checkouts share what they build alike.
    """
    digest = hashlib.sha256()
    for ingredient in ingredients:
        for part in _parts(ingredient):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:16]


def _parts(ingredient: str | Path) -> Iterator[bytes]:
    if isinstance(ingredient, str):
        yield ingredient.encode()
        return
    files = sorted(ingredient.rglob("*")) if ingredient.is_dir() else [ingredient]
    for file in files:
        if file.is_file() and "__pycache__" not in file.parts:
            executable = bool(file.stat().st_mode & 0o100)
            name = file.relative_to(ingredient) if file != ingredient else file.name
            yield f"{name} {executable}".encode()
            yield file.read_bytes()


def entry(kind: str, name: str, make: Callable[[Path], None]) -> Path:
    """Return the directory of this kind and name, made by `make` if it is not there yet."""
    place = root() / kind / name
    if place.exists():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=place.parent))
    try:
        make(unfinished)
        unfinished.chmod(0o755)
        unfinished.rename(place)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return place


def shared(kind: str, name: str, make: Callable[[Path], None]) -> Path:
    """Return the directory of `entry` to who does not hold the cache: what is there is had while
    another launcher is at work, and what is not is made alone.
    """
    place = root() / kind / name
    if place.exists():
        return place
    with only_one():
        return entry(kind, name, make)


@contextmanager
def scratch() -> Iterator[Path]:
    """Lend a directory on the cache's disk, for what is too large for memory."""
    with tempfile.TemporaryDirectory(prefix=_UNFINISHED, dir=root()) as folder:
        yield Path(folder)


@contextmanager
def only_one() -> Iterator[None]:
    """Hold the cache alone; what an earlier holder left unfinished is swept away."""
    root().mkdir(parents=True, exist_ok=True)
    with (root() / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with progress.step("waiting for another launcher that is at work"):
                fcntl.flock(lock, fcntl.LOCK_EX)
        for pattern in (f"{_UNFINISHED}*", f"*/{_UNFINISHED}*"):
            for left in root().glob(pattern):
                shutil.rmtree(left, ignore_errors=True)
        yield
