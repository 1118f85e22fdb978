"""`trireme deliver`: bring what was made of a model to its destination, and read it there again.

What made the files may have been hostile, so no link among them is followed (`made`), and only what
was measured is taken, by its digest, with a program that is known by its own; the files are hashed
and copied, and nothing looks into them.

    <uri>/<model>/<16 digits of the digest>/1/    what a server loads
    <uri>/<model>/<16 digits of the digest>/      the report, and how other servers would load it
    <uri>/<model>/check/                          written before a search, to see that it can be

The folder is named by the content, so nothing that is served is ever overwritten by other bytes.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from trireme.api.fetch import FetchFailed, FetchFailure, FetchReason
from trireme.api.optimize import (
    PROGRAM_FILE,
    DeliveryPlan,
    DeliveryResult,
    OptimizeResult,
    delivery_message,
)
from trireme.edge.stores.credentials import Credentials
from trireme.edge.stores.open import open_store
from trireme.edge.stores.types import Access, Store
from trireme.edge.stores.writing import open_writer
from trireme.fetcher import disk, made, manifest
from trireme.fetcher.manifest import Entry
from trireme.fetcher.retries import Backoff, retrying

logger = logging.getLogger(__name__)

_BESIDE = ("report.json", "report.html")
_CONFIGURATIONS = "configurations"
_CHECK = "check"  # the folder, the file and its content


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
    *,
    only_check: bool = False,
) -> bool:
    """Deliver, or only check that one could, and leave what came of it; False where it could not be
    done.
    """
    act = _checked if only_check else _delivered
    secrets = Credentials()
    try:
        folder = mounts.credentials / plan.credentials if plan.credentials else None
        secrets = Credentials.read(folder)
        with disk.full_is_told(f"the destination {plan.uri}"):
            found = act(plan, mounts, secrets, backoff or Backoff(), wait)
    except FetchFailed as error:
        failure = FetchFailed(error.reason, secrets.redact(error.message))
    except Exception as error:  # whatever it is, it is told; its kind tells most
        words = secrets.redact(f"{type(error).__name__}: {error}")
        failure = FetchFailed(FetchReason.INTERNAL, words)
    else:
        logger.info("%s: %s", plan.model, found.uri or "nothing to deliver so far")
        _leave(mounts.result, found)
        return True
    logger.error("%s: %s", plan.model, failure)
    _leave(mounts.result, DeliveryResult(failure=FetchFailure.of(failure)))
    return False


def _checked(
    plan: DeliveryPlan,
    mounts: Mounts,
    secrets: Credentials,
    backoff: Backoff,
    wait: Callable[[float], object],
) -> DeliveryResult:
    """Nothing, where a small file could be written and read again. Raises FetchFailed."""
    folder = f"{plan.uri.rstrip('/')}/{plan.model}/{_CHECK}/"
    access = Access(endpoint=plan.endpoint, region=plan.region, claims=mounts.claims)
    writer, content = open_writer(folder, access, secrets), BytesIO(_CHECK.encode())
    retrying(lambda: writer.write(_CHECK, content), backoff, wait)
    store = open_store(folder, access, secrets)
    if _CHECK not in retrying(lambda: _digests(store), backoff, wait):
        raise FetchFailed(FetchReason.NOT_FOUND, f"{folder} holds nothing after it was written")
    return DeliveryResult()


def _delivered(
    plan: DeliveryPlan,
    mounts: Mounts,
    secrets: Credentials,
    backoff: Backoff,
    wait: Callable[[float], object],
) -> DeliveryResult:
    """Where it is and what it holds. Raises FetchFailed."""
    told = made.result_of(mounts.made)
    if told.gain is None:
        return DeliveryResult()
    with ExitStack() as opened:
        served = made.open_files(opened, mounts.made, "model_repository", plan.model, "1")
        digests = {name: disk.digest(content) for name, content in served.items()}
        _refuse_others(plan, told, digests)
        files = {f"1/{name}": content for name, content in served.items()}
        for name in _BESIDE:
            if (content := made.open_file(opened, mounts.made, name)) is not None:
                files[name] = content
        for name, content in made.open_files(opened, mounts.made, _CONFIGURATIONS).items():
            files[f"{_CONFIGURATIONS}/{name}"] = content
        digest = manifest.digest(Entry(name, sha256) for name, sha256 in digests.items())
        folder = f"{plan.uri.rstrip('/')}/{plan.model}/{digest[:16]}/"
        access = Access(endpoint=plan.endpoint, region=plan.region, claims=mounts.claims)
        writer = open_writer(folder, access, secrets)
        for path, content in files.items():
            retrying(lambda p=path, c=content: writer.write(p, c), backoff, wait)  # type: ignore[misc]
    store = open_store(f"{folder}1/", access, secrets)
    there = retrying(lambda: _digests(store), backoff, wait)
    if there != digests:
        raise FetchFailed(
            FetchReason.CHECKSUM,
            f"{folder}1/ holds {_told(there)} after {_told(digests)} was written",
        )
    return DeliveryResult(uri=f"{folder}1/", files=digests)


def _refuse_others(
    plan: DeliveryPlan, told: OptimizeResult, digests: Mapping[str, str | None]
) -> None:
    """Raises FetchFailed where anything would be served but the file that was measured, called as
    the backend loads it, and the program that is known.
    """
    wanted = {plan.file: told.sha256}
    if plan.program is not None:
        wanted[PROGRAM_FILE] = plan.program
    if told.file != plan.file or digests != wanted:
        raise FetchFailed(
            FetchReason.CHECKSUM,
            f"what was made of the model is {_told(digests)}, and was to be {_told(wanted)}",
        )


def _digests(store: Store) -> dict[str, str]:
    """What a destination holds now, read anew."""
    found = {}
    for item in store.list().objects:
        whole = hashlib.sha256()
        for chunk in store.read(item, 0, item.size):
            whole.update(chunk)
        found[item.path] = whole.hexdigest()
    return found


def _told(digests: Mapping[str, str | None]) -> str:
    return ", ".join(f"{name} {(each or 'no digest')[:9]}" for name, each in digests.items())


def _leave(result: Path, found: DeliveryResult) -> None:
    try:
        result.write_text(delivery_message(found), encoding="utf-8")
    except OSError as error:
        logger.warning("the result cannot be left at %s: %s", result, error.strerror)
