"""`trireme render`: what the operator would apply."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from trireme.api.agent import AgentDeployment
from trireme.cli.manifests import to_yaml
from trireme.cli.specs import ManifestFile, examine_file, report
from trireme.modelrepo.proto import json_format
from trireme.modelrepo.render import config_text
from trireme.modelrepo.render import render as rendered
from trireme.modelrepo.repository import (
    ClaimFolder,
    Fetched,
    ImageFolder,
    ModelDirectory,
    Mounted,
    Repository,
)
from trireme.modelrepo.sources import SourceFiles
from trireme.resources.desired import desired_objects
from trireme.resources.initial_size import initial_sizes
from trireme.resources.options import ResourceOptions
from trireme.settings import read_settings

_NOT_SHOWN = """\
# Not shown: the Secret with the pods' control key. The operator makes it, and its name holds a
# digest of the agent's uid, which the cluster gives.
"""


def render(
    filename: ManifestFile,
    namespace: Annotated[
        str | None, typer.Option("-n", "--namespace", help="Namespace of objects that name none.")
    ] = None,
    repository: Annotated[
        Path | None,
        typer.Option(
            "--repository",
            metavar="DIR",
            file_okay=False,
            help="Write the model repository into this directory instead.",
        ),
    ] = None,
) -> None:
    """Print the objects that a file's AgentDeployments become.

    They are YAML. The ConfigMaps they name must be in the same file. TRIREME_ variables count as
    they do for the operator. Ends with 1 where there is a fault, and prints no objects then; a
    repository is written all the same where it can be, for the fault to be looked for in it.
    """
    examined = examine_file(filename, namespace)
    for line in report(examined):
        typer.echo(line, err=True)
    for one in examined:
        for name in one.missing:
            typer.echo(f"{one.name}: ConfigMap {name} must be in the same file", err=True)
    has_faults = any(one.faults or one.missing for one in examined)
    agents = [
        (one.agent, one.sources) for one in examined if one.agent is not None and not one.missing
    ]
    if repository is not None:
        _write_trees(_rendered(agents), repository)
    elif not has_faults:
        _print_objects(_rendered(agents))
    if has_faults:
        raise typer.Exit(1)


def _rendered(
    agents: Sequence[tuple[AgentDeployment, Mapping[str, SourceFiles]]],
) -> list[tuple[AgentDeployment, Repository]]:
    """The repository of each agent that has one: none of a `config` that is no ModelConfig."""
    repositories = []
    for agent, sources in agents:
        try:
            repositories.append((agent, rendered(agent.spec, sources)))
        except (json_format.ParseError, KeyError):
            continue  # its faults have been told
    return repositories


def _print_objects(repositories: Sequence[tuple[AgentDeployment, Repository]]) -> None:
    options = ResourceOptions.of(read_settings())
    manifests = [
        manifest
        for agent, files in repositories
        for manifest in desired_objects(
            agent, files, options, initial_replicas=initial_sizes(agent, None)
        )
    ]
    typer.echo(_NOT_SHOWN + to_yaml(*manifests), nl=False)


def _write_trees(
    repositories: Sequence[tuple[AgentDeployment, Repository]], directory: Path
) -> None:
    """Write each repository below `directory`; into a folder of the agent's name if several."""
    if directory.is_dir() and any(directory.iterdir()):
        raise typer.BadParameter(f"{directory} is not empty", param_hint="--repository")
    for agent, files in repositories:
        root = directory / agent.metadata.name if len(repositories) > 1 else directory
        for model in files.models:
            _write_model(model, root / model.name)


def _write_model(model: ModelDirectory, directory: Path) -> None:
    directory.mkdir(parents=True)
    (directory / "config.pbtxt").write_text(config_text(model.config), encoding="utf-8")
    for path, content in model.files.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_bytes(content)
    for version, place in model.mounts.items():
        (directory / str(version)).mkdir()
        typer.echo(f"{directory / str(version)} is empty: its files are {_told(place)}", err=True)


def _told(place: Mounted) -> str:
    match place:
        case ClaimFolder():
            return f"on claim {place.claim}:/{place.path}"
        case ImageFolder():
            return f"in image {place.reference}:/{place.path}"
        case Fetched():
            return f"fetched from {place.source.uri}"
