"""The tuner's search beside an exhaustive grid, on simulated pods of machines that are drawn.

Needs no cluster: `python -m bench.tuner_search [FIRST] [LAST]`, by the machines' numbers. Some four
seconds of a processor each. The first of them are what tests/unit/test_tuner_search.py tests.
With a third argument, 0.1 say, the machines' speed varies by that from one measurement to the next,
and it is told how good the choice then is, and by how much the rate that is told is too high.
"""

import random
import sys
from collections.abc import Iterator, Sequence
from statistics import fmean

from bench.table import table
from tuned import LEAST_SHARE, TENTH, Outcome, drawn, measured, outcome, searched

TIGHT = 2.0  # times what the largest batch takes that is worth it
SEEDS = 10  # of each machine whose speed varies
ALLOWED = (8, TENTH)  # measurements


def run(numbers: Sequence[int]) -> str:
    """How often it finds enough, with loose objectives and with tight ones."""
    found = {number: outcome(*drawn(number)) for number in numbers}
    for number, each in found.items():
        if each.share < LEAST_SHARE:
            print(_told(number, each), flush=True)
    slacks = {number: _slack(number, each) for number, each in found.items()}
    parts = {
        "all": list(found),
        f"limit above {TIGHT:g} full batches": [n for n in found if slacks[n] > TIGHT],
        "below": [n for n in found if slacks[n] <= TIGHT],
    }
    header = (
        "objectives",
        "machines",
        f"{LEAST_SHARE:.0%} of the best found",
        "least share",
        f"mean measurements, of {TENTH}",
    )
    rows = (_row(name, [found[n] for n in part]) for name, part in parts.items() if part)
    return table("The tuner's search on simulated pods", header, rows)


def restless(numbers: Sequence[int], spread: float) -> str:
    """How good a choice is where one measurement is not like the next."""
    bests = {number: _best(outcome(*drawn(number))) for number in numbers}
    header = (
        "measurements",
        "searches",
        f"{LEAST_SHARE:.0%} of the best chosen",
        "mean share",
        "told of it, too high by",
        "mean measurements",
    )
    rows = []
    for allowed in ALLOWED:
        shares, told, made = [], [], []
        for number, best in bests.items():
            machine, objective = drawn(number)
            for seed in range(SEEDS):
                speeds = _speeds(spread, seed)
                tried, done = searched(machine, objective, most=allowed, speeds=speeds)
                rate = done.best.per_second
                true = measured(machine, objective, done.best.configuration, rate).per_second
                shares.append(true / best if best else 1.0)
                told.append(rate / true if true else 1.0)
                made.append(len(tried))
        enough = fmean(share >= LEAST_SHARE for share in shares)
        rows.append(
            (
                allowed,
                len(shares),
                f"{enough:.0%}",
                f"{fmean(shares):.1%}",
                f"{fmean(told) - 1:.1%}",
                f"{fmean(made):.1f}",
            )
        )
    return table(f"The tuner's search where speed varies by {spread:.0%}", header, rows)


def _speeds(spread: float, seed: int) -> Iterator[float]:
    draw = random.Random(seed)
    while True:
        yield max(draw.gauss(1.0, spread), 0.2)


def _best(each: Outcome) -> float:
    return max([each.done.best.per_second, *(one.per_second for one in each.better)])


def _slack(number: int, each: Outcome) -> float:
    """How many times what a largest batch takes that is worth it is the objective's limit."""
    machine, objective = drawn(number)
    best = max([each.done.best, *each.better], key=lambda one: one.per_second)
    full = machine.pod(best.configuration).curve.full_batch_seconds
    return objective.limit_seconds / full


def _row(name: str, outcomes: Sequence[Outcome]) -> tuple[object, ...]:
    enough = sum(each.share >= LEAST_SHARE for each in outcomes)
    return (
        name,
        len(outcomes),
        f"{enough} ({enough / len(outcomes):.1%})",
        f"{min(each.share for each in outcomes):.0%}",
        f"{fmean(len(each.tried) for each in outcomes):.1f}",
    )


def _told(number: int, each: Outcome) -> str:
    machine, objective = drawn(number)
    chosen, best = each.done.best, max(each.better, key=lambda one: one.per_second)
    return (
        f"{number}: {chosen.configuration} sustain {chosen.per_second:.0f}/s, {best.configuration} "
        f"{best.per_second:.0f}/s; {objective}, {machine}; {len(each.tried)} tried: "
        f"{each.done.reason}"
    )


if __name__ == "__main__":
    given = sys.argv[1:]
    first, last = map(int, given[:2]) if len(given) >= 2 else (0, 99)
    chosen = range(first, last + 1)
    print(restless(chosen, float(given[2])) if len(given) > 2 else run(chosen))
