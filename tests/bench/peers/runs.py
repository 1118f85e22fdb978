"""One load under one policy, and what is read of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from bench.machine import Usage
from load.arrivals import RateProfile, parse_profile

OBJECTIVE_MILLISECONDS = 200.0
SUSTAINED_PER_SECOND = 36  # by one pod within the objective: examples/demo-agent.yaml
SHAPES: Mapping[str, str] = {
    "step": "20s@20,80s@80,30s@20",
    "burst": "20s@20,15s@90,45s@20,15s@90,35s@20",
    "on/off": "10s@15,15s@80,15s@15,15s@80,15s@15,15s@80,15s@15,15s@80,15s@15",
    "ramp": f"10s@20,{','.join(f'10s@{rate}' for rate in range(30, 120, 10))},30s@20",
}


@dataclass(frozen=True, slots=True)
class Run:
    """One shape under one policy. `sizes` are what the fleet was set to, `ready` how many answered,
    each with the seconds since the load's start; `seconds` are the load's reports.
    """

    shape: str
    policy: str
    sizes: tuple[tuple[float, int], ...]
    ready: tuple[tuple[float, int], ...]
    seconds: tuple[Mapping[str, Any], ...]
    late_share: float
    lead_seconds: float
    usage: Usage

    @property
    def profile(self) -> RateProfile:
        """What was asked."""
        return parse_profile(SHAPES[self.shape])

    @property
    def rise_seconds(self) -> float:
        """When the load first was more than one pod sustains."""
        since = 0.0
        for step in self.profile.steps:
            if step.rate_per_second > SUSTAINED_PER_SECOND:
                break
            since += step.seconds
        return since

    @property
    def outgrown_seconds(self) -> float | None:
        """When the load first was more than the fleet sustains that was ordered until then; None
        where it never was.
        """
        since = 0.0
        for step in self.profile.steps:
            until = since + step.seconds
            changes = [at for at, _ in self.sizes if since < at < until]
            for moment in (since, *changes):
                if step.rate_per_second > self.size_at(moment) * SUSTAINED_PER_SECOND:
                    return moment
            since = until
        return None

    @property
    def decision_seconds(self) -> float | None:
        """From when the load had outgrown the fleet to the next larger size; None where it never
        had, or none came.
        """
        outgrown = self.outgrown_seconds
        if outgrown is None:
            return None
        before = self.size_at(outgrown)
        later = ((at, n) for at, n in self.sizes if at >= outgrown)
        return next((at - outgrown for at, n in later if n > before), None)

    def size_at(self, second: float) -> int:
        """What the fleet was set to."""
        return [n for at, n in self.sizes if at <= second or (at, n) == self.sizes[0]][-1]

    @property
    def kept_share(self) -> float:
        """Of the seconds after the rise and one lead time, those whose p95 was within the
        objective.
        """
        since = self.rise_seconds + self.lead_seconds
        after = [s for s in self.seconds if since <= s["second"] < self.profile.seconds]
        return sum(_is_within(second) for second in after) / len(after)

    @property
    def pod_seconds(self) -> float:
        """What was paid for while the profile lasted."""
        ends = [at for at, _ in self.sizes[1:]] + [self.profile.seconds]
        return sum(
            n * max(min(end, self.profile.seconds) - max(at, 0), 0)
            for (at, n), end in zip(self.sizes, ends, strict=True)
        )

    @property
    def turns(self) -> int:
        """How often the size changed its direction."""
        changes = [after - before for (_, before), (_, after) in pairwise(self.sizes)]
        signs = [change > 0 for change in changes if change]
        return sum(one is not other for one, other in pairwise(signs))


def _is_within(second: Mapping[str, Any]) -> bool:
    latency = second["latency_ms"]
    return latency is not None and bool(latency["p95"] <= OBJECTIVE_MILLISECONDS)
