"""What the benchmarks of the modes Apply share: an agent under load, into whose spec the mode is
written, and to which nothing else is done.

Events tell most of what happens then. The size of the fleet and the curve that was learnt are
looked at every two seconds, and what the gateway has counted once a minute.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from bench import histogram
from bench.histogram import Bins
from bench.machine import MOST_BUSY, Usage, watched
from bench.table import table
from e2e.load import Load
from kube import Kube, Object
from trireme.admission.parse import readable_status
from trireme.api import names
from trireme.api.adoption import Adoption
from trireme.api.conditions import EventReason
from trireme.api.scaling_status import CurveSource, CurveStatus
from trireme.api.status import AgentStatus
from trireme.rollout.evidence import Share

WINDOW_SECONDS = 60  # in which the two fleets are measured
STANDS_SECONDS = 90  # a size that stands so long has settled: longer than scale-in waits
MEASURED_SECONDS = 300  # in which 1,000 batches are seen

_LOOK_SECONDS = 2.0
_MOST_WORDS = 220  # of an Event in the table


@dataclass(frozen=True, slots=True)
class Subject:
    """An agent with one model of its own name, and what it is asked. `arguments` of the load say
    what a request holds.
    """

    kube: Kube
    name: str
    rate_per_second: float
    limit_seconds: float
    arguments: tuple[str, ...]

    def load(self, name: str, seconds: int) -> Load:
        """A load that has begun."""
        profile = f"{seconds}s@{self.rate_per_second:g}"
        job = f"{self.name}-{name}"
        load = Load(self.kube, job, self.name, self.name, profile, *self.arguments)
        self.kube.until("load is on", load.started, 60)
        return load

    def status(self) -> AgentStatus:
        """What its status says."""
        return readable_status(self.kube.get("agd", self.name).get("status"))

    def counted(self) -> Mapping[str, Bins]:
        """What its gateway has counted so far, by track."""
        return histogram.seen_by_track(self.kube, self.name)

    def late(self, before: Mapping[str, Bins], after: Mapping[str, Bins]) -> dict[str, Share]:
        """How many requests were late between two looks at the gateway, by track."""
        return {
            track: histogram.late(histogram.since(before[track], bins), self.limit_seconds)
            for track, bins in after.items()
        }


@dataclass(frozen=True, slots=True)
class Fleet:
    """A fleet whose size stands, under the load."""

    pods: int
    curve: CurveStatus
    summary: dict[str, Any]
    late: Share
    usage: Usage


@dataclass(frozen=True, slots=True)
class Step:
    """What happened, and how long after the beginning."""

    seconds: float
    what: str
    note: str


@dataclass(frozen=True, slots=True)
class Minute:
    """What was late in a minute, by track; it ended so long after the beginning."""

    seconds: float
    late: Mapping[str, Share]

    @property
    def of_all(self) -> Share:
        """Of both tracks."""
        return together(self.late.values())


class Diary:
    """What happens to an agent from now on, as long as it is looked at. The `summary` of the load,
    and how the processors were used, are there once that has ended.
    """

    summary: dict[str, Any]
    usage: Usage

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._began = time.time()  # noqa: TID251  # a clock to measure by
        self._seen: list[Step] = []
        self._sizes = (-1, -1)  # wanted and ready
        self._curve: CurveStatus | None = None
        self._measured: set[str] = set()
        self._counted, self._counted_at = subject.counted(), 0.0
        self.settled_seconds = 0.0  # since when the size is what it is
        self.minutes: list[Minute] = []

    @property
    def seconds(self) -> float:
        """How long it has been kept."""
        return time.time() - self._began  # noqa: TID251  # a clock to measure by

    def until(self, what: str, is_so: Callable[[], object], seconds: float) -> None:
        """Look until it is so."""

        def holds() -> object:
            self.look()
            return is_so()

        subject = self._subject
        replace(subject.kube, pause_seconds=_LOOK_SECONDS).until(what, holds, seconds, subject.name)

    def look(self) -> None:
        """Note what is another than at the last look."""
        subject = self._subject
        deployment = subject.kube.find("deployment", subject.name) or {}
        wanted = int(deployment.get("spec", {}).get("replicas", 0))
        ready = int(deployment.get("status", {}).get("readyReplicas", 0))
        if (wanted, ready) != self._sizes:
            self._sizes, self.settled_seconds = (wanted, ready), self.seconds
            self._note("pods", f"{ready} of {wanted} ready")
        status = subject.status()
        before, self._curve = self._curve, curve_of(status)
        if _kind(before) != _kind(self._curve):
            self._note("curve", _told(self._curve))
        for each in status.adopted:
            if each.sustained_after is not None and each.entry not in self._measured:
                self._measured.add(each.entry)
                self._note("measured", setting_words(each))
        if self.seconds - self._counted_at >= WINDOW_SECONDS:
            self._close_minute()

    def stands(self, digest_before: str = "") -> bool:
        """Whether the fleet has been for a while of the size that follows from what was learnt of
        its model, as it is and not as it was before.
        """
        wanted, ready = self._sizes
        if not _is_learnt(self._curve, digest_before) or ready != wanted:
            self.settled_seconds = self.seconds
        return self.seconds - self.settled_seconds >= STANDS_SECONDS

    def is_measured(self) -> bool:
        """Whether it is known what a pod sustains with what is set."""
        return bool(self._measured)

    def is_told(self, wanted: EventReason, never: Collection[EventReason] = ()) -> bool:
        """Whether an Event has come. One that must not is an error at once."""
        told = {each.what: each.note for each in self._events()}
        for reason in never:
            if reason in told:
                subject = self._subject
                words = subject.kube.describe(subject.name)
                raise AssertionError(f"{reason}: {told[reason]}\n{words}")
        return wanted in told

    def steps(self) -> list[Step]:
        """All that was told and seen, in its order."""
        return sorted([*self._events(), *self._seen], key=lambda each: each.seconds)

    def tried(self) -> Mapping[str, Share]:
        """What was late in the minutes in which a canary answered anything, by track."""
        tried = [each for each in self.minutes if each.late[names.TRACK_CANARY].requests]
        return {
            track: together(each.late[track] for each in tried)
            for track in (names.TRACK_CANARY, names.TRACK_STABLE)
        }

    def _events(self) -> Iterator[Step]:
        """The agent's Events since the beginning."""
        for event in self._subject.kube.all("events.events.k8s.io"):
            regarding = event["regarding"]
            if (regarding.get("kind"), regarding.get("name")) == (names.KIND, self._subject.name):
                at = datetime.fromisoformat(event["eventTime"]).timestamp() - self._began
                if at >= 0:
                    yield Step(at, event["reason"], event["note"])

    def _note(self, what: str, note: str) -> None:
        self._seen.append(Step(self.seconds, what, note))

    def _close_minute(self) -> None:
        before, self._counted = self._counted, self._subject.counted()
        self._counted_at = self.seconds
        self.minutes.append(Minute(self.seconds, self._subject.late(before, self._counted)))


def together(shares: Iterable[Share]) -> Share:
    """All of them as one."""
    return sum(shares, Share())


def settled(subject: Subject, seconds: int) -> Fleet:
    """The fleet once its size stands under the load."""
    with diary_of(subject, "before-it-settles", seconds) as diary:
        diary.until("its size stands", diary.stands, seconds)
    return fleet(subject, "before")


def fleet(subject: Subject, name: str) -> Fleet:
    """A minute of the fleet as it stands."""
    before = subject.counted()
    load = subject.load(name, WINDOW_SECONDS)
    with watched() as watch:
        summary = load.summary(WINDOW_SECONDS + 60)
    late, curve = subject.late(before, subject.counted()), curve_of(subject.status())
    assert curve is not None
    pods = subject.kube.ready_pods(subject.name)
    return Fleet(pods, curve, summary, together(late.values()), watch.usage)


@contextmanager
def diary_of(subject: Subject, name: str, seconds: int) -> Iterator[Diary]:
    """Keep a diary under the load, for so long at most."""
    load = subject.load(name, seconds + 60)
    with watched() as watch:
        diary = Diary(subject)
        yield diary
        load.stop()
        diary.summary = load.summary()
    diary.usage = watch.usage


def applied(
    subject: Subject,
    edited: Object,
    before: CurveStatus,
    never: Collection[EventReason],
    kept_seconds: int,
    settles_seconds: int,
) -> Diary:
    """Write the mode, and wait until what comes of it is kept, and the size stands that the fleet
    has with it.
    """
    most = kept_seconds + settles_seconds + MEASURED_SECONDS
    with diary_of(subject, "meanwhile", most) as diary:
        subject.kube.apply(edited)
        is_kept = partial(diary.is_told, EventReason.SETTING_KEPT, never)
        diary.until("it is kept", is_kept, kept_seconds)
        stands = partial(diary.stands, before.model_digest)
        diary.until("its size stands", stands, settles_seconds)
        diary.until("it is measured", diary.is_measured, MEASURED_SECONDS)
    return diary


def curve_of(status: AgentStatus) -> CurveStatus | None:
    """What was learnt of the one model."""
    return next(iter(status.scaling.curves), None) if status.scaling is not None else None


def _is_learnt(curve: CurveStatus | None, digest_before: str) -> bool:
    return (
        curve is not None
        and curve.source is not CurveSource.EARLIER
        and curve.sustained_per_second is not None
        and curve.model_digest != digest_before
    )


def _kind(curve: CurveStatus | None) -> tuple[str, str, bool] | None:
    """What of a curve is news where it is another; its numbers stray."""
    if curve is None:
        return None
    return curve.model_digest, curve.source, curve.sustained_per_second is not None


# ---------------------------------------------------------------------------------------- in words


def course_words(title: str, diary: Diary) -> str:
    """What happened, second by second and minute by minute, and what was lost."""
    rows = [(f"{each.seconds:.0f}", each.what, _line(each.note)) for each in diary.steps()]
    summary = diary.summary
    words = (
        f"Meanwhile {summary['lost']} of {summary['asked']} requests were lost, p95 was "
        f"{summary['latency_ms']['p95']:.1f} ms, and the processors were "
        f"{usage_words(diary.usage)} busy."
    )
    minutes = [
        (
            f"{each.seconds:.0f}",
            share_words(each.of_all),
            share_words(each.late[names.TRACK_STABLE]),
            share_words(each.late[names.TRACK_CANARY]),
        )
        for each in diary.minutes
    ]
    return "\n".join(
        [
            table(title, ("s", "what", "note"), rows),
            words,
            "",
            table("Late in the minute until", ("s", "of all", "stable pods", "canary"), minutes),
        ]
    )


def fleets_table(subject: Subject, before: Fleet, after: Fleet) -> str:
    """The two fleets beside each other."""
    head = (
        *("fleet", "pods", "a batch of b takes ms", "a pod sustains/s", "requests/s", "p50 ms"),
        *("p95 ms", "late", "lost", "processors busy"),
    )
    rows = [
        (
            name,
            each.pods,
            _line_of(each.curve),
            f"{each.curve.sustained_per_second or 0:.1f}",
            f"{subject.rate_per_second:g}",
            f"{each.summary['latency_ms']['p50']:.1f}",
            f"{each.summary['latency_ms']['p95']:.1f}",
            share_words(each.late),
            f"{each.summary['lost']} of {each.summary['asked']}",
            usage_words(each.usage),
        )
        for name, each in (("before", before), ("after", after))
    ]
    return table("Fleets", head, rows)


def share_words(share: Share) -> str:
    """`12 of 4980 (0.24%)`; of no request a dash."""
    if share.value is None:
        return "-"
    return f"{share.cases} of {share.requests} ({share.value:.2%})"


def setting_words(adoption: Adoption) -> str:
    """What was set, and what came of it."""
    before, after = (
        "-" if each is None else f"{each:.1f}"
        for each in (adoption.sustained_before, adoption.sustained_after)
    )
    sustains = f"a pod sustained {before} requests a second before it, and {after} with it"
    return f"{adoption.summary}: {adoption.phase}; {sustains}. {adoption.message}"


def usage_words(usage: Usage) -> str:
    """How busy the processors were; latencies are void where requests waited for them."""
    void = " **void**" if usage.busy > MOST_BUSY else ""
    return f"{usage.busy:.0%} ({usage.others:.0%} others'){void}"


def _told(curve: CurveStatus | None) -> str:
    if curve is None:
        return "none"
    sustained = curve.sustained_per_second
    sustains = f"a pod sustains {sustained:.1f}/s" if sustained else "what a pod sustains is open"
    return f"{curve.source}: {_line_of(curve)}, by {curve.executions} batches; {sustains}"


def _line_of(curve: CurveStatus) -> str:
    line = f"{curve.fixed_milliseconds:.1f} + {curve.per_request_milliseconds:.1f} b"
    return f"{line}, up to {curve.max_batch}"


def _line(note: str) -> str:
    """A note as a cell: on one line, and no longer than is read there."""
    words = " ".join(note.split()).replace("|", "/")
    return words if len(words) <= _MOST_WORDS else f"{words[: _MOST_WORDS - 3]}..."
