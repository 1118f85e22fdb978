"""The whole run at its end: what was asked, served and lost, and why each decision. Pure."""

from dataclasses import dataclass
from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from demo.state import State, within_objective
from demo.view import BAD, GOOD, clock, milliseconds
from load.results import ErrorCount, Percentiles
from trireme.api.scaling_status import DecisionStatus


@dataclass(frozen=True, slots=True)
class TimedDecision:
    """A decision, and how long after the load's start it was taken (None where the start is not
    known).
    """

    decision: DecisionStatus
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Result:
    """The run as a whole.

    `kept_seconds` of `judged_seconds` had a p95 within `target_ms`; seconds of which nothing is
    known are not judged.
    """

    asked: int
    served: int
    errors: tuple[ErrorCount, ...]
    not_sent: int
    latency_ms: Percentiles | None
    target_ms: float | None
    kept_seconds: int
    judged_seconds: int
    most_ready: int
    decisions: tuple[TimedDecision, ...]

    @property
    def lost(self) -> int:
        """Requests without a right answer."""
        return self.asked - self.served

    @property
    def exit_code(self) -> int:
        """1 where a request was lost or none was served, else 0."""
        return 0 if self.lost == 0 and self.served > 0 else 1


def result_of(state: State) -> Result | None:
    """The result, or None where the load did not come to its own summary."""
    if state.summary is None:
        return None
    summary, target = state.summary, state.target_ms
    judged = [
        kept
        for moment in state.moments
        if target is not None and (kept := within_objective(moment, target)) is not None
    ]
    return Result(
        asked=summary.asked,
        served=summary.ok,
        errors=summary.errors,
        not_sent=summary.not_sent,
        latency_ms=summary.latency_ms,
        target_ms=target,
        kept_seconds=sum(judged),
        judged_seconds=len(judged),
        most_ready=max((moment.ready or 0 for moment in state.moments), default=0),
        decisions=tuple(
            TimedDecision(decision, seconds)
            for decision in state.decisions
            if (seconds := _seconds_between(state.load_started, decision.time)) is None
            or seconds >= 0  # earlier ones belong to an earlier run
        ),
    )


def _seconds_between(start: datetime | None, time: str) -> float | None:
    return None if start is None else (datetime.fromisoformat(time) - start).total_seconds()


def report(result: Result) -> RenderableType:
    """The result for people."""
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", style="dim")
    table.add_column(overflow="fold")
    table.add_row("asked", f"{result.asked} requests")
    table.add_row("served", f"{result.served} requests")
    table.add_row("lost", Text(str(result.lost), style=BAD if result.lost else GOOD))
    for error in result.errors:
        first = clock(error.first_seconds)
        table.add_row("", f"{error.count} × {error.protocol}, first at {first}: {error.text}")
    if result.not_sent:
        table.add_row("", f"{result.not_sent} × not sent: too many were unanswered")
    if result.latency_ms is not None:
        found = result.latency_ms
        table.add_row(
            "latency at client",
            f"p50 {milliseconds(found.p50)}, p95 {milliseconds(found.p95)}, "
            f"p99 {milliseconds(found.p99)}",
        )
    if result.judged_seconds:
        share = result.kept_seconds / result.judged_seconds
        table.add_row(
            "objective kept",
            f"{share:.0%} of the time (p95 within {milliseconds(result.target_ms)} in "
            f"{result.kept_seconds} of {result.judged_seconds} seconds)",
        )
    table.add_row("pods at most", f"{result.most_ready} ready")
    return Group(
        Text("Summary", style="bold"),
        table,
        Text("\nDecisions, by time since the load began", style="bold"),
        _decisions(result),
    )


def _decisions(result: Result) -> RenderableType:
    if not result.decisions:
        return Text("none was taken")
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", style="dim", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for timed in result.decisions:
        decision = timed.decision
        table.add_row(
            decision.time[11:19] if timed.seconds is None else f"+{clock(timed.seconds)}",
            f"{decision.from_replicas} → {decision.to_replicas}",
            decision.reason,
            Text(decision.message),
        )
    return table
