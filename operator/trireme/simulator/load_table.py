"""What a pod does at any load, tabulated once: the queueing chain, asked at 72 rates, and of a
pipeline a walk through its steps.

Pure. Between the rows everything is linear. A simulation asks for seconds by the hundred thousand,
and a row costs some ten milliseconds.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from trireme.autoscaler import pipeline
from trireme.autoscaler.queueing import latencies
from trireme.simulator.served import PipelinePod, ServingPod

Floats = npt.NDArray[np.float64]

LOADS = np.concatenate([[0.001, 0.005], np.linspace(0.02, 0.84, 42), np.linspace(0.86, 0.995, 28)])
"""Shares of the capacity; dense where latencies rise. Above the last, queues are fluid."""
NEAR_POINTS, FAR_POINTS = 480, 120
NEAR, FAR = 4.0, 20_000.0  # full batches: latencies are told apart finely, and coarsely, up to here


@dataclass(frozen=True, slots=True, eq=False)
class LoadTable:
    """A pod at each of `loads`.

    `in_flight` requests wait or execute, on average; a request waits `wait_seconds` on average, NaN
    of a pipeline;
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
def load_table(pod: ServingPod, limit_seconds: float) -> LoadTable:
    """The table of a pod; `limit_seconds` is its objective's."""
    seconds = _seconds(pod, limit_seconds)
    if isinstance(pod, PipelinePod):
        return _of_pipeline(pod, seconds, limit_seconds)
    capacity = pod.capacity_per_second
    rows = [latencies(pod, load * capacity) for load in LOADS.tolist()]
    return _table(
        capacity,
        limit_seconds,
        seconds,
        within=np.array([np.interp(seconds, row.seconds, row.within, left=0) for row in rows]),
        means=np.array([row.mean_seconds for row in rows]),
        waits=np.array([row.mean_wait_seconds for row in rows]),
    )


def _of_pipeline(pod: PipelinePod, seconds: Floats, limit_seconds: float) -> LoadTable:
    """The same requests walk at each load. Near the capacity they are too few to tell the rise of
    the queue exactly, which must not fall.
    """
    capacity = pod.capacity_per_second
    walked = [np.sort(pipeline.latencies(pod.steps, load * capacity)) for load in LOADS.tolist()]
    within = [np.searchsorted(each, seconds, side="right") / len(each) for each in walked]
    return _table(
        capacity,
        limit_seconds,
        seconds,
        within=np.minimum.accumulate(np.array(within), axis=0),
        means=np.maximum.accumulate([float(each.mean()) for each in walked]),
        waits=np.full(len(LOADS), np.nan),
    )


def _seconds(pod: ServingPod, limit_seconds: float) -> Floats:
    """The latencies that are told apart."""
    curves = [step.pod.curve for step in pod.steps] if isinstance(pod, PipelinePod) else [pod.curve]
    batch = sum(curve.full_batch_seconds for curve in curves)
    seconds = np.concatenate(
        [
            np.linspace(0, NEAR * batch, NEAR_POINTS),
            np.geomspace(NEAR * batch, FAR * batch, FAR_POINTS)[1:],
            [limit_seconds],
        ]
    )
    return np.unique(seconds)


def _table(
    capacity: float,
    limit_seconds: float,
    seconds: Floats,
    *,
    within: Floats,
    means: Floats,
    waits: Floats,
) -> LoadTable:
    limit_index = int(np.searchsorted(seconds, limit_seconds))
    # A pod without a request is the first row.
    return LoadTable(
        capacity_per_second=capacity,
        limit_seconds=limit_seconds,
        limit_index=limit_index,
        loads=np.concatenate(([0.0], LOADS)),
        in_flight=np.concatenate(([0.0], LOADS * capacity * means)),
        wait_seconds=np.concatenate(([0.0], waits)),
        seconds=seconds,
        within=np.concatenate((within[:1], within)),
        late=1 - np.concatenate((within[:1], within))[:, limit_index],
    )
