"""Leader election: who holds the Lease works, and nobody who does not."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio import client

from trireme.api import kinds
from trireme.edge import leader
from trireme.edge.cluster import Cluster
from trireme.errors import LeaseLost
from trireme.settings import Settings
from virtual_time import VirtualTimeLoop

SETTINGS = Settings(
    operator_namespace="system",
    identity="one",
    lease_duration_seconds=4,
    lease_renew_deadline_seconds=2,
    lease_retry_period_seconds=1,
)


class LeaseApi:
    """One Lease behind the two requests that an election makes; it may stop to answer. Whatever
    else is asked is counted, and never answered.
    """

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.version = 0
        self.mute = False
        self.others = asyncio.Semaphore(0)

    @property
    def holder(self) -> str | None:
        return self.lease["spec"].get("holderIdentity") if self.lease else None

    async def handle(self, request: web.Request) -> web.Response:
        if "/leases" not in request.path:
            self.others.release()
            await asyncio.Event().wait()
        if self.mute:
            await asyncio.Event().wait()
        if request.method == "GET":
            return self._answer() if self.lease else _status(404)
        body = await request.json()
        if self.lease and body["metadata"].get("resourceVersion") != str(self.version):
            return _status(409)
        if request.method == "PATCH":
            assert self.lease is not None
            body = {**self.lease, "spec": {**self.lease["spec"], **body["spec"]}}
        self.keep(body["spec"])
        return self._answer()

    def keep(self, spec: dict[str, Any]) -> None:
        self.version += 1
        metadata = {
            "name": SETTINGS.lease_name,
            "namespace": "system",
            "resourceVersion": str(self.version),
        }
        self.lease = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": {key: value for key, value in spec.items() if value is not None},
        }

    def _answer(self) -> web.Response:
        return web.json_response(self.lease)


def _status(code: int) -> web.Response:
    return web.Response(
        status=code,
        text=json.dumps({"kind": "Status", "code": code}),
        content_type="application/json",
    )


@contextlib.asynccontextmanager
async def serving(api: LeaseApi) -> AsyncIterator[client.ApiClient]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", api.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with client.ApiClient(client.Configuration(host=f"http://127.0.0.1:{port}")) as made:
            yield made
    finally:
        await runner.cleanup()


class Work:
    """Work that goes on until it is cancelled, and tells that it was."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.ended = asyncio.Event()

    async def __call__(self) -> None:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.set()


async def test_a_leader_that_is_told_to_stop_ends_its_work_and_gives_the_lease_back() -> None:
    api, work = LeaseApi(), Work()
    async with serving(api) as connection:
        leading = asyncio.create_task(leader.lead(connection, SETTINGS, work))
        async with asyncio.timeout(60):
            await work.begun.wait()
        assert api.holder == "one"
        leading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leading
    assert work.ended.is_set()
    assert api.lease is not None
    assert api.holder is None


async def test_a_failure_of_the_work_is_raised_and_the_lease_is_free() -> None:
    api = LeaseApi()

    async def failing() -> None:
        raise ValueError("a watch broke")

    async with serving(api) as connection:
        with pytest.raises(ValueError, match="a watch broke"):
            async with asyncio.timeout(60):
                await leader.lead(connection, SETTINGS, failing)
    assert api.holder is None


def test_a_leader_whose_api_server_hangs_ends_before_its_lease_runs_out() -> None:
    async def scenario() -> None:
        api, work = LeaseApi(), Work()
        loop = asyncio.get_running_loop()
        async with serving(api) as connection:
            leading = asyncio.create_task(leader.lead(connection, SETTINGS, work))
            await work.begun.wait()
            muted, api.mute = loop.time(), True
            await work.ended.wait()
            assert loop.time() - muted < SETTINGS.lease_duration_seconds
            api.mute = False
            with pytest.raises(LeaseLost):
                await leading

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(scenario())


async def test_a_leader_that_sees_another_hold_the_lease_ends_at_once() -> None:
    api, work = LeaseApi(), Work()
    patient = SETTINGS.model_copy(
        update={"lease_duration_seconds": 90, "lease_renew_deadline_seconds": 60}
    )
    async with serving(api) as connection:
        leading = asyncio.create_task(leader.lead(connection, patient, work))
        async with asyncio.timeout(60):
            await work.begun.wait()
            assert api.lease is not None
            api.keep({**api.lease["spec"], "holderIdentity": "two"})
            with pytest.raises(LeaseLost):
                await leading
    assert work.ended.is_set()
    assert api.holder == "two"


async def test_what_else_waits_for_the_api_server_keeps_nobody_from_the_lease() -> None:
    api, work = LeaseApi(), Work()
    async with serving(api) as connection:
        most = connection.configuration.connection_pool_maxsize
        others = [
            asyncio.create_task(Cluster(connection).list(kinds.POD, "team")) for _ in range(most)
        ]
        async with asyncio.timeout(60):
            for _ in others:
                await api.others.acquire()
        leading = asyncio.create_task(leader.lead(connection, SETTINGS, work))
        async with asyncio.timeout(60):
            await work.begun.wait()
        for task in (leading, *others):
            task.cancel()
        await asyncio.gather(leading, *others, return_exceptions=True)
    assert api.lease is not None
    assert api.holder is None, "and it is given back"


async def test_one_that_waits_does_not_work_and_leaves_the_lease_alone() -> None:
    api, work = LeaseApi(), Work()
    now = datetime.now(UTC).isoformat()  # noqa: TID251  # as another replica writes it
    spec = {
        "holderIdentity": "two",
        "leaseDurationSeconds": 60,
        "acquireTime": now,
        "renewTime": now,
    }
    api.keep(spec)
    async with serving(api) as connection:
        waiting = asyncio.create_task(leader.lead(connection, SETTINGS, work))
        await asyncio.wait([waiting], timeout=1.5)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert not work.begun.is_set()
    assert api.holder == "two"
    assert api.version == 1
