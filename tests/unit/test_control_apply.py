"""What is applied again, and what is left as it is."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from trireme.api import kinds, names
from trireme.api.kinds import Kind
from trireme.control.apply import Applier
from trireme.control.queue import Key
from trireme.control.store import Store
from trireme.edge.cluster import Cluster, Object
from trireme.errors import ClusterError

KEY = Key("team", "echo")
AGENT = {"metadata": {"namespace": "team", "name": "echo", "uid": "first"}}
DEPLOYMENT, CONFIG_MAP = kinds.DEPLOYMENT.name, kinds.CONFIG_MAP.name


class Api(Cluster):
    """The Kubernetes API as far as objects are applied: each is what was applied, and its version
    counts.
    """

    def __init__(self) -> None:
        self.applied: Counter[str] = Counter()
        self.is_away = False
        self.absent: set[str] = set()
        self.meanwhile: Callable[[], None] = lambda: None

    async def apply(self, manifest: Object, manager: str, uid: str | None = None) -> Object:
        if self.is_away:
            raise ClusterError(0, "the Kubernetes API did not answer")
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        self.applied[kind] += 1
        self.meanwhile()
        told = {"uid": f"uid-{name}", "resourceVersion": str(self.applied[kind])}
        if kind == DEPLOYMENT:
            told["generation"] = 1
        return {**manifest, "metadata": {**manifest["metadata"], **told}}

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        return None if name in self.absent else manifest_of(kind)


def manifest_of(kind: Kind, text: str = "a") -> dict[str, Any]:
    metadata = {
        "namespace": KEY.namespace,
        "name": "echo",
        "labels": {names.OWNER: "echo"},
        "annotations": {names.SHARE: "0"},
        "ownerReferences": [{"kind": names.KIND, "name": "echo", "uid": "first"}],
    }
    spec = {"text": text}
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata, "spec": spec}


class Applied:
    """An agent's children of two kinds, once they are applied and the watches have told of it."""

    def __init__(self) -> None:
        self.api, self.store = Api(), Store()
        self.applier = Applier(self.api, self.store)
        self.store.agent_event(AGENT, deleted=False)
        self.manifests = [manifest_of(kinds.CONFIG_MAP), manifest_of(kinds.DEPLOYMENT)]

    async def again(self) -> Counter[str]:
        """How often each kind is applied in a pass."""
        before = self.api.applied.copy()
        assert await self.applier.apply(KEY, self.manifests, {}, {})
        return self.api.applied - before

    def told(self, kind: str, **metadata: Any) -> None:
        """A watch tells of an object that its metadata are others."""
        known = self.store.view(KEY).children[kind, "echo"]
        told = {**known, "metadata": {**known["metadata"], **metadata}}
        self.store.child_event(KEY, told, deleted=False)


@pytest.fixture
async def applied() -> Applied:
    given = Applied()
    assert await given.again() == {CONFIG_MAP: 1, DEPLOYMENT: 1}
    return given


async def test_what_is_as_it_was_left_is_not_applied_again(applied: Applied) -> None:
    applied.told(CONFIG_MAP)
    applied.told(DEPLOYMENT, resourceVersion="7", managedFields=[])  # its status has changed
    assert not await applied.again()


@pytest.mark.parametrize(
    ("kind", "metadata"),
    [
        pytest.param(DEPLOYMENT, {"generation": 2}, id="a spec"),
        pytest.param(CONFIG_MAP, {"resourceVersion": "9"}, id="anything of a kind without a spec"),
        pytest.param(DEPLOYMENT, {"labels": {names.OWNER: "echo", "app": "x"}}, id="a label"),
        pytest.param(DEPLOYMENT, {"annotations": {names.SHARE: "5"}}, id="an annotation of ours"),
        pytest.param(DEPLOYMENT, {"ownerReferences": []}, id="the owner"),
        pytest.param(DEPLOYMENT, {"uid": "another"}, id="the object itself"),
    ],
)
async def test_what_somebody_else_has_changed_is_applied_once_more(
    applied: Applied, kind: str, metadata: dict[str, Any]
) -> None:
    applied.told(kind, **metadata)
    assert await applied.again() == {kind: 1}


async def test_a_child_that_went_is_made_again(applied: Applied) -> None:
    gone = applied.store.view(KEY).children[CONFIG_MAP, "echo"]
    applied.store.child_event(KEY, gone, deleted=True)
    assert await applied.again() == {CONFIG_MAP: 1}
    assert not await applied.again()


async def test_a_deployment_that_the_api_does_not_have_is_made_again_though_no_watch_told(
    applied: Applied,
) -> None:
    applied.api.absent.add("echo")
    assert await applied.applier.live(KEY, ["echo"]) == {}
    assert await applied.again() == {DEPLOYMENT: 1}


async def test_what_is_to_be_another_is_applied(applied: Applied) -> None:
    applied.manifests = [manifest_of(kinds.CONFIG_MAP, "b"), manifest_of(kinds.DEPLOYMENT, "b")]
    assert await applied.again() == {CONFIG_MAP: 1, DEPLOYMENT: 1}
    assert not await applied.again(), "though the watches have not told of it yet"
    applied.told(CONFIG_MAP, resourceVersion="2")
    assert not await applied.again()


async def test_what_a_watch_told_while_a_child_was_applied_is_not_older(applied: Applied) -> None:
    applied.manifests[0] = manifest_of(kinds.CONFIG_MAP, "b")
    applied.api.meanwhile = lambda: applied.told(CONFIG_MAP, resourceVersion="3")
    assert await applied.again() == {CONFIG_MAP: 1}
    known = applied.store.view(KEY).children[CONFIG_MAP, "echo"]
    assert known["metadata"]["resourceVersion"] == "3"
    assert await applied.again() == {CONFIG_MAP: 1}, "somebody has changed it"


async def test_an_apply_without_an_answer_may_have_changed_what_was_there(
    applied: Applied,
) -> None:
    before = applied.manifests[0]
    applied.manifests[0], applied.api.is_away = manifest_of(kinds.CONFIG_MAP, "b"), True
    with pytest.raises(ClusterError):
        await applied.again()
    applied.manifests[0], applied.api.is_away = before, False
    assert await applied.again() == {CONFIG_MAP: 1}


async def test_the_children_of_an_agent_that_was_made_again_are_all_applied(
    applied: Applied,
) -> None:
    another = {"metadata": {**AGENT["metadata"], "uid": "second"}}
    applied.store.agent_event(another, deleted=False)
    assert await applied.again() == {CONFIG_MAP: 1, DEPLOYMENT: 1}


async def test_a_kind_that_is_not_watched_is_applied_every_time(applied: Applied) -> None:
    applied.manifests.append(manifest_of(kinds.POD_MONITOR))
    for _ in range(2):
        assert await applied.again() == {kinds.POD_MONITOR.name: 1}
