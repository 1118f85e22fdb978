"""Plans that the operator writes for its own programs, read; and what else these are all told."""

from pathlib import Path
from typing import Annotated, TypeVar

import typer
from pydantic import ValidationError

from trireme.api.schema import ApiModel

Plan = TypeVar("Plan", bound=ApiModel)

PlanFile = Annotated[Path, typer.Option(help="The plan: JSON, as the operator writes it.")]
Credentials = Annotated[
    Path, typer.Option(help="Where each Secret is mounted, by the name that the plan has.")
]
Claims = Annotated[
    Path, typer.Option(help="Where each PersistentVolumeClaim is mounted, by its name.")
]
ResultFile = Annotated[Path, typer.Option(help="The file that the result is left in.")]

CREDENTIALS, CLAIMS = Path("/credentials"), Path("/claims")
TERMINATION_LOG = Path("/dev/termination-log")  # what the kubelet reads into the pod's status


def read_plan(file: Path, kind: type[Plan]) -> Plan:
    """The plan in a file; ends with 2, and what is wrong with it, where there is none."""
    try:
        return kind.model_validate_json(file.read_bytes())
    except OSError as error:
        typer.echo(f"--plan: {error}", err=True)
        raise typer.Exit(2) from error
    except ValidationError as error:
        for fault in error.errors(include_input=False, include_url=False):
            at = ".".join(map(str, fault["loc"]))
            typer.echo(f"--plan: {at}: {fault['msg']}", err=True)
        raise typer.Exit(2) from error
