"""What `trireme tune` refuses before it asks a server, how it spends its time, what it says."""

import asyncio
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from agents import agent_of, model_of
from trireme.autoscaler.service_curve import BatchTotal
from trireme.cli import app
from trireme.cli.manifests import to_yaml
from trireme.cli.tuning_options import Subject, subject_of, wish_of
from trireme.cli.tuning_progress import progress_bar
from trireme.cli.tuning_report import as_object, notes_of, patch_of, print_table, summary
from trireme.cli.tuning_search import Tuned, search
from trireme.edge.spare_server import SpareServer, Trial
from trireme.tuner.ranking import repeated
from trireme.tuner.rate_search import Probe
from trireme.tuner.search import Try
from trireme.tuner.settings import configuration_of
from trireme.tuner.types import Configuration, Measured
from virtual_time import VirtualTimeLoop

NOBODY = "127.0.0.1:9"
EACH_SECONDS = 40.0  # of a measurement


def manifest(folder: Path, target: str) -> Path:
    agent = agent_of(
        models=[model_of("m")], objectives=[{"model": "m", "latency": {"target": target}}]
    )
    spec = agent.spec.model_dump(mode="json", by_alias=True, exclude_unset=True)
    body = {"apiVersion": "trireme.dev/v1alpha1", "kind": "AgentDeployment"}
    file = folder / "agent.yaml"
    file.write_text(to_yaml({**body, "metadata": {"name": "echo"}, "spec": spec}))
    return file


def refused(folder: Path, budget: str, target: str = "100ms") -> str:
    """What is said, on one line and without its frame."""
    arguments = ["tune", "-f", str(manifest(folder, target)), "--offline", f"--server={NOBODY}"]
    result = CliRunner().invoke(app, [*arguments, f"--budget={budget}"])
    assert result.exit_code == 2
    return " ".join(result.stderr.replace("\u2502", " ").split())


@pytest.mark.parametrize(
    ("budget", "target", "least", "enough"),
    [
        pytest.param("18s", "100ms", "19s", "3m", id="six probes of 3 s, and a request's end"),
        pytest.param("2m", "1s", "2m10s", "5m", id="a slow model is watched for longer"),
    ],
)
def test_a_budget_that_holds_no_measurement_is_refused(
    tmp_path: Path, budget: str, target: str, least: str, enough: str
) -> None:
    said = refused(tmp_path, budget, target)
    assert "--budget" in said
    assert f"{budget} holds no measurement" in said
    assert f"one takes {least} at least" in said
    assert f"Give {enough}" in said


def test_a_budget_without_a_unit_is_refused(tmp_path: Path) -> None:
    assert "write it with a unit" in refused(tmp_path, "30")


# ------------------------------------------------------------------------- how the time is spent


class Simulated(SpareServer):
    """A server whose batches take 10 ms and 1 ms a request; what it sustains varies."""

    def __init__(self, luck: Sequence[float], cut_at: float = math.inf) -> None:
        self.luck = iter(luck)
        self.cut_at = cut_at

    async def trial(
        self, step: Try, told: Callable[[Probe], None], until: float = math.inf
    ) -> Trial:
        await asyncio.sleep(EACH_SECONDS)
        now, largest = step.configuration, step.configuration.max_batch
        rate = 0.9 * now.instances * largest / (0.010 + 0.001 * largest) * next(self.luck)
        sizes = [size for size in (1, 2, 4, 8, 16, 32, 64) if size <= largest]
        batches = {b: BatchTotal(100, round(100 * (0.010 + 0.001 * b) * 1e9)) for b in sizes}
        is_cut = asyncio.get_running_loop().time() >= self.cut_at
        return Trial(Measured(now, rate, batches), is_cut=is_cut)


def subject() -> Subject:
    spec = agent_of(
        models=[model_of("m", maxBatchSize=1)],
        objectives=[{"model": "m", "latency": {"target": "200ms"}}],
        tuning={"limits": {"maxBatchSize": {"max": 64}, "instances": {"max": 1}}},
    ).spec
    return subject_of("echo", spec, None)


def tuned(server: Simulated, seconds: float) -> Tuned:
    async def main() -> Tuned:
        about = subject()
        with progress_bar(20) as told:
            return await search(server, about, wish_of(about), 20, seconds, told)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main())


@pytest.mark.parametrize("fit", [3, 4, 5, 6])
def test_time_is_kept_to_measure_the_best_again(fit: int) -> None:
    done = tuned(Simulated([1.0, *[1.1, 0.9] * 10]), (fit + 0.4) * EACH_SECONDS)
    assert len(done.tried) <= fit
    assert done.best.times >= 2
    assert done.best.per_second > done.first.per_second


def test_a_measurement_that_was_cut_short_takes_nothing_from_one_before_it() -> None:
    luck = [1.0, 1.0, 1.0, 0.1]
    done = tuned(Simulated(luck, cut_at=3.9 * EACH_SECONDS), 4.2 * EACH_SECONDS)
    assert [trial.is_cut for _, trial in done.tried] == [False, False, False, True]
    assert done.tried[-1][0].configuration == done.best.configuration
    assert done.best.times == 1
    assert done.reason == "the time is spent"


# ------------------------------------------------------------------------------- what is said


def found(*rates: float) -> Tuned:
    """A best that was measured so, beside what is set now."""
    best = Configuration(4, 2)
    made = [Measured(Configuration(1, 1), 60.0), *(Measured(best, rate) for rate in rates)]
    tried = tuple((Try(each.configuration), Trial(each)) for each in made)
    return Tuned(tried, repeated(made)[1], "no other is worth it", 90.0)


@pytest.mark.parametrize(
    ("rates", "words"),
    [
        pytest.param(
            [113.0, 127.0],
            "sustain 120 requests/s with p95 within 200 ms (the mean of 2 measurements, 113 to "
            "127), 100 % more than batches up to 1, 1 instance, after 3 measurements",
            id="twice",
        ),
        pytest.param([120.0], "within 200 ms (measured once), 100 % more", id="once"),
    ],
)
def test_it_is_said_how_often_the_best_was_measured_and_how_far_apart(
    rates: list[float], words: str
) -> None:
    assert words in summary(subject(), found(*rates))


def test_so_it_is_in_json() -> None:
    facts: dict[str, Any] = as_object(subject(), found(113.0, 127.0), Configuration(1, 1), None)
    assert json.loads(json.dumps(facts))["best"] == {
        "maxBatchSize": 4,
        "instances": 2,
        "maxQueueDelay": "0s",
        "sustainedPerSecond": 120.0,
        "measurements": 2,
        "leastPerSecond": 113.0,
        "mostPerSecond": 127.0,
    }


def test_the_table_tells_the_best_and_what_was_measured_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table(subject(), found(113.0, 127.0), None)
    rows = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert [row.rpartition("  ")[2] for row in rows[2:4]] == ["best", "best, again"]


DYNAMIC = {"batching": {"dynamic": {}}}


@pytest.mark.parametrize(
    ("fields", "best", "notes"),
    [
        pytest.param(
            {},
            Configuration(1, 2),
            ["m makes no batches, since its maxBatchSize is 0: its instances alone were tried"],
            id="the model makes no batches",
        ),
        pytest.param(
            {"maxBatchSize": 8},
            Configuration(4, 1),
            [
                "batching is switched on for m, whose requests are executed one by one now",
                "a request to m may then hold 4 rows at most, and 8 now",
            ],
            id="batching is switched on, and a request may hold less",
        ),
        pytest.param({"maxBatchSize": 8}, Configuration(1, 2), [], id="each request alone as now"),
        pytest.param({"maxBatchSize": 8, **DYNAMIC}, Configuration(16, 1), [], id="larger batches"),
        pytest.param(
            {"maxBatchSize": 8, **DYNAMIC},
            Configuration(2, 1),
            ["a request to m may then hold 2 rows at most, and 8 now"],
            id="smaller batches",
        ),
    ],
)
def test_what_is_not_expected_of_a_change_is_said(
    fields: dict[str, Any], best: Configuration, notes: list[str]
) -> None:
    objectives = [{"model": "m", "latency": {"target": "200ms"}}]
    spec = agent_of(models=[model_of("m", **fields)], objectives=objectives).spec
    about = subject_of("echo", spec, None)
    now = configuration_of(about.model, spec.server)
    assert list(notes_of(about, patch_of(about, now, best))) == notes
