"""Applying an agent's children: what is somebody else's is refused, what is applied is learnt.

Deployments of server pods are made with a size, which from then on belongs to a field manager of
its own, and are applied without one once they exist. What is watched, and is as it was left, is not
applied again: that would be most of what a pass costs the operator and the API server.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping

from trireme.api import kinds, names
from trireme.control.observed import deployment_view, intent, kept, owned_by
from trireme.control.queue import Key
from trireme.control.store import AgentView, ChildId, Store
from trireme.edge.cluster import Cluster, Object
from trireme.errors import ClusterError
from trireme.resources.fetch import claim_stays

_ATTEMPTS = 5  # at a write that somebody else's write may forestall
_CONFLICT = 409
_FINAL_STATUSES = frozenset({400, 403, 404, 422})  # the API's refusals that a retry cannot heal
_WATCHED = frozenset(kind.name for kind in kinds.CHILD_KINDS)
_UNKNOWN_FIELD = "field not declared in schema"


class Applier:
    """Applies objects of one agent."""

    def __init__(self, cluster: Cluster, store: Store) -> None:
        self._cluster = cluster
        self._store = store

    async def live(self, key: Key, deployments: Iterable[str]) -> dict[str, Object]:
        """Those of the Deployments that exist, as the API has them; what is not there is not known
        any more, whatever the watch has told. Raises ClusterError.
        """
        found = {}
        for name in deployments:
            body = await self._cluster.get(kinds.DEPLOYMENT, key.namespace, name)
            if body is None:
                self._store.view(key).children.pop((kinds.DEPLOYMENT.name, name), None)
            else:
                found[name] = body
        return found

    async def apply(
        self,
        key: Key,
        objects: Iterable[Object],
        live: Mapping[str, Object],
        sizes: Mapping[str, int],
    ) -> bool:
        """Apply the objects in their order; False where a Deployment of `live` is gone meanwhile,
        so that all is to be begun again. Raises ClusterError.

        A claim that is there serves as it is: what the API refuses to change of it is left in the
        agent's view, and holds up nothing behind it. `sizes` are those of the Deployments that are
        made. What the API answers is learnt at once: the watch tells of it later, and until then a
        rollout that has just begun would look finished.
        """
        for body in live.values():
            if deployment_view(body).replicas_manager in (None, names.TEMPLATE_MANAGER):
                # The operator ended between making the Deployment and handing its size over.
                await self._own_scale(key, body)
        for manifest in objects:
            if self._is_as_left(key, manifest):
                continue
            kind, name = child_id(manifest)
            server = live.get(name) if kind == kinds.DEPLOYMENT.name else None
            # Its size is left out, so where it went meanwhile it would be made with one pod.
            uid = server["metadata"]["uid"] if server is not None else None
            view = self._store.view(key)
            before = view.children.get((kind, name))
            view.left.pop((kind, name), None)
            try:
                applied = await self._cluster.apply(manifest, names.TEMPLATE_MANAGER, uid)
            except ClusterError as error:
                if uid is not None and error.status == _CONFLICT:
                    return False
                if not await self._serves_as_it_is(key, manifest, error):
                    raise
                continue
            self._store.learn(key, applied, before)
            self._store.view(key).left[kind, name] = _mark(manifest, kept(applied))
            if kind == kinds.PERSISTENT_VOLUME_CLAIM.name:
                self._store.view(key).claim_stays = None
            if kind == kinds.DEPLOYMENT.name and name in sizes:
                await self._own_scale(key, applied)
        return True

    async def refuse_foreign(
        self, key: Key, view: AgentView, uid: str, objects: Iterable[Object]
    ) -> None:
        """Nothing of the same name that is not ours is ever taken over; nothing is applied then.

        Raises ClusterError. Only what is not known as ours is asked for: once, before it is made.
        """
        for manifest in objects:
            kind, name = child_id(manifest)
            known = view.children.get((kind, name))
            if known is not None and owned_by(known, uid):
                continue
            asked = kinds.kind_of(manifest["apiVersion"], kind)
            found = await self._cluster.get(asked, key.namespace, name)
            if found is None or owned_by(found, uid):
                continue
            if _owned_by_former(found, key.name):
                words = f"the {kind} {name} of a former agent of this name is being deleted"
                raise ClusterError(_CONFLICT, words)
            raise not_ours(kind, name)

    async def delete(self, key: Key, view: AgentView, child: ChildId) -> None:
        """Delete a child that is known; its dependants follow. What has its name by now, and is
        somebody else's, stays: a watch may not have told. Raises ClusterError.
        """
        body = view.children[child]
        kind = kinds.kind_of(body["apiVersion"], body["kind"])
        await self._cluster.delete(kind, key.namespace, child[1], body["metadata"]["uid"])
        view.children.pop(child, None)
        view.left.pop(child, None)

    def _is_as_left(self, key: Key, manifest: Object) -> bool:
        """Whether an object was applied as it is now to be, by this process and for this agent, and
        nobody has touched it since. Of a kind that is not watched nobody would tell.
        """
        child, view = child_id(manifest), self._store.view(key)
        seen, left = view.children.get(child), view.left.get(child)
        if child[0] not in _WATCHED or seen is None or left is None:
            return False
        return left == _mark(manifest, seen)

    async def _serves_as_it_is(self, key: Key, manifest: Object, refusal: ClusterError) -> bool:
        """Whether what the API refuses is a change of a claim that is there, which is then
        left to be told. Raises ClusterError.
        """
        claims = kinds.PERSISTENT_VOLUME_CLAIM
        if manifest["kind"] != claims.name or not is_final(refusal):
            return False
        live = await self._cluster.get(claims, key.namespace, manifest["metadata"]["name"])
        if live is None:
            return False
        self._store.view(key).claim_stays = claim_stays(manifest, live, refusal.message)
        return True

    async def _own_scale(self, key: Key, deployment: Object) -> None:
        """Make the scale manager the owner of the size, as it is.

        The Deployment's own controller writes to it at any moment: then it is read again.
        """
        for attempts_left in reversed(range(_ATTEMPTS)):
            replicas = deployment["spec"].get("replicas", 1)
            try:
                await self._cluster.apply_scale(deployment, replicas, names.SCALE_MANAGER)
            except ClusterError as error:
                if error.status != _CONFLICT or not attempts_left:
                    raise
                name = deployment["metadata"]["name"]
                again = await self._cluster.get(kinds.DEPLOYMENT, key.namespace, name)
                deployment = again or deployment
            else:
                return


def is_final(failure: ClusterError) -> bool:
    """Whether trying again is no use. A field that the API does not know is answered as an error of
    the server's own.
    """
    return failure.status in _FINAL_STATUSES or _UNKNOWN_FIELD in failure.message


def not_ours(kind: str, name: str) -> ClusterError:
    """That an object has a name that an agent's own is to have, and is somebody else's."""
    words = f"a {kind} named {name} exists and does not belong to this agent"
    return ClusterError(403, f"{words}: rename the agent or remove that {kind}")


def child_id(manifest: Object) -> ChildId:
    """By what a child is known."""
    return manifest["kind"], manifest["metadata"]["name"]


def _mark(manifest: Object, seen: Object) -> bytes:
    """Of what was applied and what came of it: another one where either changes, but for the
    status. (A digest: the two are most of what would be known of an agent.)
    """
    return hashlib.sha256(json.dumps((manifest, intent(seen))).encode()).digest()


def _owned_by_former(body: Object, name: str) -> bool:
    """Whether an agent of this name, but another uid, owns it."""
    return any(
        (o["kind"], o["name"]) == (names.KIND, name)
        for o in body["metadata"].get("ownerReferences", [])
    )
