"""The traffic that `trireme simulate` takes from a trace, or from an agent's own past."""

from datetime import datetime, timedelta
from pathlib import Path

import typer

from trireme.cli import past_traffic
from trireme.cli.simulation_options import moment, parsed, seconds_of
from trireme.control.clock import utc_now
from trireme.errors import IncompleteHistory, InvalidTrace, SignalsUnavailable
from trireme.simulator.traces import Traffic, parse, traffic_of

_SHORTEST_STEP, _LONGEST_STEP_SECONDS = timedelta(seconds=5), 3600


def recorded(trace: Path) -> Traffic:
    """That of a trace; ends the command where the file is no trace."""
    try:
        with trace.open(encoding="utf-8") as lines:
            return traffic_of(parse(lines, trace.name))
    except (InvalidTrace, UnicodeDecodeError) as error:
        typer.echo(f"--trace {trace}: {error}", err=True)
        raise typer.Exit(1) from error


def measured(
    prometheus: str,
    agent: str | None,
    model: str | None,
    alone: bool,
    days: float,
    until: datetime | None,
    step: str,
    fill_gaps: str,
) -> tuple[Traffic, datetime]:
    """An agent's past, and when it begins; what of it was filled is told on standard error."""
    if agent is None:
        raise typer.BadParameter("say which, as NAMESPACE/NAME", param_hint="--agent")
    namespace, name = parsed("--agent", agent, past_traffic.agent_of)
    width = timedelta(seconds=int(seconds_of("--step", step, _LONGEST_STEP_SECONDS)))
    if width < _SHORTEST_STEP:
        raise typer.BadParameter(f"{step} is too short: write 5s or more", param_hint="--step")
    end = utc_now() if until is None else moment("--until", until)
    wanted = past_traffic.Wanted(
        url=prometheus,
        namespace=namespace,
        agent=name,
        model=model,
        end=past_traffic.on_whole_steps(end, width),
        step=width,
        steps=max(int(timedelta(days=days) / width), 2),
        longest_gap=timedelta(seconds=seconds_of("--fill-gaps", fill_gaps)),
        alone=alone,
    )
    try:
        past = past_traffic.ask(wanted)
    except (SignalsUnavailable, IncompleteHistory) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    for gap in past.filled:
        typer.echo(f"filled: {gap}", err=True)
    return traffic_of(past.trace), past.begin - width  # its first step ends there
