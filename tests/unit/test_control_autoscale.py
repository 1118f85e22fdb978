"""Whole scaling rounds over agents of a store: what fails for one is held, and the others go on."""

import asyncio
import gc
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, cast

import pytest

from agents import agent_of, model_of, repository_of
from trireme.api import names
from trireme.api.conditions import Reason
from trireme.api.gpu_budgets import GpuBudget
from trireme.api.kinds import Kind
from trireme.autoscaler.direct import Sample
from trireme.autoscaler.queries import Labels, Query
from trireme.autoscaler.records import Read, replay
from trireme.autoscaler.samples import Round, Series, Vector, read_labels
from trireme.control.agent_state import Accepted, CanaryState, Refused
from trireme.control.autoscale import Autoscaler
from trireme.control.direct import PodReader
from trireme.control.history import History
from trireme.control.queue import Key
from trireme.control.start_parts import StartParts
from trireme.control.store import AgentView, Store
from trireme.edge.cluster import MOST_CONNECTIONS, Cluster, Object
from trireme.edge.demand import DemandQueries
from trireme.edge.metrics import Metrics
from trireme.edge.pod_metrics import PodMetrics
from trireme.edge.prometheus import Prometheus
from trireme.edge.recorder import Recorder
from trireme.errors import ClusterError, SignalsUnavailable
from unit.autoscaling import NOW, seconds
from virtual_time import VirtualTimeLoop

ODD = RuntimeError("something that nobody foresaw")


class Api(Cluster):
    """The Kubernetes API as far as the rounds go: keeps what it is given."""

    def __init__(self) -> None:
        self.sizes: dict[str, int] = {}
        self.sizing: set[str] = set()
        self.statuses: dict[str, Any] = {}
        self.hanging: dict[str, asyncio.Event] = {}
        self.notes: list[str] = []
        self.takes_statuses = True

    async def apply_scale(self, deployment: Object, replicas: int, manager: str) -> None:
        name = deployment["metadata"]["name"]
        self.sizing.add(name)
        await self._answer(name)
        self.sizes[name] = replicas

    async def apply_status(
        self, kind: Kind, metadata: Object, status: Mapping[str, Any], manager: str
    ) -> Object:
        name = metadata["name"]
        await self._answer(name)
        await self._answer(f"{name}/status")
        if not self.takes_statuses:
            raise ClusterError(500, "etcd has no leader")
        self.statuses[name] = status
        return {}

    async def merge(self, kind: Kind, namespace: str, name: str, patch: Object) -> Object:
        return patch

    async def _answer(self, name: str) -> None:
        if name in self.hanging:
            await self.hanging[name].wait()

    async def create(self, manifest: Object) -> Object:
        self.notes.append(manifest["note"])
        return manifest

    def condition(self, agent: str, kind: str) -> tuple[str, str, str]:
        (found,) = (c for c in self.statuses[agent]["conditions"] if c["type"] == kind)
        return found["status"], found["reason"], found["message"]


@dataclass
class Told:
    """What Prometheus answers; stands for the edge, which is tested against a real one."""

    answers: Mapping[Query, tuple[Series, ...]] | Exception = field(default_factory=dict)
    demand: float | Exception = 0.0

    async def round(self, queries: Mapping[Query, str], labels: Labels, now: datetime) -> Round:
        if isinstance(self.answers, Exception):
            raise self.answers
        return {query: Vector.of(series) for query, series in self.answers.items()}


@dataclass
class Outside:
    """What the queries of scaling.demand answer."""

    told: Told

    async def round(
        self, queries: Iterable[str], now: datetime
    ) -> Mapping[str, tuple[float, ...] | SignalsUnavailable]:
        if isinstance(self.told.demand, Exception):
            raise self.told.demand
        return dict.fromkeys(queries, (self.told.demand,))


@dataclass
class Pods:
    """What pods tell of themselves, by address: nothing, if it is not said. Keeps the addresses
    that were read.
    """

    read_of: list[str] = field(default_factory=list)
    tell: dict[str, tuple[Sample, ...]] = field(default_factory=dict)

    async def read(
        self, address: str, port: int, path: str, wanted: frozenset[str]
    ) -> tuple[Sample, ...]:
        self.read_of.append(address)
        return self.tell.get(address, ())


@dataclass
class Rounds:
    """An operator's rounds, over agents that a test adds."""

    budgets: Sequence[GpuBudget] = ()
    told: Told = field(default_factory=Told)
    now: datetime = NOW
    fault: Exception | None = None  # of whatever a round needs for all agents

    def __post_init__(self) -> None:
        self.api, self.store, self.pods, self.history = Api(), Store(), Pods(), History()
        self.metrics = Metrics()
        self.reader = PodReader(
            store=self.store,
            pod_metrics=cast(PodMetrics, self.pods),
            labels=Labels(),
            clock=lambda: self.now,
        )
        self.start_parts = StartParts(cluster=self.api, store=self.store, clock=self.clock)
        self.autoscaler = Autoscaler(
            cluster=self.api,
            store=self.store,
            prometheus=cast(Prometheus, self.told),
            reader=self.reader,
            start_parts=self.start_parts,
            demand=cast(DemandQueries, Outside(self.told)),
            budgets=self.budgets,
            recorder=Recorder(self.api, "op-0", self.metrics),
            metrics=self.metrics,
            history=self.history,
            labels=Labels(),
            clock=self.clock,
        )

    def clock(self) -> datetime:
        if self.fault is not None:
            raise self.fault
        return self.now

    def metric(self, name: str) -> float:
        value = self.metrics.registry.get_sample_value(name)
        assert value is not None, f"there is no metric {name}"
        return value

    def add(self, name: str, replicas: int, **spec: Any) -> Key:
        """An agent that is accepted and has so many pods wanted, none of them ready."""
        key = Key("team", name)
        metadata = {"namespace": "team", "name": name, "uid": f"uid-{name}", "generation": 1}
        self.store.agent_event({"metadata": metadata, "spec": {}, "status": {}}, deleted=False)
        view = self.store.view(key)
        view.accepted = Accepted(agent_of(name, **spec), repository_of())
        self.deploy(key, name, replicas)
        return key

    def deploy(
        self,
        key: Key,
        name: str,
        replicas: int,
        node_class: str = "",
        manager: str | None = names.SCALE_MANAGER,
        owner: str | None = None,
    ) -> None:
        """A Deployment with all labels of an agent's server pods, which is its own if nothing else
        is said.
        """
        labels = {names.OWNER: key.name, names.AGENT: key.name}
        if node_class:
            labels[names.NODE_CLASS] = node_class
        writer = {"manager": manager, "fieldsV1": {"f:spec": {"f:replicas": {}}}}
        self.store.view(key).children["Deployment", name] = {
            "kind": "Deployment",
            "metadata": {
                "namespace": key.namespace,
                "name": name,
                "labels": labels,
                "ownerReferences": [{"uid": owner or f"uid-{key.name}"}],
                "managedFields": [writer] if manager else [],
            },
            "spec": {"replicas": replicas},
        }

    def start(self, key: Key) -> None:
        """A pod of the agent is ready."""
        view, at = self.store.view(key), self.now.isoformat()
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": at}
        view.pods["pod"] = {
            "metadata": {
                "name": "pod",
                "uid": "uid-pod",
                "creationTimestamp": at,
                "labels": {names.AGENT: key.name, names.TRACK: names.TRACK_STABLE},
            },
            "status": {"podIP": key.name, "conditions": [ready]},
        }

    async def round(self, later: float = 5) -> None:
        self.now += seconds(later)
        await self.autoscaler.round()

    async def read(self) -> list[str]:
        """The pods that are read beside the rounds."""
        self.now += seconds(5)
        self.pods.read_of.clear()
        await self.reader.round()
        return self.pods.read_of


DEMAND = {"min": 0, "max": 9, "demand": {"query": "sum(waiting)"}}


async def test_a_budget_that_fails_holds_its_agents_and_the_round_goes_on() -> None:
    # Whatever fails in sharing out: here a budget that no arithmetic works on.
    odd = GpuBudget.model_construct(name="team-a", gpus=None, resource="nvidia.com/gpu")
    rounds = Rounds(budgets=(odd,), told=Told(demand=30.0))
    rounds.add("shared", 1, scaling={**DEMAND, "min": 1, "budget": {"name": "team-a"}})
    rounds.add("empty", 0, scaling={**DEMAND, "budget": {"name": "team-a"}})
    rounds.add("alone", 0, scaling=DEMAND)
    await rounds.round()
    assert rounds.api.sizes == {"alone": 1}
    status, reason, message = rounds.api.condition("empty", "AutoscalingActive")
    assert (status, reason) == ("True", "Limited")
    assert "limited by GPU budget team-a, which could not be shared out" in message


async def test_answers_that_nobody_can_use_hold_the_fleet_and_the_rounds_go_on() -> None:
    rounds = Rounds(told=Told(answers=ODD))
    rounds.add("held", 2)
    rounds.add("small", 1, scaling={"min": 3, "max": 9})
    await rounds.round()
    await rounds.round(later=30)
    assert rounds.api.sizes == {"small": 3}
    status, reason, message = rounds.api.condition("held", "SignalsAvailable")
    assert (status, reason) == ("False", "PrometheusUnreachable")
    assert "what Prometheus answered cannot be used: the operator's log says why" in message


def told_by_a_server(count: float) -> tuple[Sample, ...]:
    """A Triton that has answered so many requests, none of them slow."""
    values = {
        "nv_inference_request_success": count,
        "nv_inference_request_failure": 0.0,
        "nv_inference_request_duration_us": count * 1e3,
        "nv_inference_queue_duration_us": 0.0,
        "nv_inference_pending_request_count": 0.0,
    }
    labels = (("model", "double"), ("version", "1"))
    return tuple(Sample(metric, labels, value) for metric, value in values.items())


async def test_what_a_pod_tells_that_nobody_can_use_is_nothing_to_the_other_agents() -> None:
    rounds = Rounds(told=Told(answers=SignalsUnavailable("it is away")))
    for name in ("odd", "well"):
        rounds.start(rounds.add(name, 1, gateway={"enabled": False}))
    for number in range(4):
        await rounds.round(later=0)
        told = told_by_a_server(10.0 * number)
        # Stands for whatever the arithmetic does not foresee.
        odd = tuple(replace(sample, value=cast(float, "many")) for sample in told)
        rounds.pods.tell = {"odd": odd, "well": told}
        await rounds.read()
    assert rounds.api.condition("well", "SignalsAvailable")[:2] == ("True", "ReadDirectly")
    status, reason, message = rounds.api.condition("odd", "SignalsAvailable")
    assert (status, reason, message) == ("False", "PrometheusUnreachable", "it is away")
    assert rounds.metric("trireme_unusable_pod_metrics_total") > 0


@pytest.mark.parametrize(
    ("per_second", "is_asked"),
    [
        pytest.param(2.0, True, id="a request is due within seconds"),
        pytest.param(0.5, False, id="so few that the first may be long in coming"),
        pytest.param(0.0, False, id="no traffic"),
    ],
)
async def test_the_server_of_a_pod_that_starts_is_asked_under_traffic(
    per_second: float, is_asked: bool
) -> None:
    rounds = Rounds(told=Told(answers=SignalsUnavailable("it is away")))
    key = rounds.add("busy", 2, gateway={"enabled": False})
    rounds.start(key)
    server = {"name": names.SERVER_CONTAINER, "state": {"running": {}}}
    view = rounds.store.view(key)
    loading = {"podIP": "loads", "containerStatuses": [server]}
    metadata = {**view.pods["pod"]["metadata"], "name": "loads", "uid": "uid-loads"}
    view.pods["loads"] = {"metadata": metadata, "status": loading}
    for number in range(4):
        await rounds.round(later=0)
        rounds.pods.tell = {"busy": told_by_a_server(5 * per_second * number)}
        await rounds.read()
    await rounds.round()
    assert rounds.start_parts._followed == ({"uid-loads"} if is_asked else set())


def test_the_rounds_go_on_after_some_that_failed_for_all_agents() -> None:
    async def scenario() -> None:
        rounds, turns = Rounds(), list[float]()
        rounds.fault = ODD
        rounds.add("small", 1, scaling={"min": 3, "max": 9})
        clock = asyncio.get_running_loop().time
        running = asyncio.create_task(rounds.autoscaler.run(5, lambda: turns.append(clock())))
        await asyncio.sleep(11)
        assert (turns, rounds.metric("trireme_autoscale_failed_rounds_total")) == ([], 3)
        rounds.fault = None
        await asyncio.sleep(10)
        assert (turns, rounds.metric("trireme_autoscale_failed_rounds_total")) == ([15, 20], 3)
        assert rounds.api.sizes == {"small": 3}
        running.cancel()

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(scenario())


async def test_demand_that_cannot_be_asked_for_is_unknown_and_the_rounds_go_on() -> None:
    rounds = Rounds(told=Told(demand=ODD))
    rounds.add("empty", 0, scaling=DEMAND)
    rounds.add("small", 1, scaling={"min": 3, "max": 9})
    await rounds.round()
    assert rounds.api.sizes == {"small": 3}
    assert rounds.api.condition("empty", "SignalsAvailable")[:2] == (
        "False",
        "PrometheusUnreachable",
    )


def resuming(view: AgentView) -> None:
    assert view.body is not None
    view.body["metadata"]["annotations"] = {names.COMMAND: names.RESUME}


def refused(view: AgentView) -> None:
    view.accepted, view.refused = None, Refused(Reason.INVALID_SPEC, "a mistake")


@pytest.mark.parametrize(
    "becomes",
    [
        pytest.param(resuming, id="whose size is taken back"),
        pytest.param(refused, id="whose spec is refused"),
    ],
)
async def test_nobody_waits_for_what_is_written_of_another(
    becomes: Callable[[AgentView], None],
) -> None:
    rounds = Rounds()
    becomes(rounds.store.view(rounds.add("slow", 2)))
    rounds.add("small", 1, scaling={"min": 3, "max": 9})
    answers = rounds.api.hanging["slow"] = asyncio.Event()
    round = asyncio.create_task(rounds.round())
    for _ in range(100):  # turns of the event loop: nothing in a round waits for time
        await asyncio.sleep(0)
    assert rounds.api.sizes == {"small": 3}
    assert not round.done()
    await rounds.round()  # nor is it begun again
    answers.set()
    await round
    assert "slow" in rounds.api.statuses


GROWING = {"scaling": {"min": 3, "max": 9}}


async def begun(rounds: Rounds) -> asyncio.Task[None]:
    """A round whose writes hang."""
    round = asyncio.create_task(rounds.round())
    for _ in range(100):  # turns of the event loop: nothing in a round waits for time
        await asyncio.sleep(0)
    assert not round.done()
    return round


async def test_a_write_that_takes_long_holds_up_no_round_and_is_not_begun_again() -> None:
    rounds = Rounds()
    slow = rounds.add("slow", 1, **GROWING)
    answers = rounds.api.hanging["slow"] = asyncio.Event()
    first = await begun(rounds)
    rounds.add("late", 1, **GROWING)
    await rounds.round()
    assert rounds.api.sizes == {"late": 3}
    assert rounds.metric("trireme_agents_being_written") == 1
    assert rounds.history.of(slow) is None  # nothing of it is carried out yet
    answers.set()
    await first
    assert rounds.api.sizes == {"late": 3, "slow": 3}
    await rounds.round()
    carried_out, after = rounds.history.of(slow) or ()
    assert (carried_out.decision.at, after.decision.at) == (NOW + seconds(5), NOW + seconds(15))
    made = Read(carried_out, carried_out.input_digest)
    assert replay(made, carried_out.version).difference is None
    # What was seen meanwhile is remembered, and so is what was carried out.
    assert after.inputs.memory.started == NOW + seconds(10)
    assert [change.at for change in after.inputs.memory.changes] == [NOW + seconds(5)]
    assert rounds.metric("trireme_agents_being_written") == 0


async def test_many_agents_are_written_by_turns_so_that_others_reach_the_api_server() -> None:
    rounds = Rounds()
    agents = [f"agent-{number}" for number in range(MOST_CONNECTIONS)]
    answers = asyncio.Event()
    for name in agents:
        rounds.add(name, 1, **GROWING)
        rounds.api.hanging[name] = answers
    first = await begun(rounds)
    assert len(rounds.api.sizing) == MOST_CONNECTIONS - 100
    await rounds.round()
    assert rounds.metric("trireme_agents_being_written") == MOST_CONNECTIONS
    answers.set()
    await first
    assert rounds.api.sizes == dict.fromkeys(agents, 3)


async def test_what_had_no_turn_to_be_written_ends_with_the_operator() -> None:
    rounds = Rounds()
    for number in range(MOST_CONNECTIONS):
        rounds.add(f"agent-{number}", 1, **GROWING)
        rounds.api.hanging[f"agent-{number}"] = asyncio.Event()
    first = await begun(rounds)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    gc.collect()  # a coroutine that nobody has awaited is told then
    assert rounds.api.sizes == {}


async def test_of_an_agent_that_goes_while_it_is_written_nothing_is_kept() -> None:
    rounds = Rounds()
    slow = rounds.add("slow", 1, **GROWING)
    answers = rounds.api.hanging["slow"] = asyncio.Event()
    first = await begun(rounds)
    deleted(rounds.store.view(slow))
    await rounds.round()
    answers.set()
    await first
    assert rounds.history.of(slow) is None
    assert 'agent="slow"' not in rounds.metrics.text().decode()


@pytest.mark.parametrize(
    ("hangs", "gpus", "meanwhile", "afterwards"),
    [
        pytest.param("slow", 1, {}, {"slow": 1}, id="while its size is written"),
        pytest.param(
            "slow", 2, {}, {"slow": 1, "late": 1}, id="nor counted, so that others wait, too"
        ),
        pytest.param(
            "slow/status", 2, {"slow": 1, "late": 1}, {"slow": 1, "late": 1}, id="but for a status"
        ),
    ],
)
async def test_gpus_that_a_write_under_way_takes_are_nobody_elses(
    hangs: str, gpus: int, meanwhile: dict[str, int], afterwards: dict[str, int]
) -> None:
    budget = GpuBudget(name="team-a", gpus=gpus, resource="nvidia.com/gpu")
    rounds = Rounds(budgets=(budget,), told=Told(demand=30.0))
    spec = {
        "server": {"image": "registry.example/triton:24.10-py3", "gpus": {"count": 1}},
        "scaling": {**DEMAND, "budget": {"name": "team-a"}},
    }
    rounds.add("slow", 0, **spec)
    answers = rounds.api.hanging[hangs] = asyncio.Event()
    first = await begun(rounds)
    rounds.add("late", 0, **spec)
    await rounds.round()
    assert rounds.api.sizes == meanwhile
    answers.set()
    await first
    await rounds.round()
    assert rounds.api.sizes == afterwards


async def test_a_size_that_somebody_else_set_is_taken_back_when_a_user_says_so() -> None:
    rounds = Rounds()
    view = rounds.store.view(rounds.add("echo", 12))
    other = {"manager": "kubectl", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    view.children["Deployment", "echo"]["metadata"]["managedFields"] = [other]
    await rounds.round()
    assert rounds.api.condition("echo", "AutoscalingActive")[1] == "ForeignWriter"
    resuming(view)
    await rounds.round()
    assert rounds.api.sizes == {"echo": 10}  # 12 are taken back, and are more than scaling.max


SPOT = {"name": "spot", "price": 0.3}
FIRM = {"name": "firm", "price": 0.9}


def with_classes(*node_classes: dict[str, Any]) -> dict[str, Any]:
    image = "registry.example/triton:24.10-py3"
    return {"image": image, "gpus": {"count": 0}, "nodeClasses": [*node_classes]}


@pytest.mark.parametrize(
    ("classes", "name", "node_class", "owner"),
    [
        pytest.param([], "echo-test", "", "nobody", id="not the agent's"),
        pytest.param([], "echo-test", "", None, id="with the agent as its owner, and another name"),
        pytest.param([], "echo-spot", "spot", "nobody", id="as if it were of a former class"),
        pytest.param([SPOT], "echo-test", "spot", "nobody", id="of a class, not the agent's"),
        pytest.param([SPOT], "echo-test", "spot", None, id="of a class, with another name"),
        pytest.param([SPOT], "echo", "", "nobody", id="as if it were from before the classes"),
    ],
)
async def test_a_copy_of_a_deployment_with_all_its_labels_is_left_alone(
    classes: list[dict[str, Any]], name: str, node_class: str, owner: str | None
) -> None:
    rounds = Rounds()
    server = with_classes(*classes)
    key = rounds.add("echo", 5, server=server, scaling={"min": 7, "max": 9})
    rounds.store.view(key).children.clear()
    own = "echo-spot" if classes else "echo"
    rounds.deploy(key, own, 5, "spot" if classes else "")
    rounds.deploy(key, name, 1, node_class, owner=owner)
    await rounds.round()
    assert rounds.api.sizes == {own: 7}
    assert rounds.api.statuses["echo"]["scaling"]["desiredReplicas"] == 7


async def test_a_canary_is_no_part_of_the_size_that_is_decided_on() -> None:
    rounds = Rounds()
    key = rounds.add("echo", 5, scaling={"min": 7, "max": 9})
    rounds.deploy(key, names.canary("echo"), 3)
    rounds.store.view(key).children["Deployment", "echo-canary"]["metadata"]["labels"] |= {
        names.TRACK: names.TRACK_CANARY
    }
    rounds.start(key)
    rounds.store.view(key).pods["pod"]["metadata"]["labels"][names.TRACK] = names.TRACK_CANARY
    await rounds.round()
    assert rounds.api.sizes == {"echo": 7}
    # No stable pod is ready, so nothing is known of what they answer.
    assert rounds.api.condition("echo", "SignalsAvailable")[1] == Reason.NO_PODS
    assert rounds.store.view(key).servers.bodies.keys() == {"echo"}


@pytest.mark.parametrize(
    ("weight", "beside_canary"), [(0.0, False), (0.2, True)], ids=["not yet", "by now"]
)
async def test_a_decision_knows_whether_a_canary_answers_some_of_the_requests(
    weight: float, beside_canary: bool
) -> None:
    rounds = Rounds()
    key = rounds.add("echo", 2, scaling={"min": 2, "max": 9})
    view = rounds.store.view(key)
    assert view.accepted is not None
    view.canary = CanaryState(view.accepted, 1, "d", NOW, weight=weight)
    await rounds.round()
    made = rounds.history.of(key)
    assert made is not None
    assert made[-1].inputs.observation.beside_canary is beside_canary


async def test_node_classes_that_are_accepted_during_a_round_are_told_of_in_it() -> None:
    rounds = Rounds()
    view = rounds.store.view(rounds.add("echo", 1, scaling={"min": 3, "max": 9}))
    answers = rounds.api.hanging["echo"] = asyncio.Event()
    round = asyncio.create_task(rounds.round())
    for _ in range(100):
        await asyncio.sleep(0)
    view.accepted = Accepted(agent_of("echo", server=with_classes(SPOT)), repository_of())
    answers.set()
    await round
    assert rounds.api.statuses["echo"]["scaling"]["desiredReplicas"] == 3


async def test_what_pods_told_themselves_is_kept_when_a_round_fails_for_their_agent() -> None:
    rounds = Rounds(told=Told(answers=SignalsUnavailable("it is away")))
    key = rounds.add("echo", 1)
    rounds.start(key)
    await rounds.round()
    assert await rounds.read() == ["echo"]
    rounds.store.view(key).children["Deployment", "odd"] = {}  # stands for whatever fails
    await rounds.round()
    assert await rounds.read() == ["echo"]


async def test_nothing_is_decided_of_a_part_of_the_deployments_while_others_may_come() -> None:
    rounds = Rounds()
    key = rounds.add("echo", 2, server=with_classes(SPOT, FIRM), scaling={"min": 4, "max": 9})
    view = rounds.store.view(key)
    view.children.clear()
    rounds.deploy(key, "echo-firm", 2, "firm")
    await rounds.round()
    assert rounds.api.sizes == {}
    view.apply_failure = ClusterError(403, "no more Deployments here")
    await rounds.round()
    assert rounds.api.sizes == {"echo-firm": 4}
    rounds.deploy(key, "echo-spot", 0, "spot")
    rounds.api.sizes.clear()
    view.apply_failure = None
    view.accepted = Accepted(
        agent_of("echo", server=with_classes(SPOT, FIRM), scaling={"min": 5, "max": 9}),
        repository_of(),
    )
    await rounds.round()
    assert rounds.api.sizes == {"echo-spot": 1}


@pytest.mark.parametrize(
    ("classes", "there"),
    [
        pytest.param([SPOT], {"echo": ""}, id="of an agent that had no classes"),
        pytest.param([], {"echo-spot": "spot"}, id="of an agent that had one"),
        pytest.param(
            [{**SPOT, "name": "new"}], {"echo-spot": "spot"}, id="of an agent that had another"
        ),
    ],
)
async def test_the_pods_of_before_are_scaled_on_while_those_of_new_classes_cannot_be_made(
    classes: list[dict[str, Any]], there: dict[str, str]
) -> None:
    rounds = Rounds()
    key = rounds.add("echo", 2, server=with_classes(*classes), scaling={"min": 4, "max": 9})
    view = rounds.store.view(key)
    view.children.clear()
    for name, node_class in there.items():
        rounds.deploy(key, name, 2, node_class)
    view.apply_failure = ClusterError(403, "a Deployment of this name belongs to somebody else")
    await rounds.round()
    assert rounds.api.sizes == dict.fromkeys(there, 4)


async def test_the_sizes_of_classes_that_went_are_not_those_of_classes_that_come() -> None:
    rounds = Rounds()
    key = rounds.add("echo", 2, server=with_classes(SPOT))
    view = rounds.store.view(key)
    view.children.clear()
    rounds.deploy(key, "echo-spot", 2, "spot")
    await rounds.round()
    assert view.desired_by_class == {"spot": 2}
    view.children.clear()
    rounds.deploy(key, "echo", 2)
    view.accepted = Accepted(agent_of("echo"), repository_of())
    await rounds.round()
    assert view.desired_by_class is None


async def test_a_size_that_somebody_else_set_is_seen_beside_one_that_nobody_did() -> None:
    rounds = Rounds()
    key = rounds.add("echo", 2, server=with_classes(SPOT, FIRM), scaling={"min": 4, "max": 9})
    rounds.store.view(key).children.clear()
    rounds.deploy(key, "echo-firm", 1, "firm", manager=None)
    rounds.deploy(key, "echo-spot", 1, "spot", manager="kubectl")
    await rounds.round()
    assert rounds.api.sizes == {}
    assert rounds.api.condition("echo", "AutoscalingActive")[1] == "ForeignWriter"


def without_objectives(view: AgentView) -> None:
    view.accepted = Accepted(agent_of(objectives=[]), repository_of())


def without_a_deployment(view: AgentView) -> None:
    del view.children["Deployment", "echo"]


def deleted(view: AgentView) -> None:
    assert view.body is not None
    view.body["metadata"]["deletionTimestamp"] = "2026-01-01T12:00:00Z"


@pytest.mark.parametrize(
    "becomes",
    [
        pytest.param(without_a_deployment, id="that has no Deployment any more"),
        pytest.param(refused, id="that has no accepted spec any more"),
        pytest.param(without_objectives, id="that has no objective any more"),
        pytest.param(deleted, id="that is deleted"),
    ],
)
async def test_the_pods_of_an_agent_are_read_no_more(becomes: Callable[[AgentView], None]) -> None:
    rounds = Rounds(told=Told(answers=SignalsUnavailable("it is away")))
    key = rounds.add("echo", 1)
    rounds.start(key)
    await rounds.round()
    assert await rounds.read() == ["echo"]
    becomes(rounds.store.view(key))
    await rounds.round()
    assert await rounds.read() == []


async def test_the_time_without_demand_begins_anew_after_a_gap_in_what_is_seen() -> None:
    rounds = Rounds()
    key = rounds.add("echo", 1, scaling=DEMAND)  # its pod is never ready, and nothing is asked
    children = rounds.store.view(key).children
    await rounds.round()
    deployment = children.pop(("Deployment", "echo"))
    await rounds.round(later=200)
    children["Deployment", "echo"] = deployment
    await rounds.round()
    await rounds.round(later=299)
    assert rounds.api.sizes == {}
    await rounds.round(later=1)
    assert rounds.api.sizes == {"echo": 0}


def pipeline(name: str, step: str) -> dict[str, Any]:
    tensor = {"name": "t", "dataType": "FP32", "dims": [-1]}
    steps = [{"model": step, "inputs": {"x": "t"}, "outputs": {"y": "u"}}]
    return {"name": name, "inputs": [tensor], "outputs": [{**tensor, "name": "u"}], "steps": steps}


async def test_what_waits_in_a_pipeline_within_a_pipeline_is_in_flight() -> None:
    labels = Labels()

    def of_agent(value: float, **more: str) -> Series:
        told = {labels.agent: "echo", labels.namespace: "team", **more}
        return read_labels(told, labels), value

    def by_model(**values: float) -> tuple[Series, ...]:
        return tuple(of_agent(value, model=model) for model, value in values.items())

    answers = {
        Query.SAMPLE_TIME: (of_agent(NOW.timestamp(), pod="pod"),),
        Query.SAMPLE_COUNT: (of_agent(6, pod="pod"),),
        Query.SERVER_REQUESTS: by_model(outer=100, inner=100, double=100),
        Query.SERVER_FAILURES: by_model(outer=0, inner=0, double=0),
        Query.SERVER_DURATION: by_model(outer=8, inner=7, double=6),
        Query.SERVER_QUEUE: by_model(outer=0, inner=0, double=5),
        Query.SERVER_PENDING: by_model(outer=0, inner=0, double=30),
    }
    rounds = Rounds(told=Told(answers=answers))
    key = rounds.add(
        "echo",
        1,
        pipelines=[pipeline("outer", "inner"), pipeline("inner", "double")],
        objectives=[{"model": "outer", "latency": {"target": "100ms"}}],
        gateway={"enabled": False},
    )
    rounds.start(key)
    await rounds.round()
    # Of 8 in the pipeline 5 wait, by their durations; by the gauge 30 do.
    assert rounds.api.statuses["echo"]["scaling"]["observed"]["inFlight"] == 33


BATCHED = [model_of("double", maxBatchSize=1, batching={"dynamic": {}})]
RECOMMENDED = {
    "model": "double",
    "knob": "maxBatchSize",
    "from": "1",
    "to": "8",
    "gainPercent": 30,
    "leastGainPercent": 10,
    "mostGainPercent": 50,
    "confidence": "Medium",
    "evidence": "learnt from 500 batches",
    "since": "2026-01-01T11:00:00Z",
}


@pytest.mark.parametrize(
    ("before", "stands"),
    [
        pytest.param("1", True, id="which stands"),
        pytest.param("4", False, id="which was followed meanwhile"),
    ],
)
async def test_a_recommendation_of_an_earlier_process_is_known(before: str, stands: bool) -> None:
    rounds = Rounds()
    view = rounds.store.view(rounds.add("echo", 2, models=BATCHED))
    assert view.body is not None
    told = {**RECOMMENDED, "from": before}
    view.body["status"] = {"tuning": told}
    await rounds.round()
    await rounds.round(later=30)
    written = rounds.api.statuses["echo"].get("tuning")
    none = {"replicasAdded": 0, "replicasSpared": 0}
    assert written == ({**told, "gainPercent": 30.0, **none} if stands else None)


async def test_replicas_added_while_no_status_can_be_written_are_told_with_the_next() -> None:
    rounds = Rounds()
    key = rounds.add("echo", 2, models=BATCHED, scaling={"min": 4, "max": 9})
    view = rounds.store.view(key)
    assert view.body is not None
    view.body["status"] = {"tuning": RECOMMENDED}
    rounds.api.takes_statuses = False
    await rounds.round()
    assert (rounds.api.sizes, rounds.api.statuses) == ({"echo": 4}, {})
    rounds.api.takes_statuses = True
    await rounds.round()
    assert rounds.api.statuses["echo"]["tuning"]["replicasAdded"] == 2


async def test_what_stands_is_written_once_a_minute_at_most() -> None:
    rounds = Rounds()
    key = rounds.add("echo", 2, models=BATCHED)
    view = rounds.store.view(key)
    assert view.body is not None
    view.body["status"] = {"tuning": RECOMMENDED}
    await rounds.round()
    await rounds.round(later=30)
    assert "tuning" in rounds.api.statuses["echo"]
    view.accepted = Accepted(agent_of("echo", tuning={"mode": "Disabled"}), repository_of())
    await rounds.round(later=15)
    assert "tuning" in rounds.api.statuses["echo"]
    await rounds.round(later=60)
    assert "tuning" not in rounds.api.statuses["echo"]
