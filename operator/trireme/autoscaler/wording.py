"""Figures and sentences for reading. Pure."""

import math
from collections.abc import Callable
from datetime import datetime, timedelta

from trireme.api.tuning import Knob, TuningStatus


class Words:
    """A text that is put together when it is first read: of most rounds nobody reads any.

    It equals every other that reads the same, and that text itself.
    """

    __slots__ = ("_made",)

    def __init__(self, made: str | Callable[[], str]) -> None:
        self._made = made

    def __str__(self) -> str:
        if not isinstance(self._made, str):
            self._made = self._made()
        return self._made

    def __repr__(self) -> str:
        return repr(str(self))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str | Words) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))


def number(value: float) -> str:
    """A figure to three digits or to the unit: 0.0417, 40.3, 182, 12345."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def gibibytes(size: float) -> str:
    """To two places, rounded up: 1 byte more than 2 GiB is 2.01 GiB."""
    hundredths = math.ceil(size * 100 / 2**30)
    return f"{hundredths // 100}.{hundredths % 100:02} GiB"


def pod_count(count: int) -> str:
    """`1 pod`, `3 pods`."""
    return f"{count} pod" if count == 1 else f"{count} pods"


def rounded(value: float) -> float:
    """A figure to four significant digits, which are enough for people: 182.3456 is 182.3."""
    return float(f"{value:.4g}")


def recommendation(told: TuningStatus) -> str:
    """`set maxBatchSize of m from 8 to 16: a pod is expected to sustain 33 % more within …`."""
    turned = f"set {told.knob} of {told.model} from {told.from_} to {told.to}"
    if told.knob is Knob.BATCHING:
        turned = (
            f"switch batching on for {told.model} (batching: {{dynamic: {{}}}}, maxBatchSize "
            f"{told.to}), whose requests are executed one by one"
        )
    if not told.gain_percent:
        return f"{turned}: {told.evidence}"
    least, most = number(told.least_gain_percent), number(told.most_gain_percent)
    return (
        f"{turned}: a pod is expected to sustain {number(told.gain_percent)} % more within its "
        f"objective ({least} % to {most} %, confidence {told.confidence}), {told.evidence}"
    )


def setting(knob: Knob, now: str, to: str) -> str:
    """`maxBatchSize 16 in place of 8`."""
    if knob is Knob.BATCHING:
        return f"batches of up to {to} in place of single requests"
    return f"{knob} {to} in place of {now}"


def age(passed: timedelta, most_units: int = 2) -> str:
    """`4s`, `3m20s`, `2h5m`, `3d4h`: a duration in its largest units."""
    left, counts = max(0, round(passed.total_seconds())), []
    for unit, seconds in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, left = divmod(left, seconds)
        counts.append((count, unit))
    first = next((at for at, (count, _) in enumerate(counts) if count), 0)
    kept = counts[first : first + most_units]
    return "".join(f"{count}{unit}" for count, unit in kept if count) or "0s"


def lasting(seconds: float) -> str:
    """`3m20s`: how long something takes."""
    return age(timedelta(seconds=seconds))


def ago(at: datetime, now: datetime) -> str:
    """`3m20s ago`."""
    return f"{age(now - at)} ago"
