"""Knobs before pods, from one end to the other, in virtual time: a replica is bought where a knob
would have done, the knob is tried as soon as it is calm, and when it is kept the replica goes. All
of it is one history.

What a server's statistics and a canary's analysis would tell is put where these leave it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from agents import agent_of, model_of, pods_of
from trireme.api import names
from trireme.api.tuning import Confidence, Knob
from trireme.autoscaler.capacity import LearntCurve
from trireme.autoscaler.queries import Labels, Query
from trireme.autoscaler.records import Read, replay
from trireme.autoscaler.samples import Series, read_labels
from trireme.autoscaler.service_curve import ServiceCurve
from trireme.autoscaler.types.capacity import Capacity
from trireme.control import learning
from trireme.control.adopting import Adopting, with_settings
from trireme.control.agent_state import Accepted
from trireme.control.store import AgentView
from trireme.modelrepo.render import render
from trireme.rollout import adoption
from trireme.tuner.advice import Advice
from unit.test_control_adopting import OPTIMIZED, optimization, told_ready
from unit.test_control_autoscale import Rounds, Told

MODEL = model_of("m", maxBatchSize=4, batching={"dynamic": {}})
AGENT = agent_of(
    model="m",
    models=[MODEL],
    tuning={"mode": "Apply"},
    optimization=OPTIMIZED.model_dump(mode="json", by_alias=True)["spec"]["optimization"],
    rollout={"strategy": "Canary"},
    gateway={"enabled": False},
    objectives=[{"model": "m", "latency": {"target": "500ms"}}],
)
FILES = {"files": {"model.py": b""}}
CURVE = ServiceCurve(0.040, 0.010, 4)  # 50 requests/s at the most, and 67 with batches of 8
ADVICE = Advice(
    "m", Knob.MAX_BATCH_SIZE, "4", "8", 0.4, 0.1, 0.5, Confidence.MEDIUM, "learnt from 500 batches"
)
STEADY, GROWN = 60.0, 100.0  # requests/s: 100 and a fifth more are for 3 pods of 48, and 2 of 67


@dataclass
class Served:
    """An agent of two pods that serves, and the parts of the operator that look after it."""

    rate: float = STEADY
    rounds: Rounds = field(default_factory=Rounds)

    def __post_init__(self) -> None:
        rounds = self.rounds
        self.key = rounds.add("echo", 2)
        self.view: AgentView = rounds.store.view(self.key)
        self.view.accepted, self.view.asked = Accepted(AGENT, render(AGENT.spec, FILES)), AGENT
        self.view.judged, self.view.written = 1, told_ready(generation=1)
        self.adopting = Adopting(rounds.api, rounds.clock)
        self.decisions: list[Mapping[str, Any]] = []

    def learns(self, curve: ServiceCurve, per_second: float, advice: Advice | None) -> None:
        assert self.view.accepted is not None
        pods = pods_of(self.view.accepted.agent)
        known = learning.known(self.view, pods)
        known.curves["m"] = LearntCurve(curve, 0.0, 4000)
        known.capacities["m"] = Capacity(per_second, curve)
        known.advice["m"] = advice
        self.view.learning[pods.name] = known

    def has_pods(self, count: int) -> None:
        """So many are wanted, and are ready."""
        self.rounds.deploy(self.key, "echo", count)
        body = self.view.children["Deployment", "echo"]
        body["metadata"]["generation"] = 1
        body["status"] = {"observedGeneration": 1} | dict.fromkeys(
            ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), count
        )
        self.view.pods.clear()
        for number in range(count):
            self.rounds.start(self.key)
            pod = self.view.pods.pop("pod")
            metadata = pod["metadata"] | {"name": f"pod-{number}", "uid": f"uid-{number}"}
            metadata["labels"] = {names.AGENT: "echo", names.TRACK: names.TRACK_STABLE}
            self.view.pods[f"pod-{number}"] = pod | {"metadata": metadata}

    def _told(self) -> dict[Query, tuple[Series, ...]]:
        """In flight are as many as come in 80 ms; p95 is 120 ms."""
        labels, pods = Labels(), list(self.view.pods)

        def of(value: float, **more: str) -> Series:
            told = {labels.agent: "echo", labels.namespace: "team", **more}
            return read_labels(told, labels), value

        of_model = {
            Query.SERVER_REQUESTS: self.rate,
            Query.SERVER_FAILURES: 0.0,
            Query.SERVER_DURATION: 0.08 * self.rate,
            Query.SERVER_QUEUE: 0.0,
            Query.SERVER_PENDING: 0.0,
        }
        found: dict[Query, tuple[Series, ...]]
        found = {query: (of(value, model="m"),) for query, value in of_model.items()}
        at = self.rounds.now.timestamp() + 5
        found[Query.SERVER_HISTOGRAM] = (of(0.12, model="m", quantile="0.95"),)
        found[Query.SAMPLE_TIME] = tuple(of(at, pod=pod) for pod in pods)
        found[Query.SAMPLE_COUNT] = tuple(of(6, pod=pod) for pod in pods)
        return found

    async def goes_on(self, minutes: float = 1) -> None:
        """Rounds, and a pass each minute, which may begin a trial."""
        for count in range(round(12 * minutes)):
            self.rounds.told.answers = self._told()
            await self.rounds.round()
            if count % 12 == 11:
                await self.passes(may_begin=True)
        self.decisions = self.rounds.api.statuses["echo"]["scaling"]["decisions"]

    async def passes(self, *, may_begin: bool) -> None:
        assert self.view.body is not None
        self.adopting.look(self.view, self.view.body, AGENT, may_begin=may_begin)
        scaling = self.rounds.api.statuses["echo"]
        self.view.note(await self.adopting.write(self.view, self.view.body))
        self.rounds.api.statuses["echo"] = scaling  # written by another field manager

    async def promotes(self) -> None:
        """The canary is no worse, and all pods have the setting."""
        state = self.view.adoption
        state.present = adoption.kept(state.present, "2026-01-01T12:00:00Z")
        agent = with_settings(AGENT, state.present)
        self.view.accepted = Accepted(agent, render(agent.spec, FILES))
        await self.passes(may_begin=False)

    @property
    def told(self) -> list[str]:
        """The reasons in the history, oldest first."""
        return [each["reason"] for each in reversed(self.decisions)]


async def bought_beside_a_knob() -> Served:
    """More is asked just as a better knob is known, and a better file, which would come first."""
    agent = Served(rounds=Rounds(told=Told()))
    agent.has_pods(2)
    agent.learns(CURVE, 48.0, None)
    await agent.goes_on()
    agent.learns(CURVE, 48.0, ADVICE)
    agent.rate = GROWN
    await agent.goes_on(0.25)
    agent.view.optimization.told = optimization()
    return agent


async def test_the_purchase_is_made_and_names_the_knob() -> None:
    agent = await bought_beside_a_knob()
    assert agent.rounds.api.sizes == {"echo": 3}
    assert agent.told == ["ScaledUp", "TuningRecommended"]
    (message,) = (each["message"] for each in agent.decisions if each["reason"] == "ScaledUp")
    assert message.endswith(
        "2 → 3; 2 would do with maxBatchSize 8 in place of 4 of m, by which a pod is expected to "
        "sustain 40 % more"
    )
    tuning = agent.rounds.api.statuses["echo"]["tuning"]
    assert (tuning["to"], tuning["replicasAdded"], tuning["replicasSpared"]) == ("8", 1, 1)


async def test_nothing_is_tried_while_the_pod_starts() -> None:
    agent = await bought_beside_a_knob()
    agent.rounds.deploy(agent.key, "echo", 3)
    await agent.goes_on(3)
    assert agent.view.adoption.present == ()


async def test_once_it_is_calm_the_knob_is_tried_before_any_other_idea() -> None:
    agent = await bought_beside_a_knob()
    agent.has_pods(3)
    # More pods make smaller batches, by which nothing is advised any more.
    agent.learns(replace(CURVE, max_batch=2), 48.0, None)
    await agent.goes_on(2)
    (tried,) = agent.view.adoption.present
    assert (tried.origin, tried.phase, tried.entry) == ("Tuning", "Tried", "maxBatchSize: 8\n")


async def test_when_it_is_kept_the_replica_goes_and_all_of_it_is_one_history() -> None:
    agent = await bought_beside_a_knob()
    agent.has_pods(3)
    await agent.goes_on(2)
    await agent.promotes()
    await agent.goes_on()
    agent.learns(replace(CURVE, max_batch=8), 66.0, None)
    await agent.goes_on(10)
    assert agent.rounds.api.sizes == {"echo": 2}
    assert "tuning" not in agent.rounds.api.statuses["echo"]
    assert [reason for reason in agent.told if reason != "Held"] == [
        "ScaledUp",
        "TuningRecommended",
        "SettingTried",
        "SettingKept",
        "ScaledDown",
    ]
    settings = [each for each in agent.decisions if each["reason"].startswith("Setting")]
    assert all(each["fromReplicas"] == each["toReplicas"] == 3 for each in settings)
    assert "a pod is expected to sustain 40 % more" in settings[-1]["message"]
    assert await replayed(agent) == {each["inputDigest"] for each in agent.decisions}


async def replayed(agent: Served) -> set[str]:
    """The digests of what is in the history: each is computed anew, and comes out the same."""
    records = agent.rounds.history.of(agent.key)
    assert records
    for record in records:
        again = replay(Read(record, record.input_digest), record.version)
        assert again.difference is None
    told = {each["inputDigest"] for each in agent.decisions}
    return told & {record.input_digest for record in records}


async def test_once_the_load_has_gone_nothing_is_owed_any_more() -> None:
    agent = await bought_beside_a_knob()
    agent.has_pods(3)
    agent.view.judged = None  # no trial begins
    agent.rate = STEADY
    await agent.goes_on(10)
    assert agent.rounds.api.sizes == {"echo": 2}
    assert agent.view.tuning is not None
    assert (agent.view.tuning.replicas_added, agent.view.tuning.replicas_spared) == (1, 0)
