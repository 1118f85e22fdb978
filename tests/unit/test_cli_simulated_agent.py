"""`trireme simulate -f`: an agent as kubectl prints it, in the place of options."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from specs import REMOVED, valid_body
from trireme.cli import app
from trireme.cli.manifests import to_yaml
from trireme.cli.simulated_agent import read
from trireme.simulator.fluid import LeadTime
from trireme.simulator.policy import Bounds

OBJECTIVE = {"model": "encoder", "latency": {"target": "250ms"}}
SCALING = {"min": 2, "max": 8}
OF_ENCODER = {
    "spec.pipelines": REMOVED,
    "spec.models.0.batching": {"dynamic": {}},
    "spec.objectives": [OBJECTIVE],
    "spec.scaling": SCALING,
}
CURVE = {
    "model": "encoder",
    "modelDigest": "d",
    "fixedMilliseconds": 20,
    "perRequestMilliseconds": 10,
    "maxBatch": 8,
    "noise": 0,
    "executions": 4000,
    "instances": 1,
    "sustainedPerSecond": 70,
}
LEAD = {
    "template": "t",
    "p95Seconds": 45,
    "medianSeconds": 45,
    "samples": 9,
    "stages": {"scheduleSeconds": 1, "pullSeconds": 4, "fetchSeconds": 20, "loadSeconds": 20},
}
LEARNT = {"status.scaling": {"desiredReplicas": 2, "curves": [CURVE], "leadTime": LEAD}}


def node_class(name: str, price: float, **more: Any) -> dict[str, Any]:
    return {"name": name, "price": price, "placement": {"nodeSelector": {"gpu": name}}, **more}


L4, A100 = node_class("l4", 0.3), node_class("a100", 1, max=2)


def of_class(name: str, each_milliseconds: float, **more: Any) -> dict[str, Any]:
    curve = {**CURVE, "perRequestMilliseconds": each_milliseconds}
    ready = {"name": name, "desiredReplicas": 1, "readyReplicas": 1}
    return {**ready, "curves": [curve], "leadTime": LEAD, **more}


WITH_CLASSES = {
    "spec.server.nodeClasses": [L4, A100],
    "status.scaling": {
        "desiredReplicas": 2,
        "nodeClasses": [of_class("l4", 10), of_class("a100", 2)],
    },
}


def written(folder: Path, *edits: dict[str, Any]) -> Path:
    path = folder / "agent.yaml"
    together = {key: value for each in edits for key, value in each.items()}
    path.write_text(to_yaml(valid_body({**OF_ENCODER, **together})), encoding="utf-8")
    return path


def simulate(path: Path, *options: str) -> Result:
    given = ["simulate", "-f", str(path), "--shape", "ramp", "--policies", "trireme"]
    return CliRunner().invoke(app, [*given, *options])


def words(result: Result) -> str:
    return " ".join(result.stderr.replace("│", " ").split())


def test_the_agent_answers_what_options_ask_otherwise(tmp_path: Path) -> None:
    result = simulate(written(tmp_path, LEARNT))
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].startswith("ramp: 1h, from 0s on")
    assert lines[1].startswith("p95 within 250ms, lead time 45s; a pod sustains 7")
    same = [
        *("--curve", "20ms,10ms,8", "--slo", "p95=250ms", "--lead-time", "45s"),
        *("--min-replicas", "2", "--max-replicas", "8", "--peak-replicas", "4"),
    ]
    given = ["simulate", "--shape", "ramp", "--policies", "trireme", *same]
    assert CliRunner().invoke(app, given).stdout == result.stdout


def test_an_option_goes_before_the_agent(tmp_path: Path) -> None:
    options = ("--slo", "p90=300ms", "--lead-time", "10s", "--curve", "5ms,5ms,4")
    result = simulate(written(tmp_path, LEARNT), *options)
    assert result.stdout.splitlines()[1].startswith("p90 within 300ms, lead time 10s")


def test_the_rules_of_the_spec_are_followed(tmp_path: Path) -> None:
    """A fleet that may not shrink costs more than one that may."""
    none = {"selectPolicy": "Disabled", "policies": [{"type": "Pods", "value": 1, "period": "15s"}]}
    stays = {"behavior": {"down": none}}
    usual, held = (
        json.loads(simulate(written(tmp_path, LEARNT, more), "-o", "json").stdout)[0]
        for more in ({}, {"spec.scaling": {**SCALING, **stays}})
    )
    assert held["scale_downs"] == 0 < usual["scale_downs"]
    assert held["gpu_hours"] > usual["gpu_hours"]


def test_node_classes_are_the_agents_with_what_was_learnt_of_each(tmp_path: Path) -> None:
    result = simulate(written(tmp_path, WITH_CLASSES))
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[2].startswith("l4: 0.3 an hour, lead time 45s; a pod sustains 7")
    assert lines[3].startswith("a100: 1 an hour, lead time 45s; a pod sustains ")
    assert [line.split()[0] for line in lines[5:9]] == ["policy", "trireme", "trireme", "trireme"]


def test_a_class_has_no_more_pods_than_its_max(tmp_path: Path) -> None:
    """Dear small pods beside cheap large ones."""
    dear, cheap = node_class("l4", 1), node_class("a100", 0.3)
    bounded, free = (
        json.loads(simulate(written(tmp_path, WITH_CLASSES, more), "-o", "json").stdout)[0]
        for more in (
            {"spec.server.nodeClasses": [dear, {**cheap, "max": 1}]},
            {"spec.server.nodeClasses": [dear, cheap]},
        )
    )
    assert bounded["pod_hours"]["a100"] < 1.01 < free["pod_hours"]["a100"]
    assert bounded["pod_hours"]["l4"] > free["pod_hours"]["l4"]


@pytest.mark.parametrize(
    ("edits", "options", "said"),
    [
        pytest.param({}, (), "its status has no curve of encoder", id="nothing was learnt"),
        pytest.param(
            {"status.scaling": {"desiredReplicas": 2, "curves": [CURVE]}},
            (),
            "its status has no lead time: write what `kubectl get agd NAME -o yaml` prints",
            id="no pod was seen to start",
        ),
        pytest.param(
            {
                "spec.server.nodeClasses": [L4, A100],
                "status.scaling": {"desiredReplicas": 2, "nodeClasses": [of_class("l4", 10)]},
            },
            (),
            "its status has no curve of encoder of class a100",
            id="one class was not learnt",
        ),
        pytest.param(
            {"spec.objectives": [OBJECTIVE, {**OBJECTIVE, "model": "scorer"}]},
            (),
            "the agent has objectives of encoder, scorer: say which",
            id="several objectives",
        ),
        pytest.param(
            LEARNT, ("--model", "other"), "'other' is none of them", id="no such objective"
        ),
        pytest.param(LEARNT, ("--noise", "10%"), "the agent's are taken", id="noise"),
        pytest.param(
            LEARNT, ("--lead-time-variation", "10%"), "it is the agent's", id="a lead time's spread"
        ),
        pytest.param(LEARNT, ("--agent", "a/b"), "it is of an agent's past", id="another agent"),
        pytest.param(WITH_CLASSES, ("--events",), "with node classes it has no", id="events"),
    ],
)
def test_a_file_that_says_too_little_is_refused(
    tmp_path: Path, edits: dict[str, Any], options: tuple[str, ...], said: str
) -> None:
    result = simulate(written(tmp_path, edits), *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in words(result)


def test_a_pipeline_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text(to_yaml(valid_body(LEARNT)), encoding="utf-8")
    result = simulate(path)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "what a pod does of agent is no curve, since it is a pipeline" in words(result)


def test_a_spec_with_faults_ends_with_1(tmp_path: Path) -> None:
    result = simulate(written(tmp_path, LEARNT, {"spec.objectives.0.model": "none"}))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("support: spec.objectives[0].model")


def test_several_agents_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, LEARNT)
    path.write_text(2 * f"---\n{path.read_text(encoding='utf-8')}", encoding="utf-8")
    result = simulate(path)
    assert result.exit_code == 2
    assert "the agents support, support are in it: write one" in words(result)


def test_a_lead_time_has_the_median_and_the_p95_that_were_measured(tmp_path: Path) -> None:
    lead = {**LEAD, "p95Seconds": 80, "medianSeconds": 40}
    learnt = {"status.scaling": {"desiredReplicas": 2, "curves": [CURVE], "leadTime": lead}}
    with written(tmp_path, learnt).open(encoding="utf-8") as file:
        told = read(file, None)
    found = told.lead_time()
    assert found.p95_seconds == pytest.approx(80)
    assert 40 < found.seconds < 50
    assert found != LeadTime(found.seconds)
    assert told.bounds == Bounds(2, 8)
    assert told.name == "team/support"
