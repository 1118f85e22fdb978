"""What became of the requests: a report for each second, and a summary.

Pure: times are seconds since the start of the load and are given by the caller. Latency counts
from the time a request was meant to leave, so the wait for a busy client is in it; `from_send`
counts from the time it left. The JSON of `SecondReport` and `Summary` is what programs read.
"""

import json
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from math import ceil
from typing import Any


class Protocol(StrEnum):
    """How a request travels."""

    HTTP = "http"
    GRPC = "grpc"


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Latency percentiles in milliseconds, of `count` answers."""

    count: int
    p50: float
    p95: float
    p99: float
    max: float


def percentiles(latencies_seconds: Iterable[float]) -> Percentiles | None:
    """Percentiles by nearest rank, so each is a latency that was seen; None of nothing.

    The p95 of 10 values is the ceil(0.95 x 10) = 10th smallest.
    """
    ordered = sorted(latencies_seconds)
    if not ordered:
        return None

    def rank(percent: int) -> float:
        return round(ordered[ceil(percent * len(ordered) / 100) - 1] * 1e3, 3)

    return Percentiles(len(ordered), rank(50), rank(95), rank(99), rank(100))


@dataclass(frozen=True, slots=True)
class SecondReport:
    """One second of the load: `second` 0 is the first.

    `ok`, `failed` and the latencies are of requests that ended in this second; `in_flight` is at
    its end. `not_sent` had to be dropped by the client, since too many were unanswered.
    """

    second: int
    target_rate: float
    sent: int
    ok: int
    failed: int
    not_sent: int
    in_flight: int
    latency_ms: Percentiles | None
    by_protocol: Mapping[Protocol, Percentiles]

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "SecondReport":
        """The inverse of `to_json`, from the parsed line."""
        latency = fields["latency_ms"]
        return cls(
            **{
                **fields,
                "latency_ms": None if latency is None else Percentiles(**latency),
                "by_protocol": {
                    Protocol(name): Percentiles(**value)
                    for name, value in fields["by_protocol"].items()
                },
            }
        )


@dataclass(frozen=True, slots=True)
class ErrorCount:
    """An error text, how often it came and when it came first."""

    text: str
    protocol: Protocol
    count: int
    first_seconds: float


@dataclass(frozen=True, slots=True)
class Summary:
    """The whole run.

    `lateness_ms` is how late requests left; where it is not far below the latencies, the client was
    the bottleneck.
    """

    seconds: float
    sent: int
    ok: int
    failed: int
    not_sent: int
    latency_ms: Percentiles | None
    latency_from_send_ms: Percentiles | None
    lateness_ms: Percentiles | None
    by_protocol: Mapping[Protocol, Percentiles]
    errors: tuple[ErrorCount, ...]
    client_cpu_seconds: float

    @property
    def asked(self) -> int:
        """Every arrival: those sent and those not sent."""
        return self.sent + self.not_sent

    @property
    def lost(self) -> int:
        """Requests without a right answer."""
        return self.asked - self.ok

    def to_json(self) -> str:
        """One line: the fields, and `asked` and `lost` for those who read it with jq."""
        derived = {"asked": self.asked, "lost": self.lost}
        return json.dumps(derived | asdict(self), separators=(",", ":"))

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Summary":
        """The inverse of `to_json`, from the parsed line."""

        def read(value: Mapping[str, Any] | None) -> Percentiles | None:
            return None if value is None else Percentiles(**value)

        own = {name: value for name, value in fields.items() if name not in ("asked", "lost")}
        return cls(
            **{
                **own,
                "latency_ms": read(fields["latency_ms"]),
                "latency_from_send_ms": read(fields["latency_from_send_ms"]),
                "lateness_ms": read(fields["lateness_ms"]),
                "by_protocol": {
                    Protocol(name): Percentiles(**value)
                    for name, value in fields["by_protocol"].items()
                },
                "errors": tuple(
                    ErrorCount(**{**error, "protocol": Protocol(error["protocol"])})
                    for error in fields["errors"]
                ),
            }
        )


def parse_line(line: str) -> SecondReport | Summary | None:
    """Read one line of the generator's output; None where it is something else (a warning)."""
    try:
        fields = json.loads(line)
    except ValueError:
        return None
    if not isinstance(fields, dict):
        return None
    if "asked" in fields:
        return Summary.from_dict(fields)
    return SecondReport.from_dict(fields) if "second" in fields else None


@dataclass(slots=True)
class _Second:
    sent: int = 0
    failed: int = 0
    not_sent: int = 0
    latencies: dict[Protocol, list[float]] = field(default_factory=dict)


class Recorder:
    """Gathers outcomes; `report` closes a second, `summary` the run.

    Latencies are kept as doubles, 24 bytes a request, so percentiles are exact.
    """

    def __init__(self) -> None:
        self._second = _Second()
        self._latencies = {protocol: array("d") for protocol in Protocol}
        self._from_send = array("d")
        self._lateness = array("d")
        self._errors: dict[tuple[Protocol, str], tuple[int, float]] = {}
        self.asked = 0
        self.ok = 0
        self.failed = 0
        self.not_sent = 0

    @property
    def in_flight(self) -> int:
        """Requests that left and have not ended."""
        return self.asked - self.not_sent - self.ok - self.failed

    def sent(self, intended: float, now: float) -> None:
        """A request that was due at `intended` leaves."""
        self.asked += 1
        self._second.sent += 1
        self._lateness.append(now - intended)

    def dropped(self) -> None:
        """A request was due and could not leave."""
        self.asked += 1
        self.not_sent += 1
        self._second.not_sent += 1

    def answered(self, protocol: Protocol, intended: float, sent: float, now: float) -> None:
        """A right answer came."""
        self.ok += 1
        self._second.latencies.setdefault(protocol, []).append(now - intended)
        self._latencies[protocol].append(now - intended)
        self._from_send.append(now - sent)

    def errored(self, protocol: Protocol, text: str, now: float) -> None:
        """A request failed, or its answer was wrong."""
        self.failed += 1
        self._second.failed += 1
        count, first = self._errors.get((protocol, text), (0, now))
        self._errors[protocol, text] = (count + 1, first)

    def report(self, second: int, target_rate: float) -> SecondReport:
        """Close a second."""
        done, self._second = self._second, _Second()
        by_protocol, every = _by_protocol(done.latencies)
        return SecondReport(
            second=second,
            target_rate=target_rate,
            sent=done.sent,
            ok=len(every),
            failed=done.failed,
            not_sent=done.not_sent,
            in_flight=self.in_flight,
            latency_ms=percentiles(every),
            by_protocol=by_protocol,
        )

    def summary(self, seconds: float, client_cpu_seconds: float) -> Summary:
        """Close the run."""
        by_protocol, every = _by_protocol(self._latencies)
        return Summary(
            seconds=round(seconds, 3),
            sent=self.asked - self.not_sent,
            ok=self.ok,
            failed=self.failed,
            not_sent=self.not_sent,
            latency_ms=percentiles(every),
            latency_from_send_ms=percentiles(self._from_send),
            lateness_ms=percentiles(self._lateness),
            by_protocol=by_protocol,
            errors=tuple(
                ErrorCount(text, protocol, count, round(first, 3))
                for (protocol, text), (count, first) in self._errors.items()
            ),
            client_cpu_seconds=round(client_cpu_seconds, 2),
        )


def _by_protocol(
    latencies: Mapping[Protocol, Iterable[float]],
) -> tuple[dict[Protocol, Percentiles], list[float]]:
    by_protocol = {}
    every: list[float] = []
    for protocol, values in latencies.items():
        if (found := percentiles(values)) is not None:
            by_protocol[protocol] = found
            every.extend(values)
    return by_protocol, every
