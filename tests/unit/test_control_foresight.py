"""What came before this process is recalled once, and what rounds see is added to it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from agents import agent_of, directory_of, model_of, repository_of
from trireme.api.conditions import Reason
from trireme.autoscaler.classes import mean_capacities
from trireme.autoscaler.past_demand import Past
from trireme.autoscaler.queries import Labels, Query
from trireme.autoscaler.service_curve import ServiceCurve
from trireme.autoscaler.types.capacity import Capacity
from trireme.autoscaler.types.observation import ClassPods
from trireme.autoscaler.types.signals import NoSignals
from trireme.control.agent_state import Accepted, Foresight
from trireme.control.foresight import Recaller, foresee
from trireme.control.queue import Key
from trireme.control.store import Store
from trireme.edge.prometheus import Prometheus
from trireme.errors import SignalsUnanswered, SignalsUnavailable
from unit.autoscaling import NOW, SETTLED, objective, observed, policy, seconds, seen

KEY = Key("default", "echo")
SUSTAINS_10 = Capacity(10.0, ServiceCurve(0.040, 0.010, 4))
OBSERVED = observed(2, seen(1.0, rate=20.0), capacity=SUSTAINS_10)


@dataclass
class Told:
    """What a Prometheus has of the past: a spike at the beginning of every five minutes.

    Stands for the edge, whose answers are tested against a real Prometheus.
    """

    labels: Mapping[str, str]
    asked: list[tuple[Query, datetime, datetime, timedelta]] = field(default_factory=list)
    is_away: bool = False
    refuses: str = "nobody"
    knows: bool = True

    async def past(
        self, name: Query, query: str, begin: datetime, end: datetime, step: timedelta
    ) -> tuple[Past, ...]:
        self.asked.append((name, begin, end, step))
        if self.is_away:
            raise SignalsUnanswered("Prometheus cannot be reached")
        if self.refuses in query:
            raise SignalsUnavailable("Prometheus refuses a query over too much")
        first, last, width = (
            round(each) for each in (begin.timestamp(), end.timestamp(), step.total_seconds())
        )
        values = {
            second: 200.0 if second % 300 < 60 else 20.0 for second in range(first, last + 1, width)
        }
        if not self.knows:
            return (Past(self.labels, dict.fromkeys(values, math.nan)),)
        if name is Query.GATEWAY_ARRIVALS:
            return (Past({}, values),)
        others = Past({"model": "another"}, dict.fromkeys(values, 1e6))
        return (Past(self.labels, values), *([others] if self.labels else []))


def watched(**spec: Any) -> tuple[Store, dict[str, Foresight]]:
    """One agent, of which one round was seen."""
    store = Store()
    return store, beside(store, KEY, **spec)


def beside(store: Store, key: Key, **spec: Any) -> dict[str, Foresight]:
    """One more such agent."""
    metadata = {"name": key.name, "namespace": key.namespace, "uid": f"uid-{key.name}"}
    store.agent_event({"metadata": metadata, "spec": {}}, deleted=False)
    view = store.view(key)
    objectives = [{"model": "m", "latency": {"target": "100ms"}}]
    agent = agent_of(models=[model_of("m")], objectives=objectives, **spec)
    view.accepted = Accepted(agent, repository_of(directory_of("m")))
    foresee(view.foresights, OBSERVED, policy(objective()), SETTLED)
    return view.foresights


def recaller(store: Store, told: Told, now: datetime = NOW) -> Recaller:
    return Recaller(
        store=store,
        prometheus=cast(Prometheus, told),
        labels=Labels(),
        scrape_interval=lambda: None,
        clock=lambda: now,
    )


NAMES = (Query.GATEWAY_ARRIVALS, Query.SERVER_REQUESTS, Query.SERVER_FAILURES)


@pytest.mark.parametrize(
    ("spec", "labels", "times"),
    [
        pytest.param({}, {}, 1, id="from the gateway"),
        pytest.param({}, {"model": "m"}, 2, id="of streams from the servers, which count more"),
        pytest.param({"gateway": {"enabled": False}}, {"model": "m"}, 2, id="from the servers"),
    ],
)
async def test_the_past_is_read_once(
    spec: dict[str, Any], labels: dict[str, str], times: int
) -> None:
    store, foresights = watched(**spec)
    told = Told(labels)
    for _ in range(2):
        await recaller(store, told).round()
    assert [name for name, *_ in told.asked] == [*NAMES, *NAMES]  # of hours, and of a week
    assert {step for *_, step in told.asked} == {seconds(15), timedelta(minutes=5)}
    history = foresights["m"].demand.history
    assert history.highest(40) == 200.0 * times
    assert history.highest_of_bins(4 * 60 * 24, 4 * 60 * 24) == 200.0 * times
    forecast = foresee(foresights, OBSERVED, policy(objective()), SETTLED)["m"]
    assert "ago" in forecast.words


async def test_a_prometheus_that_is_away_is_asked_again_a_minute_later() -> None:
    store, foresights = watched()
    told = Told({}, is_away=True)
    await recaller(store, told).round()
    before = foresights["m"].demand
    await recaller(store, told, NOW + seconds(59)).round()
    assert len(told.asked) == 1
    told.is_away = False
    await recaller(store, told, NOW + seconds(60)).round()
    assert foresights["m"].demand is not before


async def test_while_prometheus_does_not_answer_one_of_many_is_asked_for_at_a_time() -> None:
    store, first = watched()
    second = beside(store, Key("default", "other"))
    told = Told({}, is_away=True)
    await recaller(store, told).round()
    assert len(told.asked) == 1
    await recaller(store, told, NOW + seconds(60)).round()
    assert len(told.asked) == 2
    # By now both are due again: the one that has waited for longer is the second.
    assert (first["m"].recall_due, second["m"].recall_due) == (
        NOW + seconds(60),
        NOW + seconds(120),
    )


async def test_a_past_that_prometheus_refuses_keeps_no_other_from_being_read() -> None:
    store, first = watched()
    second = beside(store, Key("default", "other"))
    told = Told({}, refuses='"echo"')
    await recaller(store, told).round()
    assert (first["m"].recall_due, second["m"].recall_due) == (NOW + seconds(60), None)


async def test_until_the_past_is_read_a_fleet_is_held_as_without_a_forecast() -> None:
    store, foresights = watched()

    def held() -> float:
        return foresee(foresights, OBSERVED, policy(objective()), SETTLED)["m"].hold_seconds

    before = held()
    await recaller(store, Told({})).round()
    assert (before, held()) == (300.0, 60.0)


async def test_a_prometheus_that_knows_nothing_takes_nothing_away() -> None:
    store, foresights = watched()
    before = foresights["m"].demand
    told = Told({}, knows=False)
    await recaller(store, told).round()
    assert foresights["m"].demand is before
    assert foresights["m"].recall_due == NOW + seconds(600)


async def test_without_a_capacity_nothing_is_recalled() -> None:
    store, foresights = watched()
    foresights["m"].terms = None
    told = Told({})
    await recaller(store, told).round()
    assert told.asked == []


def test_of_several_classes_the_past_is_counted_in_pods_of_the_slowest() -> None:
    foresights: dict[str, Foresight] = {}
    fast = Capacity(100.0, SUSTAINS_10.learnt)
    for many, few in ((0, 3), (2, 1)):
        pods = (
            ClassPods("fast", many, many, 0, {"m": fast}),
            ClassPods("slow", few, few, 0, {"m": SUSTAINS_10}),
        )
        load = replace(OBSERVED, classes=pods, capacities=mean_capacities(pods))
        foresee(foresights, load, policy(objective()), SETTLED)
        terms = foresights["m"].terms
        assert terms is not None
        assert terms.sustained_per_second == 10


def test_without_signals_nothing_is_added_and_nothing_foreseen() -> None:
    _, foresights = watched()
    before = foresights["m"].demand
    unknown = observed(2, NoSignals(Reason.NO_PODS, "no pod is ready"), capacity=SUSTAINS_10)
    assert foresee(foresights, unknown, policy(objective()), SETTLED) == {}
    assert foresights["m"].demand is before


def test_without_a_pod_to_tell_of_it_the_past_stays() -> None:
    _, foresights = watched()
    before = foresights["m"].demand
    assert foresee(foresights, observed(0, ()), policy(objective()), SETTLED) == {}
    assert foresights["m"].demand is before


def test_an_objective_that_goes_is_forgotten() -> None:
    _, foresights = watched()
    other = observed(2, seen(1.0, model="n"))
    foresee(foresights, other, policy(objective("n")), SETTLED)
    assert foresights.keys() == {"n"}


def test_a_target_by_hand_is_followed_and_nothing_foreseen() -> None:
    _, foresights = watched()
    by_hand = policy(objective(fixed=True))
    assert foresee(foresights, OBSERVED, by_hand, SETTLED) == {}
