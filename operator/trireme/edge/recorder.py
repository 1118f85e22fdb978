"""Events on AgentDeployments, as events.k8s.io/v1: series instead of copies, never a flood.

The same reason with the same note within a window becomes a series on the first Event. Each
object has a token bucket, so that a resource gone wild cannot fill etcd; and one apart for its
Warnings, so that many decisions do not hide one. What is not posted is counted.
"""

import logging
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from trireme.api import kinds, names
from trireme.api.conditions import EventReason
from trireme.edge.cluster import Cluster
from trireme.edge.metrics import Lost, Metrics
from trireme.errors import ClusterError

logger = logging.getLogger(__name__)

CONTROLLER = names.GROUP
_NOTE_LIMIT_BYTES = 1024  # the API's limit for `note`
_SERIES_WINDOW = timedelta(minutes=10)
_BURST = 25  # as client-go's EventSourceObjectSpamFilter: 25 at once,
_REFILL = timedelta(minutes=5)  # then one in five minutes
_REMEMBERED_OBJECTS = 10_000
_GONE = 404


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to an agent: a reason for programs, a note for people."""

    reason: EventReason
    note: str
    action: str
    warning: bool = False

    @property
    def type(self) -> str:
        """Kubernetes' word for it."""
        return "Warning" if self.warning else "Normal"


@dataclass(frozen=True, slots=True)
class Regarding:
    """The agent an Event speaks of."""

    namespace: str
    name: str
    uid: str


@dataclass(slots=True)
class _Series:
    name: str
    count: int
    last: datetime


@dataclass(slots=True)
class _Bucket:
    tokens: float = _BURST
    refilled: datetime | None = None

    def take(self, now: datetime) -> bool:
        """Take a token, if there is one."""
        if self.refilled is not None:
            since = max(timedelta(0), now - self.refilled)  # a clock may be set back
            self.tokens = min(_BURST, self.tokens + since / _REFILL)
        self.refilled = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@dataclass(slots=True)
class _Object:
    normal: _Bucket = field(default_factory=_Bucket)
    warnings: _Bucket = field(default_factory=_Bucket)
    series: dict[Event, _Series] = field(default_factory=dict)


class Recorder:
    """Posts Events. One that cannot be posted is logged, counted and let go: it stops no pass."""

    def __init__(self, cluster: Cluster, identity: str, metrics: Metrics) -> None:
        self._cluster = cluster
        self._identity = identity[:128]
        self._metrics = metrics
        self._objects: OrderedDict[str, _Object] = OrderedDict()

    async def emit(self, regarding: Regarding, event: Event, now: datetime) -> None:
        """Post one Event at `now`, or count it in its series."""
        memory = self._memory(regarding.uid)
        try:
            if await self._is_counted(regarding, memory, event, now):
                return
            bucket = memory.warnings if event.warning else memory.normal
            if bucket.take(now):
                memory.series = {
                    e: s for e, s in memory.series.items() if now - s.last < _SERIES_WINDOW
                }
                name = _event_name(regarding, event, now)
                await self._cluster.create(self._manifest(regarding, event, name, now))
                memory.series[event] = _Series(name, 1, now)
            else:
                self._lose(regarding, event, Lost.LIMIT, "it is one too many")
        except ClusterError as error:
            self._lose(regarding, event, Lost.API, str(error))

    def _lose(self, regarding: Regarding, event: Event, cause: Lost, why: str) -> None:
        self._metrics.events_lost.labels(event.type, cause).inc()
        agent = f"{regarding.namespace}/{regarding.name}"
        logger.warning("%s: event %s is lost, %s: %s", agent, event.reason, why, event.note)

    def _memory(self, uid: str) -> _Object:
        memory = self._objects.setdefault(uid, _Object())
        self._objects.move_to_end(uid)
        if len(self._objects) > _REMEMBERED_OBJECTS:
            self._objects.popitem(last=False)
        return memory

    async def _is_counted(
        self, regarding: Regarding, memory: _Object, event: Event, now: datetime
    ) -> bool:
        """Count the event in its series, where there is one that still exists."""
        series = memory.series.get(event)
        if series is None or now - series.last >= _SERIES_WINDOW:
            return False
        series.count += 1
        series.last = now
        try:
            await self._extend(regarding, series)
        except ClusterError as error:
            if error.status != _GONE:
                raise
            del memory.series[event]  # somebody deleted it, or it has expired
            return False
        return True

    async def _extend(self, regarding: Regarding, series: _Series) -> None:
        patch = {"series": {"count": series.count, "lastObservedTime": _micro_time(series.last)}}
        await self._cluster.merge(kinds.EVENT, regarding.namespace, series.name, patch)

    def _manifest(
        self, regarding: Regarding, event: Event, name: str, now: datetime
    ) -> dict[str, Any]:
        return {
            "apiVersion": kinds.EVENT.api_version,
            "kind": kinds.EVENT.name,
            "metadata": {"namespace": regarding.namespace, "name": name},
            "eventTime": _micro_time(now),
            "reportingController": CONTROLLER,
            "reportingInstance": self._identity,
            "action": event.action,
            "reason": event.reason.value,
            "type": event.type,
            "note": clipped(event.note),
            "regarding": {
                "apiVersion": names.API_VERSION,
                "kind": names.KIND,
                "namespace": regarding.namespace,
                "name": regarding.name,
                "uid": regarding.uid,
            },
        }


def clipped(note: str) -> str:
    """At most 1,024 bytes of UTF-8, the API's limit; three dots tell that something is missing."""
    encoded = note.encode()
    if len(encoded) <= _NOTE_LIMIT_BYTES:
        return note
    return encoded[: _NOTE_LIMIT_BYTES - 3].decode(errors="ignore") + "..."


def _event_name(regarding: Regarding, event: Event, now: datetime) -> str:
    unique = f"{regarding.uid}/{event.reason}/{event.note}/{now.isoformat()}"
    return f"{regarding.name}.{sha256(unique.encode()).hexdigest()[:16]}"


def _micro_time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
