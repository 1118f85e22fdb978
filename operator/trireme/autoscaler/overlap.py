"""What share of a running batch's rest a request waits for, where a pod has several instances.

Pure. With one instance it is all of it. With k that start evenly spaced it would be 1/k; but a
batch that takes long gathers a long queue, whose batch takes long again, so that instances fall
into step; and where few requests come they are idle. No formula is known, so it is computed:
`tools/overlap.py` fits it to discrete events and writes `overlap_table.py`.
"""

import math

from trireme.autoscaler.grid import around, cells
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
    share = 0.0
    for (i, f, b, at), part in cells(
        around(_SPACINGS, 1 / instances),
        around(FIXED_SHARES, curve.fixed_share),
        around(_DOUBLINGS, math.log2(curve.max_batch)),
        around(LOADS, load),
    ):
        share += part * WAITING_PERCENT[i][f][b][at] / 100
    return share
