"""What the options of `trireme tune` say, read and judged: what is tuned, and within what."""

import asyncio
import math
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import typer

from trireme.api.agent import AgentSpec
from trireme.api.models import Model
from trireme.api.scalars import format_duration
from trireme.cli.specs import examine_file, report
from trireme.cli.told import read_agent
from trireme.errors import ClusterError
from trireme.tuner import settings
from trireme.tuner.types import Objective

if TYPE_CHECKING:
    from trireme.edge.spare_server import Wish

_PATIENCE = 10.0  # times the objective's limit, that a request is waited for


@dataclass(frozen=True, slots=True)
class Subject:
    """What is tuned."""

    agent: str
    spec: AgentSpec
    model: Model
    objective: Objective
    max_failure_ratio: float


def read_spec(
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


def subject_of(agent: str, spec: AgentSpec, name: str | None) -> Subject:
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
    return Subject(agent, spec, model, kept, objective.errors.max_ratio)


def wish_of(subject: Subject) -> "Wish":
    """What each configuration is to keep."""
    from trireme.edge.request_load import Bounds
    from trireme.edge.spare_server import Wish

    patience = max(_PATIENCE * subject.objective.limit_seconds, 1.0)
    return Wish(subject.objective, subject.max_failure_ratio, Bounds(request_seconds=patience))


def check_budget(budget: str, seconds: float, wish: "Wish") -> None:
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


def sizes_of(told: list[str]) -> dict[str, tuple[int, ...]]:
    """The sizes of inputs that vary, by name."""
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
