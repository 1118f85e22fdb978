"""From a step of the load to capacity that is ready for it, split by cause.

The load's clock, the API server's and ours are one machine's. The floor that no autoscaler can go
below is the pod's own start, from its creation to its readiness, in the same run.
"""

import time
from dataclasses import dataclass, field
from threading import Thread
from typing import Any

from kubernetes import client, config, watch

from bench.table import table
from e2e.agents import slow_agent, start
from e2e.load import Load
from kube import Kube

BEFORE_SECONDS = 40
PROFILE = f"{BEFORE_SECONDS}s@20,80s@60"
OBJECTIVE_MILLISECONDS = 200.0
CALM_SECONDS = 5  # so many seconds in a row within the objective are calm


@dataclass
class Seen:
    """When the watches told of what, as Unix time: of the first pod beyond the one before."""

    patched: float | None = None
    pod: str | None = None
    created: float | None = None
    scheduled: float | None = None
    started: float | None = None
    ready: float | None = None
    old_pods: set[str] = field(default_factory=set)


def run(kube: Kube, system: Kube) -> str:
    """One step from 20 to 60 requests a second, of which one pod answers at most 50."""
    agent, files = slow_agent("agent", min=1, max=3)
    name = start(kube, agent, files)
    seen = Seen(old_pods={p["metadata"]["name"] for p in kube.all("pods")})
    api = config.new_client_from_config(config_file=str(kube.kubeconfig))
    for follow in (_follow_deployment, _follow_pods):
        Thread(target=follow, args=(api, kube.namespace, name, seen), daemon=True).start()
    load = Load(kube, "load", name, "policy", PROFILE)
    summary = load.summary(seconds=300)
    if summary["failed"] or summary["not_sent"]:
        raise AssertionError(f"requests were lost: {summary}")
    stepped = load.began() + BEFORE_SECONDS
    return _report(stepped, seen, _kept_again(load, stepped))


def _report(stepped: float, seen: Seen, calm: float) -> str:
    patched, created, ready = seen.patched, seen.created, seen.ready
    if not (patched and created and seen.scheduled and seen.started and ready):
        raise AssertionError(f"something was not seen: {seen}")
    moments = [
        ("load step", stepped, ""),
        ("scale patch", patched, "scrapes of 5 s, a window of 30 s, rounds of 5 s"),
        ("pod created", created, "Deployment and ReplicaSet controllers"),
        ("pod scheduled", seen.scheduled, "scheduler"),
        ("container started", seen.started, "kubelet: volumes, sandbox; the image is there"),
        ("pod ready", ready, "Triton starts, loads, warms up; probe period 1 s, then 2 s"),
        ("p95 within the objective", calm, "DNS refresh 0.5 s; the queue of before drains"),
    ]
    total, floor = calm - stepped, ready - created
    rows = [
        (what, f"{at - before:.1f}", f"{(at - before) / total:.0%}", cause)
        for (what, at, cause), (_, before, _) in zip(moments[1:], moments, strict=False)
    ]
    until_ready = ready - stepped
    rows.append(
        (
            "load step to ready capacity",
            f"{until_ready:.1f}",
            f"{until_ready / total:.0%}",
            f"{until_ready / floor:.1f} times the pod's own start of {floor:.1f} s",
        )
    )
    rows.append(("load step to objective kept", f"{total:.1f}", "100%", ""))
    return table("A step of the load", ("until", "seconds", "share", "cause"), rows)


def _kept_again(load: Load, stepped: float) -> float:
    """When the first CALM_SECONDS in a row within the objective began, after it was broken."""
    began = load.began()
    seconds = [(began + s["second"], _within(s)) for s in load.seconds()]
    after = [(at, within) for at, within in seconds if at >= stepped]
    broken = next(n for n, (_, within) in enumerate(after) if not within)
    for n in range(broken, len(after) - CALM_SECONDS + 1):
        if all(within for _, within in after[n : n + CALM_SECONDS]):
            return float(after[n][0])
    raise AssertionError("the objective was never kept again")


def _within(second: dict[str, Any]) -> bool:
    latency = second["latency_ms"]
    return latency is not None and bool(latency["p95"] <= OBJECTIVE_MILLISECONDS)


def _follow_deployment(api: client.ApiClient, namespace: str, name: str, seen: Seen) -> None:
    deployments = client.AppsV1Api(api).list_namespaced_deployment
    chosen = f"metadata.name={name}"
    for event in watch.Watch().stream(deployments, namespace, field_selector=chosen):
        if event["object"].spec.replicas > 1:
            seen.patched = time.time()  # noqa: TID251  # a clock to measure by
            return


def _follow_pods(api: client.ApiClient, namespace: str, name: str, seen: Seen) -> None:
    pods = client.CoreV1Api(api).list_namespaced_pod
    chosen = f"trireme.dev/agent={name}"
    for event in watch.Watch().stream(pods, namespace, label_selector=chosen):
        pod, now = event["object"], time.time()  # noqa: TID251  # a clock to measure by
        if pod.metadata.name in seen.old_pods or seen.pod not in (None, pod.metadata.name):
            continue
        seen.pod = pod.metadata.name
        seen.created = seen.created or now
        if pod.spec.node_name:
            seen.scheduled = seen.scheduled or now
        if any(_running(status) for status in pod.status.container_statuses or []):
            seen.started = seen.started or now
        if any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions or []):
            seen.ready = now
            return


def _running(status: Any) -> bool:
    return status.state.running is not None
