"""Asking the API for what the watches have not told yet, or never will: kopf does not tell what
went while a watch was interrupted.
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from itertools import count

from trireme.api import kinds, names
from trireme.api.kinds import Kind
from trireme.control.jobs import pods_of_jobs
from trireme.control.observed import kept, owned_by
from trireme.control.queue import Key, Work, WorkQueue
from trireme.control.store import AgentView, Object, Store, owner_of
from trireme.edge.cluster import Cluster
from trireme.errors import ClusterError

logger = logging.getLogger(__name__)

_FORBIDDEN = 403
_WHOLE_AGAIN = 10  # looks at an agent


async def catch_up(cluster: Cluster, store: Store, key: Key, view: AgentView) -> None:
    """Learn whether the agent is still there, its Deployments and pods, and whom its Service leads
    to. Raises ClusterError.
    """
    live = await cluster.get(kinds.AGENT_DEPLOYMENT, key.namespace, key.name)
    body = view.body
    assert body is not None  # noqa: S101  # a pass has looked
    if live is None or live["metadata"]["uid"] != body["metadata"]["uid"]:
        if store.view(key) is view:
            store.agent_event(body, deleted=True)
        view.body = None
        return
    if not view.servers.bodies:
        selector = f"{names.AGENT}={key.name}"
        for server in await cluster.list(kinds.DEPLOYMENT, key.namespace, selector):
            if owned_by(server, body["metadata"]["uid"]):
                kind = kinds.DEPLOYMENT  # which the items of a list do not say
                told = {"apiVersion": kind.api_version, "kind": kind.name, **server}
                store.learn(key, told)
    name = names.service(key.name)
    if (kinds.SERVICE.name, name) not in view.children:
        service = await cluster.get(kinds.SERVICE, key.namespace, name)
        if service is not None and owned_by(service, body["metadata"]["uid"]):
            store.learn(key, service)
    await _align_pods(cluster, key, view)


async def resync(store: Store, queue: WorkQueue, interval_seconds: float) -> None:
    """Have every agent looked at once in the interval, for ConfigMaps it names and for what is not
    watched; one after the other, so that an edit waits for no more than a few of them. Every tenth
    look at an agent applies all of it: a cluster that was restored may have gone back in time.
    """
    for turn in count():
        keys = store.agents()
        for number, key in enumerate(keys):
            await asyncio.sleep(interval_seconds / len(keys))
            if (turn + number) % _WHOLE_AGAIN == 0:
                store.view(key).left.clear()
            await queue.add(key, Work.APPLY)
        if not keys:
            await asyncio.sleep(interval_seconds)


async def find_losses(
    cluster: Cluster,
    store: Store,
    queue: WorkQueue,
    namespaces: Sequence[str],
    interval_seconds: float,
) -> None:
    """Once in the interval, ask which children of all agents are there, and have those applied
    again that are known and are not.
    """
    while True:
        await asyncio.sleep(interval_seconds)
        for kind in kinds.CHILD_KINDS:
            try:
                lost = await _lost(cluster, store, kind, namespaces)
            except ClusterError as error:
                logger.warning("%s that may be gone are not looked for: %s", kind.plural, error)
                continue
            for key, body in lost:
                if work := store.child_event(key, body, deleted=True):
                    await queue.add(key, work)


async def _lost(
    cluster: Cluster, store: Store, kind: Kind, namespaces: Sequence[str]
) -> list[tuple[Key, Object]]:
    """What is known of a kind, and is not there, or is another agent's by its label: where somebody
    has changed that, the watch tells of it as of the other's. What is learnt while the API is asked
    is younger than its answer, and not looked for. Raises ClusterError.
    """
    known = store.children(kind)
    if not known:
        return []
    owners: dict[str, str] = {}
    for namespace in namespaces or (None,):
        owners.update(await cluster.label_values(kind, namespace, names.OWNER))
    return [(key, body) for key, body in known if owners.get(body["metadata"]["uid"]) != key.name]


async def readable(cluster: Cluster, namespaces: Sequence[str]) -> list[str]:
    """Those whose agents the operator may read. A namespace that is deleted takes its RoleBinding
    along, and kopf ends with a watch that is refused: one namespace must not end all. Raises
    ClusterError.
    """
    found = []
    for namespace in namespaces:
        try:
            await cluster.list(kinds.AGENT_DEPLOYMENT, namespace)
        except ClusterError as error:
            if error.status != _FORBIDDEN:
                raise
            why = "is not watched until the operator has its rights there"
            logger.error("namespace %s %s: %s", namespace, why, error)
        else:
            found.append(namespace)
    return found


async def until_readable(
    cluster: Cluster, namespaces: Sequence[str], interval_seconds: float
) -> None:
    """Return once one of them may be read."""
    while True:
        await asyncio.sleep(interval_seconds)
        with contextlib.suppress(ClusterError):
            if found := await readable(cluster, namespaces):
                logger.info("beginning anew, to watch %s", ", ".join(found))
                return


async def _align_pods(cluster: Cluster, key: Key, view: AgentView) -> None:
    """Ask for the pods where more or fewer are known than the Deployments count."""
    known = {name: pod["metadata"]["uid"] for name, pod in view.pods.items()}
    if len(known) - len(pods_of_jobs(view.pods.values())) == view.existing_pods:
        return
    listed = await cluster.list(kinds.POD, key.namespace, f"{names.OWNER}={key.name}")
    alive = {pod["metadata"]["uid"] for pod in listed}
    for name, uid in known.items():
        if uid not in alive and name in view.pods and view.pods[name]["metadata"]["uid"] == uid:
            del view.pods[name]
    for pod in listed:
        view.pods.setdefault(pod["metadata"]["name"], kept(pod))


async def learn_monitors(cluster: Cluster, store: Store, namespaces: Sequence[str]) -> None:
    """Learn of the PodMonitors that are there, so that those are pruned that an operator with
    another `discovery` made: they are not watched. Without that right they stay, and the log says
    so.
    """
    kind = kinds.POD_MONITOR
    for namespace in namespaces or (None,):
        try:
            found = await cluster.list(kind, namespace, names.OWNER)
        except ClusterError as error:
            if error.status != 404:  # else there is no prometheus-operator
                logger.warning("PodMonitors that may be left are not looked for: %s", error)
            continue
        for monitor in found:
            if (key := owner_of(monitor)) is not None:
                told = {"apiVersion": kind.api_version, "kind": kind.name, **monitor}
                store.learn(key, told)
