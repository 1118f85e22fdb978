"""`trireme tune`: the knobs by which a pod sustains the most, found by measurement."""

import asyncio
import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from trireme.api.scalars import parse_duration
from trireme.cli.manifests import to_yaml
from trireme.cli.specs import ManifestOption
from trireme.cli.tuning_options import check_budget, read_spec, sizes_of, subject_of, wish_of
from trireme.cli.tuning_progress import progress_bar
from trireme.cli.tuning_report import as_object, notes_of, patch_of, print_table
from trireme.cli.tuning_search import find_best
from trireme.errors import TriremeError
from trireme.tuner import settings


class Output(StrEnum):
    """How the answer is written."""

    TABLE = "table"  # what was measured, and then the patch
    PATCH = "patch"  # the part of the AgentDeployment that is to be another, in YAML
    JSON = "json"


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
    subject = subject_of(*read_spec(agent, filename, namespace), model)
    key = control_key_file.read_text().strip() if control_key_file else ""
    wish = wish_of(subject)
    check_budget(budget, seconds, wish)
    sizes = sizes_of(shape or [])
    try:
        with progress_bar(measurements) as told:
            tuned = asyncio.run(
                find_best(server, key, subject, wish, data, sizes, measurements, seconds, told)
            )
    except TriremeError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    now = settings.configuration_of(subject.model, subject.spec.server)
    patch = patch_of(subject, now, tuned.best.configuration)
    match output:
        case Output.JSON:
            typer.echo(json.dumps(as_object(subject, tuned, now, patch), indent=2))
        case Output.PATCH:
            typer.echo(to_yaml(patch) if patch else "# nothing is to be changed", nl=not patch)
            for note in notes_of(subject, patch):
                typer.echo(note, err=True)
        case Output.TABLE:
            print_table(subject, tuned, patch)
    if not tuned.best.per_second:
        raise typer.Exit(1)
