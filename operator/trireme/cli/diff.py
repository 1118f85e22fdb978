"""`trireme diff`: what an edit will do to the pods, before it is applied."""

import asyncio
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from trireme.admission.examine import examine
from trireme.admission.parse import readable_status
from trireme.api import kinds
from trireme.api.agent import AgentDeployment
from trireme.api.rollout import RolloutStrategy
from trireme.cli.specs import ExaminedAgent, ManifestOption, examine_file, report
from trireme.cli.validate import Output
from trireme.errors import ClusterError, InvalidSpec
from trireme.modelrepo.render import render
from trireme.resources.change import Change, Effect, Running, change
from trireme.resources.options import ResourceOptions
from trireme.resources.preflight import inspect_plans
from trireme.settings import read_settings

if TYPE_CHECKING:
    from trireme.edge.cluster import Cluster

_FAILED = 2  # as diff and kubectl diff end where they cannot tell

_WORDS = {
    Effect.NONE: "nothing changes",
    Effect.NO_POD: "no pod is touched",
    Effect.IN_PLACE: "in place: the server pods stay, and change what they run",
    Effect.GATEWAY: "the gateway's pods are replaced, the server pods stay",
    Effect.ROLLOUT: "rollout: the server pods are replaced",
}
_NAMES = {
    Effect.NONE: "None",
    Effect.NO_POD: "NoPod",
    Effect.IN_PLACE: "InPlace",
    Effect.GATEWAY: "GatewayRollout",
    Effect.ROLLOUT: "Rollout",
}
_CANARY = "a canary is tried: the server pods are replaced once it is no worse than they are"
_CANARY_NAME = "Canary"
_NEW = "nothing of it runs yet: its pods are made"


@dataclass(frozen=True, slots=True)
class _Told:
    """What becomes of one agent; `change` is None where nothing of it runs yet."""

    agent: AgentDeployment
    change: Change | None

    @property
    def is_tried(self) -> bool:
        """Whether a canary comes before the rollout."""
        is_rollout = self.change is not None and self.change.effect is Effect.ROLLOUT
        return is_rollout and self.agent.spec.rollout.strategy is RolloutStrategy.CANARY


def diff(
    old: Annotated[
        typer.FileText | None, typer.Argument(metavar="OLD", encoding="utf-8", show_default=False)
    ] = None,
    new: Annotated[
        typer.FileText | None, typer.Argument(metavar="NEW", encoding="utf-8", show_default=False)
    ] = None,
    filename: Annotated[typer.FileText | None, ManifestOption] = None,
    namespace: Annotated[
        str | None, typer.Option("-n", "--namespace", help="Namespace of objects that name none.")
    ] = None,
    output: Annotated[Output, typer.Option("-o", "--output", help="text or json.")] = Output.TEXT,
) -> None:
    """Tell what an edit will do to the pods, before it is applied.

    That is a rollout, a canary before it, a change in place, or none of them; and which parts do
    it. With -f FILE, the AgentDeployments of a file against those of the cluster, by what they run;
    ConfigMaps that the file does not hold are read from the cluster. With OLD and NEW, two files,
    without a cluster. TRIREME_ variables count as they do for the operator. Ends with 0 where
    nothing changes, 1 where something does, 2 where that cannot be told.
    """
    if filename is not None and old is None:
        told = _against_cluster(filename, namespace)
    elif filename is None and old is not None and new is not None:
        told = _between(examine_file(old, namespace), examine_file(new, namespace))
    else:
        raise typer.BadParameter("give either -f FILE, or two files: OLD NEW")
    if output is Output.JSON:
        typer.echo(json.dumps([_as_object(each) for each in told], indent=2, ensure_ascii=False))
    else:
        for each in told:
            typer.echo("\n".join(_lines(each)))
    if any(each.change is None or each.change.effect is not Effect.NONE for each in told):
        raise typer.Exit(1)


def _between(old: list[ExaminedAgent], new: list[ExaminedAgent]) -> list[_Told]:
    for one in (*old, *new):
        for name in one.missing:
            typer.echo(f"{one.name}: ConfigMap {name} must be in the same file", err=True)
    _refuse_faults(one for one in (*old, *new) if one.faults or one.missing)
    before = {_key(running.agent): running for running in map(_running, old)}
    return [_told(before.get(_key(after.agent)), after) for after in map(_running, new)]


def _against_cluster(filename: typer.FileText, namespace: str | None) -> list[_Told]:
    from trireme.edge.cluster import current_namespace  # the API client: slow to import

    examined = examine_file(filename, namespace or current_namespace())
    _refuse_faults(one for one in examined if one.faults)
    try:
        return asyncio.run(_read_and_tell(examined))
    except ClusterError as error:
        _fail(str(error))


async def _read_and_tell(examined: list[ExaminedAgent]) -> list[_Told]:
    from trireme.control.recorded import remembered
    from trireme.edge.cluster import Cluster, connect

    told = []
    async with await connect() as api:
        cluster = Cluster(api)
        for one in examined:
            metadata = _agent(one).metadata
            body = await cluster.get(kinds.AGENT_DEPLOYMENT, metadata.namespace, metadata.name)
            runs = await remembered(cluster, body) if body is not None else None
            before = Running(runs.agent, runs.repository) if runs is not None else None
            try:
                after = await _to_run(cluster, one, body)
            except InvalidSpec as error:
                _fail(*(str(fault) for fault in error.faults))
            told.append(_told(before, after))
    return told


async def _to_run(cluster: "Cluster", one: ExaminedAgent, body: dict[str, Any] | None) -> Running:
    """What the pods are to run once it is applied: with what the operator keeps of its own
    settings, unless the spec has faults with these. Raises InvalidSpec.
    """
    from trireme.control.adopting import as_kept

    written = _agent(one)
    if body is not None:
        try:
            kept = as_kept(written, readable_status(body.get("status")))
            return await _judged(cluster, one, kept, body)
        except InvalidSpec:
            pass  # the operator takes them back, too
    return await _judged(cluster, one, written, body)


async def _judged(
    cluster: "Cluster", one: ExaminedAgent, agent: AgentDeployment, body: dict[str, Any] | None
) -> Running:
    from trireme.control.recorded import inspections_of, live_sources, recorded_inspections

    sources = {**await live_sources(cluster, agent), **one.sources}
    reports = await recorded_inspections(cluster, body) if body is not None else {}
    found = examine(agent.spec, sources, inspections_of(inspect_plans(agent), reports))
    if found.faults:
        raise InvalidSpec(found.faults)
    present = {name: files for name, files in sources.items() if files is not None}
    completed = agent.model_copy(update={"spec": found.spec})
    return Running(completed, render(found.spec, present))


def _told(before: Running | None, after: Running) -> _Told:
    if before is None:
        return _Told(after.agent, None)
    same = after.agent.model_copy(update={"metadata": before.agent.metadata})
    options = ResourceOptions.of(read_settings())
    return _Told(after.agent, change(before, Running(same, after.repository), options))


def _running(one: ExaminedAgent) -> Running:
    agent = _agent(one)
    return Running(agent, render(agent.spec, one.sources))


def _agent(one: ExaminedAgent) -> AgentDeployment:
    assert one.agent is not None  # noqa: S101  # only what has no fault comes so far
    return one.agent


def _key(agent: AgentDeployment) -> tuple[str, str]:
    return agent.metadata.namespace, agent.metadata.name


def _refuse_faults(faulty: Iterable[ExaminedAgent]) -> None:
    """End with the faults of these, where there are any."""
    if found := list(faulty):
        _fail(*report(found))


def _fail(*lines: str) -> NoReturn:
    for line in lines:
        typer.echo(line, err=True)
    raise typer.Exit(_FAILED)


def _lines(told: _Told) -> Iterator[str]:
    name = told.agent.metadata.name
    if told.change is None:
        yield f"{name}: {_NEW}"
        return
    effect = told.change.effect
    yield f"{name}: {_CANARY if told.is_tried else _WORDS[effect]}"
    for part in told.change.parts:
        by_itself = "" if part.effect is effect else f" (by itself: {_WORDS[part.effect]})"
        yield f"  {part.path}{by_itself}"


def _effect_name(told: _Told) -> str:
    if told.change is None:
        return "New"
    return _CANARY_NAME if told.is_tried else _NAMES[told.change.effect]


def _as_object(told: _Told) -> dict[str, Any]:
    found = told.change
    return {
        "agent": told.agent.metadata.name,
        "namespace": told.agent.metadata.namespace,
        "effect": _effect_name(told),
        "parts": [
            {"path": part.path, "effect": _NAMES[part.effect]}
            for part in (found.parts if found else ())
        ],
    }
