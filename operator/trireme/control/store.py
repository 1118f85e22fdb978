"""What the watches have told and what the two loops leave for each other, by agent.

A cache, so it may lag behind the cluster: whatever must not be wrong is read again where it is
decided (`apply` asks the API whether a Deployment exists before it makes one). Nothing in it
is needed after a restart.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any, Generic, TypeVar

from trireme.admission.examine import Inspections
from trireme.api import kinds, names
from trireme.api.adoption import Adoption
from trireme.api.conditions import Reason
from trireme.api.fetch import FetchReason
from trireme.api.optimization import OptimizationStatus
from trireme.api.rollout import RolloutPhase
from trireme.api.tuning import TuningStatus
from trireme.api.types import AgentDeployment, CurveSource
from trireme.autoscaler.capacity import Calls, LearntCurve, ModelStatistics, Statistics
from trireme.autoscaler.demand import Demand, Terms
from trireme.autoscaler.policy import policy_of
from trireme.autoscaler.service_curve import ServiceCurve
from trireme.autoscaler.types import Capacity, ObjectivePolicy, OutOfReach, Policy
from trireme.control.observed import (
    DeploymentView,
    PodView,
    Trouble,
    deployment_view,
    gateway_pods,
    is_server_set,
    kept,
    server_pods,
    together,
)
from trireme.control.queue import Key, Work
from trireme.errors import ClusterError, Fault, ServerError
from trireme.modelrepo.proto import ModelConfig
from trireme.modelrepo.repository import Repository
from trireme.resources.change import Change
from trireme.resources.pod_sets import PodSet, pod_sets
from trireme.rollout.types import Memory
from trireme.tuner.advice import Advice, Served
from trireme.tuner.types import Objective, Space

T = TypeVar("T")
K = TypeVar("K")

Object = dict[str, Any]
ChildId = tuple[str, str]  # kind, name


@dataclass(frozen=True)  # no slots: `policy` is kept
class Accepted:
    """A spec that can be used, completed from its files; its repository, and what is odd in it.
    `tries` is what Trireme tries in it of its own, in words; empty where nothing is. `undoes` is
    what it takes back of the pods, if nothing else of them changes: they ran it before.
    """

    agent: AgentDeployment
    repository: Repository
    warnings: tuple[Fault, ...] = ()
    inspections: Inspections = field(default_factory=dict)
    tries: str = ""
    undoes: str = ""

    @cached_property
    def policy(self) -> Policy:
        """What it asks of the scaling decision: read once, and asked for in every round."""
        return policy_of(self.agent.spec)

    @cached_property
    def pod_sets(self) -> tuple[PodSet, ...]:
        """The sets of server pods that it asks for."""
        return pod_sets(self.agent)


@dataclass(frozen=True, slots=True)
class Refused:
    """A spec that cannot be used, or not yet, and why."""

    reason: Reason | FetchReason
    message: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """An inspection that is to be made again when it is `due`: the last Job's uid, how many have
    failed in a row, and why the last one did.
    """

    job: str
    failures: int
    due: datetime
    failure: Trouble | None = None


@dataclass(slots=True)
class PreflightState:
    """What is known of the inspections of an agent's models, by their digests.

    `reports` is None until the cluster was asked for those of before. `doubts` counts how often
    files were looked at again since the spec was refused. `started` names the Jobs that this
    process made, and `waiting` says that the spec waits for some.
    """

    reports: dict[str, str] | None = None
    attempts: dict[str, Attempt] = field(default_factory=dict)
    doubts: dict[str, int] = field(default_factory=dict)
    started: set[str] = field(default_factory=set)
    waiting: bool = False


@dataclass(slots=True)
class OptimizationState:
    """What is known of the optimisation of an agent's models: what was last written into the
    status, None until this process has, and the Jobs that are `under_way`, by name.
    """

    told: OptimizationStatus | None = None
    under_way: set[str] = field(default_factory=set)


@dataclass(slots=True)
class AdoptionState:
    """What Trireme sets of an agent in the user's place: `present`, and what of it was `told` in
    the status, None until this process has looked.
    """

    present: tuple[Adoption, ...] = ()
    told: tuple[Adoption, ...] | None = None


@dataclass(slots=True)
class InPlace:
    """What the servers are to run of the fields that change in place, and what is known of it.

    `wanted` is every model's whole configuration, `versions` which versions of those with several
    are to be served. `servers` holds, by server (`PodView.server_id`)
    and model, the one that is known to be run; a server that was asked is there, a model whose
    configuration is another one is not. After a restart servers are asked anew. `failure` is why
    the last attempt failed, while it is to be made again.
    """

    wanted: tuple[ModelConfig, ...] = ()
    versions: Mapping[str, frozenset[int]] = field(default_factory=dict)
    servers: dict[str, dict[str, ModelConfig]] = field(default_factory=dict)
    failure: ServerError | None = None


@dataclass(frozen=True, slots=True)
class Searched:
    """What a capacity was searched for: the curves, noise and source by model, the calls of a
    pipeline's steps, and the objective.
    """

    curves: Mapping[str, tuple[ServiceCurve, float, CurveSource]]
    calls: Calls
    objective: ObjectivePolicy


@dataclass(frozen=True, slots=True)
class AdviceAsked:
    """What advice on a model's knobs was sought for."""

    served: Served
    objective: Objective
    space: Space

    def is_like(self, other: "AdviceAsked | None") -> bool:
        """Whether the same follows: that a curve stands on more batches is nothing new."""
        return other is not None and self._unnumbered() == other._unnumbered()

    def _unnumbered(self) -> "AdviceAsked":
        learnt = replace(self.served.learnt, executions=0)
        return replace(self, served=replace(self.served, learnt=learnt))


@dataclass(slots=True)
class CanaryState:
    """A canary: what its pods are made of, and what the analysis says of it.

    The reconciler begins one, from the spec of `generation`, and ends it; `digest` tells it from
    others. It leaves `is_made`, whether its objects have been, `is_reachable`, whether the gateway
    may send requests to it yet, and `fault`, why it cannot run: the analysis takes it back for
    that. The analysis leaves `phase`, `weight`, the share of the requests that it is to get now,
    `replicas`, the pods that it needs for that, `message`, why, and `memory`, None until its first
    round; and `is_given_up` of one that is promoted, where a person does not wait for the others.
    """

    candidate: Accepted
    generation: int
    digest: str
    began: datetime
    is_made: bool = False
    is_reachable: bool = False
    fault: str = ""
    phase: RolloutPhase = RolloutPhase.PROGRESSING
    weight: float = 0.0
    replicas: int = 1
    message: str = ""
    is_undecided: bool = False
    memory: Memory | None = None
    is_given_up: bool = False


@dataclass(frozen=True, slots=True)
class RolledBack:
    """A candidate that was taken back, and why: it is not tried again. `is_undecided`: too little
    was seen of it.
    """

    digest: str
    generation: int
    message: str
    is_undecided: bool = False


@dataclass(slots=True)
class Learning:
    """What was learnt of a set of pods with one repository, and what it is learnt from: the last
    look at a server, when the next one is due, what each model executed in its recent intervals,
    and how many requests all of them had in the server's. `calls` are by pipeline, `capacities` by
    an objective's model or pipeline; `searched` is what each was searched for, `learnt_for` the
    spec last looked at. `advice` is on a model's knobs, None where none is worth turning, and
    `advised` what it was sought for. `looked` is when the server last was, `earlier_until` until
    when curves of other files or configurations are used. `gaps_due` is when the time between a
    model's batches is sought again, whether or not it was found.
    """

    repository_digest: str
    live_digest: str
    model_digests: Mapping[str, str]
    curves: dict[str, LearntCurve] = field(default_factory=dict)
    capacities: dict[str, Capacity | OutOfReach] = field(default_factory=dict)
    calls: dict[str, Calls] = field(default_factory=dict)
    searched: dict[str, Searched] = field(default_factory=dict)
    advice: dict[str, Advice | None] = field(default_factory=dict)
    advised: dict[str, AdviceAsked] = field(default_factory=dict)
    learnt_for: Accepted | None = None
    server_id: str = ""
    statistics: Statistics = field(default_factory=dict)
    due: datetime | None = None
    looked: datetime | None = None
    earlier_until: datetime | None = None
    gaps_due: dict[str, datetime] = field(default_factory=dict)
    intervals: dict[str, tuple[ModelStatistics, ...]] = field(default_factory=dict)
    requests: deque[Mapping[str, int]] = field(default_factory=deque)


@dataclass(slots=True)
class Foresight:
    """The past of one objective's requests, and the terms that it is tested on, None where what a
    pod sustains is not known. What came before this process is read at `recall_due`, and None
    stands for done.
    """

    demand: Demand
    recall_due: datetime | None
    terms: Terms | None = None


class _Read(Generic[K, T]):
    """What was read of an agent's objects, by its uid. A watch's event replaces an object, and
    nothing changes one: as long as they are the same, they are not read again.
    """

    __slots__ = ("_found", "_objects", "_reader", "_uid")

    def __init__(self, reader: Callable[[Mapping[K, Object], str], T]) -> None:
        self._reader = reader
        self._objects: dict[K, Object] = {}
        self._uid = ""
        self._found = reader({}, "")

    def of(self, objects: Mapping[K, Object], uid: str) -> T:
        if objects != self._objects or uid != self._uid:  # quick: what is identical is equal
            self._found = self._reader(objects, uid)
            self._objects, self._uid = dict(objects), uid
        return self._found


@dataclass(frozen=True, slots=True)
class Servers:
    """The Deployments of server pods by name, also of those that are not wanted any more: as
    objects, as facts, and as if they were one.
    """

    bodies: Mapping[str, Object]
    views: Mapping[str, DeploymentView]
    together: DeploymentView | None


def _servers(children: Mapping[ChildId, Object], uid: str) -> Servers:
    bodies = {name: body for (_, name), body in children.items() if is_server_set(body, uid)}
    views = {name: deployment_view(body) for name, body in bodies.items()}
    return Servers(bodies, views, together(views.values()))


@dataclass(frozen=True, slots=True)
class _Pods:
    """An agent's pods by what they are for; the servers' also by track."""

    servers: tuple[PodView, ...]
    stable: tuple[PodView, ...]
    canary: tuple[PodView, ...]
    gateway: tuple[PodView, ...]


def _pods(pods: Mapping[str, Object], _: str) -> _Pods:
    servers = server_pods(pods.values())
    canary = tuple(pod for pod in servers if pod.labels.get(names.TRACK) == names.TRACK_CANARY)
    stable = tuple(pod for pod in servers if pod not in canary) if canary else servers
    return _Pods(servers, stable, canary, gateway_pods(pods.values()))


@dataclass(slots=True)
class AgentView:
    """Everything known of one agent. Of `children` and `pods`, each object is replaced and never
    changed.

    `body` is None until the agent itself was seen. The reconciler leaves `judged`, the generation
    that it last looked into; `accepted`, the last one it could use; `refused`, why the judged one
    cannot be; `asked`, the last one it could use as the user wrote it; `apply_failure`, why not all
    objects could be applied, and `wanted`, which those are; `applied`, what was last applied whole;
    `replaced`, what the pods ran before, until all of it is done, and `change`, the difference;
    `secrets`, which Secrets it has made sure of, since no watch tells of them; and `written`, the
    part of the status it last wrote. The autoscaler leaves `desired_replicas`, also by node class;
    `tuning`, the knob that it recommends; `calm_at`, when it last decided, if the fleet is of its
    size and keeps every objective, else None; `learning` by set of pods as the status has it, which
    is learnt on from there; and `foresights` by an objective's model. `canary` is there while one
    is tried, and until its pods are gone; `rolled_back` is what is not tried again, and `withheld`
    why the rest of a spec waits with its candidate, where it does. `is_recalled` says that what an
    earlier process left of a canary was looked at.
    """

    body: Object | None = None
    children: dict[ChildId, Object] = field(default_factory=dict)
    pods: dict[str, Object] = field(default_factory=dict)
    judged: int | None = None
    accepted: Accepted | None = None
    refused: Refused | None = None
    apply_failure: ClusterError | None = None
    wanted: frozenset[ChildId] | None = None
    applied: Accepted | None = None
    replaced: Accepted | None = None
    change: Change | None = None
    in_place: InPlace = field(default_factory=InPlace)
    preflight: PreflightState = field(default_factory=PreflightState)
    optimization: OptimizationState = field(default_factory=OptimizationState)
    adoption: AdoptionState = field(default_factory=AdoptionState)
    asked: AgentDeployment | None = None
    secrets: set[str] = field(default_factory=set)
    written: Object | None = None
    desired_replicas: int | None = None
    desired_by_class: dict[str, int] | None = None
    tuning: TuningStatus | None = None
    calm_at: datetime | None = None
    canary: CanaryState | None = None
    rolled_back: RolledBack | None = None
    withheld: str = ""
    is_recalled: bool = False
    learning: dict[str, Learning] = field(default_factory=dict)
    foresights: dict[str, Foresight] = field(default_factory=dict)
    _servers: _Read[ChildId, Servers] = field(default_factory=lambda: _Read(_servers), init=False)
    _pods: _Read[str, _Pods] = field(default_factory=lambda: _Read(_pods), init=False)

    @property
    def _uid(self) -> str:
        uid: str = self.body["metadata"]["uid"] if self.body is not None else ""
        return uid

    def deployment(self, name: str) -> Object | None:
        """A child Deployment by name."""
        return self.children.get((kinds.DEPLOYMENT.name, name))

    @property
    def existing_pods(self) -> int:
        """How many pods all child Deployments count, whatever they are for."""
        return sum(
            deployment_view(body).existing
            for (kind, _), body in self.children.items()
            if kind == kinds.DEPLOYMENT.name
        )

    @property
    def servers(self) -> Servers:
        """The Deployments of server pods; none while the agent was not seen."""
        return self._servers.of(self.children, self._uid)

    @property
    def server_pods(self) -> tuple[PodView, ...]:
        """The server pods that have not ended, of every track."""
        return self._pods.of(self.pods, self._uid).servers

    @property
    def stable_pods(self) -> tuple[PodView, ...]:
        """The server pods but for a canary's."""
        return self._pods.of(self.pods, self._uid).stable

    @property
    def canary_pods(self) -> tuple[PodView, ...]:
        """The canary's pods that have not ended."""
        return self._pods.of(self.pods, self._uid).canary

    @property
    def gateway_pods(self) -> tuple[PodView, ...]:
        """The gateway's pods that have not ended."""
        return self._pods.of(self.pods, self._uid).gateway

    def resized(self, deployment: Object, replicas: int) -> None:
        """A size was written to a Deployment as it was known. The watch will say the same a moment
        later; the next round must not decide on the old one.
        """
        child = (kinds.DEPLOYMENT.name, deployment["metadata"]["name"])
        if self.children.get(child) is deployment:
            spec = {**deployment["spec"], "replicas": replicas}
            self.children[child] = {**deployment, "spec": spec}


def owner_of(body: Mapping[str, Any]) -> Key | None:
    """The agent that a child or pod belongs to, by its label."""
    metadata = body["metadata"]
    agent = metadata.get("labels", {}).get(names.OWNER)
    return Key(metadata["namespace"], agent) if agent else None


def key_of(body: Mapping[str, Any]) -> Key:
    """The key of an agent."""
    return Key(body["metadata"]["namespace"], body["metadata"]["name"])


class Store:
    """Takes watch events in; each tells what work it makes."""

    def __init__(self) -> None:
        self._agents: dict[Key, AgentView] = {}

    def view(self, key: Key) -> AgentView:
        """What is known of an agent; an empty view where nothing is."""
        return self._agents.get(key) or AgentView()

    def agents(self) -> list[Key]:
        """All agents that exist and are not being deleted, in no particular order."""
        return [
            key
            for key, view in self._agents.items()
            if view.body is not None and "deletionTimestamp" not in view.body["metadata"]
        ]

    def agent_event(self, body: Object, *, deleted: bool) -> Work:
        """An agent appeared, changed or went. Changes of its status alone make no work."""
        key = key_of(body)
        if deleted:
            gone = self._agents.pop(key, None)
            if gone is not None and gone.pods:
                self._agents[key] = AgentView(pods=gone.pods)  # they serve until they have ended
            return Work.APPLY
        view = self._agents.get(key) or AgentView()
        if view.body is not None and not _same_object(view.body, body):
            view = AgentView(children=view.children, pods=view.pods)  # made again by the same name
        before, view.body = view.body, _without_managed_fields(body)
        self._agents[key] = view
        return Work(0) if before is not None and _same_intent(before, body) else Work.APPLY

    def child_event(self, key: Key, body: Object, *, deleted: bool) -> Work:
        """A child appeared, changed or went. Only a change of its intent may be drift.

        What the watch tells of an object may be older than what is known of it: see `learn`.
        """
        children = self._agents.setdefault(key, AgentView()).children
        child = _child_id(body)
        before = children.get(child)
        if deleted:
            if before is not None and not _same_object(before, body):
                return Work(0)
            children.pop(child, None)
            return Work.APPLY
        if before is not None and _is_older(body, before):
            return Work(0)
        children[child] = kept(body)
        drifted = before is not None and not _same_intent(before, body)
        return Work.APPLY if drifted else Work.OBSERVE

    def learn(self, key: Key, body: Object) -> None:
        """A child as the API answered: news only where the watch has not told of it yet."""
        children = self._agents.setdefault(key, AgentView()).children
        known = children.get(_child_id(body))
        if known is None or not _same_object(known, body) or _is_older(known, body):
            children[_child_id(body)] = kept(body)

    def pod_event(self, key: Key, body: Object, *, deleted: bool) -> Work:
        """A pod appeared, changed or went."""
        view = self._agents.setdefault(key, AgentView())
        name = body["metadata"]["name"]
        if deleted:
            view.pods.pop(name, None)
        else:
            view.pods[name] = kept(body)
        return Work.OBSERVE

    def forget(self, key: Key) -> None:
        """Drop the view of an agent that is gone, once its children and pods are.

        Not before: each kind is watched by itself, so after a start the agent may be told of last,
        and what was told before it is told once.
        """
        view = self._agents.get(key)
        if view is not None and view.body is None and not view.children and not view.pods:
            del self._agents[key]


def _child_id(body: Object) -> ChildId:
    return body["kind"], body["metadata"]["name"]


def _without_managed_fields(body: Object) -> Object:
    metadata = {key: v for key, v in body["metadata"].items() if key != "managedFields"}
    return {**body, "metadata": metadata}


def _same_object(before: Object, after: Object) -> bool:
    return bool(before["metadata"].get("uid") == after["metadata"].get("uid"))


def _is_older(body: Object, than: Object) -> bool:
    generations = (body["metadata"].get("generation", 0), than["metadata"].get("generation", 0))
    return _same_object(body, than) and generations[0] < generations[1]


def _same_intent(before: Object, after: Object) -> bool:
    """Whether nothing but the status changed.

    `metadata.generation` counts changes of the spec; kinds without one (ConfigMaps, Services'
    older versions) are compared by resourceVersion.
    """
    old, new = before["metadata"], after["metadata"]
    version = "generation" if "generation" in new else "resourceVersion"
    return all(
        old.get(part) == new.get(part)
        for part in (version, "uid", "labels", "annotations", "deletionTimestamp")
    )
