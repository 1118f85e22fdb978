"""Pods and p95 over the time, a row for each load, a line for each policy."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bench.peers.runs import OBJECTIVE_MILLISECONDS, Run

_MOST_MILLISECONDS = 3000.0  # slower ones are drawn at the edge


def draw(runs: Sequence[Run], path: Path) -> None:
    """Left the pods that were asked for, and dotted those that were ready; right what clients saw.
    The rate is grey.
    """
    shapes = list(dict.fromkeys(run.shape for run in runs))
    policies = list(dict.fromkeys(run.policy for run in runs))
    figure = Figure(figsize=(11, 2.4 * len(shapes)), layout="constrained")
    panels = figure.subplots(len(shapes), 2, sharex=True, squeeze=False)
    for shape, (sizes, latencies) in zip(shapes, panels, strict=True):
        those = [run for run in runs if run.shape == shape]
        rates = [second["target_rate"] for second in those[0].seconds]
        beside = sizes.twinx()
        beside.fill_between(range(len(rates)), rates, color="0.9", step="post")
        beside.set_ylabel("requests/s", color="0.5", fontsize=8)
        sizes.set_zorder(beside.get_zorder() + 1)
        sizes.patch.set_visible(False)
        for run in those:
            colour = f"C{policies.index(run.policy)}"
            _stairs(sizes, run.sizes, run, color=colour, label=run.policy)
            _stairs(sizes, run.ready, run, color=colour, lw=1, ls=":")
            seen = [(s["second"], s["latency_ms"]["p95"]) for s in run.seconds if s["latency_ms"]]
            latencies.plot(
                [second for second, _ in seen],
                [min(p95, _MOST_MILLISECONDS) for _, p95 in seen],
                color=colour,
                lw=1,
                label=run.policy,
            )
        latencies.axhline(OBJECTIVE_MILLISECONDS, color="0.4", ls="--", lw=1)
        latencies.set_yscale("log")
        sizes.yaxis.set_major_locator(MaxNLocator(integer=True))
        sizes.set_ylabel(f"{shape}\npods", fontsize=9)
        latencies.set_ylabel("p95 ms", fontsize=9)
    panels[0][1].legend(fontsize=8)
    for axes in panels[-1]:
        axes.set_xlabel("s")
    figure.savefig(path, dpi=110, metadata={"Software": "trireme"})


def _stairs(axes: Axes, sizes: Sequence[tuple[float, int]], run: Run, **style: Any) -> None:
    """Numbers that hold from a time to the next one, from the load's start to its profile's end."""
    times = [max(at, 0) for at, _ in sizes] + [max(run.profile.seconds, sizes[-1][0])]
    axes.step(times, [n for _, n in (*sizes, sizes[-1])], where="post", **style)
