"""An agent's fleet in a round: what its pods, its Deployments and its spec are, as the decision
takes it. Pure: it reads the agent's view, and `Fleet` is what is remembered of it between rounds.
"""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from trireme.api import names
from trireme.api.conditions import Reason
from trireme.api.scaling_status import ScalingStatus
from trireme.autoscaler.classes import mean_capacities
from trireme.autoscaler.lead_time import Starts, lead_time, measured
from trireme.autoscaler.memory import memory_from_status, starts_from_status
from trireme.autoscaler.policy import ANY_NUMBER
from trireme.autoscaler.schedules import bounded
from trireme.autoscaler.signals import Subject
from trireme.autoscaler.sources import SourceMemory
from trireme.autoscaler.types.memory import Memory
from trireme.autoscaler.types.observation import ClassPods, LeadTime, Observation
from trireme.autoscaler.types.policy import NodeClass, Policy
from trireme.autoscaler.types.signals import NoSignals, Signals
from trireme.control import adopting, advising, learning, starts
from trireme.control.agent_state import Accepted, Learning
from trireme.control.observed import DeploymentView, PodView, class_of
from trireme.control.queue import Key
from trireme.control.store import AgentView
from trireme.resources.pod_sets import PodSet


@dataclass(frozen=True, slots=True)
class Looked:
    """A look at pods and at a spec, and what follows from both until another is seen: whose
    signals are wanted, and how many pods are ready, stuck, or without a node. `starting` are those
    whose servers run and were never ready; `known` is what `longest_start` was found among.
    """

    pods: tuple[PodView, ...]
    gateway_pods: tuple[PodView, ...]
    accepted: Accepted
    subject: Subject
    ready: int
    stuck: int
    unschedulable: int
    starting: tuple[tuple[PodView, starts.Watched], ...]
    known: tuple[Starts | None, ...]
    longest_start: Starts | None
    lead_time: LeadTime | None


@dataclass(slots=True)
class Fleet:
    """What the rounds remember of one agent, beside what was told of it. `starts` tell the lead
    time, by set of pods; `source` is whose figures are in use; `looked` is the last look at the
    pods.
    """

    uid: str
    memory: Memory
    starts: dict[str, starts.Watched]
    source: SourceMemory = field(default_factory=SourceMemory)
    looked: Looked | None = None


# -------------------------------------------------------------------------------- after a restart


def restored(
    view: AgentView, live: DeploymentView, status: ScalingStatus | None, now: datetime
) -> Fleet:
    """What an earlier process knew of a fleet, from the agent's status."""
    assert view.body is not None and view.accepted is not None  # noqa: S101, PT018
    return Fleet(
        uid=view.body["metadata"]["uid"],
        memory=memory_from_status(status, started=now, current=live.replicas),
        starts={
            of_set.name: starts.watched(
                starts_from_status(_of_class(status, of_set)), view.stable_pods
            )
            for of_set in view.accepted.pod_sets
        },
    )


def learnt_before(view: AgentView, status: ScalingStatus | None) -> dict[str, Learning]:
    """What an earlier process had learnt, by set of pods, from the agent's status."""
    assert view.accepted is not None  # noqa: S101  # who scales has looked
    return {
        of_set.name: learning.restored(view, of_set, _of_class(status, of_set))
        for of_set in view.accepted.pod_sets
    }


def _of_class(status: ScalingStatus | None, pods: PodSet) -> ScalingStatus | None:
    """What a status tells of one set of pods."""
    if status is None or not pods.node_class:
        return status
    told = next((each for each in status.node_classes if each.name == pods.node_class), None)
    if told is None:
        return None
    own = {"curves": told.curves, "pipelines": told.pipelines, "lead_time": told.lead_time}
    return status.model_copy(update=own)


# --------------------------------------------------------------------------------------- the pods


def look(key: Key, view: AgentView, fleet: Fleet) -> Looked:
    """Look at the pods; nothing is new where they and the spec are as they were, and no part of a
    start was told meanwhile.
    """
    pods, gateway, accepted = view.stable_pods, view.gateway_pods, view.accepted
    assert accepted is not None  # noqa: S101  # who scales has looked
    before = fleet.looked
    if (
        before is not None
        and before.pods is pods
        and before.gateway_pods is gateway
        and before.accepted is accepted
        and before.known == _known(fleet)
    ):
        return before
    starting = list[tuple[PodView, starts.Watched]]()
    for of_set in accepted.pod_sets:
        told = fleet.starts.setdefault(of_set.name, starts.watched(None, pods))
        mine = [pod for pod in pods if of_set.selects(pod.labels)]
        starts.look(told, mine)
        starting += (
            (pod, told)
            for pod in mine
            if pod.running and not pod.terminating and pod.uid not in told.over
        )
        if of_set.name not in view.learning:  # a node class that came since
            view.learning[of_set.name] = learning.known(view, of_set)
    longest = _longest_start(accepted, fleet)
    stuck = [pod for pod in pods if pod.stuck]
    fleet.looked = Looked(
        pods,
        gateway,
        accepted,
        subject(key, view, accepted.policy),
        ready=len(_ready_since(pods)),
        stuck=len(stuck),
        unschedulable=sum(
            pod.trouble is not None and pod.trouble.reason is Reason.UNSCHEDULABLE for pod in stuck
        ),
        starting=tuple(starting),
        known=_known(fleet),
        longest_start=longest,
        lead_time=lead_time(longest),
    )
    return fleet.looked


def subject(key: Key, view: AgentView, policy: Policy) -> Subject:
    """The agent, as its spec and the cluster describe it."""
    assert view.accepted is not None  # noqa: S101  # who scales has looked
    spec = view.accepted.agent.spec
    return Subject(
        namespace=key.namespace,
        agent=key.name,
        objectives=policy.objectives,
        # A step that is a pipeline itself has no queue: requests wait in the models that it calls.
        pipelines={o.model: tuple(o.start_of_step) for o in policy.objectives if o.start_of_step},
        ready_pods=_ready_since(view.stable_pods),
        gateway_pods=_ready_since(view.gateway_pods) if spec.gateway.enabled else None,
    )


def _ready_since(pods: Iterable[PodView]) -> dict[str, datetime]:
    return {pod.name: pod.ready_since for pod in pods if pod.ready_since is not None}


def _known(fleet: Fleet) -> tuple[Starts | None, ...]:
    return tuple(told.known for told in fleet.starts.values())


def _longest_start(accepted: Accepted, fleet: Fleet) -> Starts | None:
    """The starts that take the longest, of all sets of pods."""
    known = [fleet.starts[pods.name].known for pods in accepted.pod_sets]
    return max(
        (each for each in known if each is not None),
        key=lambda each: measured(each).p95_seconds,
        default=None,
    )


# ---------------------------------------------------------------------------- what decisions take


def observed(
    view: AgentView,
    live: DeploymentView,
    fleet: Fleet,
    looked: Looked,
    signals: Signals | NoSignals,
    now: datetime,
) -> Observation:
    """What the cluster and the signals say of one agent, in one value."""
    by_class = _classes(view, fleet)
    return Observation(
        now=now,
        replicas=live.replicas,
        ready=looked.ready,
        stuck=looked.stuck,
        unschedulable=looked.unschedulable,
        signals=signals,
        capacities=mean_capacities(by_class)
        if by_class
        else learning.capacities(view, representative(view)),
        lead_time=looked.lead_time,
        classes=by_class,
        beside_canary=view.canary is not None and view.canary.weight > 0,
        knobs=advising.known_knobs(
            view,
            learning.known(view, representative(view)),
            partial(adopting.was_refused, view),
        ),
        settings=tuple(view.setting_news),
    )


def policy_now(view: AgentView, lead: LeadTime | None, now: datetime) -> Policy:
    """What an agent's spec asks of a decision at this moment."""
    assert view.accepted is not None  # noqa: S101  # who scales has looked
    policy = view.accepted.policy
    if policy.replicas != (replicas := _replicas_told(view)):
        policy = dataclasses.replace(policy, replicas=replicas)
    schedules = view.accepted.agent.spec.scaling.schedules
    return _with_classes(bounded(policy, schedules, now, lead), view)


def representative(view: AgentView) -> PodSet:
    """The set of pods whose curves are told where an agent has no node classes."""
    assert view.accepted is not None  # noqa: S101  # who scales has looked
    return view.accepted.pod_sets[0]


def _classes(view: AgentView, fleet: Fleet) -> tuple[ClassPods, ...]:
    """The pods by node class, those of the spec first, in its order; none where all are alike."""
    assert view.accepted is not None  # noqa: S101  # who scales has looked
    sets = {pods.name: pods for pods in view.accepted.pod_sets}
    servers = view.servers.bodies
    if (
        len(servers) <= 1
        and servers.keys() <= sets.keys()
        and "" in map(class_of, servers.values())
    ):
        return ()
    pods = view.stable_pods
    found = []
    for name in sorted(servers, key=lambda name: ([*sets, name].index(name), name)):
        live, of_set = view.servers.views[name], sets.get(name)
        mine = [p for p in pods if p.labels.get(names.NODE_CLASS, "") == class_of(servers[name])]
        unplaced = sum(
            p.trouble is not None and p.trouble.reason is Reason.UNSCHEDULABLE for p in mine
        )
        before = view.learning.get(name)
        known = learning.capacities(view, of_set) if of_set else before and before.capacities
        told = fleet.starts.get(name)
        found.append(
            ClassPods(
                class_of(servers[name]),
                live.replicas,
                len(_ready_since(mine)),
                min(live.replicas, unplaced + live.refused),
                dict(known or {}),
                lead_time(told.known) if told else None,
            )
        )
    return tuple(found)


def _with_classes(policy: Policy, view: AgentView) -> Policy:
    """The policy of an agent whose spec has no classes, while pods of some are still there; and of
    one whose own Deployments cannot be made: those of before them serve on, all alike.
    """
    assert view.accepted is not None  # noqa: S101  # who scales has looked
    servers = view.servers.bodies
    if servers.keys().isdisjoint(pods.name for pods in view.accepted.pod_sets):
        wanted = [class_of(body) for body in servers.values()]
    elif policy.classes or len(servers) <= 1:
        return policy
    else:
        wanted = [""]
    gpus = view.accepted.agent.spec.server.gpus.count
    rules = tuple(NodeClass(name, 1.0, 0, ANY_NUMBER, gpus) for name in wanted)
    return dataclasses.replace(policy, classes=rules)


def _replicas_told(view: AgentView) -> int | None:
    """spec.replicas as it is now, where the accepted spec leaves the size to it: an autoscaler
    goes on writing it while somebody's edit of something else is refused.
    """
    assert view.accepted is not None and view.body is not None  # noqa: S101, PT018
    accepted = view.accepted.agent.spec.replicas
    live = view.body["spec"].get("replicas")
    return live if accepted is not None and isinstance(live, int) else accepted
