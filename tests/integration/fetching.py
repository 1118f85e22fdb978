"""Runs of the fetcher in a test's own folders."""

import hashlib
import json
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from integration.trireme_process import TriremeProcess
from trireme.api.fetch import (
    Fetch,
    FetchCache,
    FetchNodeCache,
    FetchPlan,
    FetchResult,
    ModelResult,
)
from trireme.edge.node_shelf import NodeShelf
from trireme.edge.stores.credentials import Credentials
from trireme.edge.stores.open import open_store
from trireme.edge.stores.types import Access
from trireme.fetcher.cache import Cache, Shelf
from trireme.fetcher.folder_shelf import FolderShelf
from trireme.fetcher.progress import Tracker
from trireme.fetcher.retries import Backoff
from trireme.fetcher.version import Means, bring

AT_ONCE = Backoff(attempts=4, first_seconds=0)
"""Trying again without waiting, which tests have no time for."""


def noise(size: int, seed: int = 1) -> bytes:
    """Bytes that do not compress, the same for the same seed."""
    return random.Random(seed).randbytes(size)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


SECONDS = 60
"""What a process or a server under test may take for anything; the machine may be busy."""


def until(moment: str, came: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not came():
        assert time.monotonic() < deadline, f"{moment}: not within {SECONDS} s"
        time.sleep(0.002)


@dataclass(frozen=True)
class NodeAccess:
    """How a pod of one namespace reaches the cache of its node."""

    url: str
    token_file: Path


@dataclass(frozen=True)
class Pod:
    """A pod's volume, its Secret and its cache; each run in it is one start of the fetcher."""

    folder: Path
    secret: dict[str, str] = field(default_factory=dict)
    cache: Path | None = None
    cache_limit: int = 10**9
    node: NodeAccess | None = None
    stall_seconds: float = SECONDS
    connections: int = 4
    limit_bytes: int | None = None

    @property
    def root(self) -> Path:
        root = self.folder / "models"
        root.mkdir(parents=True, exist_ok=True)
        return root

    def fetch(self, uri: str, **fields: Any) -> ModelResult:
        """Bring one model, called m, of version 1; raises FetchFailed."""
        wanted = Fetch(model="m", version=fields.pop("version", 1), uri=uri, **fields)
        access = Access(
            endpoint=wanted.endpoint,
            region=wanted.region,
            stall_seconds=self.stall_seconds,
            connections=self.connections,
            claims=self.folder / "claims",
        )
        store = open_store(uri, access, Credentials(self.secret))
        return bring(wanted, store, self._means(), Tracker("m", 1))

    def _means(self) -> Means:
        shelf: Shelf | None = None
        if self.node:
            shelf = NodeShelf(self.node.url, self.node.token_file)
        elif self.cache:
            shelf = FolderShelf(self.cache, self.cache_limit)
        if shelf:
            shelf.prepare()
        cache = Cache(shelf) if shelf else None
        return Means(self.root, cache, self.limit_bytes, self.connections, AT_ONCE)

    def files(self, version: int = 1) -> dict[str, bytes]:
        """What is published."""
        folder = self.root / "m" / str(version)
        return {
            file.relative_to(folder).as_posix(): file.read_bytes()
            for file in sorted(folder.rglob("*"))
            if file.is_file()
        }

    def another(self, name: str) -> "Pod":
        """A second pod with the same cache."""
        return replace(self, folder=self.folder.parent / name)

    # ------------------------------------------------------------------------ as a process

    def process(self, uri: str, port: int = 0, **fields: Any) -> TriremeProcess:
        """`trireme fetch` of one model, in a process of its own that may be killed."""
        fetch = Fetch(model="m", version=1, uri=uri, credentials="secret", **fields)
        cache: FetchCache | FetchNodeCache | None = None
        if self.node:
            cache = FetchNodeCache(url=self.node.url)
        elif self.cache:
            cache = FetchCache(path=str(self.cache), limit_bytes=self.cache_limit)
        plan = FetchPlan(
            fetches=[fetch],
            cache=cache,
            stall_seconds=self.stall_seconds,
            connections=self.connections,
        )
        secret = self.folder / "credentials" / "secret"
        secret.mkdir(parents=True, exist_ok=True)
        for key, value in self.secret.items():
            (secret / key).write_text(value)
        file = self.folder / "plan.json"
        file.write_text(plan.model_dump_json(by_alias=True))
        return TriremeProcess(
            "fetch",
            f"--plan={file}",
            f"--root={self.root}",
            f"--credentials={secret.parent}",
            f"--result={self.folder / 'result.json'}",
            f"--progress-port={port}",
            *([f"--cache-token={self.node.token_file}"] if self.node else []),
            environment={**os.environ, "NO_PROXY": "127.0.0.1"},
        )

    @property
    def result(self) -> FetchResult:
        """What the last process left as its termination message."""
        return FetchResult.model_validate(json.loads((self.folder / "result.json").read_text()))
