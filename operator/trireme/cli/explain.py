"""`trireme explain`: why an agent has so many pods, and what would change it."""

import asyncio
import json
import shutil
import textwrap
from collections.abc import Iterator
from typing import Annotated

import typer

from trireme.autoscaler.explain import Explanation
from trireme.autoscaler.explain import explain as explained
from trireme.autoscaler.records import from_line
from trireme.cli.told import read_agent
from trireme.cli.validate import Output
from trireme.control.clock import utc_now
from trireme.errors import ClusterError, UnreadableRecord

_TITLE_WIDTH = 9
_MOST_WIDTH = 100  # wider lines are hard to read


def explain(
    agent: Annotated[str, typer.Argument(help="The AgentDeployment's name.")],
    namespace: Annotated[
        str | None,
        typer.Option("-n", "--namespace", help="Its namespace; else the kube-context's."),
    ] = None,
    output: Annotated[Output, typer.Option("-o", "--output", help="text or json.")] = Output.TEXT,
) -> None:
    """Tell why an agent has so many pods, and what would change it.

    It says what a pod sustains, and from where that is known. The latest decision is asked of the
    operator by port-forward, and computed again at other loads. Where that may not be, the status
    alone is told. TRIREME_OPERATOR_NAMESPACE names the operator's namespace, trireme-system by
    default.
    """
    try:
        told, lines, unavailable = asyncio.run(read_agent(agent, namespace))
        latest = from_line(lines[-1]) if lines else None
        why = str(unavailable) if unavailable else "the operator has no decision of it"
    except UnreadableRecord as error:
        latest, why = None, f"the operator's record is of no use here: {error}"
    except ClusterError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    found = explained(told, latest.record if latest else None, why, utc_now())
    if output is Output.JSON:
        typer.echo(json.dumps(found.facts, indent=2, ensure_ascii=False))
    else:
        width = min(shutil.get_terminal_size().columns, _MOST_WIDTH)
        typer.echo("\n".join(text(found, width)))


def text(found: Explanation, width: int) -> Iterator[str]:
    """The explanation for reading, in lines of at most `width`."""
    yield found.headline
    yield ""
    for title, sentences in found.sections.items():
        yield from textwrap.wrap(
            " ".join(sentences),
            width,
            initial_indent=f"{title:<{_TITLE_WIDTH}}",
            subsequent_indent=" " * _TITLE_WIDTH,
        )
