"""Write operator/trireme/autoscaler/overlap_table.py: `python tools/overlap.py > FILE`.

It takes two cores twenty minutes, so that `make generate` leaves it out.

For each cell of the grid a pod is simulated event by event, and the share of a running batch's rest
is sought with which the chain's p95 and p99 are what was seen, in their geometric mean. The seeds
are fixed, and so is the table.
"""

import itertools
import math
import sys
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from trireme.autoscaler.batch_events import PodModel, poisson_arrivals, serve
from trireme.autoscaler.queueing import PodShape, mixture
from trireme.autoscaler.service_curve import ServiceCurve

INSTANCES = (8, 4, 2, 1)  # falling, since the table is read by 1 / instances
FIXED_SHARES = (0.02, 0.1, 0.25, 0.6, 1.0)  # of a full batch's time
MAX_BATCHES = (1, 4, 8, 16, 32, 64)
# Of the capacity. Beyond them what is ahead in the queue is nearly all, the share next to nothing.
LOADS = (0.1, 0.3, 0.5, 0.7, 0.85, 0.95)
BUSY = 0.8  # above it queues are long and change slowly, so that more requests are needed
REQUESTS = 200_000
LARGEST_SHARE, PRECISION = 1.5, 0.01
PERCENTILES = (95, 99)
Cell = tuple[int, float, int, float]


def waiting_percent(cell: Cell) -> int:
    """The share for a cell, in percent."""
    instances, fixed_share, max_batch, load = cell
    if instances == 1:
        return 100
    curve = ServiceCurve(fixed_share, (1 - fixed_share) / max_batch, max_batch)
    shape = PodShape(curve, instances)
    rate = load * shape.capacity_per_second
    requests = REQUESTS * (8 if load > BUSY else 1)
    generator = np.random.default_rng(int(1e6 * load) + 1000 * max_batch + instances)
    arrivals = poisson_arrivals(rate, requests, generator)
    arrivals *= requests / rate / arrivals[-1]  # the mean rate exactly
    served = serve(arrivals, PodModel(curve, instances), generator)
    seen = np.log(np.percentile(served.latency_seconds, PERCENTILES))

    def excess(share: float) -> float:
        predicted = mixture(shape, rate, share)
        return sum(
            math.log(predicted.percentile_seconds(percentile)) - log
            for percentile, log in zip(PERCENTILES, seen, strict=True)
        )

    low, high = 0.0, LARGEST_SHARE
    while high - low > PRECISION:
        share = (low + high) / 2
        low, high = (low, share) if excess(share) > 0 else (share, high)
    return round(50 * (low + high))


def main() -> None:
    """Print the table as a module."""
    cells = list(itertools.product(INSTANCES, FIXED_SHARES, MAX_BATCHES, LOADS))
    # Without batching the whole time is fixed, whatever its share.
    asked = {cell: cell if cell[2] > 1 else (cell[0], 1.0, 1, cell[3]) for cell in cells}
    distinct = sorted(set(asked.values()))
    found = {}
    with ProcessPoolExecutor() as pool:
        for done, percent in enumerate(pool.map(waiting_percent, distinct)):
            found[distinct[done]] = percent
            print(f"\r{done + 1}/{len(distinct)}", end="", file=sys.stderr, flush=True)
    print('"""Written by tools/overlap.py, which says what it is; read by overlap.py."""\n')
    for name in ("INSTANCES", "FIXED_SHARES", "MAX_BATCHES", "LOADS"):
        print(f"{name} = {globals()[name]}")
    print("# By instances, fixed share, largest batch, load.\nWAITING_PERCENT = (")
    for instances in INSTANCES:
        print("    (")
        for fixed in FIXED_SHARES:
            print("        (")
            for batch in MAX_BATCHES:
                row = (found[asked[instances, fixed, batch, load]] for load in LOADS)
                print(f"            ({', '.join(map(str, row))}),")
            print("        ),")
        print("    ),")
    print(")")


if __name__ == "__main__":
    main()
