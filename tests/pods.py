"""Pods that the queueing model is judged on, and discrete events to judge it by."""

from functools import lru_cache

import numpy as np

from trireme.autoscaler.batch_events import PodModel, Served, poisson_arrivals, serve
from trireme.autoscaler.queueing import PodShape
from trireme.autoscaler.service_curve import ServiceCurve

# Service profiles: a fixed part, a part per request, the largest batch.
LIGHT = ServiceCurve(0.004, 0.0005, 32)
MEDIUM = ServiceCurve(0.006, 0.002, 16)
WIDE = ServiceCurve(0.010, 0.0001, 64)
NARROW = ServiceCurve(0.001, 0.005, 8)
PROFILES = (LIGHT, MEDIUM, WIDE, NARROW)


@lru_cache(maxsize=64)
def simulated(shape: PodShape, load: float, requests: int, seed: int = 1) -> Served:
    """A pod at a share of its capacity; the requests' mean rate is exactly that."""
    rate = load * shape.capacity_per_second
    generator = np.random.default_rng(seed)
    arrivals = poisson_arrivals(rate, requests, generator)
    arrivals *= requests / rate / arrivals[-1]
    return serve(arrivals, PodModel(shape.curve, shape.instances, noise=shape.noise), generator)
