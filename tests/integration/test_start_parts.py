"""What is known of slow starts by their pods' Events, from a real API server."""

import asyncio
import json
import time
from contextlib import suppress
from typing import Any

from integration.test_edge_cluster import cluster_of
from kube import Kube
from trireme.api import names
from trireme.autoscaler.lead_time import Part, Stages, Starts, parts
from trireme.control.clock import utc_now
from trireme.control.observed import server_pods
from trireme.control.queue import Key
from trireme.control.start_parts import StartParts
from trireme.control.starts import Watched
from trireme.control.store import Store

SLOW = Stages(schedule=60, pull=130, fetch=0, load=30)


def posted(team: Kube, name: str, uid: str, reason: str, message: str, at: str) -> dict[str, Any]:
    """As the kubelet and the Cluster Autoscaler post it: in the older form."""
    container = f"spec.containers{{{names.SERVER_CONTAINER}}}"
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name},
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "Pod",
            "namespace": team.namespace,
            "name": f"echo-{uid}",
            "uid": uid,
            "fieldPath": container if reason == "Pulled" else "",
        },
        "reason": reason,
        "message": message,
        "type": "Normal",
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
        "source": {"component": "kubelet"},
    }


def pod(uid: str) -> dict[str, Any]:
    """One that was made at 10:00:00, and started as SLOW says."""
    server = {
        "name": names.SERVER_CONTAINER,
        "state": {"running": {"startedAt": "2026-11-01T10:03:10Z"}},
    }
    return {
        "metadata": {
            "name": f"echo-{uid}",
            "uid": uid,
            "creationTimestamp": "2026-11-01T10:00:00Z",
            "labels": {names.AGENT: "echo", "pod-template-hash": "one"},
        },
        "status": {
            "conditions": [
                {
                    "type": "PodScheduled",
                    "status": "True",
                    "lastTransitionTime": "2026-11-01T10:01:00Z",
                },
                {"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-01T10:03:40Z"},
            ],
            "containerStatuses": [server],
        },
    }


async def test_the_events_of_a_pod_tell_of_its_node_and_its_image(team: Kube) -> None:
    words = 'Successfully pulled image "triton" in {0} ({0} including waiting). Image size: 9 b.'
    team.run(
        "create",
        "-f",
        "-",
        stdin=_list(
            posted(team, "a", "one", "TriggeredScaleUp", "pod triggered", "2026-11-01T10:00:12Z"),
            posted(team, "b", "one", "Pulled", words.format("2m3.5s"), "2026-11-01T10:03:08Z"),
            posted(team, "c", "two", "Pulled", words.format("9s"), "2026-11-01T10:03:08Z"),
        ),
    )
    watched = Watched(Starts("one", 1, (SLOW,)), set(), [*server_pods([pod("one")])])
    async with cluster_of(team) as cluster:
        asking = StartParts(cluster=cluster, store=Store(), clock=utc_now)
        running, deadline = asyncio.create_task(asking.run()), time.monotonic() + 60
        asking.explain(Key(team.namespace, "echo"), [watched])
        while not _known(watched):
            assert time.monotonic() < deadline, "nothing is told"
            await asyncio.sleep(0.02)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    assert _known(watched) == {Part.NODE: 48, Part.IMAGE: 123.5}
    assert watched.unexplained == []


def _known(watched: Watched) -> dict[Part, float]:
    assert watched.known is not None
    return parts(watched.known)


def _list(*items: dict[str, Any]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
