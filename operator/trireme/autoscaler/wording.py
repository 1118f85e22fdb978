"""Figures and sentences for reading. Pure."""

from trireme.api.tuning import TuningStatus


def number(value: float) -> str:
    """A figure to three digits or to the unit: 0.0417, 40.3, 182, 12345."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def pod_count(count: int) -> str:
    """`1 pod`, `3 pods`."""
    return f"{count} pod" if count == 1 else f"{count} pods"


def rounded(value: float) -> float:
    """A figure to four significant digits, which are enough for people: 182.3456 is 182.3."""
    return float(f"{value:.4g}")


def recommendation(told: TuningStatus) -> str:
    """`set maxBatchSize of m from 8 to 16: a pod is expected to sustain 33 % more within …`."""
    turned = f"set {told.knob} of {told.model} from {told.from_} to {told.to}"
    if not told.gain_percent:
        return f"{turned}: {told.evidence}"
    least, most = number(told.least_gain_percent), number(told.most_gain_percent)
    return (
        f"{turned}: a pod is expected to sustain {number(told.gain_percent)} % more within its "
        f"objective ({least} % to {most} %, confidence {told.confidence}), {told.evidence}"
    )
