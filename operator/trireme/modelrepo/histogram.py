"""The edges of latency histograms: the gateway's, and Triton's own. Pure.

A quantile read from a histogram is as good as its edges are near it, so every objective's target
is an edge, and around the targets lies a ladder of twelve edges a decade: the E12 series of IEC
60063, each edge about 21 % above the one before it. Its numbers have two digits, as have the bins
in which Envoy counts (circllhist: ten to the power of n, in steps of a tenth), so that what stands
at an edge is counted there and not interpolated. A target of three digits, such as 125 ms, is an
edge too, and is interpolated within its bin of 120 to 130 ms.
"""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

from trireme.modelrepo.proto import model_config_pb2 as pb

LATENCY_HISTOGRAM = "nv_inference_first_response_histogram_ms"
"""The one family of Triton's whose edges a model may choose (Triton's user guide, metrics)."""

_E12_TENTHS = (10, 12, 15, 18, 22, 27, 33, 39, 47, 56, 68, 82)
_SPAN = 10  # the ladder reaches from a tenth of the smallest target to ten times the largest
_UNKNOWN_TARGETS = (Decimal(10), Decimal(1_000))  # without objectives: 1 ms to 10 s
_FINEST = Decimal(1)  # Envoy counts whole milliseconds


def latency_edges_milliseconds(targets: Sequence[timedelta]) -> list[float]:
    """The edges, ascending, for objectives with these latency targets.

    One target of 100 ms: 10, 12, 15, ... 82, 100, 120, ... 820, 1000, which are 25.
    """
    wanted = [_milliseconds(target) for target in targets]
    ends = wanted or list(_UNKNOWN_TARGETS)
    low, high = max(_FINEST, min(ends) / _SPAN), max(ends) * _SPAN
    edges = {edge for edge in _ladder(high) if low <= edge <= high} | set(wanted)
    return [float(edge) for edge in sorted(edges)]


def latency_metrics(edges_milliseconds: Sequence[float]) -> pb.ModelMetrics:
    """A ModelConfig's `model_metrics` with these edges of Triton's own histogram."""
    control = pb.ModelMetrics.MetricControl(
        metric_identifier=pb.ModelMetrics.MetricControl.MetricIdentifier(family=LATENCY_HISTOGRAM),
        histogram_options=pb.ModelMetrics.MetricControl.HistogramOptions(
            buckets=edges_milliseconds
        ),
    )
    return pb.ModelMetrics(metric_control=[control])


def read_latency_metrics(metrics: pb.ModelMetrics) -> list[timedelta]:
    """The edges of Triton's own histogram, to the microsecond; none where none are chosen."""
    return [
        timedelta(milliseconds=edge)
        for control in metrics.metric_control
        if control.metric_identifier.family == LATENCY_HISTOGRAM
        for edge in control.histogram_options.buckets
    ]


def _ladder(high: Decimal) -> list[Decimal]:
    """Every step of the series from 1 ms to the decade of `high`."""
    decades = range(high.adjusted() + 1)
    return [Decimal(tenths).scaleb(decade - 1) for decade in decades for tenths in _E12_TENTHS]


def _milliseconds(duration: timedelta) -> Decimal:
    return Decimal(duration // timedelta(microseconds=1)) / 1_000
