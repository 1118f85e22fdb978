"""Two plots of a report as SVG: how long batches take, and what throughput costs in answers. Pure.

Finalists are told apart by letters, which the tables have too; names stand in a legend, where they
cover nothing.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

WIDTH, HEIGHT = 720, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 84, 26, 48
_TICKS = 6  # of a linear axis, about
_FAR = 20  # times what is measured: a wish beyond is not drawn
_LETTER_GAP = 13  # between the letters at the ends of lines, which are 12 high
_BESIDE = 22  # from the plot to words at its right: beyond those letters

ORIGINAL_COLOUR, OTHER_COLOUR = "#555", "#b5b5b5"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
"""Of Okabe and Ito, which the colour-blind tell apart; one for each finalist."""


@dataclass(frozen=True, slots=True)
class Line:
    """The seconds of a batch, by its size; `letter` is at its end."""

    letter: str
    colour: str
    seconds: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class Dot:
    """A recipe's throughput in that of the original, and its drop; `letter` of a finalist."""

    name: str
    letter: str
    colour: str
    throughput: float
    drop: float


def batch_times(lines: Sequence[Line], wished_seconds: float | None) -> str:
    """Milliseconds by batch size, both axes logarithmic: what costs twice as much is everywhere as
    far away.
    """
    sizes = sorted({size for line in lines for size in line.seconds})
    times = [seconds * 1e3 for line in lines for seconds in line.seconds.values()]
    if not times:
        return nothing()
    wished = None if wished_seconds is None else wished_seconds * 1e3
    if wished is not None and not min(times) / _FAR <= wished <= max(times) * _FAR:
        wished = None  # where it lies, the lines could not be told apart
    ticks = _decades([*times, wished] if wished is not None else times)
    low, high = math.log(ticks[0]), math.log(ticks[-1])

    def across(size: float) -> float:
        whole = math.log(sizes[-1] / sizes[0])
        share = math.log(size / sizes[0]) / whole if whole else 0.5
        return _LEFT + share * (WIDTH - _LEFT - _RIGHT)

    def up(milliseconds: float) -> float:
        return HEIGHT - _BOTTOM - (math.log(milliseconds) - low) / (high - low) * _inner_height()

    shapes = [_rows({up(each): f"{each:g}" for each in ticks})]
    shapes.append(_columns({across(each): f"{each}" for each in sizes}))
    shapes.append(_titles("requests in a batch", "milliseconds of a batch"))
    if wished is not None:
        shapes.append(_level(up(wished), "wished: ", f"{wished:.4g} ms"))
    for line in lines:
        places = [(across(size), up(seconds * 1e3)) for size, seconds in line.seconds.items()]
        joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        shapes.append(
            f"<polyline points='{joined}' fill='none' stroke='{line.colour}' stroke-width='2'/>"
        )
        shapes += [
            f"<circle cx='{x:.1f}' cy='{y:.1f}' r='3' fill='{line.colour}'/>" for x, y in places
        ]
    ends = _spread([up(line.seconds[max(line.seconds)] * 1e3) for line in lines])
    for line, y in zip(lines, ends, strict=True):
        x = across(max(line.seconds)) + 8
        shapes.append(_letter(x, y, line.letter, line.colour))
    return _svg("Milliseconds of a batch by its size", shapes)


def tradeoff(dots: Sequence[Dot], allowed_drop: float) -> str:
    """Drop by throughput. Drops far beyond what is allowed stand at the upper edge, as triangles;
    what answers better than the original counts as no drop.
    """
    if not dots:
        return nothing()
    finalists = [dot.drop for dot in dots if dot.letter]
    most = max(2 * allowed_drop, 1.2 * max(finalists, default=0.0))
    if not most:  # nothing is allowed, and no finalist drops anything
        most = max((dot.drop for dot in dots if dot.drop > 0), default=0.01)
    drops = _steps(most * 100)
    throughputs = _steps(1.05 * max(1.0, *(dot.throughput for dot in dots)))

    def across(throughput: float) -> float:
        return _LEFT + throughput / throughputs[-1] * (WIDTH - _LEFT - _RIGHT)

    def up(percent: float) -> float:
        return HEIGHT - _BOTTOM - min(1.0, percent / drops[-1]) * _inner_height()

    shapes = [
        _rows({up(each): f"{each:g} %" for each in drops}),
        _columns({across(each): f"{each:g} ×" for each in throughputs}),
        _titles("throughput, in that of the original", "drop on the selection samples"),
        _level(up(allowed_drop * 100), "allowed: ", f"{allowed_drop * 100:.4g} %"),
        f"<path d='M{across(1):.1f} {_TOP}V{HEIGHT - _BOTTOM}' class='wish'/>",
        _text(across(1) + 4, _TOP + 10, "the original"),
    ]
    for dot in sorted(dots, key=lambda each: bool(each.letter)):  # finalists lie on top
        x, y = across(dot.throughput), up(max(dot.drop, 0.0) * 100)
        title = f"<title>{escape(dot.name)}: {dot.throughput:.2f} ×, {dot.drop * 100:.2f} %</title>"
        if dot.drop * 100 > drops[-1]:
            shape, tag = f"<path d='M{x - 5:.1f} {y + 8:.1f}h10l-5 -9z'", "path"
        else:
            radius = 6 if dot.letter else 4
            shape, tag = f"<circle cx='{x:.1f}' cy='{y:.1f}' r='{radius}'", "circle"
        shapes.append(f"{shape} fill='{dot.colour}'>{title}</{tag}>")
    lettered = [dot for dot in dots if dot.letter]
    for dot, (x, y) in zip(
        lettered,
        _apart([(across(dot.throughput), up(max(dot.drop, 0.0) * 100) - 13) for dot in lettered]),
        strict=True,
    ):
        shapes.append(_letter(x, y, dot.letter, dot.colour, "middle"))
    return _svg("Drop by throughput of all that was measured", shapes)


def nothing() -> str:
    """In the place of a plot that has no points."""
    return "<p><small>Nothing was measured.</small></p>"


# ------------------------------------------------------------------------------------------ axes


def _inner_height() -> int:
    return HEIGHT - _TOP - _BOTTOM


def _decades(values: Sequence[float]) -> list[float]:
    """1, 2, 5, 10, 20 ... around the values: two or more."""
    least, most = min(values), max(values)
    exponents = range(math.floor(math.log10(least)), math.ceil(math.log10(most)) + 1)
    steps = [mantissa * 10.0**exponent for exponent in exponents for mantissa in (1, 2, 5)]
    below = max(each for each in steps if each <= least)
    above = min(each for each in steps if each >= most and each > below)
    return [each for each in steps if below <= each <= above]


def _steps(most: float) -> list[float]:
    """Round numbers from 0 to the first that is not below the most."""
    rough = most / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(each * power for each in (1, 2, 2.5, 5, 10) if each * power >= rough * 0.999)
    return [round(step * number, 10) for number in range(math.ceil(most / step - 1e-9) + 1)]


def _rows(labels: Mapping[float, str]) -> str:
    """Grid lines across, with a label each at the left."""
    return "".join(
        f"<path d='M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}' class='grid'/>"
        + _text(_LEFT - 7, y + 4, label, "end")
        for y, label in labels.items()
    )


def _columns(labels: Mapping[float, str]) -> str:
    """The axis below, with its labels."""
    base = HEIGHT - _BOTTOM
    return f"<path d='M{_LEFT} {base}H{WIDTH - _RIGHT}' class='axis'/>" + "".join(
        f"<path d='M{x:.1f} {base}v5' class='axis'/>" + _text(x, base + 18, label, "middle")
        for x, label in labels.items()
    )


def _titles(across: str, up: str) -> str:
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    return _text(middle, HEIGHT - 8, across, "middle") + _text(4, 14, up)


def _level(y: float, what: str, value: str) -> str:
    """A dashed line across, with its words beside the plot, where neither points nor lines are."""
    x = WIDTH - _RIGHT + _BESIDE
    return (
        f"<path d='M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}' class='wish'/>"
        f"<text x='{x}' y='{y - 2:.1f}'>{escape(what)}"
        f"<tspan x='{x}' y='{y + 11:.1f}'>{escape(value)}</tspan></text>"
    )


# ----------------------------------------------------------------------------------------- words


def _text(x: float, y: float, words: str, anchor: str = "start") -> str:
    return f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}'>{escape(words)}</text>"


def _letter(x: float, y: float, letter: str, colour: str, anchor: str = "start") -> str:
    return (
        f"<text x='{x:.1f}' y='{y + 4:.1f}' text-anchor='{anchor}' class='letter' "
        f"style='fill:{colour}'>{escape(letter)}</text>"
    )


def _spread(heights: Sequence[float]) -> list[float]:
    """Heights in the same order, moved apart so that letters there cover no other."""
    found = list(heights)
    order = sorted(range(len(found)), key=lambda number: found[number])
    for lower, upper in pairwise(order):
        found[upper] = max(found[upper], found[lower] + _LETTER_GAP)
    beyond = max(0.0, max(found, default=0.0) - (HEIGHT - _BOTTOM))
    return [each - beyond for each in found]


def _apart(places: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Places of letters above dots; one that would cover another goes higher."""
    found: list[tuple[float, float]] = []
    for x, above_dot in places:
        y = above_dot
        while any(abs(x - a) < _LETTER_GAP and abs(y - b) < _LETTER_GAP for a, b in found):
            y -= _LETTER_GAP
        found.append((x, y))
    return found


def _svg(title: str, shapes: Iterable[str]) -> str:
    return (
        f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' role='img' aria-label='{escape(title)}'>"
        f"{''.join(shapes)}</svg>"
    )
