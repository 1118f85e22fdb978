"""`trireme tune` on a real Triton beside Triton's defaults and an exhaustive grid, in one run.

A spare pod of each model, which nobody else uses: the command searches it as a user would, then
every configuration of the grid is measured by the product's own trials. What was best by chance is
no best: the command's choice and the grid's best are measured again, by turns, and these rates are
compared.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

import yaml

from bench.machine import MOST_OTHERS, Usage, watched
from bench.table import table
from kube import Kube, Object
from trireme.api import names
from trireme.api.types import AgentDeployment
from trireme.cli.manifests import to_yaml
from trireme.edge import request_data, triton
from trireme.edge.request_load import Bounds
from trireme.edge.spare_server import SpareServer, Wish, spare_server
from trireme.modelrepo.render import config_text, render
from trireme.tuner.search import Try
from trireme.tuner.settings import space_of
from trireme.tuner.types import Configuration, Objective

PERCENTILE, TARGET = 95, "250ms"
LIMITS = {"maxBatchSize": {"max": 32}, "instances": {"max": 4}}
DELAYS_SECONDS = (0.0, 0.001, 0.005)
DEFAULTS = Configuration(1, 1)  # Triton's, of the Python backend: no batcher, one instance
SHARE, PART = 0.95, 0.10  # of the grid's best, with that part of its measurements
FINALS = 3  # measurements of each of the two that are compared
START_SECONDS = 180

_MANIFESTS = Path(__file__).with_name("predict.yaml")


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one model, in requests a second."""

    model: str
    tuned: dict[str, Any]
    defaults: float
    grid: dict[Configuration, float]
    chosen: float
    best: float
    usage: Usage

    @property
    def share(self) -> float:
        """Of what the grid's best sustains, measured anew."""
        return self.chosen / self.best

    @property
    def part(self) -> float:
        """Of the grid's measurements."""
        return len(self.tuned["tried"]) / len(self.grid)


def run(kube: Kube, system: Kube) -> str:
    """The sleeping model and the one in torch, one after the other: two to three hours."""
    documents = list(yaml.safe_load_all(_MANIFESTS.read_text()))
    results = []
    for files, body in zip(documents[::2], documents[1::2], strict=True):
        agent = _agent(body)
        address = _start(kube, agent, files)
        with watched() as watch:
            tuned = _command(agent, address)
            results.append(asyncio.run(_compared(agent, address, tuned)))
        results[-1] = replace(results[-1], usage=watch.usage)
        kube.run("delete", "pod,configmap", "--selector=bench=spare", "--wait")
    return _report(results)


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
    """A pod with a Triton of its own, whose control interface is open; its address."""
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
    )
    kube.until(
        f"{name} is ready",
        lambda: any(
            condition["type"] == "Ready" and condition["status"] == "True"
            for condition in kube.get("pod", name)["status"].get("conditions", [])
        ),
        START_SECONDS,
    )
    return f"{kube.get('pod', name)['status']['podIP']}:{names.HTTP_PORT}"


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


def _command(agent: AgentDeployment, address: str) -> dict[str, Any]:
    """What the command finds, as a user runs it."""
    body = agent.model_dump(mode="json", by_alias=True, exclude_unset=True)
    done = subprocess.run(
        [
            Path(sys.executable).with_name("trireme"),
            *("tune", "-f", "-", "--offline", f"--server={address}", "--output=json"),
        ],
        input=to_yaml({"apiVersion": names.API_VERSION, "kind": names.KIND, **body}),
        env=dict(os.environ),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


async def _compared(agent: AgentDeployment, address: str, tuned: dict[str, Any]) -> Result:
    """The grid, and then the two bests by turns."""
    (model,), (objective,) = agent.spec.models, agent.spec.objectives
    wish = Wish(
        Objective(PERCENTILE, objective.latency.target.total_seconds()),
        objective.errors.max_ratio,
        Bounds(),
    )
    config = await triton.served_config(address, model.name)
    requests = request_data.drawn(config, {}, seed=1)
    grid = [
        replace(each, queue_delay_seconds=delay)
        for each in space_of(agent.spec, model).configurations()
        for delay in DELAYS_SECONDS
    ]
    chosen = Configuration(tuned["best"]["maxBatchSize"], tuned["best"]["instances"])
    async with spare_server(address, "", config, requests, wish) as server:
        rates = {each: await _rate(server, each) for each in grid}
        best = max(rates, key=lambda each: rates[each])
        finals: dict[Configuration, list[float]] = {chosen: [], best: []}
        for _ in range(FINALS):
            for each, found in finals.items():
                found.append(await _rate(server, each, rates[best]))
    return Result(
        agent.metadata.name,
        tuned,
        rates[DEFAULTS],
        rates,
        mean(finals[chosen]),
        mean(finals[best]),
        Usage(0, 0),
    )


async def _rate(
    server: SpareServer, configuration: Configuration, expected: float | None = None
) -> float:
    trial = await server.trial(Try(configuration, expected), lambda probe: None)
    print(configuration, f"{trial.measured.per_second:.1f}/s", trial.refused, flush=True)
    return trial.measured.per_second


# ----------------------------------------------------------------------------------------- report

_HEADER = (
    "model",
    "Triton's defaults, requests/s",
    "trireme tune",
    "its measurements",
    "minutes",
    "the grid's best",
    "its measurements",
    "measured again: tune / grid",
    "share",
    f"goal: {SHARE:.0%} with {PART:.0%}",
)


def _report(results: Sequence[Result]) -> str:
    others = max(result.usage.others for result in results)
    quiet = "" if others <= MOST_OTHERS else f" (BUSY MACHINE: others took up to {others:.0%})"
    title = f"Knobs found by measurement, p{PERCENTILE} within {TARGET}{quiet}"
    return table(title, _HEADER, map(_row, results))


def _row(result: Result) -> tuple[object, ...]:
    best = max(result.grid, key=lambda each: result.grid[each])
    tuned = result.tuned["best"]
    is_met = result.share >= SHARE and result.part <= PART
    return (
        result.model,
        f"{result.defaults:.1f}",
        f"{Configuration(tuned['maxBatchSize'], tuned['instances'])}: "
        f"{tuned['sustainedPerSecond']:.1f}",
        len(result.tuned["tried"]),
        f"{result.tuned['seconds'] / 60:.0f}",
        f"{best}: {result.grid[best]:.1f}",
        len(result.grid),
        f"{result.chosen:.1f} / {result.best:.1f}",
        f"{result.share:.0%}",
        "met" if is_met else "**missed**",
    )
