"""`trireme crd`: the CustomResourceDefinition."""

import typer

from trireme.api import crd as definition
from trireme.cli.manifests import to_yaml


def crd() -> None:
    """Print the CustomResourceDefinition of AgentDeployment."""
    typer.echo(to_yaml(definition.crd()), nl=False)
