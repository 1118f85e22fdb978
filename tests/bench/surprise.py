"""How much of a trace nobody could be ready for: `python -m bench.surprise --traces DIR`.

Needs no cluster. For each trace and lead time, with the pod and the objective that `bench.matrix`
begins with: the share of the requests that come while the rate is over half as much again as it was
a lead time before, and as the highest of the ten minutes until then; and the least cost, over the
clairvoyant's, of who knows nothing before the first second and everything from then on.
"""

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.matrix.cells import CENTRAL, Cell, names
from bench.matrix.online import largest_of_last
from bench.table import table
from trireme.simulator.clairvoyant import need, schedule
from trireme.simulator.comparison import HOUR, MOST_LATE, optimum_of
from trireme.simulator.policy import Observed, Reading
from trireme.simulator.scenario import Scenario
from trireme.simulator.simulation import WARM_UP_SECONDS, simulate

MARGIN = 1.5  # over what was seen: more than that is dear to hold
PAST_SECONDS = 600
START_MARGIN = 1.1  # of a fleet that has seen nothing but the first second's rate
HEADROOMS = tuple(hundredth / 100 for hundredth in range(100, 48, -2))


@dataclass(frozen=True, slots=True)
class FromNowOn:
    """Holds what it begins with until second 0, and from then on what was planned."""

    ordered: npt.NDArray[np.int64]
    name: str = "knows all from now on"
    interval_seconds: float = 1.0
    readings: tuple[Reading, ...] = ()

    def begin(self, now_seconds: float, replicas: int) -> None:
        """It remembers nothing."""

    def decide(self, observed: Observed, memory: None) -> tuple[int, None]:
        """As planned."""
        second = int(observed.now_seconds)
        return observed.replicas if second < 0 else int(self.ordered[second]), None


def surprised(on: Scenario, past_seconds: int) -> float:
    """The share of the requests that come while the rate is over `MARGIN` times the highest of so
    many seconds until a lead time before; fleets are of whole replicas.
    """
    rate = on.traffic.rate_per_second
    before = round(on.lead_time.seconds) + past_seconds
    steady = np.concatenate((np.full(before, rate[0]), rate))  # as it was before the first second
    replicas = np.ceil(steady * MARGIN / on.sustained_per_second).astype(np.int64)
    held = largest_of_last(replicas, past_seconds)[past_seconds : past_seconds + len(rate)]
    served = np.maximum(held, on.bounds.least) * on.sustained_per_second
    return float(rate[rate > served].sum() / rate.sum())


def least_hours(on: Scenario) -> tuple[float, float]:
    """The GPU-hours and the late share of who knows all from second 0 on: the cheapest in time,
    else the one that is late least.
    """
    found = list(_known_from_now_on(on))
    in_time = [each for each in found if each[1] <= MOST_LATE]
    return min(in_time) if in_time else min(found, key=lambda each: each[1])


def _known_from_now_on(on: Scenario) -> Iterator[tuple[float, float]]:
    rate = on.traffic.rate_per_second
    first = math.ceil(START_MARGIN * float(rate[0]) / on.sustained_per_second)
    for headroom in HEADROOMS:
        planned = schedule(
            need(
                rate,
                on.sustained_per_second,
                fewest=on.bounds.least,
                headroom=headroom,
                mean_seconds=1,
            ),
            slot_seconds=1.0,
            start_up_seconds=on.lead_time.seconds,
        )
        fleet = on.fleet(on.bounds.clamp(first), WARM_UP_SECONDS)
        outcome = simulate(FromNowOn(planned.ordered), fleet)
        yield outcome.pod_seconds / HOUR, outcome.late_share
        if outcome.late_share <= MOST_LATE:
            return


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.surprise", description=__doc__)
    parser.add_argument("--traces", type=Path, required=True, help="a folder of traces")
    parser.add_argument("--only", type=lambda text: text.split(","), help="parts of their names")
    parser.add_argument("--hours", type=float, default=48.0, help="of a longer trace")
    told = parser.parse_args()
    rows = []
    for name in names(told.traces):
        if told.only is not None and not any(part in name for part in told.only):
            continue
        for delay in (30, 120):
            on = Cell(name, delay, *CENTRAL, told.hours).scenario(told.traces)
            upper = optimum_of(on, lambda what, share: None).upper_hours
            hours, late = least_hours(on)
            rows.append(
                (
                    name.removesuffix(".csv"),
                    f"{delay} s",
                    f"{surprised(on, 1):.1%}",
                    f"{surprised(on, PAST_SECONDS):.1%}",
                    "-" if upper is None else f"{hours / upper:.2f} x, {late:.1%}",
                )
            )
    header = (
        "trace",
        "lead time",
        "over 1.5 x a lead time before",
        "over 1.5 x the ten minutes until then",
        "knows all from second 0 on",
    )
    print(table("Surprises", header, rows))


if __name__ == "__main__":
    main()
