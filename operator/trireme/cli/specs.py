"""The AgentDeployments of a manifest file, each with the ConfigMaps beside it and its faults.

Everything here works offline: a ConfigMap that an agent names and the file does not hold may well
be in the cluster.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from trireme.admission.examine import Inspections, examine, inspect_version
from trireme.admission.inspection.summary import summary
from trireme.admission.parse import parse_agent
from trireme.api import kinds
from trireme.api.agent import AgentDeployment, AgentSpec
from trireme.cli.manifests import ManifestError, from_yaml
from trireme.edge.local_tree import LocalTree
from trireme.errors import Fault, InvalidSpec
from trireme.modelrepo.sources import (
    SourceFiles,
    config_map_names,
    located_versions,
    source_files,
)

ManifestOption = typer.Option(
    "-f",
    "--filename",
    metavar="FILE",
    encoding="utf-8",
    help="A file with AgentDeployments and the ConfigMaps they name; - reads standard input.",
)
ManifestFile = Annotated[typer.FileText, ManifestOption]


@dataclass(frozen=True, slots=True)
class ExaminedAgent:
    """One AgentDeployment of a file.

    `agent` is None where it could not be read; its spec is completed from its files. `sources`
    holds the files of each ConfigMap that was found beside it, `missing` the names of those that
    were not. `summaries` tells what the files of each version say, where they are at hand; it and
    `unread`, the versions that are not, are of interest where a folder of models was given.
    """

    name: str
    agent: AgentDeployment | None
    sources: Mapping[str, SourceFiles]
    missing: tuple[str, ...]
    faults: tuple[Fault, ...]
    warnings: tuple[Fault, ...]
    summaries: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


def examine_file(
    file: TextIO, namespace: str | None = None, models: Path | None = None
) -> list[ExaminedAgent]:
    """Every AgentDeployment of a file, examined; other kinds are passed over.

    `namespace` is the one of objects that name none, `models` a folder with the models' files, as
    Triton lays them out. Where the file is not YAML or holds no
    AgentDeployment, the answer is one entry whose fault says so.
    """
    try:
        agents, files = _read(file, namespace or "default")
    except (ManifestError, UnicodeDecodeError) as error:
        fault = Fault(file.name, None, str(error), "Correct the file")
        return [ExaminedAgent(file.name, None, {}, (), (fault,), ())]
    return [_examine(body, files, models) for body in agents]


def _read(
    file: TextIO, namespace: str
) -> tuple[list[Mapping[str, Any]], dict[tuple[str, str], SourceFiles]]:
    """The AgentDeployments of a file, and the files of its ConfigMaps by namespace and name."""
    agents: list[Mapping[str, Any]] = []
    files: dict[tuple[str, str], SourceFiles] = {}
    for body in from_yaml(file.read()):
        metadata = {"namespace": namespace, **_mapping(body, "metadata")}
        kind = (body.get("apiVersion"), body.get("kind"))
        if body.get("kind") == kinds.AGENT_DEPLOYMENT.name:
            agents.append({**body, "metadata": metadata})
        elif kind == (kinds.CONFIG_MAP.api_version, kinds.CONFIG_MAP.name):
            key = (metadata["namespace"], str(metadata.get("name")))
            files[key] = _files(body, str(metadata.get("name")))
    if not agents:
        raise ManifestError(f"there is no {kinds.AGENT_DEPLOYMENT.name} in it")
    return agents, files


def _examine(
    body: Mapping[str, Any],
    files: Mapping[tuple[str, str], SourceFiles],
    models: Path | None,
) -> ExaminedAgent:
    name = str(body["metadata"].get("name", "?"))
    try:
        agent = parse_agent(body)
    except InvalidSpec as error:
        return ExaminedAgent(name, None, {}, (), error.faults, ())
    namespace = agent.metadata.namespace
    wanted = config_map_names(agent.spec)
    sources = {n: files[namespace, n] for n in wanted if (namespace, n) in files}
    missing = tuple(n for n in wanted if n not in sources)
    read, unread = _inspected(agent.spec, models) if models else ({}, ())
    found = examine(agent.spec, sources, read)
    return ExaminedAgent(
        name,
        agent.model_copy(update={"spec": found.spec}),
        sources,
        missing,
        found.faults,
        found.warnings,
        tuple(f"{m} version {v}: {summary(one)}" for (m, v), one in found.inspections.items()),
        unread,
    )


def _inspected(spec: AgentSpec, models: Path) -> tuple[Inspections, tuple[str, ...]]:
    """What the version directories of a folder say, and which versions have none there."""
    found, unread = {}, []
    for _, model, served in located_versions(spec):
        folder = models / model.name / str(served.version)
        if folder.is_dir():
            try:
                readers = LocalTree(folder).readers()
                found[model.name, served.version] = inspect_version(model, readers)
            except OSError as error:
                unread.append(f"{model.name} version {served.version}: {error}")
        elif served.source.config_map is None:
            unread.append(f"{model.name} version {served.version}: there is no folder {folder}")
    return found, tuple(unread)


def _mapping(body: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    value = body.get(field) or {}
    if not isinstance(value, dict):
        raise ManifestError(f"{body.get('kind')}: {field} must be a mapping of keys to values")
    return value


def _files(body: Mapping[str, Any], name: str) -> SourceFiles:
    for field in ("data", "binaryData"):
        for key, value in _mapping(body, field).items():
            if not isinstance(value, str):
                raise ManifestError(f"ConfigMap {name}: {field}.{key} must be text: quote it")
    try:
        return source_files(body)
    except ValueError as error:
        raise ManifestError(f"ConfigMap {name}: binaryData is not base64: {error}") from error


def report(examined: list[ExaminedAgent]) -> Iterator[str]:
    """The faults and warnings of all agents, a line each; led by the agent's name if several."""
    for one in examined:
        prefix = f"{one.name}: " if len(examined) > 1 else ""
        yield from (f"{prefix}{fault}" for fault in one.faults)
        yield from (f"{prefix}warning: {warning}" for warning in one.warnings)
