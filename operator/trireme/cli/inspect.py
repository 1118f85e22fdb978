"""`trireme inspect`: what a model file at a URI says of itself, in a Job before the rollout."""

import logging

import typer

from trireme.api.inspect import InspectPlan
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


def inspect(
    plan: PlanFile,
    credentials: Credentials = CREDENTIALS,
    claims: Claims = CLAIMS,
    result: ResultFile = TERMINATION_LOG,
) -> None:
    """Read what a model file at a URI says of itself: a few ranges of it, nothing of it is run."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    wanted = read_plan(plan, InspectPlan)
    from trireme.fetcher.inspection import run  # the stores: for those who read alone

    if not run(wanted, credentials, claims, result):
        raise typer.Exit(1)
