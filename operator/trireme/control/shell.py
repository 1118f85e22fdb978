"""kopf as a thin shell: watches in, work for the queue out.

Only `on.event` handlers: no annotation, finalizer or progress is ever written to users' objects,
and nothing is kept per object but what the store holds.
"""

from collections.abc import Sequence
from typing import Any, cast

import kopf

from trireme.api import kinds, names
from trireme.control.queue import Key, Work, WorkQueue
from trireme.control.store import Object, Store, key_of, owner_of
from trireme.settings import Settings


def register(registry: kopf.OperatorRegistry, store: Store, queue: WorkQueue) -> None:
    """Hand every watch event to the store, and the work it makes to the queue."""

    @kopf.on.login(registry=registry)
    async def login(**options: Any) -> kopf.ConnectionInfo | None:
        # A pod's token is rotated; kopf reads it again when the API server refuses the old one.
        return kopf.login_with_service_account(**options) or kopf.login_with_kubeconfig(**options)

    @kopf.on.event(names.GROUP, names.VERSION, names.PLURAL, registry=registry)
    async def agent(event: kopf.RawEvent, **_: Any) -> None:
        body = _plain(event)
        await _enqueue(key_of(body), store.agent_event(body, deleted=_deleted(event)))

    async def child(event: kopf.RawEvent, **_: Any) -> None:
        body = _plain(event)
        if (key := owner_of(body)) is not None:
            await _enqueue(key, store.child_event(key, body, deleted=_deleted(event)))

    async def pod(event: kopf.RawEvent, **_: Any) -> None:
        body = _plain(event)
        if (key := owner_of(body)) is not None:
            await _enqueue(key, store.pod_event(key, body, deleted=_deleted(event)))

    async def _enqueue(key: Key, work: Work) -> None:
        if work:
            await queue.add(key, work)

    ours = {names.OWNER: kopf.PRESENT}
    for kind in kinds.CHILD_KINDS:
        group, _, version = kind.api_version.rpartition("/")
        kopf.on.event(group, version, kind.plural, labels=ours, registry=registry)(child)
    kopf.on.event("", "v1", kinds.POD.plural, labels=ours, registry=registry)(pod)


def configure(settings: Settings) -> kopf.OperatorSettings:
    """kopf's settings: filters on the server's side, no events or state of its own."""
    configured = kopf.OperatorSettings()
    ours = f"{names.OWNER}"
    for kind in (*kinds.CHILD_KINDS, kinds.POD):
        configured.watching.label_selectors[kind.plural] = ours
    configured.watching.chunk_size = 500
    # A connection can die without a sign, such as at a firewall that forgets it.
    configured.watching.inactivity_timeout = settings.watch_silence_seconds
    configured.scanning.disabled = True
    configured.posting.enabled = False
    configured.peering.standalone = True
    configured.networking.request_timeout = 30
    configured.networking.connect_timeout = 10
    configured.process.ultimate_exiting_timeout = settings.shutdown_grace_seconds
    return configured


async def watch(
    registry: kopf.OperatorRegistry, settings: Settings, namespaces: Sequence[str]
) -> None:
    """Watch some namespaces, or all where none is named, until SIGTERM or SIGINT; it raises when a
    watch is lost for good.
    """
    await kopf.operator(
        registry=registry,
        settings=configure(settings),
        identity=cast(Any, settings.identity),  # its own guess needs a user with a name
        standalone=True,
        clusterwide=not namespaces,
        namespaces=namespaces,
    )


def _deleted(event: kopf.RawEvent) -> bool:
    return event["type"] == "DELETED"


def _plain(event: kopf.RawEvent) -> Object:
    """The object as a plain dict; kopf has put kind and apiVersion back, which lists leave out."""
    return dict(event["object"])
