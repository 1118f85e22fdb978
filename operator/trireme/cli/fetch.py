"""`trireme fetch`: bring models' files into a pod's volume, in its init container."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from trireme.api import names
from trireme.api.fetch import FetchPlan
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


def fetch(
    plan: PlanFile,
    root: Annotated[Path, typer.Option(help="The volume: files go to MODEL/VERSION below it.")],
    credentials: Credentials = CREDENTIALS,
    claims: Claims = CLAIMS,
    cache: Annotated[
        Path | None, typer.Option(help="Where the plan's cache is mounted, if not at its path.")
    ] = None,
    cache_token: Annotated[
        Path, typer.Option(help="The file with this namespace's token for the cache of the node.")
    ] = Path("/etc/trireme/node-cache/token"),
    result: ResultFile = TERMINATION_LOG,
    progress_port: Annotated[
        int, typer.Option(help="Port that answers with the progress; 0 takes any.")
    ] = names.FETCH_PROGRESS_PORT,
) -> None:
    """Bring models' files into a volume: resumed after a break, checked, published whole."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    wanted = read_plan(plan, FetchPlan)
    if not root.is_dir():
        typer.echo(f"--root: {root} is no folder", err=True)
        raise typer.Exit(2)
    from trireme.fetcher.program import Mounts, run  # the stores: for those who fetch alone

    mounts = Mounts(root, credentials, claims, cache, cache_token, result)
    if not run(wanted, mounts, progress_port).good:
        raise typer.Exit(1)
