"""How much load to offer next, to find the highest rate that keeps an objective.

Pure. Each probe is a rate that was offered for a while, and what became of its requests. From a
guess the rate is raised until the objective breaks, or lowered until it is kept; then what lies
between is halved, until the two rates are near or the probes are spent. It is never above a rate
that was seen to break it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from trireme.tuner.types import Objective

FAR, NEAR = 2.0, 1.25  # steps from a guess that is only a start, and from one that a model made
DOUBLINGS = 3  # of the first step's logarithm at most
LOWERED = 8  # steps of FAR that a guess is lowered by at most


@dataclass(frozen=True, slots=True)
class Probe:
    """A rate that was offered. `late` counts the requests over the objective's limit, `failed`
    those without an answer: refused, or given up.
    """

    per_second: float
    requests: int
    late: int
    failed: int = 0

    def keeps(self, objective: Objective, max_failure_ratio: float) -> bool:
        """Whether the objective was kept; a failure is late, too."""
        if not self.requests:
            return False
        late = (self.late + self.failed) / self.requests
        failed = self.failed / self.requests
        return late <= objective.late_share and failed <= max_failure_ratio


@dataclass(frozen=True, slots=True)
class Plan:
    """A search: where it starts, in which steps it goes on from there, and when it ends."""

    objective: Objective
    max_failure_ratio: float
    guess_per_second: float
    step: float = FAR
    precision: float = 0.05
    most_probes: int = 9

    @property
    def least_probes(self) -> int:
        """How many it takes where the guess is kept and one step more is not: 2 to 1 are halved to
        1.41, 1.19, 1.09 and 1.044, which with those two makes 6.
        """
        halvings = math.log2(math.log(self.step) / math.log(1 + self.precision))
        return min(2 + math.ceil(max(halvings, 0)), self.most_probes)

    def kept(self, probes: Sequence[Probe]) -> float:
        """The highest rate that kept the objective below any that broke it; 0 without."""
        broken = self._broken(probes)
        return max(
            (one.per_second for one in probes if self._keeps(one) and one.per_second < broken),
            default=0.0,
        )

    def next_rate(self, probes: Sequence[Probe]) -> float | None:
        """The rate to offer next; None at the end."""
        if not probes:
            return self.guess_per_second
        if len(probes) >= self.most_probes:
            return None
        kept, broken = self.kept(probes), self._broken(probes)
        if not math.isfinite(broken):
            return kept * self._stride(probes)
        if not kept:
            lowered = broken / self._stride(probes)
            least = self.guess_per_second / FAR**LOWERED
            return lowered if lowered >= least else None
        if broken / kept <= 1 + self.precision:
            return None
        return math.sqrt(kept * broken)

    def _stride(self, probes: Sequence[Probe]) -> float:
        """A step further the same way. It grows: 1.25, 1.56 and then 2 where the guess was bad."""
        doublings = min(len(probes) - 1, DOUBLINGS)
        return min(self.step ** (1 << doublings), max(self.step, FAR))

    def _keeps(self, probe: Probe) -> bool:
        return probe.keeps(self.objective, self.max_failure_ratio)

    def _broken(self, probes: Sequence[Probe]) -> float:
        return min((one.per_second for one in probes if not self._keeps(one)), default=math.inf)
