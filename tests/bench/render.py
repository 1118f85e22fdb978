"""How long the operator's pure core takes for a thousand models, beside PyYAML reading their specs.

Needs no cluster: `python -m bench.render`. The peer is PyYAML's own loader in Python, on the very
text; each figure is the least processor time of ROUNDS, since other work only ever adds to it.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import yaml

from bench.table import table
from trireme.admission.examine import examine
from trireme.admission.parse import parse_agent
from trireme.api.agent import AgentDeployment
from trireme.modelrepo.render import render
from trireme.modelrepo.repository import Repository
from trireme.resources.desired import desired_objects
from trireme.resources.initial_size import initial_sizes
from trireme.resources.options import ResourceOptions
from trireme.settings import Settings

MODELS = 1_000
ROUNDS = 3
Made = TypeVar("Made")
PROGRAM = b"""
class TritonPythonModel:
    def execute(self, requests):
        return [None for _ in requests]
"""
SOURCES = {"files": {"model.py": PROGRAM}}
OPTIONS = ResourceOptions.of(Settings())


@dataclass(frozen=True)
class Shape:
    """So many agents of so many models each."""

    agents: int
    models: int

    def __str__(self) -> str:
        return f"{self.agents:,} of {self.models}"


SHAPES = (Shape(MODELS, 1), Shape(MODELS // 8, 8), Shape(16, 64))


def run() -> str:
    """Milliseconds for a thousand models, by step and by how they are spread over agents."""
    rows = [_row(shape) for shape in SHAPES]
    header = ("agents of models", "PyYAML", "parse", "check", "render", "objects", "all but YAML")
    return table(f"{MODELS:,} models, milliseconds (times PyYAML)", header, rows)


def _row(shape: Shape) -> Sequence[str]:
    text = yaml.safe_dump_all(_body(shape, number) for number in range(shape.agents))
    bodies, reading = _timed(lambda: list(yaml.safe_load_all(text)))
    agents, parsing = _timed(lambda: [parse_agent(body) for body in bodies])
    found, checking = _timed(lambda: [examine(agent.spec, SOURCES) for agent in agents])
    if any(examined.faults for examined in found):
        raise AssertionError(f"a benchmark of refusals: {found[0].faults}")
    files, rendering = _timed(lambda: [render(agent.spec, SOURCES) for agent in agents])
    _, making = _timed(lambda: [_objects(*pair) for pair in zip(agents, files, strict=True)])
    per_thousand = 1e3 * MODELS / (shape.agents * shape.models)
    own = (parsing, checking, rendering, making)
    return (
        str(shape),
        f"{reading * per_thousand:.0f}",
        *(f"{s * per_thousand:.0f} ({s / reading:.2f})" for s in (*own, sum(own))),
    )


def _objects(agent: AgentDeployment, files: Repository) -> tuple[dict[str, Any], ...]:
    return desired_objects(agent, files, OPTIONS, initial_replicas=initial_sizes(agent, None))


def _timed(make: Callable[[], Made]) -> tuple[Made, float]:
    """What is made, and the processor's seconds that its quickest round took."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        made = make()
        best = min(best, time.process_time() - began)
    return made, best


def _body(shape: Shape, number: int) -> dict[str, Any]:
    """An agent that uses what most do: batching, instances, a warm-up, an objective."""
    names = [f"model-{at}" for at in range(shape.models)]
    return {
        "apiVersion": "trireme.dev/v1alpha1",
        "kind": "AgentDeployment",
        "metadata": {"name": f"agent-{number}", "namespace": "bench", "uid": f"u-{number}"},
        "spec": {
            "server": {"image": "example.com/triton:26.08-py3", "gpus": {"count": 1}},
            "models": [_model(name) for name in names],
            "objectives": [{"model": names[0], "latency": {"target": "100ms"}}],
        },
    }


def _model(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "source": {"configMap": "files"},
        "backend": "python",
        "maxBatchSize": 8,
        "inputs": [{"name": "ids", "dataType": "INT64", "dims": [-1]}],
        "outputs": [{"name": "embedding", "dataType": "FP32", "dims": [384]}],
        "batching": {"dynamic": {"maxQueueDelay": "2ms", "queue": {"maxSize": 256}}},
        "instances": [{"kind": "GPU", "count": 2}],
        "warmup": [{"batchSize": 1}, {"batchSize": 8}],
        "parameters": {"vocabulary": "words.txt"},
    }


if __name__ == "__main__":
    print(run())
