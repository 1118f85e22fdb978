"""Trireme beside a real HorizontalPodAutoscaler that KEDA feeds from the same Prometheus.

One agent, first scaled by Trireme, then through its /scale (mode External): by KEDA's Prometheus
trigger on the rate of requests, and on p95. All have the same bounds, the same windows and rates of
change, and the same arrivals. Two of the three are told what Trireme learns: the rate that a pod
sustains, and the objective.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.machine import MOST_OTHERS, watched
from bench.peers import keda, plot
from bench.peers.policies import (
    AGENT,
    BEHAVIOR,
    MAX,
    MIN,
    OURS,
    patch,
    scaled_by,
    triggers,
)
from bench.peers.runs import SHAPES, SUSTAINED_PER_SECOND, Run
from bench.peers.seen import Counter, followed
from bench.table import table
from e2e.agents import server_pods, slow_agent, start
from e2e.load import Load
from kube import Kube
from trireme.api import names

DECISION_SECONDS = 11.0  # promised of Trireme: a scrape, a round, and one more
PLOT = Path(__file__).parents[3] / "docs" / "peers.png"


_LEARNING = f"400s@{SUSTAINED_PER_SECOND * 0.8:.0f}"


def run(kube: Kube, system: Kube, only: Sequence[str] = ()) -> str:
    """Every shape, or `only` some, under every policy; the plot is written besides."""
    keda.install(kube.kubeconfig)
    agent, files = slow_agent(AGENT, min=MIN, max=MAX, behavior=BEHAVIOR)
    start(kube, agent, files)
    _learn(kube)
    shapes = [shape for shape in SHAPES if not only or shape in only]
    runs = [_measured(kube, shape, OURS) for shape in shapes]
    patch(kube, {"replicas": MIN, "scaling": {"mode": "External"}})
    for policy, trigger in triggers(kube).items():
        for shape in shapes:
            _shrink(kube)
            with scaled_by(kube, trigger):
                runs.append(_measured(kube, shape, policy))
    keda.remove(kube.kubeconfig)
    lead = runs[-1].lead_seconds  # by all starts, and the same for all
    runs = [replace(run, lead_seconds=lead) for run in runs]
    plot.draw(runs, PLOT)
    return _report(runs)


def _learn(kube: Kube) -> None:
    """Serve until Trireme knows what a pod sustains, as it does of any agent a few minutes old."""

    def is_known() -> bool:
        scaling = kube.get("agd", AGENT)["status"].get("scaling", {})
        return any("sustainedPerSecond" in curve for curve in scaling.get("curves", []))

    load = Load(kube, "learning", AGENT, "policy", _LEARNING)
    kube.until("what a pod sustains is learnt", is_known, 240, AGENT)
    load.stop()
    load.all_answered()


# --------------------------------------------------------------------------------------- measuring


def _measured(kube: Kube, shape: str, policy: str) -> Run:
    """One run, from a fleet of one pod."""
    if policy == OURS:  # as nothing else shrinks it at once; its past it keeps
        patch(kube, {"scaling": {"max": MIN}})
        _shrink(kube)
        patch(kube, {"scaling": {"max": MAX}})
        kube.until("the spec is in force", lambda: kube.is_ready(AGENT), 60, AGENT)
    (gateway,) = kube.all("pods", f"{names.GATEWAY}={AGENT}")
    count = Counter(kube, gateway["metadata"]["name"])
    before = count.now()
    name = re.sub(r"[^a-z0-9]+", "-", f"{shape} {policy}".lower())
    with followed(kube, AGENT) as seen:
        load = Load(kube, name, AGENT, "policy", SHAPES[shape])
        kube.until("load is on", load.started, 60)
        with watched() as watch:
            summary = load.summary()
        began = load.began()
        reports = load.seconds()
    after = count.now()
    late = after.answers - before.answers - (after.in_time - before.in_time) + summary["failed"]
    told = kube.get("agd", AGENT)["status"]["scaling"].get("leadTime", {})
    result = Run(
        shape=shape,
        policy=policy,
        sizes=tuple((at - began, n) for at, n in seen.sizes),
        ready=tuple((at - began, n) for at, n in seen.ready),
        seconds=tuple(reports),
        late_share=late / (summary["sent"] + summary["not_sent"]),
        lead_seconds=float(told.get("p95Seconds", 0)),
        usage=watch.usage,
    )
    print(*_row(result), sep=" | ", flush=True)
    return result


def _shrink(kube: Kube) -> None:
    """Wait for the fleet of one pod that was asked for, without those that drain."""

    def is_one() -> bool:
        alone = len(server_pods(kube, AGENT)) == 1
        return alone and kube.replicas(AGENT) == 1 and kube.ready_pods(AGENT) == 1

    kube.until("one pod", is_one, 120, AGENT)


# ----------------------------------------------------------------------------------------- report

_HEADER = (
    "load",
    "policy",
    "outgrown to decision s",
    "late",
    "seconds kept after a lead time",
    "pod-seconds",
    "turns",
    "most pods",
    "processors busy",
)


def _row(run: Run) -> tuple[str, ...]:
    decided = run.decision_seconds
    missed = run.policy == OURS and (decided or 0) > DECISION_SECONDS
    return (
        run.shape,
        run.policy,
        "none" if decided is None else f"{decided:.1f}" + (" **late**" if missed else ""),
        f"{run.late_share:.1%}",
        f"{run.kept_share:.0%}",
        f"{run.pod_seconds:.0f}",
        str(run.turns),
        str(max(n for _, n in run.sizes)),
        f"{run.usage.busy:.0%}",
    )


def _report(runs: Sequence[Run]) -> str:
    others = max(run.usage.others for run in runs)
    quiet = "" if others <= MOST_OTHERS else f" (BUSY MACHINE: others took up to {others:.0%})"
    ordered = sorted(runs, key=lambda run: list(SHAPES).index(run.shape))
    return table(f"Beside a HorizontalPodAutoscaler{quiet}", _HEADER, map(_row, ordered))
