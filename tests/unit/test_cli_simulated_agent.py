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
from trireme.simulator.scenario import sustained

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


OFFICE = {"schedule": "0 8 * * 1-5", "timeZone": "Europe/Berlin", "duration": "2h", "min": 5}
HOURS = {"spec.scaling": {**SCALING, "schedules": [OFFICE]}}


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
        pytest.param(
            WITH_CLASSES, ("--events",), "node classes are simulated second by second", id="events"
        ),
        pytest.param(
            WITH_CLASSES,
            ("--instances", "2", "--noise", "10%"),
            "Invalid value for --instances, --noise: each class has its own in the file: leave it "
            "out, or say --node-class, or --curve and --lead-time of one class",
            id="instances and noise of classes",
        ),
        pytest.param(
            WITH_CLASSES,
            ("--lead-time-variation", "10%"),
            "Invalid value for --lead-time-variation: each class has its own in the file",
            id="the spread of classes' lead times",
        ),
        pytest.param(
            WITH_CLASSES,
            ("--lead-time", "30s"),
            "Invalid value for --lead-time: each class has its own in the file",
            id="a lead time of classes",
        ),
        pytest.param(
            {**LEARNT, **HOURS},
            ("--max-replicas", "4"),
            "Invalid value for --max-replicas: 4 is less than the min of one of "
            "scaling.schedules, 5: raise it, or say --min-replicas, too",
            id="a schedule's min above the most",
        ),
    ],
)
def test_a_file_that_says_too_little_is_refused(
    tmp_path: Path, edits: dict[str, Any], options: tuple[str, ...], said: str
) -> None:
    result = simulate(written(tmp_path, edits), *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in words(result)


BUDGET = {**SCALING, "budget": {"name": "shared"}}
WITH_GPU = {"spec.server.gpus.count": 2, "spec.scaling": BUDGET}
OF_ONE = ("--curve", "20ms,10ms,8", "--lead-time", "45s")


def with_gpus(l4: int, a100: int) -> dict[str, Any]:
    """Node classes with so many GPUs a pod."""
    classes = [{**L4, "gpus": {"count": l4}}, {**A100, "gpus": {"count": a100}}]
    return {**WITH_CLASSES, "spec.server.nodeClasses": classes}


MIXED = with_gpus(1, 2)
OF_SCORER = {**CURVE, "model": "scorer", "fixedMilliseconds": 5, "perRequestMilliseconds": 2}

STEPS = (CURVE, OF_SCORER)


def pipeline(
    folder: Path, *edits: dict[str, Any], curves: tuple[Any, ...] = (CURVE, OF_SCORER)
) -> Path:
    """The agent whose objective is of both models, one after the other."""
    learnt = {"desiredReplicas": 2, "curves": [*curves], "leadTime": LEAD}
    objective = {"spec.objectives": [{"model": "agent", "latency": {"target": "300ms"}}]}
    together = {"spec.scaling": SCALING, "status.scaling": learnt, **objective}
    for each in edits:
        together |= each
    path = folder / "agent.yaml"
    path.write_text(to_yaml(valid_body(together)), encoding="utf-8")
    return path


def test_a_pipeline_is_as_fast_as_the_step_that_binds(tmp_path: Path) -> None:
    result = simulate(pipeline(tmp_path), "--policies", "trireme,keda")
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[1].startswith("p95 within 300ms, lead time 45s; a pod sustains ")
    assert lines[1].endswith("requests/s by encoder")
    assert [line.split()[0] for line in lines[3:6]] == ["policy", "trireme", "keda"]


def test_calls_of_others_that_were_counted_take_of_a_pipelines_capacity(tmp_path: Path) -> None:
    counted = {
        "model": "agent",
        "repositoryDigest": "r",
        "busiestStep": "encoder",
        "steps": [{"model": "encoder", "perRequest": 2}, {"model": "scorer", "perRequest": 1}],
    }
    learnt = {"desiredReplicas": 2, "curves": [CURVE, OF_SCORER], "leadTime": LEAD}
    told = []
    for each in ([], [counted]):
        path = pipeline(tmp_path, {"status.scaling": {**learnt, "pipelines": each}})
        with path.open(encoding="utf-8") as file:
            told.append(read(file, None))
    alone, shared = (sustained(each.pod(), each.objective) for each in told)
    assert shared == pytest.approx(alone / 2, rel=0.1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--policies", "wva"), "wva goes by one model's queue, and a pipeline has several"),
        (("--events",), "requests are served one by one of one model, and this is a pipeline"),
    ],
)
def test_what_knows_one_model_only_is_refused_of_a_pipeline(
    tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    result = simulate(pipeline(tmp_path), *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in words(result)


def test_a_step_that_was_not_learnt_is_named(tmp_path: Path) -> None:
    result = simulate(pipeline(tmp_path, curves=(CURVE,)))
    assert "its status has no curve of scorer" in words(result)


def test_schedules_hold_by_the_clock_of_the_trace(tmp_path: Path) -> None:
    """Five pods from 8 to 10 in Berlin, whatever comes, by each policy."""
    path = written(tmp_path, LEARNT, HOURS)
    early, late = (
        json.loads(
            simulate(path, "--start", start, "--policies", "trireme,keda", "-o", "json").stdout
        )
        for start in ("2026-03-02T07:00:00Z", "2026-03-02T12:00:00Z")
    )
    for within, without in zip(early, late, strict=True):
        assert within["gpu_hours"] >= 5 > without["gpu_hours"]
        assert within["clairvoyant_lower"] >= 5 > without["clairvoyant_lower"]
    title = simulate(path, "--start", "2026-03-02T07:00:00Z").stdout.splitlines()
    assert title[0] == "ramp: 1h, from 2026-03-02T07:00:00Z on, seed 1"
    assert title[2] == "2 to 8 pods, 2 to 8 by 1 schedule"


@pytest.mark.parametrize(
    ("schedule", "options", "title"),
    [
        ({"min": 5, "max": 12}, (), "2 to 8 pods, 2 to 12 by 1 schedule"),
        ({"min": 5, "max": 12}, ("--min-replicas", "3"), "3 to 8 pods, 3 to 12 by 1 schedule"),
        ({"min": 5, "max": 12}, ("--max-replicas", "6"), "2 to 6 pods, 2 to 6 by 1 schedule"),
    ],
)
def test_bounds_that_are_said_stand_in_the_place_of_the_schedules(
    tmp_path: Path, schedule: dict[str, int], options: tuple[str, ...], title: str
) -> None:
    path = written(
        tmp_path, LEARNT, {"spec.scaling": {**SCALING, "schedules": [{**OFFICE, **schedule}]}}
    )
    result = simulate(path, "--start", "2026-03-02T07:00:00Z", *options)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[2] == title


def test_schedules_that_say_no_more_need_no_time(tmp_path: Path) -> None:
    result = simulate(written(tmp_path, LEARNT, HOURS), "--min-replicas", "1")
    assert result.exit_code == 0, result.stderr
    assert "schedule" not in result.stdout


def test_without_its_time_a_trace_is_refused_where_there_are_schedules(tmp_path: Path) -> None:
    result = simulate(written(tmp_path, LEARNT, HOURS))
    assert result.exit_code == 2
    assert "Invalid value for --start: the agent has scaling.schedules" in words(result)


def test_an_agent_with_min_0_goes_to_none_and_comes_back(tmp_path: Path) -> None:
    demand = {"query": "sum(rate(x[1m]))", "cooldownPeriod": "2m"}
    none = {"spec.scaling": {"min": 0, "max": 8, "demand": demand}}
    shape = ("--shape", "on-off=40m", "-o", "json")
    emptied, kept = (
        json.loads(simulate(written(tmp_path, LEARNT, each), *shape).stdout)[0]
        for each in (none, {"spec.scaling": {"min": 1, "max": 8}})
    )
    assert emptied["gpu_hours"] < kept["gpu_hours"]
    assert emptied["violation_share"] > kept["violation_share"]
    assert emptied["clairvoyant_lower"] < kept["clairvoyant_lower"]


PEAK = ("--peak-replicas", "6")


def test_a_budget_has_room_for_so_many_pods(tmp_path: Path) -> None:
    path = written(tmp_path, LEARNT, WITH_GPU)
    result = simulate(
        path, "--gpu-budget", "7", "--policies", "trireme,keda", "--peak-replicas", "6"
    )
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[2] == "2 to 8 pods, of which a GPU budget has room for 3"
    assert [line.split()[-1] for line in lines[5:7]] == ["3", "3"]


@pytest.mark.parametrize(
    ("edits", "options", "said"),
    [
        (WITH_GPU, (), "scaling.budget is shared, and how many GPUs that has"),
        (WITH_GPU, ("--gpu-budget", "3"), "3 is less than the fewest pods take, 2 of 2 GPUs each"),
        ({}, ("--gpu-budget", "3"), "its pods have no GPU, or none that is told: leave it"),
        (
            {**MIXED, "spec.scaling": BUDGET},
            OF_ONE,
            "the pods of its node classes have not all as many GPUs: leave it, and "
            "scaling.budget of the file, out, and say --max-replicas",
        ),
        ({**MIXED, "spec.scaling": BUDGET}, (), "scaling.budget is shared, and how many GPUs that"),
    ],
)
def test_a_budget_that_cannot_be_is_refused(
    tmp_path: Path, edits: dict[str, Any], options: tuple[str, ...], said: str
) -> None:
    result = simulate(written(tmp_path, LEARNT, edits), *options)
    assert result.exit_code == 2
    assert f"Invalid value for --gpu-budget: {said}" in words(result)


def test_a_budget_of_which_pods_take_nothing_is_not_asked_for(tmp_path: Path) -> None:
    result = simulate(written(tmp_path, LEARNT, {"spec.scaling": BUDGET}))
    assert result.exit_code == 0, result.stderr
    assert "budget" not in result.stdout


def test_pods_without_a_gpu_are_the_fewest_that_a_budget_has_room_for(tmp_path: Path) -> None:
    path = written(tmp_path, with_gpus(0, 2), {"spec.scaling": BUDGET})
    result = simulate(path, "--gpu-budget", "2")
    assert result.exit_code == 0, result.stderr
    assert "2 to 8 pods, of a GPU budget of 2" in result.stdout


def test_a_curve_is_of_pods_that_have_the_gpus_of_each_class(tmp_path: Path) -> None:
    path = written(tmp_path, with_gpus(2, 2), {"spec.scaling": BUDGET})
    result = simulate(path, "--gpu-budget", "7", *OF_ONE)
    assert result.exit_code == 0, result.stderr
    assert "2 to 8 pods, of which a GPU budget has room for 3" in result.stdout


def test_what_is_simulated_otherwise_is_said(tmp_path: Path) -> None:
    queue = {"dynamic": {"maxQueueDelay": "5ms", "queue": {"timeout": "2s"}}}
    odd = {
        "spec.scaling": {**SCALING, "mode": "Shadow", "paused": "All"},
        "spec.replicas": 3,
        "spec.models.0.batching": queue,
    }
    result = simulate(written(tmp_path, LEARNT, odd))
    assert result.exit_code == 0
    assert result.stderr.splitlines() == [
        "-f: simulated otherwise: scaling.mode Shadow, as Automatic",
        "-f: simulated otherwise: scaling.paused All, as None",
        "-f: simulated otherwise: the time-out or the priorities of encoder's queue, as one in "
        "order",
        "-f: simulated otherwise: the maxQueueDelay of encoder, as none",
    ]


def test_a_spec_with_faults_ends_with_1(tmp_path: Path) -> None:
    result = simulate(written(tmp_path, LEARNT, {"spec.objectives.0.model": "none"}))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("support: spec.objectives[0].model")


def test_several_agents_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, LEARNT)
    path.write_text(2 * f"---\n{path.read_text(encoding='utf-8')}", encoding="utf-8")
    result = simulate(path)
    assert result.exit_code == 2
    assert (
        "the agents support, support are in it, and are not simulated together: write one"
        in words(result)
    )


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
