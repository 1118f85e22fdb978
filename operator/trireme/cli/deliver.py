"""`trireme deliver`: bring an optimised model to its destination, at the end of its Job; at its
beginning, see that this will be possible.
"""

import logging
from pathlib import Path
from typing import Annotated

import typer

from trireme.api.optimize import DeliveryPlan
from trireme.cli.plans import read_plan


def deliver(
    plan: Annotated[Path, typer.Option(help="The plan: JSON, as the operator writes it.")],
    made: Annotated[
        Path, typer.Option("--from", help="Where `optimize-job` left its result.")
    ] = Path("/result"),
    check: Annotated[
        bool, typer.Option("--check", help="Only write a small file there, and read it.")
    ] = False,
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
    """Bring what was made of a model to a claim or a bucket, and check it there."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    wanted = read_plan(plan, DeliveryPlan)
    from trireme.fetcher.deliver import Mounts, run  # the stores: for those who deliver alone

    if not run(wanted, Mounts(made, credentials, claims, result), only_check=check):
        raise typer.Exit(1)
