"""Changes in place go step by step, so that no agent holds up another."""

from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from aiohttp import web

from agents import agent_of, directory_of, model_of, repository_of
from ports import own_address
from trireme.api import names
from trireme.control.agent_state import Accepted
from trireme.control.in_place import InPlaceUpdates, serving_pods, wanted_configs
from trireme.control.queue import Key, Work, WorkQueue
from trireme.control.store import AgentView, Store
from trireme.modelrepo.proto import ModelConfig
from trireme.resources.control import OperatorKey

KEY = Key("team", "echo")
UID = "0f5e"
ADDRESSES = {"one": own_address(3), "two": own_address(4)}


class Triton:
    """A server as far as loading goes: it takes what it is told, and keeps who was."""

    def __init__(self) -> None:
        self.loaded: list[tuple[str, str]] = []

    async def load(self, request: web.Request) -> web.Response:
        pod = next(name for name, host in ADDRESSES.items() if host in request.host)
        self.loaded.append((pod, request.match_info["model"]))
        return web.json_response({})

    async def config(self, request: web.Request) -> web.Response:
        groups = [{"count": 1, "kind": "KIND_CPU"}]
        return web.json_response({"name": request.match_info["model"], "instance_group": groups})

    async def ready(self, _: web.Request) -> web.Response:
        return web.Response()


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


async def test_a_turn_loads_one_model_in_one_pod_and_the_next_is_behind_those_of_others(
    servers: Triton,
) -> None:
    store, queue, reconciliations = Store(), WorkQueue(), WorkQueue()
    view = agent_in(store, "double", "triple")
    view.in_place.servers = {f"test://{name}": {} for name in ADDRESSES}  # both run something else
    updates = InPlaceUpdates(
        store=store,
        queue=queue,
        reconciliations=reconciliations,
        operator_key=OperatorKey(bytes(32)),
    )
    steps = [(pod, model) for pod in ("one", "two") for model in ("double", "triple")]
    for done in range(1, len(steps) + 1):
        assert len(queue) == (done > 1)  # what is left is asked for again
        await updates.handle(KEY, Work.APPLY)
        assert servers.loaded == steps[:done]
        assert view.in_place.failure is None
        assert len(reconciliations) == 1
    await updates.handle(KEY, Work.APPLY)
    assert servers.loaded == steps


async def test_what_nobody_foresaw_is_tried_again_later_and_not_with_every_pass(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store, queue = Store(), WorkQueue()
    view = agent_in(store, "double")
    view.in_place.wanted = (cast(ModelConfig, None),)  # whatever fails in one agent's change
    updates = InPlaceUpdates(
        store=store,
        queue=queue,
        reconciliations=WorkQueue(),
        operator_key=OperatorKey(bytes(32)),
    )
    await updates.handle(KEY, Work.APPLY)
    assert "team/echo: the change in place failed" in caplog.text
    assert str(view.in_place.failure) == "the operator's log says why"
    assert len(queue) == 0


def test_a_pod_that_nobody_can_reach_yet_is_not_asked() -> None:
    view = agent_in(Store(), "double")
    assert view.applied is not None
    del view.pods["one"]["status"]["podIP"]
    assert [pod.name for pod in serving_pods(view, view.applied.repository)] == ["two"]
