"""What was tried, what each gave, what was chosen and why: as JSON that a status can hold."""

import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from trireme.api.optimization import MissedTarget, shown_bytes
from trireme.optimizer.forms import Signature
from trireme.optimizer.measurement import Speed
from trireme.optimizer.metrics import Metric
from trireme.optimizer.samples import Folds
from trireme.optimizer.search import Finalist, Outcome, Trial
from trireme.optimizer.wishes import Wishes

VERSION = 1
_MAKERS = ("torch", "torch-pruning", "onnx", "onnxscript", "onnxruntime")


@dataclass(frozen=True, slots=True)
class Subject:
    """What was optimised: its name, where it was, and the digests of what it came from."""

    name: str
    path: str
    digests: Mapping[str, str]
    signature: Signature


def report(
    subject: Subject, folds: Folds, metric: Metric, wishes: Wishes, outcome: Outcome
) -> dict[str, Any]:
    """The whole of it."""
    winner = outcome.winner
    return {
        "version": VERSION,
        "model": {
            "name": subject.name,
            "path": subject.path,
            "sha256": dict(subject.digests),
            "inputs": [str(each) for each in subject.signature.inputs],
            "outputs": [str(each) for each in subject.signature.outputs],
        },
        "samples": {
            "training": len(folds.training),
            "selection": len(folds.selection),
            "heldOut": len(folds.held_out),
        },
        "metric": metric.name,
        "wishes": _wishes(wishes),
        "measuredOn": {
            "processor": processor(),
            "hasVnni": has_vnni(),
            **{name: version(name) for name in _MAKERS},
        },
        "original": {
            "score": _figure(outcome.original_score),
            "costSeconds": _figure(outcome.original_cost_seconds),
            "sizeBytes": outcome.original_bytes,
            "missed": _missed(
                wishes.missed(outcome.original_speed.fastest_seconds, outcome.original_bytes)
            ),
            **_speed(outcome.original_speed),
        },
        "winner": None if winner is None else str(winner.recipe),
        "summary": summary(outcome),
        "finalists": [_finalist(each, outcome) for each in outcome.finalists],
        "trials": [_trial(each, outcome) for each in outcome.trials],
        "seconds": round(outcome.seconds, 1),
    }


def summary(outcome: Outcome) -> str:
    """One sentence for a person."""
    winner = outcome.winner
    if winner is None:
        reasons = [str(each.refused) for each in outcome.finalists if each.refused]
        return "nothing is cheaper and shown to answer as well" + (
            f": the best {reasons[0]}" if reasons else ""
        )
    size = len(winner.artefact.content)
    beside = f", {size / outcome.original_bytes:.2f} of the size" if outcome.original_bytes else ""
    missed = "".join(f"; misses a wish: {each}" for each in winner.missed)
    return (
        f"{winner.recipe}: {1 / winner.ratio:.2f} times the throughput, {shown_bytes(size)}"
        f"{beside}, {winner.verdict}{missed}"
    )


def processor() -> str:
    """The processor's name, where the system tells it."""
    return _told_of_processor("model name") or platform.machine()


def has_vnni() -> bool:
    """Whether an x86 has instructions for products of 8 bits. Without them onnxruntime's sums of
    two such products saturate, so that an 8-bit model answers otherwise there.
    """
    return "vnni" in _told_of_processor("flags")


def _told_of_processor(field: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    found = (line.partition(":")[2].strip() for line in lines if line.startswith(field))
    return next(found, "")


def _wishes(wishes: Wishes) -> dict[str, Any]:
    found = asdict(wishes)
    found["techniques"] = None if wishes.techniques is None else sorted(wishes.techniques)
    return {_camel(name): value for name, value in found.items()}


def _finalist(one: Finalist, outcome: Outcome) -> dict[str, Any]:
    memory = one.memory
    return {
        "recipe": str(one.recipe),
        "sha256": one.artefact.sha256,
        "sizeBytes": len(one.artefact.content),
        "memoryBytes": None if memory is None else memory.own,
        "processBytes": None if memory is None else memory.peak,
        "costSeconds": _figure(one.cost_seconds),
        "throughputRatio": _figure(1 / one.ratio),
        **_speed(one.speed),
        "score": _figure(one.verdict.score),
        "drop": _figure(one.verdict.drop),
        "mostDrop": _figure(one.verdict.most_drop),
        "confidence": _figure(one.verdict.confidence) if one.verdict.is_bound else None,
        "trainingEndedByClock": one.is_hurried,
        "isOnFront": one.recipe in outcome.front,
        "missed": _missed(one.missed),
        "refused": None if one.refused is None else str(one.refused),
        "result": _result(one, outcome),
    }


def _result(one: Finalist, outcome: Outcome) -> str:
    """What came of it, in words."""
    missed = "".join(f"; misses a wish: {each}" for each in one.missed)
    if one.refused is not None:
        return str(one.refused)
    if one is outcome.winner:
        return f"chosen{missed}"
    return f"passes{missed}" if missed else "passes, and costs more"


def _missed(missed: Sequence[MissedTarget]) -> list[dict[str, Any]]:
    return [each.model_dump(mode="json", by_alias=True) for each in missed]


def _trial(one: Trial, outcome: Outcome) -> dict[str, Any]:
    return {
        "recipe": str(one.recipe),
        "throughputRatio": None if one.ratio is None else _figure(1 / one.ratio),
        "sizeBytes": one.size_bytes,
        "drop": None if one.drop is None else _figure(one.drop),
        "isOnFront": one.recipe in outcome.front,
        "refused": None if one.refused is None else str(one.refused),
    }


def _speed(speed: Speed) -> dict[str, Any]:
    curve = speed.curve
    return {
        "secondsByBatch": {str(size): _figure(each) for size, each in speed.seconds.items()},
        "curve": None
        if curve is None
        else {
            "fixedSeconds": _figure(curve.fixed_seconds),
            "perRequestSeconds": _figure(curve.per_request_seconds),
            "maxBatch": curve.max_batch,
        },
    }


def _figure(value: float) -> float | None:
    """Five digits, which no measurement is better than; JSON has no NaN."""
    return float(f"{value:.5g}") if math.isfinite(value) else None


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)
