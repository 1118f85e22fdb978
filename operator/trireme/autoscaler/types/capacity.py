"""What a pod is known to sustain, and what that is told by. Pure."""

from dataclasses import field

from trireme.autoscaler.codec import WRITTEN_IF_SET
from trireme.autoscaler.service_curve import ServiceCurve
from trireme.autoscaler.values import frozen
from trireme.autoscaler.wording import number


@frozen
class EarlierCurve:
    """The curve of a model before its files or configuration changed."""

    curve: ServiceCurve

    def __str__(self) -> str:
        """`6 ms + 2 ms a request, up to 16, before the model changed`."""
        return f"{self.curve}, before the model changed"


@frozen
class BusiestStep:
    """The step of a pipeline whose model is nearest to its own capacity, and that model's curve."""

    model: str
    curve: ServiceCurve | EarlierCurve

    def __str__(self) -> str:
        """`policy is the busiest step, 6 ms + 2 ms a request, up to 16`."""
        return f"{self.model} is the busiest step, {self.curve}"


@frozen
class ClassCapacity:
    """So many pods of a node class, each of which sustains a rate; None where it is not known."""

    name: str
    pods: int
    per_second: float | None

    def __str__(self) -> str:
        """`3 l4 of 30`."""
        each = "an unknown rate" if self.per_second is None else number(self.per_second)
        return f"{self.pods} {self.name or 'without a class'} of {each}"


@frozen
class MeanOfClasses:
    """What a pod sustains in the mean over the classes of the pods that there are."""

    classes: tuple[ClassCapacity, ...]

    def __str__(self) -> str:
        """`the mean of 2 a100 of 95 and 3 l4 of 30`."""
        return f"the mean of {' and '.join(map(str, self.classes))}"


Learnt = ServiceCurve | EarlierCurve | BusiestStep | MeanOfClasses
"""What a capacity is told by: a model's curve, of a pipeline that of the step that binds it, of a
fleet of several node classes those of the classes.
"""


@frozen
class Capacity:
    """The highest rate at which one pod keeps an objective, by the curve that was learnt of it.

    `eased_seconds` is the latency at the objective's percentile with nine tenths of that rate, None
    where it was not computed yet. `eased_of` holds what it is of so many pods that a gateway
    chooses between, with the number rising; it is empty where none does.
    """

    per_second: float
    learnt: Learnt
    eased_seconds: float | None = None
    eased_of: tuple[tuple[int, float], ...] = field(default=(), metadata=WRITTEN_IF_SET)

    def eased_of_each(self, pods: int) -> float | None:
        """The latency that is due with nine tenths of the rate on each of so many pods, by the next
        larger number that it is known of: so it is due rather sooner than later.
        """
        if pods <= 1 or not self.eased_of:
            return self.eased_seconds
        for count, seconds in self.eased_of:
            if count >= pods:
                return seconds
        return self.eased_of[-1][1]


@frozen
class OutOfReach:
    """No number of pods keeps an objective: an idle one takes `least_seconds` at its percentile."""

    least_seconds: float
    learnt: Learnt
