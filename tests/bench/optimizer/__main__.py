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
        compiled = torch.compile(original.form.module, dynamic=True)
        runners["torch.compile"] = _quietly(of_torch(compiled, names), original.samples, subject)
    return measure(runners, original.samples, (1, subject.batch), ROUNDS, threads=1)


def _quietly(run: Runner, samples: Samples, subject: Subject) -> Runner:
    """Compiled, by a first run at each size."""
    with quiet():
        for size in (1, subject.batch):
            run(samples.batch(size))
    return run


def _told(subject: Subject, result: Result, beside: dict[str, Speed]) -> str:
    report: dict[str, Any] = result.report
    before = beside["original"]
    load = os.getloadavg()[0]
    rows: list[tuple[object, ...]] = [
        (
            name,
            f"{before.seconds[1] / speed.seconds[1]:.2f} ×",
            f"{before.cost(None) / speed.cost(None):.2f} ×",
            "",
            "",
            "",
        )
        for name, speed in beside.items()
        if name not in ("original", "chosen")
    ]
    original_bytes = next(
        (each["sizeBytes"] for each in report["trials"] if each["recipe"] == "onnx"), None
    )
    for each in report["trials"]:
        ratio, size = each["throughputRatio"], each["sizeBytes"]
        rows.append(
            (
                each["recipe"],
                "",
                "-" if ratio is None else f"{ratio:.2f} ×",
                "-" if size is None or not original_bytes else f"{size / original_bytes:.2f}",
                "-" if each["drop"] is None else f"{each['drop'] * 100:.2f}",
                each["refused"] or "finalist",
            )
        )
    winner = result.outcome.winner
    if winner is not None:
        speed, verdict = beside["chosen"], winner.verdict
        rows.append(
            (
                f"**chosen: {winner.recipe}**",
                f"**{before.seconds[1] / speed.seconds[1]:.2f} ×**",
                f"**{before.cost(None) / speed.cost(None):.2f} ×**",
                f"**{len(winner.artefact.content) / (original_bytes or 1):.2f}**",
                f"**{verdict.drop * 100:.2f}, at most {verdict.most_drop * 100:.2f}**",
                f"{verdict.samples} held-out samples",
            )
        )
    title = (
        f"{subject.name}: {subject.metric} {report['original']['score']:.4f} before, original "
        f"{before.seconds[1] * 1e3:.2f} ms alone and "
        f"{before.seconds[subject.batch] * 1e3:.2f} ms for {subject.batch}; "
        f"{report['seconds']:.0f} s of processor time to search, load average {load:.1f}"
    )
    head = ("recipe", "latency", "throughput", "size", "drop, points", "")
    return table(title, head, rows)


if __name__ == "__main__":
    main()
