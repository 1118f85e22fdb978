"""The page of a report: what its first lines say, and that its plots can be read."""

import re
from collections.abc import Sequence
from html import unescape
from typing import Any
from xml.etree import ElementTree

import pytest

from trireme.optimizer.page import page
from trireme.optimizer.plots import COLOURS, HEIGHT, WIDTH, Dot, Line, batch_times, tradeoff

ENDS = re.compile(r"[MH](-?[0-9.]+)")  # the horizontal places in a path
MISSED = {"target": "latency", "wanted": 0.001, "found": 0.0012}


def finalist(recipe: str, ratio: float, **fields: Any) -> dict[str, Any]:
    return {
        "recipe": recipe,
        "sha256": "a" * 64,
        "sizeBytes": 1_300_000,
        "memoryBytes": 9_000_000,
        "processBytes": 90_000_000,
        "costSeconds": 0.001 / ratio,
        "throughputRatio": ratio,
        "secondsByBatch": {"1": 0.002 / ratio, "2": 0.003 / ratio, "4": 0.004 / ratio},
        "curve": None,
        "score": 0.968,
        "drop": 0.002,
        "mostDrop": 0.0041,
        "confidence": 0.9875,
        "trainingEndedByClock": False,
        "isOnFront": True,
        "missed": [],
        "refused": None,
        "result": "passes, and costs more",
        **fields,
    }


def trial(recipe: str, ratio: float | None, drop: float | None, **fields: Any) -> dict[str, Any]:
    return {
        "recipe": recipe,
        "throughputRatio": ratio,
        "sizeBytes": 1_300_000,
        "drop": drop,
        "isOnFront": False,
        "refused": "others were cheaper, or answered better",
        **fields,
    }


WINNER = finalist("dead-branches + int8-static", 2.31, result="chosen")
SECOND = finalist("dead-branches + fuse", 1.4)
THIRD = finalist(
    "dead-branches + int8-dynamic", 2.5, refused="is not shown to answer as well", result="is not"
)


def report(
    finalists: Sequence[dict[str, Any]] = (WINNER, SECOND, THIRD),
    trials: Sequence[dict[str, Any]] = (),
    wishes: dict[str, Any] | None = None,
    original: dict[str, Any] | None = None,
    **fields: Any,
) -> dict[str, Any]:
    chosen = [each["recipe"] for each in finalists if each["result"].startswith("chosen")]
    tried = [
        trial(each["recipe"], each["throughputRatio"], each["drop"], refused=None)
        for each in finalists
    ]
    return {
        "version": 1,
        "model": {
            "name": "encoder",
            "path": "models/encoder.onnx",
            "sha256": {"model": "b" * 64, "samples": "c" * 64},
            "inputs": ["x: float32 [64]"],
            "outputs": ["y: float32 [10]"],
        },
        "samples": {"training": 360, "selection": 240, "heldOut": 600},
        "metric": "accuracy",
        "wishes": {
            "maxDrop": 0.005,
            "latencySeconds": None,
            "sizeBytes": None,
            "threads": 1,
            "seed": 1,
            **(wishes or {}),
        },
        "measuredOn": {"processor": "A processor", "hasVnni": False, "onnx": "1.2"},
        "original": {
            "score": 0.97,
            "costSeconds": 0.001,
            "sizeBytes": 5_000_000,
            "missed": [],
            "secondsByBatch": {"1": 0.002, "2": 0.003, "4": 0.004},
            "curve": None,
            **(original or {}),
        },
        "winner": chosen[0] if chosen else None,
        "summary": "nothing is cheaper and shown to answer as well",
        "finalists": list(finalists),
        "trials": [*tried, *trials],
        "seconds": 61.2,
        **fields,
    }


def text(found: str) -> str:
    """What a person reads, without the style."""
    body = re.sub(r"<style>.*?</style>", "", found, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())


def plots(found: str) -> list[ElementTree.Element]:
    """The plots, each a document of its own that a parser of XML takes."""
    return [ElementTree.fromstring(each) for each in re.findall(r"<svg.*?</svg>", found)]  # noqa: S314


def test_the_first_lines_say_what_was_chosen_and_why() -> None:
    found = text(page(report()))
    first = found.partition("Finalists")[0]
    assert first == (
        "encoder optimised encoder models/encoder.onnx Chosen: dead-branches + int8-static 3 "
        "combinations came into question; 3 finalists built in full, and judged on the held-out "
        "samples. This is the cheapest of 2 that are shown to drop no more than the 0.5 % allowed. "
        "original chosen "
        "a request, at the best batch size 1 ms 0.433 ms 2.31 × the throughput "
        "a request alone 2 ms 0.866 ms 0.43 of the time "
        "the file 4.768 MiB 1.24 MiB 0.26 of the size "
        "accuracy, 600 held-out samples 0.97 0.968 a drop of 0.2 %, 0.41 % at most (98.75% sure); "
        "0.5 % is allowed "
    )


@pytest.mark.parametrize(
    ("made", "words"),
    [
        pytest.param(
            report([WINNER]), "This is the only one that is shown to drop", id="one passes"
        ),
        pytest.param(
            report([{**WINNER, "missed": [MISSED]}], wishes={"latencySeconds": 0.001}),
            "allowed. It misses a wish: latency 1.2 ms where 1 ms is wanted, 20% more.",
            id="it misses a wish",
        ),
        pytest.param(
            report([THIRD]),
            "Nothing was chosen : nothing is cheaper and shown to answer as well. 1 combination "
            "came into question; 1 finalist built in full",
            id="nothing passes",
        ),
        pytest.param(
            report([]), "Finalists None: every combination was out before", id="no finalist"
        ),
        pytest.param(
            report(wishes={"latencySeconds": 0.02, "sizeBytes": 2**21}, original={"missed": []}),
            "wished: the fastest batch, 20 ms at most 2 ms 0.866 ms kept "
            "wished: the file, 2 MiB at most 4.768 MiB 1.24 MiB kept",
            id="wishes that are kept",
        ),
        pytest.param(
            report(
                [{**WINNER, "missed": [MISSED]}, SECOND],
                wishes={"latencySeconds": 0.001},
                original={"missed": [{**MISSED, "found": 0.002}]},
            ),
            "wished: the fastest batch, 1 ms at most 2 ms 0.866 ms missed by 20%",
            id="a wish that is missed",
        ),
        pytest.param(
            report([{**WINNER, "missed": [MISSED]}, SECOND], wishes={"latencySeconds": 0.001}),
            "allowed, among those that miss the fewest wishes.",
            id="another misses more",
        ),
        pytest.param(
            report([{**WINNER, "throughputRatio": 0.9}], wishes={"sizeBytes": 2**21}),
            "It costs more than the original, and keeps a wish that the original misses.",
            id="it costs more",
        ),
        pytest.param(
            report(original={"sizeBytes": None}, wishes={"sizeBytes": 2**21}),
            "the file - (a module) 1.24 MiB",
            id="a module has no size",
        ),
        pytest.param(
            report([{**WINNER, "trainingEndedByClock": True}]),
            "chosen; its training was ended by the clock",
            id="a training was cut short",
        ),
        pytest.param(
            report([{**WINNER, "confidence": None, "score": -0.0}]),
            "a drop of 0.2 %; 0.5 % is allowed",
            id="no confidence",
        ),
    ],
)
def test_what_there_is_to_know_is_said(made: dict[str, Any], words: str) -> None:
    assert words in text(page(made))


def test_a_name_from_outside_is_text_and_nothing_else() -> None:
    hostile = "<script>alert('x')</script>"
    made = report()
    made["model"] = {**made["model"], "name": hostile, "path": hostile, "inputs": [hostile]}
    made["metric"] = hostile
    found = page(made)
    assert "<script" not in found
    assert found.count("&lt;script&gt;") >= 4


def test_both_plots_name_their_axes_and_what_is_wished_and_allowed() -> None:
    times, drops = plots(page(report(wishes={"latencySeconds": 0.003})))
    words = ["".join(each.itertext()) for each in (times, drops)]
    for named in ("requests in a batch", "milliseconds of a batch", "wished: 3 ms"):
        assert named in words[0]
    for named in ("throughput, in that of the original", "allowed: 0.5 %", "2.31 ×"):
        assert named in words[1]


def letters(plot: ElementTree.Element) -> dict[str, tuple[float, float]]:
    return {
        str(each.text): (float(each.attrib["x"]), float(each.attrib["y"]))
        for each in plot.iter("text")
        if each.attrib.get("class") == "letter"
    }


@pytest.mark.parametrize(
    "seconds",
    [
        pytest.param([0.001, 0.001, 0.001, 0.001], id="all alike"),
        pytest.param([0.001, 0.00101, 0.05, 0.0502], id="two and two"),
        pytest.param([1e-6, 1e-3, 1.0, 100.0], id="far apart"),
    ],
)
@pytest.mark.parametrize("sizes", [[1], [1, 2, 4, 8, 12]], ids=["one size", "several"])
def test_no_letter_covers_another_or_leaves_the_plot(
    sizes: list[int], seconds: list[float]
) -> None:
    lines = [
        Line(letter, colour, {size: each * size for size in sizes})
        for letter, colour, each in zip("ABCD", COLOURS, seconds, strict=True)
    ]
    dots = [Dot("r", line.letter, line.colour, 2.0, 0.001) for line in lines]
    for plot in (batch_times(lines, 0.001), tradeoff(dots, 0.005)):
        (found,) = plots(plot)
        places = list(letters(found).values())
        assert len(places) == 4
        assert all(0 < x < WIDTH and 0 < y < HEIGHT for x, y in places)
        for number, (x, y) in enumerate(places):
            assert all(abs(x - a) > 8 or abs(y - b) > 11 for a, b in places[:number])


@pytest.mark.parametrize("allowed", [0.0, 0.0001, 0.005, 0.02, 0.5, 1.0])
@pytest.mark.parametrize("throughput", [0.5, 1.0, 1.2, 3.0, 8.0, 40.0])
def test_no_line_and_no_point_crosses_what_is_said_of_a_level(
    throughput: float, allowed: float
) -> None:
    dots = [Dot("r", "A", "#000", throughput, allowed), Dot("s", "", "#000", 1.0, 0.0)]
    (found,) = plots(tradeoff(dots, allowed))
    (words,) = [each for each in found if (each.text or "").startswith("allowed")]
    rightmost = [float(x) for path in found.iter("path") for x in ENDS.findall(path.attrib["d"])]
    rightmost += [float(each.attrib["cx"]) + 6 for each in found.iter("circle")]
    assert max(rightmost) < float(words.attrib["x"]) < WIDTH - 55
    assert all(0 < float(each.attrib["y"]) < HEIGHT for each in words.iter())


@pytest.mark.parametrize(
    ("drop", "allowed", "is_beyond"),
    [
        pytest.param(0.004, 0.005, False, id="within what is allowed"),
        pytest.param(0.4, 0.005, True, id="far beyond"),
        pytest.param(-0.1, 0.005, False, id="better than the original"),
        pytest.param(0.0, 0.0, False, id="nothing is allowed, and nothing dropped"),
    ],
)
def test_a_drop_far_beyond_what_is_allowed_stands_at_the_edge(
    drop: float, allowed: float, is_beyond: bool
) -> None:
    (found,) = plots(tradeoff([Dot("r", "", "#000", 2.0, drop)], allowed))
    (mark,) = [each for each in found if each.find("title") is not None]
    assert (mark.tag == "path") is is_beyond
    if not is_beyond:
        assert 0 < float(mark.attrib["cy"]) < HEIGHT


def test_nothing_that_was_measured_is_said_in_the_place_of_a_plot() -> None:
    assert "Nothing was measured" in batch_times([], None)
    assert "Nothing was measured" in tradeoff([], 0.005)
