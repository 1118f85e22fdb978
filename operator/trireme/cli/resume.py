"""`trireme resume`: tell a running agent to take its size back."""

import asyncio
from typing import Annotated

import typer

from trireme.api import kinds, names
from trireme.errors import ClusterError


def resume(
    agent: Annotated[str, typer.Argument(help="The AgentDeployment's name.")],
    namespace: Annotated[
        str | None,
        typer.Option("-n", "--namespace", help="Its namespace; else the kube-context's."),
    ] = None,
) -> None:
    """Scale an agent again whose number of pods someone else wrote.

    It annotates the AgentDeployment; the operator consumes that and answers by an Event.
    """
    try:
        asyncio.run(_annotate(agent, namespace))
    except ClusterError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    typer.echo(f"agentdeployment.{names.GROUP}/{agent} told to resume")


async def _annotate(agent: str, namespace: str | None) -> None:
    from trireme.edge.cluster import Cluster, connect, current_namespace  # the API client: slow

    patch = {"metadata": {"annotations": {names.COMMAND: names.RESUME}}}
    async with await connect() as api:
        await Cluster(api).merge(
            kinds.AGENT_DEPLOYMENT, namespace or current_namespace(), agent, patch
        )
