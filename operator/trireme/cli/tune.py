"""`trireme tune`: the knobs by which a pod sustains the most, found by measurement."""

import asyncio
import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from trireme.api import names
from trireme.api.agent import AgentSpec
from trireme.api.models import Model
from trireme.api.scalars import format_duration, parse_duration
from trireme.api.tuning import Knob
from trireme.autoscaler.wording import number, rounded
from trireme.cli.manifests import to_yaml
from trireme.cli.specs import ManifestOption, examine_file, report
from trireme.cli.told import read_agent
from trireme.errors import ClusterError, TriremeError
from trireme.tuner import settings
from trireme.tuner.ranking import Repeated, best_of, repeated
from trireme.tuner.rate_search import Probe
from trireme.tuner.search import Done, Try, next_step
from trireme.tuner.types import Configuration, Measured, Objective, Space

if TYPE_CHECKING:
    from trireme.edge.spare_server import SpareServer, Trial, Wish

_PATIENCE = 10.0  # times the objective's limit, that a request is waited for


class Output(StrEnum):
    """How the answer is written."""

    TABLE = "table"  # what was measured, and then the patch
    PATCH = "patch"  # the part of the AgentDeployment that is to be another, in YAML
    JSON = "json"


@dataclass(frozen=True, slots=True)
class _Subject:
    """What is tuned."""

    agent: str
    spec: AgentSpec
    model: Model
    objective: Objective
    max_failure_ratio: float


@dataclass(frozen=True, slots=True)
class _Tuned:
    """All that was tried, in order; the present configuration is the first."""

    tried: tuple[tuple[Try, "Trial"], ...]
    best: Repeated
    reason: str
    seconds: float

    @property
    def first(self) -> Repeated:
        """The present configuration."""
        return repeated(_counted(self.tried))[0]


def tune(
    server: Annotated[
        str,
        typer.Option(
            metavar="HOST:PORT", help="A Triton that serves the agent's models and nobody uses."
        ),
    ],
    agent: Annotated[
        str | None,
        typer.Argument(help="An AgentDeployment in the cluster; else give -f.", show_default=False),
    ] = None,
    filename: Annotated[typer.FileText | None, ManifestOption] = None,
    namespace: Annotated[
        str | None,
        typer.Option("-n", "--namespace", help="Its namespace; else the kube-context's."),
    ] = None,
    offline: Annotated[
        bool,
        typer.Option(
            "--offline",
            help="Needed: the server is configured anew, and loaded to its limit.",
        ),
    ] = False,
    model: Annotated[
        str | None, typer.Option(help="The model; by default that of the only objective.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="What requests hold: .npz, arrays by input whose first dimension counts the "
            "samples, or .json, a list of objects by input. By default random tensors.",
        ),
    ] = None,
    shape: Annotated[
        list[str] | None,
        typer.Option(metavar="INPUT:1x3", help="Size of an input that varies, without the batch."),
    ] = None,
    budget: Annotated[
        str,
        typer.Option(
            metavar="DURATION",
            help="Nothing is offered for longer; a configuration that is being loaded is awaited.",
        ),
    ] = "30m",
    measurements: Annotated[
        int,
        typer.Option(
            min=1, max=1000, help="No more than so many; an eighth is kept to measure again."
        ),
    ] = 20,
    control_key_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="Holds the key of the server's control interface, where it asks for one.",
        ),
    ] = None,
    output: Annotated[
        Output, typer.Option("-o", "--output", help="table, patch or json.")
    ] = Output.TABLE,
) -> None:
    """Find by measurement the batches and instances that sustain most.

    Each configuration is set by Triton's model control interface (--model-control-mode=explicit)
    and measured: requests are offered at rates that come ever nearer to the highest at which the
    objective of the spec is kept. What is measured says which configuration to try next; it ends
    when none that is left may be better by more than 3 %, within spec.tuning.limits, and the best
    was measured again beside its closest rival. The server is as it was afterwards. Latencies are
    this command's own: run it near the server. Ends with 1 where nothing keeps the objective, or
    what is given has faults.
    """
    if not offline:
        raise typer.BadParameter(
            "only a server that nobody uses can be tuned so: say --offline, and use "
            "spec.tuning for an agent that serves",
            param_hint="--offline",
        )
    try:
        seconds = parse_duration(budget).total_seconds()
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--budget") from error
    subject = _subject(*_spec(agent, filename, namespace), model)
    key = control_key_file.read_text().strip() if control_key_file else ""
    wish = _wish(subject)
    _check_budget(budget, seconds, wish)
    sizes = _sizes(shape or [])
    try:
        with _progress(measurements) as told:
            tuned = asyncio.run(
                _tuned(server, key, subject, wish, data, sizes, measurements, seconds, told)
            )
    except TriremeError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    now = settings.configuration_of(subject.model, subject.spec.server)
    patch = _patch(subject, now, tuned.best.configuration)
    match output:
        case Output.JSON:
            typer.echo(json.dumps(_facts(subject, tuned, now, patch), indent=2))
        case Output.PATCH:
            typer.echo(to_yaml(patch) if patch else "# nothing is to be changed", nl=not patch)
            for note in _notes(subject, patch):
                typer.echo(note, err=True)
        case Output.TABLE:
            _print(subject, tuned, patch)
    if not tuned.best.per_second:
        raise typer.Exit(1)


# ----------------------------------------------------------------------------------- what is given


def _spec(
    agent: str | None, file: typer.FileText | None, namespace: str | None
) -> tuple[str, AgentSpec]:
    """An agent's name and spec, from a file or the cluster."""
    if (agent is None) == (file is None):
        raise typer.BadParameter("give an agent's name, or -f FILE", param_hint="AGENT")
    if agent is not None:
        try:
            told, _, _ = asyncio.run(read_agent(agent, namespace))
        except ClusterError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(1) from error
        if told.spec is None:
            typer.echo(f"the spec that {agent} runs by cannot be read", err=True)
            raise typer.Exit(1)
        return agent, told.spec
    assert file is not None  # noqa: S101  # one of both is there
    examined = examine_file(file, namespace)
    for line in report(examined):
        typer.echo(line, err=True)
    first = examined[0]
    if first.faults or first.agent is None:
        raise typer.Exit(1)
    if len(examined) > 1:
        raise typer.BadParameter("there are several agents in it: give one", param_hint="-f")
    return first.name, first.agent.spec


def _subject(agent: str, spec: AgentSpec, name: str | None) -> _Subject:
    """The model to tune, and the objective it is to keep."""
    if name is None and len(spec.objectives) != 1:
        raise typer.BadParameter("say which: there is not one objective", param_hint="--model")
    name = name or spec.objectives[0].model
    model = spec.model_named(name)
    objective = next((each for each in spec.objectives if each.model == name), None)
    if model is None or objective is None:
        found = sorted({m.name for m in spec.models} & {o.model for o in spec.objectives})
        raise typer.BadParameter(
            f"{name} is no model with an objective of its own; such are: {', '.join(found) or '-'}",
            param_hint="--model",
        )
    if not settings.is_tunable(model):
        raise typer.BadParameter(
            f"{name} has sequences, or several answers to a request: no rate tells of it",
            param_hint="--model",
        )
    latency = objective.latency
    kept = Objective(latency.percentile, latency.target.total_seconds())
    return _Subject(agent, spec, model, kept, objective.errors.max_ratio)


def _wish(subject: _Subject) -> "Wish":
    """What each configuration is to keep."""
    from trireme.edge.request_load import Bounds
    from trireme.edge.spare_server import Wish

    patience = max(_PATIENCE * subject.objective.limit_seconds, 1.0)
    return Wish(subject.objective, subject.max_failure_ratio, Bounds(request_seconds=patience))


def _check_budget(budget: str, seconds: float, wish: "Wish") -> None:
    """Refuse a time in which not even one configuration is measured."""
    least = wish.least_seconds(None)
    if seconds >= least:
        return
    enough = timedelta(minutes=math.ceil(wish.most_seconds / 60))
    raise typer.BadParameter(
        f"{budget} holds no measurement: with {wish.objective} one takes "
        f"{format_duration(timedelta(seconds=math.ceil(least)))} at least beside its loading. "
        f"Give {format_duration(enough)} for each configuration",
        param_hint="--budget",
    )


def _sizes(told: list[str]) -> dict[str, tuple[int, ...]]:
    found = {}
    for each in told:
        name, colon, sizes = each.rpartition(":")
        try:
            found[name] = tuple(int(size) for size in sizes.split("x"))
        except ValueError:
            colon = ""
        if not colon or not name or min(found.get(name, (0,))) < 1:
            raise typer.BadParameter(
                f"{each!r} is no size of an input: write INPUT:3x224x224", param_hint="--shape"
            )
    return found


# ---------------------------------------------------------------------------------------- the work


async def _tuned(
    address: str,
    key: str,
    subject: _Subject,
    wish: "Wish",
    data: Path | None,
    sizes: dict[str, tuple[int, ...]],
    measurements: int,
    seconds: float,
    told: "_Told",
) -> _Tuned:
    """Measure what the search asks for, until it is done or the time is spent."""
    from trireme.edge import request_data, triton
    from trireme.edge.spare_server import spare_server

    start = asyncio.get_running_loop().time()
    config = await triton.served_config(address, subject.model.name)
    requests = (
        request_data.read(data, config) if data else request_data.drawn(config, sizes, seed=1)
    )
    async with spare_server(address, key, config, requests, wish) as server:
        return await _search(server, subject, wish, measurements, start + seconds, told)


async def _search(
    server: "SpareServer",
    subject: _Subject,
    wish: "Wish",
    measurements: int,
    until: float,
    told: "_Told",
) -> _Tuned:
    loop = asyncio.get_running_loop()
    began = loop.time()
    space = settings.space_of(subject.spec, subject.model)
    start = settings.configuration_of(subject.model, subject.spec.server)
    tried: list[tuple[Try, Trial]] = []
    while True:
        measured = _counted(tried)
        step = await asyncio.to_thread(
            next_step,
            space,
            subject.objective,
            measured,
            start=start,
            most_measurements=min(measurements, _fitting(loop.time(), began, until, len(tried))),
        )
        if isinstance(step, Try) and measured and _is_spent(loop.time(), until, step, tried, wish):
            step = Done(best_of(repeated(measured)), "the time is spent")
        if isinstance(step, Done):
            return _Tuned(tuple(tried), step.best, step.reason, loop.time() - began)
        trial = await server.trial(step, told.of(step, len(tried)), until)
        tried.append((step, trial))
        if trial.refused:
            space = _without(space, trial, measured)


def _counted(tried: Sequence[tuple[Try, "Trial"]]) -> list[Measured]:
    """What was measured. What was cut short says less than what a whole measurement said before."""
    counted: list[Measured] = []
    for _, trial in tried:
        before = {one.configuration for one in counted}
        if not (trial.is_cut and trial.measured.configuration in before):
            counted.append(trial.measured)
    return counted


def _fitting(now: float, began: float, until: float, made: int) -> int:
    """How many measurements the time holds in all, by what those that were made took; one more at
    least, of which `_is_spent` judges.
    """
    if not made:
        return 1
    each = (now - began) / made
    return made + max(1, math.floor((until - now) / each))


def _is_spent(
    now: float, until: float, step: Try, tried: Sequence[tuple[Try, "Trial"]], wish: "Wish"
) -> bool:
    """Whether the time was spent within the last measurement, or does not hold the next one."""
    _, last = tried[-1]
    return last.is_cut or now + wish.least_seconds(step.expected_per_second) > until


def _without(space: Space, refused: "Trial", measured: list[Measured]) -> Space:
    served = [one.configuration for one in measured if one.batches]
    return space.without(refused.measured.configuration, served)


# ------------------------------------------------------------------------------------ what is told


class _Told:
    """Shows what is measured now."""

    def __init__(self, progress: Progress, most: int) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=most)

    def of(self, step: Try, number_before: int) -> "_Telling":
        """What shows the probes of one measurement."""
        self._progress.update(
            self._task, completed=number_before, description=str(step.configuration)
        )
        return _Telling(self._progress, self._task, step.configuration)


@dataclass(frozen=True, slots=True)
class _Telling:
    """Shows the probes of one configuration."""

    progress: Progress
    task: Any
    configuration: Configuration

    def __call__(self, probe: Probe) -> None:
        late = probe.late + probe.failed
        share = number(100 * late / probe.requests) if probe.requests else "-"
        self.progress.update(
            self.task,
            description=f"{self.configuration}: {number(probe.per_second)}/s, {share} % late",
        )


@contextmanager
def _progress(most: int) -> Iterator[_Told]:
    """On standard error, where that is a terminal."""
    console = Console(stderr=True)
    columns = (BarColumn(bar_width=20), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        yield _Told(progress, most)


def _print(subject: _Subject, tuned: _Tuned, patch: dict[str, Any] | None) -> None:
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
    console.print(_summary(subject, tuned), style="bold", soft_wrap=True, markup=False)
    for note in _notes(subject, patch):
        console.print(note, soft_wrap=True, markup=False)
    if patch:
        console.print()
        console.print(to_yaml(patch), end="", soft_wrap=True, markup=False)


def _remark(tuned: _Tuned, trial: "Trial", *, is_again: bool) -> str:
    if trial.is_cut:
        return "cut short: the time was spent"
    if not trial.measured.per_second:
        return "never keeps the objective"
    is_best = trial.measured.configuration == tuned.best.configuration
    said = ("[green]best[/]" if is_best else "", "again" if is_again else "")
    return ", ".join(filter(None, said))


def _rate(per_second: float | None) -> str:
    return "-" if per_second is None else number(per_second)


def _summary(subject: _Subject, tuned: _Tuned) -> str:
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


def _gain(tuned: _Tuned) -> float | None:
    """How much more the best sustains than the configuration of the spec."""
    first = tuned.first.per_second
    return tuned.best.per_second / first - 1 if first else None


def _patch(subject: _Subject, now: Configuration, best: Configuration) -> dict[str, Any] | None:
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


def _notes(subject: _Subject, patch: dict[str, Any] | None) -> Iterator[str]:
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


def _facts(
    subject: _Subject, tuned: _Tuned, now: Configuration, patch: dict[str, Any] | None
) -> dict[str, Any]:
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
        "notes": list(_notes(subject, patch)),
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
