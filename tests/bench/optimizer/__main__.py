"""`python -m bench.optimizer [NAME ...]`: the optimiser on four models, as Markdown.

Everything about a model is measured in one process by one thread: first the search, then the
original, torch.compile, onnxruntime with its defaults and the winner in turns.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from bench.optimizer.subjects import Subject, make
from bench.table import table
from trireme.optimizer.forms import Graph, Module, quiet
from trireme.optimizer.gate import Verdict
from trireme.optimizer.loading import open_model
from trireme.optimizer.measurement import Speed, measure
from trireme.optimizer.program import Result, optimise
from trireme.optimizer.recipes import TECHNIQUES
from trireme.optimizer.runners import Runner, of_torch, runner_of
from trireme.optimizer.sample_files import read_samples
from trireme.optimizer.samples import Samples
from trireme.optimizer.technique import Workbench
from trireme.optimizer.wishes import Request, Wishes

ROUNDS = 15

Row = tuple[str, ...]


def main() -> None:
    """Run them, and print a table for each."""
    parser = argparse.ArgumentParser(prog="python -m bench.optimizer", description=__doc__)
    parser.add_argument("name", nargs="*", help="digits, text, vision, sentences; default: all")
    parser.add_argument("--budget", type=float, default=300.0, help="processor seconds of a search")
    parser.add_argument("--drop", type=float, default=0.01)
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        for subject in make(Path(place), asked.name):
            print(_measured(subject, Path(place), asked), flush=True)


def _measured(subject: Subject, folder: Path, asked: argparse.Namespace) -> str:
    wishes = Wishes(
        max_drop=asked.drop, budget_seconds=asked.budget, max_batch=subject.batch, threads=1
    )
    into = folder / subject.name.replace(" ", "-")
    request = Request(
        name="model",
        model=subject.source,
        samples=subject.samples,
        labels=subject.labels,
        metric=subject.metric,
        wishes=wishes,
        into=into,
        uri="s3://BUCKET/model/1/",
    )
    result = optimise(request, clock=time.process_time)
    beside = _beside(subject, result, folder, asked.no_compile)
    return _told(subject, result, beside)


def _beside(subject: Subject, result: Result, folder: Path, no_compile: bool) -> dict[str, Speed]:
    """The original and what anyone would do with it, in turns with the winner."""
    samples = read_samples(subject.samples, subject.labels)
    original = open_model(subject.source, samples, 1)
    assert isinstance(original.form, Module)
    names = [each.name for each in original.signature.inputs]
    bench = Workbench(
        original.signature, samples, original.form, folder, subject.batch, 1, 1.0, 60.0, 60.0
    )
    runners: dict[str, Runner] = {"original": original.run}
    plain = TECHNIQUES["onnx"].apply(original.form, bench)
    runners["onnxruntime's defaults"] = runner_of(plain, names, 1)
    if result.outcome.winner is not None:
        chosen = Graph(result.outcome.winner.artefact.content)
        runners["chosen"] = runner_of(chosen, names, 1)
    if not no_compile:
        compiled = torch.compile(original.form.module)
        runners["torch.compile"] = _quietly(of_torch(compiled, names), original.samples, subject)
    return measure(runners, original.samples, (1, subject.batch), ROUNDS, threads=1)


def _quietly(run: Runner, samples: Samples, subject: Subject) -> Runner:
    """Compiled, by a first run at each size."""
    with quiet():
        for size in (1, subject.batch):
            run(samples.batch(size))
    return run


def _told(subject: Subject, result: Result, beside: dict[str, Speed]) -> str:
    report = result.report
    finalists = {each["recipe"]: each for each in report["finalists"]}
    rows = [_peer(name, beside) for name in beside if name not in ("original", "chosen")]
    for trial in report["trials"]:
        finalist = finalists.get(trial["recipe"])
        rows.append(_trial(trial, report) if finalist is None else _finalist(finalist, report))
    winner = result.outcome.winner
    if winner is not None:
        _, latency, throughput, *_ = _peer("chosen", beside)
        size = _beside_original(len(winner.artefact.content), report)
        chosen = (f"chosen: {winner.recipe}", latency, throughput, size, _answers(winner.verdict))
        held_out = f"{winner.verdict.samples} held-out samples"
        rows.append((*(f"**{cell}**" for cell in chosen), held_out))
    before = beside["original"]
    title = (
        f"{subject.name}: {subject.metric} {report['original']['score']:.4f} before, original "
        f"{before.seconds[1] * 1e3:.2f} ms alone and "
        f"{before.seconds[subject.batch] * 1e3:.2f} ms for {subject.batch}; "
        f"{report['seconds']:.0f} s of processor time to search, load average "
        f"{os.getloadavg()[0]:.1f}"
    )
    head = ("recipe", "latency of one", "throughput", "size", "drop, points", "result")
    return table(title, head, rows)


def _peer(name: str, beside: dict[str, Speed]) -> Row:
    before, after = beside["original"], beside[name]
    latency = before.seconds[1] / after.seconds[1]
    return name, f"{latency:.2f} ×", f"{before.cost(None) / after.cost(None):.2f} ×", "", "", ""


def _trial(trial: dict[str, Any], report: dict[str, Any]) -> Row:
    """One that was out before its time, by its last look: on a part of the samples."""
    ratio, drop = trial["throughputRatio"], trial["drop"]
    return (
        trial["recipe"],
        "",
        "-" if ratio is None else f"{ratio:.2f} ×",
        _beside_original(trial["sizeBytes"], report),
        "-" if drop is None else f"{drop * 100:.2f}",
        trial["refused"] or "",
    )


def _finalist(finalist: dict[str, Any], report: dict[str, Any]) -> Row:
    """One that was built in full, and judged on what was held out."""
    before, after = (each["secondsByBatch"]["1"] for each in (report["original"], finalist))
    most = "" if finalist["confidence"] is None else f", at most {finalist['mostDrop'] * 100:.2f}"
    return (
        finalist["recipe"],
        f"{before / after:.2f} ×",
        f"{finalist['throughputRatio']:.2f} ×",
        _beside_original(finalist["sizeBytes"], report),
        f"{finalist['drop'] * 100:.2f}{most}",
        finalist["result"],
    )


def _answers(verdict: Verdict) -> str:
    return f"{verdict.drop * 100:.2f}, at most {verdict.most_drop * 100:.2f}"


def _beside_original(size: int | None, report: dict[str, Any]) -> str:
    """Its size over that of the original as ONNX, as the original may be a program."""
    original = next(
        (each["sizeBytes"] for each in report["trials"] if each["recipe"] == "onnx"), None
    )
    return f"{size / original:.2f}" if size and original else "-"


if __name__ == "__main__":
    main()
