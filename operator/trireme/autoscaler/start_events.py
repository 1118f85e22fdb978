"""What Events tell of a pod's start that the pod itself does not. Pure.

The kubelet posts how long it pulled an image, and who makes nodes that it ordered one: the Cluster
Autoscaler as `TriggeredScaleUp`, Karpenter as `Nominated`, for a NodeClaim. None of these words is
an API: what is written otherwise is not known. Events are those of events.k8s.io/v1, where what
posts in the older form has its times as deprecated ones.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from trireme.api import names
from trireme.api.scalars import parse_duration
from trireme.autoscaler.lead_time import Part

Event = Mapping[str, Any]

_PULLED = re.compile(
    r'Successfully pulled image ".*?" in (?P<pulling>[0-9.a-z]+)'
    r"(?: \((?P<with_waiting>[0-9.a-z]+) including waiting\))?"
)
_THERE = "already present on machine"


def parts_by_events(events: Iterable[Event], scheduled: datetime) -> dict[Part, float]:
    """The parts of the start of a pod, which had its node at `scheduled`, that its Events tell."""
    told, orders = dict[Part, float](), []
    for event in events:
        note = event.get("note", "")
        match event.get("reason"):
            case "Pulled" if _is_of_server(event) and (seconds := _pulled(note)) is not None:
                told[Part.IMAGE] = seconds
            case "TriggeredScaleUp":
                orders.append(_time(event))
            case "Nominated" if "nodeclaim/" in note:
                orders.append(_time(event))
    known = [at for at in orders if at is not None]
    if known:
        told[Part.NODE] = max(0.0, (scheduled - min(known)).total_seconds())
    return told


def _is_of_server(event: Event) -> bool:
    path: str = event.get("regarding", {}).get("fieldPath", "")
    return path == f"spec.containers{{{names.SERVER_CONTAINER}}}"


def _pulled(note: str) -> float | None:
    """How long an image was pulled, in seconds, waiting for others that are pulled included."""
    if _THERE in note:
        return 0.0
    if (found := _PULLED.match(note)) is None:
        return None
    try:
        return parse_duration(found["with_waiting"] or found["pulling"]).total_seconds()
    except ValueError:
        return None


def _time(event: Event) -> datetime | None:
    """When it happened first."""
    text = event.get("eventTime") or event.get("deprecatedFirstTimestamp")
    return datetime.fromisoformat(text) if text else None
