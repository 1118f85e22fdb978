"""`trireme optimize-job`: optimise one model, in the Job that the operator makes for it.

torch is imported only when the command is run: it is an extra that the operator never has.
"""

import logging
from pathlib import Path
from typing import Annotated

import typer

from trireme.api.optimize import OptimizePlan
from trireme.cli.plans import TERMINATION_LOG, PlanFile, ResultFile, read_plan


def optimize_job(
    plan: PlanFile,
    model: Annotated[Path, typer.Option(help="The folder with the model's files.")],
    samples: Annotated[Path, typer.Option(help="The folder with the samples.")],
    into: Annotated[Path, typer.Option(help="Where what is made goes.")],
    result: ResultFile = TERMINATION_LOG,
) -> None:
    """Search for a cheaper form of a model, as `optimize` does. Needs the extra `optimizer`."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    wanted = read_plan(plan, OptimizePlan)
    try:
        from trireme.optimizer.job import Mounts, run
    except ModuleNotFoundError as error:
        raise typer.BadParameter(
            f"needs {error.name}, which is not installed: pip install '.[optimizer]' in a checkout",
            param_hint="optimize-job",
        ) from error
    if not run(wanted, Mounts(model, samples, into, result)):
        raise typer.Exit(1)
