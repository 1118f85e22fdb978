"""What the fetcher of a pod says: how far it is, or why it failed. Pure.

A pod that initialises answers with its progress; what a run ended with is the termination message
of its container (`api.fetch`).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from trireme.api.fetch import FetchPhase, FetchProgress, FetchReason, FetchResult, ModelProgress

_WORKING = {
    FetchPhase.WAITING: "waiting",
    FetchPhase.LISTING: "asking what there is",
    FetchPhase.VERIFYING: "being verified",
    FetchPhase.EXTRACTING: "being unpacked",
    FetchPhase.PUBLISHING: "being put in place",
}
_OUT_OF_MEMORY = "OOMKilled"  # the kubelet's reason; the program itself could say nothing
_UNITS = ((10**9, "GB"), (10**6, "MB"), (10**3, "kB"))


def failure(container: Mapping[str, Any]) -> tuple[FetchReason, str] | None:
    """Why the fetcher's last run failed, in words with the remedy; None where it did not, or ended
    without a word, and nobody else has one for it.

    `container` is its entry in a pod's initContainerStatuses.
    """
    ended = container.get("state", {}).get("terminated") or container.get("lastState", {}).get(
        "terminated", {}
    )
    if not ended or ended.get("exitCode") == 0:
        return None
    if ended.get("reason") == _OUT_OF_MEMORY:
        limit = container.get("resources", {}).get("limits", {}).get("memory")
        killed = f"it was killed at its memory limit{f' of {limit}' if limit else ''}"
        reason = FetchReason.OUT_OF_MEMORY
        return reason, f"{container['name']}: {killed}. {reason.remedy}"
    try:
        result = FetchResult.model_validate_json(ended.get("message", ""))
    except ValidationError:
        return None
    failed = [(model, model.failure) for model in result.models if model.failure is not None]
    if not failed:
        return None
    words = [
        f"{model.model} version {model.version}: {why.message}. {why.remedy}"
        for model, why in failed
    ]
    return failed[0][1].reason, "; ".join(words)


def progress_by_model(fetches: Iterable[FetchProgress]) -> dict[str, str]:
    """For each model that is being fetched, how far the pod is that has least of it.

    `encoder: 3.1 of 7.4 GB`: 3,140,000,000 bytes of 7,400,000,000, to one place, not rounded up, so
    that what is not all there never reads as if it were.
    """
    slowest: dict[str, ModelProgress] = {}
    for progress in fetches:
        for model in progress.models:
            if model.phase is FetchPhase.DONE:
                continue
            known = slowest.get(model.model)
            if known is None or model.bytes_done < known.bytes_done:
                slowest[model.model] = model
    return {name: _told(model) for name, model in slowest.items()}


def progress_words(fetches: Sequence[FetchProgress]) -> str:
    """All models that are being fetched, in one sentence; empty where none is."""
    return ", ".join(f"{name}: {told}" for name, told in progress_by_model(fetches).items())


def _told(model: ModelProgress) -> str:
    if model.phase in _WORKING or not model.bytes_total:
        return _WORKING.get(model.phase, "beginning")
    size, unit = next(((s, u) for s, u in _UNITS if model.bytes_total >= s), (1, "B"))
    return f"{_tenths(model.bytes_done, size)} of {_tenths(model.bytes_total, size)} {unit}"


def _tenths(count: int, size: int) -> str:
    """3,149 by a thousand is 3.1; bytes have no tenths."""
    tenths = count * 10 // size
    return str(count) if size == 1 else f"{tenths // 10}.{tenths % 10}"
