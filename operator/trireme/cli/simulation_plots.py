"""The pictures of `trireme simulate --plots`. Needs matplotlib, the extra `plots`."""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from trireme.simulator.comparison import MOST_LATE, Score
from trireme.simulator.scenario import Scenario

Floats = npt.NDArray[np.float64]

_POINTS = 480  # of a line: more are less than a pixel apart
_LEAST_SHARE = 1e-5  # of late requests that is told from none


def draw(on: Scenario, scores: Sequence[Score], swept: Sequence[Score], folder: Path) -> list[Path]:
    """Write the pictures into a folder; the answer says which."""
    folder.mkdir(parents=True, exist_ok=True)
    colours = {score.policy: f"C{number}" for number, score in enumerate(scores)}
    with mpl.rc_context(
        {
            "font.size": 9,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.alpha": 0.25,
            "legend.frameon": False,
            "savefig.dpi": 130,
        }
    ):
        figures = {
            "replicas.png": _over_time(on, scores, colours),
            "cost.png": _cost(on, scores, swept, colours),
        }
        for name, figure in figures.items():
            figure.savefig(folder / name, metadata={"Software": "trireme"})
    return [folder / name for name in figures]


# --------------------------------------------------------------------------------- over the time


def _over_time(on: Scenario, scores: Sequence[Score], colours: Mapping[str, str]) -> Figure:
    """For each policy its ready pods beside the need, and below when requests were late."""
    figure = Figure(figsize=(10, 1.2 + 1.9 * len(scores)), layout="constrained")
    heights = [3, 1] * len(scores)
    axes = figure.subplots(
        2 * len(scores), 1, sharex=True, gridspec_kw={"height_ratios": heights}, squeeze=False
    )[:, 0]
    need = scores[0].optimum.need.astype(np.float64)
    unit, unit_seconds = ("hours", 3600) if len(need) > 3 * 3600 else ("minutes", 60)
    times = _thinned((np.arange(len(need)) + 0.5) / unit_seconds, np.mean)
    most = max(float(score.outcome.ready.max()) for score in scores)
    for number, score in enumerate(scores):
        pods, late = axes[2 * number], axes[2 * number + 1]
        outcome, colour = score.outcome, colours[score.policy]
        ready = _thinned(outcome.ready.astype(np.float64), np.mean)
        pods.fill_between(times, _thinned(need, np.mean), color="0.82", lw=0, label="need")
        pods.plot(times, ready, color=colour, lw=1.2, label="ready")
        pods.set_ylim(0, most * 1.05)
        pods.set_ylabel("pods")
        ratio = "" if score.ratio is None else f", {score.ratio:.2f} x optimum"
        pods.set_title(
            f"{score.policy}: {score.gpu_hours:.1f} GPU-hours{ratio}, "
            f"{outcome.late_share:.2%} over the SLO",
            loc="left",
            fontsize=9,
            fontweight="bold",
        )
        came = _thinned(outcome.requests_by_second, np.sum)
        share = np.divide(
            _thinned(outcome.late_by_second, np.sum), came, out=np.zeros_like(came), where=came > 0
        )
        late.fill_between(times, share, step="mid", color="C3", lw=0)
        late.set_ylim(0, 1)
        late.set_yticks([0, 1])
        late.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        late.set_ylabel("late")
    axes[0].legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0)
    axes[-1].set_xlabel(unit)
    axes[-1].set_xlim(0, len(need) / unit_seconds)
    figure.suptitle(f"Ready pods beside the need, and requests over the SLO\n{_subject(on)}", x=0.5)
    return figure


def _thinned(values: Floats, of: Callable[[Floats], np.float64]) -> Floats:
    """As many points as can be seen, each `of` those that it stands for."""
    width = max(1, math.ceil(len(values) / _POINTS))
    parts = [values[start : start + width] for start in range(0, len(values), width)]
    return np.array([of(part) for part in parts])


# ------------------------------------------------------------------------------- cost, violations


def _cost(
    on: Scenario, scores: Sequence[Score], swept: Sequence[Score], colours: Mapping[str, str]
) -> Figure:
    """Each policy's cost against its late requests, over its own target; the left below is best."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    optimum = scores[0].optimum
    unit = optimum.upper_hours or optimum.lower_hours
    for policy, group in groupby(swept, key=lambda score: score.policy):
        line = sorted(group, key=lambda score: score.multiple)
        axes.plot(
            [score.gpu_hours / unit for score in line],
            [_shown(score) for score in line],
            color=colours[policy],
            lw=1,
            marker=".",
            ms=5,
            alpha=0.7,
        )
    for score in scores:
        axes.plot(
            score.gpu_hours / unit,
            _shown(score),
            "o",
            ms=8,
            color=colours[score.policy],
            label=score.policy,
        )
    axes.axhline(MOST_LATE, color="0.4", lw=1, ls="--")
    axes.annotate(
        f"{MOST_LATE:.0%} may be late", (0.995, MOST_LATE), xycoords=("axes fraction", "data"),
        ha="right", va="bottom", color="0.4",
    )  # fmt: skip
    _clairvoyant(axes, optimum.lower_hours / unit, optimum.upper_hours is not None)
    axes.set_yscale("log")
    axes.set_ylim(_LEAST_SHARE * 0.8, 1.2)
    axes.yaxis.set_major_formatter(FuncFormatter(_percent))
    axes.set_xlabel(
        "GPU-hours, in those of the feasible clairvoyant"
        if optimum.upper_hours is not None
        else "GPU-hours, in the clairvoyant's lower bound"
    )
    axes.set_ylabel("requests over the SLO")
    axes.legend(
        title="large: as compared\nsmall: its target swept",
        loc="upper left",
        bbox_to_anchor=(1, 1),
        alignment="left",
    )
    axes.set_title(f"Cost against violations\n{_subject(on)}", fontsize=10)
    return figure


def _clairvoyant(axes: Axes, lower: float, is_bracket: bool) -> None:
    axes.axvspan(lower, 1.0, color="0.82", lw=0)
    if is_bracket:
        axes.axvline(1.0, color="0.4", lw=1, label="clairvoyant")


def _shown(score: Score) -> float:
    return max(score.outcome.late_share, _LEAST_SHARE)


def _percent(share: float, _: object) -> str:
    return f"{'≤ ' if share <= _LEAST_SHARE else ''}{share * 100:g} %"


def _subject(on: Scenario) -> str:
    return (
        f"{on.traffic.name}, p{on.objective.percentile} within "
        f"{on.objective.limit_seconds * 1e3:g} ms, lead time {on.lead_time.seconds:g} s"
    )
