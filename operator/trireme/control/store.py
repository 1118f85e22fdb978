"""What is known of each agent: what the watches have told, and what the two loops leave for each
other (`agent_state`).

A cache, so it may lag behind the cluster: whatever must not be wrong is read again where it is
decided (`apply` asks the API whether a Deployment exists before it makes one). Nothing in it
is needed after a restart.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import filterfalse
from typing import Any, Generic, TypeVar

from trireme.api import kinds, names
from trireme.api.agent import AgentDeployment
from trireme.api.kinds import Kind
from trireme.api.tuning import TuningStatus
from trireme.autoscaler.types.observation import SettingNews
from trireme.control.agent_state import (
    Accepted,
    AdoptionState,
    CanaryState,
    Foresight,
    InPlace,
    Learning,
    OptimizationState,
    PreflightState,
    Refused,
    RolledBack,
)
from trireme.control.observed import (
    DeploymentView,
    PodView,
    deployment_view,
    gateway_pods,
    intent,
    is_server_set,
    kept,
    server_pods,
    together,
)
from trireme.control.queue import Key, Work
from trireme.edge.recorder import Event
from trireme.errors import ClusterError, Fault
from trireme.resources.change import Change

T = TypeVar("T")
K = TypeVar("K")

Object = dict[str, Any]
ChildId = tuple[str, str]  # kind, name

_MOST_NEWS = 10  # of settings: as many as the status keeps of decisions
_LONGEST_NEWS = 1024  # characters, as of an Event's note: others are to have room in the status


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
    stable = tuple(filterfalse(_is_of_canary, servers))
    canary = tuple(filter(_is_of_canary, servers))
    return _Pods(servers, stable, canary, gateway_pods(pods.values()))


def _is_of_canary(pod: PodView) -> bool:
    return pod.labels.get(names.TRACK) == names.TRACK_CANARY


@dataclass(slots=True)
class AgentView:
    """Everything known of one agent. Of `children` and `pods`, each object is replaced and never
    changed.

    `body` is None until the agent itself was seen. The reconciler leaves `judged`, the generation
    that it last looked into; `accepted`, the last one it could use; `refused`, why the judged one
    cannot be; `asked`, the last one it could use as the user wrote it; `apply_failure`, why not all
    objects could be applied, and `wanted`, which those are; `claim_stays`, what of its cache's
    claim the API does not change; `applied`, what was last applied whole, and `left`, how each
    child was left by that; `replaced`, what the pods ran before, until all of it is done, and
    `change`, the difference; `secrets`, which Secrets it has made sure of, since no watch tells of
    them; `written`, the part of the status it last wrote; and `silent`, until when starting pods,
    by uid, are not asked again that did not answer. The autoscaler leaves `desired_replicas`, also
    by node class; `tuning`, the knob that it recommends; `setting_news`, what became of it and of
    others that no decision tells of yet; `calm_at`, when it last decided, if the fleet is of its
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
    claim_stays: Fault | None = None
    wanted: frozenset[ChildId] | None = None
    applied: Accepted | None = None
    left: dict[ChildId, bytes] = field(default_factory=dict)
    replaced: Accepted | None = None
    change: Change | None = None
    in_place: InPlace = field(default_factory=InPlace)
    preflight: PreflightState = field(default_factory=PreflightState)
    optimization: OptimizationState = field(default_factory=OptimizationState)
    adoption: AdoptionState = field(default_factory=AdoptionState)
    asked: AgentDeployment | None = None
    secrets: set[str] = field(default_factory=set)
    written: Object | None = None
    silent: dict[str, datetime] = field(default_factory=dict)
    desired_replicas: int | None = None
    desired_by_class: dict[str, int] | None = None
    tuning: TuningStatus | None = None
    setting_news: list[SettingNews] = field(default_factory=list)
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

    def note(self, events: Iterable[Event]) -> None:
        """What became of settings, by the Events of it, to be told with the next decision; where
        none is taken the latest are kept.
        """
        news = (SettingNews(event.reason, event.note[:_LONGEST_NEWS]) for event in events)
        self.setting_news = [*self.setting_news, *news][-_MOST_NEWS:]

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
            for key, view in list(self._agents.items())  # /metrics is rendered in a thread
            if view.body is not None and "deletionTimestamp" not in view.body["metadata"]
        ]

    def children(self, kind: Kind) -> list[tuple[Key, Object]]:
        """All that are known of a kind, of all agents."""
        return [
            (key, body)
            for key, view in self._agents.items()
            for (name, _), body in view.children.items()
            if name == kind.name
        ]

    def agent_event(self, body: Object, *, deleted: bool) -> Work:
        """An agent appeared, changed or went. Changes of its status alone make no work.

        kopf tells of objects side by side: what it tells late of one that went is none of its
        successor's.
        """
        key = key_of(body)
        view = self._agents.get(key) or AgentView()
        if view.body is not None and _is_former(body, view.body):
            return Work(0)
        if deleted:
            self._agents.pop(key, None)
            if view.pods:
                self._agents[key] = AgentView(pods=view.pods)  # they serve until they have ended
            return Work.APPLY
        if view.body is not None and not _same_object(view.body, body):
            view = AgentView(children=view.children, pods=view.pods)  # made again by the same name
        before, view.body = view.body, _without_managed_fields(body)
        self._agents[key] = view
        return Work(0) if before is not None and intent(before) == intent(body) else Work.APPLY

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
        body = children[child] = kept(body)
        drifted = before is not None and intent(before) != intent(body)
        return Work.APPLY if drifted else Work.OBSERVE

    def learn(self, key: Key, body: Object, before: Object | None = None) -> None:
        """A child as the API answered: news only where the watch has not told of it yet. What was
        known `before` it was written is older, also of a kind without generations.
        """
        children = self._agents.setdefault(key, AgentView()).children
        known = children.get(_child_id(body))
        if (
            known is None
            or known is before
            or not _same_object(known, body)
            or _is_older(known, body)
        ):
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


def _is_former(body: Object, of: Object) -> bool:
    """Whether an object had its name before another has it: it was made, and went, before that."""
    made, then = (each["metadata"].get("creationTimestamp", "") for each in (body, of))
    return not _same_object(body, of) and bool(made < then)


def _is_older(body: Object, than: Object) -> bool:
    generations = (body["metadata"].get("generation", 0), than["metadata"].get("generation", 0))
    return _same_object(body, than) and generations[0] < generations[1]
