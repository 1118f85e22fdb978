"""What share of a running batch's rest a request waits for, where a pod has several instances.

Pure. With one instance it is all of it. With k that start evenly spaced it would be 1/k; but a
batch that takes long gathers a long queue, whose batch takes long again, so that instances fall
into step; and where few requests come they are idle. No formula is known, so it is computed:
`tools/overlap.py` fits it to discrete events and writes `overlap_table.py`.
"""

import math

from trireme.autoscaler.grid import around
from trireme.autoscaler.overlap_table import (
    FIXED_SHARES,
    INSTANCES,
    LOADS,
    MAX_BATCHES,
    WAITING_PERCENT,
)
from trireme.autoscaler.service_curve import ServiceCurve

_SPACINGS = [1 / instances for instances in INSTANCES]
_DOUBLINGS = [math.log2(batch) for batch in MAX_BATCHES]


def waiting_share(curve: ServiceCurve, instances: int, load: float) -> float:
    """The share, linear between what is in the table, and as at its edge beyond it.

    `load` is the rate as a share of the pod's capacity.
    """
    if instances == 1:
        return 1.0
    gap = curve.gap_seconds  # nobody else has the instance in it: as if the batch took longer
    fixed_share = (curve.fixed_seconds + gap) / (curve.full_batch_seconds + gap)
    share = 0.0
    for i, by_instances in around(_SPACINGS, 1 / instances):
        for f, by_fixed in around(FIXED_SHARES, fixed_share):
            for b, by_batch in around(_DOUBLINGS, math.log2(curve.max_batch)):
                for at, by_load in around(LOADS, load):
                    part = by_instances * by_fixed * by_batch * by_load
                    share += part * WAITING_PERCENT[i][f][b][at] / 100
    return share
