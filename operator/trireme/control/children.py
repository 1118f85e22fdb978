"""All children of an agent: what it is to have is applied, what is no longer wanted is pruned.

How an object is applied, and what is never taken over, is in `apply`; a canary's own objects are
`trial`'s.
"""

from collections.abc import Callable
from datetime import datetime

from trireme.admission.parse import readable_status
from trireme.api import kinds, names
from trireme.api.conditions import EventReason
from trireme.control import in_place
from trireme.control.agent_state import Accepted
from trireme.control.apply import Applier, child_id
from trireme.control.canary_course import has_pods
from trireme.control.observed import deployment_view, owned_by
from trireme.control.pod_secrets import Keys, ensure_secrets
from trireme.control.queue import Key, Work, WorkQueue
from trireme.control.store import AgentView, ChildId
from trireme.control.trial import Trial
from trireme.edge.cluster import Cluster, Object
from trireme.edge.recorder import Event
from trireme.errors import ClusterError
from trireme.resources.desired import desired_objects
from trireme.resources.initial_size import initial_sizes
from trireme.resources.options import ResourceOptions
from trireme.resources.pod_sets import pod_sets


class Children:
    """Applies and prunes; what it knows of an agent is in the agent's view."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        queue: WorkQueue,
        in_place: WorkQueue,
        applier: Applier,
        trial: Trial,
        options: ResourceOptions,
        keys: Keys,
        clock: Callable[[], datetime],
    ) -> None:
        self._cluster = cluster
        self._queue = queue
        self._in_place = in_place
        self._applier = applier
        self._trial = trial
        self._options = options
        self._keys = keys
        self._clock = clock

    async def apply(self, key: Key, view: AgentView, accepted: Accepted) -> list[Event]:
        """Apply every child; make a server Deployment with a size, later leave its size alone. A
        canary's come last, so that nothing of it holds up the others, and go first. Raises
        ClusterError.
        """
        agent = accepted.agent
        share = await self._trial.share(key, view, agent)
        await self._trial.withdraw(key, view, agent.metadata.uid)
        live = await self._applier.live(key, [pods.name for pods in pod_sets(agent)])
        running = {**view.servers.bodies, **live}
        sizes = initial_sizes(agent, view.desired_replicas, running, view.desired_by_class)
        objects = desired_objects(
            agent,
            accepted.repository,
            self._options,
            initial_replicas=sizes,
            through_gateway=not leads_past_gateway(key, view) or gateway_is_ready(key, view),
            share=share,
            rolled_back=view.rolled_back.digest if view.rolled_back else "",
        )
        await self._applier.refuse_foreign(key, view, agent.metadata.uid, objects)
        await ensure_secrets(self._cluster, self._keys, view, agent)
        if not await self._applier.apply(key, objects, live, sizes):
            await self._queue.add(key, Work.APPLY)
            return []
        record = (kinds.CONFIG_MAP.name, names.inspected_record(key.name))
        wanted = frozenset({record, *map(child_id, objects)})
        if (kinds.PERSISTENT_VOLUME_CLAIM.name, names.cache_claim(key.name)) not in wanted:
            view.claim_stays = None
        repairs = await self._apply_canary(key, view, wanted)
        if view.canary is not None and has_pods(view.canary) and not view.canary.is_reachable:
            delay = share.follows_in(self._clock()).total_seconds()
            await self._queue.add_after(delay, key, Work.APPLY)
        if view.applied is None or view.applied.repository != accepted.repository:
            view.in_place.wanted = in_place.wanted_configs(accepted.repository)
            view.in_place.versions = in_place.wanted_versions(accepted.repository)
            view.in_place.failing = None  # of something else
            self._in_place.forgive(key)
        view.applied = accepted
        if sizes:
            await self._queue.add(key, Work.APPLY)  # once more, to leave the size to its owner
            for pods in pod_sets(agent):
                is_new = pods.node_class and pods.node_class not in (view.desired_by_class or {})
                if pods.name in sizes and not is_new:
                    repairs += _repairs(view, pods.name, sizes[pods.name])
        return repairs

    async def _apply_canary(
        self, key: Key, view: AgentView, wanted: frozenset[ChildId]
    ) -> list[Event]:
        """Apply what a canary has besides."""
        canary = view.canary
        if canary is not None and has_pods(canary):
            await ensure_secrets(self._cluster, self._keys, view, canary.candidate.agent)
        applied = await self._trial.apply(key, view, wanted)
        view.wanted = wanted | applied.children
        if applied.again:
            await self._queue.add(key, Work.APPLY)
        if canary is None:
            return []
        made = applied.sizes if canary.is_made else {}
        canary.is_made = True
        return [event for name, size in made.items() for event in _repairs(view, name, size)]

    async def prune(self, key: Key, view: AgentView, uid: str) -> ClusterError | None:
        """Delete children no longer wanted; configurations only once nothing mounts them, and
        claims never. What cannot be deleted holds up no other: the first failure is the answer.

        A rollout ends in a pass that only observes, so every pass looks.
        """
        if view.wanted is None or view.apply_failure is not None:
            return None
        settled = all(
            (body := view.children.get(child)) is not None and deployment_view(body).rolled_out
            for child in view.wanted
            if child[0] == kinds.DEPLOYMENT.name
        )
        emptying = {
            name
            for name, body in view.servers.bodies.items()
            if (kinds.DEPLOYMENT.name, name) not in view.wanted and _has_pods(body)
        }
        is_mounted = (
            not settled or bool(emptying) or bool(view.canary_pods and not has_pods(view.canary))
        )
        failure = None
        for child, body in list(view.children.items()):
            if child in view.wanted or not owned_by(body, uid):
                continue
            kind, name = child
            if kind == kinds.PERSISTENT_VOLUME_CLAIM.name:
                continue  # it holds data: it goes with the agent, or by the user's hand
            if name in emptying and kind == kinds.DEPLOYMENT.name:
                continue  # the autoscaler says when others carry the load
            if kind == kinds.CONFIG_MAP.name and is_mounted:
                continue
            try:
                await self._applier.delete(key, view, child)
            except ClusterError as error:
                failure = failure or error
        return failure


def leads_past_gateway(key: Key, view: AgentView) -> bool:
    """Whether the Service that clients use leads to the servers themselves."""
    service = view.children.get((kinds.SERVICE.name, names.service(key.name)))
    return service is not None and names.AGENT in service["spec"].get("selector", {})


def gateway_is_ready(key: Key, view: AgentView) -> bool:
    """Whether some pod of the gateway is."""
    gateway = view.deployment(names.gateway(key.name))
    return gateway is not None and deployment_view(gateway).ready > 0


def _repairs(view: AgentView, name: str, size: int) -> list[Event]:
    """What is told of a Deployment that was made: of an agent's first nothing."""
    body = view.body
    assert body is not None  # noqa: S101  # a pass has looked
    if not readable_status(view.written or body.get("status")).repository_digest:
        return []
    note = f"Deployment {name} was gone: made again with {size} replicas"
    return [Event(EventReason.DRIFT_REPAIRED, note, "Reconcile", warning=True)]


def _has_pods(deployment: Object) -> bool:
    seen = deployment_view(deployment)
    return seen.replicas > 0 or seen.existing > 0
