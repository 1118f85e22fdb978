"""A canary of an agent with node classes, by a real API server: of which class its pods are."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from integration.operator_process import finish_rollout
from integration.passes import make_pod
from integration.test_canary import AGENT, FILES, NEW, OLD, Team
from kube import Kube, Object, merged
from trireme.api.rollout import RolloutPhase

SPOT = {"name": "spot", "price": 0.3, "min": 1, "placement": {"nodeSelector": {"sort": "spot"}}}
FIRM = {"name": "firm", "price": 0.9, "min": 2, "placement": {"nodeSelector": {"sort": "firm"}}}
LARGE = {"name": "large", "price": 2.5, "placement": {"nodeSelector": {"sort": "large"}}}


def with_classes(image: str, *classes: dict[str, Any]) -> Object:
    server = {"image": image, "nodeClasses": [*classes]}
    return merged(AGENT, {"spec": {"server": server, "scaling": {"min": 3, "max": 9}}})


@pytest.fixture
async def mixed(team: Kube) -> AsyncIterator[Team]:
    """An agent of one pod of a class and two of another."""
    async with AsyncExitStack() as stack:
        fleet = Team(team, stack)
        team.apply(FILES, with_classes(OLD, SPOT, FIRM))
        await fleet.restart()
        finish_rollout(team, "tried-spot", "tried-firm", "tried-gateway")
        make_pod(team, "tried-spot", "spot-one")
        make_pod(team, "tried-firm", "firm-one")
        make_pod(team, "tried-firm", "firm-two")
        await fleet.operator.passes()
        yield fleet


def nodes(fleet: Team, deployment: str) -> dict[str, str]:
    found = fleet.kube.get("deployment", deployment)["spec"]["template"]["spec"]
    selector: dict[str, str] = found.get("nodeSelector", {})
    return selector


async def test_a_canary_is_of_the_class_of_most_pods_and_all_classes_follow_it(
    mixed: Team,
) -> None:
    await mixed.apply(with_classes(NEW, SPOT, FIRM))

    assert (mixed.image("tried-spot"), mixed.image("tried-firm")) == (OLD, OLD)
    assert (mixed.image("tried-canary"), nodes(mixed, "tried-canary")) == (NEW, {"sort": "firm"})
    assert mixed.condition("Ready") == ("False", "TryingCanary")

    await mixed.told(RolloutPhase.PROGRESSING)
    await mixed.restart()
    assert mixed.canary.node_class == "firm"
    assert nodes(mixed, "tried-canary") == {"sort": "firm"}

    await mixed.found(RolloutPhase.PROMOTED)
    assert (mixed.image("tried-spot"), mixed.image("tried-firm")) == (NEW, NEW)
    finish_rollout(mixed.kube, "tried-spot")
    await mixed.operator.passes()
    assert mixed.image("tried-canary") == NEW
    finish_rollout(mixed.kube, "tried-firm")
    await mixed.operator.passes()
    assert mixed.image("tried-canary") is None
    assert nodes(mixed, "tried-spot") == {"sort": "spot"}


async def test_a_canary_of_another_class_follows_one_of_the_same_name(mixed: Team) -> None:
    await mixed.apply(with_classes(NEW, SPOT, FIRM))
    await mixed.found(RolloutPhase.ROLLED_BACK, "worse than the stable pods")
    assert mixed.image("tried-canary") is None

    mixed.kube.run("scale", "deployment", "tried-spot", "--replicas=4")
    finish_rollout(mixed.kube, "tried-spot")
    await mixed.apply(with_classes("trireme/triton:24.12-cpu", SPOT, FIRM))

    assert nodes(mixed, "tried-canary") == {"sort": "spot"}


@pytest.mark.parametrize(
    "classes",
    [
        pytest.param((SPOT, FIRM, LARGE), id="one more"),
        pytest.param(({**SPOT, "price": 0.4, "max": 5}, FIRM), id="another price and bound"),
    ],
)
async def test_what_a_class_costs_and_that_one_comes_replaces_no_pod_and_needs_no_canary(
    mixed: Team, classes: tuple[dict[str, Any], ...]
) -> None:
    before = mixed.generation("tried-spot"), mixed.generation("tried-firm")

    await mixed.apply(with_classes(OLD, *classes))

    assert mixed.operator.view.canary is None
    assert (mixed.generation("tried-spot"), mixed.generation("tried-firm")) == before
    assert (mixed.image("tried-large") is None) == (len(classes) == 2)
