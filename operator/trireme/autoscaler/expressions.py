"""What is read off the pods' metrics, as values: one way to say it for both who can answer.

Pure. `promql` writes an expression as a query for Prometheus; `direct` evaluates it over what was
read from the pods themselves. So a figure is named once, and means the same from either source.

A pod's own series counts once, whoever scraped it and however often (`Each`). What has no series
stays absent: no expression has a default.
"""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class PodKind:
    """One kind of pods, and which labels of a metric tell the series of one pod apart."""

    name: str
    own: tuple[str, ...]


SERVER = PodKind("server", ("model", "version", "gpu_uuid", "reason"))
GATEWAY = PodKind("gateway", ("envoy_cluster_name",))


class Function(StrEnum):
    """What is made of one series over the window, by its name in PromQL."""

    RATE = "rate"  # of a counter: per second, resets taken for restarts
    MEAN = "avg_over_time"  # of a gauge
    GROWTH = "delta"  # of a gauge: per second, the last value less the first
    LAST = "last"  # the newest value


@dataclass(frozen=True, slots=True)
class Where:
    """Only series whose label has one of the values; with `other`, those that have none of them.

    A label that is absent has the value "".
    """

    label: str
    values: tuple[str, ...]
    other: bool = False


@dataclass(frozen=True, slots=True)
class Each:
    """A function of each pod's own series of one metric. A `part` is a label that it is given."""

    kind: PodKind
    function: Function
    metric: str
    where: tuple[Where, ...] = ()
    part: str = ""


@dataclass(frozen=True, slots=True)
class Total:
    """The sum over an agent's pods and over `of`, apart by the labels `by`, divided by `per`."""

    of: tuple[Each, ...]
    by: tuple[str, ...] = ()
    per: float = 1


@dataclass(frozen=True, slots=True)
class Both:
    """The sum of two totals; absent where either is."""

    one: Total
    other: Total


@dataclass(frozen=True, slots=True)
class Largest:
    """The largest of each pod's series, apart by the labels `by`, divided by `per`."""

    of: Each
    by: tuple[str, ...]
    per: float = 1


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Each percentile that is asked for, of the histogram with these buckets, divided by `per`.

    The answers have the label `quantile`.
    """

    buckets: Each
    by: tuple[str, ...] = ()
    per: float = 1


@dataclass(frozen=True, slots=True)
class ShareOver:
    """The share of a histogram's values over each edge that is asked for, which is the label `le`.

    Only of pods whose histogram has the edge: while a new target is rolled out, the values of the
    others would all seem to lie over it.
    """

    buckets: Each
    by: tuple[str, ...] = ()


Expression = Total | Both | Largest | Quantiles | ShareOver
