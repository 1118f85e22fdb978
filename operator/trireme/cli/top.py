"""`trireme top`: all agents at a glance, live."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from trireme.admission.parse import readable_status
from trireme.api import kinds
from trireme.api.scalars import parse_duration
from trireme.api.scaling import ScalingMode
from trireme.api.scaling_status import (
    CurveStatus,
    ObservedLoad,
    PipelineCapacityStatus,
    ScalingStatus,
)
from trireme.api.status import AgentStatus
from trireme.autoscaler.explain_known import has_canary
from trireme.autoscaler.wording import age, number
from trireme.control.clock import utc_now
from trireme.errors import ClusterError

_INTERVAL_SECONDS = 2.0
_SHORTEST_NAME = len("NAMESPACE")  # a name is cut to no less
_NONE = "-"
_HEADS = ("NAMESPACE", "AGENT", "MODE", "PODS", "REQ/S", "LATENCY", "A POD", "FACTOR", "LAST")
_LEFT = frozenset({"NAMESPACE", "AGENT", "MODE", "LAST"})
_NAMES = frozenset({"NAMESPACE", "AGENT"})
_MODES = {ScalingMode.AUTOMATIC: "Auto"}  # the others are short


@dataclass(frozen=True, slots=True)
class Row:
    """One agent's line; `is_late` says that its latency is over its objective."""

    cells: tuple[str, ...]
    is_late: bool


def top(
    namespace: Annotated[
        str | None,
        typer.Option("-n", "--namespace", help="One namespace; else the kube-context's."),
    ] = None,
    all_namespaces: Annotated[
        bool, typer.Option("-A", "--all-namespaces", help="Every namespace.")
    ] = False,
    once: Annotated[bool, typer.Option("--once", help="Print the table once.")] = False,
) -> None:
    """Show all agents in one table, live.

    It has pods ready of those wanted, load, latency of the objective, what a pod sustains and the
    factor that corrects it, and the last decision. In a terminal the table is drawn anew every 2 s
    until Ctrl-C; else it is printed once. Figures are those of the resources' status, which is
    written once a minute and for news at once.
    """
    if namespace is not None and all_namespaces:
        raise typer.BadParameter("give either --namespace or --all-namespaces")
    console = Console(highlight=False)
    try:
        asyncio.run(_show(console, namespace, all_namespaces, once or not console.is_terminal))
    except KeyboardInterrupt:
        return
    except ClusterError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


async def _show(console: Console, namespace: str | None, all_namespaces: bool, once: bool) -> None:
    from trireme.edge.cluster import Cluster, connect, current_namespace  # the API client: slow

    asked = None if all_namespaces else namespace or current_namespace()
    async with await connect() as api:
        cluster = Cluster(api)

        async def drawn() -> Text:
            bodies = await cluster.list(kinds.AGENT_DEPLOYMENT, asked)
            rows = sorted((row(body, utc_now()) for body in bodies), key=_order)
            width = console.width if console.is_terminal else None
            return table(rows, with_namespace=all_namespaces, width=width)

        text = await drawn()
        if once:
            console.print(text, soft_wrap=True)
            return
        with Live(text, console=console, screen=True, auto_refresh=False) as live:
            while True:
                await asyncio.sleep(_INTERVAL_SECONDS)
                try:
                    text = await drawn()
                    live.update(text, refresh=True)
                except ClusterError as error:  # what was last seen stays
                    live.update(Text.assemble((f"{error}\n", "yellow"), text), refresh=True)


def _order(row: Row) -> tuple[bool, tuple[str, ...]]:
    """Those over their objective first, then by namespace and name."""
    return not row.is_late, row.cells[:2]


def _name(body: Mapping[str, Any]) -> tuple[str, str]:
    return body["metadata"]["namespace"], body["metadata"]["name"]


# --------------------------------------------------------------------------------------------- rows


def row(body: Mapping[str, Any], now: datetime) -> Row:
    """What the table shows of a resource, whichever version of the operator wrote its status."""
    status = readable_status(body.get("status"))
    spec = body.get("spec", {})
    scaling = status.scaling
    observed = scaling.observed if scaling else None
    mode = spec.get("scaling", {}).get("mode", ScalingMode.AUTOMATIC)
    target = _target_seconds(spec, observed)
    latency = observed.latency_milliseconds if observed else None
    sustained, factor = _sustained(scaling, observed)
    cells = (
        *_name(body),
        _MODES.get(mode, mode),
        _pods(status),
        number(observed.request_rate_per_second) if observed else _NONE,
        _latency(latency, target),
        sustained,
        factor,
        _last(scaling, now),
    )
    is_late = latency is not None and target is not None and latency > target * 1e3
    return Row(cells, is_late)


def _target_seconds(spec: Mapping[str, Any], observed: ObservedLoad | None) -> float | None:
    """The latency that the objective of what was observed allows."""
    for objective in spec.get("objectives", []):
        if observed and objective.get("model") == observed.model:
            try:
                return parse_duration(objective["latency"]["target"]).total_seconds()
            except (KeyError, TypeError, ValueError):
                return None  # a spec that was refused
    return None


def _latency(milliseconds: float | None, target_seconds: float | None) -> str:
    if milliseconds is None:
        return _NONE
    limit = "" if target_seconds is None else f"/{number(target_seconds * 1e3)}"
    return f"{number(milliseconds)}{limit} ms"


def _pods(status: AgentStatus) -> str:
    """`2/3`, those ready of those wanted; `4/3 +canary` where a canary's are among the ready."""
    scaling = status.scaling
    wanted = scaling.desired_replicas if scaling else _NONE
    canary = " +canary" if has_canary(status) else ""
    return f"{status.ready_replicas}/{wanted}{canary}{_mix(scaling)}"


def _mix(scaling: ScalingStatus | None) -> str:
    """` (2 spot, 1 a100)`, of an agent with node classes."""
    wanted = [each for each in scaling.node_classes if each.desired_replicas] if scaling else []
    told = ", ".join(f"{each.desired_replicas} {each.name or _NONE}" for each in wanted)
    return f" ({told})" if told else ""


def _sustained(scaling: ScalingStatus | None, observed: ObservedLoad | None) -> tuple[str, str]:
    learnt: list[CurveStatus | PipelineCapacityStatus] = []
    if scaling:
        learnt = [*scaling.curves, *scaling.pipelines]
    for told in learnt:
        known = told.sustained_per_second
        if observed and told.model == observed.model and known is not None:
            return number(known * told.factor), number(told.factor)
    return _NONE, _NONE


def _last(scaling: ScalingStatus | None, now: datetime) -> str:
    for decision in scaling.decisions if scaling else ():
        return f"{decision.reason} {age(now - datetime.fromisoformat(decision.time), 1)}"
    return _NONE


# -------------------------------------------------------------------------------------------- table


def table(rows: Sequence[Row], *, with_namespace: bool, width: int | None) -> Text:
    """The rows under their heads, names cut so that a line has at most `width` characters."""
    first = 0 if with_namespace else 1
    heads = _HEADS[first:]
    lines = [heads, *(each.cells[first:] for each in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(heads))]
    if width is not None:
        widths = _narrowed(heads, widths, width)
    text = Text(no_wrap=True, overflow="ellipsis")
    for number_of_line, line in enumerate(lines):
        is_late = number_of_line > 0 and rows[number_of_line - 1].is_late
        style = "bold" if number_of_line == 0 else "red" if is_late else ""
        cells = (
            _cell(cell, head, wide) for cell, head, wide in zip(line, heads, widths, strict=True)
        )
        text.append(" ".join(cells).rstrip(), style=style)
        text.append("\n" if number_of_line < len(lines) - 1 else "")
    if not rows:
        text.append("\nno AgentDeployments")
    return text


def _narrowed(heads: Sequence[str], widths: Sequence[int], width: int) -> list[int]:
    """The widths with those of names made smaller, the longest first, as far as need be."""
    narrowed = list(widths)
    names = [at for at, head in enumerate(heads) if head in _NAMES]
    for _ in range(sum(widths) + len(widths) - 1 - width):
        longest = max(names, key=lambda at: narrowed[at])
        if narrowed[longest] == _SHORTEST_NAME:
            break
        narrowed[longest] -= 1
    return narrowed


def _cell(text: str, head: str, width: int) -> str:
    short = text if len(text) <= width else f"{text[: width - 1]}…"
    return short.ljust(width) if head in _LEFT else short.rjust(width)
