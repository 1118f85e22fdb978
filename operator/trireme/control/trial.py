"""A canary's part of a pass: the course that `canary_course` sets is carried out.

Between the two stands `CanaryState`, in which the analysis leaves what it finds; a pass that comes
later acts on it.

The record of what an agent last ran by is of the stable pods, so a process that is started anew
sees the candidate in the spec, the stable pods in the record, and in status.rollout how far it was.
"""

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from trireme.admission.parse import readable_status
from trireme.api import kinds, names
from trireme.api.agent import AgentDeployment
from trireme.api.conditions import Reason
from trireme.api.rollout import RolloutPhase, RolloutStatus, RolloutStrategy
from trireme.control import in_place
from trireme.control.agent_state import Accepted, Refused, RolledBack
from trireme.control.apply import Applier, child_id, is_final
from trireme.control.canary_class import class_to_try, stable_pods
from trireme.control.canary_course import Course, Known, course, has_pods, is_on
from trireme.control.observed import (
    DeploymentView,
    PodView,
    class_of,
    deployment_view,
    owned_by,
    parse_time,
    pods_known,
)
from trireme.control.queue import Key
from trireme.control.recorded import recorded_rollback, remembered, remembered_candidate
from trireme.control.store import AgentView, ChildId
from trireme.edge.cluster import Cluster, Object
from trireme.errors import ClusterError
from trireme.resources.canary import canary_objects, candidate_digest
from trireme.resources.change import Effect
from trireme.resources.gateway_canary import has_routes_of_its_own
from trireme.resources.options import ResourceOptions
from trireme.resources.routes import Share, share_of
from trireme.rollout import adoption

_SERVICE, _DEPLOYMENT = kinds.SERVICE.name, kinds.DEPLOYMENT.name


@dataclass(frozen=True, slots=True)
class Applied:
    """What was applied of a canary: its own objects, whether there is more to do, and the sizes
    of the Deployments that were made.
    """

    children: frozenset[ChildId] = frozenset()
    again: bool = False
    sizes: Mapping[str, int] = field(default_factory=dict)


def is_gone(agent: str, view: AgentView) -> bool:
    """Whether nothing is left of a canary that was taken back. It is kept for the next pass where
    the analysis found so in the middle of this one: it is not noted yet that it is not tried again.
    """
    canary, taken = view.canary, view.rolled_back
    if canary is None or has_pods(canary) or taken is None or taken.digest != canary.digest:
        return False
    return not view.canary_pods and (_DEPLOYMENT, names.canary(agent)) not in view.children


def is_over(view: AgentView) -> bool:
    """Whether a canary was promoted and is to stay no longer."""
    return is_spread(view) or bool(hindrance(view))


def is_spread(view: AgentView) -> bool:
    """Whether a canary was promoted and all stable pods are known to run it: it is not needed any
    more. After a start of the operator there are pods, and servers, that nobody has told of yet.
    Pods that were all replaced started with it: it need not be waited for what servers answer.
    """
    servers, applied = _following(view), view.applied
    if servers is None or applied is None or not servers.rolled_out:
        return False
    if not pods_known(servers, view.stable_pods):
        return False
    if view.change is not None and view.change.effect is Effect.ROLLOUT:
        return True
    told = readable_status(view.written or (view.body or {}).get("status"))
    found = in_place.progress(view, told)
    return found is not None and found.changed == found.pods


def hindrance(view: AgentView) -> str:
    """Why a promoted canary is to go before all stable pods run it, empty where it may stay. What
    they wait for may be the GPUs that it holds; those of before carry all requests meanwhile.
    """
    canary = view.canary
    if canary is None or canary.phase is not RolloutPhase.PROMOTED:
        return ""
    if canary.is_given_up:
        return "a person does not wait for the stable pods to follow"
    if canary.grant is not None and canary.grant.words:
        return f"it makes room for pods that are needed: {canary.grant.words}"
    servers = _following(view)
    if servers is None:
        return ""
    for pod in view.stable_pods:
        if pod.trouble is not None and pod.trouble.reason is Reason.UNSCHEDULABLE:
            return f"it makes room for the stable pods: pod {pod.name}: {pod.trouble.message}"
    if servers.refused:
        return "it makes room for the stable pods: pods are refused, by a quota or a policy"
    failure = servers.failure or in_place.crash(view) or in_place.lasting_failure(view.in_place)
    return f"the stable pods do not follow: {failure}" if failure else ""


def _following(view: AgentView) -> DeploymentView | None:
    """The stable pods once they are to run what a promoted canary does."""
    canary, applied = view.canary, view.applied
    if canary is None or canary.phase is not RolloutPhase.PROMOTED:
        return None
    if applied is None or view.apply_failure is not None:
        return None
    is_applied = candidate_digest(applied.agent, applied.repository) == canary.digest
    return view.servers.together if is_applied else None


def candidate_pods(view: AgentView) -> tuple[PodView, ...]:
    """The pods of the candidate that is tried: others of a canary are of one before it."""
    if view.canary is None:
        return ()
    label = names.candidate_label(view.canary.digest)
    return tuple(pod for pod in view.canary_pods if pod.labels.get(names.CANDIDATE) == label)


def words_of_trial(view: AgentView) -> str:
    """What a person learns of a canary that is tried; empty where none is, or where the spec is in
    force and Trireme tries something of its own.
    """
    canary = view.canary
    if canary is None or not is_on(canary) or canary.candidate.tries:
        return ""
    words = (
        f"generation {canary.generation} is tried on a canary, the others stay: see status.rollout"
    )
    if canary.grant is not None and canary.grant.words:
        words += f"; it waits for {canary.grant.words}"
    return words + (f"; it is taken back: {canary.fault}" if canary.fault else _withheld(view))


def words_of_rollback(view: AgentView) -> str:
    """What a person learns of a candidate that was taken back; empty where there is none."""
    if (taken := view.rolled_back) is None:
        return ""
    what = f"generation {taken.generation}" if taken.generation else "it"
    return (
        f"{what} was tried on a canary and taken back{': ' if taken.message else ''}"
        f"{taken.message}. The pods run what they did before; correct the spec, or take the edit "
        f"back{_withheld(view)}"
    )


def _withheld(view: AgentView) -> str:
    if not view.withheld:
        return ""
    return (
        "; nothing else of the spec is in force either, since without the candidate's pods it has "
        f"faults:\n{view.withheld}"
    )


class Trial:
    """Carries a course out; what it knows of an agent is in the agent's view."""

    def __init__(
        self,
        cluster: Cluster,
        applier: Applier,
        options: ResourceOptions,
        clock: Callable[[], datetime],
    ) -> None:
        self._cluster = cluster
        self._applier = applier
        self._options = options
        self._clock = clock

    async def course(
        self, view: AgentView, body: Object, new: Accepted | None
    ) -> Course | Refused | None:
        """What becomes of a spec; where it is refused, of the one that is tried; None where there
        is neither. Raises ClusterError.
        """
        told, left, left_class = None, 0, None
        is_tried = new is None or new.agent.spec.rollout.strategy is RolloutStrategy.CANARY
        if not view.is_recalled and is_tried:
            told = await self._recall(view, body)
            left, left_class = await self._left(body, told)
        generation = body["metadata"]["generation"]
        candidate = new or await self._tried(view, body, told)
        if candidate is None:
            return None
        servers, tried = view.servers.together, adoption.tried(view.adoption.present)
        node_class = class_to_try(view, candidate)
        known = Known(
            stable=view.accepted,
            canary=view.canary,
            rolled_back=view.rolled_back,
            told=told,
            left=left,
            wanted=stable_pods(view, left_class or node_class or "").wanted,
            serves=servers is not None and servers.ready > 0,
            is_spread=is_spread(view),
            hindrance=hindrance(view),
            generation=generation,
            now=self._clock(),
            tried_since=parse_time(tried.since) if tried is not None else None,
            node_class=node_class,
            left_class=left_class,
        )
        found = course(candidate, known, self._options)
        if isinstance(found, Refused):
            return found  # and what is left of it is looked at again
        if found.canary is not None:
            found.canary.candidate = candidate
        view.canary, view.rolled_back = found.canary, found.rolled_back
        view.withheld, view.is_recalled = found.withheld, True
        return found

    async def _recall(self, view: AgentView, body: Object) -> RolloutStatus | None:
        """What an earlier process left: what the stable pods run, and what is not tried again."""
        told = readable_status(body.get("status")).rollout
        view.accepted = view.accepted or await remembered(self._cluster, body)
        digest = await recorded_rollback(self._cluster, body)
        if digest:
            known = told if told is not None and told.candidate == digest else None
            view.rolled_back = RolledBack(
                digest, known.generation if known else 0, known.message if known else ""
            )
        return told

    async def _tried(
        self, view: AgentView, body: Object, told: RolloutStatus | None
    ) -> Accepted | None:
        """What is tried while the spec is refused: it is in a record for that."""
        if view.canary is not None:
            return view.canary.candidate
        found = await remembered_candidate(self._cluster, body) if told is not None else None
        if found is None or told is None:
            return None
        is_its = told.candidate == candidate_digest(found.agent, found.repository)
        tries = adoption.tries(view.adoption.present)
        return replace(found, tries=tries) if is_its else None

    async def _left(self, body: Object, told: RolloutStatus | None) -> tuple[int, str | None]:
        """How many ready pods the canary has that an earlier process tells of, and of which class;
        None where nothing is left of it.
        """
        metadata = body["metadata"]
        name = names.canary(metadata["name"])
        live = await self._cluster.get(kinds.DEPLOYMENT, metadata["namespace"], name)
        if told is None or live is None or not owned_by(live, metadata["uid"]):
            return 0, None
        labels = live["spec"]["template"]["metadata"]["labels"]
        is_its = labels.get(names.CANDIDATE) == names.candidate_label(told.candidate)
        return (deployment_view(live).ready, class_of(live)) if is_its else (0, None)

    async def share(self, key: Key, view: AgentView, agent: AgentDeployment) -> Share:
        """What the gateway is to be told, and with it whether it may reach the canary yet. Raises
        ClusterError.
        """
        canary, now = view.canary, self._clock()
        if not has_routes_of_its_own(agent.spec):
            if canary is not None:
                canary.is_reachable = True
            return Share()
        child = (kinds.CONFIG_MAP.name, names.gateway_routes(key.name))
        known = view.children.get(child)
        if known is None:
            known = await self._cluster.get(kinds.CONFIG_MAP, key.namespace, child[1])
        before = share_of(known)
        weight = 0.0
        if canary is not None and canary.phase is not RolloutPhase.ROLLED_BACK:
            # Once it is promoted it goes on as it was until it is not needed.
            weight = canary.weight if is_on(canary) else before.weight
        share = before.then(weight, now, mirrors=is_on(canary))
        if canary is not None:
            canary.is_reachable = has_pods(canary) and share.follows_in(now) <= timedelta(0)
        return share

    async def withdraw(self, key: Key, view: AgentView, uid: str) -> None:
        """Take what is not to be reached out of the gateway's sight first, then its pods. Raises
        ClusterError.
        """
        canary, name = view.canary, names.canary(key.name)
        stays = {
            (_SERVICE, name): canary is not None and canary.is_reachable,
            (_DEPLOYMENT, name): has_pods(canary),
        }
        for child, is_wanted in stays.items():
            known = view.children.get(child)
            if known is not None and not is_wanted and owned_by(known, uid):
                await self._applier.delete(key, view, child)
        if is_gone(key.name, view):
            view.canary = None

    async def apply(self, key: Key, view: AgentView, wanted: Set[ChildId]) -> Applied:
        """Apply a canary's objects but those that are `wanted` anyway. Raises ClusterError where
        trying again may help; what the API refuses for good is the candidate's fault.
        """
        canary = view.canary
        if canary is None or not has_pods(canary):
            return Applied()
        agent, name = canary.candidate.agent, names.canary(key.name)
        live = await self._applier.live(key, [name])
        objects = [
            manifest
            for manifest in canary_objects(
                agent,
                canary.candidate.repository,
                self._options,
                digest=canary.digest,
                initial_replicas=None if live else canary.replicas,
                is_reachable=canary.is_reachable,
                node_class=canary.node_class,
            )
            if child_id(manifest) not in wanted
        ]
        sizes = {} if live else {name: canary.replicas}
        children = frozenset(map(child_id, objects))
        try:
            await self._applier.refuse_foreign(key, view, agent.metadata.uid, objects)
            is_all = await self._applier.apply(key, objects, live, sizes)
        except ClusterError as error:
            if not is_final(error):
                raise
            canary.fault = error.message
            return Applied(children)
        canary.fault = ""
        # Once more after it was made, to leave the size to its owner.
        return Applied(children, again=not is_all or bool(sizes), sizes=sizes)

    async def forget(self, key: Key, view: AgentView, body: Object) -> None:
        """Take a canary out of the status that an edit has ended. Raises ClusterError."""
        if not view.is_recalled or view.canary is not None or not _tells_of_one(body):
            return
        # The watch may not have told yet that the analysis wrote of its end.
        if _tells_of_one(await self._cluster.get(kinds.AGENT_DEPLOYMENT, *key)):
            await self._cluster.apply_status(
                kinds.AGENT_DEPLOYMENT, body["metadata"], {}, names.ROLLOUT_STATUS_MANAGER
            )


def _tells_of_one(body: Object | None) -> bool:
    """Whether a status tells of a canary that is tried."""
    told = readable_status((body or {}).get("status")).rollout
    return told is not None and told.phase is RolloutPhase.PROGRESSING
