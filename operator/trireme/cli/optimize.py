"""`trireme optimize`: a model made cheaper to run, and shown to answer as before.

torch is imported only when the command is run: it is an extra that the operator never has.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from trireme.api.names import MODEL_NAME_PATTERN
from trireme.api.optimization import shown_bytes
from trireme.api.scalars import parse_duration, parse_quantity, parse_ratio, quantity_value
from trireme.errors import InvalidSpec
from trireme.optimizer.wishes import Backend, ModelSource, Request, Wishes

if TYPE_CHECKING:
    from trireme.optimizer.program import Result

T = TypeVar("T")


class Output(StrEnum):
    """How the answer is written."""

    TABLE = "table"
    JSON = "json"


def optimize(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="model.onnx, model.pt (TorchScript), model.pt2 (torch.export), or "
            "FILE.py:FUNCTION that makes a torch.nn.Module. The last is code, and is run.",
        ),
    ],
    samples: Annotated[
        Path,
        typer.Option(
            metavar="PATH",
            help="Sample inputs: .npz, .npy, .parquet, recorded requests (.jsonl, .json), or a "
            "directory of any but Parquet.",
        ),
    ],
    into: Annotated[
        Path,
        typer.Option(
            "--into", metavar="DIR", file_okay=False, help="Where the result and the report go."
        ),
    ],
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE", help="Which array or column of the samples, or a file of its own."
        ),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            help="accuracy, top-K, f1, cosine, mean-error, max-error, or FILE.py:FUNCTION; "
            "accuracy where there are labels, else cosine."
        ),
    ] = None,
    max_accuracy_drop: Annotated[
        str, typer.Option(metavar="PERCENT", help="How much lower the metric may be: 0.5%.")
    ] = "0.5%",
    confidence: Annotated[
        str,
        typer.Option(metavar="PERCENT", help="How sure the held-out samples must make it: 95%."),
    ] = "95%",
    budget: Annotated[
        str, typer.Option(metavar="DURATION", help="How long to search, about.")
    ] = "5m",
    weights: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A state_dict for the module that FUNCTION makes."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The model's name; by default its file's.")
    ] = None,
    backend: Annotated[
        Backend, typer.Option(help="What will execute it in Triton.")
    ] = Backend.ONNXRUNTIME,
    max_batch: Annotated[int, typer.Option(min=1, max=1024, help="The largest batch.")] = 16,
    latency: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="A wish: what a batch may take, of the size that takes the least: 20ms.",
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(metavar="QUANTITY", help="A wish: what the file may have: 10Mi."),
    ] = None,
    threads: Annotated[
        int, typer.Option(min=1, max=256, help="Threads of an instance, here and served.")
    ] = 1,
    techniques: Annotated[
        str | None, typer.Option(metavar="NAME,...", help="Only these; by default all.")
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(metavar="'A + B'", help="Make this one of a report again, and judge it."),
    ] = None,
    uri: Annotated[
        str | None,
        typer.Option(
            "--at", metavar="URI", help="Where the pods will find it; written into model.yaml."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the split and of all training.")] = 1,
    output: Annotated[Output, typer.Option("-o", "--output", help="table or json.")] = Output.TABLE,
) -> None:
    """Search for a cheaper form of a model that answers as before.

    Combinations of lower precision, pruning, low-rank factors, short training and export are tried
    within the budget; each is measured beside the original. A candidate that misses a wish is taken
    only where no other that passes keeps it, and told by how much. DIR gets a model repository, the
    model's part of a spec (model.yaml), report.json and report.html. Ends with 1 where nothing is
    cheaper and passes the gate, or something given has faults. Needs the extra `optimizer`.
    """
    run = _optimiser()
    chosen = name or _name_of(model)
    if not re.fullmatch(MODEL_NAME_PATTERN, chosen):
        raise typer.BadParameter(
            f"{chosen!r} is no name of a model: give letters, digits, '.', '_' and '-'",
            param_hint="--name",
        )
    wishes = Wishes(
        max_drop=_parsed("--max-accuracy-drop", max_accuracy_drop, parse_ratio),
        confidence=_confidence(confidence),
        budget_seconds=_seconds("--budget", budget),
        max_batch=max_batch,
        backend=backend,
        latency_seconds=_wish("--latency", latency, lambda text: _seconds("--latency", text)),
        size_bytes=_wish("--size", size, lambda text: _parsed("--size", text, _bytes)),
        techniques=None
        if techniques is None
        else frozenset(each.strip() for each in techniques.split(",")),
        threads=threads,
        seed=seed,
    )
    request = Request(
        name=chosen,
        model=ModelSource(model, None if weights is None else str(weights)),
        samples=samples,
        labels=labels,
        metric=metric or ("cosine" if labels is None else "accuracy"),
        wishes=wishes,
        into=into,
        uri=uri or f"s3://BUCKET/{chosen}/1/",
        recipe=recipe,
    )
    try:
        with _progress() as told:
            result = run(request, told)
    except InvalidSpec as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    if output is Output.JSON:
        typer.echo(json.dumps(result.report, indent=2))
    else:
        _print(result.report)
    typer.echo(f"wrote {into / 'report.html'}", err=True)
    if result.outcome.winner is None:
        raise typer.Exit(1)


def _optimiser() -> "Callable[[Request, Callable[[str, float], None]], Result]":
    """What does the work: an extra, since it brings torch."""
    try:
        from trireme.optimizer.program import optimise
    except ModuleNotFoundError as error:
        raise typer.BadParameter(
            f"needs {error.name}, which is not installed: pip install '.[optimizer]' in a checkout",
            param_hint="optimize",
        ) from error
    return optimise


def _name_of(model: str) -> str:
    """`encoder` of encoder.onnx, `make` of FILE.py:make."""
    return model.rpartition(":")[2] if ".py:" in model else Path(model).stem


def _confidence(text: str) -> float:
    value = _parsed("--confidence", text, parse_ratio)
    if not 0.5 <= value < 1:
        raise typer.BadParameter(
            f"{text} is not from 50% to below 100%: write 95%", param_hint="--confidence"
        )
    return value


def _seconds(option: str, text: str) -> float:
    return _parsed(option, text, parse_duration).total_seconds()


def _bytes(text: object) -> int:
    return int(quantity_value(parse_quantity(text)))


def _wish(option: str, text: str | None, parser: Callable[[str], T]) -> T | None:
    """A wish, if there is one: for more than nothing."""
    if text is None:
        return None
    value = parser(text)
    if not value:
        raise typer.BadParameter(
            f"{text} is nothing: write more, or leave it out", param_hint=option
        )
    return value


def _parsed(option: str, text: str, parser: Callable[[object], T]) -> T:
    try:
        return parser(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


# ----------------------------------------------------------------------------------------- output


@contextmanager
def _progress() -> Iterator[Callable[[str, float], None]]:
    """What is tried now, on standard error where that is a terminal."""
    console = Console(stderr=True)
    columns = (BarColumn(bar_width=20), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task("", total=1.0)
        yield lambda what, share: progress.update(task, description=what, completed=share)


def _print(report: dict[str, Any]) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("finalist")
    for heading in ("throughput", "size", "score", "drop", "at most"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for each in report["finalists"]:
        won = each["recipe"] == report["winner"]
        table.add_row(
            escape(each["recipe"]),
            _times(each["throughputRatio"]),
            shown_bytes(each["sizeBytes"]),
            "-" if each["score"] is None else f"{each['score']:.4g}",
            _percent(each["drop"]),
            _percent(each["mostDrop"]),
            f"[green]{escape(each['result'])}[/]" if won else escape(each["result"]),
        )
    console = Console(highlight=False)
    console.print(table)
    console.print(report["summary"], style="bold", soft_wrap=True, markup=False)


def _times(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} x"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value * 100:.2f} %"
