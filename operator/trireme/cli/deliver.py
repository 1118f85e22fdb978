"""`trireme deliver`: bring an optimised model to its destination, at the end of its Job; at its
beginning, see that this will be possible.
"""

import logging
from pathlib import Path
from typing import Annotated

import typer

from trireme.api.optimize import DeliveryPlan
from trireme.cli.plans import (
    CLAIMS,
    CREDENTIALS,
    TERMINATION_LOG,
    Claims,
    Credentials,
    PlanFile,
    ResultFile,
    read_plan,
)


def deliver(
    plan: PlanFile,
    made: Annotated[
        Path, typer.Option("--from", help="Where `optimize-job` left its result.")
    ] = Path("/result"),
    check: Annotated[
        bool, typer.Option("--check", help="Only write a small file there, and read it.")
    ] = False,
    credentials: Credentials = CREDENTIALS,
    claims: Claims = CLAIMS,
    result: ResultFile = TERMINATION_LOG,
) -> None:
    """Bring what was made of a model to a claim or a bucket, and check it there."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    wanted = read_plan(plan, DeliveryPlan)
    from trireme.fetcher.deliver import Mounts, run  # the stores: for those who deliver alone

    if not run(wanted, Mounts(made, credentials, claims, result), only_check=check):
        raise typer.Exit(1)
