"""What `trireme simulate` prints: objects for programs, tables for people."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.table import Table

from trireme.api.scalars import format_duration
from trireme.simulator import comparison
from trireme.simulator.class_comparison import ClassScenario, ClassScore
from trireme.simulator.comparison import Score
from trireme.simulator.hours import Hours
from trireme.simulator.policy import Bounds
from trireme.simulator.scenario import Objective, Scenario
from trireme.simulator.served import PipelinePod
from trireme.simulator.traces import Traffic

MOMENT = "%Y-%m-%dT%H:%M:%SZ"


def as_object(score: Score) -> dict[str, Any]:
    """The figures, rounded to what they mean."""
    outcome, optimum = score.outcome, score.optimum
    upper = optimum.upper_hours
    return {
        "policy": score.policy,
        "gpu_hours": round(score.gpu_hours, 4),
        "clairvoyant_lower": round(optimum.lower_hours, 4),
        "clairvoyant_upper": None if upper is None else round(upper, 4),
        "ratio": None if score.ratio is None else round(score.ratio, 4),
        "violation_share": round(outcome.late_share, 6),
        "scale_ups": outcome.scale_ups,
        "scale_downs": outcome.scale_downs,
        "max_replicas": outcome.max_replicas,
    }


def print_table(on: Scenario, scores: Sequence[Score]) -> None:
    """Policies on one sort of pods."""
    optimum = scores[0].optimum
    table = Table(box=None, pad_edge=False)
    table.add_column("policy")
    for name in ("GPU-hours", "of optimum", "over SLO", "ups", "downs", "most pods"):
        table.add_column(name, justify="right")
    for score in scores:
        outcome = score.outcome
        is_kept = outcome.late_share <= comparison.MOST_LATE
        table.add_row(
            score.policy,
            f"{score.gpu_hours:.1f}",
            "-" if score.ratio is None else f"{score.ratio:.2f} x",
            f"[{'green' if is_kept else 'red'}]{outcome.late_share:.2%}[/]",
            str(outcome.scale_ups),
            str(outcome.scale_downs),
            str(outcome.max_replicas),
        )
    upper = optimum.upper_hours
    kept = "no schedule keeps the SLO" if upper is None else f"{upper:.1f} with the SLO kept"
    console = Console(highlight=False)
    console.print(_title(on), style="bold", soft_wrap=True)
    console.print(table)
    console.print(f"clairvoyant: {optimum.lower_hours:.1f} GPU-hours at least, {kept}", style="dim")


def _title(on: Scenario) -> str:
    lead = format_duration(timedelta(seconds=on.lead_time.seconds))
    by = f" by {on.pod.busiest_model}" if isinstance(on.pod, PipelinePod) else ""
    room = "" if on.room is None else f", of which a GPU budget has room for {on.room}"
    return (
        f"{_traffic_and_objective(on.traffic, on.objective, on.hours, on.seed)}, lead time {lead}; "
        f"a pod sustains {on.sustained_per_second:.0f} requests/s{by}\n"
        f"{_bounds(on.bounds, on.hours, room)}"
    )


def _traffic_and_objective(traffic: Traffic, objective: Objective, hours: Hours, seed: int) -> str:
    span = format_duration(timedelta(seconds=len(traffic.rate_per_second)))
    start = format_duration(timedelta(seconds=traffic.start_seconds))
    if hours.begins is not None:
        start = f"{hours.begins:{MOMENT}}"
    limit = format_duration(timedelta(seconds=objective.limit_seconds))
    return (
        f"{traffic.name}: {span}, from {start} on, seed {seed}\n"
        f"p{objective.percentile} within {limit}"
    )


def _bounds(bounds: Bounds, hours: Hours, room: str) -> str:
    """How many pods there may be, where that is not all the same number from 1 on."""
    if not (hours.schedules or room or bounds.least == 0):
        return ""
    widest, times = hours.widest(bounds), len(hours.schedules)
    told = "1 schedule" if times == 1 else f"{times} schedules"
    by = f", {widest.least} to {widest.most} by {told}" if times else ""
    return f"{bounds.least} to {bounds.most} pods{by}{room}\n"


def class_object(score: ClassScore) -> dict[str, Any]:
    """The figures, rounded to what they mean."""
    outcome = score.outcome
    return {
        "policy": score.policy,
        "cost": round(score.cost, 4),
        "least_cost": round(score.least_cost, 4),
        "ratio": None if score.ratio is None else round(score.ratio, 4),
        "pod_hours": {
            each.name: round(seconds / comparison.HOUR, 4)
            for each, seconds in zip(score.classes, outcome.pod_seconds, strict=True)
        },
        "violation_share": round(outcome.late_share, 6),
        "scale_ups": outcome.scale_ups,
        "scale_downs": outcome.scale_downs,
        "max_replicas": outcome.max_replicas,
    }


def print_classes(on: ClassScenario, scores: Sequence[ClassScore]) -> None:
    """Fleets of node classes."""
    table = Table(box=None, pad_edge=False)
    table.add_column("policy")
    table.add_column("pod-hours")
    for name in ("cost", "of least", "over SLO", "ups", "downs", "most pods"):
        table.add_column(name, justify="right")
    for score in scores:
        outcome = score.outcome
        is_kept = outcome.late_share <= comparison.MOST_LATE
        spent = zip(score.classes, outcome.pod_seconds, strict=True)
        table.add_row(
            score.policy,
            ", ".join(f"{seconds / comparison.HOUR:.1f} {each.name}" for each, seconds in spent),
            f"{score.cost:.2f}",
            "-" if score.ratio is None else f"{score.ratio:.2f} x",
            f"[{'green' if is_kept else 'red'}]{outcome.late_share:.2%}[/]",
            str(outcome.scale_ups),
            str(outcome.scale_downs),
            str(outcome.max_replicas),
        )
    console = Console(highlight=False)
    told = [
        f"{each.name}: {each.price:g} an hour, lead time "
        f"{format_duration(timedelta(seconds=each.lead_time.seconds))}; a pod sustains "
        f"{rate:.0f} requests/s"
        for each, rate in zip(on.classes, on.sustained_per_second, strict=True)
    ]
    room = "" if on.gpus is None else f", of a GPU budget of {on.gpus}"
    subject = _traffic_and_objective(on.traffic, on.objective, on.hours, on.seed)
    title = "\n".join([subject, *told, _bounds(on.bounds, on.hours, room)])
    console.print(title, style="bold", soft_wrap=True)
    console.print(table)
    words = f"the cheapest mix at each moment, started for nothing: {scores[0].least_cost:.2f}"
    console.print(words, style="dim")
