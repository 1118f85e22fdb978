"""When the seconds of a simulation are, and which bounds the schedules set then. Pure."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from trireme.api.scaling import Schedule
from trireme.autoscaler.schedules import bounded
from trireme.autoscaler.types.observation import LeadTime
from trireme.autoscaler.types.policy import Policy
from trireme.simulator.policy import BEGINNING, Bounds

_MINUTE = 60  # windows open at whole ones


@dataclass(frozen=True, slots=True)
class Hours:
    """Second 0 is at `begins`, None where any date will do; `schedules` are of an agent's spec."""

    begins: datetime | None = None
    schedules: tuple[Schedule, ...] = ()

    def moment(self, seconds: float) -> datetime:
        """A second of the simulation by the clock."""
        return (self.begins or BEGINNING) + timedelta(seconds=seconds)

    def policy_at(self, policy: Policy, now: datetime, lead_time: LeadTime | None) -> Policy:
        """The policy with the bounds that hold then, as the operator has it."""
        return bounded(policy, self.schedules, now, lead_time)

    def bounds_at(self, policy: Policy, seconds: float) -> Bounds:
        """The bounds in force, where nobody looks a lead time ahead."""
        now = self.policy_at(policy, self.moment(seconds), None)
        return Bounds(now.min_replicas, now.max_replicas)

    def by_second(self, policy: Policy, seconds: int) -> npt.NDArray[np.int64]:
        """The fewest and the most pods that there may be in each second from 0 on, two rows."""
        if not self.schedules:
            return np.full((seconds, 2), (policy.min_replicas, policy.max_replicas)).T
        lengths = [int(each.duration.total_seconds()) for each in self.schedules]
        step = math.gcd(_MINUTE, *lengths)  # windows open and close on these, by the clock
        starts = np.arange(-(int(self.moment(0).timestamp()) % step), seconds, step).tolist()
        found = [self.bounds_at(policy, start) for start in starts]
        rows = np.array([[each.least for each in found], [each.most for each in found]], np.int64)
        return np.repeat(rows, step, axis=1)[:, -starts[0] : seconds - starts[0]]

    def widest(self, bounds: Bounds) -> Bounds:
        """From the fewest pods that there may be at some time to the most."""
        least = [each.min for each in self.schedules if each.min is not None]
        most = [each.max for each in self.schedules if each.max is not None]
        return Bounds(min([bounds.least, *least]), max([bounds.most, *most, *least]))
