"""The size that a Deployment is made with."""

from typing import Any

import pytest

from agents import agent_of
from trireme.resources.initial_size import initial_replicas, initial_sizes

OBJECTIVES = [{"model": "double", "latency": {"target": "100ms"}}]
DAY = {"schedule": "0 8 * * *", "duration": "10h", "min": 4, "max": 20}
EMPTY = {"min": 0, "demand": {"query": "vector(1)"}}
NIGHT = {"schedule": "0 22 * * *", "duration": "8h", "min": 1}


@pytest.mark.parametrize(
    ("scaling", "desired", "made"),
    [
        pytest.param({}, None, 2, id="nothing was wanted yet"),
        pytest.param({}, 5, 5, id="what was wanted before it went"),
        pytest.param({}, 12, 10, id="more than may be"),
        pytest.param({}, 1, 2, id="less than may be"),
        pytest.param({"schedules": [DAY]}, None, 2, id="the autoscaler says which window is open"),
        pytest.param({"schedules": [DAY]}, 18, 18, id="what a window may have allowed"),
        pytest.param({"schedules": [DAY]}, 25, 20, id="more than any window allows"),
        pytest.param({**EMPTY}, None, 1, id="one that may be empty loads its models once"),
        pytest.param({**EMPTY}, 0, 0, id="one that was empty"),
        pytest.param({"schedules": [DAY, NIGHT]}, 1, 1, id="as few as a window may have allowed"),
    ],
)
def test_a_new_deployment_has_the_size_that_was_last_wanted(
    scaling: dict[str, Any], desired: int | None, made: int
) -> None:
    agent = agent_of(objectives=OBJECTIVES, scaling={"min": 2, "max": 10, **scaling})
    assert initial_replicas(agent, desired) == made


def test_where_somebody_else_decides_it_is_what_he_said() -> None:
    agent = agent_of(objectives=OBJECTIVES, replicas=3, scaling={"mode": "Fixed"})
    assert initial_replicas(agent, 7) == 3


@pytest.mark.parametrize(
    ("existing", "by_class", "made"),
    [
        pytest.param((), None, {"echo-spot": 2, "echo-firm": 1}, id="the cheapest of a new agent"),
        pytest.param(("echo",), None, {"echo-spot": 0, "echo-firm": 0}, id="others serve already"),
        pytest.param(("echo-firm",), {"spot": 1, "firm": 3}, {"echo-spot": 1}, id="one that went"),
        pytest.param((), {"spot": 1, "firm": 3}, {"echo-spot": 1, "echo-firm": 3}, id="all went"),
    ],
)
def test_the_deployments_of_node_classes_share_the_size(
    existing: tuple[str, ...], by_class: dict[str, int] | None, made: dict[str, int]
) -> None:
    classes = [{"name": "spot", "price": 0.3, "max": 2}, {"name": "firm", "price": 0.9}]
    server = {"image": "x:24.10-py3", "gpus": {"count": 0}, "nodeClasses": classes}
    agent = agent_of(objectives=OBJECTIVES, server=server, scaling={"min": 3})
    assert initial_sizes(agent, None, existing, by_class) == made
