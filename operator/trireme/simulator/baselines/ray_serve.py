"""Ray Serve's default autoscaling policy: ongoing requests per replica.

Pure. Sources: ray-project/ray, python/ray/serve/autoscaling_policy.py (the decision), config.py
(defaults) and _private/constants.py (the control loop).

Its delays are counts of rounds of a control loop that runs every 0.1 s. Between two readings the
answer of every round is the same, so the rounds of one interval are counted through together.
"""

import math
from dataclasses import dataclass

from trireme.simulator.policy import Bounds, Metric, Observed, Reading

ROUND_SECONDS = 0.1  # CONTROL_LOOP_INTERVAL_S
ONGOING = 2.0  # target_ongoing_requests
LOOK_BACK_SECONDS = 30
METRICS_LAG_SECONDS = 5  # reported every 10 s, so 5 s old on average
UPSCALE_SECONDS, DOWNSCALE_SECONDS = 30.0, 600.0


@dataclass(frozen=True, slots=True)
class Memory:
    """The decision counter: rounds in a row that asked for more (positive) or for fewer."""

    rounds: int = 0


@dataclass(frozen=True, slots=True)
class RayServe:
    """The policy of one deployment; `bounds` are min_replicas and max_replicas."""

    name: str
    bounds: Bounds
    target_ongoing_requests: float = ONGOING
    upscale_delay_seconds: float = UPSCALE_SECONDS
    downscale_delay_seconds: float = DOWNSCALE_SECONDS
    downscale_to_zero_delay_seconds: float | None = None
    upscaling_factor: float = 1.0
    downscaling_factor: float = 1.0
    interval_seconds: float = 1.0
    readings: tuple[Reading, ...] = (
        Reading(Metric.IN_FLIGHT, LOOK_BACK_SECONDS, METRICS_LAG_SECONDS),
    )

    def begin(self, now_seconds: float, replicas: int) -> Memory:
        """Nothing counted yet."""
        return Memory()

    def decide(self, observed: Observed, memory: Memory) -> tuple[int, Memory]:
        """The rounds of one interval, in which nothing new is read."""
        (ongoing,) = observed.values
        if ongoing is None:
            return observed.replicas, memory
        if observed.ready == 0:
            return self._cold(ongoing, observed.replicas), memory
        asked = self.bounds.clamp(self.asked(ongoing, observed.ready))
        left = round(self.interval_seconds / ROUND_SECONDS)
        target, rounds = observed.replicas, memory.rounds
        while asked != target:
            step = 1 if asked > target else -1
            rounds = rounds if rounds * step > 0 else 0
            due = max(self._rounds(step, target) + 1 - abs(rounds), 1)
            if due > left:
                return target, Memory(rounds + step * left)
            # Only a single replica may go to zero, and it waits anew.
            target = asked if step > 0 or target == 1 else max(asked, 1)
            rounds, left = 0, left - due
        return target, Memory()

    def asked(self, ongoing: float, running: int) -> int:
        """What one round asks for, before bounds and delays."""
        desired = running * (ongoing / (self.target_ongoing_requests * running))
        more = desired - running
        factor = self.upscaling_factor if more > 0 else self.downscaling_factor
        asked = math.ceil(running + factor * more)
        if math.ceil(desired) < running and asked == running:
            return asked - 1  # a factor below 1 must not stop the way down
        return asked

    def _cold(self, ongoing: float, target: int) -> int:
        """No replica runs: one is started at once for any request, without a delay."""
        return max(math.ceil(self.upscaling_factor), target) if ongoing > 0 else target

    def _rounds(self, step: int, target: int) -> int:
        """The rounds in a row that a change waits for: more than this many are needed."""
        delay = self.upscale_delay_seconds if step > 0 else self.downscale_delay_seconds
        if step < 0 and target == 1 and self.downscale_to_zero_delay_seconds is not None:
            delay = self.downscale_to_zero_delay_seconds
        return int(delay / ROUND_SECONDS)
