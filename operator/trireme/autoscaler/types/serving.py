"""How a pod serves a model or a pipeline. Pure."""

import math
from dataclasses import field

from trireme.autoscaler.codec import WRITTEN_IF_SET
from trireme.autoscaler.values import frozen


@frozen
class Serving:
    """How one pod serves a model: its instances, the largest batch that is made of requests, how
    long a request may wait before it is rejected, whether some go before others, and whether an
    idle instance waits for more of them (`maxQueueDelay`).
    """

    instances: int
    max_batch: int
    timeout_seconds: float = math.inf
    has_priorities: bool = False
    is_delayed: bool = field(default=False, metadata=WRITTEN_IF_SET)

    @property
    def is_in_order(self) -> bool:
        """Whether every request is served, and in the order of its arrival."""
        return math.isinf(self.timeout_seconds) and not self.has_priorities


@frozen
class ServedStep:
    """A call of a pipeline, and how a pod serves its model; `after` are the places of the calls
    that it waits for, all before it.
    """

    model: str
    serving: Serving
    after: tuple[int, ...] = ()


@frozen
class ServedPipeline:
    """How one pod serves a pipeline: each request makes all of these calls."""

    steps: tuple[ServedStep, ...]
