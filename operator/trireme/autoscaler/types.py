"""The values of the scaling decision, each made in one place and flowing one way.

`signals.assemble` makes Signals or NoSignals from query results; the control loop adds what the
cluster says and makes an Observation; `policy.policy_of` reads the spec into a Policy;
`decision.decide` turns Observation, Policy and Memory into a Decision and the next Memory.
Times are aware datetimes; durations timedeltas; latencies and rates floats in the unit of their
name.
"""

import math
from collections.abc import Mapping
from dataclasses import field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from trireme.api.conditions import EventReason, Reason
from trireme.api.scaling import Behavior, Paused, ScalingMode
from trireme.api.tuning import Knob
from trireme.autoscaler.codec import WRITTEN_IF_SET
from trireme.autoscaler.service_curve import ServiceCurve
from trireme.autoscaler.values import frozen
from trireme.autoscaler.wording import Words, number


class LatencyKind(StrEnum):
    """How a latency was obtained; named in every message."""

    PERCENTILE = "percentile"  # from a fleet-wide histogram
    ESTIMATED_PERCENTILE = "estimated percentile"  # the largest of the pods' own summaries
    MEAN = "mean"  # sum of durations over successes


@frozen
class Latency:
    """A latency, the percentile it is of (None for the mean), and how it was obtained.

    An estimated percentile is the server's choice, so it need not be whole: 99.9.
    """

    seconds: float
    kind: LatencyKind
    percentile: float | None

    @property
    def name(self) -> str:
        """`p95`, `estimated p95` or `mean`."""
        match self.kind:
            case LatencyKind.PERCENTILE:
                return f"p{self.percentile:g}"
            case LatencyKind.ESTIMATED_PERCENTILE:
                return f"estimated p{self.percentile:g}"
            case LatencyKind.MEAN:
                return "mean"

    def __str__(self) -> str:
        """`p95 182 ms`, `estimated p95 182 ms`, `mean 40.3 ms`."""
        return f"{self.name} {number(self.seconds * 1e3)} ms"


@frozen
class ModelSignals:
    """What is known of one objective's model over the window.

    `latency` is None where no request ended in the window: nothing is known of it then.
    `in_flight` is the mean number of requests being answered or waiting (Little's law).
    `queue_share` is the part of the time in Triton spent waiting, from 0 to 1, if known.
    `slowest_step` is the step of a pipeline that requests are executed in for the longest, if it is
    known. `late_share` is the share of the requests that ended which were over the objective's
    latency target or failed, from 0 to 1; None where no request ended, or no histogram with an edge
    at the target tells.
    """

    model: str
    request_rate_per_second: float
    in_flight: float
    latency: Latency | None
    failure_ratio: float
    mean_latency_seconds: float | None
    queue_share: float | None
    pending: float | None
    slowest_step: str | None = None
    late_share: float | None = None


class Source(StrEnum):
    """Who answers for the pods."""

    PROMETHEUS = "Prometheus"
    PODS = "Pods"  # they themselves, whose metrics the operator reads

    @property
    def words(self) -> str:
        """Whose figures they are."""
        return "Prometheus" if self is Source.PROMETHEUS else "the pods' own metrics"


@frozen
class Coverage:
    """How many of an agent's ready pods of one kind the figures cover, and the age of the oldest
    of their newest samples; None where there is none. So many have `gaps`: they have fewer samples
    than the window should hold, and rates are too low by what is missing at either end of it.
    """

    kind: str
    covered: int
    ready: int
    age_seconds: float | None
    gaps: int = 0

    def __str__(self) -> str:
        """`3 of 3 server pods, up to 4s old, 1 with gaps`."""
        age = "" if self.age_seconds is None else f", up to {round(self.age_seconds)}s old"
        gaps = f", {self.gaps} with gaps" if self.gaps else ""
        return f"{self.covered} of {self.ready} {self.kind} pods{age}{gaps}"


@frozen
class Signals:
    """Fresh, whole signals: one ModelSignals per objective, in the order of the spec.

    `instead` says why the source is not Prometheus, where it is not. `coverage` begins with the
    pods that the rates are of; behind a gateway the servers only add to these.
    """

    at: datetime
    window: timedelta
    models: tuple[ModelSignals, ...]
    source: Source = Source.PROMETHEUS
    coverage: tuple[Coverage, ...] = ()
    instead: str = ""

    @property
    def gaps(self) -> int:
        """How many of the pods that the rates are of have gaps in their samples."""
        return self.coverage[0].gaps if self.coverage else 0

    def __str__(self) -> str:
        """`by Prometheus: 3 of 3 server pods, up to 4s old, 1 of 1 gateway pods, up to 2s old`."""
        return f"by {self.source.words}: {', '.join(map(str, self.coverage))}"


@frozen
class NoSignals:
    """Signals are missing: the fleet is held. `reason` is a SignalsAvailable reason.

    `awaited`: they are yet to come, since there are no pods, or these only just became ready.
    """

    reason: Reason
    message: str
    awaited: bool = False


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


@frozen
class LeadTime:
    """How long a pod takes from being made to being ready, measured over `samples` pods.

    `p95_seconds` is what is planned with: a capacity that is needed by then must be asked for now.
    """

    p95_seconds: float
    median_seconds: float
    samples: int


@frozen
class Forecast:
    """The highest request rate that is expected within the lead time, `words` says by which past.

    It is bought with the `margin`, which may be under 1; a replica that is no longer wanted is
    held for `hold_seconds`. By the back-test, `late_share` of the requests miss the objective so.
    """

    per_second: float
    margin: float
    words: str
    horizon_seconds: float
    hold_seconds: float
    late_share: float


@frozen
class Outside:
    """What is asked of the agent, as `scaling.demand` has it: seen without any pod of it."""

    per_second: float


@frozen
class Grant:
    """How many pods an agent may have of what it shares with others, and the words for it; of one
    with node classes it is GPUs.
    """

    replicas: int
    words: str


@frozen
class KnownKnob:
    """A knob of a model, by turning which a pod is expected to sustain more of an objective: by
    `gain`, a share of what it does now.
    """

    objective: str
    model: str
    knob: Knob
    now: str
    to: str
    gain: float


@frozen
class SettingNews:
    """What became of a setting of Trireme's own: it is recommended, tried, kept or taken back. The
    words are those of its Event.
    """

    reason: EventReason
    message: str


@frozen
class ClassPods:
    """The pods of one node class, "" for those of an agent without. `short` of its `replicas` are
    not there: no node takes them, or they cannot be made.
    """

    name: str
    replicas: int
    ready: int
    short: int = 0
    capacities: Mapping[str, Capacity | OutOfReach] = field(default_factory=dict)
    lead_time: LeadTime | None = None


@frozen
class Observation:
    """What the cluster and the signals say at `now`.

    `replicas` is the Deployment's spec.replicas, `ready` its ready pods. `stuck` pods are neither
    ready nor on their way: no node takes them, their image or container fails, or they were ready
    once and are so no more; of these no node takes `unschedulable`. `capacities` holds, by an
    objective's model, what a pod is known to sustain; of others nothing is known. `lead_time` is
    None until a pod was seen to start. `outside` is what `scaling.demand` asks for, or why that is
    not known; None where the spec has none. `grant` bounds the size where a GPU budget is shared.
    `classes` are the pods by node class, empty of an agent without; then `capacities` are means.
    `beside_canary`: a canary, whose pods are none of these, answers a part of the requests. `knobs`
    are known to make a pod sustain more; `settings` is what became of some since the last decision.
    """

    now: datetime
    replicas: int
    ready: int
    stuck: int
    unschedulable: int
    signals: Signals | NoSignals
    capacities: Mapping[str, Capacity | OutOfReach] = field(default_factory=dict)
    forecasts: Mapping[str, Forecast] = field(default_factory=dict)
    lead_time: LeadTime | None = None
    outside: Outside | NoSignals | None = None
    grant: Grant | None = None
    classes: tuple[ClassPods, ...] = ()
    beside_canary: bool = field(default=False, metadata=WRITTEN_IF_SET)
    knobs: tuple[KnownKnob, ...] = field(default=(), metadata=WRITTEN_IF_SET)
    settings: tuple[SettingNews, ...] = field(default=(), metadata=WRITTEN_IF_SET)

    @property
    def by_outside(self) -> bool:
        """Whether only the demand outside tells of requests: no pod can."""
        return self.outside is not None and (self.replicas == 0 or self.ready == 0)


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


@frozen
class Recommendation:
    """A past proposal, kept for the stabilisation windows."""

    at: datetime
    replicas: int


@frozen
class ScaleChange:
    """A change of size that was carried out, kept for the rate policies: positive is up."""

    at: datetime
    change: int


@frozen
class TargetMemory:
    """The learnt in-flight target of one objective.

    `window_since`: when the present full observation window began, None while it may not count
    (pods were starting). `within_since`: since when the objective has been kept without a break.
    """

    model: str
    in_flight_per_pod: float
    window_since: datetime | None
    within_since: datetime | None


@frozen
class Doubt:
    """Since when, and at which rate that all pods were to sustain, an objective was broken."""

    since: datetime
    sustained_per_second: float


@frozen
class FactorMemory:
    """What the capacity of an objective's pods is multiplied by.

    `explained`: the objective is broken, and not by them. `calm_since`: since when they have been
    near their capacity with room to spare.
    """

    model: str
    factor: float = 1.0
    doubt: Doubt | None = None
    explained: bool = False
    calm_since: datetime | None = None


@frozen
class Needed:
    """What was asked of the pods for one objective, for the stabilisation windows: requests a
    second, or pods where what one sustains is not known.
    """

    at: datetime
    model: str
    amount: float
    in_pods: bool


@frozen
class Shortage:
    """A class that has waited for its pods `since` then, when `ready` of it were ready; with
    `until`, no more than `most` of it are counted on until then.
    """

    name: str
    since: datetime
    most: int = 0
    until: datetime | None = None
    ready: int = 0


@frozen
class Learning:
    """A class with pods of which nothing is known yet, `since` then."""

    name: str
    since: datetime


@frozen
class ClassMemory:
    """What is remembered for node classes: what was needed, which classes are short of pods and
    which are being learnt, and what it has cost so far, in prices x seconds up to `at`, to stay
    with a dearer mix.
    """

    needed: tuple[Needed, ...] = ()
    shortages: tuple[Shortage, ...] = ()
    learning: tuple[Learning, ...] = ()
    forgone: float = 0.0
    at: datetime | None = None


@frozen
class Memory:
    """What a decision hands to the next one.

    `started` is when this memory began (a restart begins a new one), so that nothing shrinks
    before one full window was seen. `idle_since`: since when nothing was asked, neither of the
    pods nor outside them; None where something is, or nothing is known.
    """

    started: datetime
    recommendations: tuple[Recommendation, ...] = ()
    changes: tuple[ScaleChange, ...] = ()
    targets: tuple[TargetMemory, ...] = ()
    factors: tuple[FactorMemory, ...] = ()
    idle_since: datetime | None = None
    classes: ClassMemory = ClassMemory()


@frozen
class ClassSize:
    """How many pods of a node class there were to be, and are to be."""

    name: str
    current: int
    replicas: int


@frozen
class Alternative:
    """A knob with which `replicas` would do, fewer than are decided on."""

    knob: KnownKnob
    replicas: int


@frozen
class Decision:
    """How many replicas, and why.

    `replicas` is what is to be written (equal to `current` for no change), `proposed` what the
    objectives asked for before policies and bounds (None where nothing could be proposed).
    `reason` is an AutoscalingActive reason; `message` tells an SRE what was seen, what was wanted
    and what bound it. `model` names the objective whose proposal won. `classes` are the sizes by
    node class, empty of an agent without. `alternative` is there where replicas are bought that a
    knob would spare, and `settings` is what became of Trireme's own since the decision before.
    """

    at: datetime
    current: int
    replicas: int
    proposed: int | None
    reason: Reason
    message: Words
    model: str | None
    classes: tuple[ClassSize, ...] = ()
    alternative: Alternative | None = field(default=None, metadata=WRITTEN_IF_SET)
    settings: tuple[SettingNews, ...] = field(default=(), metadata=WRITTEN_IF_SET)
