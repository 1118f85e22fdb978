"""The pictures of `trireme simulate --plots`. Needs matplotlib, the extra `plots`."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from trireme.cli.simulation_tables import MOMENT
from trireme.simulator.class_comparison import ClassScenario, ClassScore
from trireme.simulator.comparison import MOST_LATE, Optimum, Score
from trireme.simulator.hours import Hours
from trireme.simulator.scenario import Scenario
from trireme.simulator.traces import Traffic

Floats = npt.NDArray[np.float64]

_POINTS = 480  # of a line: more are less than a pixel apart
_LEAST_SHARE = 1e-5  # of late requests that is told from none


def draw(on: Scenario, scores: Sequence[Score], swept: Sequence[Score], folder: Path) -> list[Path]:
    """Write the pictures into a folder; the answer says which."""
    colours = {score.policy: f"C{number}" for number, score in enumerate(scores)}
    with _styled():
        figures = {
            "replicas.png": _over_time(on, scores, colours),
            "cost.png": _cost(on, scores, swept, colours),
        }
        return _written(figures, folder)


def draw_classes(on: ClassScenario, scores: Sequence[ClassScore], folder: Path) -> list[Path]:
    """The same of node classes: who had pods of which class when, and what it cost."""
    colours = {each.name: f"C{number}" for number, each in enumerate(on.classes)}
    with _styled():
        figures = {
            "replicas.png": _classes_over_time(on, scores, colours),
            "cost.png": _cost_of_classes(on, scores),
        }
        return _written(figures, folder)


@contextmanager
def _styled() -> Iterator[None]:
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
        yield


def _written(figures: Mapping[str, Figure], folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(folder / name, metadata={"Software": "trireme"})
    return [folder / name for name in figures]


# --------------------------------------------------------------------------------- over the time


def _over_time(on: Scenario, scores: Sequence[Score], colours: Mapping[str, str]) -> Figure:
    """For each policy its ready pods beside the need, and below when requests were late."""
    figure, axes, times = _panels(on.traffic, on.hours, len(scores))
    need = scores[0].optimum.need.astype(np.float64)
    most = max(float(score.outcome.ready.max()) for score in scores)
    bounds = on.bounds_by_second if on.hours.schedules or on.room is not None else ()
    for number, score in enumerate(scores):
        pods, late = axes[2 * number], axes[2 * number + 1]
        outcome, colour = score.outcome, colours[score.policy]
        ready = _thinned(outcome.ready.astype(np.float64), np.mean)
        pods.fill_between(times, _thinned(need, np.mean), color="0.82", lw=0, label="need")
        pods.plot(times, ready, color=colour, lw=1.2, label="ready")
        _bounds(pods, times, bounds)
        ratio = "" if score.ratio is None else f", {score.ratio:.2f} x optimum"
        title = f"{score.policy}: {score.gpu_hours:.1f} GPU-hours{ratio}"
        _titled(pods, most, title, outcome.late_share)
        _late_over_time(late, times, outcome.requests_by_second, outcome.late_by_second)
    axes[0].legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, borderaxespad=0)
    figure.suptitle(f"Ready pods beside the need, and requests over the SLO\n{_subject(on)}", x=0.5)
    return figure


def _classes_over_time(
    on: ClassScenario, scores: Sequence[ClassScore], colours: Mapping[str, str]
) -> Figure:
    """For each fleet its ready pods by class, and below when requests were late."""
    figure, axes, times = _panels(on.traffic, on.hours, len(scores))
    most = max(float(score.outcome.ready.sum(axis=0).max()) for score in scores)
    bounds = on.bounds_by_second if on.hours.schedules else ()
    for number, score in enumerate(scores):
        pods, late = axes[2 * number], axes[2 * number + 1]
        outcome, names = score.outcome, [each.name for each in score.classes]
        pods.stackplot(
            times,
            *(_thinned(row.astype(np.float64), np.mean) for row in outcome.ready),
            colors=[colours[name] for name in names],
            labels=names,
            lw=0,
        )
        _bounds(pods, times, bounds)
        ratio = "" if score.ratio is None else f", {score.ratio:.2f} x least"
        title = f"{score.policy} on {' and '.join(names)}: cost {score.cost:.2f}{ratio}"
        _titled(pods, most, title, outcome.late_share)
        _late_over_time(late, times, outcome.requests_by_second, outcome.late_by_second)
    axes[0].legend(
        loc="lower right", bbox_to_anchor=(1, 1), ncols=len(on.classes) + 1, borderaxespad=0
    )
    figure.suptitle(f"Ready pods by class, and requests over the SLO\n{_subject_of(on)}", x=0.5)
    return figure


def _panels(traffic: Traffic, hours: Hours, count: int) -> tuple[Figure, Sequence[Axes], Floats]:
    """Two axes for each of so many fleets, one below the other, and the times of what they show."""
    figure = Figure(figsize=(10, 1.2 + 1.9 * count), layout="constrained")
    heights = {"height_ratios": [3, 1] * count}
    axes = figure.subplots(2 * count, 1, sharex=True, gridspec_kw=heights, squeeze=False)[:, 0]
    seconds = len(traffic.rate_per_second)
    unit, unit_seconds = ("hours", 3600) if seconds > 3 * 3600 else ("minutes", 60)
    since = "" if hours.begins is None else f" from {hours.begins:{MOMENT}} on"
    axes[-1].set_xlabel(f"{unit}{since}")
    axes[-1].set_xlim(0, seconds / unit_seconds)
    return figure, [*axes], _thinned((np.arange(seconds) + 0.5) / unit_seconds, np.mean)


def _bounds(axes: Axes, times: Floats, bounds: Iterable[npt.NDArray[np.int64]]) -> None:
    """The fewest and the most pods that there may be, where that is not always the same."""
    for row, label in zip(bounds, ("bounds", None), strict=False):
        shown = _thinned(row.astype(np.float64), np.max)
        axes.plot(times, shown, color="0.4", lw=0.8, ls=":", drawstyle="steps-mid", label=label)


def _titled(axes: Axes, most: float, title: str, late_share: float) -> None:
    """Axes of pods, up to `most` of them in any second of any fleet."""
    axes.set_ylim(0, max(most, 1) * 1.05)
    axes.set_ylabel("pods")
    title = f"{title}, {late_share:.2%} over the SLO"
    axes.set_title(title, loc="left", fontsize=9, fontweight="bold")


def _late_over_time(axes: Axes, times: Floats, requests: Floats, late: Floats) -> None:
    came = _thinned(requests, np.sum)
    share = np.divide(_thinned(late, np.sum), came, out=np.zeros_like(came), where=came > 0)
    axes.fill_between(times, share, step="mid", color="C3", lw=0)
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 1])
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_ylabel("late")


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
    unit = optimum.upper_hours or optimum.lower_hours or 1.0  # hours where no pod is needed
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
    _clairvoyant(axes, optimum, unit)
    _late_axis(axes)
    if optimum.upper_hours:
        axes.set_xlabel("GPU-hours, in those of the feasible clairvoyant")
    elif optimum.lower_hours:
        axes.set_xlabel("GPU-hours, in the clairvoyant's lower bound")
    else:
        axes.set_xlabel("GPU-hours")
    axes.legend(
        title="large: as compared\nsmall: its target swept",
        loc="upper left",
        bbox_to_anchor=(1, 1),
        alignment="left",
    )
    axes.set_title(f"Cost against violations\n{_subject(on)}", fontsize=10)
    return figure


def _cost_of_classes(on: ClassScenario, scores: Sequence[ClassScore]) -> Figure:
    """Each fleet's cost against its late requests; the left below is best."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    least = scores[0].least_cost
    unit = least or 1.0  # that of the prices where no pod is needed
    for score in scores:
        classes = " and ".join(each.name for each in score.classes)
        axes.plot(
            score.cost / unit,
            max(score.outcome.late_share, _LEAST_SHARE),
            "D" if len(score.classes) > 1 else "o",
            ms=8,
            label=f"{score.policy} on {classes}",
        )
    _late_axis(axes)
    axes.axvline(least / unit, color="0.4", lw=1, label="the cheapest mix at each moment")
    axes.set_xlabel("cost, in that of the cheapest mix at each moment" if least else "cost")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    axes.set_title(f"Cost against violations\n{_subject_of(on)}", fontsize=10)
    return figure


def _late_axis(axes: Axes) -> None:
    """Shares of late requests, by their powers of ten."""
    axes.axhline(MOST_LATE, color="0.4", lw=1, ls="--")
    axes.annotate(
        f"{MOST_LATE:.0%} may be late", (0.995, MOST_LATE), xycoords=("axes fraction", "data"),
        ha="right", va="bottom", color="0.4",
    )  # fmt: skip
    axes.set_yscale("log")
    axes.set_ylim(_LEAST_SHARE * 0.8, 1.2)
    axes.yaxis.set_major_formatter(FuncFormatter(_percent))
    axes.set_ylabel("requests over the SLO")


def _clairvoyant(axes: Axes, optimum: Optimum, unit: float) -> None:
    lower, upper = optimum.lower_hours, optimum.upper_hours
    axes.axvspan(lower / unit, (lower if upper is None else upper) / unit, color="0.82", lw=0)
    if upper is not None:
        axes.axvline(upper / unit, color="0.4", lw=1, label="clairvoyant")


def _shown(score: Score) -> float:
    return max(score.outcome.late_share, _LEAST_SHARE)


def _percent(share: float, _: object) -> str:
    return f"{'≤ ' if share <= _LEAST_SHARE else ''}{share * 100:g} %"


def _subject(on: Scenario) -> str:
    return (
        f"{on.traffic.name}, p{on.objective.percentile} within "
        f"{on.objective.limit_seconds * 1e3:g} ms, lead time {on.lead_time.seconds:g} s"
    )


def _subject_of(on: ClassScenario) -> str:
    return (
        f"{on.traffic.name}, p{on.objective.percentile} within "
        f"{on.objective.limit_seconds * 1e3:g} ms"
    )
