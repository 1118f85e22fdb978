"""Leader election by a Lease: of several operator replicas one acts, the others wait.

The election is kubernetes.aio's. Added here:

* a request that is not answered in time is a failed attempt, instead of an exception or a wait of
  minutes;
* a leader ends when it has not renewed the Lease for the renew deadline, whatever the library is
  waiting for: that is before the Lease runs out, so before another replica may begin; and at once
  when it sees that the Lease is another's, who may have a clock that was set forward;
* a leader that ends gives the Lease back, so that the next one need not wait for it to run out;
* the Lease has a connection of its own, so that no renewal waits behind what else is written.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import aiohttp
from kubernetes.aio import client
from kubernetes.aio.leaderelection.electionconfig import Config
from kubernetes.aio.leaderelection.leaderelection import LeaderElection
from kubernetes.aio.leaderelection.leaderelectionrecord import LeaderElectionRecord
from kubernetes.aio.leaderelection.resourcelock.leaselock import LeaseLock

from trireme.api import kinds
from trireme.edge.cluster import Cluster
from trireme.errors import ClusterError, LeaseLost
from trireme.settings import Settings

logger = logging.getLogger(__name__)

_RELEASE_SECONDS = 5.0  # the Lease runs out by itself soon after
_UNANSWERED = (aiohttp.ClientError, asyncio.TimeoutError, OSError)


class _PatientLeaseLock(LeaseLock):
    """A LeaseLock for which no answer is a failed attempt, and which can make its Lease.

    `renewed_at` is when the request that last renewed the Lease began, on the loop's clock, None
    while it was not ours; `taken` is set once it is somebody else's after that.
    """

    def __init__(self, api: client.ApiClient, settings: Settings) -> None:
        super().__init__(settings.lease_name, settings.operator_namespace, settings.identity, api)
        self._deadline = settings.lease_renew_deadline_seconds
        self._timeout = self._deadline / 2  # leaves time for a second attempt, as in client-go
        self.renewed_at: float | None = None
        self.taken = asyncio.Event()

    async def get(self, name: str, namespace: str) -> tuple[bool, Any]:
        try:
            async with asyncio.timeout(self._timeout):
                found, record = await super().get(name, namespace)
        except _UNANSWERED as error:
            return False, client.ApiException(status=0, reason=repr(error))
        holder = record.holder_identity if isinstance(record, LeaderElectionRecord) else None
        if self.renewed_at is not None and holder not in (None, self.identity):
            self.taken.set()
        return found, record

    async def create(
        self, name: str, namespace: str, election_record: LeaderElectionRecord
    ) -> bool:
        # Not the library's own (kubernetes 37.0.2): it passes pretty=True, and its generated client
        # takes a string there, so that no Lease is ever made.
        lease = client.V1Lease(
            metadata=client.V1ObjectMeta(name=name), spec=self.update_lease(election_record)
        )
        return await self._write(self.api_instance.create_namespaced_lease(namespace, lease))

    async def update(self, name: str, namespace: str, updated_record: LeaderElectionRecord) -> bool:
        # Not the library's own: it logs a traceback where another replica was faster.
        lease = self.lease_reference
        assert lease is not None  # noqa: S101  # the election updates only what it has read
        lease.spec = self.update_lease(updated_record, lease.spec)
        return await self._write(
            self.api_instance.replace_namespaced_lease(name=name, namespace=namespace, body=lease)
        )

    async def _write(self, request: Coroutine[Any, Any, object]) -> bool:
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(self._timeout):
                await request
        except (client.ApiException, *_UNANSWERED) as error:
            reason = error.reason if isinstance(error, client.ApiException) else repr(error)
            logger.warning("the Lease %s was not written: %s", self.name, reason)
            return False
        self.renewed_at = began
        return True

    async def unrenewed(self) -> None:
        """Return when the Lease has not been renewed for the renew deadline."""
        loop = asyncio.get_running_loop()
        while True:
            left = (self.renewed_at or 0.0) + self._deadline - loop.time()
            if left <= 0:
                return
            await asyncio.sleep(left)


async def lead(
    api: client.ApiClient, settings: Settings, work: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    """Wait for the Lease, do `work`, and return when it ends. The API server is asked where `api`
    asks it.

    Cancelled, it ends the work and gives the Lease back if it holds it. Raises what `work` raises,
    and LeaseLost where the Lease was lost: the work has been cancelled then, and the process must
    end, since another replica may act.
    """
    async with client.ApiClient(api.configuration) as own:
        await _lead(own, settings, work)


async def _lead(
    api: client.ApiClient, settings: Settings, work: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    lock = _PatientLeaseLock(api, settings)
    holding = asyncio.Event()

    async def hold() -> None:
        holding.set()

    async def lose() -> None:
        pass  # the election's end says it

    election = LeaderElection(
        Config(
            lock,
            lease_duration=settings.lease_duration_seconds,
            renew_deadline=settings.lease_renew_deadline_seconds,
            retry_period=settings.lease_retry_period_seconds,
            onstarted_leading=hold,
            onstopped_leading=lose,
        )
    )
    try:
        async with _running(election.run()) as electing:
            async with _running(holding.wait()) as held:
                await _first_of(electing, held)
            logger.info("leading as %s", settings.identity)
            async with (
                _running(work()) as working,
                _running(lock.unrenewed()) as unrenewed,
                _running(lock.taken.wait()) as taken,
            ):
                await _first_of(working, electing, unrenewed, taken)
                if not working.done():
                    raise LeaseLost("the Lease was lost: ending, so that two never act at once")
    finally:
        if lock.renewed_at is not None:
            await _release(Cluster(api), settings)


@contextlib.asynccontextmanager
async def _running(coroutine: Coroutine[Any, Any, Any]) -> AsyncIterator[asyncio.Task[Any]]:
    """A task that has ended when the context ends."""
    task = asyncio.create_task(coroutine)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _first_of(*tasks: asyncio.Task[Any]) -> None:
    """Wait until one of the tasks ends; raise what it raised."""
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


async def _release(cluster: Cluster, settings: Settings) -> None:
    """Give the Lease back, if it is still ours."""
    namespace, name = settings.operator_namespace, settings.lease_name
    try:
        async with asyncio.timeout(_RELEASE_SECONDS):
            lease = await cluster.get(kinds.LEASE, namespace, name)
            if lease is not None and lease["spec"].get("holderIdentity") == settings.identity:
                patch = {
                    "metadata": {"resourceVersion": lease["metadata"]["resourceVersion"]},
                    "spec": {"holderIdentity": None},
                }
                await cluster.merge(kinds.LEASE, namespace, name, patch)
    except (ClusterError, TimeoutError) as error:
        logger.warning("the Lease could not be given back: %s", error)
