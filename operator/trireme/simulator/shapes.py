"""Traffic of simple shapes, for who has recorded none. Pure.

A shape is certain, and its requests are drawn by the seed as those of a trace. Its highest rate is
one request a second: it is scaled to as many pods as are asked for.
"""

from enum import StrEnum

import numpy as np

from trireme.simulator.load_table import Floats
from trireme.simulator.traces import Traffic

LOW = 0.25  # of the highest rate: what is usual where there are peaks
TURN_SECONDS = 300  # on, and off; each longer than most pods take to start
BURST_SECONDS, BURST_EVERY_SECONDS = 60, 600
DAY_SECONDS = 86_400


class Shape(StrEnum):
    """What traffic does; the comment says it."""

    STEP = "step"  # a third of the time low, a third high, a third low
    RAMP = "ramp"  # from low to high and back, by straight lines
    BURST = "burst"  # low, and high for a minute of every ten
    ON_OFF = "on-off"  # high for five minutes, nothing for five
    WAVE = "wave"  # a sine, from low to high and back each day; of a shorter time once


def made(shape: Shape, seconds: int) -> Traffic:
    """So many seconds of a shape."""
    at = np.asarray(np.arange(seconds) + 0.5, np.float64)
    return Traffic(str(shape), np.asarray(_rates(shape, at, seconds), np.float64))


def _rates(shape: Shape, at: Floats, seconds: int) -> Floats:
    match shape:
        case Shape.STEP:
            is_high = (at >= seconds / 3) & (at < seconds * 2 / 3)
        case Shape.RAMP:
            return np.interp(at, [0, seconds / 2, seconds], [LOW, 1, LOW])
        case Shape.BURST:
            is_high = (at - BURST_EVERY_SECONDS / 2) % BURST_EVERY_SECONDS < BURST_SECONDS
        case Shape.ON_OFF:
            return np.where(at % (2 * TURN_SECONDS) < TURN_SECONDS, 1.0, 0.0)
        case Shape.WAVE:
            wave = np.cos(2 * np.pi * at / min(seconds, DAY_SECONDS))
            return np.asarray((1 + LOW) / 2 - (1 - LOW) / 2 * wave)
    return np.where(is_high, 1.0, LOW)
