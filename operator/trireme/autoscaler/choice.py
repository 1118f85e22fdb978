"""What it does to a pod's latencies that the gateway sends each request to the less busy of two.

Pure. The queueing model is of a pod to which requests come at random. Of a fleet behind a gateway
more of them come to the pods that have less to do, so that queues are more alike and their tails
shorter. No formula is known: pods depend on each other, and taken as independent ones they would
come out too quick. So it is computed: a pod of a fleet is as one alone that has more capacity to
spare, by the factor of which `tools/choice.py` writes the table, fitted to discrete events. It is
that of p95: p99 gains more than it says, and below p95 nothing is said to gain.

Alone the factor is 1. It grows with the number of pods, up to that number at most: so much would
one queue for all of them have to spare. Of several gateways each knows only its own requests, and
less of the gain is left.
"""

import math
from dataclasses import dataclass

from trireme.autoscaler.choice_table import (
    FIXED_SHARES,
    GATEWAYS,
    KEPT_PERCENT,
    LOADS,
    MAX_BATCHES,
    PODS,
    SPARE_PERMILLE,
)
from trireme.autoscaler.grid import around, cells
from trireme.autoscaler.service_curve import ServiceCurve

_PARTS = [1 / pods for pods in PODS]
_KNOWN = [0.0, *(1 / gateways for gateways in GATEWAYS)]  # without end, none knows anything
_KEPT_PERCENT = (0, *KEPT_PERCENT)
_LOADS = (0.0, *LOADS)  # with nothing to do there is nothing to choose
_DOUBLINGS = [math.log2(batch) for batch in MAX_BATCHES]
PERCENTILE = 95  # from which on it holds: medians gain less, and some nothing
LEAST = 0.01  # of its load that a pod is taken to feel: below it nothing waits anyway


@dataclass(frozen=True, slots=True)
class Fleet:
    """Pods that are alike, and the gateways that choose between them; without any, each request
    goes to any pod, and a pod is as one alone.
    """

    pods: int = 1
    gateways: int = 0

    @property
    def is_chosen_from(self) -> bool:
        """Whether there is a choice, and somebody who makes it."""
        return self.pods > 1 and self.gateways > 0


ALONE = Fleet()


def felt_load(curve: ServiceCurve, fleet: Fleet, load: float) -> float:
    """The load at which a pod alone is as quick as one of the fleet is at this one, both as shares
    of the capacity.

    Linear between what is in the table, and as at its edge beyond it.
    """
    if not fleet.is_chosen_from:
        return load
    gain = 0.0
    for (p, f, b, at), part in cells(
        around(_PARTS, 1 / fleet.pods),
        around(FIXED_SHARES, curve.fixed_share),
        around(_DOUBLINGS, math.log2(curve.max_batch)),
        around(_LOADS, load),
    ):
        if at:
            gain += part * (SPARE_PERMILLE[p][f][b][at - 1] / 1000 - 1)
    kept = sum(part * _KEPT_PERCENT[g] / 100 for g, part in around(_KNOWN, 1 / fleet.gateways))
    spare = (1 + kept * gain) * (1 - load)
    return max(1 - spare, LEAST * load)
