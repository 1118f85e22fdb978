"""What becomes of children that are not wanted any more."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from trireme.api import kinds, names
from trireme.api.kinds import Kind
from trireme.control.apply import Applier
from trireme.control.catching_up import learn_monitors
from trireme.control.children import Children
from trireme.control.pod_secrets import Keys
from trireme.control.queue import Key, WorkQueue
from trireme.control.store import Store
from trireme.control.trial import Trial
from trireme.edge.cluster import Cluster
from trireme.errors import ClusterError
from trireme.resources.control import OperatorKey
from trireme.resources.options import ResourceOptions

KEY = Key("team", "echo")
UID = "0f5e"
NOW = datetime(2026, 11, 1, 3, 0, tzinfo=UTC)


class Api(Cluster):
    """The Kubernetes API as far as deleting goes: some objects it keeps."""

    def __init__(self, *refused: str) -> None:
        self.refused = refused
        self.deleted: list[str] = []
        self.listed: list[dict[str, Any]] | ClusterError = []

    async def list(
        self, kind: Kind, namespace: str | None, selector: str = ""
    ) -> Sequence[dict[str, Any]]:
        assert (kind, namespace, selector) == (kinds.POD_MONITOR, KEY.namespace, names.OWNER)
        if isinstance(self.listed, ClusterError):
            raise self.listed
        return self.listed

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str | None = None) -> None:
        assert uid == name
        if name in self.refused:
            raise ClusterError(403, f"{name} cannot be deleted")
        self.deleted.append(name)


def child(kind: Kind, name: str) -> dict[str, Any]:
    owner = {"uid": UID, "kind": names.KIND, "name": KEY.name, "controller": True}
    metadata = {
        "namespace": KEY.namespace,
        "name": name,
        "uid": name,
        "ownerReferences": [owner],
        "labels": {names.OWNER: KEY.name},
    }
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata}


def children_of(api: Api, store: Store) -> Children:
    applier, options = Applier(api, store), ResourceOptions("envoy")
    return Children(
        cluster=api,
        queue=WorkQueue(),
        in_place=WorkQueue(),
        applier=applier,
        trial=Trial(api, applier, options, lambda: NOW),
        options=options,
        keys=Keys(OperatorKey(bytes(32))),
        clock=lambda: NOW,
    )


async def pruned(api: Api, *unwanted: dict[str, Any]) -> tuple[ClusterError | None, Store]:
    store = Store()
    for each in unwanted:
        store.learn(KEY, each)
    view = store.view(KEY)
    view.wanted = frozenset()
    return await children_of(api, store).prune(KEY, view, UID), store


async def test_a_child_that_cannot_be_deleted_holds_up_no_other_and_is_told_and_tried_again() -> (
    None
):
    api = Api("first")
    services = [child(kinds.SERVICE, name) for name in ("first", "second", "third")]
    failure, store = await pruned(api, *services)
    assert str(failure) == "first cannot be deleted (HTTP 403)"
    assert api.deleted == ["second", "third"]
    assert list(store.view(KEY).children) == [("Service", "first")]


async def test_a_claim_is_never_deleted() -> None:
    api = Api()
    failure, _ = await pruned(
        api, child(kinds.PERSISTENT_VOLUME_CLAIM, "echo-cache"), child(kinds.SERVICE, "echo-old")
    )
    assert failure is None
    assert api.deleted == ["echo-old"]


async def test_pod_monitors_of_another_discovery_are_found_at_the_start_and_deleted() -> None:
    api, store = Api(), Store()
    monitor = child(kinds.POD_MONITOR, "echo")
    del monitor["kind"], monitor["apiVersion"]  # which the items of a list do not say
    api.listed = [monitor]
    await learn_monitors(api, store, [KEY.namespace])
    view = store.view(KEY)
    view.wanted = frozenset()
    assert await children_of(api, store).prune(KEY, view, UID) is None
    assert api.deleted == ["echo"]


@pytest.mark.parametrize(
    ("answer", "is_told"),
    [
        pytest.param(ClusterError(404, "not found"), False, id="there is no prometheus-operator"),
        pytest.param(ClusterError(403, "forbidden"), True, id="the right is not there"),
    ],
)
async def test_pod_monitors_that_cannot_be_listed_stop_nothing(
    answer: ClusterError, is_told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    api = Api()
    api.listed = answer
    await learn_monitors(api, Store(), [KEY.namespace])
    assert ("PodMonitors that may be left are not looked for" in caplog.text) is is_told
