"""`trireme simulate`: figures for scripts and for people, and what is said of bad input."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from conftest import Golden
from trireme.cli import app
from trireme.simulator.contenders import CONTENDERS

ROOT = Path(__file__).parents[2]
TRACE = ROOT / "examples" / "traces" / "azurellm2023_conv_1s.csv"


def simulate(*options: str, trace: Path | str = TRACE, **changed: str) -> Result:
    """The command of the documentation, with some options changed."""
    given = {"curve": "6ms,2ms,16", "slo": "p95=100ms", "lead-time": "30s"}
    given |= {name.replace("_", "-"): value for name, value in changed.items()}
    told = [part for name, value in given.items() for part in (f"--{name}", value)]
    return CliRunner().invoke(app, ["simulate", "--trace", str(trace), *told, *options])


def words(result: Result) -> str:
    """What was said on standard error, without the box that it may be drawn in."""
    return " ".join(result.stderr.replace("│", " ").split())


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "short.csv"
    rows = "".join(f"{60 * minute},{100 + 20 * minute}\n" for minute in range(12))
    path.write_text(f"seconds,requests\n{rows}")
    return path


def test_the_answer_is_a_list_with_the_figures_of_each_policy(trace: Path) -> None:
    result = simulate("-o", "json", trace=trace, policies="keda,hpa-rps")
    assert (result.exit_code, result.stderr) == (0, "")
    answer = json.loads(result.stdout)
    assert [each["policy"] for each in answer] == ["keda", "hpa-rps"]
    assert list(answer[0]) == [
        "policy",
        "gpu_hours",
        "clairvoyant_lower",
        "clairvoyant_upper",
        "ratio",
        "violation_share",
        "scale_ups",
        "scale_downs",
        "max_replicas",
    ]
    for each in answer:
        assert each["ratio"] == pytest.approx(
            each["gpu_hours"] / each["clairvoyant_upper"], abs=1e-3
        )


def test_the_answer_for_a_seed_is_known(golden: Golden) -> None:
    options = ("-o", "json", "--peak-replicas", "20", "--seed", "1")
    result = simulate(*options, policies="hpa-rps,hpa-p95,keda,kpa")
    assert result.exit_code == 0, result.stderr
    golden("simulate/conversation.json", result.stdout)


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(trace: Path) -> None:
    options = ("-o", "json", "--lead-time-variation", "30%")
    answers = [
        simulate(*options, "--seed", seed, trace=trace, policies="keda,kpa").stdout_bytes
        for seed in ("1", "1", "2")
    ]
    assert answers[0] == answers[1] != answers[2]


def test_a_comparison_has_the_same_bytes_in_every_process() -> None:
    """Whatever the order of sets: of two processes that share nothing."""
    program = "from trireme.cli import main; main()"
    command = [sys.executable, "-c", program, "simulate", "--trace", str(TRACE)]
    command += ["--peak-replicas", "20", "--curve", "6ms,2ms,16", "--slo", "p95=100ms"]
    command += ["--lead-time", "30s", "--policies", "trireme,hpa-rps,hpa-p95,keda,kpa"]
    command += ["--seed", "1", "-o", "json"]
    answers = [
        subprocess.run(
            command, env={"PYTHONHASHSEED": seed}, stdout=subprocess.PIPE, check=True
        ).stdout
        for seed in ("1", "2")
    ]
    assert answers[0] == answers[1]
    told = json.loads(answers[0])
    assert [each["policy"] for each in told] == ["trireme", "hpa-rps", "hpa-p95", "keda", "kpa"]


def test_every_request_can_be_served_by_itself(trace: Path) -> None:
    options = ("-o", "json", "--peak-replicas", "3", "--window", "5m")
    by_fluid, by_events = (
        json.loads(simulate(*options, *more, trace=trace, policies="hpa-rps").stdout)[0]
        for more in ((), ("--events",))
    )
    assert by_events["clairvoyant_upper"] == by_fluid["clairvoyant_upper"]
    assert by_events["gpu_hours"] == pytest.approx(by_fluid["gpu_hours"], rel=0.1)
    assert by_events["violation_share"] != by_fluid["violation_share"]


@pytest.mark.parametrize("shape", ["step", "ramp", "burst=30m", "on-off", "wave=2h"])
def test_traffic_can_be_made_up(shape: str) -> None:
    options = ["--curve", "6ms,2ms,16", "--slo", "p95=100ms", "--lead-time", "30s"]
    given = ["simulate", "--shape", shape, *options, "--peak-replicas", "4", "--policies", "keda"]
    result = CliRunner().invoke(app, given)
    assert result.exit_code == 0, result.stderr
    name, _, length = shape.partition("=")
    assert result.stdout.startswith(f"{name}: {length or '1h'}, from 0s on, seed 1")


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ("circle", "there is no shape 'circle': write one of step, ramp, burst, on-off, wave"),
        ("step=5m", "5m is too short: write 20m or more"),
        ("step=32h0", "'32h0' is not a duration"),
        ("step=9999h", "'9999h' is too long"),
    ],
)
def test_a_shape_that_cannot_be_is_refused(shape: str, said: str) -> None:
    options = ["--curve", "6ms,2ms,16", "--slo", "p95=100ms", "--lead-time", "30s"]
    result = CliRunner().invoke(app, ["simulate", "--shape", shape, *options])
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"Invalid value for --shape: {said}" in words(result)


@pytest.mark.parametrize("sources", [(), ("--shape", "step")])
def test_traffic_is_from_one_source(sources: tuple[str, ...], trace: Path) -> None:
    options = ["--curve", "6ms,2ms,16", "--slo", "p95=100ms", "--lead-time", "30s"]
    given = ["--trace", str(trace)] if sources else []
    result = CliRunner().invoke(app, ["simulate", *given, *sources, *options])
    assert result.exit_code == 2
    assert "say one of them: where the traffic is from" in words(result)


def test_failures_are_drawn_by_the_seed(trace: Path) -> None:
    options = ("-o", "json", "--failures", "deaths=2,outages=1x2m")
    answers = [
        simulate(*options, "--seed", seed, trace=trace, policies="trireme,kpa").stdout_bytes
        for seed in ("1", "1", "2")
    ]
    assert answers[0] == answers[1] != answers[2]
    calm = json.loads(simulate("-o", "json", trace=trace, policies="trireme").stdout)
    assert json.loads(answers[0])[0]["violation_share"] > calm[0]["violation_share"]


def test_the_table_has_a_line_for_each_policy_and_the_optimum(trace: Path) -> None:
    result = simulate(trace=trace, policies="keda,hpa-p95")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].startswith("short.csv: 12m, from 0s on, seed 1")
    assert lines[1].startswith("p95 within 100ms, lead time 30s; a pod sustains 39")
    assert [line.split()[0] for line in lines[3:]] == ["policy", "keda", "hpa-p95", "clairvoyant:"]


def test_a_window_of_the_trace_is_chosen_by_the_seed() -> None:
    result = simulate("--window", "10m", policies="keda")
    assert result.exit_code == 0
    assert "azurellm2023_conv_1s.csv: 10m, from " in result.stdout
    assert "from 0s on" not in result.stdout


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("policies", "keda,hpa", f"no policy 'hpa': write some of {', '.join(CONTENDERS)}"),
        ("curve", "6ms,2ms", "'6ms,2ms' is not two durations and a batch size: write 6ms,2ms,16"),
        ("curve", "6,2ms,16", "'6' is not a duration: write it with a unit"),
        ("curve", "6ms,2ms,0", "'0' is not a batch size from 1 to 1024"),
        ("curve", "0ms,0ms,4", "'0ms,0ms,4' takes no time"),
        ("slo", "100ms", "'100ms' is not a percentile from p1 to p99 and a duration"),
        ("slo", "p95=100", "'100' is not a duration"),
        ("slo", "p95=5ms", "p95=5ms cannot be kept: an idle pod takes 8"),
        ("lead-time", "30", "'30' is not a duration"),
        ("lead-time", "2h", "'2h' is too long: write 3600s or less"),
        ("lead-time-variation", "0.3", "'0.3' is not a percentage"),
        ("noise", "x", "'x' is not a percentage"),
        ("failures", "fire=1", "'fire=1' is no failure: write deaths=0.02 or outages=3x10m"),
        ("failures", "deaths=-1", "'deaths=-1' is no failure"),
        ("failures", "deaths=999", "'deaths=999' is more than one death a minute: write deaths=60"),
        ("failures", "outages=2x25h", "'25h' is too long: write 86400s or less"),
        ("window", "1s", "1s is too short: write 1m or more"),
        ("peak-replicas", "0", "greater than or equal to 1"),
        ("min-replicas", "99", "99 is more than --max-replicas 40"),
        ("balancer", "best", "'best' is not one of"),
        ("output", "yaml", "'yaml' is not one of"),
    ],
)
def test_a_bad_value_is_refused_by_its_option(option: str, value: str, said: str) -> None:
    result = simulate(**{option: value})
    assert result.exit_code == 2
    assert result.stdout == ""
    assert f"--{option}" in words(result)
    assert said in words(result)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("agent", "shop/support-agent"),
        ("model", "double"),
        ("days", "14"),
        ("until", "2026-01-01T12:00:00Z"),
        ("step", "60s"),
        ("fill-gaps", "1m"),
    ],
)
def test_an_option_of_an_agents_past_is_refused_with_a_trace(option: str, value: str) -> None:
    result = simulate(**{option: value})
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"Invalid value for --{option}: it is of an agent's past: leave it out" in words(result)


def test_an_objective_that_cannot_be_kept_is_refused_before_anything_is_asked() -> None:
    options = ["--curve", "6ms,2ms,16", "--slo", "p95=5ms", "--lead-time", "30s"]
    past = ["--prometheus", "http://127.0.0.1:1", "--agent", "shop/echo"]  # nobody answers there
    result = CliRunner().invoke(app, ["simulate", *options, *past])
    assert "p95=5ms cannot be kept: an idle pod takes 8" in words(result)


@pytest.mark.parametrize("year", ["0001", "1969", "9991"])
def test_a_time_beside_which_there_is_none_is_refused(year: str) -> None:
    start = simulate(start=f"{year}-01-01T00:00:00Z")
    past = ["--prometheus", "http://127.0.0.1:1", "--agent", "shop/echo"]  # nobody answers there
    options = ["--curve", "6ms,2ms,16", "--slo", "p95=100ms", "--lead-time", "30s"]
    given = ["simulate", *options, *past, "--until", f"{year}-01-01T00:00:00Z"]
    until = CliRunner().invoke(app, given)
    for option, result in (("--start", start), ("--until", until)):
        assert (result.exit_code, result.stdout) == (2, "")
        assert f"Invalid value for {option}: " in words(result)
        assert "is not in the years 1970 to 9990: write one of them" in words(result)


@pytest.fixture
def quiet(tmp_path: Path) -> Path:
    """A trace whose first hour, where the window of seed 1 is, has no request."""
    path = tmp_path / "quiet.csv"
    rows = "".join(f"{60 * minute},{0 if minute < 60 else 600}\n" for minute in range(62))
    path.write_text(f"seconds,requests\n{rows}")
    return path


@pytest.mark.parametrize("classes", [(), ("l4,0.3,6ms,2ms,16,30s", "a100,1,5ms,1ms,16,30s")])
def test_of_a_part_without_any_request_nothing_is_a_ratio(
    quiet: Path, tmp_path: Path, classes: Sequence[str]
) -> None:
    one = ("--curve", "6ms,2ms,16", "--lead-time", "30s")
    pods = [part for each in classes for part in ("--node-class", each)] or one
    given = ["simulate", "--trace", str(quiet), "--slo", "p95=100ms", "--window", "2m", *pods]
    given += ["--min-replicas", "0", "--policies", "trireme,hpa-rps"]
    answer, table = (
        CliRunner().invoke(app, [*given, *more])
        for more in (["-o", "json"], ["--plots", str(tmp_path / "plots")])
    )
    assert (answer.exit_code, table.exit_code) == (0, 0), answer.stderr + table.stderr
    assert {each["ratio"] for each in json.loads(answer.stdout)} == {None}
    lines = [line.split() for line in table.stdout.splitlines()]
    assert [line[-5] for line in lines if line[:1] == ["hpa-rps"]] == ["-"] * (len(classes) or 1)


def test_a_trace_that_is_not_there_is_refused(tmp_path: Path) -> None:
    result = simulate(trace=tmp_path / "none.csv")
    assert result.exit_code == 2
    assert "none.csv" in words(result)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(b"a,b\n1,2\n", "line 1: the header is 'a,b'", id="no trace"),
        pytest.param(b"seconds,requests\n0,1\n1,x\n", "line 3: requests is 'x'", id="no number"),
        pytest.param(
            b"seconds,requests\n0,1\n0.1,1\n", "it covers less than a second", id="too short"
        ),
        pytest.param(b"\xff\xfe\x00", "can't decode", id="no text"),
    ],
)
def test_a_trace_with_a_fault_ends_with_1(tmp_path: Path, text: bytes, said: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(text)
    result = simulate(trace=path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "bad.csv" in result.stderr
    assert said in result.stderr


def test_pictures_say_what_they_need(trace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # is not to be had
    monkeypatch.delitem(sys.modules, "trireme.cli.simulation_plots", raising=False)
    result = simulate("--plots", "x", trace=trace)
    assert (result.exit_code, result.stdout) == (2, "")
    told = "needs matplotlib, which is not installed: pip install '.[plots]' in a checkout"
    assert f"Invalid value for --plots: {told}" in words(result)


def test_pictures_are_written(tmp_path: Path, trace: Path) -> None:
    folder = tmp_path / "plots"
    result = simulate("--plots", str(folder), trace=trace, policies="keda")
    assert result.exit_code == 0, result.stderr
    written = sorted(folder.iterdir())
    assert [path.name for path in written] == ["cost.png", "replicas.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written)
    assert result.stderr.splitlines() == [f"wrote {path}" for path in reversed(written)]


CLASSES = ("l4,0.3,20ms,8ms,8,60s", "a100,1,10ms,2ms,16,90s")


def with_classes(trace: Path, *options: str, classes: Sequence[str] = CLASSES) -> Result:
    told = [part for each in classes for part in ("--node-class", each)]
    given = ["simulate", "--trace", str(trace), "--slo", "p95=200ms", "--policies", "hpa-rps"]
    return CliRunner().invoke(app, [*given, *told, *options])


def test_with_node_classes_costs_are_in_prices(trace: Path) -> None:
    result = with_classes(trace, "-o", "json")
    assert (result.exit_code, result.stderr) == (0, "")
    mix, *alone = json.loads(result.stdout)
    assert list(mix) == [
        "policy",
        "cost",
        "least_cost",
        "ratio",
        "pod_hours",
        "violation_share",
        "scale_ups",
        "scale_downs",
        "max_replicas",
    ]
    assert mix["policy"] == "trireme"
    hours = mix["pod_hours"]
    assert mix["cost"] == pytest.approx(0.3 * hours["l4"] + hours["a100"], abs=1e-3)
    assert [(each["policy"], [*each["pod_hours"]]) for each in alone] == [
        ("hpa-rps", ["l4"]),
        ("hpa-rps", ["a100"]),
    ]


def test_pods_of_node_classes_die_and_their_metrics_fail(trace: Path) -> None:
    calm, failing = (
        json.loads(with_classes(trace, "-o", "json", *more).stdout)
        for more in ((), ("--failures", "deaths=30,outages=2x2m"))
    )
    assert [each["policy"] for each in failing] == ["trireme", "hpa-rps", "hpa-rps"]
    for before, after in zip(calm, failing, strict=True):
        assert after["violation_share"] > before["violation_share"]


def test_pictures_of_node_classes_are_written(tmp_path: Path, trace: Path) -> None:
    folder = tmp_path / "plots"
    result = with_classes(trace, "--plots", str(folder))
    assert result.exit_code == 0, result.stderr
    written = sorted(folder.iterdir())
    assert [path.name for path in written] == ["cost.png", "replicas.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written)
    assert result.stderr.splitlines() == [f"wrote {path}" for path in reversed(written)]


def test_the_table_of_node_classes_says_what_each_costs_and_sustains(trace: Path) -> None:
    result = with_classes(trace)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[1] == "p95 within 200ms"
    assert lines[2].startswith("l4: 0.3 an hour, lead time 1m; a pod sustains ")
    assert lines[3].startswith("a100: 1 an hour, lead time 1m30s; a pod sustains ")
    assert [line.split()[0] for line in lines[5:9]] == ["policy", "trireme", "hpa-rps", "hpa-rps"]
    assert lines[9].startswith("the cheapest mix at each moment, started for nothing: ")


@pytest.mark.parametrize(
    ("classes", "options", "said"),
    [
        (["l4,0.3,20ms"], [], "'l4,0.3,20ms' is not a name, a price, a curve and a lead time"),
        (["L4,0.3,20ms,8ms,8,60s"], [], "'L4' is no name of a class"),
        ([f"{'a' * 16},0.3,20ms,8ms,8,60s"], [], "write up to 15 small letters and digits"),
        (["gateway,0.3,20ms,8ms,8,60s"], [], "'gateway' is no name of a class"),
        ([CLASSES[0], CLASSES[0]], [], "'l4' is there twice"),
        (["l4,0,20ms,8ms,8,60s"], [], "'0' is not the price of a pod for an hour"),
        (["l4,1,20ms,8ms,8,2h"], [], "'2h' is too long: write 3600s or less"),
        (["l4,1,20ms,8ms,0,60s"], [], "'0' is not a batch size from 1 to 1024"),
        (["l4,1,300ms,8ms,8,60s"], [], "p95=200ms cannot be kept"),
        (CLASSES, ["--curve", "6ms,2ms,16"], "each class has its own in --node-class"),
        (CLASSES, ["--events"], "say --curve and --lead-time of one class in their place"),
        (CLASSES, ["--balancer", "random"], "Invalid value for --balancer: what comes to node"),
        (CLASSES, ["--gpu-budget", "8"], "what a pod takes of it is in an agent's file"),
        ([], [], "Invalid value for --curve: say it, or --node-class, or an agent that tells it"),
        ([], ["--curve", "6ms,2ms,16"], "Invalid value for --lead-time: say it, or an agent"),
    ],
)
def test_node_classes_that_cannot_be_are_refused(
    classes: Sequence[str], options: list[str], said: str, trace: Path
) -> None:
    result = with_classes(trace, *options, classes=classes)
    assert result.exit_code == 2
    assert said in words(result)
