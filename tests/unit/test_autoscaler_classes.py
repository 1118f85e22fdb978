"""Fleets of several node classes in virtual time: which pods are started, and which go."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from trireme.api.conditions import Reason
from trireme.api.scaling import Behavior, Paused, PolicyType, SelectPolicy
from trireme.autoscaler import classes
from trireme.autoscaler.records import Inputs, Record, conclude, from_line, replay, written
from trireme.autoscaler.service_curve import ServiceCurve
from trireme.autoscaler.types.capacity import Capacity, OutOfReach
from trireme.autoscaler.types.decision import Decision
from trireme.autoscaler.types.memory import Memory
from trireme.autoscaler.types.observation import ClassPods, Forecast, Grant, LeadTime
from trireme.autoscaler.types.policy import NodeClass, Policy
from trireme.autoscaler.types.signals import NoSignals
from unit.autoscaling import NOW, SETTLED, observed, policy, rules, seen

ROUND = 5  # seconds
LEAD = 60.0
CURVE = ServiceCurve(0.02, 0.002, 8)
A100, L4 = NodeClass("a100", 3.0, 0, 10, gpus=1), NodeClass("l4", 0.8, 0, 10, gpus=1)
RATES = {"a100": 100.0, "l4": 30.0}


@dataclass
class Fleet:
    """Pods of classes; a pod is ready a lead time after it was asked for, if its class has a node.
    What is asked for is forecast, so that windows are as short as a lead time.
    """

    pods: dict[str, int]
    rates: Mapping[str, float | None] = field(default_factory=lambda: RATES)
    rules: tuple[NodeClass, ...] = (A100, L4)
    rule: Policy = field(default_factory=policy)
    nodes: dict[str, int] = field(default_factory=dict)  # at most so many
    memory: Memory = SETTLED
    at: int = 0
    started: dict[str, list[int]] = field(default_factory=dict)
    decisions: list[Decision] = field(default_factory=list)
    served: list[float] = field(default_factory=list)
    grant: Grant | None = None
    is_foreseen: bool = True

    def __post_init__(self) -> None:
        self.started = {name: [-1000] * n for name, n in self.pods.items()}

    def ready(self, name: str) -> int:
        placed = self.started[name][: self.nodes.get(name, 1000)]
        return sum(self.at - began >= LEAD for began in placed)

    def short(self, name: str) -> int:
        return max(0, len(self.started[name]) - self.nodes.get(name, 1000))

    def classes(self) -> tuple[ClassPods, ...]:
        return tuple(
            ClassPods(
                name,
                len(pods),
                self.ready(name),
                self.short(name),
                {"m": Capacity(rate, CURVE)} if (rate := self.rates.get(name)) else {},
                LeadTime(LEAD, LEAD, 5),
            )
            for name, pods in self.started.items()
        )

    def live(self, rate: float, seconds: int, latency: float = 0.05) -> None:
        for _ in range(seconds // ROUND):
            self.at += ROUND
            seen_now = self.classes()
            self.served.append(
                sum(each.ready * (self.rates.get(each.name) or 30.0) for each in seen_now)
            )
            foreseen = Forecast(rate, 1.0, "as now", LEAD, LEAD, 0.0)
            observation = replace(
                observed(
                    sum(each.replicas for each in seen_now),
                    seen(rate * latency, latency, rate=rate),
                    ready=sum(each.ready for each in seen_now),
                    now=NOW + timedelta(seconds=self.at),
                ),
                capacities=classes.mean_capacities(seen_now),
                forecasts={"m": foreseen} if self.is_foreseen else {},
                classes=seen_now,
                grant=self.grant,
            )
            inputs = Inputs(observation, replace(self.rule, classes=self.rules), self.memory)
            decision, self.memory = conclude(inputs)
            self.decisions.append(decision)
            if self.at % 60 == 0:
                line = written(Record("1", "team", "a", inputs, decision)).line
                read = from_line(line)
                assert read is not None
                assert replay(read, "1").difference is None
            assert sum(size.replicas for size in decision.classes) == decision.replicas
            for size in decision.classes:
                began = self.started[size.name]
                began += [self.at] * (size.replicas - len(began))
                while len(began) > size.replicas:
                    began.pop()  # the youngest are not ready, and go first

    @property
    def sizes(self) -> dict[str, int]:
        return {name: len(pods) for name, pods in self.started.items()}


def test_more_load_adds_the_cheapest_pods_to_those_that_run() -> None:
    fleet = Fleet({"a100": 1, "l4": 0})
    fleet.live(150, 60)
    assert fleet.sizes == {"a100": 1, "l4": 2}
    assert "1 a100 and 2 l4" in str(fleet.decisions[0].message)


def test_less_load_removes_the_dearest_that_the_rest_can_do_without() -> None:
    fleet = Fleet({"a100": 1, "l4": 2})
    fleet.live(50, 600)
    assert fleet.sizes == {"a100": 0, "l4": 2}


def test_a_cheaper_mix_is_begun_when_staying_has_cost_what_its_starts_do() -> None:
    fleet = Fleet({"a100": 1, "l4": 0})  # 3.0, where two l4 do it for 1.6
    fleet.live(50, 60)
    assert fleet.sizes == {"a100": 1, "l4": 0}, "two starts cost 1.6 x 60, staying 1.4 a second"
    assert "does not pay its starts yet" in str(fleet.decisions[-1].message)
    fleet.live(50, 20)
    assert fleet.sizes == {"a100": 1, "l4": 2}
    fleet.live(50, 200)
    assert fleet.sizes == {"a100": 0, "l4": 2}
    assert min(fleet.served) >= 50, "the old pod goes after the new ones are ready"


def test_a_gain_that_does_not_last_reshuffles_nothing() -> None:
    fleet = Fleet({"a100": 1, "l4": 0})
    for _ in range(5):
        fleet.live(50, 40)
        fleet.live(95, 200)
    assert fleet.sizes == {"a100": 1, "l4": 0}


def test_a_class_without_nodes_is_bounded_to_what_runs_and_another_takes_its_place() -> None:
    fleet = Fleet({"a100": 0, "l4": 1}, nodes={"l4": 1})
    fleet.live(85, 60)
    assert fleet.sizes == {"a100": 0, "l4": 3}, "a node may come within a start"
    fleet.live(85, 20)
    assert fleet.sizes["a100"] == 1
    assert "l4 did not get its pods: no more than 1" in str(fleet.decisions[-1].message)
    fleet.live(85, 100)
    assert fleet.sizes == {"a100": 1, "l4": 0}
    fleet.nodes = {}
    fleet.live(85, 800)
    assert fleet.sizes == {"a100": 0, "l4": 3}, "later it is tried again"
    assert min(fleet.served[50:]) >= 85


def test_the_pods_of_a_class_that_is_not_wanted_any_more_go_after_others_serve() -> None:
    fleet = Fleet({"a100": 2, "l4": 0}, rules=(L4,))
    fleet.live(150, 40)
    assert fleet.sizes == {"a100": 2, "l4": 5}
    fleet.live(150, 60)
    assert fleet.sizes == {"a100": 0, "l4": 5}
    assert min(fleet.served) >= 150


def test_an_agent_that_ran_without_classes_moves_into_them_without_a_gap() -> None:
    fleet = Fleet({"": 3, "a100": 0, "l4": 0}, rates={"": 30.0, **RATES})
    fleet.live(85, 300)
    assert fleet.sizes == {"": 0, "a100": 0, "l4": 3}
    assert min(fleet.served) >= 85


def test_a_class_of_which_nothing_is_known_has_its_first_pod_when_one_is_added_anyway() -> None:
    unknown = NodeClass("h100", 9.0, 0, 5)
    fleet = Fleet({"l4": 1, "h100": 0}, rates={"l4": 30.0, "h100": None}, rules=(L4, unknown))
    fleet.live(25, 300)
    assert fleet.sizes == {"l4": 1, "h100": 0}, "not before"
    fleet.live(55, 300)
    assert fleet.sizes == {"l4": 1, "h100": 1}
    fleet.rates = {"l4": 30.0, "h100": 40.0}  # it is learnt, and dear for that
    fleet.live(55, 600)
    assert fleet.sizes == {"l4": 2, "h100": 0}


def test_where_no_class_is_known_the_cheapest_pods_are_taken() -> None:
    fleet = Fleet({"a100": 0, "l4": 1}, rates={})
    fleet.live(800, 5)  # 40 in flight, 8 a pod
    assert fleet.sizes == {"a100": 0, "l4": 5}


def test_a_class_too_slow_for_the_objective_is_not_bought() -> None:
    pods = (
        ClassPods("a100", 1, 1, 0, {"m": Capacity(100.0, CURVE)}),
        ClassPods("cpu", 2, 2, 0, {"m": OutOfReach(0.5, CURVE)}),
    )
    assert classes.sustained(pods[1], "m", 100.0) == 0
    mean = classes.mean_capacities(pods)["m"]
    assert isinstance(mean, Capacity)
    assert mean.per_second == pytest.approx(100 / 3)


@pytest.mark.parametrize(
    ("a100", "l4", "worth"),
    [(3, 0, 10), (1, 4, 7), (0, 1, 1), (0, 0, 0)],
)
def test_what_was_asked_before_is_worth_as_many_pods_whatever_the_mix_is(
    a100: int, l4: int, worth: int
) -> None:
    pods = (
        ClassPods("a100", a100, a100, 0, {"m": Capacity(100.0, CURVE)}),
        ClassPods("l4", l4, l4, 0, {"m": Capacity(30.0, CURVE)}),
    )
    load = replace(observed(a100 + l4, seen(40.0)), classes=pods)
    found = classes.counted(load, policy(bounds=(1, 6)), "m")
    assert found.capacity == Capacity(30.0, CURVE)
    assert found.ready == worth
    assert found.policy.max_replicas == 20, "six of the large ones"


def test_pods_that_are_all_alike_are_counted_as_they_are() -> None:
    load = observed(3, seen(40.0), capacity=Capacity(100.0, CURVE))
    found = classes.counted(load, policy(), "m")
    assert found == classes.Counted(Capacity(100.0, CURVE), 3, policy())


@pytest.mark.parametrize(
    ("change", "sizes"),
    [
        pytest.param(lambda f: replace_rule(f, min_replicas=4), {"a100": 0, "l4": 4}, id="min"),
        pytest.param(lambda f: replace_rule(f, max_replicas=2), {"a100": 1, "l4": 1}, id="max"),
        pytest.param(
            lambda f: setattr(f, "grant", Grant(2, "GPU budget")), {"a100": 1, "l4": 1}, id="GPUs"
        ),
        pytest.param(
            lambda f: setattr(f, "rules", (A100, replace(L4, max_replicas=1))),
            {"a100": 1, "l4": 1},
            id="the max of a class",
        ),
        pytest.param(
            lambda f: setattr(f, "rules", (replace(A100, min_replicas=1), L4)),
            {"a100": 1, "l4": 1},
            id="the min of a class",
        ),
        pytest.param(
            lambda f: replace_rule(f, paused=Paused.SCALE_OUT), {"a100": 0, "l4": 1}, id="paused"
        ),
    ],
)
def test_bounds_hold_for_all_classes_together_and_for_each(
    change: Callable[[Fleet], object], sizes: dict[str, int]
) -> None:
    fleet = Fleet({"a100": 0, "l4": 1})
    change(fleet)
    fleet.live(115, 300)
    assert fleet.sizes == sizes


def replace_rule(fleet: Fleet, **fields: object) -> None:
    fleet.rule = replace(fleet.rule, **fields)  # type: ignore[arg-type]


def test_fewer_than_the_fleet_has_go_at_once_where_the_bounds_say_so() -> None:
    fleet = Fleet({"a100": 3, "l4": 3})
    replace_rule(fleet, max_replicas=4)
    fleet.live(320, 30)
    assert sum(fleet.sizes.values()) == 4
    assert fleet.decisions[0].reason is Reason.SCALED_DOWN


def test_a_full_fleet_changes_to_larger_pods_one_at_a_time_and_serves_meanwhile() -> None:
    fleet = Fleet({"a100": 0, "l4": 2})
    replace_rule(fleet, max_replicas=2)
    fleet.live(190, 400)
    assert fleet.sizes == {"a100": 2, "l4": 0}
    assert min(fleet.served) >= 60
    assert max(decision.replicas for decision in fleet.decisions) == 3, "one beyond scaling.max"


@pytest.mark.parametrize(
    ("l4", "bounds", "rate", "sizes"),
    [
        pytest.param(L4, (2, 2), 10, {"a100": 0, "l4": 2}, id="a cheaper class"),
        pytest.param(replace(L4, min_replicas=1), (1, 2), 125, {"a100": 1, "l4": 1}, id="its min"),
    ],
)
def test_a_full_fleet_comes_to_another_mix_one_pod_at_a_time(
    l4: NodeClass, bounds: tuple[int, int], rate: float, sizes: dict[str, int]
) -> None:
    fleet = Fleet({"a100": 2, "l4": 0}, rules=(A100, l4))
    replace_rule(fleet, min_replicas=bounds[0], max_replicas=bounds[1])
    fleet.live(rate, 900)
    assert fleet.sizes == sizes
    assert max(decision.replicas for decision in fleet.decisions) == 3, "one beyond scaling.max"
    assert min(fleet.served) >= min(rate, 130)


def test_a_break_of_a_full_fleet_replaces_no_pods_that_carry_what_is_asked() -> None:
    cheap, dear = NodeClass("cheap", 1.0, 0, 1, gpus=0), NodeClass("dear", 3.0, 0, 3, gpus=0)
    fleet = Fleet({"cheap": 1, "dear": 2}, rates={"cheap": 30.0, "dear": 36.0}, rules=(cheap, dear))
    replace_rule(fleet, max_replicas=3)
    fleet.live(75, 120, latency=0.3)  # of 102 that they sustain; three dear ones would do 108
    assert fleet.sizes == {"cheap": 1, "dear": 2}
    assert max(decision.replicas for decision in fleet.decisions) == 3
    fleet.live(107, 120)
    assert fleet.sizes == {"cheap": 0, "dear": 3}


def test_a_break_of_a_full_fleet_at_its_edge_has_pods_replaced_though_the_rate_is_tolerated() -> (
    None
):
    fleet = Fleet({"a100": 0, "l4": 4}, is_foreseen=False)
    replace_rule(fleet, max_replicas=4)
    fleet.live(117, 300, latency=0.12)  # of 120 that they are believed to sustain
    assert fleet.sizes["a100"] > 0


def test_without_signals_the_classes_are_held() -> None:
    pods = (ClassPods("a100", 1, 1), ClassPods("l4", 2, 1))
    observation = replace(
        observed(3, NoSignals(Reason.NO_SERIES, "nothing is known"), ready=2), classes=pods
    )
    decision, _ = conclude(Inputs(observation, replace(policy(), classes=(A100, L4)), SETTLED))
    assert [(s.name, s.replicas) for s in decision.classes] == [("a100", 1), ("l4", 2)]
    assert decision.reason is Reason.NO_SIGNALS


@pytest.mark.parametrize(
    ("pods", "rules", "bounds", "grant", "sizes"),
    [
        pytest.param(
            {"a100": 0, "l4": 2},
            (replace(A100, max_replicas=5), replace(L4, max_replicas=10)),
            (20, 100),
            None,
            {"a100": 5, "l4": 10},
            id="a min that the classes cannot have together",
        ),
        pytest.param(
            {"a100": 6, "l4": 6},
            (replace(A100, min_replicas=1), replace(L4, min_replicas=2)),
            (1, 2),
            None,
            {"a100": 0, "l4": 2},
            id="a max that is less than the classes' min",
        ),
        pytest.param(
            {"a100": 2, "l4": 6},
            (replace(A100, min_replicas=2, gpus=4), L4),
            (1, 100),
            6,
            {"a100": 1, "l4": 2},
            id="a grant that is less than the classes' min",
        ),
    ],
)
def test_bounds_that_exclude_each_other_freeze_nothing(
    pods: dict[str, int],
    rules: tuple[NodeClass, ...],
    bounds: tuple[int, int],
    grant: int | None,
    sizes: dict[str, int],
) -> None:
    fleet = Fleet(pods, rules=rules)
    fleet.grant = None if grant is None else Grant(grant, "GPU budget")
    replace_rule(fleet, min_replicas=bounds[0], max_replicas=bounds[1])
    fleet.live(900, 600)
    assert fleet.sizes == sizes


def test_where_a_class_has_no_nodes_the_others_start_though_they_are_fewer_than_the_min() -> None:
    fleet = Fleet({"a100": 3, "l4": 0}, nodes={"a100": 0})
    fleet.rules = (A100, replace(L4, max_replicas=2))
    replace_rule(fleet, min_replicas=3)
    fleet.live(50, 100)
    assert fleet.sizes["l4"] == 2


def test_the_only_pod_is_waited_for_however_long_its_node_takes() -> None:
    fleet = Fleet({"l4": 1}, rules=(L4,), nodes={"l4": 0})
    fleet.live(20, 600)
    assert fleet.sizes == {"l4": 1}


NO_WINDOWS = Behavior(up=rules(), down=rules())
FROZEN = Behavior(up=rules(select=SelectPolicy.DISABLED), down=rules(select=SelectPolicy.DISABLED))


@pytest.mark.parametrize(
    ("pods", "bounds", "grant", "sizes", "words"),
    [
        pytest.param({"a100": 0, "l4": 2}, (9, 40), None, (0, 9), "scaling.min is 9", id="min"),
        pytest.param(
            {"a100": 0, "l4": 9}, (1, 4), None, (0, 4), "limited by scaling.max 4", id="max"
        ),
        pytest.param({"a100": 2, "l4": 6}, (1, 40), 4, (0, 4), "limited by GPU budget", id="grant"),
    ],
)
def test_bounds_and_grants_hold_at_once_whatever_the_rates_and_windows(
    pods: dict[str, int],
    bounds: tuple[int, int],
    grant: int | None,
    sizes: tuple[int, int],
    words: str,
) -> None:
    fleet = Fleet(pods)
    fleet.grant = None if grant is None else Grant(grant, "GPU budget")
    fleet.memory = replace(SETTLED, started=NOW)  # a restart
    replace_rule(fleet, min_replicas=bounds[0], max_replicas=bounds[1], behavior=FROZEN)
    fleet.live(25, 5)
    assert fleet.sizes == dict(zip(("a100", "l4"), sizes, strict=True))
    assert words in str(fleet.decisions[0].message)


def test_without_signals_no_more_start_than_were_granted() -> None:
    pods = (ClassPods("a100", 0, 0), ClassPods("l4", 1, 1))
    observation = replace(
        observed(1, NoSignals(Reason.NO_SERIES, "nothing is known")),
        classes=pods,
        grant=Grant(2, "GPU budget"),
    )
    rule = replace(policy(bounds=(6, 9)), classes=(A100, replace(L4, gpus=1)))
    decision, _ = conclude(Inputs(observation, rule, SETTLED))
    assert [(s.name, s.replicas) for s in decision.classes] == [("a100", 0), ("l4", 2)]


def test_removed_classes_go_whatever_the_rates_and_of_others_the_dearest_first() -> None:
    fleet = Fleet({"": 3, "a100": 1, "l4": 4}, rates={"": 30.0, **RATES})
    replace_rule(fleet, behavior=FROZEN)
    fleet.live(25, 100)
    assert fleet.sizes == {"": 0, "a100": 1, "l4": 4}
    replace_rule(fleet, behavior=Behavior(up=rules(), down=rules((1, PolicyType.PODS, 60))))
    fleet.live(25, 5)
    assert fleet.sizes == {"": 0, "a100": 0, "l4": 4}


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        pytest.param(
            lambda f: replace_rule(f, max_replicas=3), "limited by scaling.max 3", id="of all"
        ),
        pytest.param(
            lambda f: setattr(
                f, "rules", (replace(A100, max_replicas=1), replace(L4, max_replicas=2))
            ),
            "limited by the classes' max: 1 a100 and 2 l4",
            id="of each",
        ),
        pytest.param(
            lambda f: setattr(f, "grant", Grant(3, "GPU budget")),
            "limited by GPU budget",
            id="of a budget",
        ),
    ],
)
def test_the_message_names_the_limit_that_binds(
    limit: Callable[[Fleet], object], words: str
) -> None:
    fleet = Fleet({"a100": 1, "l4": 0})
    limit(fleet)
    fleet.live(2000, 300)
    assert words in str(fleet.decisions[-1].message)
    assert fleet.decisions[-1].reason is Reason.LIMITED


def test_a_pod_that_waits_for_its_node_sends_no_growth_to_a_dear_class() -> None:
    fleet = Fleet({"a100": 0, "l4": 2}, nodes={"l4": 2})
    fleet.live(80, 10)
    fleet.live(115, 20)
    assert fleet.sizes == {"a100": 0, "l4": 4}


def test_a_ramp_whose_pods_get_their_nodes_one_by_one_is_no_shortage() -> None:
    fleet = Fleet({"a100": 0, "l4": 1}, nodes={"l4": 1})
    for pods in range(2, 9):
        fleet.live(30 * pods - 5, 50)
        fleet.nodes = {"l4": pods}
    assert fleet.sizes == {"a100": 0, "l4": 8}
    assert not fleet.memory.classes.shortages or fleet.memory.classes.shortages[0].until is None


def test_a_class_that_cannot_keep_the_objective_is_not_bought_for_a_fleet_at_rest() -> None:
    pods = (
        ClassPods("cpu", 0, 0, 0, {"m": OutOfReach(0.5, CURVE)}),
        ClassPods("gpu", 1, 1, 0, {"m": Capacity(100.0, CURVE)}),
    )
    of_both = (NodeClass("cpu", 0.1, 0, 10), NodeClass("gpu", 3.0, 0, 10))
    memory = SETTLED
    for second in range(0, 3600, 60):
        now = NOW + timedelta(seconds=second)
        observation = replace(
            observed(1, seen(0.0, None, rate=0.0), now=now),
            capacities=classes.mean_capacities(pods),
            classes=pods,
        )
        inputs = Inputs(observation, replace(policy(), classes=of_both), memory)
        decision, memory = conclude(inputs)
        assert decision.replicas == 1


def test_an_unknown_class_is_not_kept_as_the_last_pod() -> None:
    dear = NodeClass("h100", 50.0, 0, 5)
    fleet = Fleet({"l4": 1, "h100": 1}, rates={"l4": 30.0, "h100": None}, rules=(L4, dear))
    fleet.live(5, 300)
    assert fleet.sizes == {"l4": 1, "h100": 0}


def test_a_class_that_little_traffic_does_not_teach_is_kept_for_a_bounded_time() -> None:
    dear = NodeClass("h100", 50.0, 0, 5)
    fleet = Fleet({"l4": 2, "h100": 1}, rates={"l4": 30.0, "h100": None}, rules=(L4, dear))
    fleet.live(55, 300)
    assert fleet.sizes["h100"] == 1
    fleet.live(55, 600)
    assert fleet.sizes == {"l4": 2, "h100": 0}


@pytest.mark.parametrize(
    ("ready", "sizes"),
    [
        pytest.param(0, [2, 1], id="as long as no other serves"),
        pytest.param(1, [0, 1], id="and go then"),
    ],
)
def test_pods_that_cannot_keep_the_objective_serve_on(ready: int, sizes: list[int]) -> None:
    pods = (
        ClassPods("cpu", 2, 2, 0, {"m": OutOfReach(0.5, CURVE)}),
        ClassPods("gpu", 1, ready, 0, {"m": Capacity(100.0, CURVE)}),
    )
    observation = replace(
        observed(3, seen(1.0, 0.05, rate=20.0), ready=2 + ready),
        capacities=classes.mean_capacities(pods),
        classes=pods,
    )
    of_both = (NodeClass("cpu", 0.1, 0, 10), NodeClass("gpu", 3.0, 0, 10))
    rule = replace(policy(behavior=NO_WINDOWS), classes=of_both)
    decision, _ = conclude(Inputs(observation, rule, SETTLED))
    assert [size.replicas for size in decision.classes] == sizes
