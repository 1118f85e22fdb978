"""What a pod does at any load, tabulated once: the queueing chain, asked at 72 rates.

Pure. Between the rows everything is linear. A simulation asks for seconds by the hundred thousand,
and a row costs some ten milliseconds.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from trireme.autoscaler.queueing import PodShape, latencies

Floats = npt.NDArray[np.float64]

LOADS = np.concatenate([[0.001, 0.005], np.linspace(0.02, 0.84, 42), np.linspace(0.86, 0.995, 28)])
"""Shares of the capacity; dense where latencies rise. Above the last, queues are fluid."""
NEAR_POINTS, FAR_POINTS = 480, 120
NEAR, FAR = 4.0, 20_000.0  # full batches: latencies are told apart finely, and coarsely, up to here


@dataclass(frozen=True, slots=True, eq=False)
class LoadTable:
    """A pod at each of `loads`.

    `in_flight` requests wait or execute, on average; a request waits `wait_seconds` on average;
    `within[i, j]` of the requests take `seconds[j]` at most, `late` of them more than the limit,
    which is `seconds[limit_index]`.
    """

    capacity_per_second: float
    limit_seconds: float
    limit_index: int
    loads: Floats
    in_flight: Floats
    wait_seconds: Floats
    seconds: Floats
    within: Floats
    late: Floats

    def late_after(self, waits: Floats) -> Floats:
        """The share that is late at the last load where each request waits for so long, too."""
        spare = self.limit_seconds - waits
        return np.asarray(1 - np.interp(spare, self.seconds, self.within[-1], left=0.0))

    def shifted(self, wait: float) -> Floats:
        """The distribution at the last load where each request waits for so long, too."""
        spare = self.seconds - wait
        return np.asarray(np.interp(spare, self.seconds, self.within[-1], left=0.0))


@lru_cache(maxsize=64)
def load_table(pod: PodShape, limit_seconds: float) -> LoadTable:
    """The table of a pod; `limit_seconds` is its objective's."""
    batch = pod.curve.full_batch_seconds
    seconds = np.concatenate(
        [
            np.linspace(0, NEAR * batch, NEAR_POINTS),
            np.geomspace(NEAR * batch, FAR * batch, FAR_POINTS)[1:],
            [limit_seconds],
        ]
    )
    seconds = np.unique(seconds)
    capacity = pod.capacity_per_second
    rows = [latencies(pod, load * capacity) for load in LOADS.tolist()]
    limit_index = int(np.searchsorted(seconds, limit_seconds))
    within = np.array([np.interp(seconds, row.seconds, row.within, left=0) for row in rows])
    means = np.array([row.mean_seconds for row in rows])
    # A pod without a request is the first row.
    return LoadTable(
        capacity_per_second=capacity,
        limit_seconds=limit_seconds,
        limit_index=limit_index,
        loads=np.concatenate(([0.0], LOADS)),
        in_flight=np.concatenate(([0.0], LOADS * capacity * means)),
        wait_seconds=np.array([0.0, *(row.mean_wait_seconds for row in rows)]),
        seconds=seconds,
        within=np.concatenate((within[:1], within)),
        late=1 - np.concatenate((within[:1], within))[:, limit_index],
    )
