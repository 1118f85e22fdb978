"""The report as one HTML page that needs nothing else: what was chosen and why, then tables and
plots. Pure.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

from trireme.api.optimization import MissedTarget, shown_bytes, shown_seconds
from trireme.optimizer.plots import (
    COLOURS,
    ORIGINAL_COLOUR,
    OTHER_COLOUR,
    Dot,
    Line,
    batch_times,
    tradeoff,
)

_LETTERS = "ABCD"
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem;
  color: #222; background: #fff }
h2 { margin: 2.2rem 0 .4rem; font-size: 19px }
.wide { overflow-x: auto }
table { border-collapse: collapse; width: 100%; margin: .5rem 0; font-size: 14px }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #ddd;
  vertical-align: top }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
tr.won td { background: #e9f5e6 } p.sum { font-size: 18px; margin: .3rem 0 }
small, .out { color: #666 } code { font-size: .93em }
svg { width: 100%; height: auto } text { font: 11.5px system-ui, sans-serif; fill: #444 }
text.letter { font-weight: 700; font-size: 13px; stroke: #fff; stroke-width: 3px;
  paint-order: stroke } .grid { stroke: #e6e6e6; fill: none }
.axis { stroke: #888; fill: none } .wish { stroke: #888; stroke-dasharray: 5 4; fill: none }
.key { display: inline-block; margin-right: 1.4em; font-size: 14px }
.key b { font-size: 13px }
"""

_Report = Mapping[str, Any]


def page(report: _Report) -> str:
    """The page of a report."""
    name = escape(report["model"]["name"])
    parts = [
        "<!doctype html><html lang='en'><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width, initial-scale=1'>",
        f"<title>{name} optimised</title><style>{_STYLE}</style>",
        f"<h1>{name}</h1>",
        *_chosen(report),
        "<h2>Finalists</h2>",
        _finalists(report),
        "<h2>How long a batch takes</h2>",
        _latencies(report),
        "<h2>Throughput against drop, of all that was measured</h2>",
        _tradeoff(report),
        "<h2>All that was tried</h2>",
        _trials(report),
        "<h2>How it was measured</h2>",
        _measured(report),
        "</html>",
    ]
    return "\n".join(parts)


def _winner(report: _Report) -> dict[str, Any] | None:
    return next((each for each in report["finalists"] if each["recipe"] == report["winner"]), None)


def _letters(report: _Report) -> dict[str, str]:
    """The finalists' letters, by their recipes."""
    recipes = [each["recipe"] for each in report["finalists"]]
    return dict(zip(recipes, _LETTERS, strict=False))


def _colours(report: _Report) -> dict[str, str]:
    return dict(zip(_letters(report), COLOURS, strict=False))


# ------------------------------------------------------------------------------------ what and why


def _chosen(report: _Report) -> Iterator[str]:
    winner = _winner(report)
    yield f"<p><small>{escape(report['model']['path'])}</small></p>"
    if winner is None:
        yield f"<p class='sum'><b>Nothing was chosen</b>: {escape(report['summary'])}.</p>"
        yield f"<p>{_tried(report)} The tables tell why each is out.</p>"
        return
    yield f"<p class='sum'>Chosen: <b>{escape(winner['recipe'])}</b></p>"
    yield f"<p>{escape(_why(report, winner))}</p>"
    yield _table(("", "original", "chosen", ""), ((row, False) for row in _beside(report, winner)))


def _why(report: _Report, winner: Mapping[str, Any]) -> str:
    passing = [each for each in report["finalists"] if each["refused"] is None]
    count = len(passing)
    which = "the only one that is" if count == 1 else f"the cheapest of {count} that are"
    which += f" shown to drop no more than the {_percent(report['wishes']['maxDrop'])} allowed"
    if len({len(each["missed"]) for each in passing}) > 1:
        which += ", among those that miss the fewest wishes"
    said = [_tried(report), f"This is {which}."]
    said += [f"It misses a wish: {MissedTarget.model_validate(each)}." for each in winner["missed"]]
    if winner["throughputRatio"] <= 1:
        said.append("It costs more than the original, and keeps a wish that the original misses.")
    return " ".join(said)


def _tried(report: _Report) -> str:
    return (
        f"{_count(len(report['trials']), 'combination')} came into question; "
        f"{_count(len(report['finalists']), 'finalist')} built in full, and judged on the held-out "
        "samples."
    )


def _beside(report: _Report, winner: Mapping[str, Any]) -> Iterator[str]:
    """The rows of what the original has and what is chosen."""
    before, wishes = report["original"], report["wishes"]
    yield _cells(
        [
            "a request, at the best batch size",
            _milliseconds(before["costSeconds"]),
            _milliseconds(winner["costSeconds"]),
            f"{winner['throughputRatio']:.2f} × the throughput",
        ]
    )
    alone = before["secondsByBatch"]["1"], winner["secondsByBatch"]["1"]
    yield _cells(
        [
            "a request alone",
            *map(_milliseconds, alone),
            f"{alone[1] / alone[0]:.2f} of the time",
        ]
    )
    size = before["sizeBytes"]
    yield _cells(
        [
            "the file",
            "- (a module)" if size is None else shown_bytes(size),
            shown_bytes(winner["sizeBytes"]),
            "" if size is None else f"{winner['sizeBytes'] / size:.2f} of the size",
        ]
    )
    sure, allowed = winner["confidence"], _percent(wishes["maxDrop"])
    bound = "" if sure is None else f", {_percent(winner['mostDrop'])} at most ({sure:.2%} sure)"
    yield _cells(
        [
            f"{report['metric']}, {report['samples']['heldOut']} held-out samples",
            _plain(before["score"]),
            _plain(winner["score"]),
            f"a drop of {_percent(winner['drop'])}{bound}; {allowed} is allowed",
        ]
    )
    yield from _wished(report, winner)


def _wished(report: _Report, winner: Mapping[str, Any]) -> Iterator[str]:
    """A row for each wish: what both have, and whether what is chosen keeps it."""
    wishes, both = report["wishes"], (report["original"], winner)
    fastest = [min(_by_size(each["secondsByBatch"]).values()) for each in both]
    sizes = [each["sizeBytes"] for each in both]
    missed = {each["target"]: MissedTarget.model_validate(each) for each in winner["missed"]}
    rows = (
        ("latency", "the fastest batch", wishes["latencySeconds"], fastest, _milliseconds),
        ("size", "the file", wishes["sizeBytes"], sizes, _bytes),
    )
    for name, what, wanted, found, shown in rows:
        if wanted is not None:
            kept = f"missed by {missed[name].excess}" if name in missed else "kept"
            yield _cells([f"wished: {what}, {shown(wanted)} at most", *map(shown, found), kept])


# ---------------------------------------------------------------------------------------- tables


def _finalists(report: _Report) -> str:
    letters = _letters(report)
    head = (
        "",
        "throughput",
        "a request",
        "alone",
        "file",
        "memory",
        "drop",
        "drop at most",
        "result",
    )
    rows = [
        (
            _cells(
                [
                    f"{letters[each['recipe']]}  {each['recipe']}",
                    _times(each["throughputRatio"]),
                    _milliseconds(each["costSeconds"]),
                    _milliseconds(each["secondsByBatch"]["1"]),
                    shown_bytes(each["sizeBytes"]),
                    _bytes(each["memoryBytes"]),
                    _percent(each["drop"]),
                    _percent(each["mostDrop"]),
                    each["result"] + _HURRIED * each["trainingEndedByClock"],
                ]
            ),
            each["recipe"] == report["winner"],
        )
        for each in report["finalists"]
    ]
    if not rows:
        return "<p>None: every combination was out before.</p>"
    return _table(head, rows) + (
        "<p><small>Throughput is that of an instance, in that of the original, and a request what "
        "it takes of an instance, both at the batch size where a request costs the least; alone, a "
        "batch of one. Memory is what a fresh process takes more with the model than without. A "
        "drop is in the unit of the metric: what was seen, and what the held-out samples leave "
        "possible at most.</small></p>"
    )


_HURRIED = "; its training was ended by the clock, so that it cannot be made again to the byte"


def _trials(report: _Report) -> str:
    letters = _letters(report)
    head = ("", "throughput", "file", "drop", "why it went no further")
    rows = [
        (
            _cells(
                [
                    each["recipe"] + (" ◆" if each["isOnFront"] else ""),
                    _times(each["throughputRatio"]),
                    _bytes(each["sizeBytes"]),
                    _percent(each["drop"]),
                    each["refused"] or f"finalist {letters.get(each['recipe'], '')}",
                ]
            ),
            each["recipe"] == report["winner"],
        )
        for each in report["trials"]
    ]
    return _table(head, rows) + (
        "<p><small>At its last look, which was a short one: with little training, and measured "
        "briefly. A drop here is on the selection samples. ◆ no other is better in cost, size or "
        "drop and no worse in the rest.</small></p>"
    )


def _cells(values: Sequence[str]) -> str:
    first, *middle, last = values
    numbers = "".join(f"<td class='n'>{escape(value)}</td>" for value in middle)
    return f"<td>{escape(first)}</td>{numbers}<td class='out'>{escape(last)}</td>"


def _table(head: Sequence[str], rows: Iterable[tuple[str, bool]]) -> str:
    first, *middle, last = head
    heads = "".join(f"<th class='n'>{escape(name)}</th>" for name in middle)
    body = "".join(f"<tr{' class=won' if won else ''}>{cells}</tr>" for cells, won in rows)
    return (
        f"<div class='wide'><table><tr><th>{first}</th>{heads}<th>{last}</th></tr>{body}</table>"
        "</div>"
    )


# ----------------------------------------------------------------------------------------- plots


def _latencies(report: _Report) -> str:
    letters, colours = _letters(report), _colours(report)
    lines = [Line("", ORIGINAL_COLOUR, _by_size(report["original"]["secondsByBatch"]))]
    lines += [
        Line(letters[each["recipe"]], colours[each["recipe"]], _by_size(each["secondsByBatch"]))
        for each in report["finalists"]
    ]
    return batch_times(lines, report["wishes"]["latencySeconds"]) + _legend(
        report, [("", "the original", ORIGINAL_COLOUR)]
    )


def _by_size(seconds: Mapping[str, float | None]) -> dict[int, float]:
    return {int(size): each for size, each in seconds.items() if each is not None}


def _tradeoff(report: _Report) -> str:
    letters, colours = _letters(report), _colours(report)
    dots = [
        Dot(
            each["recipe"],
            letters.get(each["recipe"], ""),
            colours.get(each["recipe"], OTHER_COLOUR),
            each["throughputRatio"],
            each["drop"],
        )
        for each in report["trials"]
        if each["throughputRatio"] and each["drop"] is not None
    ]
    beside = [("", "went no further: point at it for its name", OTHER_COLOUR)]
    return tradeoff(dots, report["wishes"]["maxDrop"]) + _legend(report, beside)


def _legend(report: _Report, beside: Sequence[tuple[str, str, str]]) -> str:
    colours = _colours(report)
    finalists = [
        (letter, recipe + ", chosen" * (recipe == report["winner"]), colours[recipe])
        for recipe, letter in _letters(report).items()
    ]
    keys = "".join(
        f"<span class='key'><b style='color:{colour}'>● {letter}</b> {escape(words)}</span>"
        for letter, words, colour in [*finalists, *beside]
    )
    return f"<p>{keys}</p>"


# -------------------------------------------------------------------------------------- conditions


def _measured(report: _Report) -> str:
    samples, wishes, machine = report["samples"], report["wishes"], report["measuredOn"]
    threads = wishes["threads"]
    clock = (
        "the processor's time, which other work hardly adds to"
        if threads == 1
        else "time by the clock, to which other work on the machine adds"
    )
    versions = ", ".join(
        f"{name} {found}" for name, found in machine.items() if name not in ("processor", "hasVnni")
    )
    digests = "; ".join(f"{what} {sha256}" for what, sha256 in report["model"]["sha256"].items())
    tensors = "; ".join([*report["model"]["inputs"], "→", *report["model"]["outputs"]])
    sentences = [
        f"{samples['training']} samples to learn by, {samples['selection']} to choose by, "
        f"{samples['heldOut']} held out to judge by; dealt out by the seed {wishes['seed']}.",
        f"{_count(threads, 'thread')} of {machine['processor']}, on CPU: {clock}. The whole took "
        f"{report['seconds']:.0f} s.",
        ""
        if machine["hasVnni"]
        else "It has no VNNI: sums of products of 8 bits saturate here, and an 8-bit model may "
        "answer otherwise on a processor that has it.",
        f"Tensors, without the batch: {tensors}.".replace("; →;", " →"),
        f"{versions}. sha256: {digests}.",
    ]
    return "".join(f"<p><small>{escape(each)}</small></p>" for each in sentences if each)


# --------------------------------------------------------------------------------------- figures


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _times(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} ×"


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else shown_seconds(value)


def _bytes(value: int | None) -> str:
    return "-" if value is None else shown_bytes(value)


def _percent(value: float | None) -> str:
    """With two digits after the point at most: 0.42 %, 0.5 %, 12 %."""
    return "-" if value is None else f"{round(value * 100, 2) + 0.0:g} %"


def _plain(value: float | None) -> str:
    return "-" if value is None else f"{value + 0.0:.4g}"
