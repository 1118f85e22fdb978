"""Run what is missing of the matrix, and report it."""

import argparse
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterable
from functools import partial
from itertools import product
from pathlib import Path

from bench.matrix.cells import DELAYS_SECONDS, PROFILES, SLOS, Cell, names
from bench.matrix.report import write
from bench.matrix.results import Results
from bench.matrix.runs import ONLY_CENTRAL, OURS, Wish, fulfil
from trireme.simulator.contenders import CONTENDERS

HOURS = 48.0
WORKERS = 2


def main() -> None:
    """Run, and report if asked."""
    told = _arguments()
    chosen = [each for each in names(told.traces) if told.only is None or _has(each, told.only)]
    cells = [
        Cell(trace, delay, profile, slo, told.hours)
        for slo, profile, trace, delay in product(told.slos, told.profiles, chosen, told.delays)
    ]
    results = Results(told.into)
    known = results.by_cell()
    wishes = [
        Wish(cell, known.get(cell, []), told.policies, told.sweep, told.everywhere)
        for cell in cells
    ]
    _run(wishes, told.traces, results)
    if told.report is not None:
        write(results, cells, told.policies, told.report)


def _run(wishes: list[Wish], traces: Path, results: Results) -> None:
    # One thread each: two processes have the machine's cores.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    began = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # and the workers with it
    with multiprocessing.get_context("spawn").Pool(WORKERS) as pool:
        found = pool.imap_unordered(partial(fulfil, folder=traces), wishes)
        for done, runs in enumerate(found, start=1):
            results.add(runs)
            spent = time.monotonic() - began
            left = spent / done * (len(wishes) - done)
            line = f"{done} of {len(wishes)} cells, {spent / 60:.1f} min, {left / 60:.1f} left"
            print(line, file=sys.stderr, flush=True)


def _has(name: str, parts: Iterable[str]) -> bool:
    return any(part in name for part in parts)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.matrix", description=__doc__)
    parser.add_argument("--traces", type=Path, required=True, help="a folder of traces")
    parser.add_argument("--into", type=Path, required=True, help="a folder that keeps the results")
    parser.add_argument("--report", type=Path, help="write Markdown, and a plot beside it")
    parser.add_argument("--only", type=_texts, help="traces whose names have one of these in them")
    parser.add_argument("--delays", type=_whole, default=DELAYS_SECONDS, help="seconds: 30,120")
    parser.add_argument(
        "--profiles", type=lambda text: text.split(";"), default=PROFILES, help='"6,2,16;40,10,8"'
    )
    parser.add_argument("--slos", type=_numbers, default=SLOS, help="in full batches: 1.5,2.5")
    parser.add_argument("--policies", type=_texts, default=list(CONTENDERS))
    parser.add_argument("--hours", type=float, default=HOURS, help="of a longer trace")
    parser.add_argument(
        "--everywhere", action="store_true", help=f"also {', '.join(ONLY_CENTRAL)} in all cells"
    )
    parser.add_argument("--no-sweep", dest="sweep", action="store_false")
    told = parser.parse_args()
    for policy in told.policies:
        if policy not in CONTENDERS:
            parser.error(f"there is no policy {policy!r}: write some of {', '.join(CONTENDERS)}")
    if OURS not in told.policies:
        parser.error(f"{OURS} is what the others are compared with: name it in --policies")
    return told


def _texts(text: str) -> list[str]:
    return text.split(",")


def _numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


def _whole(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    main()
