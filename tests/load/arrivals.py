"""The arrival process: a piecewise-constant rate profile, and Poisson arrivals along it.

Pure: the seed is an argument, and times are seconds since the start of the load.
"""

import csv
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from trireme.api.scalars import parse_duration


@dataclass(frozen=True, slots=True)
class Step:
    """A rate that holds for a time."""

    seconds: float
    rate_per_second: float

    def __post_init__(self) -> None:
        if self.seconds <= 0 or self.rate_per_second < 0:
            raise ValueError(f"a step needs a time above 0 and a rate from 0 on: {self}")


@dataclass(frozen=True, slots=True)
class RateProfile:
    """Steps, one after another."""

    steps: tuple[Step, ...]

    @property
    def seconds(self) -> float:
        """How long the whole profile takes."""
        return sum(step.seconds for step in self.steps)

    def rate_at(self, seconds: float) -> float:
        """The rate in requests a second at a time since the start; 0 after the end."""
        end = 0.0
        for step in self.steps:
            end += step.seconds
            if seconds < end:
                return step.rate_per_second
        return 0.0

    def cut(self, seconds: float) -> "RateProfile":
        """The profile's first `seconds`."""
        kept: list[Step] = []
        left = seconds
        for step in self.steps:
            if left <= 0:
                break
            kept.append(Step(min(step.seconds, left), step.rate_per_second))
            left -= step.seconds
        return RateProfile(tuple(kept))


def parse_profile(text: str) -> RateProfile:
    """Read `60s@40,120s@160`: 60 s at 40 requests a second, then 120 s at 160.

    Raises ValueError, naming the part, where the text is no such list.
    """
    steps = []
    for part in text.split(","):
        duration, at, rate = part.strip().partition("@")
        try:
            if not at:
                raise ValueError("there is no @")
            steps.append(Step(parse_duration(duration).total_seconds(), float(rate)))
        except ValueError as error:
            raise ValueError(f"{part!r} is no step such as 60s@40: {error}") from error
    return RateProfile(tuple(steps))


def parse_trace(lines: Iterable[str]) -> RateProfile:
    """Read CSV with the header `seconds,requests`: how many requests came in the bin that begins
    at that time. The last bin is as wide as the one before it.

    Raises ValueError where the columns are missing or fewer than two bins are there.
    """
    rows = csv.DictReader(lines)
    if not {"seconds", "requests"} <= set(rows.fieldnames or ()):
        raise ValueError(f"a trace has the columns seconds,requests; found {rows.fieldnames}")
    bins = [(float(row["seconds"]), float(row["requests"])) for row in rows]
    if len(bins) < 2:
        raise ValueError("a trace needs two bins at least, since they tell how wide a bin is")
    widths = [after - before for (before, _), (after, _) in pairwise(bins)]
    widths.append(widths[-1])
    return RateProfile(
        tuple(
            Step(width, requests / width) for width, (_, requests) in zip(widths, bins, strict=True)
        )
    )


def poisson_arrivals(profile: RateProfile, seed: int) -> Iterator[float]:
    """The arrival times, ascending, of a Poisson process whose rate follows the profile.

    Within a step the gaps are exponential; since they have no memory, drawing afresh at the start
    of each step is exact.
    """
    draw = random.Random(seed)
    start = 0.0
    for step in profile.steps:
        end = start + step.seconds
        if step.rate_per_second > 0:
            at = start + draw.expovariate(step.rate_per_second)
            while at < end:
                yield at
                at += draw.expovariate(step.rate_per_second)
        start = end
