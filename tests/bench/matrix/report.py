"""The matrix as Markdown, and a plot beside it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from bench.matrix.cells import DELAYS_SECONDS, Cell
from bench.matrix.plot import draw
from bench.matrix.results import ONLINE, OPTIMUM, Results, Run
from bench.matrix.runs import OURS, hours_at, is_behind
from bench.table import table
from trireme.simulator.comparison import MOST_LATE

GOAL_RATIO = 1.15  # of the clairvoyant's cost, with at most 5 % late
GOAL_DELAY_SECONDS = 120  # up to which it is to be kept
ALIKE = 0.005  # costs that differ by less, relatively, are not told apart
WORST = 25


@dataclass(frozen=True, slots=True)
class Peer:
    """A baseline beside Trireme; `ratio` is its cost at Trireme's late share, in the clairvoyant's.

    None where it has no such share, whatever its target; `is_least` where it costs that or more.
    """

    ratio: float | None
    is_least: bool
    is_ahead: bool  # of Trireme


@dataclass(frozen=True, slots=True)
class Judged:
    """A cell whose runs are all there; ratios are in what the clairvoyant costs.

    `online` is that of the best constant margin: infinite where none is in time, None where it was
    not run.
    """

    cell: Cell
    ratio: float
    late_share: float
    online: float | None
    peers: dict[str, Peer]

    @property
    def is_within_goal(self) -> bool:
        """Cheap enough, and in time."""
        return self.ratio <= GOAL_RATIO and self.late_share <= MOST_LATE

    @property
    def is_ahead(self) -> bool:
        """Whether no baseline costs less at the same share of late requests."""
        return not any(peer.is_ahead for peer in self.peers.values())


def write(results: Results, cells: Sequence[Cell], policies: Sequence[str], path: Path) -> None:
    """Into a file; the plot has its name and `.png`."""
    known = results.by_cell()
    peers = [policy for policy in policies if policy != OURS]
    found = [judged for cell in cells if (judged := _judged(cell, known.get(cell, []), peers))]
    online = {
        (each.cell.trace, each.cell.delay_seconds): each.online
        for each in found
        if each.online is not None
    }
    parts = [_summary(found)]
    for delay in sorted({each.cell.delay_seconds for each in found}):
        of_delay = [each for each in found if each.cell.delay_seconds == delay]
        parts.append(_of_delay(delay, of_delay, peers, online))
    parts.append(_reasons(found, online))
    parts.append(_worst(found, online))
    path.write_text("\n".join(parts), encoding="utf-8")
    draw([run for each in found for run in known[each.cell]], path.with_suffix(".png"))


def _judged(cell: Cell, runs: Sequence[Run], policies: Sequence[str]) -> Judged | None:
    """None where the optimum or Trireme is missing, or nothing keeps the objective."""
    of = {policy: [run for run in runs if run.policy == policy] for policy in policies}
    ours = next((run for run in runs if (run.policy, run.multiple) == (OURS, 1.0)), None)
    unit = next((run.gpu_hours for run in runs if run.policy == OPTIMUM), None)
    if ours is None or ours.gpu_hours is None or unit is None:
        return None
    online = next((run.gpu_hours or math.inf for run in runs if run.policy == ONLINE), None)
    return Judged(
        cell,
        ours.gpu_hours / unit,
        ours.late_share,
        None if online is None else online / unit,
        {policy: _peer(its, ours, unit) for policy, its in of.items() if its},
    )


def _peer(runs: Sequence[Run], ours: Run, unit: float) -> Peer:
    hours = hours_at(runs, ours.late_share)
    if hours is None:
        behind = [run.gpu_hours for run in runs if is_behind(run, ours)]
        least = max((each for each in behind if each is not None), default=None)
        return Peer(None if least is None else least / unit, is_least=True, is_ahead=False)
    assert ours.gpu_hours is not None
    return Peer(hours / unit, False, hours < ours.gpu_hours * (1 - ALIKE))


# ----------------------------------------------------------------------------------------- tables


def _summary(found: Sequence[Judged]) -> str:
    rows = []
    for name, of in (
        *((f"{delay} s", {delay}) for delay in DELAYS_SECONDS),
        (f"up to {GOAL_DELAY_SECONDS} s", {d for d in DELAYS_SECONDS if d <= GOAL_DELAY_SECONDS}),
    ):
        those = [each for each in found if each.cell.delay_seconds in of]
        rows.append(
            (
                name,
                len(those),
                sum(each.is_within_goal for each in those),
                sum(each.ratio <= GOAL_RATIO for each in those),
                sum(each.late_share <= MOST_LATE for each in those),
                sum(each.is_ahead for each in those),
            )
        )
    header = (
        "lead time",
        "cells",
        f"at most {GOAL_RATIO} x and {MOST_LATE:.0%} late",
        f"at most {GOAL_RATIO} x",
        f"at most {MOST_LATE:.0%} late",
        "no baseline cheaper at the same late share",
    )
    return table("All cells", header, rows)


def _of_delay(
    delay: int,
    found: Sequence[Judged],
    policies: Sequence[str],
    online: Mapping[tuple[str, int], float],
) -> str:
    """A row a trace: the central pod and objective, and of all of them how many."""
    rows = []
    for trace, group in groupby(sorted(found, key=_trace), key=_trace):
        cells = list(group)
        shown = next((each for each in cells if each.cell.is_central), cells[0])
        rows.append(
            (
                _short(trace),
                f"{shown.ratio:.2f} x, {shown.late_share:.2%}",
                f"{sum(each.is_within_goal for each in cells)} of {len(cells)}",
                _times(online.get((trace, delay))),
                *(_peer_cell(policy, shown, cells) for policy in policies),
            )
        )
    header = ("trace", OURS, "in the goal", "best constant margin in hindsight", *policies)
    return table(f"Lead time {delay} s", header, rows)


def _peer_cell(policy: str, shown: Judged, cells: Sequence[Judged]) -> str:
    """Its cost at Trireme's late share, and in brackets in how many cells it is ahead."""
    peer = shown.peers.get(policy)
    if peer is None:
        return "-"
    text = "n/a" if peer.ratio is None else f"{'≥ ' if peer.is_least else ''}{peer.ratio:.2f} x"
    ahead = sum(policy in each.peers and each.peers[policy].is_ahead for each in cells)
    return f"{text} ({ahead})" if ahead else text


def _missed(found: Sequence[Judged]) -> list[Judged]:
    return [
        each
        for each in found
        if not each.is_within_goal and each.cell.delay_seconds <= GOAL_DELAY_SECONDS
    ]


def _reasons(found: Sequence[Judged], online: Mapping[tuple[str, int], float]) -> str:
    """By trace and lead time: what of a miss is the trace's, and what the policy's."""
    rows = []
    for of, group in groupby(sorted(_missed(found), key=_place), key=_place):
        cells = list(group)
        trace, delay = of
        all_of_it = sum(_place(each) == of for each in found)
        bound = online.get(of)
        rows.append(
            (
                _short(trace),
                delay,
                f"{len(cells)} of {all_of_it}",
                f"{_range([each.ratio for each in cells], '.2f')} x",
                _range([each.late_share for each in cells], ".2%"),
                _times(bound),
                _missing(bound),
            )
        )
    header = (
        "trace",
        "lead time s",
        "cells out of the goal",
        "cost",
        "late",
        "best constant margin in hindsight",
        "what is missing",
    )
    return table("Why cells are out of the goal", header, rows)


def _worst(found: Sequence[Judged], online: Mapping[tuple[str, int], float]) -> str:
    """The cells farthest from the goal, each beside what who follows the rate of now would pay."""
    missed = _missed(found)
    missed.sort(key=lambda each: (min(each.late_share, MOST_LATE), each.ratio), reverse=True)
    rows = [
        (
            _short(each.cell.trace),
            each.cell.delay_seconds,
            each.cell.profile,
            each.cell.slo,
            f"{each.ratio:.2f} x",
            f"{each.late_share:.2%}",
            _times(online.get((each.cell.trace, each.cell.delay_seconds))),
            ", ".join(policy for policy, peer in each.peers.items() if peer.is_ahead) or "-",
        )
        for each in missed[:WORST]
    ]
    header = (
        "trace",
        "lead time s",
        "pod ms, ms, batch",
        "SLO in full batches",
        "cost",
        "late",
        "best constant margin in hindsight",
        "cheaper at the same late share",
    )
    return table(f"The worst of {len(missed)} cells out of the goal", header, rows)


def _place(each: Judged) -> tuple[str, int]:
    return each.cell.trace, each.cell.delay_seconds


def _trace(each: Judged) -> str:
    return each.cell.trace


def _short(trace: str) -> str:
    return trace.removesuffix(".csv")


def _range(values: Sequence[float], of: str) -> str:
    return f"{min(values):{of}} to {max(values):{of}}"


def _missing(bound: float | None) -> str:
    if bound is None:
        return "-"
    return "knowledge of the future" if bound > GOAL_RATIO else "a better policy"


def _times(ratio: float | None) -> str:
    if ratio is None:
        return "-"
    return "none" if math.isinf(ratio) else f"{ratio:.2f} x"
