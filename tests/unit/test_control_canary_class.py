"""Of which node class a canary's pods are, and what the stable pods are worth beside them."""

import pytest

from agents import agent_of, repository_of
from trireme.api import names
from trireme.autoscaler.types.capacity import Capacity, MeanOfClasses, OutOfReach
from trireme.control.agent_state import Accepted, Learning
from trireme.control.canary_class import StablePods, class_to_try, stable_pods
from trireme.control.store import AgentView

LEARNT = MeanOfClasses(())


def accepted(*classes: str) -> Accepted:
    server = {
        "image": "registry.example/triton:24.10-py3",
        "gpus": {"count": 1},
        "nodeClasses": [{"name": name, "price": 1.0} for name in classes],
    }
    return Accepted(agent_of(server=server), repository_of())


def fleet(*, more: int = 0, **ready: int) -> AgentView:
    """So many ready pods of each class, and `more` that are to be; "plain" is none."""
    view = AgentView(body={"metadata": {"uid": "0f5e"}})
    for name, count in ready.items():
        node_class = "" if name == "plain" else name
        labels = {names.OWNER: "echo", names.AGENT: "echo"}
        labels |= {names.NODE_CLASS: node_class} if node_class else {}
        deployment = names.server_set("echo", node_class)
        view.children["Deployment", deployment] = {
            "kind": "Deployment",
            "metadata": {
                "name": deployment,
                "labels": labels,
                "ownerReferences": [{"uid": "0f5e"}],
            },
            "spec": {"replicas": count + more},
            "status": {"readyReplicas": count},
        }
    return view


@pytest.mark.parametrize(
    ("ready", "classes", "expected"),
    [
        pytest.param({"spot": 2, "firm": 3}, ["spot", "firm"], "firm", id="where most are"),
        pytest.param({"firm": 2, "spot": 2}, ["spot", "firm"], "spot", id="the first of equals"),
        pytest.param({"spot": 2, "firm": 3}, ["spot"], "spot", id="one that it has"),
        pytest.param({"spot": 0, "firm": 3}, ["spot"], None, id="none is ready of its own"),
        pytest.param({"spot": 2}, ["firm"], None, id="none is of its own"),
        pytest.param({"plain": 2}, [], "", id="without classes"),
        pytest.param({"plain": 2}, ["spot"], None, id="they had none"),
        pytest.param({"spot": 2}, [], None, id="it has none any more"),
        pytest.param({}, [], None, id="nothing is there"),
    ],
)
def test_a_canary_is_of_the_class_that_most_ready_pods_are_of(
    ready: dict[str, int], classes: list[str], expected: str | None
) -> None:
    assert class_to_try(fleet(**ready), accepted(*classes)) == expected


def learns(view: AgentView, name: str, **capacities: Capacity | OutOfReach) -> None:
    """What a pod of a set sustains is known from now on."""
    server = agent_of().spec.server
    view.learning[name] = Learning("d1", "", server, {}, capacities={**capacities})


@pytest.mark.parametrize(
    ("node_class", "expected"),
    [
        pytest.param("spot", StablePods(8, 12), id="a large one is three small ones"),
        pytest.param("firm", StablePods(3, 4), id="three small ones are a large one"),
        pytest.param("odd", StablePods(4, 6), id="all alike where nothing is known of its own"),
    ],
)
def test_the_stable_pods_count_by_what_they_sustain(node_class: str, expected: StablePods) -> None:
    view = fleet(spot=2, firm=2, more=1)
    rates = {"echo-spot": 30.0, "echo-firm": 90.0}
    for name, rate in rates.items():
        learns(view, name, double=Capacity(rate, LEARNT))
    assert stable_pods(view, node_class) == expected


def test_of_several_objectives_the_one_counts_that_takes_the_most_pods() -> None:
    view = fleet(spot=2, firm=2)
    known = {"spot": (10.0, 10.0), "firm": (30.0, 20.0)}
    for name, (one, other) in known.items():
        learns(view, f"echo-{name}", a=Capacity(one, LEARNT), b=Capacity(other, LEARNT))
    assert stable_pods(view, "spot") == StablePods(8, 8)


def test_a_class_that_keeps_no_objective_counts_as_any_other() -> None:
    view = fleet(spot=2, firm=2)
    learns(view, "echo-spot", double=OutOfReach(1.0, LEARNT))
    learns(view, "echo-firm", double=Capacity(9.0, LEARNT))
    assert stable_pods(view, "firm") == StablePods(4, 4)
