"""What a person tells a running agent: an annotation, which the operator consumes and answers."""

import asyncio
from typing import Annotated

import typer

from trireme.api import kinds, names
from trireme.errors import ClusterError

Agent = Annotated[str, typer.Argument(help="The AgentDeployment's name.")]
Namespace = Annotated[
    str | None,
    typer.Option("-n", "--namespace", help="Its namespace; else the kube-context's."),
]


def tell(agent: str, namespace: str | None, command: str) -> None:
    """Annotate the AgentDeployment, and say so."""
    try:
        asyncio.run(_annotate(agent, namespace, command))
    except ClusterError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    typer.echo(f"agentdeployment.{names.GROUP}/{agent} told to {command}")


async def _annotate(agent: str, namespace: str | None, command: str) -> None:
    from trireme.edge.cluster import Cluster, connect, current_namespace  # the API client: slow

    patch = {"metadata": {"annotations": {names.COMMAND: command}}}
    async with await connect() as api:
        await Cluster(api).merge(
            kinds.AGENT_DEPLOYMENT, namespace or current_namespace(), agent, patch
        )
