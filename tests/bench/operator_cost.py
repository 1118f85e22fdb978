"""What the operator takes while nothing happens, beside Kubernetes' own controllers."""

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from bench.table import table
from e2e.agents import slow_agent, start
from kube import Kube

AGENTS = 5
SECONDS = 120


@dataclass(frozen=True)
class Usage:
    """A container's processor time so far, and its memory now."""

    at_nanoseconds: int
    cpu_nanoseconds: int
    memory_bytes: int


def run(kube: Kube, system: Kube) -> str:
    """The leader and the waiting replica of the operator, with AGENTS idle agents of one pod."""
    agent, files = slow_agent("agent-0", min=1, max=1)
    for number in range(AGENTS):
        agent["metadata"]["name"] = f"agent-{number}"
        start(kube, agent, files)
    leader = system.get("lease", "trireme-leader")["spec"]["holderIdentity"]
    before = _usages(kube)
    time.sleep(SECONDS)
    after = _usages(kube)
    rows = []
    waiting = _pod_of(after.keys() - {leader}, "trireme-")
    named = {
        "the operator, leading": leader,
        "the operator, waiting": waiting,
        "kube-controller-manager": _pod_of(after, "kube-controller-manager"),
        "CoreDNS, one of two": _pod_of(after, "coredns"),
    }
    cores: dict[str, float] = {}
    for what, pod in named.items():
        spent = after[pod].cpu_nanoseconds - before[pod].cpu_nanoseconds
        cores[what] = spent / (after[pod].at_nanoseconds - before[pod].at_nanoseconds)
        rows.append((what, cores[what], after[pod].memory_bytes / 2**20))
    peer = cores["kube-controller-manager"]
    lines = [(w, f"{c * 1e3:.1f}", f"{c / peer:.2f}", f"{m:.0f}") for w, c, m in rows]
    title = f"The operator at rest, {AGENTS} agents, {SECONDS} s"
    header = ("process", "millicores", "of kube-controller-manager's", "memory MiB")
    return table(title, header, lines)


def _pod_of(usages: Iterable[str], program: str) -> str:
    return next(pod for pod in usages if pod.startswith(program))


def _usages(kube: Kube) -> dict[str, Usage]:
    """By pod, from the kubelet's own summary, its first container."""
    (node,) = json.loads(kube.run("get", "nodes", "-o", "json"))["items"]
    path = f"/api/v1/nodes/{node['metadata']['name']}/proxy/stats/summary"
    pods = json.loads(kube.run("get", "--raw", path))["pods"]
    return {
        pod["podRef"]["name"]: Usage(
            _nanoseconds(container["cpu"]["time"]),
            container["cpu"]["usageCoreNanoSeconds"],
            container["memory"]["workingSetBytes"],
        )
        for pod in pods
        for container in pod.get("containers", [])[:1]
        if "usageCoreNanoSeconds" in container.get("cpu", {})
    }


def _nanoseconds(time_stamp: str) -> int:
    return int(datetime.fromisoformat(time_stamp).timestamp() * 1e9)
