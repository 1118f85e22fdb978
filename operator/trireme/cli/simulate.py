"""`trireme simulate`: what autoscalers would have made of recorded traffic."""

import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from trireme.api.scalars import format_duration, parse_duration, parse_ratio
from trireme.autoscaler.queueing import PodShape
from trireme.autoscaler.service_curve import ServiceCurve
from trireme.cli import past_traffic
from trireme.control.clock import utc_now
from trireme.errors import (
    IncompleteHistory,
    InvalidTrace,
    SignalsUnavailable,
    UnattainableObjective,
)
from trireme.simulator import comparison
from trireme.simulator.comparison import Score
from trireme.simulator.contenders import CONTENDERS
from trireme.simulator.failures import Failures
from trireme.simulator.fluid import LeadTime
from trireme.simulator.pods import Balancer
from trireme.simulator.policy import Bounds
from trireme.simulator.scenario import Objective, Scenario, sustained, with_peak
from trireme.simulator.traces import Traffic, parse, traffic_of, window

T = TypeVar("T")
Drawer = Callable[[Scenario, Sequence[Score], Sequence[Score], Path], list[Path]]

_NAMES = ", ".join(CONTENDERS)
_SLO = re.compile(r"p([1-9][0-9]?)=(.+)")
_MOMENT = "%Y-%m-%dT%H:%M:%SZ"
_SHORTEST_STEP, _LONGEST_STEP_SECONDS = timedelta(seconds=5), 3600
_TRACE_PEAK = 20  # replicas that a trace's highest rate takes, unless said
_DEATHS, _OUTAGES = re.compile(r"deaths=(\d{1,3}(?:\.\d+)?)"), re.compile(r"outages=(\d{1,3})x(.+)")
_LONGEST_OUTAGE_SECONDS = 86400
_MOST_REPLICAS = 10_000
_LONGEST_LEAD_SECONDS = 3600
_MOST_BATCH = 1024
_MOST_DEATHS = 60  # of a pod an hour: one a minute, before most have served for long
_OF_THE_PAST = ("agent", "model", "days", "until", "step", "fill_gaps")


class Output(StrEnum):
    """How the comparison is printed."""

    TABLE = "table"  # for people
    JSON = "json"  # one list, on standard output


def simulate(
    context: typer.Context,
    *,
    trace: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            exists=True,
            dir_okay=False,
            readable=True,
            help="Recorded traffic: a CSV of seconds,requests per bin, or of seconds per arrival.",
        ),
    ] = None,
    prometheus: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Instead: what an agent was asked, by this Prometheus."),
    ] = None,
    agent: Annotated[
        str | None, typer.Option(metavar="NAMESPACE/NAME", help="Which agent, with --prometheus.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Which of its models, where it has no gateway, or is asked by streams."),
    ] = None,
    days: Annotated[
        float, typer.Option(min=0.01, max=366, help="How much of its past, up to --until.")
    ] = 14,
    until: Annotated[
        datetime | None,
        typer.Option(metavar="TIME", formats=[_MOMENT], help="In UTC; now unless said."),
    ] = None,
    step: Annotated[
        str, typer.Option(metavar="DURATION", help="Between two values of its past.")
    ] = "60s",
    fill_gaps: Annotated[
        str,
        typer.Option(
            metavar="DURATION",
            help="Draw a straight line where values are missing for so long at most.",
        ),
    ] = "0s",
    curve: Annotated[
        str,
        typer.Option(
            metavar="A,C,B",
            help="What a batch of b requests takes, A + C b, and the largest b: 6ms,2ms,16.",
        ),
    ],
    slo: Annotated[
        str, typer.Option("--slo", metavar="pN=DURATION", help="The objective: p95=100ms.")
    ],
    lead_time: Annotated[
        str,
        typer.Option(metavar="DURATION", help="From the order of a pod to its first answer: 30s."),
    ],
    peak_replicas: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=_MOST_REPLICAS,
            help="Scale the traffic so that so many pods sustain its highest rate; a trace to 20, "
            "an agent's past not, unless said.",
        ),
    ] = None,
    policies: Annotated[
        str, typer.Option(metavar="NAME,...", help=f"Which to compare, of {_NAMES}.")
    ] = "trireme,hpa-rps,hpa-p95,keda,kpa",
    instances: Annotated[
        int, typer.Option(min=1, max=64, help="Instances of the model in each pod.")
    ] = 1,
    noise: Annotated[
        str, typer.Option(metavar="PERCENT", help="How batches' times vary around the curve: 10%.")
    ] = "0%",
    lead_time_variation: Annotated[
        str, typer.Option(metavar="PERCENT", help="How lead times vary around theirs: 30%.")
    ] = "0%",
    min_replicas: Annotated[int, typer.Option(min=1, help="What no policy goes below.")] = 1,
    max_replicas: Annotated[
        int | None,
        typer.Option(min=1, max=_MOST_REPLICAS, help="Nor above; by default twice the peak's."),
    ] = None,
    balancer: Annotated[
        Balancer, typer.Option(help="How requests are spread; the gateway is power-of-two.")
    ] = Balancer.POWER_OF_TWO,
    length: Annotated[
        str | None,
        typer.Option("--window", metavar="DURATION", help="Only a part of the trace so long: 48h."),
    ] = None,
    failures: Annotated[
        str,
        typer.Option(
            metavar="WHAT,...",
            help="deaths=0.02 of each pod an hour, outages=3x10m of the metrics in all.",
        ),
    ] = "",
    seed: Annotated[
        int, typer.Option(min=0, help="Of all that is drawn; the same seed, the same answer.")
    ] = 1,
    output: Annotated[Output, typer.Option("-o", "--output", help="table or json.")] = Output.TABLE,
    plots: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            file_okay=False,
            help="Write PNGs into this directory, with each policy's target swept.",
        ),
    ] = None,
) -> None:
    """Compare autoscalers on recorded traffic, in virtual time: cost, and requests over the SLO.

    The trace's rate is smoothed over a minute and scaled; pods are simulated second by second. Each
    policy's GPU-hours are put beside a clairvoyant's: a bound that none can go below and keep the
    SLO minute by minute, and the cost of a schedule that keeps it in the same simulation. With -o
    json the answer is a list of objects, one a policy.
    """
    names = _names(policies)
    draw = _drawer() if plots is not None else None
    pod = PodShape(_curve(curve), instances, _ratio("--noise", noise))
    objective = _objective(slo)
    lead = LeadTime(
        _seconds("--lead-time", lead_time, _LONGEST_LEAD_SECONDS),
        _ratio("--lead-time-variation", lead_time_variation),
    )
    fails = _failures(failures)
    part = None if length is None else int(_seconds("--window", length))
    if part is not None and part < 60:
        raise typer.BadParameter(f"{length} is too short: write 1m or more", param_hint="--window")
    if (trace is None) == (prometheus is None):
        raise typer.BadParameter("say one of both", param_hint="--trace, --prometheus")
    if prometheus is None:
        _refuse_options_of_the_past(context)
    try:
        most_sustained = sustained(pod, objective)
    except UnattainableObjective as error:
        raise typer.BadParameter(
            f"{slo} cannot be kept: {error} with this --curve; raise the limit, or lower --curve",
            param_hint="--slo",
        ) from error
    if trace is not None:
        peak_replicas = peak_replicas or _TRACE_PEAK
        traffic = _recorded(trace)
    else:
        traffic = _measured(prometheus or "", agent, model, days, until, step, fill_gaps)
    if peak_replicas is None:
        peak_replicas = math.ceil(float(traffic.rate_per_second.max()) / most_sustained)
    else:
        traffic = with_peak(traffic, pod, objective, peak_replicas)
    most = max_replicas or 2 * peak_replicas
    if min_replicas > most:
        raise typer.BadParameter(
            f"{min_replicas} is more than --max-replicas {most}: lower it, or raise that",
            param_hint="--min-replicas",
        )
    if part is not None:
        traffic = window(traffic, part, seed)
    on = Scenario(traffic, pod, objective, lead, Bounds(min_replicas, most), seed, balancer, fails)
    with _progress(len(names) * (1 if draw is None else 1 + len(comparison.MULTIPLES)) + 1) as bar:
        scores = comparison.compare(on, names, bar)
        if draw is not None and plots is not None:
            swept = [
                score
                for name in names
                for score in comparison.sweep(on, scores[0].optimum, name, bar)
            ]
            written = draw(on, scores, swept, plots)
    if output is Output.JSON:
        typer.echo(json.dumps([_as_object(score) for score in scores], indent=2))
    else:
        _print_table(on, scores)
    if draw is not None:
        for path in written:
            typer.echo(f"wrote {path}", err=True)


# ---------------------------------------------------------------------------------------- traffic


def _recorded(trace: Path) -> Traffic:
    try:
        with trace.open(encoding="utf-8") as lines:
            return traffic_of(parse(lines, trace.name))
    except (InvalidTrace, UnicodeDecodeError) as error:
        typer.echo(f"--trace {trace}: {error}", err=True)
        raise typer.Exit(1) from error


def _measured(
    prometheus: str,
    agent: str | None,
    model: str | None,
    days: float,
    until: datetime | None,
    step: str,
    fill_gaps: str,
) -> Traffic:
    """An agent's past; what of it was filled is told on standard error."""
    if agent is None:
        raise typer.BadParameter("say which, as NAMESPACE/NAME", param_hint="--agent")
    namespace, name = _parsed("--agent", agent, past_traffic.agent_of)
    width = timedelta(seconds=int(_seconds("--step", step, _LONGEST_STEP_SECONDS)))
    if width < _SHORTEST_STEP:
        raise typer.BadParameter(f"{step} is too short: write 5s or more", param_hint="--step")
    end = utc_now() if until is None else until.replace(tzinfo=UTC)
    wanted = past_traffic.Wanted(
        url=prometheus,
        namespace=namespace,
        agent=name,
        model=model,
        end=past_traffic.on_whole_steps(end, width),
        step=width,
        steps=max(int(timedelta(days=days) / width), 2),
        longest_gap=timedelta(seconds=_seconds("--fill-gaps", fill_gaps)),
    )
    try:
        past = past_traffic.ask(wanted)
    except (SignalsUnavailable, IncompleteHistory) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    for gap in past.filled:
        typer.echo(f"filled: {gap}", err=True)
    return traffic_of(past.trace)


# ---------------------------------------------------------------------------------------- options


def _refuse_options_of_the_past(context: typer.Context) -> None:
    """Nothing that was said is passed over: these options choose a part of an agent's past."""
    given = [
        f"--{name.replace('_', '-')}"
        for name in _OF_THE_PAST
        if (source := context.get_parameter_source(name)) and source.name == "COMMANDLINE"
    ]
    if given:
        raise typer.BadParameter(
            "a --trace is taken as it is: leave it out, or say --prometheus instead of --trace",
            param_hint=", ".join(given),
        )


def _names(text: str) -> list[str]:
    names = list(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in CONTENDERS:
            raise typer.BadParameter(
                f"there is no policy {name!r}: write some of {_NAMES}", param_hint="--policies"
            )
    return names


def _curve(text: str) -> ServiceCurve:
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 3:
        raise typer.BadParameter(
            f"{text!r} is not two durations and a batch size: write 6ms,2ms,16",
            param_hint="--curve",
        )
    fixed, each = (_seconds("--curve", part) for part in parts[:2])
    if not (parts[2].isdecimal() and 1 <= int(parts[2]) <= _MOST_BATCH):
        raise typer.BadParameter(
            f"{parts[2]!r} is not a batch size from 1 to {_MOST_BATCH}: write 6ms,2ms,16",
            param_hint="--curve",
        )
    if fixed + each == 0:
        raise typer.BadParameter(f"{text!r} takes no time: write 6ms,2ms,16", param_hint="--curve")
    return ServiceCurve(fixed, each, int(parts[2]))


def _objective(text: str) -> Objective:
    match = _SLO.fullmatch(text.strip())
    if match is None:
        raise typer.BadParameter(
            f"{text!r} is not a percentile from p1 to p99 and a duration: write p95=100ms",
            param_hint="--slo",
        )
    return Objective(int(match[1]), _seconds("--slo", match[2]))


def _failures(text: str) -> Failures:
    """`deaths=0.02,outages=3x10m`, either or both."""
    found = Failures()
    for part in filter(None, (part.strip() for part in text.split(","))):
        if match := _DEATHS.fullmatch(part):
            if float(match[1]) > _MOST_DEATHS:
                raise typer.BadParameter(
                    f"{part!r} is more than one death a minute: write deaths={_MOST_DEATHS} or "
                    "less, of each pod an hour",
                    param_hint="--failures",
                )
            found = replace(found, deaths_per_pod_hour=float(match[1]))
        elif match := _OUTAGES.fullmatch(part):
            seconds = int(_seconds("--failures", match[2], _LONGEST_OUTAGE_SECONDS))
            found = replace(found, outages=int(match[1]), outage_seconds=seconds)
        else:
            raise typer.BadParameter(
                f"{part!r} is no failure: write deaths=0.02 or outages=3x10m",
                param_hint="--failures",
            )
    return found


def _seconds(option: str, text: str, most: float | None = None) -> float:
    seconds = _parsed(option, text, parse_duration).total_seconds()
    if most is not None and seconds > most:
        raise typer.BadParameter(
            f"{text!r} is too long: write {most:g}s or less", param_hint=option
        )
    return seconds


def _ratio(option: str, text: str) -> float:
    return _parsed(option, text, parse_ratio)


def _parsed(option: str, text: str, parser: Callable[[object], T]) -> T:
    try:
        return parser(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


# ----------------------------------------------------------------------------------------- output


def _as_object(score: Score) -> dict[str, Any]:
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


def _print_table(on: Scenario, scores: Sequence[Score]) -> None:
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
    span = format_duration(timedelta(seconds=len(on.traffic.rate_per_second)))
    start = format_duration(timedelta(seconds=on.traffic.start_seconds))
    limit = format_duration(timedelta(seconds=on.objective.limit_seconds))
    lead = format_duration(timedelta(seconds=on.lead_time.seconds))
    return (
        f"{on.traffic.name}: {span}, from {start} on, seed {on.seed}\n"
        f"p{on.objective.percentile} within {limit}, lead time {lead}; "
        f"a pod sustains {on.sustained_per_second:.0f} requests/s\n"
    )


@contextmanager
def _progress(steps: int) -> Iterator[comparison.Progress]:
    """A bar on standard error where that is a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description:<14}"), BarColumn(), TimeElapsedColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task("", total=steps)
        done, before = 0, ("", 0.0)

        def tell(what: str, share: float) -> None:
            nonlocal done, before
            if before[0] and (what != before[0] or share < before[1]):
                done += 1
            before = (what, share)
            progress.update(task, description=what, completed=done + share)

        yield tell


def _drawer() -> Drawer:
    """What draws: an extra, since most who simulate want figures only."""
    try:
        from trireme.cli.simulation_plots import draw
    except ModuleNotFoundError as error:
        raise typer.BadParameter(
            f"needs {error.name}, which is not installed: pip install 'trireme[plots]'",
            param_hint="--plots",
        ) from error
    return draw
