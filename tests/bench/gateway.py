"""What the gateway costs in latency, and what it saves in lost requests."""

from typing import Any

from bench.table import table
from e2e.agents import EXAMPLES, start
from e2e.load import Load
from kube import Kube, Object, merged, objects

PROFILE = "60s@100"
FLAGS = ("--input=x:FP32:1x16", "--output=y", "--expect=double")


def run(kube: Kube, system: Kube) -> str:
    """The same agent and the same loads, with the gateway and without."""
    agent, files = objects(EXAMPLES / "echo.yaml")
    quiet: dict[bool, dict[str, Any]] = {}
    rolling: dict[bool, dict[str, Any]] = {}
    for enabled in (True, False):
        name = start(kube, _fixed(agent, enabled), files)
        quiet[enabled] = Load(kube, "quiet", name, "double", PROFILE, *FLAGS).summary()
        load = Load(kube, "rolling", name, "double", PROFILE, *FLAGS)
        kube.until("load is on", load.started, 60)
        kube.run("rollout", "restart", "deployment", name)
        rolling[enabled] = load.summary()
        kube.run("delete", "agd", name, "--wait")
        kube.run("wait", "pods", "--for=delete", f"--selector=trireme.dev/agent={name}")
    rows = []
    for enabled in (True, False):
        for protocol in ("http", "grpc"):
            seen, bare = quiet[enabled]["by_protocol"], quiet[False]["by_protocol"]
            ratios = {p: seen[protocol][p] / bare[protocol][p] for p in ("p50", "p95")}
            rows.append(
                (
                    "with" if enabled else "without",
                    protocol,
                    *(f"{seen[protocol][p]:.1f} ({ratios[p]:.2f})" for p in ratios),
                    f"{_failed(rolling[enabled], protocol)} of {_sent(rolling[enabled], protocol)}",
                )
            )
    header = ("gateway", "protocol", "p50 ms (ratio)", "p95 ms (ratio)", "lost while rolling")
    return table("With and without the gateway", header, rows)


def _fixed(agent: Object, gateway: bool) -> Object:
    spec = {
        "gateway": {"enabled": gateway},
        "scaling": {"mode": "Fixed", "min": None, "max": None},
        "replicas": 2,
    }
    return merged(agent, {"spec": spec})


def _failed(summary: dict[str, Any], protocol: str) -> int:
    return sum(e["count"] for e in summary["errors"] if e["protocol"] == protocol)


def _sent(summary: dict[str, Any], protocol: str) -> int:
    return int(summary["by_protocol"][protocol]["count"]) + _failed(summary, protocol)
