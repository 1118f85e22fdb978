"""What becomes of a spec in strategy Canary, and a canary's part of a pass.

`course` decides: the spec is taken over whole, or its pods are tried first while the stable ones
stay as they are, or they were tried and taken back. `Trial` carries it out. Between the two stands
`CanaryState`, in which the analysis leaves what it finds; a pass that comes later acts on it.

The record of what an agent last ran by is of the stable pods, so a process that is started anew
sees the candidate in the spec, the stable pods in the record, and in status.rollout how far it was.
"""

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from trireme.admission.check import check
from trireme.admission.parse import readable_status
from trireme.api import kinds, names
from trireme.api.conditions import EventReason, Reason
from trireme.api.rollout import RolloutPhase, RolloutStatus, RolloutStrategy
from trireme.api.types import AgentDeployment
from trireme.control.apply import Applier, child_id, is_final
from trireme.control.observed import (
    DeploymentView,
    PodView,
    deployment_view,
    owned_by,
    parse_time,
)
from trireme.control.queue import Key
from trireme.control.recorded import recorded_rollback, remembered, remembered_candidate
from trireme.control.store import Accepted, AgentView, CanaryState, ChildId, Refused, RolledBack
from trireme.edge.cluster import Cluster, Object
from trireme.edge.recorder import Event
from trireme.errors import ClusterError
from trireme.resources.canary import canary_objects, candidate_digest, pods_digest
from trireme.resources.change import Effect, Running, change, keeping_pods
from trireme.resources.envoy import has_routes_of_its_own
from trireme.resources.options import ResourceOptions
from trireme.resources.record import accepted_record
from trireme.resources.routes import Share, share_of
from trireme.rollout.size import canary_pods

_SERVICE, _DEPLOYMENT = kinds.SERVICE.name, kinds.DEPLOYMENT.name
_CANARY_ACTION = "Canary"


@dataclass(frozen=True, slots=True)
class Known:
    """What a course is set by, beside the spec.

    `stable` is what the stable pods are to run, None where nothing is known to; `serves` says that
    some of them are ready, and `is_spread` that all of them run it; `wanted` is how many there are
    to be. `hindrance` is why a promoted canary is not to stay until then, empty where it may.
    `told` is what the status says of a canary that this process has not looked at yet, and `left`
    how many ready pods it has.
    """

    stable: Accepted | None
    canary: CanaryState | None
    rolled_back: RolledBack | None
    told: RolloutStatus | None
    left: int
    wanted: int
    serves: bool
    is_spread: bool
    hindrance: str
    generation: int
    now: datetime


@dataclass(frozen=True, slots=True)
class Course:
    """What the stable pods are to run, and what is tried beside them.

    `rolled_back` is not tried again. `withheld` is why the rest of the spec is not in force either,
    empty where it is. `untried` is why what Trireme tries of its own cannot be, empty where it can.
    """

    accepted: Accepted
    canary: CanaryState | None = None
    rolled_back: RolledBack | None = None
    withheld: str = ""
    untried: str = ""
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class Applied:
    """What was applied of a canary: its own objects, whether there is more to do, and the sizes
    of the Deployments that were made.
    """

    children: frozenset[ChildId] = frozenset()
    again: bool = False
    sizes: Mapping[str, int] = field(default_factory=dict)


def course(new: Accepted, known: Known, options: ResourceOptions) -> Course | Refused:
    """What becomes of an accepted spec; refused where it is not to replace pods that nothing is
    known of. Pure.
    """
    canary, stable = known.canary, known.stable
    digest = candidate_digest(new.agent, new.repository)
    if canary is None or canary.digest != digest:
        canary = _recalled(new, digest, known)
    if new.agent.spec.rollout.strategy is not RolloutStrategy.CANARY:
        why = f"generation {known.generation} is rolled out without one"
        return Course(new, events=_ended(known.canary, why))
    if canary and canary.phase is RolloutPhase.PROMOTED:
        goes_on = not known.is_spread and (canary is known.canary or known.left > 0)
        if goes_on and known.hindrance:
            return Course(new, events=_ended(canary, known.hindrance))
        return Course(new, canary if goes_on else None)
    rolled_back = known.rolled_back
    if canary and canary.phase is RolloutPhase.ROLLED_BACK:
        rolled_back = RolledBack(digest, canary.generation, canary.message, canary.is_undecided)
    is_rolled_back = rolled_back is not None and rolled_back.digest == digest
    if stable is None:
        if new.tries:
            return Course(new, untried="what the pods run is not known")
        return _refused(new, is_rolled_back) if canary or is_rolled_back else Course(new)
    if pods_digest(stable.agent, stable.repository) == pods_digest(new.agent, new.repository):
        why = f"generation {known.generation} asks for pods as they are"
        return Course(new, events=_ended(known.canary, why))
    if is_rolled_back:
        return _beside(stable, new, options, canary, rolled_back)
    if canary:
        return _beside(stable, new, options, canary)
    if why := _not_tried(stable, known):
        if new.tries:
            return Course(new, untried=why)
        note = f"generation {known.generation} is rolled out without a canary: {why}"
        skipped = Event(EventReason.CANARY_SKIPPED, note, _CANARY_ACTION, warning=True)
        return Course(new, events=(*_ended(known.canary, why), skipped))
    begun = CanaryState(new, known.generation, digest, known.now)
    events = (_started(stable, new, known, options),)
    return replace(_beside(stable, new, options, begun), events=events)


def _not_tried(stable: Accepted, known: Known) -> str:
    """Why a change of the pods cannot be tried; empty where it can."""
    if not known.serves:
        return "no stable pod is ready, to be compared with or to be lost"
    # A process that is started anew would not know what the stable pods run.
    if not accepted_record(stable.agent, stable.repository):
        return "the spec of the stable pods is too large for the ConfigMap of its record"
    return ""


def _recalled(new: Accepted, digest: str, known: Known) -> CanaryState | None:
    """The canary of a spec as the status has it; None where that tells of none. One whose pods went
    meanwhile begins without a share again.
    """
    told = known.told
    if told is None or told.candidate != digest:
        return None
    carries = known.left >= canary_pods(known.wanted, told.weight)
    return CanaryState(
        new,
        told.generation,
        digest,
        parse_time(told.start_time),
        phase=told.phase,
        weight=told.weight if carries else 0.0,
        message=told.message,
        is_undecided=told.undecided,
    )


def _refused(new: Accepted, is_rolled_back: bool) -> Refused:
    """The record of the stable pods is gone, or this version of the operator cannot use it. What
    was tried on a canary for its risk is not rolled out for that.
    """
    record = names.accepted_record(new.agent.metadata.name)
    return Refused(
        Reason.STABLE_UNKNOWN,
        f"it was tried on a canary and {'taken back' if is_rolled_back else 'not promoted yet'}, "
        f"and what the pods run is not known: ConfigMap {record} is gone, or of no use to this "
        "version of the operator, whose log says why. No server pod is changed. Edit the spec to "
        "what the pods are to run, or set spec.rollout.strategy to RollingUpdate to roll it out",
    )


def _beside(
    stable: Accepted,
    new: Accepted,
    options: ResourceOptions,
    canary: CanaryState | None,
    rolled_back: RolledBack | None = None,
) -> Course:
    """The stable pods stay, and all that touches no pod is in force at once, unless that would be
    faulty without the pods that it was written for.
    """
    before = Running(stable.agent, stable.repository)
    spec = keeping_pods(before, Running(new.agent, new.repository), options)
    agent = new.agent.model_copy(update={"spec": spec})
    is_of_new = spec.models == new.agent.spec.models and spec.pipelines == new.agent.spec.pipelines
    of_models = new if is_of_new else stable
    kept = Accepted(agent, of_models.repository, new.warnings, of_models.inspections)
    faults = [str(fault) for fault in check(spec)]
    if pods_digest(agent, kept.repository) != pods_digest(*before):
        faults.append("together its parts replace pods, though none does so by itself")
    if not faults:
        return Course(kept, canary, rolled_back)
    return Course(
        replace(stable, warnings=new.warnings), canary, rolled_back, withheld="\n".join(faults)
    )


def _started(stable: Accepted, new: Accepted, known: Known, options: ResourceOptions) -> Event:
    differs = change(
        Running(stable.agent, stable.repository), Running(new.agent, new.repository), options
    )
    before = known.canary
    instead = f" in place of {_what(before)}" if _is_on(before) and before else ""
    note = f"{new.tries or f'generation {known.generation}'} is tried on a canary{instead}"
    return Event(
        EventReason.CANARY_STARTED,
        f"{note}; changed: {differs.named(Effect.ROLLOUT)}",
        _CANARY_ACTION,
    )


def _ended(canary: CanaryState | None, why: str) -> tuple[Event, ...]:
    if canary is None or not has_pods(canary):
        return ()
    note = f"the canary of {_what(canary)} is ended: {why}"
    return (Event(EventReason.CANARY_ENDED, note, _CANARY_ACTION),)


def _what(canary: CanaryState) -> str:
    """What a canary is of: a spec, or what Trireme tries of its own."""
    return canary.candidate.tries or f"generation {canary.generation}"


def _is_on(canary: CanaryState | None) -> bool:
    return canary is not None and canary.phase is RolloutPhase.PROGRESSING


def has_pods(canary: CanaryState | None) -> bool:
    """Whether a canary is to have pods."""
    return canary is not None and canary.phase is not RolloutPhase.ROLLED_BACK


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
    """Whether a canary was promoted and all stable pods run it: it is not needed any more."""
    servers = _following(view)
    return servers is not None and servers.rolled_out


def hindrance(view: AgentView) -> str:
    """Why a promoted canary is to go before all stable pods run it, empty where it may stay. What
    they wait for may be the GPUs that it holds; those of before carry all requests meanwhile.
    """
    canary = view.canary
    if canary is None or canary.phase is not RolloutPhase.PROMOTED:
        return ""
    if canary.is_given_up:
        return "a person does not wait for the stable pods to follow"
    servers = _following(view)
    if servers is None:
        return ""
    for pod in view.stable_pods:
        if pod.trouble is not None and pod.trouble.reason is Reason.UNSCHEDULABLE:
            return f"it makes room for the stable pods: pod {pod.name}: {pod.trouble.message}"
    if servers.refused:
        return "it makes room for the stable pods: pods are refused, by a quota or a policy"
    return f"the stable pods do not follow: {servers.failure}" if servers.failure else ""


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
    if canary is None or not _is_on(canary) or canary.candidate.tries:
        return ""
    words = (
        f"generation {canary.generation} is tried on a canary, the others stay: see status.rollout"
    )
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
        told, left = None, 0
        is_tried = new is None or new.agent.spec.rollout.strategy is RolloutStrategy.CANARY
        if not view.is_recalled and is_tried:
            told = await self._recall(view, body)
            left = await self._left(body, told)
        generation = body["metadata"]["generation"]
        candidate = new or await self._tried(view, body, told)
        if candidate is None:
            return None
        servers = view.servers.together
        known = Known(
            stable=view.accepted,
            canary=view.canary,
            rolled_back=view.rolled_back,
            told=told,
            left=left,
            wanted=servers.replicas if servers is not None else 0,
            serves=servers is not None and servers.ready > 0,
            is_spread=is_spread(view),
            hindrance=hindrance(view),
            generation=generation,
            now=self._clock(),
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
        return found if is_its else None

    async def _left(self, body: Object, told: RolloutStatus | None) -> int:
        """How many ready pods the canary has that an earlier process tells of."""
        metadata = body["metadata"]
        name = names.canary(metadata["name"])
        live = await self._cluster.get(kinds.DEPLOYMENT, metadata["namespace"], name)
        if told is None or live is None or not owned_by(live, metadata["uid"]):
            return 0
        labels = live["spec"]["template"]["metadata"]["labels"]
        is_its = labels.get(names.CANDIDATE) == names.candidate_label(told.candidate)
        return deployment_view(live).ready if is_its else 0

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
            weight = canary.weight if _is_on(canary) else before.weight
        share = before.then(weight, now, mirrors=_is_on(canary))
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
                kinds.AGENT_DEPLOYMENT, key.namespace, key.name, {}, names.ROLLOUT_STATUS_MANAGER
            )


def _tells_of_one(body: Object | None) -> bool:
    """Whether a status tells of a canary that is tried."""
    told = readable_status((body or {}).get("status")).rollout
    return told is not None and told.phase is RolloutPhase.PROGRESSING
