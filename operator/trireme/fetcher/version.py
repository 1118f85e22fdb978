"""One version of one model, from its URI to its version directory.

What is known before anything is downloaded decides where the bytes come from:

* a sha256 in the plan: the cache is asked for it, and nobody else if it has it;
* a URI that holds a commit or a digest: the cache is asked for what it stood for before;
* any other URI: the source is asked what is there now, and the cache for exactly that. Only where
  the source does not answer at all does the cached copy of before stand in, and the result says so.
"""

import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from trireme.api.fetch import (
    Fetch,
    FetchFailed,
    FetchPhase,
    FetchReason,
    FetchSource,
    ModelResult,
)
from trireme.api.sizes import shown
from trireme.edge.stores.types import Listing, Store
from trireme.fetcher import archive, disk, layout, manifest, ranges
from trireme.fetcher.cache import Cache, Kept
from trireme.fetcher.download import Download
from trireme.fetcher.manifest import Entry
from trireme.fetcher.progress import Tracker
from trireme.fetcher.publish import Place
from trireme.fetcher.retries import Backoff, retrying
from trireme.fetcher.selection import archived_names, arranged_names, selected

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Means:
    """What every fetch of a run shares; `left_bytes` is what the plan's limit still allows."""

    root: Path
    cache: Cache | None
    left_bytes: int | None = None
    connections: int = 8
    backoff: Backoff = Backoff()  # noqa: RUF009  # frozen
    wait: Callable[[float], object] = time.sleep


@dataclass(frozen=True, slots=True)
class Content:
    """A source's files on the volume, each checked, and what is known of them."""

    files: tuple[tuple[Entry, Path], ...]
    single: bool
    source: FetchSource
    revision: str | None = None


def bring(fetch: Fetch, store: Store, means: Means, tracker: Tracker) -> ModelResult:
    """Fetch one version, unless it is there already.

    Raises FetchFailed; what was fetched by then stays for the next run.
    """
    place = Place(means.root, fetch)
    if result := place.published():
        tracker.expect(result.bytes, result.bytes)
        tracker.enter(FetchPhase.DONE)
        place.clean()
        return result
    work = _Work(fetch, store, means, tracker, place)
    with disk.full_is_told("the model volume"):
        place.work.mkdir(parents=True, exist_ok=True)
        content = work.content()
        files = work.arranged(content)
        tracker.enter(FetchPhase.PUBLISHING)
        entries = [Entry(path, entry.sha256) for path, (entry, _) in files.items()]
        result = ModelResult(
            model=fetch.model,
            version=fetch.version,
            digest=manifest.digest(entries),
            bytes=sum(file.stat().st_size for _, file in files.values()),
            source=content.source,
            revision=content.revision,
            note="; ".join(work.notes) or None,
        )
        place.publish({path: file for path, (_, file) in files.items()}, result)
        place.clean()
    tracker.enter(FetchPhase.DONE)
    return result


class _Work:
    """The steps of one fetch. `notes` gathers what the result says beside the digest."""

    def __init__(
        self, fetch: Fetch, store: Store, means: Means, tracker: Tracker, place: Place
    ) -> None:
        self._fetch, self._store, self._means = fetch, store, means
        self._tracker, self._place = tracker, place
        self.notes: list[str] = []

    # -------------------------------------------------------------------------- where from

    def content(self) -> Content:
        """The source's files, out of the cache or over the network."""
        known = self._known_beforehand()
        kept = self._cached(known) if known else None
        if kept and (content := self._copied(kept)):
            return content
        listing = self._listing()
        if isinstance(listing, Kept):
            content = self._copied(listing)
            if content is None:
                raise FetchFailed(
                    FetchReason.UNREACHABLE,
                    f"{self._source} does not answer, and its cached copy was damaged",
                )
            return content
        question = self._question(listing)
        if question is None:
            return self._downloaded(listing)
        with self._lease(self._fetch.sha256 or question):
            kept = self._cached(known or (lambda cache: cache.by_memo(question)))
            return (kept and self._copied(kept)) or self._downloaded(listing)

    @property
    def _source(self) -> str:
        """The URI as messages show it."""
        return self._store.location.name

    def _known_beforehand(self) -> Callable[[Cache], Kept | None] | None:
        if sha256 := self._fetch.sha256:
            return lambda cache: cache.by_digest(sha256, self._store.location.file_name)
        if self._store.pinned:
            return lambda cache: cache.by_memo(self._uri)
        return None

    @property
    def _uri(self) -> str:
        """The question that only names the source: the whole URI, which the cache keeps hashed."""
        part = self._fetch.version if self._fetch.tree else None
        return json.dumps([self._fetch.uri, self._fetch.endpoint, part])

    def _question(self, listing: Listing) -> str | None:
        """What is there now, as a question for the cache; None where versions cannot be told."""
        if self._store.pinned:
            return self._uri
        if not all(item.etag or item.sha256 for item in listing.objects):
            return None
        facts = [(item.path, item.size, item.etag, item.sha256) for item in listing.objects]
        return json.dumps([self._uri, facts])

    def _listing(self) -> Listing | Kept:
        """What is there now, or what was there before where the source does not answer."""
        self._tracker.enter(FetchPhase.LISTING)
        try:
            listing = retrying(self._store.list, self._means.backoff, self._means.wait)
        except FetchFailed as failure:
            kept = None
            if failure.reason.unanswered and not self._fetch.sha256:
                kept = self._cached(lambda cache: cache.by_memo(self._uri))
            if kept is None:
                raise
            self.notes.append(f"the cached copy is used, unchecked for age: {failure.message}")
            return kept
        return self._selected(listing)

    def _selected(self, listing: Listing) -> Listing:
        """The files that are wanted, if they do not exceed the limit."""
        listing = selected(listing, self._fetch, self._source)
        self._refuse_too_much(listing.size)
        return listing

    def _refuse_too_much(self, size: int) -> None:
        left = self._means.left_bytes
        if left is not None and size > left:
            raise FetchFailed(
                FetchReason.TOO_LARGE,
                f"{self._source} is {shown(size)}, and the plan's limit leaves {shown(left)}",
            )

    # -------------------------------------------------------------------------- the network

    def _downloaded(self, listing: Listing) -> Content:
        download = Download(
            self._store,
            self._place.work / "parts",
            self._tracker,
            self._means.connections,
            self._means.backoff,
        )
        # First of all: a size that is made up must not become a plan of ranges.
        needed = listing.size - download.bytes_on_disk(listing.objects)
        disk.refuse_what_does_not_fit(needed, self._means.root, self._source)
        there = download.prepare(listing.objects)
        missing = sum(
            span.length for item in listing.objects for span in ranges.missing(item, there[item])
        )
        self._tracker.expect(listing.size, listing.size - missing)
        self._tracker.enter(FetchPhase.DOWNLOADING)
        download.run(there)
        self._tracker.enter(FetchPhase.VERIFYING)
        files = self._verified(listing, download)
        content = Content(files, listing.single, FetchSource.NETWORK, listing.revision)
        self._keep(content, self._question(listing))
        return content

    def _verified(self, listing: Listing, download: Download) -> tuple[tuple[Entry, Path], ...]:
        """Every file's digest, which is what the store and the plan say it is."""
        items = listing.objects
        digests = _digests([download.file(item) for item in items])
        for item, digest in zip(items, digests, strict=True):
            if item.sha256 not in (None, digest):
                download.forget(item)
                raise FetchFailed(
                    FetchReason.CHECKSUM,
                    f"{self._source}: {item.path} has sha256 {digest}, and the source itself "
                    f"says {item.sha256}",
                )
        entries = [Entry(i.path, digest) for i, digest in zip(items, digests, strict=True)]
        found = entries[0].sha256 if listing.single else manifest.digest(entries)
        if self._fetch.sha256 not in (None, found):
            for item in items:
                download.forget(item)
            what = "sha256" if listing.single else "the sha256 of its manifest"
            raise FetchFailed(
                FetchReason.CHECKSUM,
                f"{self._source}: {what} is {found}, and the spec says {self._fetch.sha256}",
            )
        return tuple((entry, download.file(i)) for entry, i in zip(entries, items, strict=True))

    # -------------------------------------------------------------------------- the cache

    def _cached(self, ask: Callable[[Cache], Kept | None]) -> Kept | None:
        """What the cache answers; one that does not do its part is left alone from then on."""
        if self._means.cache is None:
            return None
        try:
            return ask(self._means.cache)
        except OSError as error:
            self._note_cache(error)
            return None

    def _copied(self, kept: Kept) -> Content | None:
        """The cache's files on the volume; None where one was not what it should be."""
        assert self._means.cache is not None  # noqa: S101  # it has just answered
        copies = self._place.work / "copies"
        disk.remove(copies)
        copies.mkdir(parents=True)
        self._refuse_too_much(kept.size)
        disk.refuse_what_does_not_fit(kept.size, self._means.root, self._source)
        self._tracker.expect(kept.size)
        self._tracker.enter(FetchPhase.COPYING)
        files = []
        for number, entry in enumerate(kept.entries):
            file = copies / str(number)
            try:
                good = self._means.cache.copy(entry, file, self._tracker.add)
            except OSError as error:
                self._note_cache(error)
                return None
            if not good:
                self.notes.append(f"the cached copy of {entry.path} was damaged: fetched again")
                return None
            files.append((entry, file))
        return Content(tuple(files), kept.single, FetchSource.CACHE, kept.revision)

    def _keep(self, content: Content, question: str | None) -> None:
        if self._means.cache is None:
            return
        questions = [self._uri] if question in (None, self._uri) else [self._uri, str(question)]
        try:
            kept = self._means.cache.keep(
                content.files, content.single, questions, content.revision
            )
        except OSError as error:
            self._note_cache(error)
            return
        if not kept:
            self.notes.append("not kept in the cache: it does not fit within its limit")

    @contextmanager
    def _lease(self, question: str) -> Iterator[None]:
        if self._means.cache is None:
            yield
            return
        self._tracker.enter(FetchPhase.WAITING)
        with ExitStack() as held:
            try:
                held.enter_context(self._means.cache.lease(question, self._means.wait))
            except OSError as error:
                self._note_cache(error)
            yield

    def _note_cache(self, error: OSError) -> None:
        note = f"the cache cannot be used: {error.strerror}"
        if note not in self.notes:
            logger.warning("%s", note)
            self.notes.append(note)

    # -------------------------------------------------------------------------- the layout

    def arranged(self, content: Content) -> dict[str, tuple[Entry, Path]]:
        """Each path in the version directory, to its digest and content; archives unpacked."""
        files = {entry.path: (entry, file) for entry, file in content.files}
        single = content.single
        if single and layout.is_archive(content.files[0][0].path):
            files = self._unpacked(*content.files[0])
            names = archived_names(list(files), self._fetch, self._source)
        elif self._fetch.tree and single:
            raise FetchFailed(
                FetchReason.LAYOUT,
                f"{self._source} is one file, and no tree of versions",
            )
        else:
            names = arranged_names(list(files), single, self._fetch, self._source)
        return {new: files[old] for old, new in names.items()}

    def _unpacked(self, entry: Entry, file: Path) -> dict[str, tuple[Entry, Path]]:
        folder = self._place.work / "unpacked"
        disk.remove(folder)
        self._tracker.enter(FetchPhase.EXTRACTING)
        size = archive.unpacked_size(file, entry.path)
        if size is not None:
            disk.refuse_what_does_not_fit(size, self._means.root, f"{self._source}, unpacked,")
        self._tracker.expect(size or 0)
        left = self._means.left_bytes
        limits = archive.Limits(bytes=2**63 if left is None else left)
        paths = archive.unpack(file, entry.path, folder, limits, self._tracker.add)
        digests = _digests([folder / path for path in paths])
        return {
            path: (Entry(path, digest), folder / path)
            for path, digest in zip(paths, digests, strict=True)
        }


def _digests(files: Sequence[Path]) -> list[str]:
    """The sha256 of each file, as many at a time as there are processors to do it."""
    with ThreadPoolExecutor(thread_name_prefix="sha256") as pool:
        return list(pool.map(disk.sha256, files))
