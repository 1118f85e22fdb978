"""`trireme compare`: compare what a canary and the stable pods answer, in a pod of the agent's."""

import logging
from typing import Annotated

import typer

from trireme.api import names


def compare(
    stable: Annotated[str, typer.Option(help="Host name of the stable pods.")],
    canary: Annotated[str, typer.Option(help="Host name of the canary's pods.")],
    max_in_flight: Annotated[int, typer.Option(min=1, help="Copies compared at a time.")],
    max_bytes: Annotated[int, typer.Option(min=1, help="Largest request, and largest answer.")],
    timeout_seconds: Annotated[float, typer.Option(help="How long a pod has for an answer.")],
    absolute: Annotated[
        float, typer.Option(min=0, help="Difference of numbers that are the same.")
    ],
    relative: Annotated[
        float, typer.Option(min=0, max=1, help="The same, in parts of the larger number.")
    ],
    ignore_output: Annotated[
        list[str] | None, typer.Option(help="An output that is not compared; may be repeated.")
    ] = None,
    by_class: Annotated[
        list[str] | None,
        typer.Option(help="An output whose rows name a class, which is compared; may be repeated."),
    ] = None,
    by_direction: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OUTPUT=COSINE",
            help="An output whose rows are vectors that are the same from this cosine on; may be "
            "repeated.",
        ),
    ] = None,
    http_port: Annotated[int, typer.Option(help="Port for copies over HTTP.")] = names.HTTP_PORT,
    grpc_port: Annotated[int, typer.Option(help="Port for copies over gRPC.")] = names.GRPC_PORT,
    metrics_port: Annotated[
        int, typer.Option(help="Port for metrics and probes.")
    ] = names.COMPARER_METRICS_PORT,
) -> None:
    """Ask both tracks each mirrored request, and count the answers that differ."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    from trireme.comparer.compare import Rules  # gRPC and numpy: for those who compare alone
    from trireme.comparer.program import Ports, Settings, run
    from trireme.edge.tracks import TrackAddress

    settings = Settings(
        TrackAddress(stable),
        TrackAddress(canary),
        Rules(
            absolute,
            relative,
            frozenset(ignore_output or ()),
            frozenset(by_class or ()),
            dict(map(_cosine, by_direction or ())),
        ),
        max_in_flight,
        max_bytes,
        timeout_seconds,
    )
    run(settings, Ports(http_port, grpc_port, metrics_port))


def _cosine(told: str) -> tuple[str, float]:
    output, _, least = told.rpartition("=")
    try:
        return output, float(least)
    except ValueError as error:
        words = f"{told!r} is no output with a cosine: write OUTPUT=0.99"
        raise typer.BadParameter(words, param_hint="--by-direction") from error
