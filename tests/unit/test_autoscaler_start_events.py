"""What a pod's Events tell of its start, in the words of those who post them."""

from datetime import timedelta
from typing import Any

import pytest

from trireme.autoscaler.lead_time import Part
from trireme.autoscaler.start_events import parts_by_events
from unit.autoscaling import NOW

SCHEDULED = NOW + timedelta(seconds=60)
IMAGE = "nvcr.io/nvidia/tritonserver:26.08-py3"


def event(reason: str, note: str, at: float = 0, container: str = "triton") -> dict[str, Any]:
    """As the API server answers it of one that was posted in the older form."""
    return {
        "reason": reason,
        "note": note,
        "eventTime": None,
        "deprecatedFirstTimestamp": (NOW + timedelta(seconds=at)).isoformat(),
        "regarding": {"kind": "Pod", "fieldPath": f"spec.containers{{{container}}}"},
    }


def pulled(words: str, container: str = "triton") -> dict[str, Any]:
    return event("Pulled", f'Successfully pulled image "{IMAGE}" in {words}', container=container)


@pytest.mark.parametrize(
    ("events", "told"),
    [
        pytest.param([], {}, id="none are left"),
        pytest.param(
            [pulled("1m44.643s (2m3.5s including waiting). Image size: 1169083618 bytes.")],
            {Part.IMAGE: 123.5},
            id="an image that was pulled, after others",
        ),
        pytest.param([pulled("4.5s")], {Part.IMAGE: 4.5}, id="as it was told up to 1.26"),
        pytest.param([pulled("313ms (313ms including waiting)")], {Part.IMAGE: 0.313}, id="ms"),
        pytest.param([pulled("a while")], {}, id="in words of another release"),
        pytest.param([pulled("4.5s", container="metrics")], {}, id="of another container"),
        pytest.param(
            [event("Pulled", f'Container image "{IMAGE}" already present on machine')],
            {Part.IMAGE: 0.0},
            id="an image that was there took no time, which is known",
        ),
        pytest.param(
            [
                event("TriggeredScaleUp", "pod triggered scale-up: [{ng 1->2 (max: 9)}]", at=12),
                event("TriggeredScaleUp", "pod triggered scale-up: [{ng 2->3 (max: 9)}]", at=40),
            ],
            {Part.NODE: 48},
            id="the first node that the Cluster Autoscaler ordered",
        ),
        pytest.param(
            [event("Nominated", "Pod should schedule on: nodeclaim/gpu-x7f, node/ip-10", at=3)],
            {Part.NODE: 57},
            id="a NodeClaim of Karpenter's",
        ),
        pytest.param(
            [event("Nominated", "Pod should schedule on: node/ip-10-0-0-7", at=3)],
            {},
            id="a node that was there is none that was ordered",
        ),
        pytest.param(
            [event("TriggeredScaleUp", "pod triggered scale-up: []", at=61)],
            {Part.NODE: 0},
            id="clocks that differ make no negative time",
        ),
        pytest.param(
            [event("FailedScheduling", "0/3 nodes are available"), event("Scheduled", "assigned")],
            {},
            id="what the pod's conditions say, too",
        ),
        pytest.param(
            [{"reason": "TriggeredScaleUp", "note": "pod triggered scale-up"}],
            {},
            id="one that does not say when",
        ),
    ],
)
def test_what_events_tell_of_a_start(events: list[dict[str, Any]], told: dict[Part, float]) -> None:
    assert parts_by_events(events, SCHEDULED) == told


def test_the_time_of_an_event_of_the_newer_form_counts() -> None:
    newer = event("TriggeredScaleUp", "pod triggered scale-up", at=50)
    newer["eventTime"] = (NOW + timedelta(seconds=20)).isoformat()
    assert parts_by_events([newer], SCHEDULED) == {Part.NODE: 40}
