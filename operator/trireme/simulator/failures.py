"""What fails in a simulation: pods that die, and times in which metrics cannot be read.

Pure. All is drawn by the seed before a policy runs, and it is the same for all policies: a death is
drawn for a place in the fleet, and happens where a pod is ready in that place.
"""

from dataclasses import dataclass

import numpy as np

HOUR = 3600


@dataclass(frozen=True, slots=True)
class Failures:
    """How much fails: deaths of a pod an hour, and outages of the metrics in the whole time."""

    deaths_per_pod_hour: float = 0.0
    outages: int = 0
    outage_seconds: int = 0

    def draw(self, seconds: int, places: int, seed: int) -> "Drawn":
        """When, in so many seconds and in a fleet of at most so many pods."""
        deaths, outages = np.random.default_rng(seed).spawn(2)
        count = int(deaths.poisson(self.deaths_per_pod_hour * places * seconds / HOUR))
        at = np.sort(deaths.integers(seconds, size=count)).tolist()
        place = deaths.integers(places, size=count).tolist()
        last = max(seconds - self.outage_seconds, 0)
        begins = sorted(outages.integers(last + 1, size=self.outages).tolist())
        return Drawn(
            tuple(zip(at, place, strict=True)),
            tuple((begin, begin + self.outage_seconds) for begin in begins),
        )


@dataclass(frozen=True, slots=True)
class Drawn:
    """`deaths` are seconds and places in the fleet; `outages` begin and end."""

    deaths: tuple[tuple[int, int], ...] = ()
    outages: tuple[tuple[int, int], ...] = ()

    def is_blind(self, now: float) -> bool:
        """Whether no metric can be read."""
        return any(begin <= now < end for begin, end in self.outages)


NO_FAILURES = Failures()
NONE = Drawn()
