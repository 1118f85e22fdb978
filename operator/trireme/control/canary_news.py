"""When a verdict on a canary is news: the status, the Event and the metrics, all from the one
Verdict.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from trireme.api import kinds, names
from trireme.api.conditions import EventReason
from trireme.api.rollout import RolloutPhase, RolloutStatus
from trireme.control.agent_state import CanaryState
from trireme.control.canary_readings import Seen
from trireme.control.posting import post
from trireme.control.queue import Key
from trireme.control.store import AgentView
from trireme.edge.cluster import Cluster
from trireme.edge.metrics import Metrics
from trireme.edge.recorder import Event, Recorder
from trireme.rollout.report import rollout_status
from trireme.rollout.types import Memory, Verdict, Why

ACTION = "Rollout"

_QUIET = timedelta(seconds=60)  # without news, a status is written at most this often
_SETTLED = timedelta(seconds=15)  # news that may be gone again in the next round wait for so long
_LASTS = timedelta(minutes=2)  # what a canary waits for longer than that is told
_TOLD_WAITS = frozenset({Why.GPUS, Why.PODS, Why.FIGURES, Why.REQUESTS, Why.COMPARED, Why.DOUBT})


@dataclass(slots=True)
class LastTold:
    """What is remembered of what was told of one canary.

    `why` is what the last verdict rested on, since `why_since`; `held` are the steps and reasons
    whose waiting was told. `status` is the one last written, at `written_at`; `news` is one that is
    still to be, and `events` are told once it is.
    """

    why: Why | None = None
    why_since: datetime | None = None
    held: set[tuple[int, Why]] = field(default_factory=set)
    status: RolloutStatus | None = None
    written_at: datetime | None = None
    news: RolloutStatus | None = None
    events: list[Event] = field(default_factory=list)


class CanaryNews:
    """Tells of canaries."""

    def __init__(
        self,
        cluster: Cluster,
        recorder: Recorder,
        metrics: Metrics,
        clock: Callable[[], datetime],
    ) -> None:
        self._cluster = cluster
        self._recorder = recorder
        self._metrics = metrics
        self._clock = clock

    def measure(self, key: Key, canary: CanaryState, seen: Seen) -> None:
        """Set the canary's metrics, and count what was answered."""
        self._metrics.set_canary(*key, canary.phase, canary.weight)
        for track, told in ((names.TRACK_CANARY, seen.canary), (names.TRACK_STABLE, seen.stable)):
            if told is not None:
                self._metrics.count_answers(
                    *key, track, told.requests, told.failed, told.refused or 0, told.late
                )

    def forget(self, key: Key) -> None:
        """No canary is tried any more."""
        self._metrics.forget_canary(*key)

    def forget_agent(self, key: Key) -> None:
        """The agent is gone; it may have been looked at since others forgot it."""
        self._metrics.forget(*key)

    async def publish(self, view: AgentView, told: LastTold) -> None:
        """Write the status that is to be written; then tell of it. Raises ClusterError."""
        if told.news is not None:
            assert view.body is not None  # noqa: S101  # it has a canary
            status = told.news.model_dump(mode="json", by_alias=True, exclude_none=True)
            await self._cluster.apply_status(
                kinds.AGENT_DEPLOYMENT,
                view.body["metadata"],
                {"rollout": status},
                names.ROLLOUT_STATUS_MANAGER,
            )
            told.status, told.written_at = told.news, self._clock()
            told.news = None
        events, told.events = told.events, []
        await self.emit(view, events)

    async def emit(self, view: AgentView, events: Iterable[Event]) -> None:
        """Post Events of an agent."""
        await post(self._recorder, view, events, self._clock)


def note(told: LastTold, canary: CanaryState, verdict: Verdict, now: datetime) -> None:
    """What is to be written and told of a verdict, if anything is."""
    assert canary.memory is not None  # noqa: S101  # who judges has one
    if verdict.why is not told.why:
        told.why, told.why_since = verdict.why, now
    event = _event(told, canary.memory, verdict, now)
    if event is not None:
        told.events.append(event)
    status = rollout_status(
        canary.digest, canary.generation, canary.began, canary.weight, verdict, canary.memory
    )
    if event is not None or _is_news(told, status, now):
        told.news = status


def _event(told: LastTold, memory: Memory, verdict: Verdict, now: datetime) -> Event | None:
    if verdict.phase is RolloutPhase.PROMOTED:
        return Event(EventReason.CANARY_PROMOTED, verdict.message, ACTION)
    if verdict.phase is RolloutPhase.ROLLED_BACK:
        return Event(EventReason.CANARY_ROLLED_BACK, verdict.message, ACTION, True)
    if verdict.why is Why.STEP_BEGAN:
        return Event(EventReason.CANARY_STEP, verdict.message, ACTION)
    waits, since = (memory.step, verdict.why), told.why_since or now
    if verdict.why not in _TOLD_WAITS or now - since < _LASTS or waits in told.held:
        return None
    told.held.add(waits)
    return Event(EventReason.CANARY_HELD, verdict.message, ACTION, verdict.why is Why.DOUBT)


def _is_news(told: LastTold, status: RolloutStatus, now: datetime) -> bool:
    """Whether a status is worth a write."""
    last, at = told.status, told.written_at
    if last is None or (last.phase, last.step, last.weight) != (
        status.phase,
        status.step,
        status.weight,
    ):
        return True
    if at is None:
        return status != last
    if told.why_since is not None and at < told.why_since:
        return now - at >= _SETTLED
    return now - at >= _QUIET and status != last
