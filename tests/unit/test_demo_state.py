"""What the demo gathers from the cluster and the load's log."""

from datetime import UTC, datetime
from typing import Any

import pytest
from demo.state import (
    EventLine,
    Moment,
    State,
    event_line,
    load_ended,
    load_hindrance,
    load_started,
    unready,
    with_agent,
    with_load,
    within_objective,
)

from load.results import Percentiles, SecondReport
from trireme.api.agent import AgentDeployment

SPEC = {
    "server": {"image": "trireme/triton:24.10-cpu"},
    "models": [
        {
            "name": "policy",
            "source": {"configMap": "policy"},
            "backend": "python",
            "inputs": [{"name": "x", "dataType": "FP32", "dims": [16]}],
            "outputs": [{"name": "y", "dataType": "FP32", "dims": [16]}],
        }
    ],
    "objectives": [{"model": "policy", "latency": {"target": "200ms"}}],
}


def agent(generation: int = 1, **status: Any) -> AgentDeployment:
    return AgentDeployment.model_validate(
        {
            "metadata": {"name": "demo", "generation": generation},
            "spec": SPEC,
            "status": {"observedGeneration": 1, **status},
        }
    )


def ready(status: str, reason: str = "RollingOut", message: str = "1 of 2") -> dict[str, Any]:
    return {
        "type": "Ready",
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": "2026-11-24T10:00:00Z",
    }


def decision(to: int) -> dict[str, Any]:
    return {
        "time": f"2026-11-24T10:00:0{to}Z",
        "reason": "ScaledUp",
        "fromReplicas": to - 1,
        "toReplicas": to,
        "message": f"to {to}",
    }


def second(number: int, p95_ms: float | None = 100, in_flight: int = 0) -> SecondReport:
    latency = None if p95_ms is None else Percentiles(10, 50, p95_ms, p95_ms, p95_ms)
    return SecondReport(number, 40, 40, 10 if latency else 0, 0, 0, in_flight, latency, {})


def test_decisions_that_the_status_has_forgotten_are_kept_in_order() -> None:
    state = State("demo", 60)
    for seen in ([2, 1], [2, 1], [4, 3, 2]):  # newest first, as the status has them
        scaling = {"desiredReplicas": seen[0], "decisions": [decision(to) for to in seen]}
        state = with_agent(state, agent(scaling=scaling))
    assert [decision.to_replicas for decision in state.decisions] == [1, 2, 3, 4]


def test_a_log_read_again_from_its_beginning_adds_only_what_is_new() -> None:
    state = with_load(State("demo", 60), [second(0), second(1)])
    state = with_load(state, [second(0), second(1), second(2)])
    assert [moment.load.second for moment in state.moments] == [0, 1, 2]


def test_a_moment_holds_the_fleet_as_it_then_was() -> None:
    scaling = {"desiredReplicas": 3}
    state = with_load(State("demo", 60), [second(0)])
    state = with_agent(state, agent(scaling=scaling, readyReplicas=2))
    state = with_load(state, [second(1)])
    assert [(moment.wanted, moment.ready) for moment in state.moments] == [(None, None), (3, 2)]


@pytest.mark.parametrize(
    ("load", "kept"),
    [
        pytest.param(second(0, p95_ms=200), True, id="a p95 on the bound"),
        pytest.param(second(0, p95_ms=200.1), False, id="a p95 above the bound"),
        pytest.param(second(0, p95_ms=None, in_flight=3), False, id="all waited and none ended"),
        pytest.param(second(0, p95_ms=None), None, id="no request, so nothing known"),
    ],
)
def test_a_second_keeps_the_objective_by_what_the_client_saw(
    load: SecondReport, kept: bool | None
) -> None:
    assert within_objective(Moment(load, 1, 1), target_ms=200) is kept


@pytest.mark.parametrize(
    ("found", "why"),
    [
        pytest.param(None, "the AgentDeployment does not exist", id="absent"),
        pytest.param(agent(generation=2), "waiting for the operator to look at it", id="not seen"),
        pytest.param(agent(), "waiting for the operator to look at it", id="without conditions"),
        pytest.param(agent(conditions=[ready("False")]), "RollingOut: 1 of 2", id="rolling out"),
        pytest.param(agent(conditions=[ready("True")]), None, id="ready"),
    ],
)
def test_an_agent_is_ready_when_the_operator_says_so_of_its_present_generation(
    found: AgentDeployment | None, why: str | None
) -> None:
    assert unready(found) == why


EVENT = {
    "metadata": {"creationTimestamp": "2026-11-24T10:00:00Z"},
    "eventTime": "2026-11-24T10:00:01.500000Z",
    "reason": "ScaledUp",
    "note": "2 → 5",
    "type": "Normal",
}
OLD_EVENT = {
    "metadata": {"creationTimestamp": "2026-11-24T10:00:00Z"},
    "eventTime": None,
    "deprecatedLastTimestamp": "2026-11-24T10:00:09Z",
    "deprecatedCount": 3,
    "reason": "ScalingHeld",
    "note": "held",
    "type": "Warning",
}


@pytest.mark.parametrize(
    ("event", "line"),
    [
        pytest.param(
            EVENT,
            EventLine(
                datetime(2026, 11, 24, 10, 0, 1, 500000, tzinfo=UTC), "ScaledUp", "2 → 5", False
            ),
            id="a single event",
        ),
        pytest.param(
            {**EVENT, "series": {"count": 4, "lastObservedTime": "2026-11-24T10:05:00.000000Z"}},
            EventLine(datetime(2026, 11, 24, 10, 5, tzinfo=UTC), "ScaledUp", "2 → 5", False, 4),
            id="a series, by its last time",
        ),
        pytest.param(
            OLD_EVENT,
            EventLine(datetime(2026, 11, 24, 10, 0, 9, tzinfo=UTC), "ScalingHeld", "held", True, 3),
            id="one made through the old API",
        ),
    ],
)
def test_an_event_is_read_with_its_last_time_and_count(
    event: dict[str, Any], line: EventLine
) -> None:
    assert event_line(event) == line


def pod(phase: str, *containers: dict[str, Any]) -> dict[str, Any]:
    return {
        "status": {"phase": phase, "containerStatuses": [{"state": state} for state in containers]}
    }


RUNNING = pod("Running", {"running": {"startedAt": "2026-11-24T10:00:00Z"}})
ENDED = pod("Failed", {"terminated": {"startedAt": "2026-11-24T10:00:00Z", "exitCode": 1}})
PULLING = pod("Pending", {"waiting": {"reason": "ErrImagePull", "message": "not found"}})
UNSCHEDULED = {
    "status": {
        "phase": "Pending",
        "conditions": [
            {
                "type": "PodScheduled",
                "status": "False",
                "reason": "Unschedulable",
                "message": "0/1 nodes",
            }
        ],
    }
}


@pytest.mark.parametrize(
    ("found", "hindrance"),
    [
        pytest.param(None, "waiting for its pod", id="no pod yet"),
        pytest.param(UNSCHEDULED, "Unschedulable: 0/1 nodes", id="no node"),
        pytest.param(PULLING, "ErrImagePull not found", id="no image"),
        pytest.param(RUNNING, None, id="running"),
        pytest.param(ENDED, None, id="ended already"),
    ],
)
def test_the_load_s_hindrance_is_told_in_the_cluster_s_words(
    found: dict[str, Any] | None, hindrance: str | None
) -> None:
    assert load_hindrance(found) == hindrance


def test_the_load_s_start_and_end_are_its_container_s() -> None:
    start = datetime(2026, 11, 24, 10, tzinfo=UTC)
    assert [load_started(found) for found in (PULLING, RUNNING, ENDED)] == [None, start, start]
    assert [load_ended(found) for found in (PULLING, RUNNING, ENDED)] == [False, False, True]
