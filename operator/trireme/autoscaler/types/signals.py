"""What is seen of a window: of each model, by whom, of which pods; or why nothing is. Pure."""

from datetime import datetime, timedelta
from enum import StrEnum

from trireme.api.conditions import Reason
from trireme.autoscaler.values import frozen
from trireme.autoscaler.wording import number


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
