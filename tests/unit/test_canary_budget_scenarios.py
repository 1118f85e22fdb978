"""Canaries of agents that share GPUs, in virtual time on nodes that have exactly as many: when one
has pods, and what it does to those that are needed.

The loops are the operator's own: what each agent may have is decided first, then its canary is
looked at, whose requests a gateway counts.
"""

import asyncio
from dataclasses import dataclass, field
from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st

from agents import agent_of, repository_of
from trireme.api import names
from trireme.api.rollout import RolloutPhase
from trireme.control.agent_state import Accepted, CanaryState
from trireme.control.canary import CanaryAnalysis
from trireme.control.queue import Key, WorkQueue
from trireme.edge.metrics import Metrics
from trireme.edge.pod_metrics import PodMetrics
from trireme.edge.recorder import Recorder
from unit.autoscaling import seconds
from unit.test_budget_scenarios import CANDIDATE, DRAINS, ROUND, STARTS, Agent, World
from unit.test_control_canary import CANARY, STABLE, Api, Pods

HALF = {"steps": [{"weight": "50%", "pause": "1m", "minRequests": 50}], "deadline": "10m"}
"""Of the requests, so a canary is to have as many pods as there are stable ones."""


@dataclass
class Trying(World):
    """Agents, some of which try a canary; `short` are those that lacked a pod they need."""

    short: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.api, self.counters = Api(), Pods()
        self.analysis = CanaryAnalysis(
            cluster=self.api,
            store=self.store,
            queue=WorkQueue(),
            pod_metrics=cast(PodMetrics, self.counters),
            recorder=Recorder(self.api, "op-0", Metrics()),
            metrics=self.metrics,
            clock=lambda: self.now,
        )

    def begin(self, name: str) -> CanaryState:
        """As the reconciler does."""
        candidate = agent_of(
            name,
            server={"image": "x:24.10-py3", "gpus": {"count": 1}, "startupTimeout": "1m"},
            download={"timeout": "30s"},
            rollout={"strategy": "Canary", "canary": HALF},
            scaling={"budget": {"name": "team-a", "priority": self.agents[name].priority}},
        )
        accepted = Accepted(candidate, repository_of())
        canary = CanaryState(accepted, 2, CANDIDATE, self.now, replicas=0)
        canary.is_reachable = True
        self.store.view(Key("team", name)).canary = canary
        return canary

    async def passes(self, duration: float) -> None:
        """So many seconds."""
        until = self.now + seconds(duration)
        while self.now < until:
            self.round()
            await self.analysis.round()
            for name, agent in self.agents.items():
                self._follow(name, agent)
            self.now += seconds(ROUND)

    def needs(self, name: str) -> float:
        return max(1.0, self.agents[name].load)

    def _decide(self) -> None:
        super()._decide()
        is_enough = sum(map(self.needs, self.agents)) <= self.gpus
        for name, agent in self.agents.items():
            view = self.store.view(Key("team", name))
            labels = {names.OWNER: name, names.GATEWAY: name}
            at = self.now.isoformat()
            ready = {"type": "Ready", "status": "True", "lastTransitionTime": at}
            view.pods["gateway"] = {
                "metadata": {"name": name, "uid": "1", "creationTimestamp": at, "labels": labels},
                "status": {"podIP": name, "conditions": [ready]},
            }
            self.counters.serve(name, STABLE, 200, 0, 2)
            if view.canary is not None and view.canary.weight:
                self.counters.serve(name, CANARY, 200, 0, 2)
            if is_enough and agent.replicas < self.needs(name):
                self.short.add(name)

    def _follow(self, name: str, agent: Agent) -> None:
        """The canary's size is what was written; one that has ended has no pods."""
        canary = self.store.view(Key("team", name)).canary
        agent.canary = self.api.sizes.get(names.canary(name), agent.canary)
        if canary is not None and canary.phase is not RolloutPhase.PROGRESSING:
            agent.canary = self.api.sizes[names.canary(name)] = 0


async def test_a_canary_waits_for_gpus_that_others_need_and_begins_once_they_are_free() -> None:
    tries, calm = Agent(2, 2, priority=9), Agent(2, 2)
    world = Trying(5, {"tries": tries, "calm": calm})
    await world.passes(60)
    canary = world.begin("tries")
    await world.passes(200)
    assert (tries.replicas, calm.replicas, tries.canary) == (2, 2, 0)
    words = "step 1 of 1, 50%: waits for GPUs of budget team-a: needs 2, 1 is free"
    assert world.api.told("CanaryHeld") == [words]
    calm.load = 1
    await world.passes(60 + DRAINS + STARTS)
    assert world.ready("tries", names.TRACK_CANARY) == 2
    assert (tries.replicas, calm.replicas) == (2, 1)
    await world.passes(300)
    assert canary.phase is RolloutPhase.PROMOTED
    assert set(world.waits) == {0.0}
    assert world.short == set()


async def test_a_canary_gives_way_to_a_needed_pod_and_goes_on_when_there_is_room_again() -> None:
    tries, calm = Agent(2, 2, priority=9), Agent(2, 2)
    world = Trying(6, {"tries": tries, "calm": calm})
    await world.passes(60)
    canary = world.begin("tries")
    await world.passes(STARTS + 60)
    assert (tries.canary, canary.weight) == (2, 0.5)
    assert canary.memory is not None
    before = canary.memory.evidence.canary.requests
    calm.load = 3
    await world.passes(60 + DRAINS + 2 * ROUND)
    assert (tries.replicas, calm.replicas, tries.canary) == (2, 3, 0)
    assert (canary.phase, canary.weight) == (RolloutPhase.PROGRESSING, 0.0)
    assert "waits for GPUs of budget team-a: needs 2, 1 is free" in canary.message
    calm.load = 2
    await world.passes(60 + DRAINS + STARTS)
    assert (calm.replicas, world.ready("tries", names.TRACK_CANARY)) == (2, 2)
    assert canary.memory.evidence.canary.requests >= before
    await world.passes(200)
    assert canary.phase is RolloutPhase.PROMOTED


async def test_a_canary_for_which_there_is_never_room_ends_undecided() -> None:
    tries, calm = Agent(2, 2, priority=9), Agent(2, 2)
    world = Trying(4, {"tries": tries, "calm": calm})
    await world.passes(60)
    canary = world.begin("tries")
    await world.passes(600 + 690 + 2 * ROUND)  # the step, and the longest start
    assert (canary.phase, canary.is_undecided) == (RolloutPhase.ROLLED_BACK, True)
    words = "undecided after 1290s: GPUs of budget team-a: needs 2, 0 are free"
    assert world.api.told("CanaryRolledBack") == [words]
    assert (tries.replicas, calm.replicas) == (2, 2)
    assert world.short == set()


async def test_of_two_canaries_the_larger_priority_has_the_room_first() -> None:
    first, second = Agent(2, 2, priority=9), Agent(2, 2)
    world = Trying(6, {"second": second, "first": first})
    await world.passes(60)
    begun = {name: world.begin(name) for name in world.agents}
    await world.passes(STARTS + 30)
    assert (first.canary, second.canary) == (2, 0)
    await world.passes(200)
    assert begun["first"].phase is RolloutPhase.PROMOTED
    await world.passes(300)
    assert begun["second"].phase is RolloutPhase.PROMOTED
    assert world.short == set()


loads = st.lists(st.tuples(*[st.integers(0, 5)] * 3), min_size=1, max_size=5)


@settings(max_examples=10, deadline=None)
@given(loads)
def test_whatever_the_loads_no_pod_waits_for_a_gpu_and_all_have_what_they_need_in_the_end(
    changing: list[tuple[int, ...]],
) -> None:
    async def scenario() -> None:
        world = Trying(9, {name: Agent(2, 2, priority=name == "a") for name in "abc"})
        await world.passes(60)
        world.begin("a")
        world.begin("b")
        for each in changing:
            for agent, load in zip(world.agents.values(), each, strict=True):
                agent.load = load
            await world.passes(70)
        await world.passes(60 + 2 * (DRAINS + STARTS))
        wanted = [max(1, load) for load in changing[-1]]
        sizes = [agent.replicas for agent in world.agents.values()]
        assert sum(sizes) == min(9, sum(wanted))
        assert set(world.waits) <= {0.0}

    with asyncio.Runner() as runner:
        runner.run(scenario())
