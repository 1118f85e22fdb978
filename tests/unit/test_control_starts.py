"""Which pods tell how long a start takes, from what the kubelet says of them."""

from typing import Any

import pytest

from kube import merged
from trireme.api import names
from trireme.autoscaler.lead_time import Part, Stages, Starts, measured
from trireme.control.observed import server_pods
from trireme.control.starts import Watched, look, watched

Pod = dict[str, Any]
STARTED = Stages(schedule=2, pull=8, fetch=20, load=30)


def at(second: int) -> str:
    return f"2026-11-01T00:{second // 60:02}:{second % 60:02}Z"


def condition(kind: str, status: str, second: int, reason: str = "") -> Pod:
    return {"type": kind, "status": status, "lastTransitionTime": at(second), "reason": reason}


def made(name: str = "a", template: str = "one", since: int = 0) -> Pod:
    """A pod that the scheduler has yet to look at."""
    return {
        "metadata": {
            "name": name,
            "uid": name,
            "creationTimestamp": at(since),
            "labels": {names.AGENT: "echo", "pod-template-hash": template},
        },
        "status": {"phase": "Pending"},
    }


def ready(name: str = "a", template: str = "one", since: int = 0, **status: Any) -> Pod:
    """One that started as STARTED says."""
    fetched = {"startedAt": at(since + 7), "finishedAt": at(since + 27), "exitCode": 0}
    told = {
        "phase": "Running",
        "conditions": [
            condition("PodScheduled", "True", since + 2),
            condition("Ready", "True", since + 60),
        ],
        "initContainerStatuses": [
            {"name": "fetch", "restartCount": 0, "state": {"terminated": fetched}}
        ],
        "containerStatuses": [
            {
                "name": "triton",
                "restartCount": 0,
                "started": True,
                "state": {"running": {"startedAt": at(since + 30)}},
            }
        ],
        **status,
    }
    return {**made(name, template, since), "status": told}


def unready(name: str = "a", **status: Any) -> Pod:
    """One that has a node, and loads."""
    return merged(
        ready(name, **status), {"status": {"conditions": [condition("Ready", "False", 1)]}}
    )


NO_NODE = merged(
    made(), {"status": {"conditions": [condition("PodScheduled", "False", 0, "Unschedulable")]}}
)
NO_IMAGE = merged(
    made(),
    {
        "status": {
            "containerStatuses": [
                {"name": "triton", "state": {"waiting": {"reason": "ImagePullBackOff"}}}
            ]
        }
    },
)


def seen(*rounds: list[Pod], before: list[Pod] | None = None) -> Watched:
    """What is known after rounds that see these pods, `before` the first one those."""
    watching = watched(None, server_pods(before or []))
    for pods in rounds:
        look(watching, server_pods(pods))
    return watching


def counted(*rounds: list[Pod], before: list[Pod] | None = None) -> int:
    known = seen(*rounds, before=before).known
    return known.count if known else 0


def test_a_pod_that_becomes_ready_tells_its_stages_once() -> None:
    known = seen([made()], [unready()], [ready()], [ready()]).known
    assert known == Starts("one", 1, (STARTED,), None, {Part.IMAGE: (3.0,)})


def test_a_pod_whose_readiness_comes_back_tells_nothing_more() -> None:
    late = ready(conditions=[condition("PodScheduled", "True", 2), condition("Ready", "True", 900)])
    assert counted([ready()], [unready()], [late]) == 1


def test_a_pod_that_was_ready_before_the_operator_came_tells_nothing() -> None:
    assert counted([ready()], before=[ready()]) == 0


def test_a_pod_that_started_while_the_operator_came_tells_how() -> None:
    assert counted([ready()], before=[unready()]) == 1


@pytest.mark.parametrize(
    ("pod", "counts"),
    [
        pytest.param(ready(), 1, id="one that started at once"),
        pytest.param(ready(initContainerStatuses=[]), 1, id="one that fetches nothing"),
        pytest.param(
            ready(
                containerStatuses=[
                    {
                        "name": "triton",
                        "restartCount": 1,
                        "state": {"running": {"startedAt": at(50)}},
                    }
                ]
            ),
            0,
            id="one whose server was restarted",
        ),
        pytest.param(
            ready(initContainerStatuses=[{"name": "fetch", "restartCount": 1, "state": {}}]),
            0,
            id="one whose fetcher was restarted",
        ),
        pytest.param(
            ready(conditions=[condition("Ready", "True", 60)]),
            0,
            id="one whose node nobody tells the time of",
        ),
        pytest.param(
            ready(
                initContainerStatuses=[
                    {
                        "name": "fetch",
                        "restartCount": 0,
                        "state": {"terminated": {"startedAt": None, "finishedAt": None}},
                    }
                ]
            ),
            1,
            id="one whose fetcher left no times",
        ),
        pytest.param(unready(), 0, id="one that is not ready"),
        pytest.param(
            merged(ready(), {"metadata": {"deletionTimestamp": at(70)}}), 0, id="one that goes"
        ),
    ],
)
def test_which_pods_count(pod: Pod, counts: int) -> None:
    assert counted([made()], [pod]) == counts


def test_a_pod_that_waits_for_a_node_counts_once_it_has_one() -> None:
    assert counted([NO_NODE], [ready()]) == 1


def test_a_pod_that_was_in_trouble_does_not_count_once_it_is_mended() -> None:
    assert counted([NO_IMAGE], [ready()]) == 0


def test_a_pod_that_goes_is_forgotten() -> None:
    assert seen([ready("a"), ready("b")], [ready("b")]).over == {"b"}


def test_starts_of_a_template_that_is_being_replaced_are_not_the_present_ones() -> None:
    old, new = ready("old", "one"), made("new", "two", since=30)
    assert counted([made("old", "one")], [old, new]) == 0


def test_a_new_templates_first_start_is_told_beside_what_was_known() -> None:
    both = seen([ready("old", "one")], [ready("old", "one"), ready("new", "two", since=100)])
    assert both.known is not None
    assert (both.known.template, both.known.count) == ("two", 1)
    assert measured(both.known).p95_seconds == STARTED.total


def test_a_fleet_of_no_pods_keeps_what_is_known() -> None:
    assert counted([ready()], []) == 1


def test_the_servers_image_is_pulled_between_the_last_init_container_and_the_server() -> None:
    later = {"startedAt": at(27), "finishedAt": at(29), "exitCode": 0}
    fetch, *_ = ready()["status"]["initContainerStatuses"]
    both = [fetch, {"name": "own", "restartCount": 0, "state": {"terminated": later}}]
    known = seen([made()], [ready(initContainerStatuses=both)]).known
    assert known is not None
    assert known.parts == {Part.IMAGE: (1.0,)}


NODE_AT_12 = condition("PodScheduled", "True", 12)
STAYING = {"name": "own", "restartCount": 0, "state": {"running": {"startedAt": at(5)}}}


@pytest.mark.parametrize(
    ("pod", "is_asked"),
    [
        pytest.param(ready(), False, id="one whose stages are short, or told"),
        pytest.param(ready(initContainerStatuses=[]), True, id="a pull that only Events explain"),
        pytest.param(ready(initContainerStatuses=[STAYING]), True, id="an init container stays"),
        pytest.param(
            ready(
                conditions=[condition("PodScheduled", "True", 12), condition("Ready", "True", 60)]
            ),
            True,
            id="a long wait for a node",
        ),
        pytest.param(unready(), False, id="one that is not ready yet"),
    ],
)
def test_of_which_starts_the_events_are_asked_for(pod: Pod, is_asked: bool) -> None:
    watching = seen([made()], [pod], [pod])
    assert [each.name for each in watching.unexplained] == ["a"] * is_asked


def test_parts_of_a_template_that_was_replaced_are_not_the_present_ones() -> None:
    watching = seen([made()], [ready()])
    watching.tell("another", {Part.NODE: 40.0})
    watching.tell("one", {Part.FIRST_REQUEST: 1.0})
    assert watching.known is not None
    assert watching.known.parts == {Part.IMAGE: (3.0,), Part.FIRST_REQUEST: (1.0,)}
