"""Whole scaling rounds over agents of a store: what fails for one is held, and the others go on."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from agents import agent_of, repository_of
from trireme.api import names
from trireme.api.gpu_budgets import GpuBudget
from trireme.api.kinds import Kind
from trireme.autoscaler.queries import Labels, Query
from trireme.autoscaler.samples import Round, Series
from trireme.control.autoscale import Autoscaler
from trireme.control.direct import PodReader
from trireme.control.history import History
from trireme.control.queue import Key
from trireme.control.store import Accepted, Store
from trireme.edge.cluster import Cluster, Object
from trireme.edge.demand import DemandQueries
from trireme.edge.metrics import Metrics
from trireme.edge.pod_metrics import PodMetrics
from trireme.edge.prometheus import Prometheus
from trireme.edge.recorder import Recorder
from trireme.errors import SignalsUnavailable
from unit.autoscaling import NOW, seconds

ODD = RuntimeError("something that nobody foresaw")


class Api(Cluster):
    """The Kubernetes API as far as the rounds go: keeps what it is given."""

    def __init__(self) -> None:
        self.sizes: dict[str, int] = {}
        self.statuses: dict[str, Any] = {}

    async def apply_scale(self, deployment: Object, replicas: int, manager: str) -> None:
        self.sizes[deployment["metadata"]["name"]] = replicas

    async def apply_status(
        self, kind: Kind, namespace: str, name: str, status: Mapping[str, Any], manager: str
    ) -> Object:
        self.statuses[name] = status
        return {}

    async def create(self, manifest: Object) -> Object:
        return manifest

    def condition(self, agent: str, kind: str) -> tuple[str, str, str]:
        (found,) = (c for c in self.statuses[agent]["conditions"] if c["type"] == kind)
        return found["status"], found["reason"], found["message"]


@dataclass
class Told:
    """What Prometheus answers; stands for the edge, which is tested against a real one."""

    answers: Mapping[Query, tuple[Series, ...]] | Exception = field(default_factory=dict)
    demand: float | Exception = 0.0

    async def round(self, queries: Mapping[Query, str], now: datetime) -> Round:
        if isinstance(self.answers, Exception):
            raise self.answers
        return self.answers


@dataclass
class Outside:
    """What the queries of scaling.demand answer."""

    told: Told

    async def round(
        self, queries: Iterable[str], now: datetime
    ) -> Mapping[str, tuple[Series, ...] | SignalsUnavailable]:
        if isinstance(self.told.demand, Exception):
            raise self.told.demand
        return dict.fromkeys(queries, (Series({}, self.told.demand, now),))


@dataclass
class Rounds:
    """An operator's rounds, over agents that a test adds."""

    budgets: Sequence[GpuBudget] = ()
    told: Told = field(default_factory=Told)
    now: datetime = NOW

    def __post_init__(self) -> None:
        self.api, self.store = Api(), Store()
        self.reader = PodReader(
            store=self.store,
            pod_metrics=cast(PodMetrics, None),  # nobody reads: that is beside the rounds
            labels=Labels(),
            clock=lambda: self.now,
        )
        self.autoscaler = Autoscaler(
            cluster=self.api,
            store=self.store,
            prometheus=cast(Prometheus, self.told),
            reader=self.reader,
            demand=cast(DemandQueries, Outside(self.told)),
            budgets=self.budgets,
            recorder=Recorder(self.api, "op-0"),
            metrics=Metrics(),
            history=History(),
            labels=Labels(),
            clock=lambda: self.now,
        )

    def add(self, name: str, replicas: int, **spec: Any) -> Key:
        """An agent that is accepted and has so many pods wanted, none of them ready."""
        key = Key("team", name)
        metadata = {"namespace": "team", "name": name, "uid": f"uid-{name}", "generation": 1}
        self.store.agent_event({"metadata": metadata, "spec": {}, "status": {}}, deleted=False)
        view = self.store.view(key)
        view.accepted = Accepted(agent_of(**spec), repository_of())
        owner = {"manager": names.SCALE_MANAGER, "fieldsV1": {"f:spec": {"f:replicas": {}}}}
        view.children["Deployment", name] = {
            "metadata": {**metadata, "managedFields": [owner]},
            "spec": {"replicas": replicas},
        }
        return key

    async def round(self, later: float = 5) -> None:
        self.now += seconds(later)
        await self.autoscaler.round()


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


async def test_a_series_with_labels_that_are_none_holds_the_fleet_and_the_rounds_go_on() -> None:
    labels = cast(dict[str, str], {Labels().agent: ["a", "list"]})
    rounds = Rounds(told=Told(answers={Query.SAMPLE_TIME: (Series(labels, 1.0, NOW),)}))
    rounds.add("held", 2)
    await rounds.round()
    assert rounds.api.condition("held", "SignalsAvailable")[0] == "False"


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
