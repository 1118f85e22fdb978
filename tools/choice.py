"""Write operator/trireme/autoscaler/choice_table.py: `python tools/choice.py > FILE`.

It takes a core some minutes, so that `make generate` leaves it out.

For each cell of the grid a fleet is simulated event by event, and the load is sought at which one
pod alone has the p95 that was seen. The table has by how much more capacity such a pod has to
spare. What strays by chance against the number of pods or the load is evened out to the side of
less. The seeds are fixed, and so is the table.
"""

import itertools
import math
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np

from trireme.autoscaler.batch_events import PodModel, poisson_arrivals
from trireme.autoscaler.choice import LEAST, PERCENTILE
from trireme.autoscaler.queueing import PodShape, percentile_seconds
from trireme.autoscaler.service_curve import ServiceCurve
from trireme.simulator.pods import Balancer, serve_fleet

PODS = (16, 4, 2)  # falling, since the table is read by 1 / pods
FIXED_SHARES = (0.02, 0.1, 0.25, 0.6, 1.0)  # of a full batch's time
MAX_BATCHES = (1, 4, 16, 64)
LOADS = (0.1, 0.3, 0.5, 0.7, 0.85, 0.95)  # of the capacity
GATEWAYS = (4, 2, 1)  # falling, since the table is read by 1 / gateways
BUSY = 0.8  # above it queues are long and change slowly, so that more requests are needed
REQUESTS = 150_000
PRECISION = 0.001  # of what there is to spare


@dataclass(frozen=True, slots=True)
class Cell:
    """A fleet at a load, of pods whose full batch takes 1 s."""

    pods: int
    fixed_share: float
    max_batch: int
    load: float
    gateways: int = 1

    @property
    def shape(self) -> PodShape:
        """One of its pods."""
        each = (1 - self.fixed_share) / self.max_batch
        return PodShape(ServiceCurve(self.fixed_share, each, self.max_batch))


# Of several gateways few cells are simulated: what is left of the gain is much the same in all.
SHARED = tuple(
    itertools.product((2, 4, 16), (0.25, 0.6), (4, 16), (0.3, 0.7, 0.85)),
)


def seen(cell: Cell) -> float:
    """The percentile of a simulated fleet."""
    curve, rate = cell.shape.curve, cell.load * cell.pods * cell.shape.capacity_per_second
    requests = REQUESTS * (4 if cell.load > BUSY else 1)
    generator = np.random.default_rng(
        (cell.pods, cell.gateways, cell.max_batch, round(1000 * cell.load))
    )
    arrivals = poisson_arrivals(rate, requests, generator)
    arrivals *= requests / rate / arrivals[-1]  # the mean rate exactly
    served = serve_fleet(
        arrivals, cell.pods, PodModel(curve), Balancer.POWER_OF_TWO, generator, cell.gateways
    )
    return served.percentile_seconds(PERCENTILE)


def spare(cell: Cell, seconds: float) -> float:
    """How much more capacity a pod alone has to spare where its percentile is this."""
    shape = cell.shape
    low, high = LEAST * cell.load, cell.load
    while high - low > PRECISION * (1 - cell.load):
        load = (low + high) / 2
        late = percentile_seconds(shape, load * shape.capacity_per_second, PERCENTILE) > seconds
        low, high = (low, load) if late else (load, high)
    return min((1 - high) / (1 - cell.load), cell.pods)


def _found(cell: Cell) -> float:
    return spare(cell, seen(cell))


def evened(row: dict[tuple[int, float], float]) -> dict[tuple[int, float], int]:
    """The factors of one sort of pods, by their number and load, in thousandths: with more pods
    never less, and the load that is felt never less at more load.
    """
    found: dict[tuple[int, float], int] = {}
    for pods, load in sorted(row, key=lambda at: (-at[0], at[1])):
        most = [
            known * ((1 - at) / (1 - load))
            for (number, at), known in found.items()
            if number >= pods and at <= load
        ]
        found[pods, load] = math.floor(min([round(1000 * row[pods, load]), *most]))
    return found


def kept_percent(found: dict[Cell, float], gateways: int) -> int:
    """How much of the gain is left, over all cells that were simulated of so many gateways."""
    several = [cell for cell in found if cell.gateways == gateways]
    alone = [Cell(c.pods, c.fixed_share, c.max_batch, c.load) for c in several]
    gain, most = (sum(found[cell] - 1 for cell in cells) for cells in (several, alone))
    return round(100 * gain / most)


def cells_of_table() -> dict[Cell, Cell]:
    """The cells that are to be written, each with the one that is simulated for it."""
    cells = itertools.product(PODS, FIXED_SHARES, MAX_BATCHES, LOADS)
    return {
        # Without batching the whole time is fixed, whatever its share.
        cell: cell if cell.max_batch > 1 else Cell(cell.pods, 1.0, 1, cell.load)
        for cell in itertools.starmap(Cell, cells)
    }


def cells_to_simulate() -> list[Cell]:
    """Each once; those of several gateways last."""
    shared = [Cell(*of, gateways) for of in SHARED for gateways in GATEWAYS[:-1]]
    return [*dict.fromkeys(cells_of_table().values()), *shared]


def written(found: dict[Cell, float]) -> str:
    """The table as a module, by the factors of the cells that were simulated."""
    asked = cells_of_table()
    lines = ['"""Written by tools/choice.py, which says what it is; read by choice.py."""\n']
    lines += [
        f"{name} = {globals()[name]}" for name in ("PODS", "FIXED_SHARES", "MAX_BATCHES", "LOADS")
    ]
    rows = {
        (fixed, batch): evened(
            {
                (pods, load): found[asked[Cell(pods, fixed, batch, load)]]
                for pods, load in itertools.product(PODS, LOADS)
            }
        )
        for fixed, batch in itertools.product(FIXED_SHARES, MAX_BATCHES)
    }
    lines.append("# By pods, fixed share, largest batch, load.\nSPARE_PERMILLE = (")
    for pods in PODS:
        lines.append("    (")
        for fixed in FIXED_SHARES:
            lines.append("        (")
            for batch in MAX_BATCHES:
                row = (rows[fixed, batch][pods, load] for load in LOADS)
                lines.append(f"            ({', '.join(map(str, row))}),")
            lines.append("        ),")
        lines.append("    ),")
    lines.append(")")
    kept = [*(kept_percent(found, gateways) for gateways in GATEWAYS[:-1]), 100]
    lines.append(f"GATEWAYS = {GATEWAYS}\nKEPT_PERCENT = {tuple(kept)}")
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    cells = cells_to_simulate()
    found: dict[Cell, float] = {}
    with ProcessPoolExecutor() as pool:
        for cell, factor in zip(cells, pool.map(_found, cells), strict=True):
            found[cell] = factor
            print(f"\r{len(found)}/{len(cells)}", end="", file=sys.stderr, flush=True)
    print(written(found))


if __name__ == "__main__":
    main()
