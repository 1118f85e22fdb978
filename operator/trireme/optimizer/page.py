"""The report as one HTML page that needs nothing else: tables, and plots as SVG."""

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

_WIDTH, _HEIGHT, _MARGIN = 640, 260, 46
_COLOURS = ("#777", "#0b6e99", "#c4501b", "#3a7d32", "#7b3fa0", "#a08500")
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  color: #222; background: #fff }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1.5rem; font-size: 14px }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid #ddd;
  vertical-align: top }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
tr.won td { background: #e9f5e6 } p.sum { font-size: 17px } small, .out { color: #666 }
svg { width: 100%; height: auto } text { font: 11px system-ui, sans-serif; fill: #444 }
"""


def page(report: Mapping[str, Any]) -> str:
    """The page of a report."""
    model, samples = report["model"], report["samples"]
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        f"<title>{escape(model['name'])} optimised</title><style>{_STYLE}</style>",
        f"<h1>{escape(model['name'])}</h1>",
        f"<p class=sum>{escape(report['summary'])}</p>",
        f"<p><small>{escape(model['path'])}; metric {escape(report['metric'])}, "
        f"{report['original']['score']:g} before; {samples['training']} samples to learn by, "
        f"{samples['selection']} to choose by, {samples['heldOut']} held out; seed "
        f"{report['wishes']['seed']}; {report['wishes']['threads']} thread(s) of "
        f"{escape(report['measuredOn']['processor'])}; {report['seconds']:g} s</small></p>",
        "<h2>Finalists</h2>",
        _finalists(report),
        "<h2>Seconds of a batch</h2>",
        _latencies(report),
        "<h2>Throughput and drop of all that was measured</h2>",
        _tradeoff(report),
        "<h2>All that was tried</h2>",
        _trials(report),
        "</html>",
    ]
    return "\n".join(parts)


# ---------------------------------------------------------------------------------------- tables


def _finalists(report: Mapping[str, Any]) -> str:
    head = ("recipe", "throughput", "a request", "size", "memory", "score", "drop", "at most", "")
    rows = [
        (
            _cells(
                [
                    each["recipe"],
                    _times(each["throughputRatio"]),
                    _milliseconds(each["costSeconds"]),
                    _bytes(each["sizeBytes"]),
                    _bytes(each["memoryBytes"]),
                    _plain(each["score"]),
                    _percent(each["drop"]),
                    _percent(each["mostDrop"]),
                    each["refused"] or "passes",
                ]
            ),
            each["recipe"] == report["winner"],
        )
        for each in report["finalists"]
    ]
    return _table(head, rows)


def _trials(report: Mapping[str, Any]) -> str:
    head = ("recipe", "throughput", "size", "drop", "why it went no further")
    rows = [
        (
            _cells(
                [
                    each["recipe"] + (" ◆" if each["isOnFront"] else ""),
                    _times(each["throughputRatio"]),
                    _bytes(each["sizeBytes"]),
                    _percent(each["drop"]),
                    each["refused"] or "a finalist",
                ]
            ),
            each["recipe"] == report["winner"],
        )
        for each in report["trials"]
    ]
    note = "<p><small>◆ no other is better in cost, size or drop and no worse in the rest. A drop "
    return _table(head, rows) + f"{note}here is on the selection samples.</small></p>"


def _cells(values: Sequence[str]) -> str:
    first, *middle, last = values
    numbers = "".join(f"<td class=n>{escape(value)}</td>" for value in middle)
    return f"<td>{escape(first)}</td>{numbers}<td class=out>{escape(last)}</td>"


def _table(head: Sequence[str], rows: Iterable[tuple[str, bool]]) -> str:
    first, *middle, last = head
    heads = "".join(f"<th class=n>{escape(name)}</th>" for name in middle)
    body = "".join(f"<tr{' class=won' if won else ''}>{cells}</tr>" for cells, won in rows)
    return f"<table><tr><th>{first}</th>{heads}<th>{last}</th></tr>{body}</table>"


# ----------------------------------------------------------------------------------------- plots


def _latencies(report: Mapping[str, Any]) -> str:
    lines = {"original": report["original"]["secondsByBatch"]}
    lines |= {each["recipe"]: each["secondsByBatch"] for each in report["finalists"]}
    points = {
        name: [(int(size), seconds * 1e3) for size, seconds in line.items()]
        for name, line in lines.items()
    }
    return _plot(points, "batch size", "ms", is_line=True)


def _tradeoff(report: Mapping[str, Any]) -> str:
    points = {
        each["recipe"]: [(each["throughputRatio"], max(each["drop"], 0.0) * 100)]
        for each in report["trials"]
        if each["throughputRatio"] and each["drop"] is not None
    }
    return _plot(points, "times the throughput", "% drop", is_line=False)


def _plot(
    lines: Mapping[str, Sequence[tuple[float, float]]], across: str, up: str, is_line: bool
) -> str:
    points = [point for line in lines.values() for point in line]
    if not points:
        return "<p><small>Nothing was measured.</small></p>"
    right = max(x for x, _ in points) or 1.0
    top = max(y for _, y in points) or 1.0

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            _MARGIN + x / right * (_WIDTH - 2 * _MARGIN),
            _HEIGHT - _MARGIN - y / top * (_HEIGHT - 2 * _MARGIN),
        )

    left, base = place(0, 0)
    shapes = [
        f"<path d='M{left} {_MARGIN / 2}V{base}H{_WIDTH - _MARGIN / 2}' fill=none stroke=#999 />",
        f"<text x={left} y={_MARGIN / 2 - 6}>{escape(up)}, up to {top:.3g}</text>",
        f"<text x={_WIDTH - _MARGIN} y={base + 30} text-anchor=end>{escape(across)}, "
        f"up to {right:.3g}</text>",
    ]
    for number, (name, line) in enumerate(lines.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        places = [place(x, y) for x, y in line if math.isfinite(x) and math.isfinite(y)]
        if is_line:
            joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
            shapes.append(f"<polyline points='{joined}' fill=none stroke='{colour}' />")
            shapes.append(
                f"<text x={left + 12} y={_MARGIN / 2 + 12 + 14 * number} "
                f"style='fill:{colour}'>{escape(name)}</text>"
            )
        shapes += [
            f"<circle cx={x:.1f} cy={y:.1f} r=4 fill='{colour}'><title>{escape(name)}</title>"
            "</circle>"
            for x, y in places
        ]
    return f"<svg viewBox='0 0 {_WIDTH} {_HEIGHT}' role=img>{''.join(shapes)}</svg>"


# --------------------------------------------------------------------------------------- figures


def _times(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} ×"


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value * 1e3:.3g} ms"


def _bytes(value: int | None) -> str:
    if value is None:
        return "-"
    return f"{value / 2**20:.2f} MiB" if value >= 2**20 else f"{value / 2**10:.0f} KiB"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value * 100:.2f} %"


def _plain(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
