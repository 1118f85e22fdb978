"""Cost against late requests, a panel for each lead time."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from bench.matrix.results import ONLINE, OPTIMUM, Run
from bench.matrix.runs import LEAST_SHARE, OURS
from trireme.simulator.comparison import MOST_LATE

MOST_RATIO = 3.5  # dearer ones are drawn at the edge


def draw(runs: Sequence[Run], path: Path) -> None:
    """Each policy at its own target in each cell; the left below is best."""
    unit = {run.cell: run.gpu_hours for run in runs if run.policy == OPTIMUM}
    delays = sorted({run.cell.delay_seconds for run in runs})
    policies = sorted({run.policy for run in runs} - {OPTIMUM, ONLINE, OURS})
    figure = Figure(figsize=(4 * max(len(delays), 1), 4.2), layout="constrained")
    panels = figure.subplots(1, max(len(delays), 1), sharey=True, squeeze=False)[0]
    for delay, axes in zip(delays, panels, strict=False):
        for number, policy in enumerate([*policies, OURS]):
            those = [
                (min(run.gpu_hours / hours, MOST_RATIO), max(run.late_share, LEAST_SHARE))
                for run in runs
                if (run.policy, run.multiple, run.cell.delay_seconds) == (policy, 1.0, delay)
                and run.gpu_hours is not None
                and (hours := unit[run.cell]) is not None
            ]
            ours = policy == OURS
            colour = "black" if ours else f"C{number}"
            axes.plot(
                [ratio for ratio, _ in those],
                [late for _, late in those],
                "o" if ours else ".",
                color=colour,
                ms=5 if ours else 4,
                alpha=0.7,
                label=policy,
            )
        axes.axhline(MOST_LATE, color="0.4", lw=1, ls="--")
        axes.axvline(1.0, color="0.4", lw=1)
        axes.set_yscale("log")
        axes.set_title(f"lead time {delay} s", fontsize=10)
        axes.set_xlabel("GPU-hours, in the clairvoyant's")
    panels[0].yaxis.set_major_formatter(PercentFormatter(1, decimals=3))
    panels[0].set_ylabel("requests over the SLO")
    panels[-1].legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=8)
    figure.savefig(path, dpi=130, metadata={"Software": "trireme"})
