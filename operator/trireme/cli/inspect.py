"""`trireme inspect`: what a model file at a URI says of itself, in a Job before the rollout."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from trireme.api.inspect import InspectPlan
from trireme.cli.plans import read_plan


def inspect(
    plan: Annotated[Path, typer.Option(help="The plan: JSON, as the operator writes it.")],
    credentials: Annotated[
        Path, typer.Option(help="Where each Secret is mounted, by the name that the plan has.")
    ] = Path("/credentials"),
    claims: Annotated[
        Path, typer.Option(help="Where each PersistentVolumeClaim is mounted, by its name.")
    ] = Path("/claims"),
    result: Annotated[Path, typer.Option(help="The file that the result is left in.")] = Path(
        "/dev/termination-log"
    ),
) -> None:
    """Read what a model file at a URI says of itself: a few ranges of it, nothing of it is run."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    wanted = read_plan(plan, InspectPlan)
    from trireme.fetcher.inspection import run  # the stores: for those who read alone

    if not run(wanted, credentials, claims, result):
        raise typer.Exit(1)
