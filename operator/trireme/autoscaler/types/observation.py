"""What the cluster and the signals say at the moment of a decision. Pure."""

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime

from trireme.api.conditions import EventReason
from trireme.api.tuning import Knob
from trireme.autoscaler.codec import WRITTEN_IF_SET
from trireme.autoscaler.types.capacity import Capacity, OutOfReach
from trireme.autoscaler.types.signals import NoSignals, Signals
from trireme.autoscaler.values import frozen


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
    `gain`, a share of what it does now. `is_guess`: nothing like it was seen (confidence Low).
    """

    objective: str
    model: str
    knob: Knob
    now: str
    to: str
    gain: float
    is_guess: bool = field(default=False, metadata=WRITTEN_IF_SET)


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
