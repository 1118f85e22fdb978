"""Agents that share GPUs, in virtual time on nodes that have exactly as many: who gets one when,
and which pods wait for one that another still has.

The cluster is a small one of its own: a Deployment makes and ends pods, a scheduler places those
that a GPU is free for, and a pod takes its time to start and to drain.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from agents import agent_of, repository_of
from trireme.api import names
from trireme.api.gpu_budgets import GpuBudget
from trireme.autoscaler.records import Concluded, Inputs
from trireme.control.agent_state import Accepted
from trireme.control.held_gpus import OVERDUE
from trireme.control.queue import Key
from trireme.control.shares import Shares
from trireme.control.store import Store
from trireme.edge.metrics import Metrics
from unit.autoscaling import NOW, SETTLED, observed, policy, seconds, seen

ROUND = 5.0
STARTS = 40.0  # until a pod that has its GPU is ready
DRAINS = 45.0  # until one that is told to end has ended
GRACE = 60.0  # that Kubernetes gives it
NEVER = datetime.max.replace(tzinfo=UTC)
CANDIDATE = "d2"  # that every canary is of


@dataclass
class Pod:
    """A pod; `starts` is when it is ready, None while it waits for a GPU, and `ends` when it has
    ended.
    """

    name: str
    template: int
    track: str
    asked: datetime
    starts: datetime | None = None
    told: datetime | None = None
    ends: datetime | None = None


@dataclass
class Agent:
    """What an agent is to have, and has; its load fills so many pods."""

    load: float
    replicas: int
    priority: int = 0
    template: int = 0
    canary: int = 0
    is_gone: bool = False
    pods: list[Pod] = field(default_factory=list)
    message: str = ""

    def living(self, track: str) -> list[Pod]:
        return [pod for pod in self.pods if pod.told is None and pod.track == track]


@dataclass
class World:
    """Nodes with so many GPUs, a budget of all of them, and agents.

    Of the next pods that are told to end `lost` never do, since their nodes are gone; others come
    in the place of these. `waits` are the seconds that each pod that came waited for its GPU.
    """

    gpus: int
    agents: dict[str, Agent]
    now: datetime = NOW
    made: int = 0
    lost: int = 0
    waits: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store, self.metrics = Store(), Metrics()
        budget = GpuBudget(name="team-a", gpus=self.gpus)
        self.shares = Shares(self.store, [budget], self.metrics, lambda: self.now)
        for name, agent in self.agents.items():
            for _ in range(agent.replicas):
                pod = self._new(name, agent, names.TRACK_STABLE)
                pod.starts = NOW
                agent.pods.append(pod)
            key = Key("team", name)
            body = {"metadata": {"namespace": "team", "name": name, "uid": name}, "spec": {}}
            self.store.agent_event(body, deleted=False)
            self.store.view(key).accepted = Accepted(
                agent_of(
                    name,
                    server={"image": "x:24.10-py3", "gpus": {"count": 1}},
                    scaling={"budget": {"name": "team-a", "priority": agent.priority}},
                ),
                repository_of(),
            )

    def run(self, duration: float) -> None:
        """So many seconds, a round every five."""
        until = self.now + seconds(duration)
        while self.now < until:
            self.round()
            self.now += seconds(ROUND)

    def round(self) -> None:
        """What happens since the last round, and what is decided in this one."""
        self._controllers()
        self._scheduler()
        self._watches()
        self._decide()

    def delete(self, name: str) -> None:
        """An agent goes; its pods are told to end a moment later."""
        self.agents[name].is_gone = True
        body = {"metadata": {"namespace": "team", "name": name}}
        self.store.agent_event(body, deleted=True)

    def ready(self, name: str, track: str = names.TRACK_STABLE) -> int:
        living = self.agents[name].living(track)
        return sum(pod.starts is not None and pod.starts <= self.now for pod in living)

    def _new(self, name: str, agent: Agent, track: str) -> Pod:
        self.made += 1
        return Pod(f"{name}-{self.made}", agent.template, track, self.now)

    def _controllers(self) -> None:
        for name, agent in self.agents.items():
            agent.pods = [pod for pod in agent.pods if pod.ends is None or pod.ends > self.now]
            wanted = {names.TRACK_STABLE: agent.replicas, names.TRACK_CANARY: agent.canary}
            for track, size in wanted.items():
                self._to(0 if agent.is_gone else size, name, agent, track)

    def _to(self, size: int, name: str, agent: Agent, track: str) -> None:
        """As a Deployment has it with maxSurge 1 and maxUnavailable 0."""
        living = agent.living(track)
        new = [pod for pod in living if pod.template == agent.template]
        old, surge = len(living) - len(new), int(len(living) > len(new))
        ready = sum(pod.starts is not None and pod.starts <= self.now for pod in new)
        for _ in range(min(size - len(new), size + surge - len(living))):
            agent.pods.append(self._new(name, agent, track))
        beyond = max(len(living) - size - surge, old + ready - size, 0)
        going = sorted(living, key=lambda pod: (pod.template, pod.starts is not None))
        for pod in going[:beyond]:
            pod.told = self.now
            pod.ends = self.now + seconds(DRAINS if pod.starts is not None else 0)
            if self.lost:
                self.lost -= 1
                pod.ends = NEVER

    def _scheduler(self) -> None:
        pods = [pod for agent in self.agents.values() for pod in agent.pods]
        free = self.gpus - sum(pod.starts is not None and pod.ends != NEVER for pod in pods)
        pending = [pod for pod in pods if pod.starts is None and pod.told is None]
        for pod in sorted(pending, key=lambda pod: pod.asked)[:free]:
            pod.starts = self.now + seconds(STARTS)
            self.waits.append((self.now - pod.asked).total_seconds())

    def _watches(self) -> None:
        for name, agent in self.agents.items():
            key = Key("team", name)
            view = self.store.view(key)
            alive = {pod.name for pod in agent.pods}
            for gone in [told for told in view.pods if told not in alive]:
                self.store.pod_event(key, view.pods[gone], deleted=True)
            for pod in agent.pods:
                self.store.pod_event(key, _body(name, pod, self.now), deleted=False)
            if not agent.is_gone:
                for suffix, size in (("", agent.replicas), ("-canary", agent.canary)):
                    track = names.TRACK_CANARY if suffix else names.TRACK_STABLE
                    body = _deployment(name, suffix, size, self.ready(name, track))
                    self.store.child_event(key, body, deleted=False)

    def _decide(self) -> None:
        alone = {
            Key("team", name): Concluded.by(
                Inputs(
                    observed(
                        agent.replicas,
                        seen(8.0 * agent.load, 0.05),
                        ready=min(self.ready(name), agent.replicas),
                        now=self.now,
                    ),
                    policy(),
                    SETTLED,
                )
            )
            for name, agent in self.agents.items()
            if not agent.is_gone
        }
        given = self.shares.grants(alone)
        for key, concluded in alone.items():
            agent = self.agents[key.name]
            decision = concluded.granted(given[key]).decision
            agent.replicas, agent.message = decision.replicas, str(decision.message)


def _body(agent: str, pod: Pod, now: datetime) -> dict[str, object]:
    metadata: dict[str, object] = {
        "namespace": "team",
        "name": pod.name,
        "uid": pod.name,
        "creationTimestamp": pod.asked.isoformat(),
        "labels": {
            names.OWNER: agent,
            names.AGENT: agent,
            names.TRACK: pod.track,
            names.CANDIDATE: names.candidate_label(CANDIDATE),
            "pod-template-hash": str(pod.template),
        },
    }
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": f"{pod.starts}"}
    is_ready = pod.starts is not None and pod.starts <= now
    status = {"podIP": pod.name, "conditions": [ready] if is_ready else []}
    if pod.told is not None:
        metadata["deletionTimestamp"] = (pod.told + seconds(GRACE)).isoformat()
    limits = {"nvidia.com/gpu": "1"}
    containers = [{"name": names.SERVER_CONTAINER, "resources": {"limits": limits}}]
    spec = {"containers": containers}
    return {"kind": "Pod", "metadata": metadata, "spec": spec, "status": status}


def _deployment(agent: str, suffix: str, replicas: int, ready: int) -> dict[str, object]:
    labels = {names.OWNER: agent, **({} if suffix else {names.AGENT: agent})}
    metadata = {
        "namespace": "team",
        "name": f"{agent}{suffix}",
        "labels": labels,
        "ownerReferences": [{"uid": agent}],
    }
    body = {"kind": "Deployment", "metadata": metadata, "spec": {"replicas": replicas}}
    return {**body, "status": {"readyReplicas": ready}}


def test_who_grows_waits_for_pods_of_another_to_end_and_is_told_whose() -> None:
    busy, calm = Agent(6, 2, priority=9), Agent(6, 6)
    world = World(8, {"busy": busy, "calm": calm})
    world.run(65)
    assert (busy.replicas, calm.replicas) == (2, 2)
    world.run(DRAINS)
    assert (busy.replicas, calm.replicas) == (2, 2)
    assert busy.message.endswith(
        "2 held, 6 wanted (limited by GPU budget team-a: 4 of 8 GPUs given, "
        "4 are held by pods of team/calm that end)"
    )
    world.run(ROUND)
    assert (busy.replicas, calm.replicas) == (6, 2)
    world.run(ROUND + STARTS)
    assert world.ready("busy") == 6
    assert world.waits == [0.0] * 4, "each had its GPU at once"


def test_a_pod_that_never_ends_delays_the_others_for_a_time_only() -> None:
    busy, calm = Agent(6, 2, priority=9), Agent(6, 6)
    world = World(8, {"busy": busy, "calm": calm}, lost=1)
    world.run(65 + DRAINS + ROUND)
    assert busy.replicas == 5
    world.run(GRACE - DRAINS + OVERDUE.total_seconds() - ROUND)
    assert busy.replicas == 5
    world.run(ROUND)
    assert busy.replicas == 6


def test_a_rollout_on_gpus_that_are_all_in_use_goes_through() -> None:
    rolls, calm = Agent(2, 2, priority=9), Agent(2, 2)
    world = World(4, {"rolls": rolls, "calm": calm})
    world.run(60)
    rolls.template = 1
    world.run(30)
    assert (rolls.replicas, calm.replicas) == (2, 1)
    world.run(300)
    assert [pod.template for pod in rolls.pods] == [1, 1]
    assert (rolls.replicas, calm.replicas) == (2, 2)
    assert max(world.waits) <= DRAINS + ROUND


def test_the_gpus_of_an_agent_that_is_deleted_are_given_away_once_its_pods_are_gone() -> None:
    gone, busy = Agent(2, 2), Agent(6, 2)
    world = World(4, {"gone": gone, "busy": busy})
    world.run(60)
    world.delete("gone")
    world.run(DRAINS)
    assert busy.replicas == 2
    assert busy.message.endswith("2 are held by pods of team/gone that end)")
    world.run(2 * ROUND)
    assert busy.replicas == 4
    assert set(world.waits) == {0.0}


loads = st.lists(st.tuples(*[st.integers(0, 9)] * 3), min_size=1, max_size=6)


@settings(max_examples=25, deadline=None)
@given(loads)
def test_no_pod_waits_for_a_gpu_and_all_of_them_are_used_again(
    changing: list[tuple[int, ...]],
) -> None:
    world = World(9, {name: Agent(3, 3, priority=name == "a") for name in "abc"})
    for each in changing:
        for agent, load in zip(world.agents.values(), each, strict=True):
            agent.load = load
        world.run(70)
    world.run(60 + 2 * (DRAINS + STARTS))
    wanted = [max(1, load) for load in changing[-1]]
    sizes = [agent.replicas for agent in world.agents.values()]
    assert sum(sizes) == min(9, sum(wanted))
    assert sizes[0] == min(wanted[0], 7), "the first in rank has all that it wants"
    assert set(world.waits) <= {0.0}
