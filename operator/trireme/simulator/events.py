"""A fleet by discrete events: what the fluid model is held against.

Pure. The pods that were ready in each second are given, by a run of the fluid model; requests are
drawn anew, each goes to one of them at random, and each pod batches as `pods.serve` has it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trireme.autoscaler.batch_events import PodModel, serve

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Served:
    """Each request's arrival and latency, in seconds from the first one on."""

    arrival_seconds: Floats
    latency_seconds: Floats


def replay(
    rate_per_second: Floats,
    ready: npt.NDArray[np.int64],
    pod: PodModel,
    generator: np.random.Generator,
) -> Served:
    """Serve Poisson arrivals of these rates by these pods; the youngest stop first.

    A pod that stops gets no more requests, and answers what it has. Pre: a pod is ready always.
    """
    counts = generator.poisson(rate_per_second)
    seconds = np.repeat(np.arange(len(counts)), counts)
    arrivals = np.sort(seconds + generator.random(len(seconds)))
    chosen = (generator.random(len(arrivals)) * ready[seconds]).astype(np.int64)
    latency = np.empty(len(arrivals))
    for number in range(int(ready.max())):
        # A place that is left and taken again is another pod, whose queue begins empty.
        lives = np.cumsum(np.diff((ready > number).astype(np.int8), prepend=0) == 1)
        mine = np.flatnonzero(chosen == number)
        for life in np.unique(lives[seconds[mine]]):
            its = mine[lives[seconds[mine]] == life]
            latency[its] = serve(arrivals[its], pod, generator).latency_seconds
    return Served(arrivals, latency)
