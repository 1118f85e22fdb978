"""`trireme inspect`: what a source's model file says, read by ranges before it is fetched."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from trireme.admission.inspection.directory import inspect
from trireme.admission.inspection.model_file import Inspection
from trireme.admission.inspection.reader import Reader as RandomAccess
from trireme.admission.inspection.report import to_report
from trireme.admission.inspection.summary import summary
from trireme.api.fetch import (
    FetchFailed,
    FetchFailure,
    FetchReason,
    FetchResult,
    ModelResult,
    termination_message,
)
from trireme.api.inspect import InspectPlan
from trireme.edge.stores.credentials import Credentials
from trireme.edge.stores.open import open_store
from trireme.edge.stores.reader import Reader
from trireme.edge.stores.types import Access, Listing, Object, Store
from trireme.errors import InspectionLimit
from trireme.fetcher.contents import contents
from trireme.fetcher.retries import Backoff, retrying
from trireme.fetcher.selection import archived_names, arranged_names, is_archive, selected

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """How a read that failed is tried again."""

    backoff: Backoff = Backoff()  # noqa: RUF009  # frozen
    wait: Callable[[float], object] = time.sleep


def run(plan: InspectPlan, credentials: Path, claims: Path, result: Path) -> bool:
    """Inspect what a plan names and leave what came of it; False where it cannot be reached."""
    secrets = Credentials()
    try:
        folder = credentials / plan.fetch.credentials if plan.fetch.credentials else None
        secrets = Credentials.read(folder)
        fetch = plan.fetch
        access = Access(endpoint=fetch.endpoint, region=fetch.region, claims=claims)
        found = inspect_source(plan, open_store(fetch.uri, access, secrets))
    except FetchFailed as error:
        failure = FetchFailed(error.reason, secrets.redact(error.message))
    except Exception as error:  # whatever it is, it is told; its kind tells most
        words = secrets.redact(f"{type(error).__name__}: {error}")
        failure = FetchFailed(FetchReason.INTERNAL, words)
    else:
        logger.info("%s version %s: %s", fetch.model, fetch.version, summary(found))
        _leave(result, to_report(found))
        return True
    logger.error("%s version %s: %s", plan.fetch.model, plan.fetch.version, failure)
    told = ModelResult(
        model=plan.fetch.model, version=plan.fetch.version, failure=FetchFailure.of(failure)
    )
    _leave(result, termination_message(FetchResult(models=[told])))
    return False


def inspect_source(plan: InspectPlan, store: Store, patience: Patience | None = None) -> Inspection:
    """What the model file at a URI says, of which only parts are read. Raises FetchFailed.

    Archives that are compressed as a whole are not looked into, nor are files of servers without
    ranges.
    """
    patience = patience or Patience()
    listing = retrying(store.list, patience.backoff, patience.wait)
    listing = selected(listing, plan.fetch, store.location.name)
    _refuse_another_digest(listing, plan, store.location.name)
    if not all(item.ranged for item in listing.objects):
        why = "the server sends files whole only"
        return Inspection(total_bytes=listing.size, not_inspected=why)
    found: Mapping[str, RandomAccess] = {
        item.path: _Patient(Reader(store, item), patience) for item in listing.objects
    }
    if is_archive(listing):
        ((kind, packed),) = found.items()
        try:
            found = contents(packed, kind)
        except InspectionLimit as limit:
            return Inspection(total_bytes=listing.size, not_inspected=str(limit))
        names = archived_names(list(found), plan.fetch, store.location.name)
    else:
        names = arranged_names(list(found), listing.single, plan.fetch, store.location.name)
    files = {name: found[path] for path, name in names.items()}
    return inspect(files, plan.backend, plan.fetch.file_name or None)


def _refuse_another_digest(listing: Listing, plan: InspectPlan, source: str) -> None:
    """Where the source itself tells the digest of the one file, there is nothing to wait for."""
    item: Object = listing.objects[0]
    if listing.single and plan.fetch.sha256 and item.sha256 not in (None, plan.fetch.sha256):
        raise FetchFailed(
            FetchReason.CHECKSUM,
            f"{source}: the source says sha256 {item.sha256}, and the spec says "
            f"{plan.fetch.sha256}",
        )


@dataclass(frozen=True, slots=True)
class _Patient:
    """A reader that tries again what may pass."""

    reader: Reader
    patience: Patience

    @property
    def size(self) -> int:
        return self.reader.size

    def read(self, offset: int, length: int) -> bytes:
        return retrying(
            lambda: self.reader.read(offset, length), self.patience.backoff, self.patience.wait
        )


def _leave(result: Path, text: str) -> None:
    try:
        result.write_text(text, encoding="utf-8")
    except OSError as error:
        logger.warning("the result cannot be left at %s: %s", result, error.strerror)
