"""What was found, kept in a folder: a file for each policy, a line for each run.

So the whole can be stopped and go on, and a policy that changed is run again by removing its file.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from bench.matrix.cells import Cell

OPTIMUM, ONLINE = "optimum", "online-bound"


@dataclass(frozen=True, slots=True)
class Run:
    """One policy with `multiple` of its own target in one cell.

    For the optimum `gpu_hours` is None where no schedule keeps the objective, `lower_hours` is what
    it costs at least, and `replicas` are what the first second needs.
    """

    policy: str
    cell: Cell
    multiple: float
    gpu_hours: float | None
    late_share: float
    processor_seconds: float
    lower_hours: float | None = None
    replicas: int | None = None


class Results:
    """All runs of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._runs = {_key(run): run for run in _read(folder)}

    def __iter__(self) -> Iterator[Run]:
        return iter(self._runs.values())

    def add(self, runs: Iterable[Run]) -> None:
        """Keep runs that are new."""
        for run in runs:
            if _key(run) not in self._runs:
                self._runs[_key(run)] = run
                line = json.dumps(asdict(run.cell) | _figures(run))
                with (self.folder / f"{run.policy}.jsonl").open("a", encoding="utf-8") as file:
                    file.write(f"{line}\n")

    def by_cell(self) -> dict[Cell, list[Run]]:
        """What is known of each cell."""
        found: dict[Cell, list[Run]] = {}
        for run in self:
            found.setdefault(run.cell, []).append(run)
        return found


def _key(run: Run) -> tuple[str, Cell, float]:
    return run.policy, run.cell, run.multiple


def _figures(run: Run) -> dict[str, object]:
    return {each.name: getattr(run, each.name) for each in fields(run) if each.name != "cell"}


def _read(folder: Path) -> Iterator[Run]:
    names = [each.name for each in fields(Cell)]
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            told = json.loads(line)
            cell = Cell(**{name: told.pop(name) for name in names})
            yield Run(cell=cell, **told)
