"""What a decision hands to the next one. Pure."""

from datetime import datetime

from trireme.autoscaler.values import frozen


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
