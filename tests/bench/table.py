"""Results as Markdown."""

from collections.abc import Iterable, Sequence


def table(title: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A heading and a table under it."""
    lines = [f"### {title}", "", _row(header), _row(["---"] * len(header))]
    return "\n".join([*lines, *(_row([str(cell) for cell in row]) for row in rows), ""])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
