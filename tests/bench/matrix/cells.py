"""What is run: a trace, a lead time, a pod and an objective make a cell."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from trireme.autoscaler.queueing import PodShape
from trireme.autoscaler.service_curve import ServiceCurve
from trireme.simulator.fluid import LeadTime
from trireme.simulator.policy import Bounds
from trireme.simulator.scenario import Objective, Scenario, with_peak
from trireme.simulator.traces import Traffic, parse, traffic_of, window

DELAYS_SECONDS = (15, 30, 60, 120, 300)
PROFILES = ("6,2,16", "10,0.1,64", "40,10,8")  # balanced; mostly fixed; slow
SLOS = (2.5, 1.5, 4.0)  # times what a full batch takes
CENTRAL = PROFILES[0], SLOS[0]  # what comes first, and where all policies and bounds are run
PERCENTILE = 95
PEAK_REPLICAS, MOST_REPLICAS = 20, 40
SEED = 1


@dataclass(frozen=True, slots=True)
class Cell:
    """`profile` is milliseconds fixed, milliseconds a request, largest batch; `slo` is in times
    what a full batch takes; of a trace longer than `hours` a window is taken.
    """

    trace: str
    delay_seconds: int
    profile: str
    slo: float
    hours: float

    @property
    def is_central(self) -> bool:
        """Whether it has the pod and the objective that figures are first looked at for."""
        return (self.profile, self.slo) == CENTRAL

    def scenario(self, folder: Path) -> Scenario:
        """What the simulator runs."""
        fixed, each, batch = self.profile.split(",")
        pod = PodShape(ServiceCurve(float(fixed) / 1e3, float(each) / 1e3, int(batch)))
        objective = Objective(PERCENTILE, self.slo * pod.curve.full_batch_seconds)
        traffic = with_peak(_traffic(folder / self.trace), pod, objective, PEAK_REPLICAS)
        traffic = window(traffic, int(self.hours * 3600), SEED)
        lead, bounds = LeadTime(self.delay_seconds), Bounds(1, MOST_REPLICAS)
        return Scenario(traffic, pod, objective, lead, bounds, SEED)


def names(folder: Path) -> list[str]:
    """The traces of a folder by their rate; files of arrivals are the same traces once more."""
    found = sorted(path.name for path in folder.glob("*.csv"))
    return [name for name in found if not name.endswith("_arrivals.csv")]


@lru_cache(maxsize=1)
def _traffic(path: Path) -> Traffic:
    with path.open(encoding="utf-8") as lines:
        return traffic_of(parse(lines, path.name))
