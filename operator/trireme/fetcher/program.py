"""`trireme fetch`: a whole plan, one model after the other, with progress and a result."""

import logging
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

from trireme.api.fetch import (
    Fetch,
    FetchFailed,
    FetchFailure,
    FetchNodeCache,
    FetchPhase,
    FetchPlan,
    FetchReason,
    FetchResult,
    ModelResult,
    termination_message,
)
from trireme.edge.node_shelf import NodeShelf
from trireme.edge.stores.credentials import Credentials
from trireme.edge.stores.open import open_store
from trireme.edge.stores.types import Access
from trireme.fetcher.cache import Cache, Shelf
from trireme.fetcher.folder_shelf import FolderShelf
from trireme.fetcher.progress import Progress, Tracker, served
from trireme.fetcher.version import Means, bring

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Mounts:
    """Where what the fetcher works with is mounted."""

    root: Path
    credentials: Path
    claims: Path
    cache: Path | None
    cache_token: Path
    result: Path


def run(plan: FetchPlan, mounts: Mounts, port: int) -> FetchResult:
    """Bring every model, tell progress on `port`, leave the result; SIGTERM ends it at once.

    One model that fails does not keep the others from being fetched, so that all failures are told
    together.
    """
    os.umask(0o022)  # the server's user, who is another, reads what is written here
    progress = Progress(plan.fetches)
    with served(progress, port):
        result = _beside_signals(lambda: _run(plan, mounts, progress))
    try:
        mounts.result.write_text(termination_message(result), encoding="utf-8")
    except OSError as error:
        logger.warning("the result cannot be left at %s: %s", mounts.result, error.strerror)
    return result


def _beside_signals(work: Callable[[], FetchResult]) -> FetchResult:
    """The work in a thread of its own, so that this one is free to end the process.

    A container's first process has no default for SIGTERM, and what is on the disk is fit to be
    gone on from at any moment: nothing is to be tidied up.
    """
    results: list[FetchResult] = []
    before = signal.signal(signal.SIGTERM, _end)
    thread = threading.Thread(target=lambda: results.append(work()), name="fetch", daemon=True)
    thread.start()
    thread.join()
    signal.signal(signal.SIGTERM, before)
    return results[0]


def _end(number: int, _: FrameType | None) -> None:
    os._exit(128 + number)


def _run(plan: FetchPlan, mounts: Mounts, progress: Progress) -> FetchResult:
    cache, note = _cache(plan, mounts)
    means = Means(mounts.root, cache, plan.limit_bytes, plan.connections)
    results: list[ModelResult] = []
    for fetch, tracker in zip(plan.fetches, progress.trackers, strict=True):
        result = _fetched(fetch, plan, mounts, means, tracker)
        if means.left_bytes is not None:
            means = replace(means, left_bytes=max(0, means.left_bytes - result.bytes))
        results.append(result.model_copy(update={"note": result.note or note}))
    return FetchResult(models=results)


def _cache(plan: FetchPlan, mounts: Mounts) -> tuple[Cache | None, str | None]:
    """The cache, or why there is none although the plan has one."""
    if plan.cache is None:
        return None, None
    shelf: Shelf
    try:
        if isinstance(plan.cache, FetchNodeCache):
            shelf = NodeShelf(plan.cache.url, mounts.cache_token)
        else:
            shelf = FolderShelf(mounts.cache or Path(plan.cache.path), plan.cache.limit_bytes)
        shelf.prepare()
    except OSError as error:
        note = f"the cache cannot be used: {error.strerror}"
        logger.warning("%s", note)
        return None, note
    return Cache(shelf), None


def _fetched(
    fetch: Fetch, plan: FetchPlan, mounts: Mounts, means: Means, tracker: Tracker
) -> ModelResult:
    """What became of one model, in words that hold no secret."""
    credentials = Credentials()
    try:
        folder = mounts.credentials / fetch.credentials if fetch.credentials else None
        credentials = Credentials.read(folder)
        access = Access(
            endpoint=fetch.endpoint,
            region=fetch.region,
            claims=mounts.claims,
            stall_seconds=plan.stall_seconds,
            connections=plan.connections,
        )
        return bring(fetch, open_store(fetch.uri, access, credentials), means, tracker)
    except FetchFailed as error:
        failure = FetchFailed(error.reason, credentials.redact(error.message))
    except Exception as error:  # the other models are fetched still; its kind tells most
        failure = FetchFailed(
            FetchReason.INTERNAL, credentials.redact(f"{type(error).__name__}: {error}")
        )
    tracker.enter(FetchPhase.FAILED)
    logger.error("%s version %s: %s", fetch.model, fetch.version, failure)
    return ModelResult(model=fetch.model, version=fetch.version, failure=FetchFailure.of(failure))
