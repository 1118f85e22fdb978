"""The table of all agents."""

from typing import Any

import pytest

from trireme.cli.top import row, table
from unit.autoscaling import NOW

BODY: dict[str, Any] = {
    "metadata": {"namespace": "support", "name": "ticket-router"},
    "spec": {"objectives": [{"model": "m", "latency": {"percentile": 95, "target": "200ms"}}]},
    "status": {
        "readyReplicas": 2,
        "scaling": {
            "desiredReplicas": 3,
            "observed": {
                "time": "2026-01-01T11:59:50Z",
                "model": "m",
                "requestRatePerSecond": 143.2,
                "inFlight": 12.0,
                "latencyMilliseconds": 182.3,
                "latencyKind": "p95",
            },
            "curves": [
                {
                    "model": "m",
                    "modelDigest": "d",
                    "fixedMilliseconds": 40,
                    "perRequestMilliseconds": 10,
                    "maxBatch": 8,
                    "noise": 0,
                    "executions": 400,
                    "sustainedPerSecond": 57.0,
                    "factor": 0.8,
                }
            ],
            "decisions": [
                {
                    "time": "2026-01-01T11:48:00Z",
                    "reason": "ScaledDown",
                    "fromReplicas": 4,
                    "toReplicas": 3,
                    "message": "4 → 3",
                }
            ],
        },
    },
}


def changed(**status: Any) -> dict[str, Any]:
    return {**BODY, "status": {**BODY["status"], **status}}


def test_a_row_tells_of_one_agent() -> None:
    told = row(BODY, NOW)
    assert told.cells == (
        "support", "ticket-router", "Auto", "2/3", "143", "182/200 ms", "45.6", "0.8",
        "ScaledDown 12m",
    )  # fmt: skip
    assert not told.is_late


def test_pods_of_a_canary_are_said_to_be_among_the_ready() -> None:
    rollout = {
        "phase": "Progressing",
        "candidate": "c",
        "generation": 2,
        "startTime": "2026-01-01T11:00:00Z",
    }
    assert row(changed(readyReplicas=4, rollout=rollout), NOW).cells[3] == "4/3 +canary"


def test_a_latency_over_its_objective_is_marked() -> None:
    late = {**BODY["status"]["scaling"]}
    late["observed"] = {**late["observed"], "latencyMilliseconds": 250.0}
    assert row(changed(scaling=late), NOW).is_late


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({**BODY, "status": {}}, id="nothing is known yet"),
        pytest.param({"metadata": BODY["metadata"]}, id="no operator has seen it"),
        pytest.param({**BODY, "status": {"scaling": {"from": "the future"}}}, id="another status"),
    ],
)
def test_what_is_not_known_is_a_dash(body: dict[str, Any]) -> None:
    cells = row(body, NOW).cells
    assert cells[:2] == ("support", "ticket-router")
    assert cells[3:] == ("0/-", "-", "-", "-", "-", "-")


def test_an_objective_that_cannot_be_read_leaves_the_latency_alone() -> None:
    broken = {**BODY, "spec": {"objectives": [{"model": "m", "latency": {"target": "soon"}}]}}
    assert row(broken, NOW).cells[5] == "182 ms"


def test_the_table_fits_into_80_columns_by_cutting_names() -> None:
    long = {**BODY, "metadata": {"namespace": "customer-support", "name": "a" * 45}}
    rows = [row(BODY, NOW), row(long, NOW)]
    text = table(rows, with_namespace=True, width=80).plain
    assert text == (
        "NAMESPACE    AGENT        MODE PODS REQ/S    LATENCY A POD FACTOR LAST\n"
        "support      ticket-rout… Auto  2/3   143 182/200 ms  45.6    0.8 ScaledDown 12m\n"
        "customer-su… aaaaaaaaaaa… Auto  2/3   143 182/200 ms  45.6    0.8 ScaledDown 12m"
    )
    assert max(map(len, text.splitlines())) <= 80


def test_into_a_pipe_nothing_is_cut() -> None:
    long = {**BODY, "metadata": {"namespace": "customer-support", "name": "a" * 45}}
    text = table([row(long, NOW)], with_namespace=False, width=None).plain
    assert text.splitlines()[0].startswith("AGENT ")
    assert text.splitlines()[1].startswith("a" * 45 + " Auto")


def test_without_agents_the_table_says_so() -> None:
    assert "no AgentDeployments" in table([], with_namespace=True, width=80).plain


def test_of_node_classes_the_mix_is_told() -> None:
    classes = [
        {"name": "spot", "desiredReplicas": 2, "readyReplicas": 2},
        {"name": "firm", "desiredReplicas": 1, "readyReplicas": 0},
        {"name": "a100", "desiredReplicas": 0, "readyReplicas": 0},
    ]
    body = {
        "metadata": {"namespace": "team", "name": "echo"},
        "status": {
            "readyReplicas": 2,
            "scaling": {"desiredReplicas": 3, "nodeClasses": classes},
        },
    }
    assert row(body, NOW).cells[3] == "2/3 (2 spot, 1 firm)"
