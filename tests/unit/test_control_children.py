"""What becomes of children that are not wanted any more."""

from datetime import UTC, datetime
from typing import Any

from trireme.api import kinds, names
from trireme.api.kinds import Kind
from trireme.control.apply import Applier
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

    async def delete(self, kind: Kind, namespace: str, name: str) -> None:
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
