"""Which of an agent's pods tell how long a start takes: each once, when it becomes ready.

The rounds look at the pods that the watch tells of anyway. A pod that was ready before this process
saw it tells nothing: its readiness may have come and gone since it started. Pure.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from trireme.api.conditions import Reason
from trireme.autoscaler.lead_time import Starts, noted, stages
from trireme.control.observed import PodView


@dataclass(slots=True)
class Watched:
    """What is known of an agent's starts; `over` are the pods, by uid, that have told or that
    never will.
    """

    known: Starts | None
    over: set[str]


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
    seen = []
    for pod in pods:
        spoilt = pod.trouble is not None and pod.trouble.reason is not Reason.UNSCHEDULABLE
        if pod.uid in watched.over or not (pod.ready_since or spoilt):
            continue
        watched.over.add(pod.uid)
        if pod.times is not None and (found := stages(pod.times)) is not None:
            seen.append((pod.template, found))
    present = max(pods, key=lambda pod: pod.created).template if pods else ""
    told = [start for template, start in seen if template == present]
    watched.known = noted(watched.known, present, told)
