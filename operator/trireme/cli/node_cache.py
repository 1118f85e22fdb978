"""`trireme node-cache`: keep what was fetched on a node, in a DaemonSet of the operator's."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from trireme.api.scalars import parse_quantity, quantity_value
from trireme.edge.operator_key import read_node_cache_key
from trireme.errors import TriremeError


def node_cache(
    folder: Annotated[Path, typer.Option(help="Where the files are kept: a folder of the node.")],
    size: Annotated[
        str, typer.Option(parser=parse_quantity, help="What they may sum up to, such as 100Gi.")
    ],
    key_file: Annotated[Path, typer.Option(help="The key that is shared with the operator.")],
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes any.")] = 8004,
) -> None:
    """Keep fetched model files for the pods of a node, each namespace's apart from the others'."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    from trireme.fetcher.node_cache import run  # what only this command needs

    try:
        run(folder, int(quantity_value(size)), port, read_node_cache_key(key_file))
    except (TriremeError, OSError) as error:
        typer.echo(f"node-cache: {error}", err=True)
        raise typer.Exit(1) from error
