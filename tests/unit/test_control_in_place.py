"""Changes in place go step by step, so that no agent holds up another."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from aiohttp import web

from agents import agent_of, directory_of, model_of, repository_of
from ports import own_address
from trireme.api import names
from trireme.api.status import AgentStatus
from trireme.control.agent_state import Accepted, Failing
from trireme.control.in_place import (
    InPlaceUpdates,
    crash,
    failed,
    progress,
    serving_pods,
    wanted_configs,
)
from trireme.control.queue import Key, Work, WorkQueue
from trireme.control.store import AgentView, Store
from trireme.errors import ServerError, ServerForbade, ServerRefused
from trireme.modelrepo.proto import ModelConfig
from trireme.resources.control import OperatorKey

KEY = Key("team", "echo")
UID = "0f5e"
NOW = datetime(2026, 11, 1, 3, 0, tzinfo=UTC)
ADDRESSES = {"one": own_address(3), "two": own_address(4)}


class Triton:
    """A server as far as loading goes: it takes what it is told, and keeps who was; `loads`, `asks`
    and `readiness` are the statuses of its answers.
    """

    def __init__(self) -> None:
        self.loaded: list[tuple[str, str]] = []
        self.loads = self.asks = self.readiness = 200

    async def load(self, request: web.Request) -> web.Response:
        pod = next(name for name, host in ADDRESSES.items() if host in request.host)
        self.loaded.append((pod, request.match_info["model"]))
        words = {} if self.loads == 200 else {"error": "no"}
        return web.json_response(words, status=self.loads)

    async def config(self, request: web.Request) -> web.Response:
        groups = [{"count": 1, "kind": "KIND_CPU"}]
        if self.asks != 200:
            return web.json_response({"error": "no"}, status=self.asks)
        return web.json_response({"name": request.match_info["model"], "instance_group": groups})

    async def ready(self, _: web.Request) -> web.Response:
        return web.Response(status=self.readiness)


@pytest.fixture
async def servers() -> AsyncIterator[Triton]:
    triton = Triton()
    application = web.Application()
    application.router.add_post("/v2/repository/models/{model}/load", triton.load)
    application.router.add_get("/v2/models/{model}/config", triton.config)
    application.router.add_get("/v2/models/{model}/ready", triton.ready)
    runner = web.AppRunner(application)
    await runner.setup()
    for address in ADDRESSES.values():
        await web.TCPSite(runner, address, names.HTTP_PORT).start()
    yield triton
    await runner.cleanup()


def ready_pod(name: str, digest: str) -> dict[str, Any]:
    at = "2026-11-01T02:00:00Z"
    return {
        "metadata": {
            "name": name,
            "uid": name,
            "creationTimestamp": at,
            "labels": {names.AGENT: KEY.name},
            "annotations": {names.REPOSITORY_DIGEST: digest},
        },
        "status": {
            "podIP": ADDRESSES[name],
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": at}],
            "containerStatuses": [
                {"name": names.SERVER_CONTAINER, "containerID": f"test://{name}", "started": True}
            ],
        },
    }


def agent_in(store: Store, *models: str) -> AgentView:
    """An agent of two ready pods of these models, of whose servers nothing is known."""
    metadata = {"namespace": KEY.namespace, "name": KEY.name, "uid": UID, "generation": 1}
    store.agent_event({"metadata": metadata, "spec": {}, "status": {}}, deleted=False)
    view = store.view(KEY)
    repository = repository_of(*map(directory_of, models))
    view.applied = Accepted(agent_of(models=[*map(model_of, models)]), repository)
    view.in_place.wanted = wanted_configs(repository)
    view.children["Deployment", "echo"] = {
        "kind": "Deployment",
        "metadata": {
            "name": "echo",
            "labels": {names.OWNER: "echo", names.AGENT: "echo"},
            "ownerReferences": [{"uid": UID}],
        },
        "spec": {"replicas": 2},
        "status": {"replicas": 2, "updatedReplicas": 2, "observedGeneration": 1},
    }
    view.pods.update({name: ready_pod(name, repository.digest) for name in ADDRESSES})
    return view


def updates_of(store: Store, queue: WorkQueue, reconciliations: WorkQueue) -> InPlaceUpdates:
    return InPlaceUpdates(
        store=store,
        queue=queue,
        reconciliations=reconciliations,
        operator_key=OperatorKey(bytes(32)),
        clock=lambda: NOW,
    )


async def test_a_turn_loads_one_model_in_one_pod_and_the_next_is_behind_those_of_others(
    servers: Triton,
) -> None:
    store, queue, reconciliations = Store(), WorkQueue(), WorkQueue()
    view = agent_in(store, "double", "triple")
    view.in_place.servers = {f"test://{name}": {} for name in ADDRESSES}  # both run something else
    updates = updates_of(store, queue, reconciliations)
    steps = [(pod, model) for pod in ("one", "two") for model in ("double", "triple")]
    for done in range(1, len(steps) + 1):
        assert len(queue) == (done > 1)  # what is left is asked for again
        await updates.handle(KEY, Work.APPLY)
        assert servers.loaded == steps[:done]
        assert view.in_place.failing is None
        assert len(reconciliations) == 1
    await updates.handle(KEY, Work.APPLY)
    assert servers.loaded == steps


async def test_what_nobody_foresaw_is_tried_again_later_and_not_with_every_pass(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store, queue = Store(), WorkQueue()
    view = agent_in(store, "double")
    view.in_place.wanted = (cast(ModelConfig, None),)  # whatever fails in one agent's change
    updates = updates_of(store, queue, WorkQueue())
    await updates.handle(KEY, Work.APPLY)
    assert "team/echo: the change in place failed" in caplog.text
    assert view.in_place.failing is not None
    assert str(view.in_place.failing.error) == "the operator's log says why"
    assert len(queue) == 0


def test_a_pod_that_nobody_can_reach_yet_is_not_asked() -> None:
    view = agent_in(Store(), "double")
    assert view.applied is not None
    del view.pods["one"]["status"]["podIP"]
    assert [pod.name for pod in serving_pods(view, view.applied.repository)] == ["two"]


BACK_OFF = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}


def is_down(view: AgentView, pod: str, **container: Any) -> None:
    """The pod is not ready, for what is said of its server."""
    body = view.pods[pod]
    (server,) = body["status"]["containerStatuses"]
    ready = {"type": "Ready", "status": "False", "lastTransitionTime": "2026-11-01T02:59:00Z"}
    servers = [{**server, "started": False, **container}]
    status = {**body["status"], "conditions": [ready], "containerStatuses": servers}
    view.pods = {**view.pods, pod: {**body, "status": status}}


@pytest.mark.parametrize(
    ("container", "is_waited_for"),
    [
        pytest.param({"restartCount": 1}, True, id="that died"),
        pytest.param({"started": True}, True, id="that ran and does not answer"),
        pytest.param({}, False, id="that only starts"),
    ],
)
async def test_one_bad_load_does_not_go_on_through_all_pods(
    servers: Triton, container: dict[str, Any], is_waited_for: bool
) -> None:
    store, queue = Store(), WorkQueue()
    view = agent_in(store, "double")
    view.in_place.servers = {f"test://{name}": {} for name in ADDRESSES}
    updates = updates_of(store, queue, WorkQueue())
    before = view.pods["one"]
    is_down(view, "one", **container)

    await updates.handle(KEY, Work.APPLY)

    assert servers.loaded == ([] if is_waited_for else [("two", "double")])
    failing = view.in_place.failing
    assert (str(failing.error) if failing is not None else "") == (
        "pod one: it ran and is not ready; the others wait" if is_waited_for else ""
    )

    view.pods = {**view.pods, "one": before}
    await updates.handle(KEY, Work.APPLY)
    assert servers.loaded[-1] == ("one", "double")


@pytest.mark.parametrize(
    ("container", "words"),
    [
        pytest.param(
            {"restartCount": 2, "state": BACK_OFF},
            "pod one: triton: CrashLoopBackOff: back-off 10s",
            id="again and again",
        ),
        pytest.param({"restartCount": 1}, None, id="once"),
        pytest.param(
            {"state": {"waiting": {"reason": "CreateContainerConfigError"}}},
            None,
            id="never, since it lacks what somebody else makes",
        ),
        pytest.param(
            {"restartCount": 1, "state": {"waiting": {"reason": "CreateContainerConfigError"}}},
            None,
            id="once, and lacks by now what somebody else makes",
        ),
    ],
)
def test_a_server_may_end_by_what_is_applied(container: dict[str, Any], words: str | None) -> None:
    view = agent_in(Store(), "double")
    is_down(view, "one", **container)
    assert crash(view) == words


def test_a_server_that_ended_before_did_not_end_by_what_is_applied_since() -> None:
    view = agent_in(Store(), "double")
    is_down(view, "one", restartCount=2, state=BACK_OFF)
    went_down = NOW - timedelta(minutes=1)
    assert crash(view, went_down) == "pod one: triton: CrashLoopBackOff: back-off 10s"
    assert crash(view, went_down + timedelta(seconds=1)) is None


SILENT, REFUSED = ServerError("no answer"), ServerRefused("out of memory")
DEADLINE = timedelta(minutes=10)


@pytest.mark.parametrize(
    ("error", "since", "lasts"),
    [
        pytest.param(SILENT, None, False, id="one that does not answer"),
        pytest.param(SILENT, NOW - timedelta(minutes=9), False, id="for less than a start takes"),
        pytest.param(SILENT, NOW - DEADLINE, True, id="for as long"),
        pytest.param(REFUSED, None, False, id="one that refuses once"),
        pytest.param(REFUSED, NOW - timedelta(seconds=1), True, id="and once more"),
    ],
)
def test_what_failed_may_be_to_last(
    error: ServerError, since: datetime | None, lasts: bool
) -> None:
    for was_told in (True, False):
        before = Failing(error, since, was_told=was_told) if since is not None else None
        found = failed(before, error, NOW, DEADLINE, was_told=was_told)
        assert found == Failing(error, since or NOW, lasts, was_told)


def test_a_refusal_after_no_answer_is_the_first() -> None:
    before = Failing(SILENT, NOW - timedelta(seconds=1))
    assert not failed(before, REFUSED, NOW, DEADLINE, was_told=False).lasts


def test_what_lasts_does_so_until_it_is_over() -> None:
    before = Failing(REFUSED, NOW - timedelta(seconds=2), lasts=True, was_told=True)
    assert failed(before, SILENT, NOW, DEADLINE, was_told=True).lasts


@pytest.mark.parametrize("error", [SILENT, REFUSED])
def test_what_servers_did_not_answer_before_is_no_refusal_of_what_they_are_told(
    error: ServerError,
) -> None:
    before = Failing(error, NOW - DEADLINE, lasts=True)
    found = failed(before, error, NOW, DEADLINE, was_told=True)
    assert found == Failing(error, NOW, was_told=True)


@pytest.mark.parametrize(
    ("asks", "is_down_too", "was_told"),
    [
        pytest.param(400, False, False, id="asked what it runs"),
        pytest.param(200, True, False, id="while another one is down"),
        pytest.param(200, False, True, id="told to change"),
    ],
)
async def test_only_a_server_that_was_told_to_change_can_refuse_it(
    servers: Triton, asks: int, is_down_too: bool, was_told: bool
) -> None:
    store = Store()
    view = agent_in(store, "double")
    known = ADDRESSES if asks == 200 else ["one"]
    view.in_place.servers = {f"test://{name}": {} for name in known}
    servers.asks, servers.loads = asks, 400
    if is_down_too:
        is_down(view, "two", restartCount=1)
    updates = updates_of(store, WorkQueue(), WorkQueue())
    await updates.handle(KEY, Work.APPLY)
    failing = view.in_place.failing
    assert failing is not None
    assert failing.was_told == was_told


@pytest.mark.parametrize(
    ("loads", "readiness", "kind"),
    [
        pytest.param(400, 200, ServerRefused, id="refused"),
        pytest.param(403, 200, ServerForbade, id="forbidden, whatever is asked"),
        pytest.param(200, 400, ServerError, id="loaded, and not ready yet"),
    ],
)
async def test_what_a_server_makes_of_a_load(
    servers: Triton, loads: int, readiness: int, kind: type[ServerError]
) -> None:
    store = Store()
    view = agent_in(store, "double")
    view.in_place.servers = {f"test://{name}": {} for name in ADDRESSES}
    servers.loads, servers.readiness = loads, readiness
    updates = updates_of(store, WorkQueue(), WorkQueue())
    for lasts in (False, issubclass(kind, ServerRefused)):
        await updates.handle(KEY, Work.APPLY)
        failing = view.in_place.failing
        assert failing is not None
        told = progress(view, AgentStatus())
        assert told is not None
        assert told.refused == lasts, "what is taken back by then was never Stalled"
        assert (type(failing.error), failing.lasts) == (kind, lasts)
        assert str(failing.error).startswith("pod one: models[double]: ")
