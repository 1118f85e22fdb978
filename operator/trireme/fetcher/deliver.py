"""`trireme deliver`: bring what was made of a model to its destination, and read it there again.

What made the files may have been hostile, so of them only plain files with plain names are taken,
and few; they are copied and hashed, and nothing looks into them.

    <uri>/<model>/<16 digits of the digest>/1/    what a server loads
    <uri>/<model>/<16 digits of the digest>/      the report, and how other servers would load it

The folder is named by the content, so nothing that is served is ever overwritten by other bytes.
"""

import hashlib
import logging
import stat
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from trireme.api.fetch import FetchFailed, FetchFailure, FetchReason
from trireme.api.optimize import (
    DELIVERED_FILE,
    DELIVERED_FILES,
    DeliveryPlan,
    DeliveryResult,
    delivery_message,
)
from trireme.edge.stores.credentials import Credentials
from trireme.edge.stores.open import open_store
from trireme.edge.stores.types import Access, Store
from trireme.edge.stores.writing import open_writer
from trireme.fetcher import disk, manifest
from trireme.fetcher.manifest import Entry
from trireme.fetcher.retries import Backoff, retrying

logger = logging.getLogger(__name__)

_BESIDE = ("report.json", "report.html")
_CONFIGURATIONS = "configurations"


@dataclass(frozen=True, slots=True)
class Mounts:
    """Where what the delivery works with is mounted."""

    made: Path
    credentials: Path
    claims: Path
    result: Path


def run(
    plan: DeliveryPlan,
    mounts: Mounts,
    backoff: Backoff | None = None,
    wait: Callable[[float], object] = time.sleep,
) -> bool:
    """Deliver, and leave what came of it; False where it could not be done."""
    secrets = Credentials()
    try:
        folder = mounts.credentials / plan.credentials if plan.credentials else None
        secrets = Credentials.read(folder)
        with disk.full_is_told(f"the destination {plan.uri}"):
            found = _delivered(plan, mounts, secrets, backoff or Backoff(), wait)
    except FetchFailed as error:
        failure = FetchFailed(error.reason, secrets.redact(error.message))
    except Exception as error:  # whatever it is, it is told; its kind tells most
        words = secrets.redact(f"{type(error).__name__}: {error}")
        failure = FetchFailed(FetchReason.INTERNAL, words)
    else:
        logger.info("%s: delivered to %s", plan.model, found.uri)
        _leave(mounts.result, found)
        return True
    logger.error("%s: %s", plan.model, failure)
    _leave(mounts.result, DeliveryResult(failure=FetchFailure.of(failure)))
    return False


def _delivered(
    plan: DeliveryPlan,
    mounts: Mounts,
    secrets: Credentials,
    backoff: Backoff,
    wait: Callable[[float], object],
) -> DeliveryResult:
    """Where it is and what it holds. Raises FetchFailed."""
    version = mounts.made / "model_repository" / plan.model / "1"
    if not version.is_dir():
        return DeliveryResult()  # nothing was gained
    served = _plain_files(version)
    digests = {name: disk.sha256(file) for name, file in served.items()}
    if not served:
        raise FetchFailed(FetchReason.EMPTY, "what was made of the model holds no file")
    digest = manifest.digest(Entry(name, sha256) for name, sha256 in digests.items())
    folder = f"{plan.uri.rstrip('/')}/{plan.model}/{digest[:16]}/"
    access = Access(endpoint=plan.endpoint, region=plan.region, claims=mounts.claims)
    writer = open_writer(folder, access, secrets)
    files = {**_beside(mounts.made), **{f"1/{name}": file for name, file in served.items()}}
    for path, file in files.items():
        retrying(lambda p=path, f=file: writer.write(p, f), backoff, wait)  # type: ignore[misc]
    store = open_store(f"{folder}1/", access, secrets)
    there = retrying(lambda: _digests(store), backoff, wait)
    if there != digests:
        raise FetchFailed(
            FetchReason.CHECKSUM,
            f"{folder}1/ holds {_told(there)} after {_told(digests)} was written",
        )
    return DeliveryResult(uri=f"{folder}1/", files=digests)


def _beside(made: Path) -> dict[str, Path]:
    """What is kept with the model for people: plain files alone, and only those expected."""
    files = {name: made / name for name in _BESIDE if _is_plain(made / name)}
    configurations = made / _CONFIGURATIONS
    if configurations.is_dir() and not configurations.is_symlink():
        for name, file in _plain_files(configurations).items():
            files[f"{_CONFIGURATIONS}/{name}"] = file
    return files


def _plain_files(folder: Path) -> dict[str, Path]:
    """The files of a folder by name. Raises FetchFailed where it holds anything else, or many."""
    found = sorted(folder.iterdir())
    strange = [
        file.name
        for file in found
        if not _is_plain(file) or not DELIVERED_FILE.fullmatch(file.name)
    ]
    if strange or len(found) > DELIVERED_FILES:
        what = f"{strange[0]!r}" if strange else f"{len(found)} files"
        raise FetchFailed(
            FetchReason.UNSAFE_PATH,
            f"what was made of the model holds {what}, and may hold {DELIVERED_FILES} plain files",
        )
    return {file.name: file for file in found}


def _is_plain(file: Path) -> bool:
    try:
        return stat.S_ISREG(file.lstat().st_mode)
    except OSError:
        return False


def _digests(store: Store) -> dict[str, str]:
    """What a destination holds now, read anew."""
    found = {}
    for item in store.list().objects:
        whole = hashlib.sha256()
        for chunk in store.read(item, 0, item.size):
            whole.update(chunk)
        found[item.path] = whole.hexdigest()
    return found


def _told(digests: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {sha256[:8]}" for name, sha256 in digests.items())


def _leave(result: Path, found: DeliveryResult) -> None:
    try:
        result.write_text(delivery_message(found), encoding="utf-8")
    except OSError as error:
        logger.warning("the result cannot be left at %s: %s", result, error.strerror)
