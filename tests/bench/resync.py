"""What a pass over an agent costs that nothing has happened to: `python -m bench.resync`.

Needs no cluster: a real API server alone, and the operator's own reconciler, in this process. Every
agent is passed over once in `resyncSeconds` (60 by default). There are no nodes and so no pods:
nothing is asked of Triton, and nothing of a status changes. Time is the processor's.
"""

import argparse
import asyncio
import os
import tempfile
import time
from pathlib import Path

from bench.table import table
from integration.api_server import define_agents, running
from integration.passes import Clock, started
from kube import Kube, merged, objects
from trireme.api import kinds, names

EXAMPLES = Path(__file__).parents[2] / "examples"
AGENTS, PASSES = 50, 200
RESYNC_SECONDS = 60
_TICKS = os.sysconf("SC_CLK_TCK")


async def measure(kube: Kube, server: int) -> str:
    """Passes over one of several agents, and a look for lost children of all."""
    agent, files = objects(EXAMPLES / "echo.yaml")
    kube.apply(files)
    for number in range(AGENTS):
        name = f"echo-{number}"
        kube.apply(merged(agent, {"metadata": {"name": name}}))
        async with started(kube, name, Clock()) as operator:
            await operator.passes()
            cluster, children = operator.cluster, len(operator.view.wanted or ())
            if number < AGENTS - 1:
                continue
            began, served = time.process_time(), _spent(server)
            for _ in range(PASSES):
                await operator.once(looks=False)
            passed, served = time.process_time() - began, _spent(server) - served
            began, listed = time.process_time(), _spent(server)
            for kind in kinds.CHILD_KINDS:
                await cluster.label_values(kind, kube.namespace, names.OWNER)
            looked, listed = time.process_time() - began, _spent(server) - listed
    rows = [
        ("a pass over an unchanged agent", passed / PASSES * 1e3, served / PASSES * 1e3),
        ("the look for lost children", looked / AGENTS * 1e3, listed / AGENTS * 1e3),
    ]
    a_core = RESYNC_SECONDS / sum(operators for _, operators, _ in rows) * 1e3
    cells = [(what, *(f"{each:.2f}" for each in spent)) for what, *spent in rows]
    header = ("what", "operator, ms an agent", "API server, ms an agent")
    return (
        table(f"Agents of {children} children that nothing happens to", header, cells)
        + f"A core looks at {a_core:,.0f} agents in {RESYNC_SECONDS} s."
    )


def _spent(process: int) -> float:
    """The processor seconds of a process so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _pid_of(program: str) -> int:
    """The process that we have started of a program."""
    for children in Path("/proc/self/task").glob("*/children"):
        for process in children.read_text().split():
            if Path(f"/proc/{process}/exe").resolve().name == program:
                return int(process)
    raise AssertionError(f"{program} does not run")


def main() -> None:
    """Measure and print."""
    argparse.ArgumentParser(prog="python -m bench.resync", description=__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as server:
        define_agents(server)
        kube = server.in_new_namespace("bench")
        print(asyncio.run(measure(kube, _pid_of("kube-apiserver"))))


if __name__ == "__main__":
    main()
