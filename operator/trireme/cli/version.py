"""`trireme version`: which Trireme this is."""

from importlib.metadata import version as installed

import typer


def version() -> None:
    """Print the version of Trireme."""
    typer.echo(installed("trireme"))
