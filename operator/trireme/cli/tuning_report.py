"""What `trireme tune` tells: a table for people, objects for programs, the patch of the spec."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from trireme.api import names
from trireme.api.tuning import Knob
from trireme.autoscaler.wording import number, rounded
from trireme.cli.manifests import to_yaml
from trireme.cli.tuning_options import Subject
from trireme.cli.tuning_search import Tuned
from trireme.tuner import settings
from trireme.tuner.ranking import Repeated
from trireme.tuner.search import Try
from trireme.tuner.types import Configuration

if TYPE_CHECKING:
    from trireme.edge.spare_server import Trial


def print_table(subject: Subject, tuned: Tuned, patch: dict[str, Any] | None) -> None:
    """All that was tried, what it came to, and the patch."""
    table = Table(box=None, pad_edge=False)
    table.add_column("configuration")
    for heading in ("requests/s", "expected", "at most", "probes"):
        table.add_column(heading, justify="right")
    table.add_column("")
    before = set[Configuration]()
    for step, trial in tuned.tried:
        table.add_row(
            str(step.configuration),
            number(trial.measured.per_second),
            _rate(step.expected_per_second),
            _rate(step.most_per_second),
            str(len(trial.probes)),
            trial.refused or _remark(tuned, trial, is_again=step.configuration in before),
        )
        before.add(step.configuration)
    console = Console(highlight=False)
    console.print(table)
    console.print(summary(subject, tuned), style="bold", soft_wrap=True, markup=False)
    for note in notes_of(subject, patch):
        console.print(note, soft_wrap=True, markup=False)
    if patch:
        console.print()
        console.print(to_yaml(patch), end="", soft_wrap=True, markup=False)


def _remark(tuned: Tuned, trial: "Trial", *, is_again: bool) -> str:
    if trial.is_cut:
        return "cut short: the time was spent"
    if not trial.measured.per_second:
        return "never keeps the objective"
    is_best = trial.measured.configuration == tuned.best.configuration
    said = ("[green]best[/]" if is_best else "", "again" if is_again else "")
    return ", ".join(filter(None, said))


def _rate(per_second: float | None) -> str:
    return "-" if per_second is None else number(per_second)


def summary(subject: Subject, tuned: Tuned) -> str:
    """What the search came to, in one sentence."""
    best = tuned.best
    tried = "1 measurement" if len(tuned.tried) == 1 else f"{len(tuned.tried)} measurements"
    if not best.per_second and tuned.tried[-1][1].is_cut:
        return (
            f"{subject.model.name}: no rate was found that keeps {subject.objective} before the "
            "time was spent: give a longer --budget"
        )
    if not best.per_second:
        return f"{subject.model.name}: nothing keeps {subject.objective}, after {tried}"
    gain = _gain(tuned)
    more = "" if gain is None else f", {number(100 * gain)} % more than {tuned.first.configuration}"
    return (
        f"{subject.model.name}: {best.configuration} sustain {number(best.per_second)} requests/s "
        f"with {subject.objective} ({_seen(best)}){more}, after {tried}: {tuned.reason}"
    )


def _seen(best: Repeated) -> str:
    """How often it was measured, and how far these were apart."""
    if best.times == 1:
        return "measured once"
    least, most = number(min(best.rates)), number(max(best.rates))
    return f"the mean of {best.times} measurements, {least} to {most}"


def _gain(tuned: Tuned) -> float | None:
    """How much more the best sustains than the configuration of the spec."""
    first = tuned.first.per_second
    return tuned.best.per_second / first - 1 if first else None


def patch_of(subject: Subject, now: Configuration, best: Configuration) -> dict[str, Any] | None:
    """The part of the AgentDeployment that is to be another; None where nothing is."""
    if not settings.changes(now, best):
        return None
    entry = settings.patch(subject.model, now, best)
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"name": subject.agent},
        "spec": {"models": [entry]},
    }


def notes_of(subject: Subject, patch: dict[str, Any] | None) -> Iterator[str]:
    """What a reader may not expect of what was tried, and of what is to be another."""
    model, rows = subject.model, subject.model.max_batch_size
    if not rows:
        yield (
            f"{model.name} makes no batches, since its maxBatchSize is 0: its instances alone were "
            "tried"
        )
    entry = patch["spec"]["models"][0] if patch else {}
    if "batching" in entry and settings.rows_alone(model) is not None:
        yield (
            f"batching is switched on for {model.name}, whose requests are executed one by one now"
        )
    if entry.get("maxBatchSize", rows) < rows:
        yield (
            f"a request to {model.name} may then hold {entry['maxBatchSize']} rows at most, and "
            f"{rows} now"
        )


def as_object(
    subject: Subject, tuned: Tuned, now: Configuration, patch: dict[str, Any] | None
) -> dict[str, Any]:
    """The figures, in the names and units of the spec and the status."""
    return {
        "agent": subject.agent,
        "model": subject.model.name,
        "objective": {
            "percentile": subject.objective.percentile,
            "latencyMilliseconds": rounded(subject.objective.limit_seconds * 1e3),
            "maxFailureRatio": subject.max_failure_ratio,
        },
        "now": _knobs(now),
        "best": {
            **_knobs(tuned.best.configuration),
            "sustainedPerSecond": rounded(tuned.best.per_second),
            "measurements": tuned.best.times,
            "leastPerSecond": rounded(min(tuned.best.rates)),
            "mostPerSecond": rounded(max(tuned.best.rates)),
        },
        "gain": None if (gain := _gain(tuned)) is None else rounded(gain),
        "reason": tuned.reason,
        "seconds": rounded(tuned.seconds),
        "notes": list(notes_of(subject, patch)),
        "patch": patch,
        "tried": [_tried(step, trial) for step, trial in tuned.tried],
    }


def _tried(step: Try, trial: "Trial") -> dict[str, Any]:
    return {
        **_knobs(step.configuration),
        "sustainedPerSecond": rounded(trial.measured.per_second),
        "expectedPerSecond": _figure(step.expected_per_second),
        "mostPerSecond": _figure(step.most_per_second),
        "refused": trial.refused or None,
        "cutShort": trial.is_cut,
        "probes": [
            {
                "perSecond": rounded(probe.per_second),
                "requests": probe.requests,
                "late": probe.late,
                "failed": probe.failed,
            }
            for probe in trial.probes
        ],
        "batches": [
            {
                "size": size,
                "executions": total.executions,
                "meanMilliseconds": rounded(total.mean_seconds * 1e3),
            }
            for size, total in sorted(trial.measured.batches.items())
        ],
    }


def _knobs(configuration: Configuration) -> dict[str, Any]:
    return {
        "maxBatchSize": configuration.max_batch,
        "instances": configuration.instances,
        "maxQueueDelay": settings.told(configuration, Knob.MAX_QUEUE_DELAY),
    }


def _figure(value: float | None) -> float | None:
    return None if value is None else rounded(value)
