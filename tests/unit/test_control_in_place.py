"""Changes in place go step by step, so that no agent holds up another."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from agents import agent_of, directory_of, model_of, repository_of
from ports import own_address
from trireme.api import names
from trireme.control.agent_state import Accepted
from trireme.control.in_place import InPlaceUpdates, wanted_configs
from trireme.control.queue import Key, Work, WorkQueue
from trireme.control.store import Store
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


def ready_pod(name: str, digest: str) -> dict[str, object]:
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


async def test_a_turn_loads_one_model_in_one_pod_and_the_next_is_behind_those_of_others(
    servers: Triton,
) -> None:
    store, queue, reconciliations = Store(), WorkQueue(), WorkQueue()
    metadata = {"namespace": KEY.namespace, "name": KEY.name, "uid": UID, "generation": 1}
    store.agent_event({"metadata": metadata, "spec": {}, "status": {}}, deleted=False)
    view = store.view(KEY)
    repository = repository_of(directory_of("double"), directory_of("triple"))
    models = [model_of("double"), model_of("triple")]
    view.applied = Accepted(agent_of(models=models), repository)
    view.in_place.wanted = wanted_configs(repository)
    view.in_place.servers = {f"test://{name}": {} for name in ADDRESSES}  # both run something else
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
