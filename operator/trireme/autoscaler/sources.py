"""Whose figures an agent is scaled by: Prometheus', or those its pods tell themselves. Pure.

Prometheus' are taken wherever it has them: one query serves all agents there. Where it does not
answer, or does not cover the ready pods, these are read directly; rates exist after two readings.
So are those whose samples keep having gaps, or come late, which is the same to a rate. The change
waits until that has lasted, the way back until Prometheus has covered them without a gap for a
whole window, so that a source that comes and goes is not followed at every step.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from trireme.api.scalars import format_duration
from trireme.autoscaler.types.signals import NoSignals, Signals, Source
from trireme.autoscaler.values import frozen

PATIENCE = timedelta(seconds=10)
"""How long a source may have nothing before the other is taken: two rounds, and two readings."""

GAPS_PATIENCE = timedelta(seconds=60)
"""How long Prometheus may have gaps: one that is over has left the shortest window by then."""


@frozen
class SourceMemory:
    """The source in use. `lost_since`: since when it has had gaps; of Prometheus a gap is forgotten
    once it has been whole for a window. `whole_since`: since when Prometheus has had no gap.
    """

    source: Source = Source.PROMETHEUS
    lost_since: datetime | None = None
    whole_since: datetime | None = None

    @property
    def wants_pods(self) -> bool:
        """Whether the pods are to be read: their figures are in use, or may be soon."""
        return self.source is Source.PODS or self.lost_since is not None


def choose(
    memory: SourceMemory,
    prometheus: Signals | NoSignals,
    pods: Signals | NoSignals | None,
    *,
    now: datetime,
    window: timedelta,
) -> tuple[Signals | NoSignals, SourceMemory]:
    """The signals to decide by, of what both sources have; `pods` is None while they are not read.

    Where neither has any, that is said of both. Where no pod is ready, or the pods only just became
    ready, no source is at fault.
    """
    reads_pods = memory.source is Source.PODS and isinstance(pods, Signals)
    if isinstance(prometheus, NoSignals) and prometheus.awaited and not reads_pods:
        return prometheus, replace(memory, whole_since=None)
    whole = isinstance(prometheus, Signals) and not prometheus.gaps
    if whole != (memory.whole_since is not None):
        memory = replace(memory, whole_since=now if whole else None)
    for_a_window = memory.whole_since is not None and now - memory.whole_since >= window
    if memory.source is Source.PROMETHEUS:
        return _by_prometheus(memory, prometheus, pods, now, for_a_window)
    return _by_pods(memory, prometheus, pods, now, window, for_a_window)


def _by_prometheus(
    memory: SourceMemory,
    prometheus: Signals | NoSignals,
    pods: Signals | NoSignals | None,
    now: datetime,
    for_a_window: bool,
) -> tuple[Signals | NoSignals, SourceMemory]:
    if memory.whole_since is not None:
        is_over = for_a_window and memory.lost_since is not None
        return prometheus, replace(memory, lost_since=None) if is_over else memory
    lost_since = memory.lost_since or now
    has_some = isinstance(prometheus, Signals)
    lasts = now - lost_since >= (GAPS_PATIENCE if has_some else PATIENCE)
    # What was read only twice so far has gaps as well, and is better than nothing.
    if isinstance(pods, Signals) and lasts and not (has_some and pods.gaps):
        return replace(pods, instead=_why_not(prometheus)), SourceMemory(Source.PODS)
    memory = replace(memory, lost_since=lost_since)
    return _neither(prometheus, pods) if isinstance(prometheus, NoSignals) else prometheus, memory


def _by_pods(
    memory: SourceMemory,
    prometheus: Signals | NoSignals,
    pods: Signals | NoSignals | None,
    now: datetime,
    window: timedelta,
    for_a_window: bool,
) -> tuple[Signals | NoSignals, SourceMemory]:
    lost_since = None if isinstance(pods, Signals) else memory.lost_since or now
    memory = replace(memory, lost_since=lost_since)
    if isinstance(prometheus, NoSignals):
        if isinstance(pods, Signals):
            return replace(pods, instead=prometheus.message), memory
        return _neither(prometheus, pods), memory
    if for_a_window or (lost_since is not None and now - lost_since >= PATIENCE):
        lost = None if for_a_window else now
        return prometheus, SourceMemory(Source.PROMETHEUS, lost, memory.whole_since)
    if isinstance(pods, Signals):
        again = f"Prometheus has them again, and is waited for {format_duration(window)}"
        return replace(pods, instead=_why_not(prometheus) if prometheus.gaps else again), memory
    return prometheus if pods is None else pods, memory


def _why_not(prometheus: Signals | NoSignals) -> str:
    """Why Prometheus is not the source."""
    if isinstance(prometheus, NoSignals):
        return prometheus.message
    return (
        f"Prometheus keeps missing samples of pods that are ready, or has them late "
        f"({prometheus.gaps} pods now): check its load, and the way that samples take to it"
    )


def _neither(prometheus: NoSignals, pods: Signals | NoSignals | None) -> NoSignals:
    """What is missing, of both where both were asked; what helps Prometheus comes first."""
    if not isinstance(pods, NoSignals):
        return prometheus
    return replace(prometheus, message=f"{prometheus.message}; read directly: {pods.message}")
