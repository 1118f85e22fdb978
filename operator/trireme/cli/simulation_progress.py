"""How far `trireme simulate` has come, on standard error."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from trireme.simulator import comparison


@contextmanager
def progress_bar(steps: int) -> Iterator[comparison.Progress]:
    """A bar on standard error where that is a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description:<14}"), BarColumn(), TimeElapsedColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task("", total=steps)
        done, before = 0, ("", 0.0)

        def tell(what: str, share: float) -> None:
            nonlocal done, before
            if before[0] and (what != before[0] or share < before[1]):
                done += 1
            before = (what, share)
            progress.update(task, description=what, completed=done + share)

        yield tell
