"""What the spec asks of a decision. Pure."""

from collections.abc import Mapping
from dataclasses import field, replace
from datetime import timedelta

from trireme.api.scaling import Behavior, Paused, ScalingMode
from trireme.autoscaler.codec import WRITTEN_IF_SET
from trireme.autoscaler.types.serving import ServedPipeline, Serving
from trireme.autoscaler.values import frozen


@frozen
class ObjectivePolicy:
    """One objective, with the in-flight target per pod that decisions start from.

    `fixed_target` is true where the user set it, so that it is not learnt. `start_of_step` holds
    the start that each step of a pipeline would have as a model of its own. `serving` is None where
    what a pod sustains is not asked: the user set the target, or no model of it is had. `gateways`
    are those that choose, for each request, the less busy of two pods by what the model has to do;
    0 where none does.
    """

    model: str
    percentile: int
    latency_target_seconds: float
    max_failure_ratio: float
    start_in_flight_per_pod: float
    fixed_target: bool
    start_of_step: Mapping[str, float] = field(default_factory=dict)
    serving: Serving | ServedPipeline | None = None
    gateways: int = field(default=0, metadata=WRITTEN_IF_SET)

    @property
    def served_models(self) -> Mapping[str, Serving]:
        """The models whose curves say what a pod sustains, by name."""
        match self.serving:
            case Serving() as serving:
                return {self.model: serving}
            case ServedPipeline(steps):
                return {step.model: step.serving for step in steps}
            case None:
                return {}

    def fitted_to(self, slowest_step: str | None) -> "ObjectivePolicy":
        """The objective with the start of the slowest step, where it is a pipeline's that is known
        to have one: a narrow step that is quick holds nobody up.
        """
        start = self.start_of_step.get(slowest_step or "")
        if start is None or self.fixed_target:
            return self
        return replace(self, start_in_flight_per_pod=start)


@frozen
class Bound:
    """Where a bound comes from: a field of the spec, and when it holds, if not always."""

    field: str
    when: str = ""  # such as " until 18:00 Europe/Berlin"


@frozen
class DemandPolicy:
    """Above which demand outside the pods there are some, and for how long there must have been
    nothing before the last one goes.
    """

    activation_per_second: float
    cooldown: timedelta


@frozen
class NodeClass:
    """A class of nodes, what a pod on one costs, and how many pods there must and may be of it."""

    name: str
    price: float
    min_replicas: int
    max_replicas: int
    gpus: int = 0


@frozen
class Policy:
    """What the spec asks of the decision. `replicas` is spec.replicas, None in mode Automatic."""

    mode: ScalingMode
    replicas: int | None
    min_replicas: int
    max_replicas: int
    tolerance: float | None
    behavior: Behavior
    paused: Paused
    objectives: tuple[ObjectivePolicy, ...]
    min_bound: Bound = Bound("scaling.min")
    max_bound: Bound = Bound("scaling.max")
    demand: DemandPolicy | None = None
    classes: tuple[NodeClass, ...] = ()
