"""What `trireme tune` measures now, on standard error."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from trireme.autoscaler.wording import number
from trireme.tuner.rate_search import Probe
from trireme.tuner.search import Try
from trireme.tuner.types import Configuration


class Told:
    """Shows what is measured now."""

    def __init__(self, progress: Progress, most: int) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=most)

    def of(self, step: Try, number_before: int) -> "_Telling":
        """What shows the probes of one measurement."""
        self._progress.update(
            self._task, completed=number_before, description=str(step.configuration)
        )
        return _Telling(self._progress, self._task, step.configuration)


@dataclass(frozen=True, slots=True)
class _Telling:
    """Shows the probes of one configuration."""

    progress: Progress
    task: Any
    configuration: Configuration

    def __call__(self, probe: Probe) -> None:
        late = probe.late + probe.failed
        share = number(100 * late / probe.requests) if probe.requests else "-"
        self.progress.update(
            self.task,
            description=f"{self.configuration}: {number(probe.per_second)}/s, {share} % late",
        )


@contextmanager
def progress_bar(most: int) -> Iterator[Told]:
    """On standard error, where that is a terminal."""
    console = Console(stderr=True)
    columns = (BarColumn(bar_width=20), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        yield Told(progress, most)
