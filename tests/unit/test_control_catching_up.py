"""What is asked of the API beside the watches: of each agent in its turn, and where it may be."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from trireme.api import kinds, names
from trireme.api.kinds import Kind
from trireme.control.catching_up import find_losses, readable, resync, until_readable
from trireme.control.queue import Key, Work, WorkQueue
from trireme.control.store import Store, owner_of
from trireme.edge.cluster import Cluster, Object
from trireme.errors import ClusterError
from virtual_time import VirtualTimeLoop


class Api(Cluster):
    """The Kubernetes API as far as agents are listed: in some namespaces, until it is away."""

    def __init__(self, *may_be_read: str) -> None:
        self.may_be_read = {*may_be_read}
        self.is_away = False

    async def list(self, kind: Kind, namespace: str | None, selector: str = "") -> Sequence[Object]:
        assert kind is kinds.AGENT_DEPLOYMENT
        if self.is_away:
            raise ClusterError(503, "the server is currently unable to handle the request")
        if namespace not in self.may_be_read:
            raise ClusterError(403, "agentdeployments.trireme.dev is forbidden")
        return []


def test_every_agent_is_looked_at_once_in_the_interval_and_never_all_at_a_time() -> None:
    async def scenario() -> None:
        store, queue = Store(), WorkQueue()
        agents = {Key("team", f"agent-{number}") for number in range(30)}
        for namespace, name in agents:
            metadata = {"namespace": namespace, "name": name, "uid": name}
            store.agent_event({"metadata": metadata}, deleted=False)
        looked: list[tuple[float, Key]] = []

        async def handle(key: Key, work: Work) -> None:
            assert work is Work.APPLY
            looked.append((asyncio.get_running_loop().time(), key))
            assert len(queue) == 0, "nobody waits behind it"

        tasks = [
            asyncio.create_task(each) for each in (queue.work(handle), resync(store, queue, 60))
        ]
        await asyncio.sleep(61)
        for task in tasks:
            task.cancel()
        assert {key for at, key in looked if at <= 60} == agents
        assert len(looked) == len(agents)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(scenario())


def test_agents_that_come_later_are_looked_at_too() -> None:
    async def scenario() -> None:
        store, queue = Store(), WorkQueue()
        resyncing = asyncio.create_task(resync(store, queue, 60))
        await asyncio.sleep(1)
        metadata = {"namespace": "team", "name": "late", "uid": "late"}
        store.agent_event({"metadata": metadata}, deleted=False)
        await asyncio.sleep(120)
        resyncing.cancel()
        assert len(queue) == 1

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(scenario())


async def test_a_namespace_that_may_not_be_read_is_left_out_and_told_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert await readable(Api("a", "c"), ["a", "b", "c"]) == ["a", "c"]
    assert "namespace b is not watched until the operator has its rights there" in caplog.text


async def test_an_api_server_that_is_away_says_nothing_of_rights() -> None:
    api = Api("a")
    api.is_away = True
    with pytest.raises(ClusterError):
        await readable(api, ["a"])


def test_a_namespace_that_may_be_read_again_is_noticed() -> None:
    async def scenario() -> None:
        api = Api()
        waiting = asyncio.create_task(until_readable(api, ["a", "b"], 60))
        await asyncio.sleep(61)
        api.is_away = True
        await asyncio.sleep(60)
        assert not waiting.done()
        api.is_away = False
        api.may_be_read.add("b")
        async with asyncio.timeout(61):
            await waiting

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(scenario())


class Listing(Cluster):
    """The Kubernetes API as far as owners are listed: of two Services, until it is away."""

    def __init__(self) -> None:
        self.owners = {"a": "agent-a", "b": "agent-b"}
        self.is_away = False

    async def label_values(
        self, kind: Kind, namespace: str | None, label: str
    ) -> Mapping[str, str]:
        assert (kind, namespace, label) == (kinds.SERVICE, "team", names.OWNER)
        if self.is_away:
            raise ClusterError(503, "the server is currently unable to handle the request")
        return self.owners


def service_of(uid: str, key: Key) -> Object:
    metadata = {"namespace": "team", "name": f"service-{uid}", "uid": uid}
    return {"kind": "Service", "metadata": {**metadata, "labels": {names.OWNER: key.name}}}


KEYS = {name: Key("team", f"agent-{name}") for name in "ab"}


def watched() -> Store:
    """Each of two agents has a Service."""
    store = Store()
    for name, key in KEYS.items():
        store.child_event(key, service_of(name, key), deleted=False)
    return store


async def handled(queue: WorkQueue) -> dict[Key, Work]:
    """What there is to do."""
    found = dict[Key, Work]()

    async def handle(key: Key, work: Work) -> None:
        found[key] = work

    working = asyncio.create_task(queue.work(handle))
    await asyncio.sleep(1)
    working.cancel()
    return found


def test_children_that_went_unseen_are_looked_for_once_in_the_interval(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario() -> None:
        api, store, queue = Listing(), watched(), WorkQueue()
        looking = asyncio.create_task(find_losses(api, store, queue, ["team"], 60))
        await asyncio.sleep(61)
        assert len(queue) == 0, "both are there"
        del api.owners["b"]
        api.is_away = True
        await asyncio.sleep(60)
        assert len(queue) == 0, "nothing is known"
        assert "services that may be gone are not looked for" in caplog.text
        api.is_away = False
        await asyncio.sleep(60)
        looking.cancel()
        assert await handled(queue) == {KEYS["b"]: Work.APPLY}
        assert store.view(KEYS["a"]).children
        assert not store.view(KEYS["b"]).children

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(scenario())


@pytest.mark.parametrize(
    "owner",
    [
        pytest.param("agent-b", id="another agent"),
        pytest.param("nobody", id="no agent"),
        pytest.param("", id="empty"),
    ],
)
def test_a_child_whose_label_names_another_owner_is_applied_again_and_is_not_the_others(
    owner: str,
) -> None:
    async def scenario() -> None:
        api, store, queue = Listing(), watched(), WorkQueue()
        mislabelled = service_of("a", Key("team", owner))
        if (other := owner_of(mislabelled)) is not None:
            store.child_event(other, mislabelled, deleted=False)
        api.owners["a"] = owner
        looking = asyncio.create_task(find_losses(api, store, queue, ["team"], 60))
        await asyncio.sleep(61)
        assert await handled(queue) == {KEYS["a"]: Work.APPLY}
        assert not store.view(KEYS["a"]).children

        store.child_event(KEYS["a"], service_of("a", KEYS["a"]), deleted=False)  # applied again
        api.owners["a"] = "agent-a"
        await asyncio.sleep(60)
        looking.cancel()
        known = {body["metadata"]["uid"]: key for key, body in store.children(kinds.SERVICE)}
        assert known == KEYS

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(scenario())


def test_every_tenth_look_at_an_agent_applies_all_of_it() -> None:
    async def scenario() -> None:
        store, queue = Store(), WorkQueue()
        for key in KEYS.values():
            metadata = {"namespace": "team", "name": key.name, "uid": key.name}
            store.agent_event({"metadata": metadata}, deleted=False)
        wholly: list[tuple[int, Key]] = []

        async def handle(key: Key, _: Work) -> None:
            left = store.view(key).left
            if not left:
                wholly.append((round(asyncio.get_running_loop().time()), key))
            left["Service", "its own"] = b"as it was left"

        working = asyncio.create_task(queue.work(handle))
        resyncing = asyncio.create_task(resync(store, queue, 60))
        await asyncio.sleep(1231)
        for task in (working, resyncing):
            task.cancel()
        first, second = KEYS.values()
        assert wholly == [
            (30, first),
            (60, second),
            (600, second),
            (630, first),
            (1200, second),
            (1230, first),
        ]

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(scenario())
