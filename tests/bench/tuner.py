"""`trireme tune` on a real Triton beside Triton's defaults and an exhaustive grid, in one run.

A spare pod of each model, which nobody else uses: the command searches it as a user would, with a
tenth of the grid's measurements. What was best by chance is no best, so its choice is measured
again; at that rate every configuration of the grid is then offered load. One that does not keep the
objective there is not better, and that is known after one probe, often of two seconds; one that
does is measured to the end. So the grid's best is the one that measuring each to the end would
find, and nothing of it is inferred from others; what those sustain that are worse is not found out.
At last the command's choice and the grid's best are measured by turns, and these are compared.

Why 84 configurations: a tenth of them is 8 measurements, and the search needs four at least to see
a batch and an instance more. Why one probe is enough: with 250 ms it lasts 5 s at least, in which a
queue that grows by 5 % grows too long, and of 1,000 requests the share of late ones, 5 %, strays by
0.7 %, and as queues have a memory by twice that. It changes ten times as fast as the rate there, so
that rates are told apart that differ by 3 %; the goal is 5 %.
"""

import asyncio
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import yaml

from bench.machine import MOST_OTHERS, Usage, watched
from bench.table import table
from kube import Kube, Object
from trireme.api import names
from trireme.api.agent import AgentDeployment
from trireme.api.scalars import parse_duration
from trireme.cli.manifests import to_yaml
from trireme.edge import request_data, triton
from trireme.edge.request_load import Bounds
from trireme.edge.spare_server import SpareServer, Trial, Wish, spare_server
from trireme.errors import LoadNotOffered
from trireme.modelrepo.render import config_text, render
from trireme.tuner.rate_search import NEAR, Probe
from trireme.tuner.search import Try
from trireme.tuner.settings import space_of
from trireme.tuner.types import Configuration, Objective

PERCENTILE, TARGET = 95, "250ms"
LIMITS = {"maxBatchSize": {"max": 64}, "instances": {"max": 4}}
DELAYS_SECONDS = (0.0, 0.001, 0.005)
DEFAULTS = Configuration(1, 1)  # Triton's, of the Python backend: no batcher, one instance
SHARE, PART = 0.95, 0.10  # of the grid's best, with that part of its measurements
FINALS = 2  # measurements of each of the two that are compared
LATTICE = 1.015  # between the guesses of two of these, so that the rates tried differ, too
ALIKE = 1.05  # a rate is found to 5 %: what the search measured is used again if lower by more
MOST_SECONDS = 10.0  # of a probe: 600 requests of the slower model
START_SECONDS = 180

_MANIFESTS = Path(__file__).with_name("predict.yaml")


@dataclass(frozen=True, slots=True)
class Grid:
    """All configurations beside one of them, in requests a second: `better` has those that sustain
    what that one does or more. Those of `before` the search had measured to be worse.
    """

    all: tuple[Configuration, ...]
    before: int
    better: dict[Configuration, float]
    probes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Compared:
    """The command's choice and the grid's best, in requests a second."""

    defaults: float
    grid: Grid
    best: Configuration
    chosen_per_second: float
    best_per_second: float


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one model."""

    model: str
    tuned: dict[str, Any]
    compared: Compared
    usage: Usage

    @property
    def share(self) -> float:
        """Of what the grid's best sustains, measured anew."""
        return self.compared.chosen_per_second / self.compared.best_per_second

    @property
    def part(self) -> float:
        """Of the grid's measurements."""
        return len(self.tuned["tried"]) / len(self.compared.grid.all)

    @property
    def probes(self) -> int:
        """All that the search offered."""
        return sum(len(tried["probes"]) for tried in self.tuned["tried"])


def run(kube: Kube, system: Kube) -> str:
    """The sleeping model and the one in torch, one after the other: fifty minutes."""
    documents = list(yaml.safe_load_all(_MANIFESTS.read_text()))
    results = []
    for files, body in zip(documents[::2], documents[1::2], strict=True):
        agent = _agent(body)
        address = _start(kube, agent, files)
        results.append(measured(agent, address, DELAYS_SECONDS))
        kube.run("delete", "pod,service,configmap", "--selector=bench=spare", "--wait")
    return report(results)


def measured(agent: AgentDeployment, address: str, delays_seconds: Sequence[float]) -> Result:
    """The command, and then the grid, on a server that nobody else uses."""
    (model,) = agent.spec.models
    grid = [
        replace(each, queue_delay_seconds=delay)
        for each in space_of(agent.spec, model).configurations()
        for delay in delays_seconds
    ]
    # Instances come and go in a server that runs, all else loads the model anew.
    grid.sort(key=lambda each: (each.max_batch, each.queue_delay_seconds, each.instances))
    with watched() as watch:
        tuned = _command(agent, address, math.floor(PART * len(grid)))
        compared = asyncio.run(_compared(agent, address, tuned, grid))
    return Result(agent.metadata.name, tuned, compared, watch.usage)


def _agent(body: Object) -> AgentDeployment:
    """The model as somebody begins with it: nothing is tuned."""
    (model,) = body["spec"]["models"]
    plain = {key: value for key, value in model.items() if key not in ("batching", "warmup")}
    plain |= {"batching": {"dynamic": {}}, "maxBatchSize": 1}
    spec = {**body["spec"], "models": [plain], "tuning": {"limits": LIMITS}}
    spec["objectives"] = [
        {"model": plain["name"], "latency": {"percentile": PERCENTILE, "target": TARGET}}
    ]
    return AgentDeployment.model_validate({**body, "spec": spec})


def _start(kube: Kube, agent: AgentDeployment, files: Object) -> str:
    """A pod with a Triton of its own, whose control interface is open; where programs outside the
    cluster reach it: at the node.
    """
    name = f"spare-{agent.metadata.name}"
    content = {key: text.encode() for key, text in files["data"].items()}
    (directory,) = render(agent.spec, {files["metadata"]["name"]: content}).models
    directory.config.ClearField("model_metrics")  # of 24.11 and later
    data = {path.replace("/", "_"): text.decode() for path, text in directory.files.items()}
    data["config"] = config_text(directory.config)
    items = [{"key": path.replace("/", "_"), "path": path} for path in directory.files]
    items.append({"key": "config", "path": "config.pbtxt"})
    labels = {"bench": "spare", "app": name}
    kube.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "labels": labels},
            "data": data,
        },
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": labels},
            "spec": {
                "automountServiceAccountToken": False,
                "terminationGracePeriodSeconds": 1,
                "securityContext": {
                    "runAsNonRoot": True,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [_container(agent, directory.name)],
                "volumes": [
                    {"name": "model", "configMap": {"name": name, "items": items}},
                    {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "256Mi"}},
                ],
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "labels": labels},
            "spec": {
                "type": "NodePort",
                "selector": {"app": name},
                "ports": [{"name": "http", "port": names.HTTP_PORT}],
            },
        },
    )
    kube.until(
        f"{name} is ready",
        lambda: any(
            condition["type"] == "Ready" and condition["status"] == "True"
            for condition in kube.get("pod", name)["status"].get("conditions", [])
        ),
        START_SECONDS,
    )
    (port,) = kube.get("service", name)["spec"]["ports"]
    return f"{kube.get('pod', name)['status']['hostIP']}:{port['nodePort']}"


def _container(agent: AgentDeployment, model: str) -> Object:
    return {
        "name": "triton",
        "image": agent.spec.server.image,
        "imagePullPolicy": agent.spec.server.image_pull_policy,
        "args": [
            "tritonserver",
            "--model-repository=/models",
            "--model-control-mode=explicit",
            "--load-model=*",
            f"--http-port={names.HTTP_PORT}",
        ],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
        "readinessProbe": {"httpGet": {"path": "/v2/health/ready", "port": names.HTTP_PORT}},
        "volumeMounts": [
            {"name": "model", "mountPath": f"/models/{model}"},
            {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108  # where Python has tensors
        ],
    }


# --------------------------------------------------------------------------------------- measuring


def _command(agent: AgentDeployment, address: str, measurements: int) -> dict[str, Any]:
    """What the command finds, as a user runs it."""
    body = agent.model_dump(mode="json", by_alias=True, exclude_unset=True)
    done = subprocess.run(
        [
            Path(sys.executable).with_name("trireme"),
            *("tune", "-f", "-", "--offline", f"--server={address}", "--output=json"),
            f"--measurements={measurements}",
        ],
        input=to_yaml({"apiVersion": names.API_VERSION, "kind": names.KIND, **body}),
        env=dict(os.environ),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


async def _compared(
    agent: AgentDeployment, address: str, tuned: dict[str, Any], grid: Sequence[Configuration]
) -> Compared:
    (model,), (objective,) = agent.spec.models, agent.spec.objectives
    wish = Wish(
        Objective(PERCENTILE, objective.latency.target.total_seconds()),
        objective.errors.max_ratio,
        Bounds(most_seconds=MOST_SECONDS),
    )
    config = await triton.served_config(address, model.name)
    requests = request_data.drawn(config, {}, seed=1)
    chosen, told = configuration_told(tuned["best"]), tuned["best"]["sustainedPerSecond"]
    async with spare_server(address, "", config, requests, wish) as server:
        defaults = await _rate(server, DEFAULTS)
        level = mean([await _rate(server, chosen, told * LATTICE**n) for n in range(FINALS)])
        rivals = await _grid(server, wish, tuned, grid, level)
        best = max(rivals.better, key=lambda each: rivals.better[each], default=chosen)
        if best == chosen:
            return Compared(defaults, rivals, best, level, level)
        finals: dict[Configuration, list[float]] = {chosen: [], best: []}
        for n in range(FINALS):
            for each, found in finals.items():
                found.append(await _rate(server, each, level * LATTICE**n))
    return Compared(defaults, rivals, best, mean(finals[chosen]), mean(finals[best]))


async def _grid(
    server: SpareServer,
    wish: Wish,
    tuned: dict[str, Any],
    grid: Sequence[Configuration],
    level: float,
) -> Grid:
    """Which of the grid sustain `level`, and how much more."""
    start = time.monotonic()
    highest = dict[Configuration, float]()
    for tried in tuned["tried"]:
        each, rate = configuration_told(tried), tried["sustainedPerSecond"]
        highest[each] = max(rate, highest.get(each, 0.0))
    worse = {each for each, rate in highest.items() if ALIKE * rate < level}
    better, probes = dict[Configuration, float](), 0
    for each in grid:
        if each in worse:
            continue
        await server.configure(each)
        once = replace(wish.plan(level, NEAR), most_probes=1)
        trial = await _offered(partial(server.measured, each, once, _ignored, math.inf))
        probes += len(trial.probes)
        if trial.measured.per_second:
            whole = partial(server.measured, each, wish.plan(level, NEAR), _ignored, math.inf)
            trial = await _offered(whole)
            probes += len(trial.probes)
            if trial.measured.per_second >= level:
                better[each] = trial.measured.per_second
        _tell(each, trial)
    before = len(worse.intersection(grid))
    return Grid(tuple(grid), before, better, probes, time.monotonic() - start)


def configuration_told(knobs: dict[str, Any]) -> Configuration:
    """A configuration as the command's JSON has it."""
    delay = parse_duration(knobs["maxQueueDelay"]).total_seconds()
    return Configuration(knobs["maxBatchSize"], knobs["instances"], delay)


async def _rate(
    server: SpareServer, configuration: Configuration, expected: float | None = None
) -> float:
    trial = await _offered(partial(server.trial, Try(configuration, expected), _ignored))
    _tell(configuration, trial)
    return trial.measured.per_second


async def _offered(measure: Callable[[], Awaitable[Trial]]) -> Trial:
    """What was measured; once more where something else had the processors."""
    try:
        return await measure()
    except LoadNotOffered as error:
        print(f"once more: {error}", flush=True)
        return await measure()


def _tell(configuration: Configuration, trial: Trial) -> None:
    offered = ", ".join(f"{each.per_second:.1f}/s: {_late(each):.0%}" for each in trial.probes)
    print(configuration, f"{trial.measured.per_second:.1f}/s", f"({offered} late)", flush=True)


def _late(probe: Probe) -> float:
    return (probe.late + probe.failed) / max(probe.requests, 1)


def _ignored(probe: Probe) -> None:
    """Nobody waits for single probes."""


# ----------------------------------------------------------------------------------------- report

_HEADER = (
    "model",
    "Triton's defaults, requests/s",
    "`trireme tune`, requests/s",
    "its measurements (probes), minutes",
    "the grid's best",
    "its measurements (probes), minutes",
    "measured by turns: tune / grid",
    "share",
    "processors busy",
    f"goal: {SHARE:.0%} with {PART:.0%}",
)


def report(results: Sequence[Result]) -> str:
    """What docs/benchmarks.md has."""
    others = max(result.usage.others for result in results)
    quiet = "" if others <= MOST_OTHERS else f" (BUSY MACHINE: others took up to {others:.0%})"
    title = f"Knobs found by measurement, p{PERCENTILE} within {TARGET}{quiet}"
    return table(title, _HEADER, map(_row, results))


def _row(result: Result) -> tuple[object, ...]:
    best, found, grid = result.tuned["best"], result.compared, result.compared.grid
    is_met = result.share >= SHARE and result.part <= PART
    return (
        result.model,
        f"{found.defaults:.1f}",
        f"{configuration_told(best)}: {best['sustainedPerSecond']:.1f}, measured "
        f"{best['measurements']} times",
        f"{len(result.tuned['tried'])} ({result.probes}), {result.tuned['seconds'] / 60:.0f}",
        f"{found.best}" if grid.better else "none is better",
        f"{len(grid.all)} ({grid.probes}; {grid.before} were known), {grid.seconds / 60:.0f}",
        f"{found.chosen_per_second:.1f} / {found.best_per_second:.1f}",
        f"{result.share:.0%}",
        f"{result.usage.busy:.0%}",
        "met" if is_met else "**missed**",
    )
