"""`trireme validate`: every fault of a file, before it meets a cluster."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from trireme.cli.specs import ExaminedAgent, ManifestFile, examine_file, report
from trireme.errors import Fault


class Output(StrEnum):
    """How something is printed."""

    TEXT = "text"  # lines for people
    JSON = "json"  # one list, on standard output


def validate(
    filename: ManifestFile,
    models: Annotated[
        Path | None,
        typer.Option(
            "--models",
            metavar="DIR",
            exists=True,
            file_okay=False,
            help="A folder with the models' files as Triton lays them out: MODEL/VERSION/FILES.",
        ),
    ] = None,
    output: Annotated[Output, typer.Option("-o", "--output", help="text or json.")] = Output.TEXT,
) -> None:
    """Find every fault of a file's AgentDeployments, offline.

    Ends with 1 where there is a fault. Model files are checked where their ConfigMap is in the
    same file, or where they are below --models; then what each says of itself is printed, too.
    Nothing of them is run, and of large ones only the structure is read. With -o json the answer
    is a list of objects with agent, severity (error or warning), path, value, message and remedy.
    """
    examined = examine_file(filename, models=models)
    if output is Output.JSON:
        typer.echo(json.dumps(_as_objects(examined), indent=2, ensure_ascii=False, default=str))
    else:
        for line in report(examined):
            typer.echo(line, err=True)
        for one in examined:
            for name in one.missing:
                typer.echo(f"{one.name}: the files of ConfigMap {name} were not checked", err=True)
            for line in one.unread:
                typer.echo(f"{one.name}: {line}", err=True)
            for line in one.summaries if models is not None else ():
                typer.echo(f"{one.name}: {line}")
    if any(one.faults for one in examined):
        raise typer.Exit(1)


def _as_objects(examined: list[ExaminedAgent]) -> list[dict[str, Any]]:
    return [
        _as_object(one.name, severity, fault)
        for one in examined
        for severity, faults in (("error", one.faults), ("warning", one.warnings))
        for fault in faults
    ]


def _as_object(agent: str, severity: str, fault: Fault) -> dict[str, Any]:
    return {
        "agent": agent,
        "severity": severity,
        "path": fault.path,
        "value": fault.value,
        "message": fault.message,
        "remedy": fault.remedy,
    }
