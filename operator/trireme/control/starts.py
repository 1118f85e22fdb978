"""Which of an agent's pods tell how long a start takes: each once, when it becomes ready.

The rounds look at the pods that the watch tells of anyway. A pod that was ready before this process
saw it tells nothing: its readiness may have come and gone since it started. What a pod does not
tell of itself comes later, and only of starts that counted (`start_parts`). Pure.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from trireme.api.conditions import Reason
from trireme.autoscaler.lead_time import (
    Part,
    Parts,
    Stages,
    Starts,
    noted,
    parts_told,
    stages,
    with_parts,
)
from trireme.control.observed import PodView

SLOW_SECONDS = 10.0
"""Of a stage, from which on the API server is asked for a pod's Events, which may say why."""


@dataclass(slots=True)
class Watched:
    """What is known of an agent's starts; `over` are the pods, by uid, that have told or that
    never will, and `unexplained` those whose Events are still to be asked for. `early` are the
    parts, by uid, that were told of ready pods before a look at them.
    """

    known: Starts | None
    over: set[str]
    unexplained: list[PodView] = field(default_factory=list)
    early: dict[str, Parts] = field(default_factory=dict)

    def tell(self, template: str, parts: Parts) -> None:
        """Note parts of a start that counted, if it was of the template that still is."""
        if parts and self.known is not None and self.known.template == template:
            self.known = with_parts(self.known, parts)

    def tell_of(self, pod: PodView, parts: Parts) -> None:
        """Note parts of the start of a pod that is ready: where that was not looked at yet, once it
        is, and counts.
        """
        if pod.uid in self.over:
            self.tell(pod.template, parts)
        else:
            self.early[pod.uid] = {**self.early.get(pod.uid, {}), **parts}


def watched(known: Starts | None, pods: Iterable[PodView]) -> Watched:
    """Begin to watch, with what is known from before."""
    return Watched(known, {pod.uid for pod in pods if pod.ready_since})


def look(watched: Watched, pods: Iterable[PodView]) -> None:
    """Note the starts that ended since the last look, of the template that is the youngest pod's.

    A pod that no node takes may get one yet. What else keeps one from starting is no part of a lead
    time, even once it is mended.
    """
    pods = [*pods]
    watched.over &= {pod.uid for pod in pods}
    seen = list[tuple[PodView, Stages, Parts]]()
    for pod in pods:
        spoilt = pod.trouble is not None and pod.trouble.reason is not Reason.UNSCHEDULABLE
        if pod.uid in watched.over or not (pod.ready_since or spoilt):
            continue
        watched.over.add(pod.uid)
        if pod.times is not None and (found := stages(pod.times)) is not None:
            early = watched.early.get(pod.uid, {})
            seen.append((pod, found, {**early, **parts_told(pod.times)}))
    watched.early.clear()  # these were ready, so they have been looked at, or are gone
    present = max(pods, key=lambda pod: pod.created).template if pods else ""
    told = [start for start in seen if start[0].template == present]
    watched.known = noted(watched.known, present, [found for _, found, _ in told])
    for pod, found, parts in told:
        watched.tell(present, parts)
        if _is_unexplained(found, parts):
            watched.unexplained.append(pod)


def _is_unexplained(start: Stages, told: Parts) -> bool:
    is_pull_known = Part.IMAGE in told
    return start.schedule >= SLOW_SECONDS or (start.pull >= SLOW_SECONDS and not is_pull_known)
